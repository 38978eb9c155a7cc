//! The command line, one file a command.
//!
//! In come arguments, `HUB_*` variables and `hub.toml`; out go texts for people, or JSON with `--json`, and
//! an exit code. Promised: every command has an example in its help, and shows nothing of a message's body
//! unless it is asked to `--reveal` (H10). Refused: arguments that do not fit, with exit code 2.

pub mod check;
pub mod client;
pub mod codes;
pub mod dead_letters;
mod exit;
pub mod explain;
pub mod files;
pub mod message;
pub mod messages;
pub mod output;
pub mod progress;
mod ready_file;
pub mod reconcile;
pub mod reload;
pub mod replay;
pub mod run;
mod sample;
pub mod send;
pub mod tap;
pub mod test;
pub mod topics;
pub mod version;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use exit::Exit;
pub use run::RunArgs;

use self::output::{Failure, Outcome, Output, complain};

const AFTER_HELP: &str = "\
Examples:
  hub run                          start the hub on its defaults
  hub check && hub test            is the configuration right?
  hub send order.hl7               send a message to the hub that runs here
  hub messages --since 1h          what became of the last hour's messages

Commands end with 0: all is well; 1: done, and the answer is no; 2: the command line is wrong; \
70: a part of the hub failed for good; 73: another hub has the data folder; 74: reading, writing or connecting \
failed, or no hub answers; 78: the configuration has errors.";

/// The integration hub of the National Digital Prescription
#[derive(Parser, Clone, Debug)]
#[command(name = "hub", version, max_term_width = 110, after_help = AFTER_HELP)]
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

/// What can be done. Each has its file here.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    Run(RunArgs),
    Check(check::CheckArgs),
    Test(test::TestArgs),
    Explain(explain::ExplainArgs),
    Send(send::SendArgs),
    Messages(messages::MessagesArgs),
    Message(message::MessageArgs),
    DeadLetters(dead_letters::DeadLettersArgs),
    Codes(codes::CodesArgs),
    Tap(tap::TapArgs),
    Replay(replay::ReplayArgs),
    Reload(reload::ReloadArgs),
    Reconcile(reconcile::ReconcileArgs),
    Topics(topics::TopicsArgs),
    Version(version::VersionArgs),
}

/// Does what the command line says.
pub fn run_command(cli: Cli) -> Exit {
    if let Command::Run(args) = &cli.command {
        return run::run_blocking(&cli.global, args);
    }
    let mut output = Output::standard(cli.global.json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Io, format!("no runtime: {error}")));
    let outcome = runtime.and_then(|runtime| runtime.block_on(execute(&cli.global, &cli.command, &mut output)));
    outcome.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            complain(&failure.message);
        }
        failure.exit
    })
}

/// Every command but `run`.
pub async fn execute(global: &Global, command: &Command, output: &mut Output<'_>) -> Outcome {
    match command {
        Command::Run(_) => Err(Failure::new(Exit::Usage, "`hub run` does not print, it runs")),
        Command::Check(args) => check::run(global, args, output),
        Command::Test(args) => test::run(global, args, output),
        Command::Explain(args) => explain::run(global, args, output),
        Command::Version(_) => version::run(output),
        Command::Send(args) => send::run(global, args, output).await,
        Command::Messages(args) => messages::run(global, args, output).await,
        Command::Message(args) => message::run(global, args, output).await,
        Command::DeadLetters(args) => dead_letters::run(global, args, output).await,
        Command::Codes(args) => codes::run(global, args, output).await,
        Command::Tap(args) => tap::run(global, args, output).await,
        Command::Replay(args) => replay::run(global, args, output).await,
        Command::Reload(_) => reload::run(global, output).await,
        Command::Reconcile(args) => reconcile::run(global, args, output).await,
        Command::Topics(args) => topics::run(global, args, output).await,
    }
}

#[cfg(test)]
mod tests;
