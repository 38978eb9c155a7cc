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
use super::publish::remote::Offers;
use super::{Hub, Launch};
use crate::broker::Record;
use crate::routes::{Channel, Target};

/// Records of one route that wait for its rate at most; with more, its shard waits, and so its senders (H6).
const HELD_BACK_MAX: usize = 1024;
/// How long a record asks for its pass before it asks again.
const ASKS_FOR: Duration = Duration::from_secs(60);

/// The way of a channel's records to its broker.
#[derive(Clone)]
pub enum Way {
    /// To the embedded broker, which holds what this process holds: a full queue makes the shard wait (H6).
    Embedded(mpsc::Sender<Record>),
    /// To a durable broker; never waits.
    Remote(Offers),
}

type HeldBack = HashMap<(Arc<str>, Channel), mpsc::Sender<Record>>;

/// Where deliveries go.
#[derive(Clone)]
pub struct Outbox {
    hub: Arc<Hub>,
    ways: Arc<HashMap<Channel, Way>>,
    couriers: Arc<ArcSwap<HashMap<String, Courier>>>,
    /// By route and channel, for routes that have, or had, a rate: once there is a queue, nothing passes it by (H5).
    held_back: Arc<Mutex<HeldBack>>,
}

impl Outbox {
    /// An outbox with no couriers yet.
    pub fn new(hub: Arc<Hub>, ways: HashMap<Channel, Way>) -> Outbox {
        Outbox { hub, ways: Arc::new(ways), couriers: Arc::new(ArcSwap::default()), held_back: Arc::default() }
    }

    /// The couriers of the configuration of now.
    pub fn couriers(&self) -> Arc<HashMap<String, Courier>> {
        self.couriers.load_full()
    }

    /// Other couriers from now on.
    pub fn set_couriers(&self, couriers: HashMap<String, Courier>) {
        self.couriers.store(Arc::new(couriers));
    }

    /// The queue of the route, if it has a rate. Routes, and the channels of one, do not wait for one another (H8).
    fn queue_of(&self, route: &Arc<str>, channel: Channel, way: &Way) -> Option<mpsc::Sender<Record>> {
        let mut held_back = self.held_back.lock().ok()?;
        let key = (Arc::clone(route), channel);
        if let Some(queue) = held_back.get(&key) {
            return Some(queue.clone());
        }
        self.hub.rates.load().routes.get(route)?;
        let (queue, records) = mpsc::channel(HELD_BACK_MAX);
        tokio::spawn(hold_back(Arc::clone(&self.hub), Arc::clone(route), records, way.clone()));
        held_back.insert(key, queue.clone());
        Some(queue)
    }

    /// Sends one delivery on. Waits when the publisher of the embedded broker, or the queue of a rate, is full.
    pub async fn launch(&self, launch: Launch) {
        match &launch.target {
            Target::Channel(channel) => {
                let Some(way) = self.ways.get(channel) else { return };
                self.hub.metrics.in_flight.inc();
                match self.queue_of(&launch.route, *channel, way) {
                    Some(queue) => {
                        if queue.send(record_of(launch)).await.is_err() {
                            self.hub.metrics.in_flight.dec();
                        }
                    }
                    None => way.send(&self.hub, record_of(launch)).await,
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

impl Way {
    /// Sends a record on. It counts as in flight until it is applied, or until the store alone answers for it.
    async fn send(&self, hub: &Hub, record: Record) {
        match self {
            Way::Embedded(publisher) => {
                if publisher.send(record).await.is_err() {
                    hub.metrics.in_flight.dec();
                }
            }
            Way::Remote(offers) => {
                offers.offer(record);
                hub.metrics.in_flight.dec();
            }
        }
    }
}

/// Lets the records of one route go at its rate, in their order. Without a rate they go at once.
async fn hold_back(hub: Arc<Hub>, route: Arc<str>, mut records: mpsc::Receiver<Record>, way: Way) {
    while let Some(record) = records.recv().await {
        loop {
            let rates = hub.rates.load_full();
            let Some(limiter) = rates.routes.get(&route) else { break };
            if limiter.pass(ASKS_FOR).await.is_ok() {
                break;
            }
        }
        way.send(&hub, record).await;
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
