//! Hold: which lanes of a shard wait because a message in them lacks a code.
//!
//! In come the places of runs that are held and let go; out goes whether a message has to wait behind them, so
//! that a cancel does not overtake its order (H5). The rows are the truth: this is made from them at each start,
//! and follows each commit. While nothing is held, the question costs a look at an empty map.

use std::collections::HashMap;
use std::sync::Arc;

use crate::store::{HeldFilter, Lane, Store, StoreError};
use crate::telemetry::{Metrics, Of};

use super::consume::shard_of;

/// Runs that one shard holds at most; with more, what lacks a code is a dead letter.
pub const HELD_MAX: usize = 500_000;
/// Characters of a code that is waited for, at most: nobody gives a row to a longer one.
pub const CODE_CHARS_MAX: usize = 256;
/// Rows that are read at once.
const READ_MAX: usize = 1000;

/// Where a run is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The route.
    pub route: Arc<str>,
    /// What waits behind it; none: nothing does.
    pub lane: Option<Lane>,
}

/// What one shard holds.
#[derive(Clone, Debug, Default)]
pub struct Held {
    runs: usize,
    lanes: HashMap<Lane, Vec<Queue>>,
}

/// The held runs of one route and lane.
#[derive(Clone, Debug)]
struct Queue {
    route: Arc<str>,
    runs: usize,
    /// The first of them was tried in this pass, and waits on.
    is_stuck: bool,
}

impl Held {
    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// Whether there is no room for more.
    pub fn is_full(&self) -> bool {
        self.runs >= HELD_MAX
    }

    /// Whether a run of this route and lane has to wait behind others.
    pub fn keeps(&self, route: &str, lane: Option<Lane>) -> bool {
        !self.lanes.is_empty() && self.queue(route, lane).is_some()
    }

    /// Whether those that wait there cannot go in this pass.
    pub fn is_stuck(&self, route: &str, lane: Option<Lane>) -> bool {
        self.queue(route, lane).is_some_and(|queue| queue.is_stuck)
    }

    /// A run is held.
    pub fn add(&mut self, place: &Place) {
        self.runs += 1;
        let Some(lane) = place.lane else { return };
        let queues = self.lanes.entry(lane).or_default();
        match queues.iter_mut().find(|queue| queue.route == place.route) {
            Some(queue) => queue.runs += 1,
            None => queues.push(Queue { route: Arc::clone(&place.route), runs: 1, is_stuck: false }),
        }
    }

    /// A run is held no more.
    pub fn remove(&mut self, place: &Place) {
        self.runs = self.runs.saturating_sub(1);
        let Some(lane) = place.lane else { return };
        let Some(queues) = self.lanes.get_mut(&lane) else { return };
        if let Some(queue) = queues.iter_mut().find(|queue| queue.route == place.route) {
            queue.runs = queue.runs.saturating_sub(1);
        }
        queues.retain(|queue| queue.runs > 0);
        if queues.is_empty() {
            self.lanes.remove(&lane);
        }
    }

    /// What waits there cannot go in this pass.
    pub fn stick(&mut self, place: &Place) {
        let queues = place.lane.and_then(|lane| self.lanes.get_mut(&lane));
        if let Some(queue) = queues.into_iter().flatten().find(|queue| queue.route == place.route) {
            queue.is_stuck = true;
        }
    }

    /// Another pass begins: everything may go.
    pub fn loosen(&mut self) {
        self.lanes.values_mut().flatten().for_each(|queue| queue.is_stuck = false);
    }

    /// As much as may be held.
    #[cfg(test)]
    pub fn full() -> Held {
        Held { runs: HELD_MAX, ..Held::default() }
    }

    fn queue(&self, route: &str, lane: Option<Lane>) -> Option<&Queue> {
        self.lanes.get(&lane?)?.iter().find(|queue| *queue.route == *route)
    }
}

/// What is held, as the messages of one batch see it one after the other.
#[derive(Debug)]
pub struct View {
    before: Arc<Held>,
    since: Vec<Place>,
}

