//! Real servers for the checks: where they are, and brokers on them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Ground;
use crate::broker::Broker;
use crate::broker::kafka::{self, Kafka, Topic};
use crate::broker::rabbitmq::{self, RabbitMq};
use crate::config::BrokerTls;

/// What a broker sent has come by then, on a machine that does other things too.
const QUIET: Duration = Duration::from_millis(400);

/// Where a server is: from the environment, or from what `deploy/services.sh` wrote.
pub(crate) fn server(name: &str) -> String {
    if let Ok(value) = std::env::var(name) {
        return value;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/services/env");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("there is no {name}: run deploy/services.sh up")).to_owned()
}

/// RabbitMQ of the tests.
pub(crate) fn rabbit_access() -> rabbitmq::Access {
    rabbitmq::Access { url: server("HUB_TEST_RABBITMQ"), tls: BrokerTls::default() }
}

/// Starts brokers on RabbitMQ.
pub(super) struct RabbitGround;

#[async_trait]
impl Ground for RabbitGround {
    async fn start(&self, name: &str, channels: &[&str], partitions: usize) -> Arc<dyn Broker> {
        let broker = RabbitMq::new(&rabbitmq::Options {
            access: rabbit_access(),
            prefix: format!("{name}."),
            channels: channels.iter().map(|channel| Arc::from(*channel)).collect(),
            partitions,
        });
        broker.prepare().await.expect("RabbitMQ is there");
        Arc::new(broker)
    }

    fn quiet(&self) -> Duration {
        QUIET
    }
}

/// Kafka of the tests.
pub(crate) fn kafka_access() -> kafka::Access {
    let bootstrap = server("HUB_TEST_KAFKA").split(',').map(str::to_owned).collect();
    kafka::Access { bootstrap, tls: None, sasl: None }
}

/// Starts brokers on Kafka.
pub(super) struct KafkaGround;

#[async_trait]
impl Ground for KafkaGround {
    async fn start(&self, name: &str, channels: &[&str], partitions: usize) -> Arc<dyn Broker> {
        let partitions = i32::try_from(partitions).expect("a few");
        let topic = |channel: &&str| {
            (Arc::from(*channel), Topic { name: format!("{name}.{channel}"), partitions, replicas: 1 })
        };
        let broker = Kafka::new(kafka::Options {
            access: kafka_access(),
            group: name.to_owned(),
            topics: channels.iter().map(topic).collect(),
            create: true,
        });
        while broker.prepare().await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Arc::new(broker)
    }

    fn quiet(&self) -> Duration {
        QUIET
    }
}
