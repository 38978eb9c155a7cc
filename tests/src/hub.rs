//! The hub as a process: built once with crash points, started on a data folder, killed or asked to stop.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::api::Api;
use crate::folder::{target, workspace};
use crate::{Fallible, wait};

/// A start takes less than a second on a quiet machine.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// A drain answers what is in hand; deliveries stay in the journal.
pub const EXIT_WITHIN: Duration = Duration::from_secs(20);
/// Longer than any command takes that ends by itself, in seconds.
const COMMAND_SECONDS: &str = "60";

static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The hub's executable with crash points. `HUB_BIN` names one that is already built; otherwise cargo makes sure that
/// it is as the sources say.
pub fn binary() -> Fallible<&'static Path> {
    let made = BINARY.get_or_init(|| match std::env::var_os("HUB_BIN") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build().map_err(|error| error.to_string()),
    });
    made.as_deref().map_err(|error| error.clone().into())
}

fn build() -> Fallible<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--all-targets", "--features", "hub/crash-points"]);
    // The cargo that runs this test says which package it is of. Build scripts that look at that (ring's does) would run
    // again, and with them most of what is built here, now and at the next call from outside.
    for (name, _) in std::env::vars_os() {
        let is_of_this_test =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if is_of_this_test {
            cargo.env_remove(name);
        }
    }
    let status = cargo.current_dir(workspace()).status()?;
    if !status.success() {
        return Err("cargo could not build the hub".into());
    }
    Ok(target().join("debug/hub"))
}

/// Runs a command of the hub to its end.
pub fn command(arguments: &[&str]) -> Fallible<Output> {
    let mut bounded = Command::new("timeout");
    Ok(bounded.arg(COMMAND_SECONDS).arg(binary()?).args(arguments).stdin(Stdio::null()).output()?)
}

/// The names of the crash points that this build has.
pub fn crash_points() -> Fallible<Vec<String>> {
    let output = command(&["version", "--json"])?;
    let version: Value = serde_json::from_slice(&output.stdout)?;
    let points = version.get("crash_points").and_then(Value::as_array).ok_or("`hub version` names no crash points")?;
    Ok(points.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// How to start a hub.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The data folder.
    pub data: PathBuf,
    /// `routes.toml`.
    pub routes: PathBuf,
    /// Arguments besides.
    pub arguments: Vec<String>,
    /// Environment besides that of the test.
    pub environment: BTreeMap<String, String>,
    /// A program that starts the hub as its own process image, with its arguments; none starts it directly.
    pub under: Vec<String>,
}

impl Launch {
    /// A start without faults.
    pub fn new(data: impl Into<PathBuf>, routes: impl Into<PathBuf>) -> Launch {
        Launch {
            data: data.into(),
            routes: routes.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            under: Vec::new(),
        }
    }

    /// The same start with a variable set.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Launch {
        let mut launch = self.clone();
        launch.environment.insert(name.to_owned(), value.to_owned());
        launch
    }

    /// The same start with system calls on the journal failing, as `inject` says in the words of strace.
    #[must_use]
    pub fn with_failing_calls(&self, inject: &str) -> Launch {
        let mut launch = self.clone();
        // Detached, so that the process that is started is the hub itself.
        launch.under = ["strace", "-f", "-D", "-qq", "-o", "/dev/null"].map(str::to_owned).to_vec();
        for file in ["journal.db", "journal.db-wal"] {
            launch.under.extend(["-P".to_owned(), self.data.join(file).to_string_lossy().into_owned()]);
        }
        launch.under.extend(["-e".to_owned(), format!("inject={inject}")]);
        launch
    }

    /// Starts, and waits until the hub says that it is ready.
    pub fn start(&self) -> Fallible<Hub> {
        match self.spawn()?.until_ready()? {
            Started::Ready(hub) => Ok(hub),
            Started::Ended(process, status) => {
                Err(format!("the hub ended at its start, {status}: {}", process.log_end()).into())
            }
        }
    }

    /// Starts, and does not wait.
    pub fn spawn(&self) -> Fallible<Process> {
        fs::create_dir_all(&self.data)?;
        let ready_file = self.data.join("hub.ready.json");
        if ready_file.exists() {
            fs::remove_file(&ready_file)?;
        }
        let log = self.data.with_extension("log");
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = match self.under.split_first() {
            None => Command::new(binary()?),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary()?);
                command
            }
        };
        let child = command
            .arg("run")
            .arg("--data")
            .arg(&self.data)
            .arg("--routes")
            .arg(&self.routes)
            .args(["--http", "127.0.0.1:0"])
            .args(&self.arguments)
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Process { child, log, ready_file })
    }
}

