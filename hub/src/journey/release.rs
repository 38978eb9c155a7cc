//! Release: held runs go again, as new runs in the order of the journal, when a table may have their codes.
//!
//! In comes the word that the configuration is another one, or that an operator refuses a code; out go the
//! messages of held runs, through the shard that holds them, or dead letters. A pass looks at every held run of
//! the shard once, a few between two batches of what arrives. Where the first of a lane lacks its code still, its
//! lane waits on. The unit that writes the new run also lets the held one go, and fails if that was gone already:
//! a crash in the middle leaves the rest held, and nothing goes twice (H3, H5).

mod holding;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub use self::holding::Holding;
use super::hold::Place;
use super::map::Mapped;
use super::route::{Shard, commit_surely, out_of_hand};
use super::{Accepted, Hub, Journaled, Only, WasHeld};
use crate::store::{
    AwaitedCode, Cause, HeldFilter, HeldRun, MessageId, MessageRef, NewRun, Outcome, Row, RunId, RunState, StoreError,
    UnitOfWork,
};
use crate::telemetry::Metrics;

/// Pause before a store that is away is asked again.
const PAUSE_AFTER_FAILED_READ: Duration = Duration::from_millis(500);
/// Held runs that are looked at between two batches.
const LOOKED_AT_MAX: usize = 512;
/// Held runs that are released in one transaction.
const RELEASED_MAX: usize = 128;
/// Held runs that are refused by one asking.
pub const REFUSED_MAX: usize = 1000;
/// Runs that go alone after a crash: one of them may have been in hand.
pub const SUSPECTS_MAX: usize = 512;
/// Refusals that wait for a shard.
pub const REFUSALS_MAX: usize = 16;
/// Passes that follow one another because the one before left something out.
const REPEATS_MAX: u32 = 3;

/// Asks the shards for what is held.
#[derive(Clone)]
pub struct Releaser {
    /// Something may go again.
    pub ask: watch::Sender<()>,
    /// To each shard: what an operator refuses.
    pub refusals: Vec<mpsc::Sender<Refusal>>,
}

/// What an operator refuses.
pub struct Refusal {
    /// The code.
    pub code: AwaitedCode,
    /// Of this source only.
    pub source: Option<String>,
    /// Told how many runs were refused: [`REFUSED_MAX`] at most, and fewer if no more are left.
    pub reply: oneshot::Sender<usize>,
}

impl Releaser {
    /// Tries what is held again, soon.
    pub fn release(&self) {
        self.ask.send_replace(());
    }

    /// Makes dead letters of what waits for a code. Gives how many runs that were.
    pub async fn refuse(&self, code: &AwaitedCode, source: Option<&str>) -> Result<usize, StoreError> {
        let mut all = 0;
        for shard in &self.refusals {
            loop {
                let (reply, refused) = oneshot::channel();
                let refusal = Refusal { code: code.clone(), source: source.map(str::to_owned), reply };
                shard.send(refusal).await.map_err(|_| StoreError::Closed)?;
                let count = refused.await.map_err(|_| StoreError::Closed)?;
                all += count;
                if count < REFUSED_MAX {
                    break;
                }
            }
        }
        Ok(all)
    }
}

