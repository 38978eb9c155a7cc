//! `hub messages`.

use adapters::clock::{Clock, SystemClock, Timestamp};
use clap::Args;
use serde_json::Value;

use super::client::Hub;
use super::output::{Failure, Outcome, Output, list_of, text_of, why_of};
use super::{Exit, Global};

/// List messages, newest first
///
/// What is given must all hold. A patient, an order and a control id are found within a second of arrival.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  hub messages --state dead-lettered --since 24h
      what went wrong since yesterday
  hub messages --patient 29912310199876
      everything of one patient
  hub messages --source kasr-al-ainy --control-id ORA-1 --json
      one message by its MSH-10, for a machine")]
pub struct MessagesArgs {
    /// accepted, waiting, held, delivered, filtered, refused or dead-lettered
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,
    /// The source's name in routes.toml
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// MSH-10
    #[arg(long, value_name = "ID")]
    pub control_id: Option<String>,
    /// The patient's identifier
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// An order number
    #[arg(long, value_name = "NUMBER")]
    pub order: Option<String>,
    /// Received since this time, or so long ago: 2026-11-05T09:30:00+02:00, 90m, 24h, 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Received before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// So many at most
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// The next page, as the page before names it
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}

/// Asks, and prints the list.
pub async fn run(global: &Global, args: &MessagesArgs, output: &mut Output<'_>) -> Outcome {
    let query = query_of(args, SystemClock.now())?;
    let page = Hub::of(global)?.get(&["api", "v1", "messages"], &query).await?;
    if output.json {
        output.value(&page)?;
        return Ok(Exit::Success);
    }
    let rows: Vec<Vec<String>> = list_of(&page, "messages").iter().map(|message| row(message, output)).collect();
    if rows.is_empty() {
        output.line("no message is like this")?;
    } else {
        output.table(&["ID", "RECEIVED", "SOURCE", "TYPE", "CONTROL ID", "STATE", "ROUTES", "WHY"], &rows)?;
    }
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        output.line(&format!("there are more: the same with --cursor {next}"))?;
    }
    Ok(Exit::Success)
}

fn row(message: &Value, output: &Output<'_>) -> Vec<String> {
    vec![
        text_of(message, "id"),
        output.time(&text_of(message, "received_at")),
        text_of(message, "source"),
        text_of(message, "type"),
        text_of(message, "control_id"),
        text_of(message, "state"),
        text_of(message, "routes"),
        why_of(message, "why"),
    ]
}

fn query_of(args: &MessagesArgs, now: Timestamp) -> Result<Vec<(&'static str, String)>, Failure> {
    let texts = [
        ("state", &args.state),
        ("source", &args.source),
        ("control_id", &args.control_id),
        ("patient", &args.patient),
        ("order", &args.order),
        ("cursor", &args.cursor),
    ];
    let mut query: Vec<(&'static str, String)> =
        texts.into_iter().filter_map(|(name, value)| value.clone().map(|given| (name, given))).collect();
    for (name, value) in [("since", &args.since), ("until", &args.until)] {
        if let Some(value) = value {
            query.push((name, moment(value, now)?));
        }
    }
    query.push(("limit", args.limit.to_string()));
    Ok(query)
}

/// A time as it is, or so long before `now`.
fn moment(text: &str, now: Timestamp) -> Result<String, Failure> {
    let seconds_each: Option<i64> = match text.chars().last() {
        Some('s') => Some(1),
        Some('m') => Some(60),
        Some('h') => Some(3600),
        Some('d') => Some(24 * 3600),
        _ => None,
    };
    let ago = seconds_each.and_then(|each| {
        let count: u32 = text.get(..text.len().checked_sub(1)?)?.parse().ok()?;
        Some(i64::from(count).saturating_mul(each).saturating_mul(1_000_000))
    });
    match (ago, text.parse::<jiff::Timestamp>()) {
        (Some(ago), _) => Ok(Timestamp(now.0.saturating_sub(ago)).to_rfc3339()),
        (None, Ok(time)) => Ok(time.to_string()),
        (None, Err(_)) => {
            let message = "a time is written as 2026-11-05T09:30:00+02:00, or as so long ago: 90m, 24h, 7d";
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_with_a_zone_or_so_long_ago() {
        let now = Timestamp(1_793_863_800_000_000);
        assert_eq!(moment("90m", now).unwrap(), "2026-11-05T06:00:00.000000Z");
        assert_eq!(moment("7d", now).unwrap(), "2026-10-29T07:30:00.000000Z");
        assert_eq!(moment("2026-11-05T09:30:00+02:00", now).unwrap(), "2026-11-05T07:30:00Z");
        for text in ["", "m", "-1m", "1w", "yesterday", "2026-11-05T09:30:00", "م"] {
            assert_eq!(moment(text, now).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }
}
