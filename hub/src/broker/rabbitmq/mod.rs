//! RabbitMQ as a broker: work queues for the commands to the domain actors.
//!
//! In come records; each goes to the queue of its partition, `hub.prescription.0`, and is done when the broker
//! confirmed it and did not return it: a confirm alone says nothing, for a message that no queue took is confirmed
//! too. Queues are quorum queues with one active consumer each, so that the order of a key holds with several hubs
//! (H5); what is delivered too often, or is no record, goes to `hub.dead-letter`. Publishers and consumers have a
//! connection each: an alarm of the broker stops the first and not the second. Refused: a queue of the same name with
//! other arguments.

mod link;
mod message;
mod partition;
mod queues;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::sync::watch;
use tokio::time::timeout;

use self::link::Link;
pub use self::link::{Access, Fault};
use self::message::properties_of;
use self::partition::Partition;
use self::queues::Queues;
use super::window::in_window;
use super::{Broker, Consumption, Partitions, PublishError, Record, Standing, place_of};

/// Records on their way to the broker at once. More gave no more in measurements.
const WINDOW_MAX: usize = 64;
/// Longest wait for a confirm while the broker does not say that it is blocked.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(15);
/// How often a wait looks whether the broker is blocked.
const BLOCKED_LOOK: Duration = Duration::from_millis(100);
/// How often the depth of the queues is asked for.
const DEPTH_EVERY: Duration = Duration::from_secs(5);

/// What RabbitMQ is to carry, and how it is reached.
#[derive(Clone)]
pub struct Options {
    /// How it is reached.
    pub access: Access,
    /// Before the names of queues: `hub.`.
    pub prefix: String,
    /// The channels.
    pub channels: Vec<Arc<str>>,
    /// Queues of each channel.
    pub partitions: usize,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("access", &self.access).field("channels", &self.channels).finish()
    }
}

/// RabbitMQ.
pub struct RabbitMq {
    shared: Arc<Shared>,
    closed: watch::Sender<bool>,
}

/// What publisher, partitions and watch have in common.
struct Shared {
    queues: Queues,
    publishing: Link,
    consuming: Link,
    /// Where records are published; none before [`Broker::prepare`], and after a failure.
    outlet: Mutex<Option<Outlet>>,
    setbacks: watch::Sender<u64>,
    standing: Mutex<Trouble>,
}

#[derive(Clone)]
struct Outlet {
    channel: Channel,
    /// The setback that it followed.
    setback: u64,
}

#[derive(Default)]
struct Trouble {
    publishing: Option<Arc<str>>,
    consuming: Option<Arc<str>>,
    depth: BTreeMap<Arc<str>, u64>,
}

impl Shared {
    /// What was confirmed may be lost.
    fn set_back(&self) {
        self.setbacks.send_modify(|count| *count += 1);
    }

    fn note(&self, change: impl FnOnce(&mut Trouble)) {
        if let Ok(mut standing) = self.standing.lock() {
            change(&mut standing);
        }
    }

    /// Where records go now.
    fn outlet(&self) -> Option<Channel> {
        let outlet = self.outlet.lock().ok()?.clone()?;
        let fresh = outlet.setback == *self.setbacks.borrow() && outlet.channel.status().connected();
        fresh.then_some(outlet.channel)
    }

    async fn open_outlet(&self) -> Result<(), Fault> {
        let setback = *self.setbacks.borrow();
        let channel = self.publishing.channel().await?;
        let channel = self.queues.declare(&self.publishing, channel).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        if let Ok(mut outlet) = self.outlet.lock() {
            *outlet = Some(Outlet { channel, setback });
        }
        Ok(())
    }

    async fn send(&self, channel: &Channel, record: Record) -> Result<(), PublishError> {
        let queue = self.queues.of(&record.channel, place_of(&record, self.queues.partitions()));
        let Some(queue) = queue else { return Err(PublishError::NoChannel(record.channel)) };
        self.wait_while_blocked(channel).await?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = channel.basic_publish("".into(), queue, options, &record.body, properties_of(&record));
        let confirmed = self.confirmation(channel, sent.await.map_err(away)?).await?;
        match confirmed {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(PublishError::Unroutable),
            Confirmation::Nack(None) => Err(PublishError::Refused("the queue took it not".into())),
            Confirmation::NotRequested => Err(PublishError::Unconfirmed),
        }
    }

