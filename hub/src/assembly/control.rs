//! What the HTTP interface asks of the running hub, answered by its parts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, oneshot};

use super::Assembly;
use super::codes::told;
use super::stages::Bound;
use crate::actors::cell::Health;
use crate::admin::{
    CodeError, Control, DestinationStatus, NewCode, Part, ReloadError, SearchBy, SourceStatus, TapEvent,
};
use crate::journey::Live;
use crate::journey::dead_letter::ReplayError;
use crate::journey::publish::remote::Again;
use crate::routes::Channel;
use crate::store::{AwaitedCode, DeliveryId, MessageId, RunId, Store, StoreError};
use crate::telemetry::{Metrics, Of};

/// Longest wait until a publisher has published again what was asked for.
const RECONCILED_WITHIN: Duration = Duration::from_secs(60);

#[async_trait]
impl Control for Assembly {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.hub.store)
    }

    fn live(&self) -> Arc<Live> {
        self.hub.live.load_full()
    }

    fn ready(&self) -> Vec<Part> {
        let journal = self.hub.store.health().err().map(|_| "the journal cannot be written".to_owned());
        let mut parts = vec![Part::needed("journal", journal)];
        let closing = self.closed.borrow().then(|| "the hub is going down".to_owned());
        parts.push(Part::needed("intake", closing));
        let slow = self.slow.borrow().clone();
        for (name, health) in &self.cells {
            let trouble = match &*health.borrow() {
                Health::Up { .. } if slow.contains(name) => Some("at one step for seconds".to_owned()),
                Health::Up { .. } => None,
                Health::Starting => Some("starting".to_owned()),
                Health::Failed { .. } => Some("failed too often".to_owned()),
            };
            parts.push(Part::needed(name, trouble));
        }
        parts.extend(
            self.sources().into_iter().map(|source| Part::needed(format!("source {}", source.name), source.trouble)),
        );
        parts.extend(self.brokers.iter().filter(|bound| bound.broker.is_durable()).map(broker_part));
        parts
    }

    async fn reload(&self) -> Result<String, ReloadError> {
        Assembly::reload(self).await.map_err(told)
    }

    async fn add_code(&self, new: &NewCode) -> Result<String, CodeError> {
        Assembly::add_code(self, new).await
    }

    async fn refuse_code(&self, code: &AwaitedCode, source: Option<&str>) -> Result<usize, StoreError> {
        self.releaser.refuse(code, source).await
    }

    async fn reconcile(&self, older_than: Duration) -> Result<usize, StoreError> {
        let mut published = 0;
        for publisher in &self.remote {
            let (answer, answered) = oneshot::channel();
            if publisher.try_send(Again { older_than, answer }).is_ok()
                && let Ok(Ok(counted)) = tokio::time::timeout(RECONCILED_WITHIN, answered).await
            {
                published += counted?;
            }
        }
        Ok(published)
    }

    async fn replay_message(&self, message: MessageId) -> Result<(), ReplayError> {
        self.replayer.message(message).await
    }

    async fn replay_delivery(&self, delivery: DeliveryId) -> Result<(), ReplayError> {
        self.replayer.delivery(delivery).await
    }

    async fn replay_run(&self, run: RunId) -> Result<(), ReplayError> {
        self.replayer.run(run).await
    }

    async fn find(&self, by: SearchBy, value: &str, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        self.search.find(by.kind(), value, limit).await
    }

    fn tap(&self) -> broadcast::Receiver<TapEvent> {
        self.hub.tap.subscribe()
    }

    fn metrics(&self) -> String {
        for bound in &self.brokers {
            show(&self.hub.metrics, bound);
        }
        self.hub.metrics.text().unwrap_or_default()
    }

    fn sources(&self) -> Vec<SourceStatus> {
        let sources = self.sources.load();
        let mut all: Vec<SourceStatus> = sources
            .iter()
            .map(|(name, source)| {
                let ended = source.has_ended();
                SourceStatus {
                    name: name.clone(),
                    address: Some(source.address),
                    state: if ended { "stopped" } else { "listening" },
                    trouble: ended.then(|| "it listens no more".to_owned()),
                }
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    fn destinations(&self) -> Vec<DestinationStatus> {
        let live = self.hub.live.load();
        let names = live.configuration.destinations.keys().map(String::as_str);
        names.chain(Channel::ALL.map(Channel::name)).map(|name| self.destination(name)).collect()
    }
}

/// A broker that is away costs no message, and no readiness.
fn broker_part(bound: &Bound) -> Part {
    let standing = bound.broker.standing();
    let blocked = standing.blocked.then(|| "it asks publishers to wait".to_owned());
    let trouble = blocked.or_else(|| standing.trouble.map(|text| text.to_string()));
    Part { name: format!("broker {}", bound.name), needed: false, trouble }
}

fn show(metrics: &Metrics, bound: &Bound) {
    let standing = bound.broker.standing();
    let of = Of { name: bound.name.to_owned() };
    metrics.broker_usable.get_or_create(&of).set(i64::from(standing.trouble.is_none()));
    metrics.broker_blocked.get_or_create(&of).set(i64::from(standing.blocked));
    for (channel, waiting) in &standing.waiting {
        let gauge = metrics.broker_waiting.get_or_create(&Of { name: channel.to_string() }).clone();
        gauge.set(i64::try_from(*waiting).unwrap_or(i64::MAX));
    }
}

impl Assembly {
    fn destination(&self, name: &str) -> DestinationStatus {
        let open = self.hub.metrics.open.get_or_create(&Of { name: name.to_owned() }).get();
        DestinationStatus {
            name: name.to_owned(),
            state: if open > 0 { "waiting" } else { "delivering" },
            open: u64::try_from(open).unwrap_or(0),
            trouble: None,
        }
    }
}
