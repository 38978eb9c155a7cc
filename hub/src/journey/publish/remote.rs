//! Publish to a durable broker: outbox rows -> Kafka, RabbitMQ.
//!
//! In come offers of records whose rows are committed; out they go in that order, each done on a true confirm. The
//! broker may be away for days, and may come back empty: offers never wait for it (H8), and what memory does not hold
//! is read from the store. A delivery stays open there until it is applied, so whenever the broker may have lost
//! something, everything open is published again, oldest first, before anything new (H2, H5). Copies of what was
//! applied meanwhile are sifted out by the consumer (H3).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::{Aside, BATCH_MAX, LOOK_EVERY, QUEUE_MAX, due, record_again};
use crate::broker::{Broker, PublishError, Record};
use crate::journey::Hub;
use crate::journey::dead_letter::bury_delivery;
use crate::routes::Channel;
use crate::store::{Cause, DeliveryId, DeliveryState, OpenDelivery, StoreError};

/// Open deliveries of a channel that are read at once.
const READ_MAX: usize = 100_000;
/// Confirmed records that are remembered; with more, those that were applied are forgotten.
const REMEMBERED_MAX: usize = 100_000;
/// Pauses before the broker is tried again: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Pause before the store is read again: it could not be, or has more open deliveries than were read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Questions to the publisher that wait at most.
const ASKED_MAX: usize = 4;

/// Where records for one broker are offered.
#[derive(Clone)]
pub struct Offers {
    records: mpsc::Sender<Record>,
    behind: Arc<AtomicBool>,
}

impl Offers {
    /// Offers a record; never waits. What does not fit is read from the store.
    pub fn offer(&self, record: Record) {
        if self.records.try_send(record).is_err() {
            self.behind.store(true, Ordering::Release);
        }
    }
}

/// Asks the publisher to publish again what was not applied for so long; it answers how many records those were.
pub struct Again {
    /// How long ago the delivery was made, at least.
    pub older_than: Duration,
    /// Hears how many.
    pub answer: oneshot::Sender<Result<usize, StoreError>>,
}

/// What a publisher is made of.
pub struct Plan {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The channels that it carries.
    pub channels: Vec<Channel>,
    /// What stands aside.
    pub aside: Aside,
    /// True once the hub goes down: the store keeps what was not published.
    pub closing: watch::Receiver<bool>,
}

/// The publisher of one durable broker.
pub struct Remote {
    plan: Plan,
    offered: mpsc::Receiver<Record>,
    behind: Arc<AtomicBool>,
    asked: mpsc::Receiver<Again>,
    /// Confirmed since the broker was prepared, and perhaps not applied yet.
    confirmed: HashSet<DeliveryId>,
}

/// Why publishing stops until the broker was prepared again.
enum Stop {
    /// A record was not taken.
    Failed,
    /// What was confirmed may be lost.
    SetBack,
    /// The hub is going down.
    Closed,
}

impl Remote {
    /// A publisher, where records are offered to it, and where it is asked.
    pub fn new(plan: Plan) -> (Remote, Offers, mpsc::Sender<Again>) {
        let (records, offered) = mpsc::channel(QUEUE_MAX);
        let (ask, asked) = mpsc::channel(ASKED_MAX);
        let behind = Arc::new(AtomicBool::new(true));
        let offers = Offers { records, behind: Arc::clone(&behind) };
        (Remote { plan, offered, behind, asked, confirmed: HashSet::new() }, offers, ask)
    }

