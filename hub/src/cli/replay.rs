//! `hub replay`.

use clap::Args;
use serde_json::json;

use super::client::Hub;
use super::output::{Outcome, Output};
use super::{Exit, Global};

/// Send messages through the routes of now once more
///
/// Each is a new run under the configuration of now; what was delivered before may be delivered again. For one
/// dead delivery alone, see `hub dead-letters replay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Example:
  hub replay 0c7p4q2v8rk
      after its mapping was corrected and reloaded")]
pub struct ReplayArgs {
    /// The messages, as `hub messages` lists them
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
}

/// Asks for it. One that is refused ends the command; those before it are done, and said.
pub async fn run(global: &Global, args: &ReplayArgs, output: &mut Output<'_>) -> Outcome {
    let hub = Hub::of(global)?;
    for id in &args.ids {
        hub.post(&["api", "v1", "messages", id, "replay"]).await?;
        if output.json {
            output.line(&json!({ "message": id, "replayed": true }).to_string())?;
        } else {
            output.line(&format!("{id} has a new run; `hub message {id}` shows it"))?;
        }
    }
    Ok(Exit::Success)
}
