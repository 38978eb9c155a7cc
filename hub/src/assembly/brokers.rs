//! The brokers of the settings, each with the channels that it carries, looked at before anything depends on them.
//!
//! In come settings; out come brokers. What a person has to change is a finding at the place that names the broker; a
//! broker that is only away is not: the hub takes messages without it, and goes on when it is there (H8).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::StartError;
use super::stages::Bound;
use crate::broker::embedded::Embedded;
use crate::broker::kafka::{self, Kafka, Sasl, Topic};
use crate::broker::rabbitmq::{self, RabbitMq};
use crate::config::{Broker, KafkaSettings, Place, RabbitSettings, Settings, far_broker, is_loopback};
use crate::finding::{Code, Finding, Findings, codes};
use crate::routes::Channel;

/// Partitions of a channel of the embedded broker.
const PARTITIONS: usize = 2;

/// The brokers of the settings.
pub(super) async fn bind(settings: &Settings) -> Result<Vec<Bound>, StartError> {
    let channels = carried_by(settings, Broker::Embedded);
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    let embedded = Arc::new(Embedded::new(&names, PARTITIONS));
    let mut bound = vec![Bound { name: Broker::Embedded.name(), broker: embedded, channels }];
    let by_rabbitmq = carried_by(settings, Broker::RabbitMq);
    if let Some(rabbitmq) = settings.brokers.rabbitmq.as_ref().filter(|_| !by_rabbitmq.is_empty()) {
        let options = rabbitmq_options(rabbitmq, &by_rabbitmq).map_err(StartError::Configuration)?;
        let broker = RabbitMq::new(&options);
        if let Err(fault) = broker.check().await {
            bear(&fault, fault.is_passing(), code_of_rabbitmq(&fault), &rabbitmq.place)?;
        }
        bound.push(Bound { name: Broker::RabbitMq.name(), broker: Arc::new(broker), channels: by_rabbitmq });
    }
    let by_kafka = carried_by(settings, Broker::Kafka);
    if let Some(kafka) = settings.brokers.kafka.as_ref().filter(|_| !by_kafka.is_empty()) {
        let options = kafka_options(kafka, &by_kafka).map_err(StartError::Configuration)?;
        let broker = Kafka::new(options);
        if let Err(fault) = broker.check().await {
            bear(&fault, fault.is_passing(), code_of_kafka(&fault), &kafka.place)?;
        }
        bound.push(Bound { name: Broker::Kafka.name(), broker: Arc::new(broker), channels: by_kafka });
    }
    Ok(bound)
}

fn carried_by(settings: &Settings, broker: Broker) -> Vec<Channel> {
    let bound = settings.channels.iter().filter(|(_, binding)| binding.broker == broker);
    bound.map(|(channel, _)| *channel).collect()
}

/// A broker that is away is waited for; anything else ends the start.
fn bear(
    fault: &dyn std::error::Error,
    is_passing: bool,
    code: Option<(Code, &str)>,
    place: &Place,
) -> Result<(), StartError> {
    let told = fault.to_string();
    let Some((code, help)) = code.filter(|_| !is_passing) else {
        tracing::warn!(fault = told, "the hub starts without a broker; its records wait");
        return Ok(());
    };
    // The finding says the code itself.
    let message = told.split_once(' ').map_or(told.as_str(), |(_, text)| text);
    Err(StartError::Configuration(found(place, code, message, help)))
}

fn found(place: &Place, code: Code, message: &str, help: &str) -> Findings {
    let mut findings = Findings::new();
    findings.push(Finding::error(code, &place.source, place.span.clone(), message).with_help(help));
    findings
}

