//! Deliver: outbox -> far system, one courier a destination.
//!
//! In come deliveries whose rows are committed; each is tried until the far system took it, refused it, or
//! its time is over, and every attempt is recorded (H2, H3). Deliveries of one lane go one after the other,
//! in the order of acceptance, over retries and restarts; a lane that waits does not hold up the others
//! (H5). A destination that is down costs others nothing (H8): memory holds a window of its deliveries,
//! the store holds all of them (H6).

mod attempt;
mod lanes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adapters::{Parcel, Sink, Verdict};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::attempt::{Errand, Settled, run_errand};
use self::lanes::{Item, Lanes};
use super::{Hub, Launch};
use crate::actors::{Handle, Work};
use crate::store::OpenDelivery;
use crate::telemetry::Of;

/// Deliveries of one destination in memory at most; beyond, they are read from the store in their turn.
const WINDOW_MAX: usize = 4096;
/// Offers that wait for the courier at most; beyond, it reads them from the store.
const OFFERS_MAX: usize = 1024;
/// Bodies are kept in memory only while so many deliveries are open; else they are read again.
const BODIES_MAX: usize = 256;
/// Longest sleep of a courier without work.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Pause before the store is read again after it could not be.
const PAUSE_AFTER_FAILED_READ: Duration = Duration::from_secs(1);

/// The worker in a courier's cell: one attempt at a time.
pub struct Deliverer {
    sink: Arc<dyn Sink>,
}

impl Deliverer {
    /// Delivers to `sink`.
    pub fn new(sink: Arc<dyn Sink>) -> Deliverer {
        Deliverer { sink }
    }
}

impl Work for Deliverer {
    type Job = Parcel;
    type Done = Verdict;

    fn work(&mut self, parcel: Parcel) -> LocalBoxFuture<'_, Verdict> {
        async move { self.sink.deliver(&parcel).await }.boxed_local()
    }
}

/// A hold on the courier of one destination.
#[derive(Clone)]
pub struct Courier {
    offers: mpsc::Sender<Launch>,
    behind: Arc<AtomicBool>,
    stop: Arc<watch::Sender<bool>>,
    ended: watch::Receiver<bool>,
}

impl Courier {
    /// Offers a delivery; never waits. What does not fit is read from the store.
    pub fn offer(&self, launch: Launch) {
        if self.offers.try_send(launch).is_err() {
            self.behind.store(true, Ordering::Release);
        }
    }

    /// Lets the attempts under way finish, and begins no other.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Whether both are holds on one courier.
    pub fn is_same(&self, other: &Courier) -> bool {
        Arc::ptr_eq(&self.behind, &other.behind)
    }
}

/// What a courier is made of.
pub struct Plan {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// The destination's name.
    pub destination: Arc<str>,
    /// Cells that make attempts: so many at once.
    pub cells: Vec<Handle<Deliverer>>,
    /// The process died before: what is at the head of its lane may have been under way.
    pub in_doubt: bool,
    /// The courier whose place it takes: it ends first, so that nothing goes twice at a time.
    pub after: Option<Courier>,
}

/// Makes a courier and the future that is its work.
pub fn courier(plan: Plan) -> (Courier, impl Future<Output = ()> + Send) {
    let (offers, offered) = mpsc::channel(OFFERS_MAX);
    let behind = Arc::new(AtomicBool::new(true));
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let handle = Courier { offers, behind: Arc::clone(&behind), stop: Arc::new(stop), ended };
    let free = (0..plan.cells.len()).collect();
    let round = Round { plan, offered, behind, stopped, lanes: Lanes::default(), free };
    let work = async move {
        round.run().await;
        end.send_replace(true);
    };
    (handle, work)
}

struct Round {
    plan: Plan,
    offered: mpsc::Receiver<Launch>,
    behind: Arc<AtomicBool>,
    stopped: watch::Receiver<bool>,
    lanes: Lanes,
    free: Vec<usize>,
}

