//! The topics that the hub needs: what is there, what is missing, and how it is made.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::client::{Access, Fault, Observer, base_config};

/// Longest wait for an answer of the cluster.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Largest record where the cluster says nothing, in bytes.
const RECORD_BYTES_STANDARD: usize = 1_000_000;

/// A topic as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions. More can be had later; then a key changes its place.
    pub partitions: i32,
    /// Copies of each partition.
    pub replicas: i32,
}

/// A topic that is not as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is not there.
    Missing(Topic),
    /// It has another number of partitions.
    Partitions {
        /// Its name.
        topic: String,
        /// How many it has.
        found: usize,
        /// How many are wanted.
        wanted: i32,
    },
    /// It cannot be written now.
    TooFewReplicas {
        /// Its name.
        topic: String,
        /// Replicas in sync, of the partition with the fewest.
        in_sync: usize,
        /// `min.insync.replicas`.
        wanted: usize,
    },
}

/// What the cluster has of the topics that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What is not as it is wanted.
    pub differences: Vec<Difference>,
    record_bytes_max: Option<usize>,
}

impl Comparison {
    /// Topics that are not there.
    pub fn missing(&self) -> impl Iterator<Item = &Topic> {
        self.differences.iter().filter_map(|difference| match difference {
            Difference::Missing(topic) => Some(topic),
            Difference::Partitions { .. } | Difference::TooFewReplicas { .. } => None,
        })
    }

    /// What stands in the way of writing, besides missing topics.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.differences.iter().find_map(|difference| match difference {
            Difference::TooFewReplicas { topic, in_sync, wanted } => {
                Some(Fault::TooFewReplicas { topic: topic.clone(), in_sync: *in_sync, wanted: *wanted })
            }
            Difference::Missing(_) | Difference::Partitions { .. } => None,
        })
    }

    /// The largest record that every topic takes, in bytes.
    pub fn record_bytes_max(&self) -> usize {
        self.record_bytes_max.unwrap_or(RECORD_BYTES_STANDARD)
    }
}

/// A client that asks, and what it heard that will not pass by itself: a refused login looks like no answer else.
struct Admin {
    client: Arc<AdminClient<Observer>>,
    heard: Arc<Mutex<Option<Fault>>>,
}

impl Admin {
    fn new(access: &Access) -> Result<Admin, Fault> {
        let heard: Arc<Mutex<Option<Fault>>> = Arc::default();
        let hears = Arc::clone(&heard);
        let observer = Observer::new(move |fault, _| {
            if let Ok(mut last) = hears.lock()
                && !fault.is_passing()
            {
                *last = Some(fault);
            }
        });
        let client = base_config(access).create_with_context(observer).map_err(|error| Fault::of(&error))?;
        Ok(Admin { client: Arc::new(client), heard })
    }

    fn fault(&self, error: &KafkaError) -> Fault {
        self.heard.lock().ok().and_then(|heard| heard.clone()).unwrap_or_else(|| Fault::of(error))
    }

    async fn metadata(&self) -> Result<Metadata, Fault> {
        let asked = Arc::clone(&self.client);
        let metadata = tokio::task::spawn_blocking(move || asked.inner().fetch_metadata(None, ANSWER_WITHIN)).await;
        metadata.map_err(|error| Fault::Away(error.to_string()))?.map_err(|error| self.fault(&error))
    }
}

/// Asks the cluster for the topics.
pub async fn compare(access: &Access, wanted: Vec<Topic>) -> Result<Comparison, Fault> {
    let admin = Admin::new(access)?;
    let metadata = admin.metadata().await?;
    let there: Vec<&Topic> = wanted.iter().filter(|topic| found(&metadata, topic).is_some()).collect();
    let specifiers: Vec<_> = there.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let mut settings = Vec::new();
    if !specifiers.is_empty() {
        let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
        let described = admin.client.describe_configs(&specifiers, &options).await;
        settings = described.map_err(|error| admin.fault(&error))?;
    }
    let mut comparison = Comparison::default();
    for topic in &wanted {
        let Some(found) = found(&metadata, topic) else {
            comparison.differences.push(Difference::Missing(topic.clone()));
            continue;
        };
        let place = there.iter().position(|other| other.name == topic.name);
        let entries = place.and_then(|place| settings.get(place)).and_then(|result| result.as_ref().ok());
        let value = |name| entries.and_then(|entries| number(entries.get(name)));
        comparison.differences.extend(differences(topic, found, value("min.insync.replicas")));
        let bytes = value("max.message.bytes").unwrap_or(RECORD_BYTES_STANDARD);
        let least = comparison.record_bytes_max.map_or(bytes, |known| known.min(bytes));
        comparison.record_bytes_max = Some(least);
    }
    Ok(comparison)
}

fn number(entry: Option<&ConfigEntry>) -> Option<usize> {
    entry?.value.as_ref()?.parse().ok()
}

fn found<'m>(metadata: &'m Metadata, wanted: &Topic) -> Option<&'m MetadataTopic> {
    metadata.topics().iter().find(|topic| topic.name() == wanted.name && topic.error().is_none())
}

fn differences(wanted: &Topic, found: &MetadataTopic, min_in_sync: Option<usize>) -> Vec<Difference> {
    let mut all = Vec::new();
    let partitions = found.partitions();
    if usize::try_from(wanted.partitions).ok() != Some(partitions.len()) {
        let topic = wanted.name.clone();
        all.push(Difference::Partitions { topic, found: partitions.len(), wanted: wanted.partitions });
    }
    let in_sync = partitions.iter().map(|partition| partition.isr().len()).min().unwrap_or(0);
    let least = min_in_sync.unwrap_or(1);
    if in_sync < least {
        all.push(Difference::TooFewReplicas { topic: wanted.name.clone(), in_sync, wanted: least });
    }
    all
}

/// Makes topics. One that somebody else made meanwhile is fine.
pub async fn create(access: &Access, topics: &[Topic]) -> Result<(), Fault> {
    let admin = Admin::new(access)?;
    let new: Vec<_> = topics
        .iter()
        .map(|topic| NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replicas)))
        .collect();
    let within = Some(ANSWER_WITHIN);
    let options = AdminOptions::new().request_timeout(within).operation_timeout(within);
    let made = admin.client.create_topics(&new, &options).await.map_err(|error| admin.fault(&error))?;
    for result in made {
        match result {
            Ok(name) => tracing::info!(topic = name, "made a topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code @ RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                return Err(Fault::NotPermitted(format!("{name}: {code}")));
            }
            Err((name, code)) => return Err(Fault::Away(format!("{name}: {code}"))),
        }
    }
    Ok(())
}
