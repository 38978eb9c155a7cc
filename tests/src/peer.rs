//! The foreign peers as processes: other people's HL7 libraries, in other languages, under `tests/peers`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde_json::Value;

use crate::Fallible;
use crate::folder::{target, workspace};
use crate::mllp::Answer;

/// Longer than a peer needs for anything that it is asked here, in seconds.
const COMMAND_SECONDS: &str = "120";
/// How long a server may be waited for.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);
/// Lines of a server that nobody has asked for yet.
const LINES_MAX: usize = 1024;

/// A language, and the libraries behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `hl7` and `hl7apy`.
    Python,
    /// `node-hl7-client` and `node-hl7-server`.
    Node,
    /// HAPI.
    Java,
}

/// All of them.
pub const PEERS: [Peer; 3] = [Peer::Python, Peer::Node, Peer::Java];

/// The scenarios that every peer can play.
pub const SCENARIOS: [&str; 6] = ["clean", "lf", "split", "joined", "junk", "pipelined"];

static PREPARED: Mutex<bool> = Mutex::new(false);

/// Where `prepare.sh` puts what it makes.
pub(crate) fn built() -> PathBuf {
    target().join("peers")
}

/// A Java peer's class, with the libraries of its pom.
pub(crate) fn java(name: &str, class: &str) -> Command {
    let java = built().join(name);
    let classes = format!("{}:{}", java.join("classes").display(), java.join("dependency/*").display());
    let mut command = Command::new("java");
    // It lives for seconds and is not worth compiling well.
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &classes, class]);
    command
}

/// The same command, ended after so many seconds.
pub(crate) fn bounded(command: &Command, seconds: &str) -> Command {
    let mut bounded = Command::new("timeout");
    bounded.arg(seconds).arg(command.get_program()).args(command.get_args());
    bounded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bounded
}

/// Makes sure that the peers are there, once. It fails if one cannot be made.
pub(crate) fn prepare() -> Fallible<()> {
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*prepared {
        let status = Command::new(workspace().join("tests/peers/prepare.sh")).status()?;
        if !status.success() {
            return Err("the foreign peers could not be made; run `make peers` to see why".into());
        }
        *prepared = true;
    }
    Ok(())
}

impl Peer {
    fn command(self) -> Fallible<Command> {
        prepare()?;
        let sources = workspace().join("tests/peers");
        let mut command;
        match self {
            Peer::Python => {
                command = Command::new(built().join("python/bin/python"));
                command.arg(sources.join("python/peer.py"));
            }
            Peer::Node => {
                command = Command::new("node");
                command.env("NODE_PATH", built().join("node/node_modules")).arg(sources.join("node/peer.js"));
            }
            Peer::Java => {
                command = java("java", "Peer");
            }
        }
        Ok(command)
    }

    /// Runs a command of the peer to its end and gives the lines of JSON that it printed.
    fn lines(self, arguments: &[&str], files: &[PathBuf]) -> Fallible<Vec<Value>> {
        let mut command = bounded(&self.command()?, COMMAND_SECONDS);
        let output = command.args(arguments).args(files).stdin(Stdio::null()).output()?;
        let text = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{self:?} {arguments:?} failed: {why}; it had printed: {text}").into());
        }
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Sends files, and gives `answers` answers in the order in which they came, as the peer's library reads them.
    pub fn send(self, to: SocketAddr, scenario: &str, answers: usize, files: &[PathBuf]) -> Fallible<Vec<Answered>> {
        let (port, answers) = (to.port().to_string(), answers.to_string());
        let arguments = ["send", "--port", &port, "--scenario", scenario, "--answers", &answers];
        self.lines(&arguments, files)?.iter().map(Answered::read).collect()
    }

    /// Sends files over TLS from Python, trusting `authority`, with the certificate and key of `identity` if there is one.
    pub fn send_by_tls(
        to: SocketAddr,
        authority: &Path,
        identity: Option<(&Path, &Path)>,
        files: &[PathBuf],
    ) -> Fallible<Vec<Answered>> {
        let (port, authority) = (to.port().to_string(), authority.to_string_lossy());
        let mut arguments = vec!["send", "--port", &port, "--authority", &authority];
        let identity = identity.map(|(certificate, key)| (certificate.to_string_lossy(), key.to_string_lossy()));
        if let Some((certificate, key)) = &identity {
            arguments.extend(["--certificate", certificate, "--key", key]);
        }
        Peer::Python.lines(&arguments, files)?.iter().map(Answered::read).collect()
    }

    /// Has the peer's library assemble an RDE^O11.
    pub fn build(self, out: &Path, control_id: &str, order: &str) -> Fallible<()> {
        let out = out.to_string_lossy();
        self.lines(&["build", "--out", &out, "--control-id", control_id, "--order", order], &[])?;
        Ok(())
    }

    /// Has the peer's library parse and validate files as strictly as it can; gives what it objects to.
    pub fn judge(self, files: &[PathBuf]) -> Fallible<Vec<String>> {
        let verdicts = self.lines(&["judge"], files)?;
        let objections = verdicts.iter().filter(|verdict| verdict.get("valid") != Some(&Value::Bool(true)));
        Ok(objections.map(Value::to_string).collect())
    }

    /// Starts the peer's server, which stores what comes in `folder` and answers with `code`.
    pub fn listen(self, folder: &Path, code: &str) -> Fallible<Listener> {
        let mut command = self.command()?;
        command.args(["listen", "--answer", code, "--dir"]).arg(folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let out = child.stdout.take().ok_or("the peer has no output")?;
        let (say, lines) = mpsc::sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| say.send(line))
        });
        let mut listener = Listener { child, _stdin: stdin, lines, port: 0 };
        let first = listener.next()?;
        let port = first.get("listening").and_then(Value::as_u64).ok_or("the peer does not say where it listens")?;
        listener.port = u16::try_from(port)?;
        Ok(listener)
    }
}

/// An answer of the hub as a foreign library reads it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// MSA-1 and MSA-2, and the text.
    pub answer: Answer,
    /// MSH-9.
    pub kind: String,
    /// MSH-12.
    pub version: String,
    /// ERR-3.1 of each ERR.
    pub errors: Vec<String>,
}

impl Answered {
    fn read(line: &Value) -> Fallible<Answered> {
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let errors = line.get("errors").and_then(Value::as_array).ok_or("an answer without a list of errors")?;
        Ok(Answered {
            answer: Answer { code: text("code"), control_id: text("acknowledges"), text: text("raw") },
            kind: text("type"),
            version: text("version"),
            errors: errors.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// MSA-1 and MSA-2, to compare.
    pub fn pair(&self) -> (&str, &str) {
        (&self.answer.code, &self.answer.control_id)
    }
}

/// A peer's server. It ends when dropped.
#[derive(Debug)]
pub struct Listener {
    child: Child,
    _stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    port: u16,
}

impl Listener {
    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it says next; waits for it.
    fn next(&self) -> Fallible<Value> {
        let line = self.lines.recv_timeout(MESSAGE_WITHIN);
        let line =
            line.map_err(|error| format!("nothing from the peer's server within {MESSAGE_WITHIN:?}: {error}"))?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits for the next message and gives its control id and the file that holds it.
    pub fn message(&self) -> Fallible<(String, PathBuf)> {
        let line = self.next()?;
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok((text("control_id").to_owned(), PathBuf::from(text("file"))))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
