//! The consumer of one topic: partitions that the group gives and takes, each with its own back-pressure.
//!
//! In come messages of all partitions that this process has; each partition gets its own, in order. A partition that
//! has enough is paused, and resumed when there is room (H6). One that is taken away ends, and what is acknowledged of
//! it afterwards is not stored: another process has it now.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::statistics::Statistics;
use rdkafka::{Message, TopicPartitionList};
use tokio::sync::{Notify, mpsc, watch};

use super::Shared;
use super::client::{Fault, Observer, consumer_config};
use super::message::record_in;
use crate::broker::hand::Hand;
use crate::broker::{Consumption, Record};

/// Records of one partition that wait for their consumer at most.
const WAITING_MAX: usize = 1_024;
/// A partition with so little room is paused.
const PAUSE_AT: usize = WAITING_MAX / 2;
/// A partition with so much room goes on.
const RESUME_AT: usize = WAITING_MAX - WAITING_MAX / 8;
/// Pause before a consumer is made again that could not be made.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest time that a consumer has to leave its group.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// What is read, and who gets it.
pub(super) struct Reading {
    pub(super) channel: Arc<str>,
    pub(super) topic: String,
    pub(super) given: mpsc::Sender<Box<dyn Consumption>>,
}

type GroupConsumer = StreamConsumer<Member>;

/// A record with its offset.
type Item = (Record, i64);

/// Reads the topic until the broker is dropped. After a setback everything begins anew.
pub(super) async fn follow(shared: Arc<Shared>, reading: Reading, mut closed: watch::Receiver<bool>) {
    let reading = Arc::new(reading);
    let mut setbacks = shared.setbacks.subscribe();
    loop {
        let there = shared.topics_there.read().await;
        setbacks.borrow_and_update();
        let ended = match Membership::begin(&shared, &reading) {
            Ok(membership) => {
                let ended = tokio::select! {
                    _ = closed.wait_for(|closed| *closed) => true,
                    _ = setbacks.changed() => false,
                    () = membership.dispatch(&shared) => false,
                };
                membership.leave().await;
                ended
            }
            Err(fault) => {
                let text: Arc<str> = fault.to_string().into();
                shared.note(|standing| standing.text = Some(text));
                false
            }
        };
        drop(there);
        if ended {
            return;
        }
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// One membership of the group.
struct Membership {
    consumer: Arc<GroupConsumer>,
    reading: Arc<Reading>,
    room: Arc<Notify>,
}

impl Membership {
    fn begin(shared: &Arc<Shared>, reading: &Arc<Reading>) -> Result<Membership, Fault> {
        let room = Arc::new(Notify::new());
        let member = Member {
            observer: shared.observer(),
            shared: Arc::downgrade(shared),
            reading: Arc::clone(reading),
            assigned: Mutex::default(),
            room: Arc::clone(&room),
            consumer: Arc::new(OnceLock::new()),
            was_there: AtomicBool::new(false),
        };
        let own = Arc::clone(&member.consumer);
        let group = format!("{}.{}", shared.options.group, reading.channel);
        let config = consumer_config(&shared.options.access, &group);
        let consumer: GroupConsumer = config.create_with_context(member).map_err(|error| Fault::of(&error))?;
        let consumer = Arc::new(consumer);
        let _ = own.set(Arc::downgrade(&consumer));
        consumer.subscribe(&[&reading.topic]).map_err(|error| Fault::of(&error))?;
        Ok(Membership { consumer, reading: Arc::clone(reading), room })
    }

    /// Gives each message to its partition; comes back when the topic is gone.
    async fn dispatch(&self, shared: &Shared) {
        let mut paused = HashSet::new();
        loop {
            let came = tokio::select! {
                came = self.consumer.recv() => came,
                () = self.room.notified() => {
                    self.resume(&mut paused);
                    continue;
                }
            };
            match came {
                Ok(message) => self.give(&message, &mut paused).await,
                Err(error) => {
                    tracing::debug!(topic = self.reading.topic, %error, "cannot read");
                    let unknown = RDKafkaErrorCode::UnknownTopicOrPartition;
                    if error.rdkafka_error_code() == Some(unknown) {
                        let fault = Fault::NoTopic(self.reading.topic.clone());
                        shared.note(|standing| standing.text = Some(fault.to_string().into()));
                        shared.set_back();
                        return;
                    }
                    self.consumer.context().hear(&error);
                }
            }
        }
    }

    async fn give(&self, message: &BorrowedMessage<'_>, paused: &mut HashSet<i32>) {
        let partition = message.partition();
        let record = match record_in(message) {
            Ok(record) => record,
            Err(error) => {
                let (topic, offset) = (&self.reading.topic, message.offset());
                tracing::error!(topic, partition, offset, %error, "left where it is");
                return;
            }
        };
        // Gone: it was taken away meanwhile, or nobody asks any more.
        let Some(waiting) = self.consumer.context().waiting(partition) else { return };
        if waiting.send((record, message.offset())).await.is_ok() && waiting.capacity() < PAUSE_AT {
            let list = self.list(&[partition]);
            if self.consumer.pause(&list).is_ok() {
                paused.insert(partition);
            }
        }
    }

    fn resume(&self, paused: &mut HashSet<i32>) {
        let has_room = |partition: &i32| {
            let waiting = self.consumer.context().waiting(*partition);
            waiting.is_none_or(|waiting| waiting.capacity() >= RESUME_AT)
        };
        let again: Vec<i32> = paused.iter().copied().filter(has_room).collect();
        if !again.is_empty() && self.consumer.resume(&self.list(&again)).is_ok() {
            paused.retain(|partition| !again.contains(partition));
        }
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.reading.topic, *partition);
        }
        list
    }

    /// Commits what is stored, and leaves the group.
    async fn leave(self) {
        self.consumer.context().end_all();
        let left = tokio::task::spawn_blocking(move || drop(self));
        if tokio::time::timeout(LEAVE_WITHIN, left).await.is_err() {
            tracing::debug!("a consumer does not leave its group in time");
        }
    }
}

