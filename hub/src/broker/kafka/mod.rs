//! Kafka as a broker: streams of records, kept for those who read them later.
//!
//! In come records; each goes to the topic of its channel, to the partition of its key, and is done when all in-sync
//! replicas have it. The producer is idempotent, and nothing rests on transactions: a record that may be there twice is
//! known by its id (H3). Offsets are stored by acknowledgement only (H2). When all brokers were gone, they may have come
//! back empty: that is a setback, after which producers and consumers are made anew. Refused: topics that are not there
//! and may not be made.

mod client;
mod consumer;
mod message;
mod topics;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::StreamExt;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::{RwLock, mpsc, watch};

pub use self::client::{Access, Fault, Sasl};
use self::client::{Observer, producer_config};
use self::consumer::follow;
use self::message::headers_of;
pub use self::topics::{Difference, Topic, compare, create};
use super::attributes::key_text;
use super::window::in_window;
use super::{Broker, Partitions, PublishError, Record, Standing};

/// Records on their way to the broker at once.
const WINDOW_MAX: usize = 1_000;
/// Partitions that were given and wait to be taken up, at most: more than a topic has.
const GIVEN_MAX: usize = 4096;
/// Longest time in which the records of the old producer are given up.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(10);

/// What Kafka is to carry, and how it is reached.
#[derive(Clone)]
pub struct Options {
    /// How it is reached.
    pub access: Access,
    /// The consumer group of all hubs on one journal.
    pub group: String,
    /// The topic of each channel.
    pub topics: BTreeMap<Arc<str>, Topic>,
    /// Topics that are missing are made.
    pub create: bool,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("access", &self.access).field("topics", &self.topics).finish()
    }
}

/// Kafka.
pub struct Kafka {
    shared: Arc<Shared>,
    closed: watch::Sender<bool>,
}

/// What publisher and consumers have in common.
struct Shared {
    options: Options,
    /// What publishes; none before [`Broker::prepare`], and after a failure.
    outlet: Mutex<Option<Outlet>>,
    setbacks: watch::Sender<u64>,
    /// Consumers hold it for reading while they have a topic; who makes topics anew holds it alone.
    topics_there: RwLock<()>,
    standing: Mutex<Trouble>,
}

#[derive(Clone)]
struct Outlet {
    producer: Arc<FutureProducer<Observer>>,
    /// The setback that it followed.
    setback: u64,
}

#[derive(Default)]
struct Trouble {
    text: Option<Arc<str>>,
    /// What is not applied yet, by channel and partition.
    lag: HashMap<(Arc<str>, i32), u64>,
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

    fn outlet(&self) -> Option<Outlet> {
        let outlet = self.outlet.lock().ok()?.clone()?;
        (outlet.setback == *self.setbacks.borrow()).then_some(outlet)
    }

    /// Looks at the topics, makes what is missing, and begins with a fresh producer.
    async fn open_outlet(self: &Arc<Self>) -> Result<(), Fault> {
        let old = self.outlet.lock().ok().and_then(|mut outlet| outlet.take());
        give_up(old).await;
        let topics: Vec<Topic> = self.options.topics.values().cloned().collect();
        let found = compare(&self.options.access, topics.clone()).await?;
        let missing: Vec<Topic> = found.missing().cloned().collect();
        if !missing.is_empty() {
            self.make_topics(&missing).await?;
        }
        if let Some(fault) = found.fault() {
            return Err(fault);
        }
        let setback = *self.setbacks.borrow();
        let config = producer_config(&self.options.access, found.record_bytes_max());
        let producer = config.create_with_context(self.observer()).map_err(|error| Fault::of(&error))?;
        if let Ok(mut outlet) = self.outlet.lock() {
            *outlet = Some(Outlet { producer: Arc::new(producer), setback });
        }
        Ok(())
    }

    /// Topics that were lost are made while nobody reads: a reader of the old one would begin in the middle of the new.
    async fn make_topics(&self, missing: &[Topic]) -> Result<(), Fault> {
        if !self.options.create {
            let names: Vec<&str> = missing.iter().map(|topic| topic.name.as_str()).collect();
            return Err(Fault::NoTopic(names.join(", ")));
        }
        self.set_back();
        let _alone = tokio::time::timeout(GIVE_UP_WITHIN, self.topics_there.write())
            .await
            .map_err(|_| Fault::Away("consumers of the old topics do not end".to_owned()))?;
        create(&self.options.access, missing).await
    }

    fn observer(self: &Arc<Self>) -> Observer {
        let shared: Weak<Shared> = Arc::downgrade(self);
        Observer::new(move |fault, gone| {
            let Some(shared) = shared.upgrade() else { return };
            let text: Arc<str> = fault.to_string().into();
            shared.note(|standing| standing.text = Some(text));
            if gone {
                shared.set_back();
            }
        })
    }

