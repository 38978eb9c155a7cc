//! What the HTTP interface asks of the running hub.
//!
//! In come questions of operators; out go answers of the parts that know. Promised: the interface holds
//! nothing of its own, so what it shows is what is. Refused: nothing here; each part refuses for itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;
use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::finding::Findings;
use crate::journey::Live;
use crate::journey::dead_letter::ReplayError;
use crate::mapping::NewRow;
use crate::store::{AwaitedCode, DeliveryId, MessageId, RunId, Store, StoreError};

/// The running hub, as the HTTP interface sees it.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// The truth.
    fn store(&self) -> Arc<dyn Store>;

    /// The configuration of now.
    fn live(&self) -> Arc<Live>;

    /// Whether each part can do its work. The hub is ready when all that are needed can.
    fn ready(&self) -> Vec<Part>;

    /// Reads the configuration again, all or nothing (H7). Gives its hash.
    async fn reload(&self) -> Result<String, ReloadError>;

    /// Adds a code to the file of its table, and reads the configuration again. Gives its hash.
    async fn add_code(&self, new: &NewCode) -> Result<String, CodeError>;

    /// Makes dead letters of what waits for a code. Gives how many runs that were.
    async fn refuse_code(&self, code: &AwaitedCode, source: Option<&str>) -> Result<usize, StoreError>;

    /// Publishes again what was published and not applied for so long. Gives how many records that were.
    async fn reconcile(&self, older_than: Duration) -> Result<usize, StoreError>;

    /// A new run of a message that is at its end, by every route that takes it now.
    async fn replay_message(&self, message: MessageId) -> Result<(), ReplayError>;

    /// A new run for one dead delivery, to its destination only.
    async fn replay_delivery(&self, delivery: DeliveryId) -> Result<(), ReplayError>;

    /// A new run in place of one that is a dead letter itself.
    async fn replay_run(&self, run: RunId) -> Result<(), ReplayError>;

    /// The newest messages that the search index has for an identifier, `limit` at most.
    async fn find(&self, by: SearchBy, value: &str, limit: usize) -> Result<Vec<MessageId>, StoreError>;

    /// What happens from now on. A reader that is too slow misses events, and is told how many.
    fn tap(&self) -> broadcast::Receiver<TapEvent>;

    /// Everything that is counted, in the OpenMetrics text format.
    fn metrics(&self) -> String;

    /// How each source stands.
    fn sources(&self) -> Vec<SourceStatus>;

    /// How each destination and channel stands.
    fn destinations(&self) -> Vec<DestinationStatus>;
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    /// The files have errors.
    #[error("HUB0809 the configuration has errors")]
    Findings(Findings),
    /// The files are right, but something that they name could not be used: an address, a certificate, the
    /// journal. The log says what.
    #[error("HUB0810 a part could not be built as the configuration says")]
    Part,
}

/// A row for a table.
#[derive(Clone, PartialEq, Eq)]
pub struct NewCode {
    /// The table.
    pub table: String,
    /// The code, as messages have it.
    pub code: String,
    /// What it stands for.
    pub row: NewRow,
}

/// Why a code was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CodeError {
    /// There is no such table.
    #[error("HUB0814 there is no such table")]
    NoTable,
    /// It has the code.
    #[error("HUB0815 the table has the code already")]
    Exists,
    /// Its file was changed, and is no table now.
    #[error("HUB0816 the file of the table cannot be changed: it is not a table now")]
    NotATable,
    /// Its file cannot be written. The log says why.
    #[error("HUB0816 the file of the table cannot be changed")]
    Unwritable,
    /// The configuration with the row could not be taken.
    #[error(transparent)]
    Reload(ReloadError),
}

/// A part of the hub, and whether it can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `journal`, `source kasr-al-ainy`.
    pub name: String,
    /// Whether the hub can take no messages without it. It takes them without a broker: the journal keeps them.
    pub needed: bool,
    /// Why it cannot, without text of a database or a path.
    pub trouble: Option<String>,
}

impl Part {
    /// A part without which the hub is not ready.
    pub fn needed(name: impl Into<String>, trouble: Option<String>) -> Part {
        Part { name: name.into(), needed: true, trouble }
    }
}

/// By what people look for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchBy {
    /// The patient's identifier, as the source's `patient` reads it.
    Patient,
    /// An order number, as the source's `order` reads it.
    Order,
    /// MSH-10.
    ControlId,
}

impl SearchBy {
    /// The kind of the term in the index.
    pub const fn kind(self) -> &'static str {
        match self {
            SearchBy::Patient => "patient",
            SearchBy::Order => "order",
            SearchBy::ControlId => "control_id",
        }
    }
}

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Where it really listens: the port that it got if the configuration says 0.
    pub address: Option<SocketAddr>,
    /// In a word: `listening`, `stopped`, `restarting`.
    pub state: &'static str,
    /// Why it does not work.
    pub trouble: Option<String>,
}

/// How a destination or a channel stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationStatus {
    /// Its name in the configuration.
    pub name: String,
    /// In a word: `delivering`, `waiting`, `stopped`.
    pub state: &'static str,
    /// Deliveries in memory that have not ended.
    pub open: u64,
    /// Why it does not work.
    pub trouble: Option<String>,
}

/// One thing that happened, without anything of a body (H10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapEvent {
    /// When.
    pub at: Timestamp,
    /// To which message.
    pub message: MessageId,
    /// From which source.
    pub source: Arc<str>,
    /// `RDE^O11`, or the type of an event.
    pub kind: Arc<str>,
    /// The stage of the journey: `receive`, `route`, `apply`, `deliver`.
    pub stage: &'static str,
    /// What became of it there, in a word: `accepted`, `mapped`, `delivered`.
    pub outcome: &'static str,
    /// The route, channel or destination, if the stage has one.
    pub at_name: Option<Arc<str>>,
    /// The code, if it went badly.
    pub code: Option<Arc<str>>,
}
