//! `[broker.rabbitmq]`, `[broker.kafka]` and `[channels]`: what carries the records of each channel.
//!
//! In comes a part of the file; out go settings of brokers, with the place that names each, so that what is found wrong
//! at the start is shown there. Refused: passwords that are written out, brokers beyond loopback without TLS or a
//! reason, and channels on brokers that are not set.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::secret::{Reference, read_reference};
use crate::finding::{Entry, Finding, Section, SourceText, codes, did_you_mean, one_of};
use crate::routes::Channel;

/// Partitions of a channel, or of a topic, at most.
const PARTITIONS_MAX: u64 = 1_000;
/// Copies of a partition at most.
const REPLICAS_MAX: u64 = 9;
/// Names of mechanisms of SASL that are known here.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What carries a channel from the hub to its domain actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broker {
    /// The outbox, straight to the consumer.
    Embedded,
    /// RabbitMQ.
    RabbitMq,
    /// Kafka.
    Kafka,
}

impl Broker {
    /// Every broker.
    pub const ALL: [Broker; 3] = [Broker::Embedded, Broker::RabbitMq, Broker::Kafka];

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Broker::Embedded => "embedded",
            Broker::RabbitMq => "rabbitmq",
            Broker::Kafka => "kafka",
        }
    }
}

/// Where a broker is set, for findings.
#[derive(Clone, Debug)]
pub struct Place {
    /// The text.
    pub source: Arc<SourceText>,
    /// The part of it.
    pub span: Range<usize>,
}

impl PartialEq for Place {
    /// Settings are the same wherever they stand.
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

/// Files of TLS to a broker, PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerTls {
    /// Authorities of the broker's certificate.
    pub ca: Option<PathBuf>,
    /// The hub's own certificate chain and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// `[broker.rabbitmq]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RabbitSettings {
    /// Where it is set.
    pub place: Place,
    /// `amqp://user:password@host:port/vhost`.
    pub url: Reference,
    /// Files of TLS, for `amqps`.
    pub tls: BrokerTls,
    /// Before the names of queues.
    pub prefix: String,
    /// Queues of each channel.
    pub partitions: usize,
    /// Why there is no TLS although the broker is not on loopback.
    pub insecure: Option<String>,
}

/// `[broker.kafka]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSettings {
    /// Where it is set.
    pub place: Place,
    /// `host:port`, some of them.
    pub bootstrap: Vec<String>,
    /// Files of TLS; none: the connection is not encrypted.
    pub tls: Option<BrokerTls>,
    /// Mechanism, user and password.
    pub sasl: Option<(String, String, Reference)>,
    /// Before the names of topics of channels, and the name of the consumer group.
    pub prefix: String,
    /// Partitions of a topic that is made.
    pub partitions: i32,
    /// Copies of each partition of a topic that is made.
    pub replicas: i32,
    /// Topics that are missing are made.
    pub create: bool,
}

/// All brokers but the embedded one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brokers {
    /// RabbitMQ.
    pub rabbitmq: Option<RabbitSettings>,
    /// Kafka.
    pub kafka: Option<KafkaSettings>,
}

impl Brokers {
    /// What this says, and what `base` says where it says nothing.
    pub(super) fn over(self, base: Brokers) -> Brokers {
        Brokers { rabbitmq: self.rabbitmq.or(base.rabbitmq), kafka: self.kafka.or(base.kafka) }
    }

    fn has(&self, broker: Broker) -> bool {
        match broker {
            Broker::Embedded => true,
            Broker::RabbitMq => self.rabbitmq.is_some(),
            Broker::Kafka => self.kafka.is_some(),
        }
    }
}

/// A channel bound to a broker.
#[derive(Clone, Debug)]
pub struct Binding {
    /// What carries it.
    pub broker: Broker,
    /// Where that is said; none: nobody said it.
    pub place: Option<Place>,
}

impl PartialEq for Binding {
    /// The same whoever says it.
    fn eq(&self, other: &Binding) -> bool {
        self.broker == other.broker
    }
}

/// Channels on brokers that are not set.
pub(super) fn unbound(channels: &IndexMap<Channel, Binding>, brokers: &Brokers) -> Vec<Finding> {
    let lost = channels.iter().filter(|(_, binding)| !brokers.has(binding.broker));
    lost.filter_map(|(channel, binding)| {
        let place = binding.place.as_ref()?;
        let name = binding.broker.name();
        let message = format!("`{}` goes by a broker that is not set", channel.name());
        let finding = Finding::error(codes::BROKER_UNKNOWN, &place.source, place.span.clone(), message);
        Some(finding.with_help(format!("add a table `[broker.{name}]`, or write `broker = \"embedded\"`")))
    })
    .collect()
}

/// `[broker]`.
pub(super) fn read_brokers(mut section: Section<'_>, folder: &Path) -> Brokers {
    let rabbitmq = section.section("rabbitmq", "`broker.rabbitmq`").and_then(|table| read_rabbitmq(table, folder));
    let kafka = section.section("kafka", "`broker.kafka`").and_then(|table| read_kafka(table, folder));
    section.finish();
    Brokers { rabbitmq, kafka }
}

fn read_rabbitmq(mut section: Section<'_>, folder: &Path) -> Option<RabbitSettings> {
    let place = place_of(&section, "url");
    let url = read_secret(&mut section, "url", folder);
    let tls = section.section("tls", "`tls`").map(|tls| read_tls(tls, folder)).unwrap_or_default();
    let prefix = section.text("prefix").map_or_else(|| "hub.".to_owned(), |text| text.value);
    let partitions = section.integer("partitions", 1..=PARTITIONS_MAX).map_or(2, |count| count.value);
    let insecure = read_reason(&mut section);
    section.finish();
    let partitions = usize::try_from(partitions).unwrap_or(1);
    Some(RabbitSettings { place, url: url?, tls, prefix, partitions, insecure })
}

