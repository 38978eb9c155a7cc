//! Clients of Kafka: how they are set, what they tell, and what is made of their errors.

use std::fmt;
use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::BrokerTls;

/// A record that is not confirmed after so many milliseconds is not on its way any more.
const MESSAGE_TIMEOUT_MS: &str = "15000";
/// A member of the group that says nothing for so long has gone.
const SESSION_TIMEOUT_MS: &str = "10000";
/// How often stored offsets are committed.
const COMMIT_EVERY_MS: &str = "500";
/// How often clients tell their figures.
const STATISTICS_EVERY_MS: &str = "5000";
/// Records, and kilobytes, that a consumer holds for all its partitions at most.
const FETCH_AHEAD: (&str, &str) = ("2000", "16384");

/// How Kafka is reached. It holds a password, and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// `host:port`, some of them.
    pub bootstrap: Vec<String>,
    /// Files of TLS; none: the connection is not encrypted.
    pub tls: Option<BrokerTls>,
    /// Who the hub is.
    pub sasl: Option<Sasl>,
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub mechanism: String,
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("bootstrap", &self.bootstrap).finish()
    }
}

/// Why Kafka cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("HUB0503 Kafka cannot be reached: {0}")]
    Away(String),
    /// User or password.
    #[error("HUB0170 Kafka refuses the user or the password")]
    Denied,
    /// The user may not do what has to be done.
    #[error("HUB0173 Kafka does not permit it: {0}")]
    NotPermitted(String),
    /// Settings that no client can be made of.
    #[error("HUB0174 the access to Kafka cannot be used: {0}")]
    Access(String),
    /// Topics are not there.
    #[error("HUB0175 Kafka has no topic {0}")]
    NoTopic(String),
    /// A topic cannot be written with its replicas.
    #[error("HUB0176 the topic {topic} has {in_sync} replicas in sync, and needs {wanted}")]
    TooFewReplicas {
        /// The topic.
        topic: String,
        /// Replicas in sync, of the partition with the fewest.
        in_sync: usize,
        /// `min.insync.replicas`.
        wanted: usize,
    },
}

impl Fault {
    /// What an error of the client says.
    pub(super) fn of(error: &KafkaError) -> Fault {
        if let KafkaError::ClientConfig(_, text, name, _) = error {
            return Fault::Access(format!("{name}: {text}"));
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => Fault::Denied,
            Some(
                code @ (RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed),
            ) => Fault::NotPermitted(code.to_string()),
            _ => Fault::Away(error.to_string()),
        }
    }

    /// Whether it may pass by itself. What does not has to be changed by a person.
    pub fn is_passing(&self) -> bool {
        matches!(self, Fault::Away(_) | Fault::TooFewReplicas { .. })
    }
}

/// What every client has in common.
pub(super) fn base_config(access: &Access) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", access.bootstrap.join(","))
        .set("client.id", "hub")
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", "10000")
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "2000")
        .set("log.connection.close", "false");
    let protocol = match (&access.tls, &access.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &access.tls {
        if let Some(ca) = &tls.ca {
            config.set("ssl.ca.location", ca.to_string_lossy());
        }
        if let Some((chain, key)) = &tls.identity {
            config.set("ssl.certificate.location", chain.to_string_lossy());
            config.set("ssl.key.location", key.to_string_lossy());
        }
    }
    if let Some(sasl) = &access.sasl {
        config.set("sasl.mechanism", &sasl.mechanism);
        config.set("sasl.username", &sasl.user);
        config.set("sasl.password", &sasl.password);
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// A producer that confirms when all in-sync replicas have a record, once.
pub(super) fn producer_config(access: &Access, record_bytes_max: usize) -> ClientConfig {
    let mut config = base_config(access);
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("message.timeout.ms", MESSAGE_TIMEOUT_MS)
        .set("message.max.bytes", record_bytes_max.to_string())
        // The choice of Kafka's own clients: a key is in one place whoever writes it.
        .set("partitioner", "murmur2_random");
    config
}

/// A consumer of a group, to which nothing is done unless it is acknowledged.
pub(super) fn consumer_config(access: &Access, group: &str) -> ClientConfig {
    let mut config = base_config(access);
    config
        .set("group.id", group)
        // Commits what was stored, and only acknowledgement stores.
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", COMMIT_EVERY_MS)
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("heartbeat.interval.ms", "2000")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("queued.min.messages", FETCH_AHEAD.0)
        .set("queued.max.messages.kbytes", FETCH_AHEAD.1)
        .set("fetch.wait.max.ms", "100")
        .set("statistics.interval.ms", STATISTICS_EVERY_MS);
    config
}

/// Hears of an error, and whether all brokers are gone.
type Heard = dyn Fn(Fault, bool) + Send + Sync;

/// Listens to what a client says of itself.
#[derive(Clone)]
pub(super) struct Observer {
    heard: Arc<Heard>,
}

impl Observer {
    pub(super) fn new(heard: impl Fn(Fault, bool) + Send + Sync + 'static) -> Observer {
        Observer { heard: Arc::new(heard) }
    }

    /// Errors that pass by themselves are not told. `was_there`: the cluster was reached before.
    pub(super) fn hear(&self, error: &KafkaError, was_there: bool) {
        let gone = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        let fault = Fault::of(error);
        if gone || !fault.is_passing() {
            (self.heard)(fault, gone && was_there);
        }
    }
}

impl ClientContext for Observer {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(target: "librdkafka", facility, text);
    }

    fn error(&self, error: KafkaError, _reason: &str) {
        // Only producers of a cluster that answered are made.
        self.hear(&error, true);
    }
}
