//! What the store keeps: the rows of the data model (message, run, output, delivery) as plain data.

use std::sync::Arc;

use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;

use super::ids::{DeliveryId, MessageId};

/// An HMAC of an identifier that a message can be found by (H10).
pub type Term = [u8; 16];

/// A key that keeps messages in order: an HMAC, never the identifier itself (H10).
pub type Lane = [u8; 16];

/// Declares an enum that is stored as a number and shown as a word.
macro_rules! stored_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $word:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The number in the store.
            pub const fn number(self) -> i64 {
                match self { $($name::$variant => $number,)+ }
            }
            /// The word for people and for JSON.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
            /// Reads the number in the store.
            pub const fn from_number(number: i64) -> Option<Self> {
                match number { $($number => Some($name::$variant),)+ _ => None }
            }
            /// Reads the word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

stored_enum! {
    /// What became of one pass of a route.
    RunState {
        /// Its outputs and deliveries are in the store.
        Mapped = 1, "mapped";
        /// No route took the message: an end.
        Filtered = 2, "filtered";
        /// The mapping cannot make a document of it: an end.
        Refused = 3, "refused";
        /// It was charged too often, or cannot be stored, or what it waited for was refused: an end.
        DeadLettered = 4, "dead-lettered";
        /// It waits for a code, or behind a run of its lane that does. A later run of its route ends that.
        Held = 5, "held";
    }
}

stored_enum! {
    /// Where a delivery stands. Below 10 it is open, from 10 on it has ended.
    DeliveryState {
        /// It may go.
        Ready = 0, "ready";
        /// It failed, and goes again at its time.
        Waiting = 1, "waiting";
        /// The far system, or the domain actor, took it.
        Delivered = 10, "delivered";
        /// An operator took it out.
        Filtered = 11, "filtered";
        /// The domain actor refused it.
        Refused = 12, "refused";
        /// It will not be tried again unless someone replays it.
        DeadLettered = 13, "dead-lettered";
    }
}

impl DeliveryState {
    /// Whether nothing more will happen by itself.
    pub const fn is_end(self) -> bool {
        self.number() >= 10
    }
}

stored_enum! {
    /// What one attempt came to.
    AttemptVerdict {
        /// Taken.
        Delivered = 1, "delivered";
        /// Refused for good.
        Rejected = 2, "rejected";
        /// Not done.
        Failed = 3, "failed";
        /// It panicked in hand.
        Panicked = 4, "panicked";
        /// The hub stopped while it may have been on its way: the answer is unknown.
        Unknown = 5, "unknown";
    }
}

/// The number of a format in the store.
pub const fn format_number(format: Format) -> i64 {
    match format {
        Format::Hl7v2 => 1,
        Format::FhirJson => 2,
        Format::Json => 3,
        Format::Xml => 4,
        Format::Csv => 5,
    }
}

/// Reads the number of a format.
pub const fn format_from(number: i64) -> Option<Format> {
    match number {
        1 => Some(Format::Hl7v2),
        2 => Some(Format::FhirJson),
        3 => Some(Format::Json),
        4 => Some(Format::Xml),
        5 => Some(Format::Csv),
        _ => None,
    }
}

/// Facts about a message that are not in its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub i64);

impl Flags {
    /// The same control id came before with another body (H4): taken as new, and flagged.
    pub const CONTROL_ID_REUSED: Flags = Flags(1);
    /// The bytes are not in the character set that MSH-18 declares.
    pub const CHARSET_DISAGREES: Flags = Flags(2);
    /// The reader had to tolerate something.
    pub const TOLERATED: Flags = Flags(4);

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why something ended badly: a code with a page in `docs/errors`, and a reason without content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `HUBnnnn`.
    pub code: Arc<str>,
    /// A few words without patient data.
    pub reason: Arc<str>,
}

impl Cause {
    /// A cause from its two texts.
    pub fn new(code: &str, reason: &str) -> Cause {
        Cause { code: code.into(), reason: reason.into() }
    }
}

