//! Brokers: what carries records from the outbox to the domain actors.
//!
//! A channel is a logical name; the settings bind it to a broker. Every broker keeps the same promises,
//! and passes the same contract suite: records of one key stay in order; a record is confirmed only when
//! the broker has it; it is handed out again until it is acknowledged. The journal, not the broker, is
//! the truth.

pub mod attributes;
#[cfg(test)]
mod contract;
pub mod embedded;
mod hand;
pub mod kafka;
pub mod rabbitmq;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use adapters::clock::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::store::{DeliveryId, Lane};

/// One output on its way to a channel: CloudEvents 1.0 in binary mode. Attributes hold no patient data.
#[derive(Clone, Debug)]
pub struct Record {
    /// `ce_id`, and the inbox key.
    pub id: DeliveryId,
    /// The channel.
    pub channel: Arc<str>,
    /// The key that keeps its order: an HMAC.
    pub key: Option<Lane>,
    /// The command for the domain actor.
    pub command: Option<Arc<str>>,
    /// `MedicationRequest`.
    pub kind: Arc<str>,
    /// The source of the message: whose numbers these are.
    pub source: Arc<str>,
    /// The route that made it.
    pub route: Arc<str>,
    /// When the delivery was made: from here on counts when to give up.
    pub created_at: Timestamp,
    /// Attempts before this one.
    pub attempts: u32,
    /// How often its message was charged before.
    pub charges: u32,
    /// It was under way when the process died: it goes alone, so that blame is certain.
    pub suspect: bool,
    /// The document.
    pub body: Bytes,
}

/// Why a broker did not take a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Nobody consumes the channel here.
    #[error("HUB0501 no broker carries the channel {0}")]
    NoChannel(Arc<str>),
    /// The broker has stopped.
    #[error("HUB0502 the broker has stopped")]
    Stopped,
    /// The broker cannot be reached or used now. What it confirmed before may be lost.
    #[error("HUB0503 the broker cannot be used: {0}")]
    Away(Arc<str>),
    /// The broker has no queue or topic for the record.
    #[error("HUB0504 the broker has no place for the record")]
    Unroutable,
    /// The broker said no.
    #[error("HUB0505 the broker refused the record: {0}")]
    Refused(Arc<str>),
    /// The broker said nothing: it may have the record.
    #[error("HUB0506 the broker did not confirm in time")]
    Unconfirmed,
    /// The broker will never take a record of this size.
    #[error("HUB0507 the record is larger than the broker takes")]
    TooLarge,
    /// A record before it, of the same key, was not confirmed.
    #[error("HUB0508 a record of the same key before it was not confirmed")]
    Behind,
}

/// How a broker stands, for those who watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why it cannot be used now.
    pub trouble: Option<Arc<str>>,
    /// It asks publishers to wait.
    pub blocked: bool,
    /// Records that wait in it, by channel, as far as is known.
    pub waiting: BTreeMap<Arc<str>, u64>,
}

/// The partitions of a channel, as they are given to this process.
pub type Partitions = BoxStream<'static, Box<dyn Consumption>>;

/// Carries records.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Makes the broker ready for records: connected, with the place of every channel there. To be called before the
    /// first [`publish`](Self::publish), and after any that failed and every setback. Between the one and the other,
    /// what was confirmed may have been lost: whoever publishes begins again with all that is not applied, so that
    /// nothing newer overtakes it (H5).
    async fn prepare(&self) -> Result<(), PublishError>;

    /// Hands over `records`, in order. Done only on a true confirm, for each. A record whose key has one before it
    /// that was not confirmed is not handed over.
    async fn publish(&self, records: Vec<Record>) -> Vec<Result<(), PublishError>>;

    /// Takes up the channel: its partitions, now and as they come later. A key is always in the same partition.
    fn consume(&self, channel: &str) -> Partitions;

    /// Whether a confirmed record outlives this process.
    fn is_durable(&self) -> bool;

    /// Changes whenever what was confirmed may have been lost.
    fn setbacks(&self) -> watch::Receiver<u64>;

    /// How it stands.
    fn standing(&self) -> Standing;
}

/// One partition of a channel, in the hands of one consumer.
#[async_trait]
pub trait Consumption: Send + Sync {
    /// The next records, at least one, at most `max`; none when the partition is taken away or the broker has stopped.
    /// What was handed out and not acknowledged is not handed out again before [`redeliver`](Self::redeliver), unless
    /// the broker lost sight of it. May be dropped while it waits.
    async fn next(&mut self, max: usize) -> Option<Vec<Record>>;

    /// The first `count` records that were handed out are done.
    async fn acknowledge(&mut self, count: usize);

    /// Everything handed out and not acknowledged comes again, in order.
    async fn redeliver(&mut self);
}

/// Records of one key go to one of `partitions` places; records without a key go where their message says.
fn place_of(record: &Record, partitions: usize) -> usize {
    let seed = match record.key {
        Some([first, second, ..]) => usize::from(first) << 8 | usize::from(second),
        None => usize::try_from(record.id.message.0).unwrap_or(0),
    };
    seed.checked_rem(partitions).unwrap_or(0)
}
