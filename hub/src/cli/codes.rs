//! `hub codes`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Hub;
use super::output::{Outcome, Output, list_of, text_of};
use super::{Exit, Global};

/// Look at the codes that messages are held for, and say what they stand for
///
/// A message is held when a table with `unknown = "hold"` does not have one of its codes. What comes later in its
/// lane waits behind it. Codes are content of messages.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  hub codes
  hub codes add routes SC --coding http://snomed.info/sct 34206005
  hub codes refuse routes ZZ --source kasr-al-ainy")]
pub struct CodesArgs {
    /// What is to be done; nothing lists.
    #[command(subcommand)]
    pub command: Option<Codes>,
    /// Which are listed.
    #[command(flatten)]
    pub list: ListArgs,
}

/// Which codes are listed.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Of this table
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Of this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// So many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// The next page, as the page before names it
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}

/// What can be done with codes.
#[derive(Subcommand, Clone, Debug)]
pub enum Codes {
    /// List the codes that messages are held for, by table, code and source
    #[command(after_help = "Example:\n  hub codes list --table routes --source kasr-al-ainy")]
    List(ListArgs),
    /// Add a code to its table: the file gets a row, and what was held for it goes on
    #[command(after_help = "\
Examples:
  hub codes add order_control NX create
  hub codes add routes SC --coding http://snomed.info/sct 34206005 Subcutaneous")]
    Add {
        /// The table, by its name
        table: String,
        /// The code, as messages have it
        code: String,
        /// What it stands for
        #[arg(required_unless_present = "coding")]
        value: Option<String>,
        /// What it stands for, as a code of a system
        #[arg(long, num_args = 2..=3, value_names = ["SYSTEM", "CODE", "DISPLAY"], conflicts_with = "value")]
        coding: Option<Vec<String>>,
    },
    /// Make dead letters of what is held for a code; what waits behind goes on
    #[command(after_help = "Example:\n  hub codes refuse routes ZZ --source kasr-al-ainy")]
    Refuse {
        /// The table
        table: String,
        /// The code
        code: String,
        /// Of this source only
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
}

/// Does it.
pub async fn run(global: &Global, args: &CodesArgs, output: &mut Output<'_>) -> Outcome {
    let hub = Hub::of(global)?;
    match &args.command {
        None => list(&hub, &args.list, output).await,
        Some(Codes::List(which)) => list(&hub, which, output).await,
        Some(Codes::Add { table, code, value, coding }) => {
            let mut row = json!({ "table": table, "code": code, "value": value });
            if let Some([system, target, rest @ ..]) = coding.as_deref() {
                row = json!({
                    "table": table,
                    "code": code,
                    "coding": { "system": system, "code": target, "display": rest.first() },
                });
            }
            add(&hub, table, &row, output).await
        }
        Some(Codes::Refuse { table, code, source }) => {
            let which = json!({ "table": table, "code": code, "source": source });
            refuse(&hub, &which, output).await
        }
    }
}

async fn list(hub: &Hub, which: &ListArgs, output: &mut Output<'_>) -> Outcome {
    let mut query = vec![("limit", which.limit.to_string())];
    for (name, value) in [("table", &which.table), ("source", &which.source), ("cursor", &which.cursor)] {
        query.extend(value.clone().map(|given| (name, given)));
    }
    let page = hub.get(&["api", "v1", "codes"], &query).await?;
    if output.json {
        output.value(&page)?;
        return Ok(Exit::Success);
    }
    let rows: Vec<Vec<String>> = list_of(&page, "codes").iter().map(|line| row_of(line, output)).collect();
    if rows.is_empty() {
        output.line("no message is held for a code")?;
    } else {
        output.table(&["TABLE", "CODE", "SOURCE", "MESSAGES", "OLDEST", "NEWEST"], &rows)?;
    }
    match page.get("behind").and_then(Value::as_u64) {
        None | Some(0) => {}
        Some(1) => output.line("1 more waits behind them")?,
        Some(behind) => output.line(&format!("{behind} more wait behind them"))?,
    }
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        output.line(&format!("there are more: the same with --cursor {next}"))?;
    }
    Ok(Exit::Success)
}

fn row_of(line: &Value, output: &Output<'_>) -> Vec<String> {
    let mut row: Vec<String> = ["table", "code", "source", "messages"].map(|key| text_of(line, key)).to_vec();
    row.extend(["oldest", "newest"].map(|key| output.time(&text_of(line, key))));
    row
}

async fn add(hub: &Hub, table: &str, row: &Value, output: &mut Output<'_>) -> Outcome {
    let answer = hub.post_with(&["api", "v1", "codes"], row).await?;
    if output.json {
        output.value(&answer)?;
    } else {
        let configuration = text_of(&answer, "configuration");
        output
            .line(&format!("the table {table} has the code; the hub uses configuration {configuration} from now on"))?;
    }
    Ok(Exit::Success)
}

/// Ends with 1 if nothing was held for the code.
async fn refuse(hub: &Hub, which: &Value, output: &mut Output<'_>) -> Outcome {
    let answer = hub.post_with(&["api", "v1", "codes", "refuse"], which).await?;
    let refused = answer.get("refused").and_then(Value::as_u64).unwrap_or(0);
    if output.json {
        output.value(&answer)?;
    } else {
        let line = match refused {
            0 => "no message is held for this code".to_owned(),
            1 => "1 is a dead letter now; `hub dead-letters list` shows it".to_owned(),
            several => format!("{several} are dead letters now; `hub dead-letters list` shows them"),
        };
        output.line(&line)?;
    }
    Ok(if refused == 0 { Exit::Failed } else { Exit::Success })
}
