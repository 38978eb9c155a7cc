//! The command line, one file a command.
//!
//! In come arguments, `HUB_*` variables and `hub.toml`; out go texts for people, or JSON with `--json`, and
//! an exit code. Promised: every command has an example in its help, and shows nothing of a message's body
//! unless it is asked to `--reveal` (H10). Refused: arguments that do not fit, with exit code 2.

mod exit;
pub mod output;
pub mod run;
mod sample;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use exit::Exit;
pub use run::RunArgs;

/// The integration hub of the National Digital Prescription
#[derive(Parser, Clone, Debug)]
#[command(name = "hub", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands. A flag goes before its variable, and that before `hub.toml`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct Global {
    /// The file of settings; without it, everything has its default
    #[arg(long, global = true, value_name = "FILE", env = "HUB_CONFIG")]
    pub config: Option<PathBuf>,
    /// The part of the file that is used beside the rest: `[profile.NAME]`
    #[arg(long, global = true, value_name = "NAME", env = "HUB_PROFILE")]
    pub profile: Option<String>,
    /// The folder of journal and keys [default: data]
    #[arg(long, global = true, value_name = "FOLDER", env = "HUB_DATA")]
    pub data: Option<PathBuf>,
    /// The routes; mappings are in the folder `mappings` beside it [default: routes.toml]
    #[arg(long, global = true, value_name = "FILE", env = "HUB_ROUTES")]
    pub routes: Option<PathBuf>,
    /// Where the hub's HTTP interface listens, or is asked [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS", env = "HUB_HTTP")]
    pub http: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Start the hub.
    Run(RunArgs),
}

/// Does what the command line says.
pub fn run_command(cli: Cli) -> Exit {
    match cli.command {
        Command::Run(args) => run::run_blocking(&cli.global, &args),
    }
}