    /// Works until the hub goes down.
    pub async fn run(mut self) {
        let mut closing = self.plan.closing.clone();
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        let mut setbacks = self.plan.broker.setbacks();
        let mut pause = PAUSE.0;
        let mut away = false;
        loop {
            setbacks.borrow_and_update();
            if let Err(error) = self.plan.broker.prepare().await {
                if !away {
                    tracing::warn!(%error, channels = ?self.channels(), "the broker cannot be used; its records wait");
                }
                away = true;
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
                continue;
            }
            if away {
                tracing::info!(channels = ?self.channels(), "the broker can be used again");
            }
            away = false;
            self.confirmed.clear();
            self.plan.aside.begin_anew();
            self.behind.store(true, Ordering::Release);
            match self.publish_on(&mut setbacks, &mut pause).await {
                Stop::Closed => return,
                Stop::SetBack => {}
                Stop::Failed => {
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    fn channels(&self) -> Vec<&'static str> {
        self.plan.channels.iter().map(|channel| channel.name()).collect()
    }

    /// Publishes until something fails.
    async fn publish_on(&mut self, setbacks: &mut watch::Receiver<u64>, pause: &mut Duration) -> Stop {
        let mut look: Interval = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if setbacks.has_changed().unwrap_or(true) {
                return Stop::SetBack;
            }
            if self.behind.swap(false, Ordering::AcqRel) && !self.catch_up().await {
                return Stop::Failed;
            }
            let mut batch = Vec::with_capacity(BATCH_MAX);
            let whole = tokio::select! {
                // The first three come rarely, and must come under load too.
                biased;
                changed = setbacks.changed() => return if changed.is_ok() { Stop::SetBack } else { Stop::Closed },
                _ = look.tick() => {
                    let records = due(&self.plan.hub, &self.plan.aside, &self.plan.channels).await;
                    self.publish(records).await
                }
                Some(again) = self.asked.recv() => self.publish_again(again).await,
                got = self.offered.recv_many(&mut batch, BATCH_MAX) => {
                    if got == 0 { return Stop::Closed; }
                    batch.retain(|record| !self.confirmed.contains(&record.id));
                    self.publish(batch).await
                }
            };
            if !whole {
                return Stop::Failed;
            }
            *pause = PAUSE.0;
            self.forget_applied().await;
        }
    }

    /// Hands records over. False if one was not taken that may be taken later.
    async fn publish(&mut self, records: Vec<Record>) -> bool {
        if records.is_empty() {
            return true;
        }
        let outcomes = self.plan.broker.publish(records.clone()).await;
        fail::fail_point!("publish.after_send", |_| false);
        let mut whole = true;
        let mut told = false;
        for (record, outcome) in records.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => {
                    self.confirmed.insert(record.id);
                }
                Err(error @ PublishError::TooLarge) => self.bury(&record, &error).await,
                Err(error) => {
                    whole = false;
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(delivery = %record.id, %error, "the broker did not take a record");
                    }
                }
            }
        }
        fail::fail_point!("publish.after_confirm", |_| false);
        whole
    }

    /// Reads what is open and was not confirmed, and publishes it, oldest first. False if the broker failed.
    async fn catch_up(&mut self) -> bool {
        // Whatever is offered by now is in the store; whatever is offered from now on stays in the queue.
        while self.offered.try_recv().is_ok() {}
        for channel in self.plan.channels.clone() {
            let open = match self.plan.hub.store.open_deliveries(channel.name(), READ_MAX).await {
                Ok(open) => open,
                Err(error) => {
                    tracing::warn!(channel = channel.name(), %error, "cannot read open deliveries");
                    return self.read_again().await;
                }
            };
            let read_all = open.len() < READ_MAX;
            let missing = open.into_iter().filter(|one| !self.confirmed.contains(&one.id)).collect();
            if !self.publish_open(missing).await {
                return false;
            }
            if !read_all {
                self.read_again().await;
            }
        }
        true
    }

    async fn read_again(&self) -> bool {
        self.behind.store(true, Ordering::Release);
        sleep(READ_AGAIN).await;
        true
    }

    /// Publishes open deliveries that do not stand aside. False if the broker failed.
    async fn publish_open(&mut self, open: Vec<OpenDelivery>) -> bool {
        let ready: Vec<_> = open.into_iter().filter(|one| one.state == DeliveryState::Ready).collect();
        for some in ready.chunks(BATCH_MAX) {
            let mut records = Vec::with_capacity(some.len());
            for delivery in some {
                match record_again(&self.plan.hub, delivery, false).await {
                    Ok(record) => records.extend(record),
                    Err(error) => {
                        tracing::warn!(delivery = %delivery.id, %error, "cannot be read");
                        return self.read_again().await;
                    }
                }
            }
            if !self.publish(records).await {
                return false;
            }
        }
        true
    }

    /// Publishes again what was confirmed, and not applied for long. False if the broker failed.
    async fn publish_again(&mut self, again: Again) -> bool {
        let before = self.plan.hub.clock.now().minus(again.older_than);
        let mut old = Vec::new();
        for channel in &self.plan.channels {
            match self.plan.hub.store.open_deliveries(channel.name(), READ_MAX).await {
                Ok(open) => old.extend(open.into_iter().filter(|one| one.created_at <= before)),
                Err(error) => {
                    let _ = again.answer.send(Err(error));
                    return true;
                }
            }
        }
        old.retain(|one| one.state == DeliveryState::Ready);
        let count = old.len();
        let whole = self.publish_open(old).await;
        let _ = again.answer.send(Ok(count));
        whole
    }

    /// What was applied need not be remembered.
    async fn forget_applied(&mut self) {
        if self.confirmed.len() < REMEMBERED_MAX {
            return;
        }
        let mut open = HashSet::new();
        for channel in &self.plan.channels {
            match self.plan.hub.store.open_deliveries(channel.name(), READ_MAX).await {
                Ok(found) => open.extend(found.into_iter().map(|delivery| delivery.id)),
                Err(_) => return,
            }
        }
        self.confirmed.retain(|id| open.contains(id));
    }

    /// A record that the broker will never take has its end here.
    async fn bury(&self, record: &Record, refused: &PublishError) {
        let delivery = OpenDelivery {
            id: record.id,
            destination: Arc::clone(&record.channel),
            lane: record.key,
            state: DeliveryState::Ready,
            attempts: record.attempts,
            created_at: record.created_at,
            next_at: None,
            route: Arc::clone(&record.route),
            source: Arc::clone(&record.source),
            charges: record.charges,
        };
        let cause = Cause::new("HUB0507", &refused.to_string());
        if let Err(error) = bury_delivery(&self.plan.hub, &delivery, cause).await {
            tracing::error!(delivery = %record.id, %error, "cannot be made a dead letter");
        }
    }
}
