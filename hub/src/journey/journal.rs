//! Journal: what was accepted and has not come to an end goes on, after every start.
//!
//! In comes the store as the last process left it; out go its unfinished messages and records, fed again
//! in their order before any source listens (H1, H2, H5). After a crash those that may have been in hand go
//! one at a time, marked, so that a message which takes the process down is charged, and only that one (H8).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::blame::{CHARGES_MAX, deadly};
use super::consume::shard_of;
use super::dead_letter::{bury_delivery, bury_unread};
use super::publish::{Aside, record_again};
use super::route::commit_surely;
use super::{Accepted, Hub, Journaled};
use crate::broker::Record;
use crate::routes::Channel;
use crate::store::{Cause, Charge, DeliveryState, OpenDelivery, Row, StoreError, StoredMessage, UnitOfWork};

/// Unfinished messages or records that are read at once. More than can be under way at a time.
const READ_MAX: usize = 100_000;
/// Messages, and records of a channel, that may have been in hand when the process died: stages take the oldest
/// first, a batch a shard. Should the guilty one be younger, the next death finds it among the oldest.
const SUSPECTS_MAX: usize = 512;
/// How often it is looked whether the unfinished have gone through.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How often the log says that recovery goes on.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// The fact that says how the last process ended.
const CLEAN: &str = "clean_stop";

/// Where the unfinished go.
pub struct Recovery {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// A sender a shard.
    pub shards: Vec<mpsc::Sender<Accepted>>,
    /// The publisher.
    pub records: mpsc::Sender<Record>,
    /// What stands aside.
    pub aside: Aside,
    /// The channels of the embedded broker; publishers of others read the store themselves.
    pub channels: Vec<Channel>,
}

/// What was found at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Messages that no route had seen.
    pub messages: usize,
    /// Records that were not applied.
    pub records: usize,
    /// The last process ended in order.
    pub clean: bool,
}

/// Whether the last process ended in order. From now on, and until [`mark_clean`], this one has not.
pub async fn begin(hub: &Hub) -> Result<bool, StoreError> {
    let fact = hub.store.fact(CLEAN).await?;
    let clean = fact.as_deref().is_none_or(|value| value == "yes");
    commit_surely(hub, vec![UnitOfWork::of(vec![Row::Fact(CLEAN, "no".to_owned())])]).await?;
    Ok(clean)
}

/// This process ends in order.
pub async fn mark_clean(hub: &Hub) -> Result<(), StoreError> {
    commit_surely(hub, vec![UnitOfWork::of(vec![Row::Fact(CLEAN, "yes".to_owned())])]).await.map(|_| ())
}

/// What was alone in hand when the process died is charged with it; charged too often, its records have their end
/// here. To be called before anything is in hand.
pub async fn blame_the_dead(hub: &Hub) -> Result<(), StoreError> {
    let mut deadly_ones = HashSet::new();
    for charge in hub.store.in_hand().await? {
        let charge = Charge { charges: charge.charges.saturating_add(1), in_hand: false, ..charge };
        tracing::warn!(id = %charge.message, charges = charge.charges, "was alone in hand when the hub died");
        commit_surely(hub, vec![UnitOfWork::of(vec![Row::Charge(charge)])]).await?;
        if charge.charges >= CHARGES_MAX {
            deadly_ones.insert(charge.message);
        }
    }
    if deadly_ones.is_empty() {
        return Ok(());
    }
    for channel in Channel::ALL {
        let open = hub.store.open_deliveries(channel.name(), READ_MAX).await?;
        for delivery in open.iter().filter(|one| deadly_ones.contains(&one.id.message)) {
            bury_delivery(hub, delivery, deadly("apply")).await?;
        }
    }
    Ok(())
}

impl Recovery {
    /// Feeds everything unfinished, and returns when it has gone through.
    pub async fn run(&self, clean: bool) -> Result<Found, StoreError> {
        let mut records = 0;
        for channel in &self.channels {
            let open = self.hub.store.open_deliveries(channel.name(), READ_MAX).await?;
            records += open.len();
            for (place, delivery) in open.iter().enumerate() {
                self.feed_record(delivery, !clean && place < SUSPECTS_MAX).await?;
            }
        }
        let unrouted = self.unrouted().await?;
        let messages = unrouted.len();
        // Events and messages of sources had queues of their own.
        let (mut events, mut received) = (0, 0);
        for (message, charges) in unrouted {
            let place = if Channel::is_events(&message.source) { &mut events } else { &mut received };
            *place += 1;
            let suspect = !clean && *place <= SUSPECTS_MAX;
            self.feed_message(message, charges, suspect).await;
        }
        self.wait_until_through().await;
        Ok(Found { messages, records, clean })
    }

    /// Messages that no route has seen. One that does not read back does not stop the others.
    async fn unrouted(&self) -> Result<Vec<(StoredMessage, u32)>, StoreError> {
        loop {
            match self.hub.store.unrouted(READ_MAX).await {
                Err(error @ StoreError::CorruptMessage(id)) => {
                    bury_unread(&self.hub, id, Cause::from(&error)).await?;
                }
                other => return other,
            }
        }
    }

    async fn feed_record(&self, delivery: &OpenDelivery, suspect: bool) -> Result<(), StoreError> {
        if delivery.state == DeliveryState::Waiting {
            self.aside.remember();
            return Ok(());
        }
        if let Some(record) = record_again(&self.hub, delivery, suspect).await? {
            self.hub.metrics.in_flight.inc();
            if self.records.send(record).await.is_err() {
                self.hub.metrics.in_flight.dec();
            }
        }
        Ok(())
    }

    async fn feed_message(&self, stored: StoredMessage, charges: u32, suspect: bool) {
        let shard = shard_of(stored.lane, stored.id, self.shards.len());
        let Some(shard) = self.shards.get(shard) else { return };
        self.hub.metrics.in_flight.inc();
        let message = Arc::new(Journaled::from_stored(stored));
        let accepted = Accepted { message, charges, suspect, asker: None, room: None };
        if shard.send(accepted).await.is_err() {
            self.hub.metrics.in_flight.dec();
        }
    }

    async fn wait_until_through(&self) {
        let mut told = tokio::time::Instant::now();
        while self.hub.metrics.in_flight.get() > 0 && !self.hub.store.has_ended() {
            if told.elapsed() > TELL_EVERY {
                told = tokio::time::Instant::now();
                tracing::info!(left = self.hub.metrics.in_flight.get(), "recovery goes on");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Journaled {
    /// A message as it was read back, for its first run.
    pub fn from_stored(stored: StoredMessage) -> Journaled {
        Journaled {
            id: stored.id,
            received_at: stored.received_at,
            source: stored.source,
            control_id: stored.control_id,
            lane: stored.lane,
            format: stored.format,
            body: stored.body,
            next_run: 1,
            only: None,
            held: None,
        }
    }
}
