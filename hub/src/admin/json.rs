//! The shapes of answers. Identifiers are strings, times RFC 3339 in UTC, states words.

use adapters::Format;
use serde::Serialize;

use crate::store::{Cause, DeadLetter, Flags, MessageLine, StoredMessage};

/// The flags of a message, as words.
const FLAGS: [(Flags, &str); 3] = [
    (Flags::CONTROL_ID_REUSED, "control-id-reused"),
    (Flags::CHARSET_DISAGREES, "charset-disagrees"),
    (Flags::TOLERATED, "tolerated"),
];

/// Why something is as it is.
#[derive(Debug, Serialize)]
pub(super) struct Why {
    pub code: String,
    pub reason: String,
}

impl Why {
    /// A cause of the store.
    pub fn of(cause: &Cause) -> Why {
        Why { code: cause.code.to_string(), reason: cause.reason.to_string() }
    }
}

/// What is known of a message beside its body.
#[derive(Debug, Serialize)]
pub(super) struct MessageRow {
    pub id: String,
    pub received_at: String,
    pub source: String,
    pub principal: String,
    pub peer: String,
    pub sender: String,
    pub control_id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub format: &'static str,
    pub size: usize,
    pub state: &'static str,
    pub flags: Vec<&'static str>,
    /// The message whose effect this is.
    pub effect_of: Option<String>,
}

impl MessageRow {
    /// The row of a message.
    pub fn of(message: &StoredMessage, size: usize, state: &'static str) -> MessageRow {
        MessageRow {
            id: message.id.to_string(),
            received_at: message.received_at.to_rfc3339(),
            source: message.source.to_string(),
            principal: message.principal.to_string(),
            peer: message.peer.to_string(),
            sender: message.sender.to_string(),
            control_id: message.control_id.to_string(),
            kind: message.kind.to_string(),
            format: format_word(message.format),
            size,
            state,
            flags: FLAGS.iter().filter(|(flag, _)| message.flags.has(*flag)).map(|(_, word)| *word).collect(),
            effect_of: message.cause.map(|id| id.to_string()),
        }
    }
}

/// A message in a list.
#[derive(Debug, Serialize)]
pub(super) struct MessageListed {
    #[serde(flatten)]
    pub row: MessageRow,
    pub routes: Vec<String>,
    pub why: Option<Why>,
}

impl MessageListed {
    /// A line of the store.
    pub fn of(line: &MessageLine) -> MessageListed {
        MessageListed {
            row: MessageRow::of(&line.message, line.size, line.state.word()),
            routes: line.routes.clone(),
            why: line.cause.as_ref().map(Why::of),
        }
    }
}

/// A page of messages, newest first.
#[derive(Debug, Serialize)]
pub(super) struct MessagePage {
    pub messages: Vec<MessageListed>,
    /// The cursor of the next page; none: there is no more.
    pub next: Option<String>,
}

/// A dead letter in a list.
#[derive(Debug, Serialize)]
pub(super) struct DeadLetterRow {
    /// By this it is replayed: `message.run.delivery`, or `message.run` if the run itself is dead.
    pub letter: String,
    pub message: String,
    pub run: u32,
    pub source: String,
    pub control_id: String,
    pub route: Option<String>,
    pub destination: Option<String>,
    pub at: String,
    pub attempts: u32,
    pub why: Why,
}

impl DeadLetterRow {
    /// A dead letter of the store.
    pub fn of(letter: &DeadLetter) -> DeadLetterRow {
        let name = letter.delivery.map_or_else(|| format!("{}.{}", letter.message, letter.run_no), |id| id.to_string());
        DeadLetterRow {
            letter: name,
            message: letter.message.to_string(),
            run: letter.run_no,
            source: letter.source.to_string(),
            control_id: letter.control_id.to_string(),
            route: letter.route.as_ref().map(ToString::to_string),
            destination: letter.destination.as_ref().map(ToString::to_string),
            at: letter.at.to_rfc3339(),
            attempts: letter.attempts,
            why: Why::of(&letter.cause),
        }
    }
}

/// The word for a format.
pub(super) const fn format_word(format: Format) -> &'static str {
    match format {
        Format::Hl7v2 => "hl7v2",
        Format::FhirJson => "json",
        Format::Json => "plain-json",
        Format::Xml => "xml",
        Format::Csv => "csv",
    }
}
