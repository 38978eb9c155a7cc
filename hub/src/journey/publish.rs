//! Publish: outbox rows -> broker. Done only on a true confirm.
//!
//! In come records whose rows are committed, in the order of their commit; they go to the broker in that
//! order, and are tried again until the broker has them. Records that came before what they depend on
//! (a cancel before its order) stand aside in the store; they are published again at their time, or as
//! soon as something happened in their lane. What goes to a durable broker has a publisher of its own kind
//! ([`remote`]).

pub mod remote;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::Hub;
use super::dead_letter::bury_delivery;
use crate::broker::{Broker, Record};
use crate::routes::Channel;
use crate::store::{Cause, DeliveryId, DeliveryState, Lane, OpenDelivery, StoreError};

/// Records that wait for the publisher at most.
pub const QUEUE_MAX: usize = 1024;
/// Records handed to the broker at once.
const BATCH_MAX: usize = 128;
/// How often records that stand aside are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Records that stand aside and are published again at once, at most.
const ASIDE_BATCH_MAX: usize = 256;
/// Pause before a record that the broker did not take is offered again.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(500);
/// Lanes that are remembered between two looks; with more, all that stand aside are tried.
const LANES_MAX: usize = 1024;

/// What stands aside, as far as memory knows; the rows are the truth.
#[derive(Clone, Default)]
pub struct Aside(Arc<Mutex<AsideState>>);

#[derive(Default)]
struct AsideState {
    /// Something may stand aside.
    any: bool,
    /// Lanes in which something happened since the last look.
    stirred: HashSet<Lane>,
    /// Published again and not decided yet.
    under_way: HashSet<DeliveryId>,
    /// Decided since the last look began: what that look read of them is out of date.
    decided: HashSet<DeliveryId>,
}

impl Aside {
    /// Something stands aside, or may.
    pub fn remember(&self) {
        self.with(|state| state.any = true);
    }

    /// A record that stood aside was decided.
    pub fn decided(&self, id: DeliveryId) {
        self.with(|state| {
            if state.under_way.remove(&id) {
                state.decided.insert(id);
            }
        });
    }

    /// Something took effect in a lane.
    pub fn stir(&self, lane: Lane) {
        self.with(|state| {
            if state.any && state.stirred.len() < LANES_MAX {
                state.stirred.insert(lane);
            }
        });
    }

    /// The broker may have lost what was under way: all that stands aside may be published again.
    pub fn begin_anew(&self) {
        self.with(|state| {
            state.any = true;
            state.under_way.clear();
        });
    }

    /// A look at the store begins: whether anything may stand aside, and what was stirred since the last one.
    fn begin_look(&self) -> (bool, HashSet<Lane>) {
        self.with(|state| {
            state.decided.clear();
            (state.any, std::mem::take(&mut state.stirred))
        })
    }

    /// Whether a record that the look has read may be published again; it then is under way.
    fn take(&self, id: DeliveryId) -> bool {
        self.with(|state| !state.decided.contains(&id) && state.under_way.insert(id))
    }

    fn with<T: Default>(&self, change: impl FnOnce(&mut AsideState) -> T) -> T {
        self.0.lock().map_or_else(|_| T::default(), |mut state| change(&mut state))
    }
}

/// The publisher of the embedded broker.
pub struct Publisher {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Records whose rows are committed.
    pub records: mpsc::Receiver<Record>,
    /// What stands aside.
    pub aside: Aside,
    /// The channels that the broker carries.
    pub channels: Vec<Channel>,
}

