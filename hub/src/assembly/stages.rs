//! The stages of the journey between the sources and the far systems: publisher, shards, consumers, couriers.
//!
//! In comes a hub with its configuration; out go running parts and the ends of their queues. A part that ends otherwise
//! than with the store is told to the root: the process cannot go on without it (H8).

use std::collections::HashMap;
use std::sync::Arc;

use actix::Arbiter;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};

use crate::actors::adapter::{BuildError, build_sink};
use crate::actors::cell::{self, Health};
use crate::actors::prescription::PrescriptionActor;
use crate::actors::supervisor::keep_up;
use crate::actors::watchdog::Progress;
use crate::actors::{Handle, Policy, Root};
use crate::broker::{Broker, Partitions, Record};
use crate::journey::consume::{Consumer, Domain, Durable, SUSPECTS_MAX};
use crate::journey::deliver::{self, Courier, Deliverer};
use crate::journey::hold::Held;
use crate::journey::outbox::{Outbox, Way};
use crate::journey::publish::remote::{self, Again, Remote};
use crate::journey::publish::{self, Aside, Publisher};
use crate::journey::release::{self, Holding, Releaser};
use crate::journey::route::{self, Router, Shard};
use crate::journey::{Accepted, Hub, Rates};
use crate::limit::{Limits, Rate};
use crate::routes::{Channel, Configuration, DestinationSpec, Limit};
use crate::store::StoreError;

/// Cells of each domain actor; partitions share them.
const ACTORS: usize = 2;
/// Jobs that wait for a cell at most.
const MAILBOX: usize = 16;

/// What the stages are reached by.
pub(super) struct Stages {
    pub(super) shards: Vec<mpsc::Sender<Accepted>>,
    pub(super) embedded: Embedded,
    /// Publishers of durable brokers, to be asked to publish again.
    pub(super) remote: Vec<mpsc::Sender<Again>>,
    pub(super) outbox: Outbox,
    pub(super) releaser: Releaser,
    pub(super) cells: Vec<(String, watch::Receiver<Health>)>,
    pub(super) progress: Vec<(String, Progress)>,
}

/// What recovery feeds: the channels of the embedded broker.
pub(super) struct Embedded {
    pub(super) records: mpsc::Sender<Record>,
    pub(super) aside: Aside,
    pub(super) channels: Vec<Channel>,
}

/// A broker, and the channels that it carries.
#[derive(Clone)]
pub(super) struct Bound {
    /// Its name in the settings.
    pub(super) name: &'static str,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) channels: Vec<Channel>,
}

/// What the stages begin with.
pub(super) struct StagesPlan<'a> {
    /// A thread for each shard.
    pub(super) arbiters: &'a [Arbiter],
    /// What each shard holds.
    pub(super) held: Vec<Held>,
    /// The last process did not end in order.
    pub(super) died: bool,
    /// The brokers, the embedded one among them.
    pub(super) brokers: &'a [Bound],
    /// True once the hub goes down.
    pub(super) closing: watch::Receiver<bool>,
}

/// Starts publishers, consumers and shards. Each shard has what it holds; after a process that died, what is
/// released first goes alone.
pub(super) fn start_stages(hub: &Arc<Hub>, root: &Root, stages: StagesPlan<'_>) -> Stages {
    let StagesPlan { arbiters, held: all_held, died, brokers, closing } = stages;
    let mut publishing = start_publishers(hub, root, brokers, &closing);
    let outbox = Outbox::new(Arc::clone(hub), std::mem::take(&mut publishing.ways));
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
    let mut actors = Vec::with_capacity(ACTORS);
    for (arbiter, number) in arbiters.iter().cycle().take(ACTORS).zip(1_usize..) {
        let acting = Arc::clone(hub);
        let name = format!("prescription {number}");
        let make = move || PrescriptionActor::new(Arc::clone(&acting));
        let actor = cell::spawn(&arbiter.handle(), plan(&name, root, make));
        progress.push((name.clone(), actor.progress()));
        cells.push((name, actor.watch()));
        actors.push(actor);
    }
    let channel = Channel::Prescription;
    if let Some((bound, aside)) = publishing.carriers.iter().find(|(bound, _)| bound.channels.contains(&channel)) {
        let durable = bound.broker.is_durable().then_some((closing, died));
        let feed = Feed { hub: Arc::clone(hub), root: root.clone(), actors, events, aside: aside.clone(), durable };
        run_stage(root, "partitions", feed.run(bound.broker.consume(channel.name())).map(Ok));
    }
    let Publishing { embedded, remote, .. } = publishing;
    Stages { shards, embedded, remote, outbox, releaser, cells, progress }
}

