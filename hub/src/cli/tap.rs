//! `hub tap`.

use clap::Args;
use serde_json::Value;

use super::client::Hub;
use super::output::{Failure, Outcome, Output, clean, text_of};
use super::{Exit, Global};

/// The longest line of a stream in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Watch what happens to messages, as it happens
///
/// Shows where a message is and what became of it there, nothing of what is in it. Ends with Ctrl-C.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub tap --source kasr-al-ainy
      messages of one source
  hub tap --json --count 10
      the next ten events, one JSON object a line")]
pub struct TapArgs {
    /// Only messages of this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u64>,
}

/// Prints events until the stream ends.
pub async fn run(global: &Global, args: &TapArgs, output: &mut Output<'_>) -> Outcome {
    let query: Vec<(&str, String)> = args.source.iter().map(|source| ("source", source.clone())).collect();
    let mut response = Hub::of(global)?.stream(&["api", "v1", "tap"], &query).await?;
    let (mut lines, mut printed) = (Lines::default(), 0_u64);
    while let Some(chunk) = response.chunk().await.map_err(|_| broken())? {
        for (kind, data) in lines.take(&chunk)? {
            if kind == "end" {
                return Ok(Exit::Success);
            }
            print(&kind, &data, output)?;
            printed = printed.saturating_add(u64::from(kind == "journey"));
            if args.count.is_some_and(|count| printed >= count) {
                return Ok(Exit::Success);
            }
        }
    }
    Ok(Exit::Success)
}

fn broken() -> Failure {
    Failure::new(Exit::Io, "the hub is gone: the stream ended before its end")
}

fn print(kind: &str, data: &str, output: &mut Output<'_>) -> std::io::Result<()> {
    if output.json {
        return output.line(data);
    }
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    if kind == "missed" {
        return output.line(&format!("(missed {} events)", text_of(&event, "events")));
    }
    let parts =
        ["message", "source", "type", "stage", "name", "outcome", "code"].map(|key| clean(&text_of(&event, key)));
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    output.line(&format!("{}  {}", output.time(&text_of(&event, "at")), parts.join("  ")))
}

/// Takes a stream of Server-Sent Events apart.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    kind: String,
}

impl Lines {
    /// The events, by kind and data, that end in this chunk.
    fn take(&mut self, chunk: &[u8]) -> Result<Vec<(String, String)>, Failure> {
        self.rest.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            if let Some(kind) = line.strip_prefix("event: ") {
                kind.clone_into(&mut self.kind);
            } else if let Some(data) = line.strip_prefix("data: ") {
                events.push((std::mem::take(&mut self.kind), data.to_owned()));
            }
        }
        if self.rest.len() > LINE_BYTES_MAX {
            return Err(Failure::new(Exit::Failed, "what answers is no tap: a line without end"));
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_stream_is_cut() {
        let stream = ": watching\n\nevent: journey\ndata: {\"a\":1}\n\nevent: missed\ndata: {\"events\":3}\n\n";
        let expected = [("journey", "{\"a\":1}"), ("missed", "{\"events\":3}")];
        for size in 1..stream.len() {
            let mut lines = Lines::default();
            let events: Vec<_> = stream.as_bytes().chunks(size).flat_map(|chunk| lines.take(chunk).unwrap()).collect();
            let read: Vec<(&str, &str)> = events.iter().map(|(kind, data)| (kind.as_str(), data.as_str())).collect();
            assert_eq!(read, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_collected_without_end() {
        let mut lines = Lines::default();
        assert!(lines.take(&vec![b'x'; LINE_BYTES_MAX + 1]).is_err());
    }
}
