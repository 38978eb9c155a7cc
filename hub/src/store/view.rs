//! What is read back from the store: for recovery, and for people.

use std::sync::Arc;

use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;

use super::ids::{DeliveryId, MessageId};
use super::rows::{AttemptVerdict, Cause, DeliveryState, Flags, Lane, RunState};

/// A message as it is stored.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// Its place in the journal.
    pub id: MessageId,
    /// When its last byte arrived.
    pub received_at: Timestamp,
    /// The source's name.
    pub source: Arc<str>,
    /// Who sent it.
    pub principal: Arc<str>,
    /// From which address.
    pub peer: Arc<str>,
    /// `MSH-3|MSH-4`.
    pub sender: Arc<str>,
    /// MSH-10, or the id of an event.
    pub control_id: Arc<str>,
    /// `RDE^O11`, or the type of an event.
    pub kind: Arc<str>,
    /// What the body is written in.
    pub format: Format,
    /// Its lane.
    pub lane: Option<Lane>,
    /// Facts found while reading.
    pub flags: Flags,
    /// The message whose effect this is.
    pub cause: Option<MessageId>,
    /// Why it was refused.
    pub refusal: Option<Cause>,
    /// The raw bytes.
    pub body: Bytes,
}

/// A document on its way out.
#[derive(Clone, Debug)]
pub struct StoredOutput {
    /// What it is written in.
    pub format: Format,
    /// The command for a domain actor.
    pub command: Option<Arc<str>>,
    /// `MedicationRequest`, `RRE^O12`.
    pub kind: Arc<str>,
    /// The document.
    pub body: Bytes,
}

/// A delivery that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDelivery {
    /// Its name.
    pub id: DeliveryId,
    /// The channel or destination.
    pub destination: Arc<str>,
    /// Its lane.
    pub lane: Option<Lane>,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Not before this time.
    pub next_at: Option<Timestamp>,
    /// The route that made it.
    pub route: Arc<str>,
    /// The source of its message.
    pub source: Arc<str>,
    /// How often its message was charged.
    pub charges: u32,
}

/// Where a delivery stands, open or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryNow {
    /// Its state.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// How often its message was charged.
    pub charges: u32,
}

/// Where a message as a whole stands: the worst of its parts decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageState {
    /// Accepted, and not at an end yet.
    Accepted,
    /// A delivery waits for its next attempt.
    Waiting,
    /// A run of it is held.
    Held,
    /// Every delivery was taken.
    Delivered,
    /// No route took it.
    Filtered,
    /// It was refused, by the intake, a mapping or a domain actor.
    Refused,
    /// A part of it is a dead letter.
    DeadLettered,
}

impl MessageState {
    /// All states, in the order of the journey.
    pub const ALL: [MessageState; 7] = [
        MessageState::Accepted,
        MessageState::Waiting,
        MessageState::Held,
        MessageState::Delivered,
        MessageState::Filtered,
        MessageState::Refused,
        MessageState::DeadLettered,
    ];

    /// The word for people and for JSON.
    pub const fn word(self) -> &'static str {
        match self {
            MessageState::Accepted => "accepted",
            MessageState::Waiting => "waiting",
            MessageState::Held => "held",
            MessageState::Delivered => "delivered",
            MessageState::Filtered => "filtered",
            MessageState::Refused => "refused",
            MessageState::DeadLettered => "dead-lettered",
        }
    }

    /// Reads the word.
    pub fn from_word(word: &str) -> Option<MessageState> {
        MessageState::ALL.into_iter().find(|state| state.word() == word)
    }

    /// What the parts of a message say of the whole.
    pub fn of(refused: bool, runs: &[RunState], deliveries: &[DeliveryState]) -> MessageState {
        let run = |state| runs.contains(&state);
        let delivery = |state| deliveries.contains(&state);
        if run(RunState::DeadLettered) || delivery(DeliveryState::DeadLettered) {
            MessageState::DeadLettered
        } else if refused || run(RunState::Refused) || delivery(DeliveryState::Refused) {
            MessageState::Refused
        } else if run(RunState::Held) {
            MessageState::Held
        } else if delivery(DeliveryState::Waiting) {
            MessageState::Waiting
        } else if runs.is_empty() || delivery(DeliveryState::Ready) {
            MessageState::Accepted
        } else if delivery(DeliveryState::Delivered) {
            MessageState::Delivered
        } else {
            MessageState::Filtered
        }
    }
}

