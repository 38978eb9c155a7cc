//! The journey of a message, one file a stage:
//!
//! ```text
//! receive -> journal -> route -> map -> publish -> consume -> apply -> deliver
//!               |          \__ filtered, refused __/                 \-> dead letter -> replay
//! ```
//!
//! Nothing of value lives in memory: what passes from stage to stage is a copy of rows, and after a
//! crash [`journal`] feeds every message again that is not at an end.

pub mod apply;
pub mod blame;
pub mod consume;
pub mod dead_letter;
pub mod deliver;
pub mod hold;
pub mod journal;
pub mod map;
pub mod outbox;
pub mod publish;
pub mod receive;
pub mod release;
pub mod route;

use std::sync::Arc;

use adapters::Format;
use adapters::clock::{Clock, Timestamp};
use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, RwLock, broadcast, oneshot};

use crate::admin::TapEvent;
use crate::keys::Keys;
use crate::limit::Limits;
use crate::routes::{Configuration, Target};
use crate::store::{AwaitedCode, DeliveryId, Lane, MessageId, Store};
use crate::telemetry::Metrics;

/// What every stage holds.
pub struct Hub {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Pseudonyms.
    pub keys: Keys,
    /// The configuration of now; a run keeps the one it began with (H7).
    pub live: ArcSwap<Live>,
    /// What is counted.
    pub metrics: Metrics,
    /// Work on messages holds it for reading; a suspect holds it for writing, so that it is alone in hand.
    pub hands: RwLock<()>,
    /// The rates of now.
    pub rates: ArcSwap<Rates>,
    /// What happens, for whoever watches.
    pub tap: broadcast::Sender<TapEvent>,
}

impl Hub {
    /// Tells whoever watches. Costs nothing while nobody does.
    pub fn tell(&self, event: impl FnOnce() -> TapEvent) {
        if self.tap.receiver_count() > 0 {
            let _ = self.tap.send(event());
        }
    }
}

/// The rates of a configuration. A route and a destination may be called the same.
#[derive(Debug, Default)]
pub struct Rates {
    /// By destination.
    pub destinations: Limits,
    /// By route.
    pub routes: Limits,
}

/// A configuration with its number in the store.
pub struct Live {
    /// Checked and compiled.
    pub configuration: Configuration,
    /// Its number in the store.
    pub number: i64,
}

impl Live {
    /// Whether any route takes messages of `source`.
    pub fn routes_from(&self, source: &str) -> bool {
        self.configuration.routes.iter().any(|route| route.from.iter().any(|from| from == source))
    }
}

/// A message as the journal has it.
#[derive(Clone, Debug)]
pub struct Journaled {
    /// Its place in the journal.
    pub id: MessageId,
    /// When its last byte arrived.
    pub received_at: Timestamp,
    /// Its source.
    pub source: Arc<str>,
    /// Its control id.
    pub control_id: Arc<str>,
    /// Its lane.
    pub lane: Option<Lane>,
    /// What the body is written in.
    pub format: Format,
    /// The raw bytes.
    pub body: Bytes,
    /// The number of its next run: 1, or more when it is replayed.
    pub next_run: u32,
    /// A replay goes this way only.
    pub only: Option<Only>,
    /// The held run that the next one takes the place of.
    pub held: Option<WasHeld>,
}

/// The one way that a message goes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// The route.
    pub route: Arc<str>,
    /// The destination or channel; none: all of the route.
    pub destination: Option<Arc<str>>,
}

/// A held run that is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasHeld {
    /// Its number.
    pub run_no: u32,
    /// The lane that it keeps waiting.
    pub lane: Option<Lane>,
    /// The code that it waited for.
    pub code: Option<AwaitedCode>,
}

/// A message that is in the journal and not routed yet.
pub struct Accepted {
    /// The message.
    pub message: Arc<Journaled>,
    /// How often it was charged.
    pub charges: u32,
    /// It was under way when the process died: it goes alone, so that blame is certain.
    pub suspect: bool,
    /// Who waits for an application answer.
    pub asker: Option<oneshot::Sender<Answered>>,
    /// Its share of the memory for bodies, given back when it is routed.
    pub room: Option<OwnedSemaphorePermit>,
}

/// What came of a message, for an application answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It was routed and mapped, or no route wanted it.
    Taken,
    /// It was refused.
    Refused(crate::store::Cause),
}

/// A delivery whose row is committed, ready to go.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its name.
    pub id: DeliveryId,
    /// Where to.
    pub target: Target,
    /// The lane it inherits; none keeps no order.
    pub lane: Option<Lane>,
    /// The source of its message.
    pub source: Arc<str>,
    /// The route that made it.
    pub route: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it is written in.
    pub format: Format,
    /// The command for a domain actor.
    pub command: Option<Arc<str>>,
    /// `MedicationRequest`, `RRE^O12`.
    pub kind: Arc<str>,
    /// The document.
    pub body: Bytes,
    /// It was under way when the process died.
    pub suspect: bool,
}
