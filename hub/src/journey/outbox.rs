//! The outbox in memory: sends each committed delivery on to the publisher or to its deliverer.
//!
//! A delivery for which nobody works here (its destination was taken out of the configuration) stays
//! open in the store, where it is seen, and goes when the destination is back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::deliver::Courier;
use super::{Hub, Launch};
use crate::broker::Record;
use crate::routes::Target;

/// Records of one route that wait for its rate at most; with more, its shard waits, and so its senders (H6).
const HELD_BACK_MAX: usize = 1024;
/// How long a record asks for its pass before it asks again.
const ASKS_FOR: Duration = Duration::from_secs(60);

/// Where deliveries go.
#[derive(Clone)]
pub struct Outbox {
    hub: Arc<Hub>,
    publisher: mpsc::Sender<Record>,
    couriers: Arc<ArcSwap<HashMap<String, Courier>>>,
    /// By route, for those that have, or had, a rate: once a route has a queue, nothing passes it by (H5).
    held_back: Arc<Mutex<HashMap<Arc<str>, mpsc::Sender<Record>>>>,
}

impl Outbox {
    /// An outbox with no couriers yet.
    pub fn new(hub: Arc<Hub>, publisher: mpsc::Sender<Record>) -> Outbox {
        Outbox { hub, publisher, couriers: Arc::new(ArcSwap::default()), held_back: Arc::default() }
    }

    /// The couriers of the configuration of now.
    pub fn couriers(&self) -> Arc<HashMap<String, Courier>> {
        self.couriers.load_full()
    }

    /// Other couriers from now on.
    pub fn set_couriers(&self, couriers: HashMap<String, Courier>) {
        self.couriers.store(Arc::new(couriers));
    }

    /// To the publisher, by the queue of the route if it has a rate. Routes do not wait for one another (H8).
    fn way_of(&self, route: &Arc<str>) -> mpsc::Sender<Record> {
        let Ok(mut held_back) = self.held_back.lock() else { return self.publisher.clone() };
        if let Some(queue) = held_back.get(route) {
            return queue.clone();
        }
        if self.hub.rates.load().routes.get(route).is_none() {
            return self.publisher.clone();
        }
        let (queue, records) = mpsc::channel(HELD_BACK_MAX);
        tokio::spawn(hold_back(Arc::clone(&self.hub), Arc::clone(route), records, self.publisher.clone()));
        held_back.insert(Arc::clone(route), queue.clone());
        queue
    }

    /// Sends one delivery on. Waits when the publisher is full.
    pub async fn launch(&self, launch: Launch) {
        match &launch.target {
            Target::Channel(_) => {
                self.hub.metrics.in_flight.inc();
                let way = self.way_of(&launch.route);
                if way.send(record_of(launch)).await.is_err() {
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

/// Lets the records of one route go at its rate, in their order. Without a rate they go at once.
async fn hold_back(
    hub: Arc<Hub>,
    route: Arc<str>,
    mut records: mpsc::Receiver<Record>,
    publisher: mpsc::Sender<Record>,
) {
    while let Some(record) = records.recv().await {
        loop {
            let rates = hub.rates.load_full();
            let Some(limiter) = rates.routes.get(&route) else { break };
            if limiter.pass(ASKS_FOR).await.is_ok() {
                break;
            }
        }
        if publisher.send(record).await.is_err() {
            hub.metrics.in_flight.dec();
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
