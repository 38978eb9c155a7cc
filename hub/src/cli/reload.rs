//! `hub reload`.

use clap::Args;

use super::client::Hub;
use super::output::{Outcome, Output, text_of};
use super::{Exit, Global};

/// Make the running hub read its configuration again: all of it, or nothing
///
/// Ends with 78, and shows the findings, if the files have errors; the hub then goes on with what it had.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Example:
  hub check && hub reload")]
pub struct ReloadArgs {}

/// Asks for it.
pub async fn run(global: &Global, output: &mut Output<'_>) -> Outcome {
    let answer = Hub::of(global)?.post(&["api", "v1", "reload"]).await?;
    if output.json {
        output.value(&answer)?;
    } else {
        output.line(&format!("the hub uses configuration {} from now on", text_of(&answer, "configuration")))?;
    }
    Ok(Exit::Success)
}