impl Publisher {
    /// Works until the outbox is gone.
    pub async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                // Its turn comes rarely, and must come under load too.
                biased;
                _ = look.tick() => self.publish_aside().await,
                got = self.records.recv_many(&mut batch, BATCH_MAX) => {
                    if got == 0 { return; }
                    self.publish_surely(std::mem::take(&mut batch)).await;
                }
            }
        }
    }

    async fn publish_surely(&self, mut records: Vec<Record>) {
        while !records.is_empty() {
            let confirmed = self.broker.publish(records.clone()).await;
            fail::fail_point!("publish.after_send");
            let done: HashSet<DeliveryId> = records
                .iter()
                .zip(&confirmed)
                .filter(|(_, confirmed)| confirmed.is_ok())
                .map(|(record, _)| record.id)
                .collect();
            fail::fail_point!("publish.after_confirm");
            records.retain(|record| !done.contains(&record.id));
            if let Some(error) = confirmed.into_iter().find_map(Result::err) {
                tracing::warn!(%error, waiting = records.len(), "the broker did not take records");
                tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            }
        }
    }

    /// Publishes again what stands aside and is due.
    async fn publish_aside(&self) {
        for record in due(&self.hub, &self.aside, &self.channels).await {
            self.hub.metrics.in_flight.inc();
            self.publish_surely(vec![record]).await;
        }
    }
}

/// Records of what stands aside and is due, or whose lane was stirred. They are under way now.
async fn due(hub: &Hub, aside: &Aside, channels: &[Channel]) -> Vec<Record> {
    let (any, stirred) = aside.begin_look();
    let mut records = Vec::new();
    if !any {
        return records;
    }
    let (mut left, mut looked) = (0, true);
    for channel in channels {
        match hub.store.open_deliveries(channel.name(), ASIDE_BATCH_MAX).await {
            Ok(open) => {
                for delivery in open.into_iter().filter(|one| one.state == DeliveryState::Waiting) {
                    left += 1;
                    records.extend(record_if_due(hub, aside, &delivery, &stirred).await);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for what stands aside");
                looked = false;
            }
        }
    }
    // What could not be looked at may be there.
    if left == 0 && looked {
        aside.with(|state| state.any = !state.under_way.is_empty());
    }
    records
}

async fn record_if_due(hub: &Hub, aside: &Aside, delivery: &OpenDelivery, stirred: &HashSet<Lane>) -> Option<Record> {
    let due = delivery.next_at.is_none_or(|at| at <= hub.clock.now());
    if !due && !delivery.lane.is_some_and(|lane| stirred.contains(&lane)) {
        return None;
    }
    if !aside.take(delivery.id) {
        return None;
    }
    let again = record_again(hub, delivery, false).await;
    if !matches!(again, Ok(Some(_))) {
        aside.decided(delivery.id);
    }
    again.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot publish again what stands aside");
        None
    })
}

/// The record of an open delivery, made again from its rows; none if it cannot be, and then it is a dead letter.
pub async fn record_again(hub: &Hub, delivery: &OpenDelivery, suspect: bool) -> Result<Option<Record>, StoreError> {
    match hub.store.output(delivery.id).await {
        Ok(Some(output)) => Ok(Some(Record {
            id: delivery.id,
            channel: Arc::clone(&delivery.destination),
            key: delivery.lane,
            command: output.command,
            kind: output.kind,
            source: Arc::clone(&delivery.source),
            route: Arc::clone(&delivery.route),
            created_at: delivery.created_at,
            attempts: delivery.attempts,
            charges: delivery.charges,
            suspect,
            body: output.body,
        })),
        Ok(None) => Ok(None),
        Err(error @ (StoreError::Corrupt(_) | StoreError::CorruptMessage(_))) => {
            bury_delivery(hub, delivery, Cause::from(&error)).await.map(|()| None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MessageId;

    #[test]
    fn a_record_goes_once_at_a_time_and_never_as_it_was_read_before_its_last_decision() {
        let (aside, id) = (Aside::default(), DeliveryId { message: MessageId(1), run_no: 1, delivery_no: 1 });
        aside.begin_look();
        assert!(aside.take(id));
        aside.begin_look();
        assert!(!aside.take(id), "it is under way");
        aside.decided(id);
        assert!(!aside.take(id), "it was read before it was decided");
        aside.begin_look();
        assert!(aside.take(id));
    }
}
