//! What `routes.toml` says, as types: sources, destinations, limits.
//!
//! In comes nothing: these are values that [`parse`](super::parse) fills and the hub turns into
//! adapters. Promised: every limit has a value (H6), and a listener beyond loopback has TLS or a reason
//! for having none. Refused: secrets written out; they are named by file or environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use adapters::hl7v2::{self, CharsetRule};
use indexmap::IndexMap;

/// The adapter of a source, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceAdapter {
    /// HL7 v2 over MLLP: the hub listens.
    Mllp(Box<MllpSource>),
    /// What a domain actor emits; declared by nobody.
    Events(Channel),
}

/// A channel to a domain actor. Where it runs is said in `hub.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Prescriptions.
    Prescription,
    /// Dispenses.
    Dispense,
    /// Claims.
    Claims,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Channel; 3] = [Channel::Prescription, Channel::Dispense, Channel::Claims];

    /// The name in `to`.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Prescription => "prescription",
            Channel::Dispense => "dispense",
            Channel::Claims => "claims",
        }
    }

    /// Whether a name in `from` is that of some channel's events.
    pub fn is_events(name: &str) -> bool {
        Channel::ALL.iter().any(|channel| channel.events() == name)
    }

    /// The name in `from` of what the channel's actor emits.
    pub fn events(self) -> &'static str {
        match self {
            Channel::Prescription => "prescription.events",
            Channel::Dispense => "dispense.events",
            Channel::Claims => "claims.events",
        }
    }
}

/// An HL7 v2 listener.
#[derive(Clone, Debug, PartialEq)]
pub struct MllpSource {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How bytes become letters.
    pub charset: Charset,
    /// What `auto` takes when the bytes say nothing.
    pub charset_default: Charset,
    /// Who may speak; nobody named means anybody.
    pub senders: Vec<Sender>,
    /// Which certificate may speak as whom; nobody named means any certificate that the authority signed.
    pub principals: Vec<PrincipalRule>,
    /// Processing ids (MSH-11) that are taken.
    pub processing: Vec<String>,
    /// Versions (MSH-12) that are taken; none named means all that the hub reads.
    pub versions: Vec<String>,
    /// Message types (`RDE^O11`, `ADT^*`) that are taken; none named means all.
    pub types: Vec<String>,
    /// Largest message in bytes.
    pub max_frame: usize,
    /// Longest time from the first to the last byte of a frame.
    pub frame_time: Duration,
    /// Most connections at once.
    pub connections: usize,
    /// A connection without a byte for this long is closed.
    pub idle: Duration,
    /// Most messages of one connection that are received and not yet answered.
    pub window: usize,
    /// Which acknowledgement rules hold.
    pub ack: AckMode,
    /// Whether an application answer follows when the sender asks for one (MSH-16).
    pub application_ack: bool,
    /// How long a repeat is known as one (H4).
    pub duplicate_window: Duration,
    /// Certificates; none only on loopback or with a reason.
    pub tls: Option<ServerTls>,
    /// Why there is no TLS although the address is not loopback.
    pub insecure: Option<String>,
    /// Whether messages without MLLP framing are taken.
    pub unframed: bool,
}

impl MllpSource {
    /// How the reader finds the character set of a message.
    pub fn charset_rule(&self) -> CharsetRule {
        match self.charset.fixed() {
            Some(charset) => CharsetRule::Fixed(charset),
            None => CharsetRule::Auto { default: self.charset_default.fixed().unwrap_or_default() },
        }
    }
}

impl Charset {
    /// The reader's name for it; `None` for `auto`.
    fn fixed(self) -> Option<hl7v2::Charset> {
        match self {
            Charset::Auto => None,
            Charset::Utf8 => Some(hl7v2::Charset::Utf8),
            Charset::Windows1256 => Some(hl7v2::Charset::Windows1256),
            Charset::Iso8859_6 => Some(hl7v2::Charset::Iso8859_6),
        }
    }
}

/// How the bytes of a message become letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// By what MSH-18 declares and what the bytes are.
    Auto,
    /// UTF-8.
    Utf8,
    /// Windows-1256.
    Windows1256,
    /// ISO 8859-6.
    Iso8859_6,
}

