//! Brokers: what carries records from the outbox to the domain actors.
//!
//! A channel is a logical name; the settings bind it to a broker. Every broker keeps the same promises,
//! and passes the same contract suite: records of one key stay in order; a record is confirmed only when
//! the broker has it; it is handed out again until it is acknowledged. The journal, not the broker, is
//! the truth.

#[cfg(test)]
mod contract;
pub mod embedded;

use std::sync::Arc;

use adapters::clock::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;

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
}

/// Carries records.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Hands over `records`, in order. Done only on a true confirm, for each.
    async fn publish(&self, records: Vec<Record>) -> Vec<Result<(), PublishError>>;

    /// Takes up the channel: one consumption a partition. A key is always in the same partition.
    fn consume(&self, channel: &str) -> Vec<Box<dyn Consumption>>;

    /// Whether a confirmed record outlives this process. If not, its delivery stays open until applied.
    fn is_durable(&self) -> bool;
}

/// One partition of a channel, in the hands of one consumer.
#[async_trait]
pub trait Consumption: Send + Sync {
    /// The next records, at least one, at most `max`; none when the broker has stopped.
    /// What was handed out and not acknowledged is not handed out again before [`redeliver`](Self::redeliver).
    async fn next(&mut self, max: usize) -> Option<Vec<Record>>;

    /// The first `count` records that were handed out are done.
    async fn acknowledge(&mut self, count: usize);

    /// Everything handed out and not acknowledged comes again, in order.
    async fn redeliver(&mut self);
}