fn read_kafka(mut section: Section<'_>, folder: &Path) -> Option<KafkaSettings> {
    let place = place_of(&section, "bootstrap");
    if !section.has("bootstrap") {
        section.missing("bootstrap");
    }
    let bootstrap = section.texts("bootstrap");
    let tls = section.section("tls", "`tls`").map(|tls| read_tls(tls, folder));
    let sasl = section.section("sasl", "`sasl`").and_then(|sasl| read_sasl(sasl, folder));
    let prefix = section.text("prefix").map_or_else(|| "hub.".to_owned(), |text| text.value);
    let partitions = section.integer("partitions", 1..=PARTITIONS_MAX).map_or(6, |count| count.value);
    let replicas = section.integer("replicas", 1..=REPLICAS_MAX).map_or(3, |count| count.value);
    let create = section.boolean("create").is_none_or(|create| create.value);
    let insecure = read_reason(&mut section);
    let reader = section.reader();
    section.finish();
    let bootstrap: Vec<_> = bootstrap?;
    let far = bootstrap.iter().find(|host| !is_loopback(&host.value));
    if let Some(host) = far.filter(|_| tls.is_none() && insecure.is_none()) {
        reader.report(far_broker(reader.source(), host.span.clone(), "Kafka"));
    }
    let bootstrap = bootstrap.into_iter().map(|host| host.value).collect();
    let count = |value: u64| i32::try_from(value).unwrap_or(1);
    Some(KafkaSettings {
        place,
        bootstrap,
        tls,
        sasl,
        prefix,
        partitions: count(partitions),
        replicas: count(replicas),
        create,
    })
}

fn read_sasl(mut section: Section<'_>, folder: &Path) -> Option<(String, String, Reference)> {
    let mechanism = section.word("mechanism", &MECHANISMS);
    if !section.has("mechanism") {
        section.missing("mechanism");
    }
    let user = section.required_text("user");
    let password = read_secret(&mut section, "password", folder);
    section.finish();
    Some((mechanism?.value.to_owned(), user?.value, password?))
}

fn read_secret(section: &mut Section<'_>, key: &'static str, folder: &Path) -> Option<Reference> {
    if !section.has(key) {
        section.missing(key);
    }
    section.entry(key).and_then(|entry| read_reference(&entry, folder)).map(|(reference, _)| reference)
}

fn read_tls(mut section: Section<'_>, folder: &Path) -> BrokerTls {
    let ca = section.text("ca").map(|path| folder.join(path.value));
    if section.has("certificate") != section.has("key") {
        section.missing(if section.has("key") { "certificate" } else { "key" });
    }
    let certificate = section.text("certificate").map(|path| folder.join(path.value));
    let key = section.text("key").map(|path| folder.join(path.value));
    section.finish();
    BrokerTls { ca, identity: certificate.zip(key) }
}

fn read_reason(section: &mut Section<'_>) -> Option<String> {
    let reason = section.text("insecure")?;
    if reason.value.trim().is_empty() {
        section.reader().error(codes::BAD_VALUE, reason.span, "`insecure` must say why");
        return None;
    }
    Some(reason.value)
}

fn place_of(section: &Section<'_>, key: &str) -> Place {
    let span = if section.has(key) { section.key_span(key) } else { section.span.clone() };
    Place { source: Arc::clone(section.reader().source()), span }
}

/// `host:port` of this machine.
pub fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Patient data travels in the open only with a reason.
pub fn far_broker(source: &Arc<SourceText>, span: Range<usize>, name: &str) -> Finding {
    let message = format!("records would go to {name} over the network without TLS");
    let finding = Finding::error(codes::PLAIN_NETWORK, source, span, message);
    finding.with_help("encrypt it with `tls = { ca = ... }`, or say why not: `insecure = \"reason\"`")
}

/// `[channels]`.
pub(super) fn read_channels(section: Section<'_>) -> IndexMap<Channel, Binding> {
    section.entries().iter().filter_map(read_channel).collect()
}

/// `prescription = { broker = "rabbitmq" }`.
fn read_channel(entry: &Entry<'_>) -> Option<(Channel, Binding)> {
    let name = &entry.key;
    let known = || Channel::ALL.into_iter().map(Channel::name);
    let Some(channel) = Channel::ALL.into_iter().find(|channel| channel.name() == name.value) else {
        let message = format!("there is no channel `{}`", name.value);
        let help = did_you_mean(&name.value, known()).unwrap_or_else(|| format!("channels are {}", one_of(known())));
        let finding = Finding::error(codes::BAD_VALUE, entry.reader().source(), name.span.clone(), message);
        entry.reader().report(finding.with_help(help));
        return None;
    };
    let Some(mut binding) = entry.as_section(format!("channel `{}`", name.value)) else {
        entry.wrong("a table such as `{ broker = \"embedded\" }`");
        return None;
    };
    if !binding.has("broker") {
        binding.missing("broker");
    }
    let word = binding.word("broker", &Broker::ALL.map(Broker::name));
    binding.finish();
    let word = word?;
    let broker = Broker::ALL.into_iter().find(|broker| broker.name() == word.value)?;
    let place = Place { source: Arc::clone(entry.reader().source()), span: word.span };
    Some((channel, Binding { broker, place: Some(place) }))
}
