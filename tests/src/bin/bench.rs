//! `make bench`: what the hub does on this machine, from parsing to the last effect, in one run.
//!
//! In comes the message beside the routes of `tests/bench`; out goes a table, and the same as JSON. `HUB_BIN` names the
//! hub to measure: a release build.

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adapters::Document;
use adapters::clock::Timestamp;
use adapters::hl7v2::{self, CharsetRule, Index};
use bytes::Bytes;
use clap::Parser;
use hub::mapping::{Context, HmacKey};
use hub::routes::Configuration;
use hub_tests::Fallible;
use hub_tests::folder::{Folder, workspace};
use hub_tests::hub::{Hub, Launch};
use hub_tests::load::{self, Plan, Report, milliseconds};
use hub_tests::wait::Stopwatch;
use serde_json::{Value, json};

const SOURCE: &str = "bench";
const CONNECTIONS: usize = 32;
/// The rate at which delays are measured: ten times the peak hour of the country.
const QUIET_PER_SECOND: u32 = 1_000;
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
/// How long parsing and mapping are measured.
const PURE: Duration = Duration::from_secs(2);
/// First number of the messages at a fixed rate: more than any machine sends before.
const FIRST_QUIET: u64 = 100_000_000;
/// Calls between two looks at the clock.
const CALLS: u32 = 200;

/// Measures the hub: parsing, mapping, and messages end to end over MLLP on the durable default.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds of load as fast as answers come; half as long at a fixed rate.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

fn main() -> Fallible<()> {
    let arguments = Arguments::parse();
    let message = workspace().join("tests/bench/rde_o11.hl7");
    let bytes = one_message(&message)?;
    let measured = Measured {
        parse_mb: parse_megabytes_per_second(&bytes)?,
        map_us: map_microseconds(&bytes)?,
        hub: measure_hub(&message, Duration::from_secs(arguments.seconds))?,
    };
    print(&measured.rows())
}

/// Measures a hub from an empty data folder to a filled one.
fn measure_hub(message: &Path, duration: Duration) -> Fallible<Process> {
    let folder = Folder::new("bench")?;
    let launch = Launch::new(folder.path().join("data"), routes());
    let (hub, empty_start) = timed_start(&launch)?;
    let idle_memory = hub.memory()?;

    let begun = Stopwatch::start();
    let plan = Plan { connections: CONNECTIONS, duration, rate: None, first: 1 };
    let fast = load::run(hub.mllp(SOURCE)?, message, plan)?;
    hub.api().idle(DRAINED_WITHIN)?;
    let applied_per_second = load::per_second(fast.messages, begun.elapsed());
    hub.api().drained(DRAINED_WITHIN)?;

    let plan = Plan { duration: duration / 2, rate: Some(QUIET_PER_SECOND), first: FIRST_QUIET, ..plan };
    let quiet = load::run(hub.mllp(SOURCE)?, message, plan)?;
    hub.api().drained(DRAINED_WITHIN)?;
    if fast.refused + quiet.refused > 0 {
        return Err(format!("{} messages were refused", fast.refused + quiet.refused).into());
    }

    let peak_memory = hub.peak_memory()?;
    hub.stop()?;
    let (again, filled_start) = timed_start(&launch)?;
    again.stop()?;
    Ok(Process { fast, applied_per_second, quiet, idle_memory, peak_memory, empty_start, filled_start })
}

fn routes() -> PathBuf {
    workspace().join("tests/bench/routes.toml")
}

/// Starts a hub and takes the time until it is ready.
fn timed_start(launch: &Launch) -> Fallible<(Hub, Duration)> {
    let watch = Stopwatch::start();
    let hub = launch.start()?;
    Ok((hub, watch.elapsed()))
}

/// The message with its places filled.
fn one_message(path: &Path) -> Fallible<Bytes> {
    let text = std::fs::read_to_string(path)?;
    let text = text.replace("@SEQ@", "000000001").replace("@NID@", "28001010100013").replace("MSGID", "BENCH1");
    Ok(Bytes::from(text))
}

