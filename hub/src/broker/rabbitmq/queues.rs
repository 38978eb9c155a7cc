//! The queues of the channels: their names, what they are declared with, and how much waits in them.
//!
//! Quorum queues: on a majority of nodes, and faster to confirm than classic ones. A delivery limit needs a dead-letter
//! exchange, or the message is dropped without a word; at-least-once dead-lettering needs `reject-publish`.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::link::{Fault, Link};

/// Deliveries of one record until RabbitMQ takes it for poisoned. The hub charges poisoned records long before; each
/// lost connection counts as one.
const DELIVERY_LIMIT: i64 = 100;
/// Copies in the queue for dead letters; older ones go first. The journal has the truth.
const DEAD_LETTERS_MAX: i64 = 100_000;
/// The queue for dead letters, after the prefix.
const DEAD_LETTER: &str = "dead-letter";
/// Longest name of a queue in bytes (AMQP short string).
const NAME_BYTES_MAX: usize = 255;

/// All queues of a broker.
pub struct Queues {
    channels: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    dead_letter: Arc<str>,
    partitions: usize,
}

impl Queues {
    /// `partitions` queues a channel: `hub.prescription.0`.
    pub fn new(prefix: &str, channels: &[Arc<str>], partitions: usize) -> Queues {
        let partitions = partitions.max(1);
        let names = |channel: &Arc<str>| (0..partitions).map(|n| format!("{prefix}{channel}.{n}").into()).collect();
        let channels = channels.iter().map(|channel| (Arc::clone(channel), names(channel))).collect();
        Queues { channels, dead_letter: format!("{prefix}{DEAD_LETTER}").into(), partitions }
    }

    /// Queues of each channel.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// The queues of a channel.
    pub fn of_channel(&self, channel: &str) -> Vec<Arc<str>> {
        self.channels.get(channel).cloned().unwrap_or_default()
    }

    /// One queue of a channel.
    pub fn of(&self, channel: &str, place: usize) -> Option<ShortString> {
        let name = self.channels.get(channel)?.get(place)?;
        ShortString::try_new(name.as_ref()).ok()
    }

    /// Declares every queue; gives a channel that is open. One that exists with other arguments is an error.
    pub async fn declare(&self, link: &Link, channel: Channel) -> Result<Channel, Fault> {
        let mut wanted = vec![(&self.dead_letter, dead_letter_arguments())];
        wanted.extend(self.channels.values().flatten().map(|name| (name, self.arguments())));
        for (name, arguments) in wanted {
            let declared = channel.queue_declare(short(name)?, QueueDeclareOptions::durable(), arguments).await;
            declared?;
        }
        // An error would have closed the channel.
        if channel.status().connected() { Ok(channel) } else { link.channel().await }
    }

    /// Records that wait, by channel. What is on its way to a consumer does not count.
    pub async fn depth(&self, link: &Link) -> Result<BTreeMap<Arc<str>, u64>, Fault> {
        let channel = link.channel().await?;
        let mut depth = BTreeMap::new();
        for (name, queues) in &self.channels {
            let mut waiting = 0;
            for queue in queues {
                let passive = QueueDeclareOptions::durable().passive();
                let found = channel.queue_declare(short(queue)?, passive, FieldTable::default()).await?;
                waiting += u64::from(found.message_count());
            }
            depth.insert(Arc::clone(name), waiting);
        }
        Ok(depth)
    }

    fn arguments(&self) -> FieldTable {
        table(&[
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&self.dead_letter)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ])
    }
}

fn dead_letter_arguments() -> FieldTable {
    table(&[
        ("x-queue-type", text("quorum")),
        ("x-max-length", AMQPValue::LongLongInt(DEAD_LETTERS_MAX)),
        ("x-overflow", text("drop-head")),
    ])
}

fn table(entries: &[(&'static str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn short(name: &str) -> Result<ShortString, Fault> {
    let too_long = |_| Fault::Access(format!("the name of a queue is longer than {NAME_BYTES_MAX} bytes"));
    ShortString::try_new(name).map_err(too_long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_a_queue_for_each_partition() {
        let queues = Queues::new("hub.", &["prescription".into(), "claims".into()], 2);
        let of_claims = queues.of_channel("claims");
        assert_eq!(of_claims.iter().map(|name| &**name).collect::<Vec<_>>(), ["hub.claims.0", "hub.claims.1"]);
        assert_eq!(queues.of("prescription", 1).map(|name| name.to_string()).as_deref(), Some("hub.prescription.1"));
        assert_eq!((queues.of("prescription", 2), queues.of("dispense", 0)), (None, None));
    }
}
