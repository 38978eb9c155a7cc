//! The store: the journal, the outbox, the inbox and the state of the domain, in one place so that
//! what belongs together commits together.
//!
//! In come units of work, declared as rows and conditions; out goes an [`Outcome`] for each, when the
//! commit has returned from fsync (H1). A unit is all or nothing, and a bad unit fails alone (H3). No
//! begin and commit cross this trait, so one writer can put many units into one fsync.

mod checksum;
#[cfg(test)]
pub(crate) mod contract;
pub mod held;
pub mod ids;
pub mod open;
pub mod postgres;
pub mod rows;
pub mod sqlite;
pub mod standing;
pub mod view;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::held::*;
pub use self::ids::{DeliveryId, MessageId, NotAnId, RunId};
pub use self::open::OpenError;
pub use self::rows::*;
pub use self::standing::{DeliveryStanding, RunStanding, standing};
pub use self::view::*;

/// Rows to insert and to change that belong together.
#[derive(Clone, Debug, Default)]
pub struct UnitOfWork {
    /// In the order in which they are to be written. Conditions first: they decide.
    pub rows: Arc<Vec<Row>>,
}

impl UnitOfWork {
    /// A unit of these rows.
    pub fn of(rows: Vec<Row>) -> UnitOfWork {
        UnitOfWork { rows: Arc::new(rows) }
    }

    /// One row more.
    pub fn push(&mut self, row: Row) {
        Arc::make_mut(&mut self.rows).push(row);
    }
}

/// One row of a unit.
#[derive(Clone, Debug)]
pub enum Row {
    /// Condition: not applied before. Else [`Outcome::AlreadyApplied`].
    Inbox(InboxKey),
    /// Condition: the version is the expected one. Else [`Outcome::Conflict`].
    Aggregate(AggregateChange),
    /// Condition: neither the group nor the number has another partner. Else [`Outcome::Conflict`].
    AssignNumber(AssignedNumber),
    /// Condition: the delivery is open. Else [`Outcome::Conflict`].
    ChangeDelivery(DeliveryChange),
    /// Condition: the run is held. It is no more. Else [`Outcome::Conflict`].
    LetGo(RunId),
    /// Condition: no repeat. Else [`Outcome::Repeat`].
    Message(Box<NewMessage>),
    /// A pass of a route. The message then counts as routed.
    Run(NewRun),
    /// A run is held.
    Hold(NewHeld),
    /// A document.
    Output(NewOutput),
    /// A place in the outbox.
    Delivery(NewDelivery),
    /// An attempt that was made. Condition: none of its number is recorded. Else [`Outcome::AlreadyApplied`].
    Attempt(NewAttempt),
    /// Blame.
    Charge(Charge),
    /// A single fact of this store.
    Fact(&'static str, String),
}

/// What became of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk. The ids are those of its messages, in the unit's order.
    Committed(Vec<MessageId>),
    /// The message came before; nothing was written. The answer of that time follows.
    Repeat {
        /// The message that was first.
        of: MessageId,
        /// What was answered.
        answer: Option<Bytes>,
    },
    /// The inbox key is taken, or the attempt is recorded: it happened already; nothing was written.
    AlreadyApplied,
    /// A condition did not hold; nothing was written. Read again, and decide again.
    Conflict,
    /// Nothing was written.
    Failed(StoreError),
}

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. It may have room again later.
    #[error("{} {}", self.code(), self.reason())]
    NoSpace,
    /// Someone else holds the store; it may be free later.
    #[error("{} {}", self.code(), self.reason())]
    Busy,
    /// The database does not answer, or is on its way down or up. Nothing was written.
    #[error("{code} {reason}: {0}", code = self.code(), reason = self.reason())]
    Away(Arc<str>),
    /// A write or an fsync failed. Nothing after it can be trusted: never tried again (H1).
    #[error("{code} {reason}: {0}", code = self.code(), reason = self.reason())]
    Broken(Arc<str>),
    /// The store was closed.
    #[error("{} {}", self.code(), self.reason())]
    Closed,
    /// A statement that cannot be right: a defect of the hub.
    #[error("{code} {reason}: {0}", code = self.code(), reason = self.reason())]
    Statement(Arc<str>),
    /// A row, or the file, does not read back.
    #[error("{code} {reason}: {0}", code = self.code(), reason = self.reason())]
    Corrupt(Arc<str>),
    /// A message, an output of it or an aggregate that it changed is not what was written.
    #[error("{code} {reason}: message {0} is not what was written", code = self.code(), reason = self.reason())]
    CorruptMessage(MessageId),
}

impl StoreError {
    /// Whether the same may succeed later.
    pub const fn is_passing(&self) -> bool {
        matches!(self, StoreError::NoSpace | StoreError::Busy | StoreError::Away(_))
    }

    /// Whether this store will commit nothing any more.
    pub const fn is_the_end(&self) -> bool {
        matches!(self, StoreError::Broken(_) | StoreError::Closed)
    }

