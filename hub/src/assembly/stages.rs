//! The stages of the journey between the sources and the far systems: publisher, shards, consumers, couriers.
//!
//! In comes a hub with its configuration; out go running parts and the ends of their queues. A part that ends otherwise
//! than with the store is told to the root: the process cannot go on without it (H8).

use std::collections::HashMap;
use std::sync::Arc;

use actix::Arbiter;
use futures::FutureExt;
use tokio::sync::{mpsc, watch};

use crate::actors::adapter::{BuildError, build_sink};
use crate::actors::cell::{self, Health};
use crate::actors::prescription::PrescriptionActor;
use crate::actors::supervisor::keep_up;
use crate::actors::watchdog::Progress;
use crate::actors::{Policy, Root};
use crate::broker::embedded::Embedded;
use crate::broker::{Broker, Record};
use crate::journey::consume::Consumer;
use crate::journey::deliver::{self, Courier, Deliverer};
use crate::journey::hold::Held;
use crate::journey::outbox::Outbox;
use crate::journey::publish::{self, Aside, Publisher};
use crate::journey::release::{self, Holding, Releaser};
use crate::journey::route::{self, Router, Shard};
use crate::journey::{Accepted, Hub, Rates};
use crate::limit::{Limits, Rate};
use crate::routes::{Channel, Configuration, DestinationSpec, Limit};
use crate::store::StoreError;

/// Partitions of a channel.
const PARTITIONS: usize = 2;
/// Jobs that wait for a cell at most.
const MAILBOX: usize = 16;

/// What the stages are reached by.
pub(super) struct Stages {
    pub(super) shards: Vec<mpsc::Sender<Accepted>>,
    pub(super) records: mpsc::Sender<Record>,
    pub(super) outbox: Outbox,
    pub(super) aside: Aside,
    pub(super) releaser: Releaser,
    pub(super) cells: Vec<(String, watch::Receiver<Health>)>,
    pub(super) progress: Vec<(String, Progress)>,
}

/// What the shards begin with.
pub(super) struct ShardPlan<'a> {
    /// A thread for each.
    pub(super) arbiters: &'a [Arbiter],
    /// What each holds.
    pub(super) held: Vec<Held>,
    /// The last process did not end in order.
    pub(super) died: bool,
}

/// Starts publisher, consumers and shards. Each shard has what it holds; after a process that died, what is
/// released first goes alone.
pub(super) fn start_stages(hub: &Arc<Hub>, root: &Root, shards_of: ShardPlan<'_>) -> Stages {
    let ShardPlan { arbiters, held: all_held, died } = shards_of;
    let channels = Channel::ALL.map(Channel::name);
    let broker: Arc<dyn Broker> = Arc::new(Embedded::new(&channels, PARTITIONS));
    let (records, published) = mpsc::channel(publish::QUEUE_MAX);
    let outbox = Outbox::new(Arc::clone(hub), records.clone());
    let aside = Aside::default();
    let publisher =
        Publisher { hub: Arc::clone(hub), broker: Arc::clone(&broker), records: published, aside: aside.clone() };
    run_stage(root, "publisher", publisher.run().map(Ok));
    let (mut cells, mut progress) = (Vec::new(), Vec::new());
    let mut shards = Vec::with_capacity(arbiters.len());
    let mut events = Vec::with_capacity(arbiters.len());
    let mut releaser = Releaser { ask: watch::Sender::new(()), refusals: Vec::with_capacity(arbiters.len()) };
    let suspects = if died { release::SUSPECTS_MAX } else { 0 };
    for ((arbiter, held), number) in arbiters.iter().zip(all_held).zip(1_usize..) {
        let (accept, accepted) = mpsc::channel(route::QUEUE_MAX);
        let (tell, told) = mpsc::channel(route::EVENTS_MAX);
        let routing = Arc::clone(hub);
        let name = format!("router {number}");
        let router = cell::spawn(&arbiter.handle(), plan(&name, root, move || Router::new(Arc::clone(&routing))));
        progress.push((name.clone(), router.progress()));
        cells.push((name, router.watch()));
        let (refuse, refusals) = mpsc::channel(release::REFUSALS_MAX);
        releaser.refusals.push(refuse);
        let place = (number - 1, arbiters.len());
        let holding = Holding::new(held, releaser.ask.subscribe(), refusals, place, suspects);
        let shard = Shard { hub: Arc::clone(hub), router, outbox: outbox.clone(), accepted, events: told, holding };
        run_stage(root, &format!("shard {number}"), shard.run());
        shards.push(accept);
        events.push(tell);
    }
    for (partition, number) in broker.consume(Channel::Prescription.name()).into_iter().zip(1_usize..) {
        let acting = Arc::clone(hub);
        let name = format!("prescription {number}");
        let Some(arbiter) = arbiters.get(number % arbiters.len().max(1)) else { continue };
        let make = move || PrescriptionActor::new(Arc::clone(&acting));
        let actor = cell::spawn(&arbiter.handle(), plan(&name, root, make));
        progress.push((name.clone(), actor.progress()));
        cells.push((name, actor.watch()));
        let consumer =
            Consumer { hub: Arc::clone(hub), partition, actor, events: events.clone(), aside: aside.clone() };
        run_stage(root, &format!("consumer {number}"), consumer.run());
    }
    Stages { shards, records, outbox, aside, releaser, cells, progress }
}

