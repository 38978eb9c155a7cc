//! The edges of the hub: wire formats and transports, without routing and without a database.
//!
//! In come bytes from far systems; out go [`Arrival`]s to an [`Intake`]. In come [`Parcel`]s from the
//! hub; out go bytes to far systems and a [`Verdict`] of what became of them. Nothing here may say
//! "accepted": a source sends only what its intake answered (H1). What a far system did not clearly
//! accept is not done: the default verdict is [`Verdict::Retry`].

pub mod clock;
pub mod csv;
pub mod fhir;
pub mod file;
pub mod hl7v2;
pub mod http;
pub mod limits;
pub mod phi;
mod tcp;
pub mod tls;
pub mod xml;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use crate::clock::Timestamp;

/// Who sent a message: a certificate's name, a token's subject, or the source's own name on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal(pub Arc<str>);

/// One message as a source received it, still unread.
#[derive(Clone)]
pub struct Arrival {
    /// The body, without framing.
    pub bytes: Bytes,
    /// Who sent it.
    pub principal: Principal,
    /// Where it came from, for people: `127.0.0.1:51234`.
    pub peer: Arc<str>,
    /// When its last byte arrived.
    pub received_at: Timestamp,
}

/// What a transport itself could not take: its bytes, as far as they were read, and why.
#[derive(Clone, Debug)]
pub struct Breach {
    /// The bytes that were read before the limit was met.
    pub arrival: Arrival,
    /// Which limit of the transport was broken.
    pub kind: BreachKind,
}

/// The ways in which bytes can fail to become a message before anyone reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreachKind {
    /// The frame is larger than the limit (bytes).
    FrameTooLarge { limit: usize },
    /// The frame was begun and not ended in time.
    FrameTooSlow { limit: Duration },
    /// The connection ended inside a frame, or another frame began inside it. In the second case the
    /// answer is not sent: the sender would take it for the answer to what it sent next.
    FrameCut,
    /// One more connection than the limit.
    TooManyConnections { limit: usize },
}

/// What goes back to the sender of an [`Arrival`].
#[derive(Default)]
pub struct Reply {
    /// Sent at once, in the order in which messages were received. `None` sends nothing.
    pub now: Option<Bytes>,
    /// An application answer that follows when the message was applied (HL7 v2.5.1 section 2.9.3).
    /// A dropped channel means that none will follow.
    pub later: Option<oneshot::Receiver<Bytes>>,
}

/// The hub as a source sees it.
///
/// A source may have several calls running for one connection. It begins them in the order of receipt:
/// the future of the earlier message is polled first. An intake that keeps order (H5) therefore takes
/// a message's place before its first wait. A panic costs the message in hand and its connection.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Takes one message. Returns only when the answer may be sent: after the journal's commit (H1).
    async fn receive(&self, arrival: Arrival) -> Reply;

    /// Records what the transport refused, and says what to answer.
    async fn refuse(&self, breach: Breach) -> Reply;
}

/// Tells a source or a sink to stop taking work: `true` once draining has begun.
pub type Drain = watch::Receiver<bool>;

/// A way in. It runs until drained, or until it fails.
#[async_trait]
pub trait Source: Send {
    /// Listens, and hands every message to `intake`. Returns `Ok` when `drain` turned true and every
    /// message in hand was answered.
    async fn run(&mut self, intake: Arc<dyn Intake>, drain: Drain) -> Result<(), SourceError>;
}

/// Why a source could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address could not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address from the configuration.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificates could not be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The transport failed while running.
    #[error("transport failed: {0}")]
    Io(#[from] std::io::Error),
    /// Draining took too long: so many connections still had messages in hand. Their senders were not
    /// answered and will repeat them.
    #[error("{connections} connections were not drained in time")]
    Undrained {
        /// How many were given up.
        connections: usize,
    },
}

/// One document on its way out.
#[derive(Clone)]
pub struct Parcel {
    /// Names this delivery for ever. Every attempt carries the same one, so that a far system whose
    /// answer was lost can know the repeat (H3).
    pub idempotency_key: String,
    /// The document.
    pub body: Bytes,
    /// What the body is.
    pub format: Format,
    /// First attempt is 1.
    pub attempt: u32,
}

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// HL7 v2, ER7 encoding.
    Hl7v2,
    /// FHIR R4 as JSON, or an event that carries it.
    FhirJson,
    /// JSON of any other kind.
    Json,
    /// XML.
    Xml,
    /// CSV (RFC 4180).
    Csv,
}

/// A way out. Cheap to share; one attempt a call.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Tries once to hand over `parcel`, waits for the far system's answer within its own deadline.
    async fn deliver(&self, parcel: &Parcel) -> Verdict;
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The far system took it. `answer` says how, in a few words without patient data.
    Delivered { answer: String },
    /// The far system will never take it as it is: not tried again.
    Rejected { reason: String },
    /// Not done: try again, not before `after` if the far system named a time.
    Retry { reason: String, after: Option<Duration> },
}

impl Default for Verdict {
    fn default() -> Self {
        Verdict::Retry { reason: "no verdict was given".to_owned(), after: None }
    }
}

/// A message that was read, ready for routes and mappings.
pub enum Document {
    /// HL7 v2, indexed.
    Hl7v2(hl7v2::Document),
    /// FHIR R4, an event, or anything else as JSON.
    Json(serde_json::Value),
    /// XML.
    Xml(xml::Document),
    /// CSV.
    Csv(csv::Document),
}

/// Reads one wire format.
pub trait Codec: Send + Sync {
    /// Reads `bytes`; never panics, whatever they are.
    fn decode(&self, bytes: Bytes) -> Result<Document, Unreadable>;
}

/// Why bytes are no document: a short reason without content, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct Unreadable {
    /// What is wrong, without message content.
    pub reason: &'static str,
    /// Offset in bytes from the start of the message.
    pub at: usize,
}

// === Debug without patient data (H10): sizes instead of bodies ===

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival")
            .field("bytes", &self.bytes.len())
            .field("principal", &self.principal)
            .field("peer", &self.peer)
            .field("received_at", &self.received_at)
            .finish()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("now", &self.now.as_ref().map(Bytes::len))
            .field("later", &self.later.is_some())
            .finish()
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel")
            .field("idempotency_key", &self.idempotency_key)
            .field("body", &self.body.len())
            .field("format", &self.format)
            .field("attempt", &self.attempt)
            .finish()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Document::Hl7v2(document) => write!(f, "Hl7v2({} bytes)", document.bytes().len()),
            Document::Json(_) => f.write_str("Json"),
            Document::Xml(document) => write!(f, "Xml({} bytes)", document.bytes().len()),
            Document::Csv(document) => write!(f, "Csv({} bytes)", document.bytes().len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_what_crosses_the_ports_shows_no_body() {
        let body = Bytes::from_static(b"CANARY");
        let arrival = Arrival {
            bytes: body.clone(),
            principal: Principal("kasr-al-ainy".into()),
            peer: "127.0.0.1:1".into(),
            received_at: Timestamp(0),
        };
        let breach = Breach { arrival, kind: BreachKind::FrameCut };
        let reply = Reply { now: Some(body.clone()), later: None };
        let parcel = Parcel { idempotency_key: "1".to_owned(), body, format: Format::Hl7v2, attempt: 1 };
        let document = Document::Json(serde_json::json!({ "family": "CANARY" }));
        let printed = format!("{breach:?} {reply:?} {parcel:?} {document:?}");
        assert!(!printed.contains("CANARY"), "{printed}");
    }
}
