//! A server of PostgreSQL that belongs to one test: it is killed, stopped at once, and started again.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Fallible, wait};

/// Where Debian and others put the programs of the server.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// A start recovers first; and after a kill what is left of the server before has to end.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// The user that runs the server when the test runs as root, which the server refuses.
const USER: &str = "postgres";

/// A server.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Makes a server in a new folder, and starts it.
    pub fn start(name: &str) -> Fallible<Server> {
        let folder = std::env::temp_dir().join(format!("hub-tests-{name}-{}", std::process::id()));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Server { programs: programs()?, folder, port };
        std::fs::create_dir_all(&server.folder)?;
        if is_root()? {
            run(Command::new("chown").arg(USER).arg(&server.folder))?;
        }
        let data = server.data();
        run(server
            .program("initdb")?
            .args(["--auth=trust", "--encoding=UTF8", "--no-locale", "-U", "hub", "-D"])
            .arg(data))?;
        server.up()?;
        Ok(server)
    }

    /// A URL of it, with the database that every server has.
    pub fn url(&self) -> String {
        format!("postgres://hub@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Starts it, and waits until it takes connections.
    pub fn up(&self) -> Fallible<()> {
        let options = format!("-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories=''", self.port);
        wait::until("PostgreSQL is up", UP_WITHIN, || {
            let mut start = self.program("pg_ctl")?;
            start
                .args(["start", "--wait", "-o", &options, "-l"])
                .arg(self.folder.join("log"))
                .arg("-D")
                .arg(self.data());
            Ok(run(&mut start).ok())
        })
    }

    /// `kill -9` of the server; its other processes end when they notice.
    pub fn kill(&self) -> Fallible<()> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let pid = text.lines().next().ok_or("the server does not say who it is")?.trim().to_owned();
        run(Command::new("kill").args(["-9", &pid]))
    }

    /// Stops it at once, without a checkpoint: the next start recovers.
    pub fn stop_at_once(&self) -> Fallible<()> {
        run(self.program("pg_ctl")?.args(["stop", "-m", "immediate", "-D"]).arg(self.data()))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Fallible<Command> {
        let path = self.programs.join(name);
        if !is_root()? {
            return Ok(Command::new(path));
        }
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(path);
        Ok(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop_at_once();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(command: &mut Command) -> Fallible<()> {
    let said = std::env::temp_dir();
    let output =
        command.current_dir(said).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

fn is_root() -> Fallible<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// The newest server that is installed.
fn programs() -> Fallible<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(Path::new(PROGRAMS)).map_err(|error| format!("{PROGRAMS}: {error}"))? {
        let folder = entry?.path();
        let version: Option<u32> = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
        found.extend(version.map(|version| (version, folder.join("bin"))));
    }
    found.sort();
    Ok(found.pop().ok_or("no PostgreSQL is installed: run make prerequisites")?.1)
}
