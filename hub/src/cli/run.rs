//! `hub run`: starts the hub, says where it is reached, and ends it in order.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::output::complain;
use super::ready_file::ReadyFile;
use super::{Exit, Global};
use crate::actors::adapter::BuildError;
use crate::actors::supervisor::keep_panics_quiet;
use crate::admin;
use crate::assembly::{self, Assembly, StartError, reload_and_tell};
use crate::config::{Settings, URL_VARIABLE};
use crate::routes::Configuration;
use crate::store::{OpenError, StoreError};
use crate::telemetry::{LogFormat, start_log};

/// How often it is looked whether the journal is sound.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the HTTP interface may take to end.
const HTTP_DEADLINE: Duration = Duration::from_secs(6);

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
    /// Why HTTP may be open to the network without TLS
    #[arg(long, value_name = "REASON", env = "HUB_HTTP_INSECURE")]
    pub http_insecure: Option<String>,
    /// Play a sample feed through the hub's own port, and print what became of each message
    #[arg(long)]
    pub sample: bool,
    /// Stop after the table of the sample feed
    #[arg(long, requires = "sample")]
    pub once: bool,
    /// The URL of the database: a secret, so it comes by its variable, and never in the arguments.
    #[arg(skip)]
    pub store_url: Option<String>,
}

/// How the sample feed is played.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The hub stops after it.
    pub once: bool,
    /// It is told in JSON.
    pub json: bool,
}

/// Runs on a runtime of its own: one for the transports and the SQL, with the actors on this thread.
pub fn run_blocking(global: &Global, args: &RunArgs) -> Exit {
    let args = RunArgs { store_url: std::env::var(URL_VARIABLE).ok(), ..args.clone() };
    let settings = match Settings::load_for_run(global, &args) {
        Ok(settings) => settings,
        Err(findings) => return refuse(StartError::Configuration(findings)),
    };
    let sample = args.sample.then_some(Sample { once: args.once, json: global.json });
    start_log(settings.log, std::io::stderr().is_terminal());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("no runtime: {error}"));
            return Exit::Io;
        }
    };
    actix::System::with_tokio_rt(move || runtime).block_on(run(settings, sample))
}

/// Runs until a signal, or until a part fails for good.
async fn run(settings: Settings, sample: Option<Sample>) -> Exit {
    keep_panics_quiet();
    crash_as_asked();
    let loaded = match Configuration::load(&settings.routes) {
        Ok(loaded) => loaded,
        Err(findings) => return refuse(StartError::Configuration(findings)),
    };
    let (assembly, mut escalations) =
        match assembly::start(&settings, loaded, |_| std::process::exit(Exit::Software.code().into())).await {
            Ok(started) => started,
            Err(error) => return refuse(error),
        };
    let assembly = Arc::new(assembly);
    let options = admin::Options { http: settings.http.clone(), limits: settings.limits };
    let control: Arc<dyn admin::Control> = Arc::<Assembly>::clone(&assembly);
    let server = match admin::Server::bind(options, control) {
        Ok(server) => server,
        Err(error) => {
            complain(&error.to_string());
            assembly.stop().await;
            return if let admin::Error::Listen { .. } = error { Exit::Io } else { Exit::Configuration };
        }
    };
    let http = server.address();
    let ready = match ReadyFile::write(&settings.data, http, assembly.addresses()) {
        Ok(ready) => Arc::new(ready),
        Err(error) => {
            tracing::error!(%error, "cannot say where the hub is reached");
            assembly.stop().await;
            return Exit::Io;
        }
    };
    let follower = Arc::clone(&ready);
    assembly.after_reload(move |addresses| follower.follow(addresses));
    // Reloads can be asked for from here on, and each is told.
    let serving = tokio::spawn(server.run(assembly.closing()));
    tokio::spawn(assembly::watch_files(Arc::clone(&assembly), assembly.closing()));
    tracing::info!(%http, "ready");
    let exit = tokio::select! {
        exit = wait_for_end(&assembly, &mut escalations) => exit,
        exit = play_sample(&assembly, http, sample) => exit,
    };
    ready.remove();
    assembly.stop().await;
    match tokio::time::timeout(HTTP_DEADLINE, serving).await {
        Ok(Ok(Ok(()))) => {}
        _ => tracing::warn!("the HTTP interface did not end in order"),
    }
    exit
}

