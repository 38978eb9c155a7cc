//! `hub send`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adapters::hl7v2::sender::{MllpSink, Options, Tls};
use adapters::hl7v2::{CharsetRule, Document, batch};
use adapters::limits::SendLimits;
use adapters::tls::{ClientFiles, IdentityFiles, is_loopback_host, server_name};
use adapters::{Format, Parcel, Sink, Verdict};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use super::check::counted;
use super::client::configuration;
use super::output::{Failure, Outcome, Output};
use super::progress::Progress;
use super::{Exit, Global, files, ready_file};
use crate::config::Settings;

/// For the first connection, before anything is sent.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Rows of the table; beyond, only messages that were not accepted have one.
const ROWS_MAX: usize = 200;

/// Send HL7 v2 messages by MLLP, and show the answers
///
/// One connection, one message at a time, in the order of the files. A file may hold one message, several, or
/// a batch; lines may end in LF. Ends with 1 if any message was not accepted, with 74 if nobody listens.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub send tests/fixtures/hl7v2/rde_o11_new.hl7
      to the hub that runs here
  hub send feed/*.hl7 --to 127.0.0.1:2575
      to any listener
  hub send order.hl7 --to hub.example:2575 --ca authority.pem --certificate his.pem --key his.key
      over TLS, with a client certificate")]
pub struct SendArgs {
    /// The files; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Where to, as host:port [default: the source of the hub that runs here]
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// Which source of the hub that runs here, if it has several
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    pub source: Option<String>,
    /// Send each message byte for byte, with the line ends of the file
    #[arg(long)]
    pub as_is: bool,
    /// Authorities that sign the listener's certificate (PEM); with it, TLS is used
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Our own certificate (PEM), for a listener that asks for one
    #[arg(long, value_name = "FILE", requires = "ca", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Why patient data may travel to another machine without TLS
    #[arg(long, value_name = "REASON", conflicts_with = "ca")]
    pub insecure: Option<String>,
}

/// What became of one message.
struct Sent {
    file: String,
    number: usize,
    kind: String,
    control_id: String,
    result: &'static str,
    answer: String,
}

/// Sends, and prints the answers.
pub async fn run(global: &Global, args: &SendArgs, output: &mut Output<'_>) -> Outcome {
    let mut messages = Vec::new();
    for path in &args.files {
        messages.extend(messages_of(path, args.as_is)?);
    }
    let to = match &args.to {
        Some(to) => to.clone(),
        None => source_address(global, args.source.as_deref())?,
    };
    let sink = connect(&to, args).await?;
    let mut sent = Vec::with_capacity(messages.len());
    let mut progress = Progress::of(messages.len());
    for (file, number, message) in messages {
        sent.push(send(&sink, file, number, message).await);
        progress.step();
    }
    drop(progress);
    let count = |word: &str| sent.iter().filter(|one| one.result == word).count();
    let (accepted, refused, failed) = (count("accepted"), count("refused"), count("failed"));
    if output.json {
        let answers: Vec<Value> = sent.iter().map(Sent::to_json).collect();
        output.value(&json!({
            "to": to, "accepted": accepted, "refused": refused, "failed": failed, "messages": answers,
        }))?;
    } else {
        print(&sent, output)?;
        let sum = format!(
            "{} to {to}: {accepted} accepted, {refused} refused, {failed} failed",
            counted(sent.len(), "message")
        );
        output.line(&sum)?;
    }
    Ok(if accepted == sent.len() { Exit::Success } else { Exit::Failed })
}

/// The messages of a file, with their numbers from 1.
fn messages_of(path: &Path, as_is: bool) -> Result<Vec<(String, usize, Bytes)>, Failure> {
    let bytes = files::read(path)?;
    let name = path.display().to_string();
    // What is no HL7 v2 is sent as it is: the listener shall say what it thinks of it.
    let ranges: Vec<_> = batch::split(&bytes)
        .map_or_else(|_| std::iter::once(0..bytes.len()).collect(), |envelope| envelope.messages().collect());
    let message = |range| {
        let message = bytes.slice(range);
        if as_is { message } else { with_carriage_returns(&message) }
    };
    Ok((1..).zip(ranges).map(|(number, range)| (name.clone(), number, message(range))).collect())
}

/// Segments that end in CR, as the standard has it, whatever the editor made of the file.
fn with_carriage_returns(message: &Bytes) -> Bytes {
    let mut made = Vec::with_capacity(message.len().saturating_add(1));
    let mut last = 0;
    for &byte in message {
        match byte {
            b'\n' if last == b'\r' => {}
            b'\n' => made.push(b'\r'),
            other => made.push(other),
        }
        last = byte;
    }
    if made.last() != Some(&b'\r') {
        made.push(b'\r');
    }
    made.into()
}

/// Where a source of the hub that runs on the data folder listens.
fn source_address(global: &Global, source: Option<&str>) -> Result<String, Failure> {
    let data = Settings::load(global).map_err(configuration)?.data;
    let none = || {
        let message =
            format!("no hub runs on the data folder {}: start one, or say where to with --to", data.display());
        Failure::new(Exit::Io, message)
    };
    let ready = ready_file::read(&data).ok_or_else(none)?;
    let sources = ready.get("mllp").and_then(Value::as_object).ok_or_else(none)?;
    let names = || sources.keys().cloned().collect::<Vec<_>>().join(", ");
    let address = match source {
        Some(name) => sources.get(name),
        None if sources.len() == 1 => sources.values().next(),
        None => return Err(Failure::new(Exit::Usage, format!("say which source with --source: {}", names()))),
    };
    let address = address.and_then(Value::as_str).map(str::to_owned);
    address.ok_or_else(|| Failure::new(Exit::Usage, format!("the hub has no such source; it has {}", names())))
}

/// A sink, after one connection showed that somebody listens.
async fn connect(to: &str, args: &SendArgs) -> Result<MllpSink, Failure> {
    let Some((host, _)) = to.rsplit_once(':') else {
        return Err(Failure::new(Exit::Usage, "--to is written as host:port"));
    };
    let tls = match &args.ca {
        Some(ca) => Some(tls_of(ca, host, args).map_err(|error| Failure::new(Exit::Io, error.to_string()))?),
        None if is_loopback_host(host) || args.insecure.is_some() => None,
        None => {
            let message = format!("{host} is another machine: use TLS with --ca, or say why not with --insecure");
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let nobody = |reason: String| Failure::new(Exit::Io, format!("nobody listens at {to}: {reason}"));
    match tokio::time::timeout(CONNECT_DEADLINE, tokio::net::TcpStream::connect(to)).await {
        Err(_) => return Err(nobody("no answer in time".to_owned())),
        Ok(Err(error)) => return Err(nobody(error.to_string())),
        Ok(Ok(_)) => {}
    }
    Ok(MllpSink::new(Options { address: to.to_owned(), limits: SendLimits::default(), tls, retry_ar: false }))
}

fn tls_of(ca: &Path, host: &str, args: &SendArgs) -> Result<Tls, adapters::tls::Error> {
    let identity = args.certificate.clone().zip(args.key.clone());
    let identity = identity.map(|(certificate, key)| IdentityFiles { certificate, key });
    let client = adapters::tls::Client::load(ClientFiles { ca: Some(ca.to_owned()), identity })?;
    Ok(Tls { client: Arc::new(client), server_name: server_name(host)? })
}

async fn send(sink: &MllpSink, file: String, number: usize, message: Bytes) -> Sent {
    let (kind, control_id) = Document::read(message.clone(), CharsetRule::default()).map_or_else(
        |_| (String::new(), String::new()),
        |document| {
            let header = document.message().header();
            let trigger = header.trigger().text();
            let code = header.message_code().text();
            let kind = if trigger.is_empty() { code.into_owned() } else { format!("{code}^{trigger}") };
            (kind, header.control_id().text().into_owned())
        },
    );
    let parcel = Parcel { idempotency_key: String::new(), body: message, format: Format::Hl7v2, attempt: 1 };
    let (result, answer) = match sink.deliver(&parcel).await {
        Verdict::Delivered { answer } => ("accepted", answer),
        Verdict::Rejected { reason } => ("refused", reason),
        Verdict::Retry { reason, .. } => ("failed", reason),
    };
    Sent { file, number, kind, control_id, result, answer }
}

impl Sent {
    fn to_json(&self) -> Value {
        json!({
            "file": self.file,
            "number": self.number,
            "type": self.kind,
            "control_id": self.control_id,
            "result": self.result,
            "answer": self.answer,
        })
    }
}

fn print(sent: &[Sent], output: &mut Output<'_>) -> std::io::Result<()> {
    let is_long = sent.len() > ROWS_MAX;
    let rows: Vec<Vec<String>> = sent
        .iter()
        .filter(|one| !is_long || one.result != "accepted")
        .take(ROWS_MAX)
        .map(|one| {
            vec![
                one.file.clone(),
                one.number.to_string(),
                one.kind.clone(),
                one.control_id.clone(),
                one.result.to_owned(),
                one.answer.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.table(&["FILE", "NO", "TYPE", "CONTROL ID", "RESULT", "ANSWER"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_end_in_cr_whatever_the_file_has() {
        for (file, expected) in [
            ("MSH|a\nPID|b\n", "MSH|a\rPID|b\r"),
            ("MSH|a\r\nPID|b", "MSH|a\rPID|b\r"),
            ("MSH|a\rPID|b\r", "MSH|a\rPID|b\r"),
        ] {
            assert_eq!(with_carriage_returns(&Bytes::from_static(file.as_bytes())), expected, "{file:?}");
        }
    }

    #[test]
    fn a_batch_is_its_messages_and_what_is_no_hl7_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch.hl7");
        std::fs::write(&path, "BHS|^~\\&|A\nMSH|^~\\&|1\nPID|1\nMSH|^~\\&|2\nBTS|2\n").unwrap();
        let bodies: Vec<Bytes> = messages_of(&path, false).unwrap().into_iter().map(|(_, _, body)| body).collect();
        assert_eq!(bodies, ["MSH|^~\\&|1\rPID|1\r", "MSH|^~\\&|2\r"]);
        std::fs::write(&path, "hello").unwrap();
        assert_eq!(messages_of(&path, true).unwrap()[0].2, "hello");
    }
}
