//! Route: the loop that takes accepted messages, a shard of the lanes each, through route and map.
//!
//! In come accepted messages in the order of their commit; out go committed runs, and their deliveries
//! to the publisher and the deliverers, in the same order (H5). A shard commits one batch before it takes
//! the next, so that a failed commit cannot be overtaken. A message that panics in hand is charged and
//! tried again; its neighbours go on (H8).

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;

use super::blame::{self, CHARGES_MAX, InHand};
use super::map::{Mapped, bury, map};
use super::outbox::Outbox;
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
            let mut mapped = Vec::with_capacity(batch.messages.len());
            for (place, message) in batch.messages.iter().enumerate() {
                batch.in_hand.take(place);
                mapped.push(map(&batch.live, &self.hub.keys, message, now));
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
}

impl Shard {
    /// Works until both queues are closed. An error is the end of the store.
    pub async fn run(mut self) -> Result<(), StoreError> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.next(&mut batch).await {
            self.take_through(std::mem::take(&mut batch)).await?;
        }
        Ok(())
    }

    /// Fills `batch`; false when nothing will come any more. A suspect comes alone.
    async fn next(&mut self, batch: &mut Vec<Accepted>) -> bool {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => batch.push(event),
            Some(message) = self.accepted.recv() => batch.push(message),
            else => return false,
        }
        while batch.len() < BATCH_MAX {
            let Ok(next) = self.events.try_recv().or_else(|_| self.accepted.try_recv()) else { break };
            batch.push(next);
        }
        true
    }

    /// Maps and commits a batch, and launches its deliveries. An error is the end of the store.
    async fn take_through(&self, batch: Vec<Accepted>) -> Result<(), StoreError> {
        let mut rest = batch;
        while !rest.is_empty() {
            let alone = rest.first().is_some_and(|first| first.suspect);
            let count = if alone { 1 } else { rest.iter().take_while(|message| !message.suspect).count() };
            let later = rest.split_off(count);
            let live = self.hub.live.load_full();
            let mapped = if alone {
                let _alone = self.hub.hands.write().await;
                self.mark_in_hand(&rest, true).await?;
                self.map_all(&live, &mut rest).await?
            } else {
                let _hands = self.hub.hands.read().await;
                self.map_all(&live, &mut rest).await?
            };
            self.commit(rest, mapped, alone).await?;
            rest = later;
        }
        Ok(())
    }

    /// Maps every message of the batch; one that panics is charged, and buried when it has had enough.
    async fn map_all(&self, live: &Arc<Live>, batch: &mut [Accepted]) -> Result<Vec<Mapped>, StoreError> {
        let mut mapped: Vec<Mapped> = Vec::with_capacity(batch.len());
        while let Some(rest) = batch.get_mut(mapped.len()..).filter(|rest| !rest.is_empty()) {
            if let Some(spent) = rest.first().filter(|first| first.charges >= CHARGES_MAX) {
                mapped.push(bury(live, &spent.message, blame::deadly("route and map"), self.hub.clock.now()));
                continue;
            }
            let in_hand = InHand::default();
            let messages: Arc<[_]> = rest.iter().map(|accepted| Arc::clone(&accepted.message)).collect();
            let job = Batch { live: Arc::clone(live), messages, in_hand: in_hand.clone() };
            match self.router.ask(job).await {
                Ok(done) => mapped.extend(done),
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
                        mapped.extend(self.map_before(live, rest, guilty).await?);
                        mapped.push(buried);
                    }
                }
            }
        }
        Ok(mapped)
    }

    /// The innocent ones in front of a message that is to be buried.
    async fn map_before(&self, live: &Arc<Live>, rest: &[Accepted], guilty: usize) -> Result<Vec<Mapped>, StoreError> {
        let messages: Arc<[_]> = rest.iter().take(guilty).map(|accepted| Arc::clone(&accepted.message)).collect();
        let job = Batch { live: Arc::clone(live), messages, in_hand: InHand::default() };
        self.router.ask(job).await.map_err(|_| StoreError::Closed)
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

    async fn commit(&self, batch: Vec<Accepted>, mut mapped: Vec<Mapped>, alone: bool) -> Result<(), StoreError> {
        let mut units: Vec<UnitOfWork> = mapped.iter_mut().map(Mapped::take_unit).collect();
        if let (true, Some(unit), Some(accepted)) = (alone, units.first_mut(), batch.first()) {
            unit.push(out_of_hand(accepted));
        }
        let outcomes = self.commit_surely(units).await?;
        for ((accepted, one), outcome) in batch.into_iter().zip(mapped).zip(outcomes) {
            let one = match outcome {
                Outcome::Failed(error) => self.bury(&accepted, &error).await?,
                Outcome::Committed(_) | Outcome::Repeat { .. } | Outcome::AlreadyApplied | Outcome::Conflict => one,
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
fn out_of_hand(accepted: &Accepted) -> Row {
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
