//! Settings of one process: where its data and routes are, where it listens, how much it may hold.
//!
//! In come `hub.toml`, `HUB_*` variables and flags, the later ones first; out go [`Settings`]. Promised: a
//! setting that nobody made has its default, so that the hub runs without any file; all that is wrong is
//! said at once, with its place. Refused: an address beyond loopback without TLS or a reason, and keys
//! that do not exist. No secret stands in the file: keys, certificates and the URL of a database are named by
//! their files, or by variables.

mod brokers;
mod layer;
mod secret;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adapters::tls::ClientFiles;
use indexmap::IndexMap;

pub use self::brokers::{
    Binding, Broker, BrokerTls, Brokers, KafkaSettings, Place, RabbitSettings, far_broker, is_loopback,
};
use self::layer::{Layer, Root};
pub use self::secret::{Reference, Secret};
pub use self::store::{Database, StoreSettings, URL_VARIABLE};
use crate::cli::{Global, RunArgs};
use crate::finding::{Finding, Findings, Located, SourceText, Text, codes, did_you_mean, one_of};
use crate::routes::{Channel, ServerTls};
use crate::telemetry::LogFormat;

/// Largest file of settings in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Where the HTTP interface listens if nobody says otherwise.
const HTTP_STANDARD: &str = "127.0.0.1:8080";

/// Everything that can be set for one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The folder of journal and keys.
    pub data: PathBuf,
    /// `routes.toml`.
    pub routes: PathBuf,
    /// How the log is written.
    pub log: LogFormat,
    /// Where the journal lies. Only `hub run` reads it.
    pub store: StoreSettings,
    /// The HTTP interface.
    pub http: HttpSettings,
    /// Whom a command trusts that asks a hub by HTTPS, and who it is; without it, the system's authorities.
    pub client: Option<ClientFiles>,
    /// How brokers are reached.
    pub brokers: Brokers,
    /// What carries each channel.
    pub channels: IndexMap<Channel, Binding>,
    /// How much the process may hold.
    pub limits: Limits,
}

/// The HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Host names, besides addresses and `localhost`, under which it is asked.
    pub names: Vec<String>,
    /// Certificates; none only on loopback or with a reason.
    pub tls: Option<ServerTls>,
    /// Why there is no TLS although the address is not loopback.
    pub insecure: Option<String>,
}

/// Bounds of the process (H6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bodies of messages between journal and outbox, in bytes.
    pub memory_for_bodies: usize,
    /// Connections to the HTTP interface at once.
    pub http_connections: usize,
    /// Watchers of the tap at once.
    pub taps: usize,
    /// From the signal to stop until what is in hand is given up; the journal keeps it.
    pub drain: Duration,
    /// An actor that computes for so long at one step is stuck: the process ends with 70.
    pub stuck: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_for_bodies: 64 << 20,
            http_connections: 256,
            taps: 8,
            drain: Duration::from_secs(10),
            stuck: Duration::from_mins(1),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data: "data".into(),
            routes: "routes.toml".into(),
            log: LogFormat::Text,
            store: StoreSettings::Sqlite,
            http: HttpSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                names: Vec::new(),
                tls: None,
                insecure: None,
            },
            client: None,
            brokers: Brokers::default(),
            channels: Channel::ALL
                .into_iter()
                .map(|channel| (channel, Binding { broker: Broker::Embedded, place: None }))
                .collect(),
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// The settings of a command that asks a hub. Its flag `--http` says whom it asks, which may be a name;
    /// so it changes nothing here.
    pub fn load(global: &Global) -> Result<Settings, Findings> {
        let mut findings = Findings::new();
        let layer = read_file(global, &mut findings);
        if findings.has_errors() {
            return Err(findings);
        }
        Ok(Settings::of(layer, global))
    }

    /// The settings of `hub run`, with its flags and variables.
    pub fn load_for_run(global: &Global, args: &RunArgs) -> Result<Settings, Findings> {
        let mut findings = Findings::new();
        let mut layer = read_file(global, &mut findings);
        let store = std::mem::take(&mut layer.store).resolve(args.store_url.clone(), &mut findings);
        if let Some(address) = &global.http {
            layer.http.listen = read_flag(address, &mut findings);
        }
        layer.http.insecure = args.http_insecure.clone().or(layer.http.insecure.take());
        layer.log = args.log.or(layer.log);
        if let Some(listen) = &layer.http.listen
            && let Some(finding) = open_to_the_network(listen, &layer)
        {
            findings.push(finding);
        }
        for finding in brokers::unbound(&layer.channels, &layer.brokers) {
            findings.push(finding);
        }
        if findings.has_errors() {
            return Err(findings);
        }
        Ok(Settings { store, ..Settings::of(layer, global) })
    }

    fn of(layer: Layer, global: &Global) -> Settings {
        let standard = Settings::default();
        let limits = standard.limits;
        let mut channels = standard.channels;
        channels.extend(layer.channels);
        Settings {
            data: global.data.clone().or(layer.data).unwrap_or(standard.data),
            routes: global.routes.clone().or(layer.routes).unwrap_or(standard.routes),
            log: layer.log.unwrap_or(standard.log),
            store: StoreSettings::Sqlite,
            http: HttpSettings {
                listen: layer.http.listen.map_or(standard.http.listen, |listen| listen.address.value),
                names: layer.http.names.unwrap_or_default(),
                tls: layer.http.tls,
                insecure: layer.http.insecure,
            },
            client: layer.client,
            brokers: layer.brokers,
            channels,
            limits: Limits {
                memory_for_bodies: layer.limits.memory_for_bodies.unwrap_or(limits.memory_for_bodies),
                http_connections: layer.limits.http_connections.unwrap_or(limits.http_connections),
                taps: layer.limits.taps.unwrap_or(limits.taps),
                drain: layer.limits.drain.unwrap_or(limits.drain),
                stuck: layer.limits.stuck.unwrap_or(limits.stuck),
            },
        }
    }
}