/// A message on its way into the journal.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// When its last byte arrived.
    pub received_at: Timestamp,
    /// The source's name in `routes.toml`.
    pub source: Arc<str>,
    /// Who sent it.
    pub principal: Arc<str>,
    /// From which address.
    pub peer: Arc<str>,
    /// Sending application and facility, `MSH-3|MSH-4`.
    pub sender: Arc<str>,
    /// MSH-10, or the id of an event.
    pub control_id: Arc<str>,
    /// `RDE^O11`, or the type of an event.
    pub kind: Arc<str>,
    /// What the body is written in.
    pub format: Format,
    /// Its lane; none keeps no order.
    pub lane: Option<Lane>,
    /// Hash of the body without MSH-7.
    pub identity: [u8; 16],
    /// Facts found while reading.
    pub flags: Flags,
    /// The message whose effect this is.
    pub cause: Option<MessageId>,
    /// Why it was refused; none accepted it.
    pub refusal: Option<Cause>,
    /// The raw bytes.
    pub body: Bytes,
    /// What is answered when the commit has returned.
    pub answer: Option<Bytes>,
    /// What people find it by.
    pub terms: Vec<Term>,
    /// A repeat is looked for since this time; none looks for no repeat.
    pub repeat_since: Option<Timestamp>,
}

/// Which message a row of a unit belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRef {
    /// One that is in the journal.
    Stored(MessageId),
    /// The n-th message that this unit itself writes, from 0.
    New(usize),
}

/// One pass of one route.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its message.
    pub message: MessageRef,
    /// Its number in the message, from 1.
    pub run_no: u32,
    /// The route's id; none: no route took the message.
    pub route: Option<Arc<str>>,
    /// The mapping's name; none passes the message through.
    pub mapping: Option<Arc<str>>,
    /// The configuration's number in the store (H7).
    pub configuration: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// What became of it.
    pub state: RunState,
    /// Why, when it ended badly.
    pub cause: Option<Cause>,
}

/// One document of a mapping.
#[derive(Clone, Debug)]
pub struct NewOutput {
    /// Its message.
    pub message: MessageId,
    /// Its run.
    pub run_no: u32,
    /// Its number in the run, from 1.
    pub output_no: u32,
    /// What it is written in.
    pub format: Format,
    /// The command for a domain actor.
    pub command: Option<Arc<str>>,
    /// `MedicationRequest`, `RRE^O12`.
    pub kind: Arc<str>,
    /// The document; none is the message's own body.
    pub body: Option<Bytes>,
}

/// One output to one destination.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Its name.
    pub id: DeliveryId,
    /// Which output.
    pub output_no: u32,
    /// The channel or destination.
    pub destination: Arc<str>,
    /// The lane it inherits; none keeps no order.
    pub lane: Option<Lane>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What changes on an open delivery. Changing one that has ended is a conflict.
#[derive(Clone, Debug)]
pub struct DeliveryChange {
    /// Which one.
    pub id: DeliveryId,
    /// Where it stands now.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it goes again.
    pub next_at: Option<Timestamp>,
    /// Now.
    pub at: Timestamp,
    /// Why, when it is not delivered.
    pub cause: Option<Cause>,
}

/// One attempt that was made.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Of which delivery.
    pub id: DeliveryId,
    /// First is 1.
    pub attempt_no: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in microseconds.
    pub took_us: i64,
    /// What came of it.
    pub verdict: AttemptVerdict,
    /// A few words without patient data.
    pub reason: Arc<str>,
}

/// What a consumer has applied.
#[derive(Clone, Debug)]
pub struct InboxKey {
    /// The domain actor.
    pub consumer: &'static str,
    /// The CloudEvents id of the record.
    pub key: String,
    /// When.
    pub at: Timestamp,
}

/// Names one aggregate: (assigning authority, number), never a bare number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AggregateKey {
    /// `prescription`.
    pub kind: &'static str,
    /// Who assigned the number.
    pub authority: String,
    /// The number.
    pub number: String,
}

/// The new state of one aggregate.
#[derive(Clone, Debug)]
pub struct AggregateChange {
    /// Which one.
    pub key: AggregateKey,
    /// The version it must have now; 0: it must not be there.
    pub expected: u64,
    /// Its state in a word, for lists.
    pub state: &'static str,
    /// Its whole state.
    pub body: String,
    /// When.
    pub at: Timestamp,
    /// By which message.
    pub by: MessageId,
}

/// An aggregate as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAggregate {
    /// Grows by one with each change.
    pub version: u64,
    /// Its whole state.
    pub body: String,
}

/// A number that the hub assigned to a group of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedNumber {
    /// Who numbered the group.
    pub authority: String,
    /// The group's number there.
    pub number: String,
    /// The hub's number.
    pub assigned: String,
}

/// How often a message was charged, and whether it is in hand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The message.
    pub message: MessageId,
    /// How often it was charged.
    pub charges: u32,
    /// It is in hand alone now: if the process dies, it is to blame.
    pub in_hand: bool,
}
