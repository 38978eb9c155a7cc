//! Release: held runs go again, as new runs in the order of the journal, when a table may have their codes.
//!
//! In comes the word that the configuration is another one, or that an operator refuses a code; out go the
//! messages of held runs, through the shard that holds them, or dead letters. A pass looks at every held run of
//! the shard once, a few between two batches of what arrives. Where the first of a lane lacks its code still, its
//! lane waits on. The unit that writes the new run also lets the held one go, and fails if that was gone already:
//! a crash in the middle leaves the rest held, and nothing goes twice (H3, H5).

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::consume::shard_of;
use super::hold::{Held, Place, count_held};
use super::map::Mapped;
use super::route::{Shard, commit_surely, out_of_hand};
use super::{Accepted, Hub, Journaled, Live, Only, WasHeld};
use crate::store::{
    AwaitedCode, Cause, HeldFilter, HeldRun, MessageId, MessageRef, NewRun, Outcome, Row, RunId, RunState, StoreError,
    UnitOfWork,
};
use crate::telemetry::Metrics;

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

/// What a shard knows of what it holds.
pub struct Holding {
    /// Where runs are held.
    pub held: Arc<Held>,
    /// Something may go again.
    pub asked: watch::Receiver<()>,
    /// What operators refuse.
    pub refusals: mpsc::Receiver<Refusal>,
    /// Which shard this is, of how many.
    pub shard: (usize, usize),
    /// So many of the next runs go alone.
    pub suspects: usize,
    pass: Option<Pass>,
    repeats: u32,
}

/// A pass over what is held.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    /// The run that was looked at last.
    after: Option<RunId>,
    /// Something could not be read or written, or came to be held before `after`.
    is_incomplete: bool,
}

impl Holding {
    /// What a shard knows at its start.
    pub fn new(
        held: Held,
        asked: watch::Receiver<()>,
        refusals: mpsc::Receiver<Refusal>,
        shard: (usize, usize),
        suspects: usize,
    ) -> Holding {
        Holding { held: Arc::new(held), asked, refusals, shard, suspects, pass: None, repeats: 0 }
    }

    /// Whether a pass is under way.
    pub fn is_releasing(&self) -> bool {
        self.pass.is_some()
    }

    /// Begins a pass, if anything is held.
    pub fn begin_pass(&mut self) {
        if self.held.is_empty() {
            return;
        }
        Arc::make_mut(&mut self.held).loosen();
        self.pass = Some(Pass::default());
    }

    /// Ends a pass. Another one follows if this one left something out.
    fn end_pass(&mut self) {
        let is_incomplete = self.pass.take().is_some_and(|pass| pass.is_incomplete);
        if is_incomplete && self.repeats < REPEATS_MAX {
            self.repeats += 1;
            self.begin_pass();
        } else {
            self.repeats = 0;
        }
    }

    /// Takes down what a message holds and lets go, before it is committed: those behind it must see it.
    pub fn note(&mut self, metrics: &Metrics, mapped: &Mapped) {
        if mapped.holds.is_empty() && mapped.lets_go.is_none() && mapped.sticks.is_none() {
            return;
        }
        let held = Arc::make_mut(&mut self.held);
        for place in &mapped.holds {
            held.add(place);
            count_held(metrics, &place.route, 1);
        }
        if let Some(place) = &mapped.lets_go {
            held.remove(place);
            count_held(metrics, &place.route, -1);
        }
        if let Some(place) = &mapped.sticks {
            held.stick(place);
        }
    }

    /// A message is held although its run was looked for before: the pass has to come again.
    pub fn note_late(&mut self, message: &Journaled, mapped: &Mapped) {
        if let Some(pass) = self.pass.as_mut().filter(|_| !mapped.holds.is_empty() && message.held.is_none()) {
            pass.is_incomplete |= pass.after.is_some_and(|after| message.id <= after.message);
        }
    }

    /// What a message holds was not written: those behind it wait for nothing.
    pub fn forget(&mut self, metrics: &Metrics, mapped: &Mapped) {
        for place in &mapped.holds {
            Arc::make_mut(&mut self.held).remove(place);
            count_held(metrics, &place.route, -1);
        }
        if !mapped.holds.is_empty() {
            match self.pass {
                Some(_) => self.leave_out(),
                None => self.begin_pass(),
            }
        }
    }

    /// A release was not written: its run is held as before.
    fn put_back(&mut self, metrics: &Metrics, mapped: &Mapped) {
        self.forget(metrics, mapped);
        if let Some(place) = &mapped.lets_go {
            Arc::make_mut(&mut self.held).add(place);
            count_held(metrics, &place.route, 1);
        }
    }

    fn leave_out(&mut self) {
        if let Some(pass) = &mut self.pass {
            pass.is_incomplete = true;
        }
    }

    fn is_own(&self, run: &HeldRun) -> bool {
        let (shard, shards) = self.shard;
        shard_of(run.message_lane, run.held.id.message, shards) == shard
    }

    /// Those of `rows` that may go now, with the places that have to wait behind them. Where a code was looked up
    /// under this configuration, it is not there.
    fn candidates(&mut self, rows: &[HeldRun], live: &Live) -> (Vec<HeldRun>, HashSet<Place>) {
        let (mut candidates, mut stuck): (Vec<HeldRun>, HashSet<Place>) = Default::default();
        for run in rows {
            // The next run of a message is numbered after the one before it was written.
            let is_another = candidates.last().is_none_or(|last| last.held.id.message != run.held.id.message);
            if candidates.len() == RELEASED_MAX || !is_another {
                break;
            }
            if let Some(pass) = &mut self.pass {
                pass.after = Some(run.held.id);
            }
            let place = place_of(run);
            if !self.is_own(run) || self.held.is_stuck(&place.route, place.lane) || stuck.contains(&place) {
                continue;
            }
            if run.held.code.is_none() || run.configuration != live.number {
                candidates.push(run.clone());
            } else if place.lane.is_some() {
                stuck.insert(place);
            }
        }
        (candidates, stuck)
    }
}

impl Shard {
    /// One step of a pass: releases what may go among the next held runs.
    pub(super) async fn release_some(&mut self) -> Result<(), StoreError> {
        let after = self.holding.pass.and_then(|pass| pass.after);
        let filter = HeldFilter { after, limit: LOOKED_AT_MAX, ..HeldFilter::default() };
        let rows = match self.hub.store.held(filter).await {
            Ok(rows) => rows,
            Err(error) if error.is_the_end() => return Err(error),
            Err(error) => {
                tracing::error!(%error, "what is held cannot be read; it waits for the next reload or start");
                self.holding.pass = None;
                return Ok(());
            }
        };
        let live = self.hub.live.load_full();
        let (candidates, mut stuck) = self.holding.candidates(&rows, &live);
        let is_last = rows.len() < LOOKED_AT_MAX
            && self.holding.pass.and_then(|pass| pass.after) == rows.last().map(|run| run.held.id).or(after);
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
        let Outcome::Failed(error) = outcome else { return Ok(()) };
        self.holding.put_back(&self.hub.metrics, mapped);
        let run_no = message.held.as_ref().map_or(0, |was| was.run_no);
        let after = Some(RunId { message: message.id, run_no: run_no.saturating_sub(1) });
        let rows = self.hub.store.held(HeldFilter { after, limit: 1, ..HeldFilter::default() }).await?;
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
