//! The hub put together: what is started, in which order, what a reload changes, and how it ends.
//!
//! In comes a checked configuration; out goes a running hub. A reload builds everything new first, and
//! changes nothing if any of it fails (H7); listeners and destinations that did not change are not
//! touched. Draining stops the sources, takes through what was accepted, and closes the store.

mod brokers;
mod codes;
mod control;
mod reload;
mod stages;
mod watching;

pub use self::brokers::kafka_options;
pub use self::watching::{reload_and_tell, watch_files};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::Arbiter;
use adapters::clock::{Clock, SystemClock};
use arc_swap::ArcSwap;
use tokio::sync::{Mutex, RwLock, Semaphore, broadcast, mpsc, watch};

use self::stages::{Bound, StagesPlan, start_couriers, start_stages};
use crate::actors::adapter::{BuildError, RunningSource, mllp_settings, start_source};
use crate::actors::cell::Health;
use crate::actors::{Escalation, Root, watchdog};
use crate::config::{Settings, StoreSettings};
use crate::finding::Findings;
use crate::journey::dead_letter::Replayer;
use crate::journey::hold::read_held;
use crate::journey::journal::{self, Found, Recovery};
use crate::journey::outbox::Outbox;
use crate::journey::publish::remote::Again;
use crate::journey::receive::{PIECE_BYTES, Receiver, Reception};
use crate::journey::release::Releaser;
use crate::journey::{Hub, Live};
use crate::keys::{KeyError, Keys};
use crate::routes::{Configuration, Loaded};
use crate::search::{Index, Search};
use crate::store::postgres::{Place, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{OpenError, Store, StoreError};
use crate::telemetry::Metrics;

/// Shards of the lanes: each maps on a thread of its own.
const SHARDS: usize = 2;
/// Happenings that a slow reader of the tap may be behind.
const TAP_MAX: usize = 1024;
/// Escalations that wait for the root at most.
const ESCALATIONS_MAX: usize = 16;
/// How often it is looked whether all has gone through.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why the hub did not start, or did not reload.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has errors.
    #[error("the configuration has errors")]
    Configuration(Findings),
    /// An adapter could not be built.
    #[error(transparent)]
    Adapter(#[from] BuildError),
    /// The data folder.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the journey ended.
    #[error(transparent)]
    Part(#[from] Escalation),
}

/// The listeners that run.
type Sources = HashMap<String, Arc<RunningSource>>;

/// Each source with its address.
pub type Addresses = Vec<(String, SocketAddr)>;

type Follower = Box<dyn Fn(Addresses) + Send + Sync>;

/// A running hub.
pub struct Assembly {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// What recovery found.
    pub found: Found,
    routes_file: PathBuf,
    drain_deadline: Duration,
    reception: Arc<Reception>,
    outbox: Outbox,
    sources: ArcSwap<Sources>,
    brokers: Vec<Bound>,
    /// Publishers of durable brokers.
    remote: Vec<mpsc::Sender<Again>>,
    replayer: Replayer,
    releaser: Releaser,
    search: Search,
    root: Root,
    closed: watch::Sender<bool>,
    arbiters: Vec<Arbiter>,
    /// Cells, and how each is.
    cells: Vec<(String, watch::Receiver<Health>)>,
    /// Cells that have been at one step for seconds.
    slow: watch::Receiver<Vec<String>>,
    /// One reload at a time.
    reloading: Mutex<()>,
    /// Hears the addresses of the sources after each reload, before it is answered.
    follower: OnceLock<Follower>,
}

/// Starts a hub with a checked configuration; also gives the escalations of its parts. `give_up` ends the process, on
/// a thread of its own, when an actor is stuck.
pub async fn start(
    settings: &Settings,
    loaded: Loaded,
    give_up: impl Fn(&str) + Send + 'static,
) -> Result<(Assembly, mpsc::Receiver<Escalation>), StartError> {
    let data = settings.data.as_path();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (store, index) = open_store(settings, &clock).await?;
    let keys = Keys::of_folder(data)?;
    let live = make_live(store.as_ref(), loaded.configuration).await?;
    let hub = Arc::new(Hub {
        store,
        clock,
        keys,
        live: ArcSwap::from_pointee(live),
        metrics: Metrics::default(),
        hands: RwLock::new(()),
        rates: ArcSwap::default(),
        tap: broadcast::Sender::new(TAP_MAX),
    });
    let (root, mut escalations) = mpsc::channel(ESCALATIONS_MAX);
    let clean = journal::begin(&hub).await?;
    let arbiters: Vec<Arbiter> = (0..SHARDS).map(|_| Arbiter::new()).collect();
    let held = read_held(hub.store.as_ref(), &hub.metrics, SHARDS).await?;
    journal::blame_the_dead(&hub).await?;
    let (closed, closing) = watch::channel(false);
    let brokers = brokers::bind(settings).await?;
    let plan = StagesPlan { arbiters: &arbiters, held, died: !clean, brokers: &brokers, closing: closing.clone() };
    let stages = start_stages(&hub, &root, plan);
    // Before recovery: what was stuck when the last process was given up may be stuck again.
    let slow = watchdog::watch(stages.progress, settings.limits.stuck, give_up);
    start_couriers(&hub, &stages.outbox, &root, !clean)?;
    let recovery = Recovery {
        hub: Arc::clone(&hub),
        shards: stages.shards.clone(),
        records: stages.embedded.records,
        aside: stages.embedded.aside,
        channels: stages.embedded.channels,
    };
    let found = tokio::select! {
        found = recovery.run(clean) => found?,
        Some(escalation) = escalations.recv() => return Err(escalation.into()),
    };
    let search = match index {
        Some(index) => Search::of(index, hub.keys.clone()),
        None => Search::open(data, hub.keys.clone())?,
    };
    tokio::spawn(search.clone().follow(Arc::clone(&hub), closing.clone()));
    let reception = Arc::new(Reception {
        hub: Arc::clone(&hub),
        shards: stages.shards.iter().map(|shard| (Mutex::default(), shard.clone())).collect(),
        memory: Arc::new(Semaphore::new(settings.limits.memory_for_bodies / PIECE_BYTES)),
        closed: closing,
    });
    let assembly = Assembly {
        found,
        routes_file: settings.routes.clone(),
        drain_deadline: settings.limits.drain,
        reception,
        outbox: stages.outbox,
        sources: ArcSwap::default(),
        cells: stages.cells,
        slow,
        brokers,
        remote: stages.remote,
        replayer: Replayer { hub: Arc::clone(&hub), shards: stages.shards },
        releaser: stages.releaser,
        search,
        root,
        closed,
        arbiters,
        reloading: Mutex::default(),
        follower: OnceLock::new(),
        hub,
    };
    let started = assembly.start_sources(&assembly.hub.live.load_full().configuration).await;
    match started {
        Ok(sources) => {
            assembly.sources.store(Arc::new(sources));
            assembly.releaser.release();
            Ok((assembly, escalations))
        }
        Err(error) => {
            assembly.stop().await;
            Err(error.into())
        }
    }
}

/// The store as it is set, and its search index if it brings one. The data folder is there for the keys in any case.
async fn open_store(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn Store>, Option<Arc<dyn Index>>), OpenError> {
    let database = match &settings.store {
        StoreSettings::Sqlite => {
            return Ok((Arc::new(SqliteStore::open(&settings.data, Arc::clone(clock)).await?), None));
        }
        StoreSettings::Postgres(database) => database,
    };
    let folder = settings.data.clone();
    std::fs::create_dir_all(&folder).map_err(|source| OpenError::Folder { folder, source })?;
    let place = Place::of(&database.url.0, database.ca.as_deref(), database.keep_days)?;
    let store = PostgresStore::open(place, Arc::clone(clock)).await?;
    let index: Arc<dyn Index> = Arc::new(store.terms());
    Ok((Arc::new(store), Some(index)))
}

/// A configuration with its number in the store (H7).
async fn make_live(store: &dyn Store, mut configuration: Configuration) -> Result<Live, StoreError> {
    configuration.forget_unrouted();
    let number = store.configuration(configuration.hash.as_str(), &configuration.files).await?;
    Ok(Live { configuration, number })
}

impl Assembly {
    /// Starts the listeners of `configuration` that do not run yet.
    async fn start_sources(&self, configuration: &Configuration) -> Result<Sources, BuildError> {
        let running = self.sources.load_full();
        let mut started = Sources::new();
        for spec in configuration.sources.values() {
            let Some(settings) = mllp_settings(spec) else { continue };
            if running.get(&spec.name).is_some_and(|source| source.settings == *settings) {
                continue;
            }
            let intake = Arc::new(Receiver::new(Arc::clone(&self.reception), spec.name.as_str().into()));
            let clock = Arc::clone(&self.hub.clock);
            match start_source(spec, settings, intake, clock, self.root.clone()).await {
                Ok(source) => {
                    started.insert(spec.name.clone(), Arc::new(source));
                }
                Err(error) => {
                    for source in started.values() {
                        source.drain();
                    }
                    return Err(error);
                }
            }
        }
        Ok(started)
    }

    /// True once the hub goes down.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Where each source listens.
    pub fn addresses(&self) -> Addresses {
        let sources = self.sources.load();
        let mut all: Vec<_> = sources.iter().map(|(name, source)| (name.clone(), source.address)).collect();
        all.sort();
        all
    }

    /// Has somebody follow the addresses. Only the first counts.
    pub fn after_reload(&self, follower: impl Fn(Addresses) + Send + Sync + 'static) {
        let _ = self.follower.set(Box::new(follower));
    }

    /// Replays messages and dead letters.
    pub fn replayer(&self) -> &Replayer {
        &self.replayer
    }

    /// Ends in order: stops the sources, takes through what was accepted, closes the store.
    pub async fn stop(&self) {
        self.closed.send_replace(true);
        let sources = self.sources.swap(Arc::default());
        let drained = tokio::time::timeout(self.drain_deadline, async {
            for source in sources.values() {
                source.drain();
            }
            for source in sources.values() {
                source.ended().await;
            }
            while self.hub.metrics.in_flight.get() > 0 && !self.hub.store.has_ended() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let couriers = self.outbox.couriers();
            for courier in couriers.values() {
                courier.stop();
            }
            for courier in couriers.values() {
                courier.ended().await;
            }
        });
        let in_order = drained.await.is_ok() && self.hub.store.health().is_ok();
        if in_order {
            if let Err(error) = journal::mark_clean(&self.hub).await {
                tracing::warn!(%error, "the end in order could not be recorded");
            }
        } else {
            tracing::warn!("not everything was taken through; the next start goes on with it");
        }
        self.hub.store.close().await;
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}