/// What the group tells of this member.
struct Member {
    observer: Observer,
    shared: Weak<Shared>,
    reading: Arc<Reading>,
    assigned: Mutex<HashMap<i32, Assigned>>,
    room: Arc<Notify>,
    consumer: Arc<OnceLock<Weak<GroupConsumer>>>,
    /// It had partitions: only what was there can be lost.
    was_there: AtomicBool,
}

/// A partition that this process has.
struct Assigned {
    waiting: mpsc::Sender<Item>,
    revoked: Arc<AtomicBool>,
}

impl Drop for Assigned {
    fn drop(&mut self) {
        self.revoked.store(true, Ordering::Release);
    }
}

impl Member {
    fn waiting(&self, partition: i32) -> Option<mpsc::Sender<Item>> {
        self.assigned.lock().ok()?.get(&partition).map(|assigned| assigned.waiting.clone())
    }

    fn assign(&self, partition: i32) {
        let (waiting, records) = mpsc::channel(WAITING_MAX);
        let revoked = Arc::new(AtomicBool::new(false));
        let given = Partition {
            records,
            hand: Hand::default(),
            revoked: Arc::clone(&revoked),
            room: Arc::clone(&self.room),
            consumer: Arc::clone(&self.consumer),
            topic: self.reading.topic.clone(),
            partition,
        };
        if let Ok(mut assigned) = self.assigned.lock() {
            assigned.insert(partition, Assigned { waiting, revoked });
        }
        // Nobody hears it once the hub goes down.
        if self.reading.given.try_send(Box::new(given)).is_err() {
            // Nobody takes partitions up: the hub goes down, or is stuck, which its watchdog sees.
            tracing::warn!(topic = self.reading.topic, "a partition is taken up by nobody");
        }
    }

    fn revoke(&self, partition: i32) {
        if let Ok(mut assigned) = self.assigned.lock() {
            assigned.remove(&partition);
        }
    }

    fn end_all(&self) {
        if let Ok(mut assigned) = self.assigned.lock() {
            assigned.clear();
        }
    }

    fn hear(&self, error: &KafkaError) {
        self.observer.hear(error, self.was_there.load(Ordering::Acquire));
    }

    fn of(&self, list: &TopicPartitionList) -> Vec<i32> {
        list.elements_for_topic(&self.reading.topic).iter().map(|element| element.partition()).collect()
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.observer.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, _reason: &str) {
        self.hear(&error);
    }

    fn stats(&self, statistics: Statistics) {
        let Some(shared) = self.shared.upgrade() else { return };
        let Some(topic) = statistics.topics.get(&self.reading.topic) else { return };
        shared.note(|standing| {
            standing.lag.retain(|(channel, _), _| *channel != self.reading.channel);
            for (partition, figures) in &topic.partitions {
                if let Ok(lag) = u64::try_from(figures.consumer_lag_stored) {
                    standing.lag.insert((Arc::clone(&self.reading.channel), *partition), lag);
                }
            }
        });
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            for partition in self.of(list) {
                self.revoke(partition);
            }
        }
    }

    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.was_there.store(true, Ordering::Release);
                for partition in self.of(list) {
                    self.assign(partition);
                }
                if let Some(shared) = self.shared.upgrade() {
                    shared.note(|standing| standing.text = None);
                }
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => self.hear(error),
        }
    }
}

/// One partition in the hands of one consumer.
struct Partition {
    records: mpsc::Receiver<Item>,
    hand: Hand<Item>,
    revoked: Arc<AtomicBool>,
    room: Arc<Notify>,
    consumer: Arc<OnceLock<Weak<GroupConsumer>>>,
    topic: String,
    partition: i32,
}

#[async_trait]
impl Consumption for Partition {
    async fn next(&mut self, max: usize) -> Option<Vec<Record>> {
        if self.revoked.load(Ordering::Acquire) {
            return None;
        }
        let max = max.max(1);
        let mut items = self.hand.take_again(max);
        if items.is_empty() {
            if self.records.recv_many(&mut items, max).await == 0 || self.revoked.load(Ordering::Acquire) {
                return None;
            }
            self.hand.hand_out(&items);
            self.room.notify_one();
        }
        Some(items.into_iter().map(|(record, _)| record).collect())
    }

    async fn acknowledge(&mut self, count: usize) {
        let done = self.hand.acknowledge(count);
        let Some((_, offset)) = done.last() else { return };
        if self.revoked.load(Ordering::Acquire) {
            return;
        }
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else { return };
        if let Err(error) = consumer.store_offset(&self.topic, self.partition, *offset) {
            tracing::debug!(topic = self.topic, partition = self.partition, %error, "not stored: it comes again");
        }
    }

    async fn redeliver(&mut self) {
        self.hand.redeliver();
    }
}
