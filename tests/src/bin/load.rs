//! Sends load to a hub that runs already: `load --to 127.0.0.1:2575 --message tests/bench/rde_o11.hl7`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hub_tests::Fallible;
use hub_tests::api::Api;
use hub_tests::load::{self, Plan};
use hub_tests::wait::Stopwatch;
use serde_json::json;

/// Every message must have been applied within this time after the last answer.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);

/// Sends messages over MLLP and prints how fast they were answered: for people on stderr, as JSON on stdout.
#[derive(Debug, Parser)]
struct Arguments {
    /// The hub's MLLP port.
    #[arg(long)]
    to: SocketAddr,
    /// The message, in which MSGID, @SEQ@ and @NID@ are replaced.
    #[arg(long)]
    message: PathBuf,
    /// Connections, with one message in flight on each.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Messages a second; as fast as answers come if not given.
    #[arg(long)]
    rate: Option<u32>,
    /// Number of the first message. Numbers must not be used twice on the same data.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// The hub's HTTP address: wait until every message has been applied, and count that time too.
    #[arg(long)]
    http: Option<SocketAddr>,
}

fn main() -> Fallible<()> {
    let arguments = Arguments::parse();
    let plan = Plan {
        connections: arguments.connections,
        duration: Duration::from_secs(arguments.seconds),
        rate: arguments.rate,
        first: arguments.first,
    };
    let begun = Stopwatch::start();
    let report = load::run(arguments.to, &arguments.message, plan)?;
    let mut json = report.json();
    let mut lines = report.lines();
    if let Some(http) = arguments.http {
        Api::new(http).idle(DRAINED_WITHIN)?;
        let rate = load::per_second(report.messages, begun.elapsed());
        lines.push_str(&format!("end to end a second {rate:>10.0}\n"));
        if let Some(fields) = json.as_object_mut() {
            fields.insert("end_to_end_per_second".to_owned(), json!(rate.round()));
        }
    }
    std::io::stderr().write_all(lines.as_bytes())?;
    Ok(writeln!(std::io::stdout(), "{json}")?)
}