impl Shard {
    /// One step of a pass: releases what may go among the next held runs.
    pub(super) async fn release_some(&mut self) -> Result<(), StoreError> {
        let after = self.holding.after();
        let filter = HeldFilter { after, limit: LOOKED_AT_MAX, ..HeldFilter::default() };
        let rows = match self.hub.store.held(filter).await {
            Ok(rows) => rows,
            Err(error) if error.is_the_end() => return Err(error),
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "what is held cannot be read now");
                tokio::time::sleep(PAUSE_AFTER_FAILED_READ).await;
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, "what is held cannot be read; it waits for the next reload or start");
                self.holding.give_up();
                return Ok(());
            }
        };
        let live = self.hub.live.load_full();
        let (candidates, mut stuck) = self.holding.candidates(&rows, &live);
        let is_last =
            rows.len() < LOOKED_AT_MAX && self.holding.after() == rows.last().map(|run| run.held.id).or(after);
        let mut batch = Vec::with_capacity(candidates.len());
        for run in candidates {
            if !stuck.contains(&place_of(&run)) {
                batch.extend(self.read_again(run, &mut stuck).await?);
            }
        }
        if !batch.is_empty() {
            self.take_through(batch).await?;
            fail::fail_point!("release.after_commit");
        }
        stuck.iter().for_each(|place| Arc::make_mut(&mut self.holding.held).stick(place));
        if is_last {
            self.holding.end_pass();
        }
        Ok(())
    }

    /// The message of a held run. One that does not read back is a dead letter; if it cannot be read just now, its
    /// place is `stuck`.
    async fn read_again(&mut self, run: HeldRun, stuck: &mut HashSet<Place>) -> Result<Option<Accepted>, StoreError> {
        let id = run.held.id.message;
        let read = self.hub.store.message(id).await;
        let stored = match read.and_then(|stored| stored.ok_or(StoreError::CorruptMessage(id))) {
            Ok(stored) => stored,
            Err(error @ (StoreError::Corrupt(_) | StoreError::CorruptMessage(_))) => {
                return self.bury_held(&[run], &Cause::from(&error)).await.map(|_| None);
            }
            Err(error) if error.is_the_end() => return Err(error),
            Err(error) => {
                tracing::warn!(%id, %error, "what is held cannot be read");
                self.holding.leave_out();
                stuck.extend(run.held.lane.is_some().then(|| place_of(&run)));
                return Ok(None);
            }
        };
        let suspect = self.holding.suspects > 0;
        self.holding.suspects = self.holding.suspects.saturating_sub(1);
        let charges = run.charges;
        let message = Journaled {
            next_run: run.last_run.saturating_add(1),
            only: Some(Only { route: run.held.route, destination: run.held.destination }),
            held: Some(WasHeld { run_no: run.held.id.run_no, lane: run.held.lane, code: run.held.code }),
            ..Journaled::from_stored(stored)
        };
        self.hub.metrics.in_flight.inc();
        Ok(Some(Accepted { message: Arc::new(message), charges, suspect, asker: None, room: None }))
    }

    /// Makes dead letters of what waits for a code. What waits behind it may go.
    pub(super) async fn refuse(&mut self, refusal: Refusal) -> Result<(), StoreError> {
        let Refusal { code, source, reply } = refusal;
        let cause = Cause::new("HUB0153", "an operator refused the code that it waited for");
        let (mut after, mut refused) = (None, 0);
        while refused < REFUSED_MAX {
            let limit = RELEASED_MAX.min(REFUSED_MAX - refused);
            let filter = HeldFilter { after, code: Some(code.clone()), source: source.clone(), limit };
            let rows = match self.hub.store.held(filter).await {
                Ok(rows) => rows,
                Err(error) if error.is_the_end() => return Err(error),
                // Without a reply, who asked hears that the store could not answer.
                Err(error) => {
                    tracing::error!(%error, "what is held cannot be read");
                    return Ok(());
                }
            };
            let own: Vec<HeldRun> = rows.iter().filter(|run| self.holding.is_own(run)).cloned().collect();
            refused += self.bury_held(&own, &cause).await?;
            after = rows.last().map(|run| run.held.id);
            if rows.len() < limit {
                break;
            }
        }
        let _ = reply.send(refused);
        self.holding.begin_pass();
        Ok(())
    }

    /// A release that the store refuses ends as a dead letter: what waited behind it may be written already.
    pub(super) async fn bury_release(
        &mut self,
        accepted: &Accepted,
        mapped: &Mapped,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let message = &accepted.message;
        tracing::error!(id = %message.id, ?outcome, "what was held cannot be released");
        let Outcome::Failed(error) = outcome else {
            self.holding.forget(&self.hub.metrics, mapped);
            return Ok(());
        };
        self.holding.put_back(&self.hub.metrics, mapped);
        let run_no = message.held.as_ref().map_or(0, |was| was.run_no);
        let after = Some(RunId { message: message.id, run_no: run_no.saturating_sub(1) });
        let rows = match self.hub.store.held(HeldFilter { after, limit: 1, ..HeldFilter::default() }).await {
            Ok(rows) => rows,
            Err(again) if again.is_the_end() => return Err(again),
            Err(again) => {
                tracing::error!(id = %message.id, error = %again, "it stays held");
                Vec::new()
            }
        };
        let own: Vec<HeldRun> =
            rows.into_iter().filter(|run| run.held.id == RunId { message: message.id, run_no }).collect();
        self.bury_held(&own, &Cause::from(error)).await?;
        if accepted.suspect {
            commit_surely(&self.hub, vec![UnitOfWork::of(vec![out_of_hand(accepted)])]).await?;
        }
        Ok(())
    }

    /// Held runs end as dead letters. Gives how many were written.
    async fn bury_held(&mut self, runs: &[HeldRun], cause: &Cause) -> Result<usize, StoreError> {
        let mut last: Option<(MessageId, u32)> = None;
        let mut units = Vec::with_capacity(runs.len());
        for run in runs {
            let id = run.held.id.message;
            let before = last.filter(|(message, _)| *message == id).map_or(run.last_run, |(_, run_no)| run_no);
            let run_no = before.saturating_add(1);
            last = Some((id, run_no));
            units.push(burial(&self.hub, run, run_no, cause));
        }
        let mut written = 0;
        for (run, outcome) in runs.iter().zip(commit_surely(&self.hub, units).await?) {
            if !matches!(outcome, Outcome::Committed(_)) {
                tracing::error!(run = %run.held.id, ?outcome, "what is held could not be made a dead letter");
                continue;
            }
            written += 1;
            Metrics::count(&self.hub.metrics.runs, &run.held.route, RunState::DeadLettered.word());
            self.holding.note(&self.hub.metrics, &Mapped { lets_go: Some(place_of(run)), ..Mapped::default() });
        }
        Ok(written)
    }
}

fn place_of(run: &HeldRun) -> Place {
    Place { route: Arc::clone(&run.held.route), lane: run.held.lane }
}

/// The unit that makes a dead letter of a held run.
fn burial(hub: &Hub, run: &HeldRun, run_no: u32, cause: &Cause) -> UnitOfWork {
    let dead = NewRun {
        message: MessageRef::Stored(run.held.id.message),
        run_no,
        route: Some(Arc::clone(&run.held.route)),
        mapping: None,
        configuration: hub.live.load().number,
        started_at: hub.clock.now(),
        state: RunState::DeadLettered,
        cause: Some(cause.clone()),
    };
    UnitOfWork::of(vec![Row::LetGo(run.held.id), Row::Run(dead)])
}
