//! Route: the loop that takes accepted messages, a shard of the lanes each, through route and map.
//!
//! In come accepted messages in the order of their commit; out go committed runs, and their deliveries
//! to the publisher and the deliverers, in the same order (H5). A shard commits one batch before it takes
//! the next, so that a failed commit cannot be overtaken. A message that panics in hand is charged and
//! tried again; its neighbours go on (H8). What is held goes again between two batches, in the same loop
//! ([`release`](super::release)): nothing of its lanes is under way then.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;

use super::blame::{self, CHARGES_MAX, InHand};
use super::hold::{Held, View};
use super::map::{Mapped, bury, map};
use super::outbox::Outbox;
use super::release::{Holding, Refusal};
use super::{Accepted, Hub, Journaled, Live};
use crate::actors::{Fault, Handle, Work};
use crate::admin::TapEvent;
use crate::store::{Cause, Charge, Outcome, Row, StoreError, UnitOfWork};
use crate::telemetry::{Metrics, Of};

/// Messages in one batch at most.
const BATCH_MAX: usize = 128;
/// Accepted messages that wait for their shard at most; a full queue slows the senders down.
pub const QUEUE_MAX: usize = 1024;
/// Events that wait for their shard at most. More than the publisher, the broker and a batch can hold
/// between them, three events a command, so that a consumer never waits for a shard that waits for it.
pub const EVENTS_MAX: usize = 16 * QUEUE_MAX;
/// Pause before a commit is tried again when the disk is full or locked.
const PAUSE_AFTER_FAILED_COMMIT: Duration = Duration::from_millis(200);

/// The worker in a shard's cell: pure work on a batch.
pub struct Router {
    hub: Arc<Hub>,
}

/// What a router is asked: the messages from `first` on.
pub struct Batch {
    live: Arc<Live>,
    messages: Arc<[Arc<Journaled>]>,
    held: Arc<Held>,
    in_hand: InHand,
}

impl Router {
    /// A router.
    pub fn new(hub: Arc<Hub>) -> Router {
        Router { hub }
    }
}

impl Work for Router {
    type Job = Batch;
    type Done = Vec<Mapped>;

    fn work(&mut self, batch: Batch) -> LocalBoxFuture<'_, Vec<Mapped>> {
        let now = self.hub.clock.now();
        async move {
            let mut held = View::of(batch.held);
            let mut mapped = Vec::with_capacity(batch.messages.len());
            for (place, message) in batch.messages.iter().enumerate() {
                batch.in_hand.take(place);
                mapped.push(map(&batch.live, &self.hub.keys, message, now, &mut held));
            }
            mapped
        }
        .boxed_local()
    }
}

/// One shard of the lanes.
pub struct Shard {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// The cell that maps.
    pub router: Handle<Router>,
    /// Where deliveries go.
    pub outbox: Outbox,
    /// Messages that sources accepted.
    pub accepted: mpsc::Receiver<Accepted>,
    /// Events of the domain actors; they go first.
    pub events: mpsc::Receiver<Accepted>,
    /// What of its lanes is held.
    pub holding: Holding,
}

/// What a shard does next.
enum Turn {
    /// It takes these through.
    Batch(Vec<Accepted>),
    /// It tries what is held again.
    Release,
    /// It refuses some of what is held.
    Refuse(Refusal),
}

impl Shard {
    /// Works until all queues are closed. An error is the end of the store.
    pub async fn run(mut self) -> Result<(), StoreError> {
        while let Some(turn) = self.next().await {
            match turn {
                Turn::Batch(batch) => self.take_through(batch).await?,
                Turn::Release => self.holding.begin_pass(),
                Turn::Refuse(refusal) => self.refuse(refusal).await?,
            }
            if self.holding.is_releasing() {
                self.release_some().await?;
            }
        }
        Ok(())
    }

    /// What comes next; none when nothing will come any more. During a pass over what is held it does not wait.
    async fn next(&mut self) -> Option<Turn> {
        let mut batch = Vec::new();
        if !self.holding.is_releasing() {
            tokio::select! {
                // The first two come rarely, and must come under load too.
                biased;
                Ok(()) = self.holding.asked.changed() => return Some(Turn::Release),
                Some(refusal) = self.holding.refusals.recv() => return Some(Turn::Refuse(refusal)),
                Some(event) = self.events.recv() => batch.push(event),
                Some(message) = self.accepted.recv() => batch.push(message),
                else => return None,
            }
        }
        while batch.len() < BATCH_MAX {
            let Ok(next) = self.events.try_recv().or_else(|_| self.accepted.try_recv()) else { break };
            batch.push(next);
        }
        Some(Turn::Batch(batch))
    }

