//! What a mapping knows beside the document, and what it gives.
//!
//! In come facts of the message's receipt; out go outputs. Promised: nothing else influences an output
//! (H7). Refused: `Debug` of keys and bodies (H10).

use std::fmt;
use std::sync::Arc;

use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;

/// Facts of a message that are not in its document.
#[derive(Clone, Debug)]
pub struct Context {
    /// The hub's own id of the message.
    pub message_id: String,
    /// The source it came from.
    pub source: String,
    /// When it was received.
    pub received_at: Timestamp,
    /// The key of the function `hmac`.
    pub hmac_key: HmacKey,
}

impl Context {
    /// For questions that are asked before a message is mapped. They cannot read it.
    pub(super) fn of_nobody() -> Self {
        Context {
            message_id: String::new(),
            source: String::new(),
            received_at: Timestamp(0),
            hmac_key: HmacKey(Arc::from([])),
        }
    }
}

/// A secret key for HMAC-SHA-256.
#[derive(Clone)]
pub struct HmacKey(Arc<[u8]>);

impl HmacKey {
    /// Keeps the key's bytes.
    pub fn new(bytes: &[u8]) -> Self {
        HmacKey(Arc::from(bytes))
    }

    /// The key's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// One document that a mapping, or a route without one, gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The serialised document.
    pub body: Bytes,
    /// What it is written in.
    pub format: Format,
    /// What the domain actor shall do with it: `create`, `cancel`, ...
    pub command: Option<String>,
    /// FHIR resource type (`MedicationRequest`), HL7 v2 message type (`RRE^O12`), event type, root
    /// element of XML, `json` or `csv`.
    pub resource_type: String,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("body", &format_args!("[phi, {} bytes]", self.body.len()))
            .field("format", &self.format)
            .field("command", &self.command)
            .field("resource_type", &self.resource_type)
            .finish()
    }
}