/// An address to listen on, and the text that names it.
#[derive(Clone, Debug)]
struct Listen {
    address: Located<SocketAddr>,
    source: Arc<SourceText>,
}

/// What the file says, with its profile on top. Nothing when there is no file.
fn read_file(global: &Global, findings: &mut Findings) -> Layer {
    let Some(path) = &global.config else {
        if let Some(profile) = &global.profile {
            let source = Arc::new(SourceText::new("--profile, HUB_PROFILE", profile.clone()));
            let message = format!("there is no file of settings that could have the profile `{profile}`");
            let finding = Finding::error(codes::BAD_VALUE, &source, 0..profile.len(), message);
            findings.push(finding.with_help("name the file with --config"));
        }
        return Layer::default();
    };
    let source = match read_text(path) {
        Ok(text) => Arc::new(SourceText::new(path.to_string_lossy(), text)),
        Err(problem) => {
            let empty = Arc::new(SourceText::new(path.to_string_lossy(), ""));
            let message = format!("the file of settings cannot be read: {problem}");
            findings.push(Finding::error(codes::FILE_UNREADABLE, &empty, 0..0, message));
            return Layer::default();
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let (root, found) = layer::read(&source, folder);
    findings.extend(found);
    let Some(Root { base, mut profiles }) = root else { return Layer::default() };
    let Some(wanted) = &global.profile else { return base };
    match profiles.swap_remove(wanted) {
        Some(profile) => profile.over(base),
        None => {
            findings.push(no_profile(wanted, &profiles));
            base
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn no_profile(wanted: &str, profiles: &IndexMap<String, Layer>) -> Finding {
    let source = Arc::new(SourceText::new("--profile, HUB_PROFILE", wanted));
    let known = || profiles.keys().map(String::as_str);
    let help = did_you_mean(wanted, known()).unwrap_or_else(|| match profiles.is_empty() {
        true => "the file has no table `[profile.NAME]`".to_owned(),
        false => format!("the file has {}", one_of(known())),
    });
    let message = format!("there is no profile `{wanted}`");
    Finding::error(codes::BAD_VALUE, &source, 0..wanted.len(), message).with_help(help)
}

/// An address from the command line or the environment.
fn read_flag(address: &str, findings: &mut Findings) -> Option<Listen> {
    let source = Arc::new(SourceText::new("--http, HUB_HTTP", address));
    let text = Text::new(address.to_owned(), 0..address.len());
    match parse_listen(&source, &text) {
        Ok(listen) => Some(listen),
        Err(finding) => {
            findings.push(*finding);
            None
        }
    }
}

fn parse_listen(source: &Arc<SourceText>, text: &Text) -> Result<Listen, Box<Finding>> {
    match text.value.parse() {
        Ok(address) => Ok(Listen { address: Located::new(address, text.span.clone()), source: Arc::clone(source) }),
        Err(_) => {
            let message = format!("`{}` is no address to listen on", text.value);
            let finding = Finding::error(codes::BAD_VALUE, source, text.span.clone(), message);
            Err(Box::new(finding.with_help(format!("write an IP address and a port: `{HTTP_STANDARD}`"))))
        }
    }
}

/// The rule that patient data travels in the open only with a reason.
fn open_to_the_network(listen: &Listen, layer: &Layer) -> Option<Finding> {
    let has_reason = layer.http.insecure.as_ref().is_some_and(|reason| !reason.trim().is_empty());
    if listen.address.value.ip().is_loopback() || layer.http.tls.is_some() || has_reason {
        return None;
    }
    let message = format!("the HTTP interface on {} would be open to the network without TLS", listen.address.value);
    let finding = Finding::error(codes::PLAIN_NETWORK, &listen.source, listen.address.span.clone(), message);
    Some(finding.with_help(
        "name `tls = { certificate = ..., key = ..., client_ca = ... }`, or say why not: `insecure = \"reason\"`",
    ))
}

#[cfg(test)]
mod tests;