impl Round {
    async fn run(mut self) {
        if let Some(before) = self.plan.after.take() {
            before.stop();
            before.ended().await;
        }
        let mut under_way = FuturesUnordered::new();
        loop {
            let stopping = *self.stopped.borrow();
            if stopping && under_way.is_empty() {
                return;
            }
            if !stopping {
                self.catch_up().await;
                while let Some(errand) = self.next_errand() {
                    under_way.push(run_errand(errand));
                }
            }
            self.show_open();
            let due = self.lanes.next_due().unwrap_or_else(|| Instant::now() + SLEEP_MAX);
            tokio::select! {
                settled = under_way.next(), if !under_way.is_empty() => {
                    if let Some(settled) = settled { self.settle(settled); }
                }
                offer = self.offered.recv(), if !stopping => match offer {
                    Some(launch) => self.admit_offer(launch),
                    None => return,
                },
                changed = self.stopped.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(due), if !stopping && !self.free.is_empty() => {}
            }
        }
    }

    /// Reads open deliveries from the store when memory does not have all of them.
    async fn catch_up(&mut self) {
        if self.lanes.len() > WINDOW_MAX / 2 || !self.behind.swap(false, Ordering::AcqRel) {
            return;
        }
        // Whatever is offered by now is in the store; whatever is offered from now on stays in the queue.
        while self.offered.try_recv().is_ok() {}
        match self.plan.hub.store.open_deliveries(&self.plan.destination, WINDOW_MAX).await {
            Ok(open) => {
                if open.len() == WINDOW_MAX {
                    self.behind.store(true, Ordering::Release);
                }
                for delivery in open {
                    self.admit_stored(&delivery);
                }
                self.lanes.doubt_heads(self.plan.in_doubt);
                self.plan.in_doubt = false;
            }
            Err(error) => {
                tracing::warn!(destination = %self.plan.destination, %error, "cannot read open deliveries");
                self.behind.store(true, Ordering::Release);
                tokio::time::sleep(PAUSE_AFTER_FAILED_READ).await;
            }
        }
        // An offer that the reading saw too must meet its twin before that one is delivered and forgotten.
        while let Ok(launch) = self.offered.try_recv() {
            self.admit_offer(launch);
        }
    }

    fn admit_offer(&mut self, launch: Launch) {
        if self.behind.load(Ordering::Acquire) || self.lanes.len() >= WINDOW_MAX {
            self.behind.store(true, Ordering::Release);
            return;
        }
        let keep = self.lanes.len() < BODIES_MAX;
        self.lanes.admit(Item {
            id: launch.id,
            lane: launch.lane,
            route: launch.route,
            created_at: launch.created_at,
            attempts: 0,
            panics: 0,
            in_doubt: false,
            document: keep.then_some((launch.format, launch.body)),
            due: Instant::now(),
        });
    }

    fn admit_stored(&mut self, delivery: &OpenDelivery) {
        let now = self.plan.hub.clock.now();
        let wait = delivery.next_at.map_or(0, |at| at.0.saturating_sub(now.0)).max(0);
        self.lanes.admit(Item {
            id: delivery.id,
            lane: delivery.lane,
            route: Arc::clone(&delivery.route),
            created_at: delivery.created_at,
            attempts: delivery.attempts,
            panics: 0,
            in_doubt: false,
            document: None,
            due: Instant::now() + Duration::from_micros(u64::try_from(wait).unwrap_or(0)).min(SLEEP_MAX),
        });
    }

    /// The next attempt, if a cell is free and a lane's head is due.
    fn next_errand(&mut self) -> Option<Errand> {
        if self.free.is_empty() {
            return None;
        }
        let item = self.lanes.take_due(Instant::now())?;
        let place = self.free.pop()?;
        let cell = self.plan.cells.get(place)?.clone();
        Some(Errand {
            hub: Arc::clone(&self.plan.hub),
            destination: Arc::clone(&self.plan.destination),
            item,
            cell,
            place,
        })
    }

    fn settle(&mut self, settled: Settled) {
        let Settled { item, place, wait } = settled;
        self.free.push(place);
        match wait {
            None => self.lanes.finish(&item),
            Some(wait) => self.lanes.put_back(item, Instant::now() + wait),
        }
    }

    fn show_open(&self) {
        let of = Of { name: self.plan.destination.to_string() };
        let open = i64::try_from(self.lanes.len()).unwrap_or(i64::MAX);
        self.plan.hub.metrics.open.get_or_create(&of).set(open);
    }
}