/// When and how an HL7 v2 message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// By MSH-15 and MSH-16: enhanced if either is valued, original if not.
    Auto,
    /// Always one answer of the original mode, whatever MSH-15 says.
    Original,
}

/// A sender by MSH-3 and MSH-4; `*` stands for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// First component of MSH-3, or `*`.
    pub application: String,
    /// First component of MSH-4, or `*`.
    pub facility: String,
}

impl Sender {
    /// Whether a message of this application and facility is meant.
    pub fn is_met_by(&self, application: &str, facility: &str) -> bool {
        let meets = |pattern: &str, name: &str| pattern == "*" || pattern == name;
        meets(&self.application, application) && meets(&self.facility, facility)
    }
}

/// What the holder of one certificate may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalRule {
    /// The certificate's name.
    pub name: String,
    /// The senders it may speak as; none named means all that the source takes.
    pub senders: Vec<Sender>,
}

/// Files of a listener's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The listener's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM; without it clients need none.
    pub client_ca: Option<PathBuf>,
}

/// Files of a client's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Authorities of the server's certificate, PEM.
    pub ca: PathBuf,
    /// The client's own certificate chain and private key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, if not that of the address.
    pub server_name: Option<String>,
}

/// A far system to deliver to.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationSpec {
    /// Its name in `to`.
    pub name: String,
    /// How it is reached.
    pub adapter: DestinationAdapter,
    /// How it is treated.
    pub delivery: Delivery,
    /// Line of `routes.toml` that declares it.
    pub line: usize,
}

/// The adapter of a destination, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum DestinationAdapter {
    /// One file a document.
    File(FileDestination),
    /// One POST a document.
    Http(HttpDestination),
    /// HL7 v2 over MLLP: the hub connects.
    Mllp(MllpDestination),
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDestination {
    /// Where files appear.
    pub folder: PathBuf,
    /// Without a dot.
    pub extension: String,
}

/// An HTTP address.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpDestination {
    /// Where documents are posted.
    pub url: String,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Headers of every request.
    pub headers: IndexMap<String, HeaderValue>,
    /// Certificates, if the system's own are not enough.
    pub tls: Option<ClientTls>,
}

/// The value of a header: written out, or a secret by reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// As it stands.
    Plain(String),
    /// The content of a file.
    File(PathBuf),
    /// The content of an environment variable.
    Environment(String),
}

/// A far MLLP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MllpDestination {
    /// `host:port`.
    pub connect: String,
    /// Longest wait for a connection, and for an answer.
    pub timeout: Duration,
    /// Most connections at once.
    pub connections: usize,
    /// Certificates; none only on loopback or with a reason.
    pub tls: Option<ClientTls>,
    /// Why there is no TLS although the address is not loopback.
    pub insecure: Option<String>,
    /// Whether a message answered AR or CR is tried again.
    pub retry_ar: bool,
}

/// How deliveries to a destination, or of a route, are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Most deliveries in a time.
    pub limit: Option<Limit>,
    /// When a failed delivery is tried again.
    pub retry: Retry,
    /// Most deliveries under way at once.
    pub parallel: usize,
    /// Whether the order of a lane is kept (H5).
    pub order: Order,
}

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Deliveries a second.
    pub per_second: u32,
    /// Deliveries at once after a pause.
    pub burst: u32,
}

/// Times between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Before the second attempt.
    pub first: Duration,
    /// The longest between two attempts.
    pub max: Duration,
    /// From the first attempt until the delivery becomes a dead letter.
    pub give_up: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Duration::from_secs(1),
            max: Duration::from_secs(5 * 60),
            give_up: Duration::from_secs(24 * 3600),
        }
    }
}

/// Whether deliveries wait for those before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// One key, one order.
    #[default]
    Key,
    /// None.
    None,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// To a domain actor.
    Channel(Channel),
    /// To a far system, by name.
    Destination(String),
}

impl Target {
    /// The name in `to`.
    pub fn name(&self) -> &str {
        match self {
            Target::Channel(channel) => channel.name(),
            Target::Destination(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_sender() {
        let sender = Sender { application: "HIS".to_owned(), facility: "*".to_owned() };
        assert!(sender.is_met_by("HIS", "KASR_ALAINY"));
        assert!(!sender.is_met_by("LIS", "KASR_ALAINY"));
    }
}