impl View {
    /// A view for a batch that begins.
    pub fn of(before: Arc<Held>) -> View {
        View { before, since: Vec::new() }
    }

    /// Whether there is no room for more.
    pub fn is_full(&self) -> bool {
        self.before.is_full()
    }

    /// Whether a run has to wait behind others.
    pub fn keeps(&self, route: &str, lane: Option<Lane>) -> bool {
        self.before.keeps(route, lane) || self.was_added(route, lane)
    }

    /// Whether a held run of this place cannot go in this pass.
    pub fn is_stuck(&self, route: &str, lane: Option<Lane>) -> bool {
        self.before.is_stuck(route, lane) || self.was_added(route, lane)
    }

    /// A run of this batch is held there, again or for the first time.
    pub fn add(&mut self, place: Place) {
        if place.lane.is_some() {
            self.since.push(place);
        }
    }

    fn was_added(&self, route: &str, lane: Option<Lane>) -> bool {
        lane.is_some() && self.since.iter().any(|place| place.lane == lane && *place.route == *route)
    }
}

/// What each of `shards` holds, from the rows.
pub async fn read_held(store: &dyn Store, metrics: &Metrics, shards: usize) -> Result<Vec<Held>, StoreError> {
    let mut all = vec![Held::default(); shards];
    let mut after = None;
    loop {
        let rows = store.held(HeldFilter { after, limit: READ_MAX, ..HeldFilter::default() }).await?;
        for row in &rows {
            let held = &row.held;
            if let Some(shard) = all.get_mut(shard_of(row.message_lane, held.id.message, shards)) {
                shard.add(&Place { route: Arc::clone(&held.route), lane: held.lane });
            }
            count_held(metrics, &held.route, 1);
        }
        after = rows.last().map(|row| row.held.id);
        if rows.len() < READ_MAX {
            return Ok(all);
        }
    }
}

/// So many more runs of a route are held.
pub fn count_held(metrics: &Metrics, route: &str, more: i64) {
    metrics.held.get_or_create(&Of { name: route.to_owned() }).inc_by(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Option<Lane> = Some([1; 16]);

    fn place(route: &str, lane: Option<Lane>) -> Place {
        Place { route: route.into(), lane }
    }

    #[test]
    fn a_lane_waits_on_the_route_where_something_of_it_is_held_until_all_of_it_is_let_go() {
        let mut held = Held::default();
        assert!(!held.keeps("orders", LANE));
        held.add(&place("orders", LANE));
        held.add(&place("orders", LANE));
        assert!(held.keeps("orders", LANE));
        assert!(!held.keeps("results", LANE) && !held.keeps("orders", Some([2; 16])) && !held.keeps("orders", None));
        held.remove(&place("orders", LANE));
        assert!(held.keeps("orders", LANE));
        held.remove(&place("orders", LANE));
        assert!(!held.keeps("orders", LANE));
        assert!(held.lanes.is_empty() && held.runs == 0);
    }

    #[test]
    fn what_has_no_lane_is_counted_and_keeps_nothing_waiting() {
        let mut held = Held::default();
        held.add(&place("orders", None));
        assert_eq!(held.runs, 1);
        assert!(!held.keeps("orders", None));
        held.remove(&place("orders", None));
        assert_eq!(held.runs, 0);
    }

    #[test]
    fn a_lane_is_stuck_until_the_next_pass() {
        let mut held = Held::default();
        held.add(&place("orders", LANE));
        held.stick(&place("orders", LANE));
        assert!(held.is_stuck("orders", LANE) && !held.is_stuck("results", LANE));
        held.loosen();
        assert!(!held.is_stuck("orders", LANE));
    }

    #[test]
    fn a_batch_sees_what_its_own_messages_hold() {
        let mut view = View::of(Arc::default());
        assert!(!view.keeps("orders", LANE));
        view.add(place("orders", LANE));
        view.add(place("results", None));
        assert!(view.keeps("orders", LANE) && view.is_stuck("orders", LANE));
        assert!(!view.keeps("results", LANE) && !view.keeps("results", None));
    }
}