/// A hub that was started, ready or not. It is killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    ready_file: PathBuf,
}

impl Process {
    /// What it says of itself once it is ready.
    fn ready(&self) -> Option<Ready> {
        let text = fs::read(&self.ready_file).ok()?;
        Ready::read(&serde_json::from_slice(&text).ok()?).filter(|ready| ready.pid == self.child.id())
    }

    /// Waits until it is ready, or has ended.
    pub fn until_ready(mut self) -> Fallible<Started> {
        let found = wait::until("the hub is ready", READY_WITHIN, || {
            if let Some(ready) = self.ready() {
                return Ok(Some(Ok(ready)));
            }
            Ok(self.child.try_wait()?.map(Err))
        });
        match found {
            Ok(Ok(ready)) => Ok(Started::Ready(Hub { process: self, ready })),
            Ok(Err(status)) => Ok(Started::Ended(self, status)),
            Err(error) => Err(format!("{error}; its log ends: {}", self.log_end()).into()),
        }
    }

    /// All that hubs on this data folder have printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }

    /// Ends it as a power switch would, as far as a process can tell.
    pub fn kill(&mut self) -> Fallible<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Fallible<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, within: Duration) -> Fallible<ExitStatus> {
        wait::until("the hub ends", within, || Ok(self.child.try_wait()?))
            .map_err(|error| format!("{error}; its log ends: {}", self.log_end()).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.kill();
    }
}

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// It takes messages.
    Ready(Hub),
    /// It ended before that.
    Ended(Process, ExitStatus),
}

/// Where a hub listens.
#[derive(Clone, Debug)]
struct Ready {
    pid: u32,
    http: SocketAddr,
    mllp: BTreeMap<String, SocketAddr>,
}

impl Ready {
    fn read(value: &Value) -> Option<Ready> {
        let mut mllp = BTreeMap::new();
        for (source, address) in value.get("mllp")?.as_object()? {
            mllp.insert(source.clone(), address.as_str()?.parse().ok()?);
        }
        Some(Ready {
            pid: value.get("pid")?.as_u64()?.try_into().ok()?,
            http: value.get("http")?.as_str()?.parse().ok()?,
            mllp,
        })
    }
}

/// A hub that is ready.
#[derive(Debug)]
pub struct Hub {
    /// Its process.
    pub process: Process,
    ready: Ready,
}

impl Hub {
    /// The address of an MLLP source.
    pub fn mllp(&self, source: &str) -> Fallible<SocketAddr> {
        self.ready.mllp.get(source).copied().ok_or_else(|| format!("the hub has no source {source}").into())
    }

    /// Its HTTP interface.
    pub fn api(&self) -> Api {
        Api::new(self.ready.http)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.ready.pid
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> Fallible<u64> {
        self.memory_of("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub fn peak_memory(&self) -> Fallible<u64> {
        self.memory_of("VmHWM:")
    }

    fn memory_of(&self, name: &str) -> Fallible<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not say")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// Sends a signal by name: `TERM`, `HUP`.
    pub fn signal(&self, name: &str) -> Fallible<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status()?;
        if status.success() { Ok(()) } else { Err(format!("kill -{name} failed").into()) }
    }

    /// Asks it to drain and stop; it must exit with 0.
    pub fn stop(mut self) -> Fallible<()> {
        self.signal("TERM")?;
        let status = self.process.wait(EXIT_WITHIN)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("asked to stop, the hub ended with {status}: {}", self.process.log_end()).into())
    }
}
