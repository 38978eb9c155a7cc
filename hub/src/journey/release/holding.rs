//! What a shard knows of what it holds, and how far a pass over it is.
//!
//! In comes what is mapped, committed and read; out go the held runs that may go next. Promised: of a lane, none
//! goes before those that came before it (H5).

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{RELEASED_MAX, REPEATS_MAX, Refusal, place_of};
use crate::journey::consume::shard_of;
use crate::journey::hold::{Held, Place, count_held};
use crate::journey::map::Mapped;
use crate::journey::{Journaled, Live};
use crate::store::{HeldRun, RunId};
use crate::telemetry::Metrics;

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

    /// The run that was looked at last in this pass.
    pub(super) fn after(&self) -> Option<RunId> {
        self.pass.and_then(|pass| pass.after)
    }

    /// Gives a pass up: what is held cannot be read.
    pub(super) fn give_up(&mut self) {
        self.pass = None;
    }

    /// Ends a pass. Another one follows if this one left something out.
    pub(super) fn end_pass(&mut self) {
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
    pub(super) fn put_back(&mut self, metrics: &Metrics, mapped: &Mapped) {
        self.forget(metrics, mapped);
        if let Some(place) = &mapped.lets_go {
            Arc::make_mut(&mut self.held).add(place);
            count_held(metrics, &place.route, 1);
        }
    }

    /// This pass left something out.
    pub(super) fn leave_out(&mut self) {
        if let Some(pass) = &mut self.pass {
            pass.is_incomplete = true;
        }
    }

    /// Whether a run is this shard's.
    pub(super) fn is_own(&self, run: &HeldRun) -> bool {
        let (shard, shards) = self.shard;
        shard_of(run.message_lane, run.held.id.message, shards) == shard
    }

    /// Those of `rows` that may go now, with the places that have to wait behind them. Where a code was looked up
    /// under this configuration, it is not there.
    pub(super) fn candidates(&mut self, rows: &[HeldRun], live: &Live) -> (Vec<HeldRun>, HashSet<Place>) {
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
