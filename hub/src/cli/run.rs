//! `hub run`: what its command line says.

use clap::Args;

use crate::telemetry::LogFormat;

/// Start the hub, and run until Ctrl-C or SIGTERM; then what is in hand is finished, and nothing is lost
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  hub run
      on the embedded defaults: data in ./data, routes.toml here, HL7 v2 where routes.toml says,
      HTTP on 127.0.0.1:8080
  hub run --config deploy/hub.toml --log json
      as hub.toml says, with a log for machines
  hub run --sample --once
      plays a sample feed, prints what became of each message, and stops")]
pub struct RunArgs {
    /// How the log is written
    #[arg(long, value_name = "FORMAT", env = "HUB_LOG_FORMAT")]
    pub log: Option<LogFormat>,
    /// Play a sample feed through the hub's own port, and print what became of each message
    #[arg(long)]
    pub sample: bool,
    /// Stop after the table of the sample feed
    #[arg(long, requires = "sample")]
    pub once: bool,
}
