//! `hub reconcile`.

use clap::Args;
use serde_json::json;

use super::client::Hub;
use super::output::{Outcome, Output, text_of};
use super::{Exit, Global};

/// Publish again what brokers confirmed and nobody applied
///
/// For a broker that lost records and did not show it. Records that were applied meanwhile have no second effect. After
/// a lost connection, or a queue or topic that was gone, the hub does the same by itself.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  hub reconcile
      what was made more than a minute ago
  hub reconcile --older-than 3600
      what was made more than an hour ago")]
pub struct ReconcileArgs {
    /// Made at least so many seconds ago
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub older_than: u32,
}

/// Asks for it.
pub async fn run(global: &Global, args: &ReconcileArgs, output: &mut Output<'_>) -> Outcome {
    let asked = json!({ "older_than_seconds": args.older_than });
    let answer = Hub::of(global)?.post_with(&["api", "v1", "reconcile"], &asked).await?;
    if output.json {
        output.value(&answer)?;
    } else {
        output.line(&format!("{} records were published again", text_of(&answer, "published")))?;
    }
    Ok(Exit::Success)
}