/// Runs one stage. With the store it may end; what else ends it goes up.
fn run_stage(root: &Root, part: &str, work: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
    keep_up(root, part, work.map(|ended| ended.or_else(|error| if error.is_the_end() { Ok(()) } else { Err(error) })));
}

fn plan<W: cell::Work>(name: &str, root: &Root, mut make: impl FnMut() -> W + Send + 'static) -> cell::Plan<W> {
    let make = Box::new(move || Ok(make()));
    cell::Plan { name: name.to_owned(), mailbox: MAILBOX, policy: Policy::default(), root: root.clone(), make }
}

/// Starts a courier for every destination of the configuration of now.
pub(super) fn start_couriers(hub: &Arc<Hub>, outbox: &Outbox, root: &Root, died: bool) -> Result<(), BuildError> {
    let live = hub.live.load_full();
    hub.rates.store(Arc::new(rates_of(&live.configuration, &Rates::default())));
    let mut couriers = HashMap::new();
    for spec in live.configuration.destinations.values() {
        couriers.insert(spec.name.clone(), start_courier(hub, spec, root, Predecessor::Process { died })?);
    }
    outbox.set_couriers(couriers);
    Ok(())
}

/// The rates of destinations and routes; a rate that stays keeps what it has seen.
pub(super) fn rates_of(configuration: &Configuration, before: &Rates) -> Rates {
    let rate = |(name, limit): (&String, Option<Limit>)| {
        let limit = limit?;
        Some((name.clone(), Rate::new(limit.per_second, limit.burst)?))
    };
    let destinations = configuration.destinations.values().map(|spec| (&spec.name, spec.delivery.limit));
    let routes = configuration.routes.iter().map(|route| (&route.id, route.limit));
    Rates {
        destinations: Limits::new(destinations.filter_map(rate), &before.destinations),
        routes: Limits::new(routes.filter_map(rate), &before.routes),
    }
}

/// Who delivered to a destination before.
pub(super) enum Predecessor {
    /// Another process, which may have died.
    Process {
        /// It did.
        died: bool,
    },
    /// A courier of this process, if there was one.
    Courier(Option<Courier>),
}

pub(super) fn start_courier(
    hub: &Arc<Hub>,
    spec: &DestinationSpec,
    root: &Root,
    predecessor: Predecessor,
) -> Result<Courier, BuildError> {
    let sink = build_sink(spec, Arc::clone(&hub.clock))?;
    let cells = (1..=spec.delivery.parallel.max(1)).map(|number| {
        let sink = Arc::clone(&sink);
        let name = format!("deliverer {} {number}", spec.name);
        cell::spawn(&Arbiter::current(), plan(&name, root, move || Deliverer::new(Arc::clone(&sink))))
    });
    let (in_doubt, after) = match predecessor {
        Predecessor::Process { died } => (died, None),
        Predecessor::Courier(courier) => (false, courier),
    };
    let plan = deliver::Plan {
        hub: Arc::clone(hub),
        destination: spec.name.as_str().into(),
        cells: cells.collect(),
        in_doubt,
        after,
    };
    let (courier, work) = deliver::courier(plan);
    run_stage(root, &format!("courier {}", spec.name), work.map(Ok));
    Ok(courier)
}