/// Which messages are asked for. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Where they stand.
    pub state: Option<MessageState>,
    /// From which source.
    pub source: Option<String>,
    /// With which control id.
    pub control_id: Option<String>,
    /// Only these: what the search index found.
    pub among: Option<Vec<MessageId>>,
    /// Arrived at or after. Messages whose commit came more than a minute after their arrival may be missed.
    pub since: Option<Timestamp>,
    /// Arrived before. The same holds.
    pub until: Option<Timestamp>,
    /// Older than this one: the cursor.
    pub before: Option<MessageId>,
    /// Newer than this one.
    pub after: Option<MessageId>,
    /// At most so many.
    pub limit: usize,
}

/// A page of messages.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub messages: Vec<MessageLine>,
    /// What the next page comes before; none: there is no more. A page with a rare match may hold fewer
    /// than its limit, even none, and still have a next one.
    pub next: Option<MessageId>,
}

/// One message in a list.
#[derive(Clone, Debug)]
pub struct MessageLine {
    /// The message; its body is empty.
    pub message: StoredMessage,
    /// Its size in bytes.
    pub size: usize,
    /// Where it stands.
    pub state: MessageState,
    /// Routes that took it.
    pub routes: Vec<String>,
    /// Why, when it ended badly or waits.
    pub cause: Option<Cause>,
}

/// Everything that happened to a message.
#[derive(Clone, Debug)]
pub struct Journey {
    /// The message; its body is there for those who may see it.
    pub message: StoredMessage,
    /// Where it stands.
    pub state: MessageState,
    /// What was answered.
    pub answer: Option<Bytes>,
    /// How often it was charged.
    pub charges: u32,
    /// Its runs, with what came of them.
    pub runs: Vec<JourneyRun>,
    /// Messages that are its effects: the events of a domain actor.
    pub effects: Vec<(MessageId, Arc<str>)>,
}

impl Journey {
    /// Whether a later run took the place of `run`: one of its route, or any if no route had taken the message.
    pub fn is_repeated(&self, run: &JourneyRun) -> bool {
        let repeats = |later: &JourneyRun| run.route.is_none() || later.route == run.route;
        self.runs.iter().any(|later| later.run_no > run.run_no && repeats(later))
    }

    /// The runs that are held now.
    pub fn held(&self) -> impl Iterator<Item = &JourneyRun> {
        self.runs.iter().filter(|run| run.state == RunState::Held && !self.is_repeated(run))
    }
}

/// One run of a journey.
#[derive(Clone, Debug)]
pub struct JourneyRun {
    /// Its number.
    pub run_no: u32,
    /// The route.
    pub route: Option<Arc<str>>,
    /// The mapping.
    pub mapping: Option<Arc<str>>,
    /// The configuration's hash (H7).
    pub configuration: Arc<str>,
    /// When it began.
    pub started_at: Timestamp,
    /// What became of it.
    pub state: RunState,
    /// Why.
    pub cause: Option<Cause>,
    /// Its documents, with their numbers.
    pub outputs: Vec<(u32, StoredOutput)>,
    /// Its deliveries.
    pub deliveries: Vec<JourneyDelivery>,
}

/// One delivery of a journey.
#[derive(Clone, Debug)]
pub struct JourneyDelivery {
    /// Its name.
    pub id: DeliveryId,
    /// Which document.
    pub output_no: u32,
    /// Where to.
    pub destination: Arc<str>,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it goes again.
    pub next_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why.
    pub cause: Option<Cause>,
    /// What was tried.
    pub attempts: Vec<JourneyAttempt>,
}

/// One attempt of a journey.
#[derive(Clone, Debug)]
pub struct JourneyAttempt {
    /// First is 1.
    pub attempt_no: u32,
    /// When.
    pub at: Timestamp,
    /// How long, in microseconds.
    pub took_us: i64,
    /// What came of it.
    pub verdict: AttemptVerdict,
    /// A few words.
    pub reason: Arc<str>,
}

/// One dead letter: a delivery, or a run that has none.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The message.
    pub message: MessageId,
    /// The run.
    pub run_no: u32,
    /// The delivery; none: the run itself could not be finished.
    pub delivery: Option<DeliveryId>,
    /// From which source.
    pub source: Arc<str>,
    /// The message's control id.
    pub control_id: Arc<str>,
    /// The route.
    pub route: Option<Arc<str>>,
    /// Where to.
    pub destination: Option<Arc<str>>,
    /// When it ended.
    pub at: Timestamp,
    /// Attempts made.
    pub attempts: u32,
    /// Why.
    pub cause: Cause,
}