/// Plays the sample feed, if it is asked for; comes back only if the hub has to stop after it.
async fn play_sample(assembly: &Assembly, http: SocketAddr, asked: Option<Sample>) -> Exit {
    let Some(sample) = asked else { return std::future::pending().await };
    let exit = match super::sample::play(assembly).await {
        Ok(report) => {
            report.print(sample.json, http);
            if report.is_as_expected() { Exit::Success } else { Exit::Failed }
        }
        Err(error) => {
            complain(&format!("the sample feed could not be played: {error}"));
            Exit::Failed
        }
    };
    if sample.once { exit } else { std::future::pending().await }
}

/// Waits for a signal (drain), an escalation (70) or a broken journal (74).
async fn wait_for_end(
    assembly: &Assembly,
    escalations: &mut tokio::sync::mpsc::Receiver<crate::actors::Escalation>,
) -> Exit {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return Exit::Io;
    };
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Exit::Success,
            _ = interrupt.recv() => return Exit::Success,
            _ = hangup.recv() => reload_and_tell(assembly).await,
            Some(escalation) = escalations.recv() => {
                tracing::error!(part = %escalation.part, cause = %escalation.cause, "cannot go on");
                return Exit::Software;
            }
            _ = look.tick() => {
                if let Err(error @ StoreError::Broken(_)) = assembly.hub.store.health() {
                    tracing::error!(%error, "the journal cannot be trusted any more");
                    return Exit::Io;
                }
            }
        }
    }
}

/// Says why the hub does not start, and ends with the code for it.
fn refuse(error: StartError) -> Exit {
    match error {
        StartError::Configuration(findings) => {
            complain(&findings.render(std::io::stderr().is_terminal()));
            Exit::Configuration
        }
        StartError::Data(OpenError::Taken { .. } | OpenError::DatabaseTaken { .. }) => {
            complain(&error.to_string());
            Exit::CannotCreate
        }
        StartError::Adapter(BuildError::Listen { .. }) => {
            complain(&error.to_string());
            Exit::Io
        }
        StartError::Adapter(_)
        | StartError::Data(
            OpenError::Migration(_)
            | OpenError::OtherMigration { .. }
            | OpenError::NotLetIn { .. }
            | OpenError::NoDatabase { .. }
            | OpenError::TooOld { .. }
            | OpenError::Unsafe { .. }
            | OpenError::Url(_),
        ) => {
            complain(&error.to_string());
            Exit::Configuration
        }
        StartError::Part(_) => {
            complain(&error.to_string());
            Exit::Software
        }
        StartError::Data(_) | StartError::Key(_) | StartError::Store(_) => {
            complain(&error.to_string());
            Exit::Io
        }
    }
}

/// `HUB_CRASH_AT=name:nth` ends the process at the nth time a named point is reached.
#[cfg(feature = "crash-points")]
fn crash_as_asked() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let Ok(asked) = std::env::var("HUB_CRASH_AT") else { return };
    let Some((name, nth)) = asked.rsplit_once(':') else { return };
    let Ok(nth) = nth.parse::<u64>() else { return };
    let reached = AtomicU64::new(0);
    let configured = fail::cfg_callback(name, move || {
        if reached.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            std::process::abort();
        }
    });
    if let Err(error) = configured {
        tracing::error!(%error, "no such crash point");
    }
}

#[cfg(not(feature = "crash-points"))]
fn crash_as_asked() {}