    async fn send(&self, outlet: &Outlet, record: Record) -> Result<(), PublishError> {
        let Some(topic) = self.options.topics.get(&record.channel) else {
            return Err(PublishError::NoChannel(record.channel));
        };
        let key = record.key.as_ref().map(key_text);
        let mut sent = FutureRecord::<str, [u8]>::to(&topic.name)
            .payload(&record.body)
            .headers(headers_of(&record))
            .timestamp(record.created_at.0 / 1_000);
        if let Some(key) = &key {
            sent = sent.key(key.as_str());
        }
        let queued = outlet.producer.send_result(sent).map_err(|(error, _)| told(&error))?;
        let mut setbacks = self.setbacks.subscribe();
        tokio::select! {
            confirmed = queued => match confirmed {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => Err(told(&error)),
                Err(_) => Err(PublishError::Unconfirmed),
            },
            // What is on its way may come to a broker that has lost what came before it.
            _ = setbacks.wait_for(|count| *count != outlet.setback) => Err(PublishError::Unconfirmed),
        }
    }
}

/// Ends a producer with all that it still has to send.
async fn give_up(old: Option<Outlet>) {
    if old.is_none() {
        return;
    }
    let ended = tokio::task::spawn_blocking(move || drop(old));
    if tokio::time::timeout(GIVE_UP_WITHIN, ended).await.is_err() {
        tracing::warn!("a producer of Kafka does not end");
    }
}

/// Why a record was not taken.
fn told(error: &KafkaError) -> PublishError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge) => PublishError::TooLarge,
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition,
        ) => PublishError::Unroutable,
        Some(RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::RequestTimedOut) => PublishError::Unconfirmed,
        Some(RDKafkaErrorCode::NotEnoughReplicas | RDKafkaErrorCode::NotEnoughReplicasAfterAppend) => {
            PublishError::Refused("too few replicas are in sync".into())
        }
        _ => PublishError::Away(Fault::of(error).to_string().into()),
    }
}

impl Kafka {
    /// A broker that is not connected yet.
    pub fn new(options: Options) -> Kafka {
        let shared = Arc::new(Shared {
            options,
            outlet: Mutex::default(),
            setbacks: watch::Sender::new(0),
            topics_there: RwLock::new(()),
            standing: Mutex::default(),
        });
        Kafka { shared, closed: watch::Sender::new(false) }
    }

    /// Whether it can be used: reached, with every topic there and writable.
    pub async fn check(&self) -> Result<(), Fault> {
        self.shared.open_outlet().await
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.closed.send_replace(true);
    }
}

#[async_trait]
impl Broker for Kafka {
    async fn prepare(&self) -> Result<(), PublishError> {
        let opened = self.shared.open_outlet().await;
        let trouble: Option<Arc<str>> = opened.as_ref().err().map(|fault| fault.to_string().into());
        self.shared.note(|standing| standing.text.clone_from(&trouble));
        opened.map_err(|fault| PublishError::Away(fault.to_string().into()))
    }

    async fn publish(&self, records: Vec<Record>) -> Vec<Result<(), PublishError>> {
        let Some(outlet) = self.shared.outlet() else {
            let away = PublishError::Away("there is no producer".into());
            return records.iter().map(|_| Err(away.clone())).collect();
        };
        let (shared, through) = (&self.shared, &outlet);
        in_window(records, WINDOW_MAX, |record| shared.send(through, record)).await
    }

    fn consume(&self, channel: &str) -> Partitions {
        let Some((channel, topic)) = self.shared.options.topics.get_key_value(channel) else {
            return futures::stream::empty().boxed();
        };
        let (given, partitions) = mpsc::channel(GIVEN_MAX);
        let shared = Arc::clone(&self.shared);
        let reading = consumer::Reading { channel: Arc::clone(channel), topic: topic.name.clone(), given };
        tokio::spawn(follow(shared, reading, self.closed.subscribe()));
        futures::stream::unfold(partitions, |mut partitions| async move {
            partitions.recv().await.map(|partition| (partition, partitions))
        })
        .boxed()
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn setbacks(&self) -> watch::Receiver<u64> {
        self.shared.setbacks.subscribe()
    }

    fn standing(&self) -> Standing {
        let Ok(trouble) = self.shared.standing.lock() else { return Standing::default() };
        let mut waiting = BTreeMap::new();
        for ((channel, _), lag) in &trouble.lag {
            *waiting.entry(Arc::clone(channel)).or_default() += *lag;
        }
        Standing { trouble: trouble.text.clone(), blocked: false, waiting }
    }
}