    /// Maps and commits a batch, and launches its deliveries. An error is the end of the store.
    pub(super) async fn take_through(&mut self, batch: Vec<Accepted>) -> Result<(), StoreError> {
        let mut rest = batch;
        while !rest.is_empty() {
            let alone = rest.first().is_some_and(|first| first.suspect);
            let count = if alone { 1 } else { rest.iter().take_while(|message| !message.suspect).count() };
            let later = rest.split_off(count);
            let live = self.hub.live.load_full();
            let hub = Arc::clone(&self.hub);
            let mapped = if alone {
                let _alone = hub.hands.write().await;
                self.mark_in_hand(&rest, true).await?;
                self.map_all(&live, &mut rest).await?
            } else {
                let _hands = hub.hands.read().await;
                self.map_all(&live, &mut rest).await?
            };
            self.commit(rest, mapped, alone).await?;
            rest = later;
        }
        Ok(())
    }

    /// Maps every message of the batch; one that panics is charged, and buried when it has had enough.
    async fn map_all(&mut self, live: &Arc<Live>, batch: &mut [Accepted]) -> Result<Vec<Mapped>, StoreError> {
        let mut mapped: Vec<Mapped> = Vec::with_capacity(batch.len());
        while let Some(rest) = batch.get_mut(mapped.len()..).filter(|rest| !rest.is_empty()) {
            if let Some(spent) = rest.first().filter(|first| first.charges >= CHARGES_MAX) {
                let buried = bury(live, &spent.message, blame::deadly("route and map"), self.hub.clock.now());
                self.note(&mut mapped, [buried]);
                continue;
            }
            let in_hand = InHand::default();
            let job = self.job(live, rest, in_hand.clone());
            match self.router.ask(job).await {
                Ok(done) => self.note(&mut mapped, done),
                Err(Fault::Stopped) => return Err(StoreError::Closed),
                Err(Fault::Panicked(place)) => {
                    self.hub.metrics.panics.get_or_create(&Of { name: "route and map".to_owned() }).inc();
                    let guilty = in_hand.place();
                    let Some(accepted) = rest.get_mut(guilty) else { continue };
                    accepted.charges += 1;
                    tracing::warn!(id = %accepted.message.id, charges = accepted.charges, %place, "panicked");
                    self.charge(accepted, false).await?;
                    if accepted.charges >= CHARGES_MAX {
                        let cause = blame::poisoned("route and map", &place);
                        let buried = bury(live, &accepted.message, cause, self.hub.clock.now());
                        let before = rest.get(..guilty).unwrap_or_default();
                        let without = self.job(live, before, InHand::default());
                        let innocent = self.router.ask(without).await.map_err(|_| StoreError::Closed)?;
                        self.note(&mut mapped, innocent.into_iter().chain([buried]));
                    }
                }
            }
        }
        Ok(mapped)
    }

    /// What is held now is seen by those that are mapped next.
    fn note(&mut self, mapped: &mut Vec<Mapped>, done: impl IntoIterator<Item = Mapped>) {
        for one in done {
            self.holding.note(&self.hub.metrics, &one);
            mapped.push(one);
        }
    }

    fn job(&self, live: &Arc<Live>, batch: &[Accepted], in_hand: InHand) -> Batch {
        let messages = batch.iter().map(|accepted| Arc::clone(&accepted.message)).collect();
        Batch { live: Arc::clone(live), messages, held: Arc::clone(&self.holding.held), in_hand }
    }

    async fn charge(&self, accepted: &Accepted, in_hand: bool) -> Result<(), StoreError> {
        let charge = Charge { message: accepted.message.id, charges: accepted.charges, in_hand };
        self.commit_surely(vec![UnitOfWork::of(vec![Row::Charge(charge)])]).await.map(|_| ())
    }