    /// Nothing is sent into an alarm.
    async fn wait_while_blocked(&self, channel: &Channel) -> Result<(), PublishError> {
        while self.publishing.is_blocked() {
            if !channel.status().connected() {
                return Err(PublishError::Away("the connection ended while the broker was blocked".into()));
            }
            tokio::time::sleep(BLOCKED_LOOK).await;
        }
        Ok(())
    }

    /// Waits for the confirm. The time in which the broker is blocked does not count.
    async fn confirmation(&self, channel: &Channel, confirm: PublisherConfirm) -> Result<Confirmation, PublishError> {
        let mut confirm = std::pin::pin!(confirm);
        loop {
            match timeout(CONFIRM_DEADLINE, &mut confirm).await {
                Ok(confirmed) => return confirmed.map_err(away),
                Err(_) if self.publishing.is_blocked() && channel.status().connected() => {}
                Err(_) => return Err(PublishError::Unconfirmed),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is used in `map_err`")]
fn away(error: lapin::Error) -> PublishError {
    PublishError::Away(error.to_string().into())
}

impl RabbitMq {
    /// A broker that is not connected yet.
    pub fn new(options: &Options) -> RabbitMq {
        let closed = watch::Sender::new(false);
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| {
            let lost = Weak::clone(shared);
            let on_loss = Arc::new(move || {
                if let Some(broker) = lost.upgrade() {
                    broker.set_back();
                }
            });
            Shared {
                queues: Queues::new(&options.prefix, &options.channels, options.partitions),
                publishing: Link::new(options.access.clone(), "hub publisher", on_loss),
                consuming: Link::new(options.access.clone(), "hub consumer", Arc::new(|| ())),
                outlet: Mutex::default(),
                setbacks: watch::Sender::new(0),
                standing: Mutex::default(),
            }
        });
        tokio::spawn(look_at_depth(Arc::clone(&shared), closed.subscribe()));
        RabbitMq { shared, closed }
    }

    /// Whether it can be used: connected, with every queue declared as it is wanted.
    pub async fn check(&self) -> Result<(), Fault> {
        self.shared.open_outlet().await
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.closed.send_replace(true);
    }
}

#[async_trait]
impl Broker for RabbitMq {
    async fn prepare(&self) -> Result<(), PublishError> {
        let opened = self.shared.open_outlet().await;
        let trouble: Option<Arc<str>> = opened.as_ref().err().map(|fault| fault.to_string().into());
        self.shared.note(|standing| standing.publishing.clone_from(&trouble));
        opened.map_err(|fault| PublishError::Away(fault.to_string().into()))
    }

    async fn publish(&self, records: Vec<Record>) -> Vec<Result<(), PublishError>> {
        let Some(channel) = self.shared.outlet() else {
            let away = PublishError::Away("there is no connection".into());
            return records.iter().map(|_| Err(away.clone())).collect();
        };
        let (shared, through) = (&self.shared, &channel);
        in_window(records, WINDOW_MAX, |record| shared.send(through, record)).await
    }

    fn consume(&self, channel: &str) -> Partitions {
        let mut all: Vec<Box<dyn Consumption>> = Vec::new();
        for queue in self.shared.queues.of_channel(channel) {
            all.push(Box::new(Partition::new(Arc::clone(&self.shared), queue, self.closed.subscribe())));
        }
        stream::iter(all).boxed()
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn setbacks(&self) -> watch::Receiver<u64> {
        self.shared.setbacks.subscribe()
    }

    fn standing(&self) -> Standing {
        let blocked = self.shared.publishing.is_blocked();
        let Ok(trouble) = self.shared.standing.lock() else { return Standing::default() };
        Standing {
            trouble: trouble.publishing.clone().or_else(|| trouble.consuming.clone()),
            blocked,
            waiting: trouble.depth.clone(),
        }
    }
}

/// Asks how many records wait, again and again, until the broker is dropped.
async fn look_at_depth(shared: Arc<Shared>, mut closed: watch::Receiver<bool>) {
    loop {
        if let Ok(depth) = shared.queues.depth(&shared.consuming).await {
            shared.note(|standing| standing.depth = depth);
        }
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(DEPTH_EVERY) => {}
        }
    }
}
