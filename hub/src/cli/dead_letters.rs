//! `hub dead-letters`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Hub;
use super::message::{self, MessageArgs};
use super::output::{Failure, Outcome, Output, list_of, text_of, why_of};
use super::progress::Progress;
use super::{Exit, Global};

/// Letters that are listed, and replayed by --all, at most.
const LETTERS_MAX: usize = 1_000;

/// Look at what will not be tried again, and try it again
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub dead-letters list
  hub dead-letters show 0c7p4q2v8rk.1.1
  hub dead-letters replay 0c7p4q2v8rk.1.1")]
pub struct DeadLettersArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub command: DeadLetters,
}

/// What can be done with dead letters.
#[derive(Subcommand, Clone, Debug)]
pub enum DeadLetters {
    /// List dead letters, newest first
    #[command(after_help = "Example:\n  hub dead-letters list --limit 20 --json")]
    List {
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show the journey of a dead letter's message
    #[command(after_help = "Example:\n  hub dead-letters show 0c7p4q2v8rk.1.1")]
    Show {
        /// The letter, as the list names it
        letter: String,
        /// Show bodies, which hold patient data; the hub logs who asked
        #[arg(long)]
        reveal: bool,
    },
    /// Try dead letters again: each is a new run under the configuration of now, to its own destination only
    #[command(after_help = "Examples:\n  hub dead-letters replay 0c7p4q2v8rk.1.1\n  hub dead-letters replay --all")]
    Replay {
        /// The letters, as the list names them
        #[arg(required_unless_present = "all")]
        letters: Vec<String>,
        /// Every letter of the list (1000 at most)
        #[arg(long, conflicts_with = "letters")]
        all: bool,
    },
}

/// Does it.
pub async fn run(global: &Global, args: &DeadLettersArgs, output: &mut Output<'_>) -> Outcome {
    match &args.command {
        DeadLetters::List { limit } => list(&Hub::of(global)?, usize::from(*limit), output).await,
        DeadLetters::Show { letter, reveal } => {
            let id = letter.split('.').next().unwrap_or_default().to_owned();
            message::run(global, &MessageArgs { id, reveal: *reveal }, output).await
        }
        DeadLetters::Replay { letters, all } => {
            let hub = Hub::of(global)?;
            let letters = if *all { all_letters(&hub).await? } else { letters.clone() };
            replay(&hub, &letters, output).await
        }
    }
}

async fn listed(hub: &Hub, limit: usize) -> Result<Value, Failure> {
    hub.get(&["api", "v1", "dead-letters"], &[("limit", limit.to_string())]).await
}

async fn list(hub: &Hub, limit: usize, output: &mut Output<'_>) -> Outcome {
    let answer = listed(hub, limit).await?;
    if output.json {
        output.value(&answer)?;
        return Ok(Exit::Success);
    }
    let rows: Vec<Vec<String>> = list_of(&answer, "dead_letters")
        .iter()
        .map(|letter| {
            let mut row = vec![text_of(letter, "letter"), output.time(&text_of(letter, "at"))];
            let keys = ["source", "control_id", "route", "destination", "attempts"];
            row.extend(keys.iter().map(|key| text_of(letter, key)));
            row.push(why_of(letter, "why"));
            row
        })
        .collect();
    if rows.is_empty() {
        output.line("there are no dead letters")?;
    } else {
        let heads = ["LETTER", "AT", "SOURCE", "CONTROL ID", "ROUTE", "TO", "ATTEMPTS", "WHY"];
        output.table(&heads, &rows)?;
    }
    Ok(Exit::Success)
}

async fn all_letters(hub: &Hub) -> Result<Vec<String>, Failure> {
    let answer = listed(hub, LETTERS_MAX).await?;
    Ok(list_of(&answer, "dead_letters").iter().map(|letter| text_of(letter, "letter")).collect())
}

/// Replays each; one that is refused does not stop the others, a hub that is gone does.
async fn replay(hub: &Hub, letters: &[String], output: &mut Output<'_>) -> Outcome {
    let mut results: Vec<(&str, Option<String>)> = Vec::with_capacity(letters.len());
    let mut progress = Progress::of(letters.len());
    for letter in letters {
        let asked = hub.post(&["api", "v1", "dead-letters", letter, "replay"]).await;
        results.push(match asked {
            Ok(_) => (letter, None),
            Err(failure) if failure.exit == Exit::Failed => (letter, Some(failure.message)),
            Err(failure) => return Err(failure),
        });
        progress.step();
    }
    drop(progress);
    if output.json {
        let results: Vec<Value> = results
            .iter()
            .map(|(letter, why)| json!({ "letter": letter, "replayed": why.is_none(), "why": why }))
            .collect();
        output.value(&json!({ "letters": results }))?;
    } else if results.is_empty() {
        output.line("there are no dead letters")?;
    } else {
        let rows: Vec<Vec<String>> = results
            .iter()
            .map(|(letter, why)| {
                let word = if why.is_none() { "replayed" } else { "refused" };
                vec![(*letter).to_owned(), word.to_owned(), why.clone().unwrap_or_default()]
            })
            .collect();
        output.table(&["LETTER", "RESULT", "WHY"], &rows)?;
    }
    let is_refused = results.iter().any(|(_, why)| why.is_some());
    Ok(if is_refused { Exit::Failed } else { Exit::Success })
}