    async fn mark_in_hand(&self, batch: &[Accepted], in_hand: bool) -> Result<(), StoreError> {
        for accepted in batch {
            self.charge(accepted, in_hand).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, batch: Vec<Accepted>, mut mapped: Vec<Mapped>, alone: bool) -> Result<(), StoreError> {
        let mut units: Vec<UnitOfWork> = mapped.iter_mut().map(Mapped::take_unit).collect();
        if let (true, Some(unit), Some(accepted)) = (alone, units.first_mut(), batch.first()) {
            unit.push(out_of_hand(accepted));
        }
        let outcomes = self.commit_surely(units).await?;
        for ((accepted, one), outcome) in batch.into_iter().zip(mapped).zip(outcomes) {
            let one = match outcome {
                Outcome::Committed(_) => {
                    self.holding.note_late(&accepted.message, &one);
                    one
                }
                refused if accepted.message.held.is_some() => {
                    self.bury_release(&accepted, &one, &refused).await?;
                    Mapped::default()
                }
                Outcome::Failed(error) => {
                    self.holding.forget(&self.hub.metrics, &one);
                    self.bury(&accepted, &error).await?
                }
                Outcome::Repeat { .. } | Outcome::AlreadyApplied | Outcome::Conflict => one,
            };
            for (route, state) in &one.runs {
                Metrics::count(&self.hub.metrics.runs, route, state.word());
                self.tell(&accepted.message, route, state.word(), &one);
            }
            if let Some(asker) = accepted.asker {
                let _ = asker.send(one.answered());
            }
            for mut launch in one.launches {
                launch.suspect = accepted.suspect;
                self.outbox.launch(launch).await;
            }
            // Its deliveries are counted by now: nothing seems to be through that is not.
            self.hub.metrics.in_flight.dec();
        }
        Ok(())
    }

    /// A message whose runs the store refuses has its end as a dead letter, and is seen.
    async fn bury(&self, accepted: &Accepted, error: &StoreError) -> Result<Mapped, StoreError> {
        let message = &accepted.message;
        tracing::error!(id = %message.id, %error, "cannot be routed");
        let mut buried = bury(&self.hub.live.load(), message, Cause::from(error), self.hub.clock.now());
        if accepted.suspect {
            buried.rows.push(out_of_hand(accepted));
        }
        for outcome in self.commit_surely(vec![buried.take_unit()]).await? {
            if let Outcome::Failed(again) = outcome {
                tracing::error!(id = %message.id, error = %again, "has no end");
            }
        }
        Ok(buried)
    }

    fn tell(&self, message: &Journaled, route: &Arc<str>, outcome: &'static str, mapped: &Mapped) {
        self.hub.tell(|| TapEvent {
            at: self.hub.clock.now(),
            message: message.id,
            source: Arc::clone(&message.source),
            kind: mapped.launches.first().map_or_else(|| "".into(), |launch| Arc::clone(&launch.kind)),
            stage: "route",
            outcome,
            at_name: Some(Arc::clone(route)),
            code: mapped.answer.as_ref().map(|cause| Arc::clone(&cause.code)),
        });
    }

    async fn commit_surely(&self, units: Vec<UnitOfWork>) -> Result<Vec<Outcome>, StoreError> {
        commit_surely(&self.hub, units).await
    }
}

/// The message is alone in hand no more.
pub(super) fn out_of_hand(accepted: &Accepted) -> Row {
    Row::Charge(Charge { message: accepted.message.id, charges: accepted.charges, in_hand: false })
}

/// Commits, and waits as long as the trouble may pass: what is accepted must be taken through. Outcomes
/// other than passing failures are final: only what failed for the time being is committed again.
pub async fn commit_surely(hub: &Hub, units: Vec<UnitOfWork>) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = hub.store.commit(units.clone()).await;
    loop {
        let failed = |outcome: &Outcome| match outcome {
            Outcome::Failed(error) => Some(error.clone()),
            Outcome::Committed(_) | Outcome::Repeat { .. } | Outcome::AlreadyApplied | Outcome::Conflict => None,
        };
        if let Some(error) = outcomes.iter().filter_map(failed).find(StoreError::is_the_end) {
            return Err(error);
        }
        let is_passing = |outcome: &Outcome| failed(outcome).is_some_and(|error| error.is_passing());
        let open: Vec<(&UnitOfWork, &mut Outcome)> =
            units.iter().zip(&mut outcomes).filter(|(_, outcome)| is_passing(outcome)).collect();
        if open.is_empty() {
            return Ok(outcomes);
        }
        tokio::time::sleep(PAUSE_AFTER_FAILED_COMMIT).await;
        let again = hub.store.commit(open.iter().map(|(unit, _)| (*unit).clone()).collect()).await;
        for ((_, outcome), now) in open.into_iter().zip(again) {
            *outcome = now;
        }
    }
}