/// The publishers that were started.
struct Publishing {
    ways: HashMap<Channel, Way>,
    embedded: Embedded,
    remote: Vec<mpsc::Sender<Again>>,
    /// Each broker, with what stands aside of its channels.
    carriers: Vec<(Bound, Aside)>,
}

/// Starts one publisher a broker: one that is away does not stop the channels of another (H8).
fn start_publishers(hub: &Arc<Hub>, root: &Root, brokers: &[Bound], closing: &watch::Receiver<bool>) -> Publishing {
    let (records, published) = mpsc::channel(publish::QUEUE_MAX);
    let mut published = Some(published);
    let embedded = Embedded { records: records.clone(), aside: Aside::default(), channels: Vec::new() };
    let mut publishing = Publishing { ways: HashMap::new(), embedded, remote: Vec::new(), carriers: Vec::new() };
    for bound in brokers {
        let (hub, broker, channels) = (Arc::clone(hub), Arc::clone(&bound.broker), bound.channels.clone());
        let way;
        let aside;
        if bound.broker.is_durable() {
            aside = Aside::default();
            let plan = remote::Plan { hub, broker, channels, aside: aside.clone(), closing: closing.clone() };
            let (publisher, offers, ask) = Remote::new(plan);
            run_stage(root, &format!("publisher {}", bound.name), publisher.run().map(Ok));
            publishing.remote.push(ask);
            way = Way::Remote(offers);
        } else {
            let Some(records_of) = published.take() else { continue };
            aside = publishing.embedded.aside.clone();
            publishing.embedded.channels.clone_from(&channels);
            let publisher = Publisher { hub, broker, records: records_of, aside: aside.clone(), channels };
            run_stage(root, "publisher", publisher.run().map(Ok));
            way = Way::Embedded(records.clone());
        }
        publishing.ways.extend(bound.channels.iter().map(|channel| (*channel, way.clone())));
        publishing.carriers.push((bound.clone(), aside));
    }
    publishing
}

/// Gives each partition of a channel a consumer, as they come.
struct Feed<D: Domain> {
    hub: Arc<Hub>,
    root: Root,
    actors: Vec<Handle<D>>,
    events: Vec<mpsc::Sender<Accepted>>,
    aside: Aside,
    /// For a durable broker: true once the hub goes down, and whether the last process died.
    durable: Option<(watch::Receiver<bool>, bool)>,
}

impl<D: Domain> Feed<D> {
    async fn run(self, mut partitions: Partitions) {
        let mut actors = self.actors.iter().cycle();
        let mut number = 0_usize;
        while let Some(partition) = partitions.next().await {
            let Some(actor) = actors.next() else { return };
            number = number.wrapping_add(1);
            let durable = self.durable.clone().map(|(closing, died)| {
                let suspects = if died { SUSPECTS_MAX } else { 0 };
                Durable { closing, suspects }
            });
            let consumer = Consumer {
                hub: Arc::clone(&self.hub),
                partition,
                actor: actor.clone(),
                events: self.events.clone(),
                aside: self.aside.clone(),
                durable,
            };
            run_stage(&self.root, &format!("consumer {number}"), consumer.run());
        }
    }
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