fn parse_megabytes_per_second(bytes: &[u8]) -> Fallible<f64> {
    let mut index = Index::new();
    let length = f64::from(u32::try_from(bytes.len())?);
    let calls = calls_per_second(|| {
        let read = index.read(black_box(bytes)).map_err(|error| error.to_string())?;
        Ok(black_box(read.segments().count()))
    })?;
    Ok(calls * length / 1e6)
}

fn map_microseconds(bytes: &Bytes) -> Fallible<f64> {
    let loaded = Configuration::load(&routes()).map_err(|findings| format!("{findings:?}"))?;
    let route = loaded.configuration.routes.first().ok_or("the routes of the bench are empty")?;
    let document = hl7v2::Document::read(bytes.clone(), CharsetRule::default()).map_err(|error| error.to_string())?;
    let document = Document::Hl7v2(document);
    let context = Context {
        message_id: "1".to_owned(),
        source: SOURCE.to_owned(),
        received_at: Timestamp(0),
        hmac_key: HmacKey::new(b"bench"),
    };
    let calls = calls_per_second(|| {
        let outputs = route.run(black_box(&document), &context).map_err(|error| error.to_string())?;
        if outputs.len() == 1 { Ok(black_box(outputs.len())) } else { Err("the mapping gave no output".into()) }
    })?;
    Ok(1e6 / calls)
}

/// Calls `work` for a while, and gives how often it can be called in a second.
fn calls_per_second(mut work: impl FnMut() -> Fallible<usize>) -> Fallible<f64> {
    let watch = Stopwatch::start();
    let mut calls = 0u32;
    while watch.elapsed() < PURE {
        for _ in 0..CALLS {
            work()?;
        }
        calls += CALLS;
    }
    Ok(f64::from(calls) / watch.elapsed().as_secs_f64())
}

/// Everything that was measured.
struct Measured {
    parse_mb: f64,
    map_us: f64,
    hub: Process,
}

/// What was measured of the hub as a process.
struct Process {
    fast: Report,
    applied_per_second: f64,
    quiet: Report,
    idle_memory: u64,
    peak_memory: u64,
    empty_start: Duration,
    filled_start: Duration,
}

impl Measured {
    /// Names, values and units, in the order in which they are shown.
    fn rows(&self) -> Vec<(&'static str, f64, &'static str)> {
        let megabytes = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0;
        let hub = &self.hub;
        vec![
            ("parse", self.parse_mb, "MB/s"),
            ("map_40_rules", self.map_us, "us"),
            ("answered", hub.fast.per_second(), "msg/s"),
            ("applied_end_to_end", hub.applied_per_second, "msg/s"),
            ("ack_p50_at_full_load", milliseconds(hub.fast.p50), "ms"),
            ("ack_p99_at_full_load", milliseconds(hub.fast.p99), "ms"),
            ("ack_p50_at_1000_a_second", milliseconds(hub.quiet.p50), "ms"),
            ("ack_p99_at_1000_a_second", milliseconds(hub.quiet.p99), "ms"),
            ("memory_idle", megabytes(hub.idle_memory), "MiB"),
            ("memory_peak", megabytes(hub.peak_memory), "MiB"),
            ("start_on_empty_data", milliseconds(hub.empty_start), "ms"),
            ("start_on_filled_data", milliseconds(hub.filled_start), "ms"),
        ]
    }
}

fn print(rows: &[(&'static str, f64, &'static str)]) -> Fallible<()> {
    let mut out = std::io::stdout();
    for (name, value, unit) in rows {
        writeln!(out, "{:<28}{value:>12.2} {unit}", name.replace('_', " "))?;
    }
    let json: serde_json::Map<String, Value> =
        rows.iter().map(|(name, value, unit)| ((*name).to_owned(), json!({ "value": value, "unit": unit }))).collect();
    Ok(writeln!(out, "{}", Value::Object(json))?)
}
