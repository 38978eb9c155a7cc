//! The embedded broker: outbox rows straight to the consumer, in this process.
//!
//! It holds nothing of value: a record is a copy of a row, and the row stays open until its effect is
//! committed. A full partition makes the publisher wait (H6).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use tokio::sync::{mpsc, watch};

use super::hand::Hand;
use super::{Broker, Consumption, Partitions, PublishError, Record, Standing, place_of};

/// Records that wait in one partition at most.
pub const PARTITION_MAX: usize = 1024;

/// By channel, what nobody consumes yet.
type Untaken = HashMap<Arc<str>, Vec<Box<dyn Consumption>>>;

/// The embedded broker.
pub struct Embedded {
    partitions: HashMap<Arc<str>, Vec<mpsc::Sender<Record>>>,
    consumptions: Mutex<Untaken>,
    /// Nothing is lost here without the process.
    setbacks: watch::Sender<u64>,
}

impl Embedded {
    /// A broker for these channels, each in so many partitions.
    pub fn new(channels: &[&str], partitions: usize) -> Embedded {
        let mut senders = HashMap::new();
        let mut consumptions = HashMap::new();
        for channel in channels {
            let name: Arc<str> = Arc::from(*channel);
            let (sending, receiving): (Vec<_>, Vec<_>) = (0..partitions.max(1)).map(|_| partition()).unzip();
            senders.insert(Arc::clone(&name), sending);
            consumptions.insert(name, receiving);
        }
        Embedded { partitions: senders, consumptions: Mutex::new(consumptions), setbacks: watch::Sender::new(0) }
    }

    async fn publish_one(&self, record: Record) -> Result<(), PublishError> {
        let Some(partitions) = self.partitions.get(&record.channel) else {
            return Err(PublishError::NoChannel(record.channel));
        };
        let place = place_of(&record, partitions.len());
        let Some(partition) = partitions.get(place) else { return Err(PublishError::Stopped) };
        partition.send(record).await.map_err(|_| PublishError::Stopped)
    }
}

fn partition() -> (mpsc::Sender<Record>, Box<dyn Consumption>) {
    let (sender, receiver) = mpsc::channel(PARTITION_MAX);
    (sender, Box::new(Partition { receiver, hand: Hand::default() }))
}

#[async_trait]
impl Broker for Embedded {
    async fn prepare(&self) -> Result<(), PublishError> {
        Ok(())
    }

    async fn publish(&self, records: Vec<Record>) -> Vec<Result<(), PublishError>> {
        let mut confirmed = Vec::with_capacity(records.len());
        for record in records {
            confirmed.push(self.publish_one(record).await);
        }
        confirmed
    }

    fn consume(&self, channel: &str) -> Partitions {
        let taken = self.consumptions.lock().ok().and_then(|mut all| all.remove(channel));
        stream::iter(taken.unwrap_or_default()).boxed()
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn setbacks(&self) -> watch::Receiver<u64> {
        self.setbacks.subscribe()
    }

    fn standing(&self) -> Standing {
        Standing::default()
    }
}

struct Partition {
    receiver: mpsc::Receiver<Record>,
    hand: Hand<Record>,
}

#[async_trait]
impl Consumption for Partition {
    async fn next(&mut self, max: usize) -> Option<Vec<Record>> {
        let max = max.max(1);
        let again = self.hand.take_again(max);
        if !again.is_empty() {
            return Some(again);
        }
        let mut records: Vec<Record> = Vec::new();
        if self.receiver.recv_many(&mut records, max).await == 0 {
            return None;
        }
        self.hand.hand_out(&records);
        Some(records)
    }

    async fn acknowledge(&mut self, count: usize) {
        self.hand.acknowledge(count);
    }

    async fn redeliver(&mut self) {
        self.hand.redeliver();
    }
}