fn code_of_rabbitmq(fault: &rabbitmq::Fault) -> Option<(Code, &'static str)> {
    match fault {
        rabbitmq::Fault::Away(_) | rabbitmq::Fault::NoQueue(_) => None,
        rabbitmq::Fault::Denied => Some((codes::BROKER_LOGIN, "look at user and password in the URL")),
        rabbitmq::Fault::NoVirtualHost(_) => {
            Some((codes::VIRTUAL_HOST, "the path of the URL names it; `rabbitmqctl list_vhosts` shows what is there"))
        }
        rabbitmq::Fault::OtherQueue(_) => {
            Some((codes::OTHER_QUEUE, "delete the queue when it is empty, or choose another `prefix`"))
        }
        rabbitmq::Fault::NotPermitted(_) => {
            Some((codes::BROKER_PERMISSION, "the user must configure, write and read the queues of the prefix"))
        }
        rabbitmq::Fault::Access(_) => Some((codes::BROKER_ACCESS, "the URL is `amqp://user:password@host:port/vhost`")),
    }
}

fn code_of_kafka(fault: &kafka::Fault) -> Option<(Code, &'static str)> {
    match fault {
        kafka::Fault::Away(_) => None,
        kafka::Fault::Denied => Some((codes::BROKER_LOGIN, "look at `sasl`")),
        kafka::Fault::NotPermitted(_) => {
            Some((codes::BROKER_PERMISSION, "the user must describe, write and read the topics of the prefix"))
        }
        kafka::Fault::Access(_) => Some((codes::BROKER_ACCESS, "look at `bootstrap`, `tls` and `sasl`")),
        kafka::Fault::NoTopic(_) => {
            Some((codes::TOPIC_MISSING, "make it with `hub topics apply`, or write `create = true`"))
        }
        kafka::Fault::TooFewReplicas { .. } => Some((codes::TOO_FEW_REPLICAS, "start the brokers that are down")),
    }
}

/// How RabbitMQ is used for these channels.
fn rabbitmq_options(settings: &RabbitSettings, channels: &[Channel]) -> Result<rabbitmq::Options, Findings> {
    let place = &settings.place;
    let url = settings.url.read().map_err(|reason| {
        found(
            place,
            codes::BROKER_ACCESS,
            &format!("the URL cannot be read: {reason}"),
            "it stands in a file or a variable",
        )
    })?;
    let host = url.rsplit_once('@').map_or(url.as_str(), |(_, rest)| rest).split('/').next().unwrap_or_default();
    if url.starts_with("amqp://") && !is_loopback(host) && settings.insecure.is_none() {
        let mut findings = Findings::new();
        findings.push(far_broker(&place.source, place.span.clone(), "RabbitMQ"));
        return Err(findings);
    }
    Ok(rabbitmq::Options {
        access: rabbitmq::Access { url, tls: settings.tls.clone() },
        prefix: settings.prefix.clone(),
        channels: channels.iter().map(|channel| channel.name().into()).collect(),
        partitions: settings.partitions,
    })
}

/// How Kafka is used for these channels.
pub fn kafka_options(settings: &KafkaSettings, channels: &[Channel]) -> Result<kafka::Options, Findings> {
    let sasl = match &settings.sasl {
        None => None,
        Some((mechanism, user, password)) => {
            let password = password.read().map_err(|reason| {
                let message = format!("the password cannot be read: {reason}");
                found(&settings.place, codes::BROKER_ACCESS, &message, "it stands in a file or a variable")
            })?;
            Some(Sasl { mechanism: mechanism.clone(), user: user.clone(), password })
        }
    };
    let topic = |channel: &Channel| Topic {
        name: format!("{}{}", settings.prefix, channel.name()),
        partitions: settings.partitions,
        replicas: settings.replicas,
    };
    let topics: BTreeMap<Arc<str>, Topic> =
        channels.iter().map(|channel| (channel.name().into(), topic(channel))).collect();
    Ok(kafka::Options {
        access: kafka::Access { bootstrap: settings.bootstrap.clone(), tls: settings.tls.clone(), sasl },
        group: settings.prefix.trim_end_matches('.').to_owned(),
        topics,
        create: settings.create,
    })
}