    /// Its page in `docs/errors`.
    pub const fn code(&self) -> &'static str {
        match self {
            StoreError::NoSpace => "HUB0201",
            StoreError::Busy => "HUB0202",
            StoreError::Broken(_) => "HUB0203",
            StoreError::Closed => "HUB0204",
            StoreError::Statement(_) => "HUB0205",
            StoreError::Corrupt(_) | StoreError::CorruptMessage(_) => "HUB0207",
            StoreError::Away(_) => "HUB0215",
        }
    }

    /// What it says, in words that tell nothing of a row.
    pub const fn reason(&self) -> &'static str {
        match self {
            StoreError::NoSpace => "no space left for the journal",
            StoreError::Busy => "the journal is locked by another process",
            StoreError::Away(_) => "the database of the journal does not answer",
            StoreError::Broken(_) => "the journal cannot be written",
            StoreError::Closed => "the journal is closed",
            StoreError::Statement(_) => "the store refused a statement",
            StoreError::Corrupt(_) | StoreError::CorruptMessage(_) => "a row of the journal is corrupt",
        }
    }
}

impl From<&StoreError> for Cause {
    fn from(error: &StoreError) -> Cause {
        Cause::new(error.code(), error.reason())
    }
}

/// What is done with the outcome of a unit before its caller is answered. It must not wait.
pub type HandOver = Box<dyn FnOnce(&Outcome) + Send>;

/// The store. Every implementation passes the same contract suite.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Commits `units`, in order. Returns when all that is reported as committed is on disk.
    async fn commit(&self, units: Vec<UnitOfWork>) -> Vec<Outcome>;

    /// Commits one unit, and calls `hand_over` with what came of it. Hand-overs of all callers are called in the
    /// order of the commits, which is the order of the ids: callers are woken in any order, and what follows a
    /// commit in its lane must not be (H5).
    async fn commit_in_order(&self, unit: UnitOfWork, hand_over: HandOver) -> Outcome;

    /// Accepted messages that no run has taken yet, in order, with their charges: what recovery re-feeds.
    async fn unrouted(&self, limit: usize) -> Result<Vec<(StoredMessage, u32)>, StoreError>;

    /// Messages that were marked as alone in hand: after a crash, one of them is to blame.
    async fn in_hand(&self) -> Result<Vec<Charge>, StoreError>;

    /// Open deliveries to `destination`, oldest message first.
    async fn open_deliveries(&self, destination: &str, limit: usize) -> Result<Vec<OpenDelivery>, StoreError>;

    /// Where each delivery stands now; none: there is no such delivery. Asked by those who have copies of records.
    async fn deliveries_now(&self, ids: Vec<DeliveryId>) -> Result<Vec<Option<DeliveryNow>>, StoreError>;

    /// One message with its body.
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError>;

    /// The body of one output; a passed-through output gives its message's body.
    async fn output(&self, id: DeliveryId) -> Result<Option<StoredOutput>, StoreError>;

    /// The state of each aggregate; none: it is not there.
    async fn aggregates(&self, keys: Vec<AggregateKey>) -> Result<Vec<Option<StoredAggregate>>, StoreError>;

    /// The number that the hub assigned to each group (authority, number).
    async fn assigned_numbers(&self, groups: Vec<(String, String)>) -> Result<Vec<Option<String>>, StoreError>;

    /// The next `count` values of a counter: the first of them. Never given twice; gaps may be left.
    async fn take_numbers(&self, counter: &str, count: u32) -> Result<u32, StoreError>;

    /// The number of a configuration in the store; it is written if it is new (H7).
    async fn configuration(&self, hash: &str, files: &[(String, String)]) -> Result<i64, StoreError>;

    /// A page of messages, newest first.
    async fn messages(&self, filter: MessageFilter) -> Result<Page, StoreError>;

    /// The whole journey of one message.
    async fn journey(&self, id: MessageId) -> Result<Option<Journey>, StoreError>;

    /// Dead-lettered deliveries and runs, newest first.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// Held runs, in the order of the journal.
    async fn held(&self, filter: HeldFilter) -> Result<Vec<HeldRun>, StoreError>;

    /// A page of the codes that messages are held for.
    async fn held_codes(&self, filter: CodeFilter) -> Result<CodePage, StoreError>;

    /// What the messages after `after` can be found by, in journal order, for the search index.
    async fn terms_after(&self, after: MessageId, limit: usize) -> Result<Vec<(MessageId, Vec<Term>)>, StoreError>;

    /// A single fact.
    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Whether commits can be expected to succeed; an error says why not.
    fn health(&self) -> Result<(), StoreError>;

    /// Whether this store will commit nothing any more, and what became of its last commits may not be known.
    fn has_ended(&self) -> bool {
        self.health().is_err_and(|error| error.is_the_end())
    }

    /// Finishes what is queued, and closes.
    async fn close(&self);
}
