//! The embedded broker: outbox rows straight to the consumer, in this process.
//!
//! It holds nothing of value: a record is a copy of a row, and the row stays open until its effect is
//! committed. A full partition makes the publisher wait (H6).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{Broker, Consumption, PublishError, Record};

/// Records that wait in one partition at most.
pub const PARTITION_MAX: usize = 1024;

type Partitions = Vec<Box<dyn Consumption>>;

/// The embedded broker.
pub struct Embedded {
    partitions: HashMap<Arc<str>, Vec<mpsc::Sender<Record>>>,
    consumptions: Mutex<HashMap<Arc<str>, Partitions>>,
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
        Embedded { partitions: senders, consumptions: Mutex::new(consumptions) }
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
    (sender, Box::new(Partition { receiver, handed_out: VecDeque::new(), again: VecDeque::new() }))
}

/// Records of one key go to one partition; records without a key go where their message says.
fn place_of(record: &Record, partitions: usize) -> usize {
    let seed = match record.key {
        Some([first, second, ..]) => usize::from(first) << 8 | usize::from(second),
        None => usize::try_from(record.id.message.0).unwrap_or(0),
    };
    seed.checked_rem(partitions).unwrap_or(0)
}

#[async_trait]
impl Broker for Embedded {
    async fn publish(&self, records: Vec<Record>) -> Vec<Result<(), PublishError>> {
        let mut confirmed = Vec::with_capacity(records.len());
        for record in records {
            confirmed.push(self.publish_one(record).await);
        }
        confirmed
    }

    fn consume(&self, channel: &str) -> Vec<Box<dyn Consumption>> {
        let taken = self.consumptions.lock().ok().and_then(|mut all| all.remove(channel));
        taken.unwrap_or_default()
    }

    fn is_durable(&self) -> bool {
        false
    }
}

struct Partition {
    receiver: mpsc::Receiver<Record>,
    handed_out: VecDeque<Record>,
    again: VecDeque<Record>,
}

#[async_trait]
impl Consumption for Partition {
    async fn next(&mut self, max: usize) -> Option<Vec<Record>> {
        let max = max.max(1);
        let mut records: Vec<Record> = Vec::new();
        while records.len() < max {
            let Some(record) = self.again.pop_front() else { break };
            records.push(record);
        }
        if records.is_empty() && self.receiver.recv_many(&mut records, max).await == 0 {
            return None;
        }
        self.handed_out.extend(records.iter().cloned());
        Some(records)
    }

    async fn acknowledge(&mut self, count: usize) {
        self.handed_out.drain(..count.min(self.handed_out.len()));
    }

    async fn redeliver(&mut self) {
        while let Some(record) = self.handed_out.pop_back() {
            self.again.push_front(record);
        }
    }
}
