//! The outbox in memory: sends each committed delivery on to the publisher or to its deliverer.
//!
//! A delivery for which nobody works here (its destination was taken out of the configuration) stays
//! open in the store, where it is seen, and goes when the destination is back.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::deliver::Courier;
use super::{Hub, Launch};
use crate::broker::Record;
use crate::routes::Target;

/// Where deliveries go.
#[derive(Clone)]
pub struct Outbox {
    hub: Arc<Hub>,
    publisher: mpsc::Sender<Record>,
    couriers: Arc<ArcSwap<HashMap<String, Courier>>>,
}

impl Outbox {
    /// An outbox with no couriers yet.
    pub fn new(hub: Arc<Hub>, publisher: mpsc::Sender<Record>) -> Outbox {
        Outbox { hub, publisher, couriers: Arc::new(ArcSwap::default()) }
    }

    /// The couriers of the configuration of now.
    pub fn couriers(&self) -> Arc<HashMap<String, Courier>> {
        self.couriers.load_full()
    }

    /// Other couriers from now on.
    pub fn set_couriers(&self, couriers: HashMap<String, Courier>) {
        self.couriers.store(Arc::new(couriers));
    }

    /// Sends one delivery on. Waits when the publisher is full.
    pub async fn launch(&self, launch: Launch) {
        match &launch.target {
            Target::Channel(_) => {
                self.hub.metrics.in_flight.inc();
                if self.publisher.send(record_of(launch)).await.is_err() {
                    self.hub.metrics.in_flight.dec();
                }
            }
            Target::Destination(name) => {
                if let Some(courier) = self.couriers.load().get(name) {
                    courier.offer(launch);
                }
            }
        }
    }
}

fn record_of(launch: Launch) -> Record {
    Record {
        id: launch.id,
        channel: launch.target.name().into(),
        key: launch.lane,
        command: launch.command,
        kind: launch.kind,
        source: launch.source,
        route: launch.route,
        created_at: launch.created_at,
        attempts: 0,
        charges: 0,
        suspect: launch.suspect,
        body: launch.body,
    }
}
