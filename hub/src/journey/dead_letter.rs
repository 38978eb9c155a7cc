//! Dead letters: what will not be tried again unless someone says so.
//!
//! In comes the name of a message, or of one dead delivery; out goes a new run under the configuration of
//! now (H7). A replayed delivery goes through its own route to its own destination only, so that far
//! systems which took their part before do not get it twice.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::consume::shard_of;
use super::route::commit_surely;
use super::{Accepted, Answered, Hub, Journaled, Only};
use crate::store::{
    Cause, DeliveryChange, DeliveryId, DeliveryState, Journey, MessageId, MessageRef, NewRun, OpenDelivery, Row, RunId,
    RunState, StoreError, UnitOfWork,
};
use crate::telemetry::Metrics;

/// Runs of one message at most: a replay that repeats itself must end somewhere.
const RUNS_MAX: u32 = 1000;

/// Why something cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such message or delivery.
    #[error("HUB0404 there is no such message or delivery")]
    Unknown,
    /// It was answered negatively when it came: its sender has it.
    #[error("HUB0405 it was refused when it came; its sender has to send it again")]
    Refused,
    /// It is still on its way.
    #[error("HUB0406 it is still on its way")]
    NotEnded,
    /// It is held.
    #[error("HUB0411 it is held until a table has its code")]
    Held,
    /// It is not dead.
    #[error("HUB0407 it is not a dead letter")]
    NotDead,
    /// It was replayed too often.
    #[error("HUB0408 it has {RUNS_MAX} runs already")]
    TooOften,
    /// The new run was refused.
    #[error("HUB0409 the new run was refused: {} {}", .0.code, .0.reason)]
    RunRefused(Cause),
    /// The hub is going down.
    #[error("HUB0410 the hub is going down")]
    Stopping,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A delivery that cannot be made any more has its end here.
pub async fn bury_delivery(hub: &Hub, delivery: &OpenDelivery, cause: Cause) -> Result<(), StoreError> {
    tracing::error!(delivery = %delivery.id, code = %cause.code, reason = %cause.reason, "cannot be delivered");
    let change = DeliveryChange {
        id: delivery.id,
        state: DeliveryState::DeadLettered,
        attempts: delivery.attempts.saturating_add(1),
        next_at: None,
        at: hub.clock.now(),
        cause: Some(cause),
    };
    commit_surely(hub, vec![UnitOfWork::of(vec![Row::ChangeDelivery(change)])]).await?;
    Metrics::count(&hub.metrics.ended, &delivery.destination, DeliveryState::DeadLettered.word());
    Ok(())
}

/// A message that cannot be read back, and so cannot be routed, has its end here.
pub async fn bury_unread(hub: &Hub, id: MessageId, cause: Cause) -> Result<(), StoreError> {
    tracing::error!(%id, code = %cause.code, reason = %cause.reason, "cannot be routed");
    let run = NewRun {
        message: MessageRef::Stored(id),
        run_no: 1,
        route: None,
        mapping: None,
        configuration: hub.live.load().number,
        started_at: hub.clock.now(),
        state: RunState::DeadLettered,
        cause: Some(cause),
    };
    commit_surely(hub, vec![UnitOfWork::of(vec![Row::Run(run)])]).await?;
    Metrics::count(&hub.metrics.runs, "none", RunState::DeadLettered.word());
    Ok(())
}

/// Replays through the shards.
#[derive(Clone)]
pub struct Replayer {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// A sender a shard.
    pub shards: Vec<mpsc::Sender<Accepted>>,
}

impl Replayer {
    /// A new run of every route that takes the message now.
    pub async fn message(&self, id: MessageId) -> Result<(), ReplayError> {
        let journey = self.hub.store.journey(id).await?.ok_or(ReplayError::Unknown)?;
        if journey.held().next().is_some() {
            return Err(ReplayError::Held);
        }
        let ended = journey.runs.iter().flat_map(|run| &run.deliveries).all(|delivery| delivery.state.is_end());
        if journey.runs.is_empty() || !ended {
            return Err(if journey.message.refusal.is_some() { ReplayError::Refused } else { ReplayError::NotEnded });
        }
        self.run_again(journey, None).await
    }

    /// A new run of a dead delivery's route, to that destination only.
    pub async fn delivery(&self, id: DeliveryId) -> Result<(), ReplayError> {
        let journey = self.hub.store.journey(id.message).await?.ok_or(ReplayError::Unknown)?;
        let run = journey.runs.iter().find(|run| run.run_no == id.run_no).ok_or(ReplayError::Unknown)?;
        let delivery = run.deliveries.iter().find(|delivery| delivery.id == id).ok_or(ReplayError::Unknown)?;
        let later = journey.runs.iter().filter(|other| other.run_no > run.run_no && other.route == run.route);
        let newer = later.flat_map(|other| &other.deliveries).any(|other| other.destination == delivery.destination);
        if newer || !matches!(delivery.state, DeliveryState::DeadLettered | DeliveryState::Refused) {
            return Err(ReplayError::NotDead);
        }
        if journey.held().any(|held| held.route == run.route) {
            return Err(ReplayError::Held);
        }
        let route = run.route.clone().ok_or(ReplayError::NotDead)?;
        let only = Only { route, destination: Some(Arc::clone(&delivery.destination)) };
        self.run_again(journey, Some(only)).await
    }

    /// A new run in place of one that is dead itself: by its route, or by every route if it had none.
    pub async fn run(&self, id: RunId) -> Result<(), ReplayError> {
        let journey = self.hub.store.journey(id.message).await?.ok_or(ReplayError::Unknown)?;
        let run = journey.runs.iter().find(|run| run.run_no == id.run_no).ok_or(ReplayError::Unknown)?;
        if journey.held().any(|held| run.route.is_none() || held.route == run.route) {
            return Err(ReplayError::Held);
        }
        if run.state != RunState::DeadLettered || journey.is_repeated(run) {
            return Err(ReplayError::NotDead);
        }
        let only = run.route.clone().map(|route| Only { route, destination: None });
        self.run_again(journey, only).await
    }

    async fn run_again(&self, journey: Journey, only: Option<Only>) -> Result<(), ReplayError> {
        let last = journey.runs.iter().map(|run| run.run_no).max().unwrap_or(0);
        if last >= RUNS_MAX {
            return Err(ReplayError::TooOften);
        }
        let shard = shard_of(journey.message.lane, journey.message.id, self.shards.len());
        let shard = self.shards.get(shard).ok_or(ReplayError::Stopping)?;
        let (asker, answered) = oneshot::channel();
        let message = Journaled { next_run: last + 1, only, ..Journaled::from_stored(journey.message) };
        self.hub.metrics.in_flight.inc();
        let accepted =
            Accepted { message: Arc::new(message), charges: 0, suspect: false, asker: Some(asker), room: None };
        if shard.send(accepted).await.is_err() {
            self.hub.metrics.in_flight.dec();
            return Err(ReplayError::Stopping);
        }
        match answered.await {
            Ok(Answered::Taken) => Ok(()),
            Ok(Answered::Refused(cause)) => Err(ReplayError::RunRefused(cause)),
            Err(_) => Err(ReplayError::Stopping),
        }
    }
}
