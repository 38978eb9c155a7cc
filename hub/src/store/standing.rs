//! Where a message as a whole stands, from what came of its parts.
//!
//! In come its runs with their deliveries; out come one state and, if something is wrong, why. A replay
//! takes the place of what it repeats: what was dead and then delivered is not dead.

use std::sync::Arc;

use super::rows::{Cause, DeliveryState, RunState};
use super::view::MessageState;

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStanding {
    /// Its number.
    pub run_no: u32,
    /// The route; none: no route took the message.
    pub route: Option<Arc<str>>,
    /// What became of it.
    pub state: RunState,
    /// Why.
    pub cause: Option<Cause>,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryStanding>,
}

/// What came of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryStanding {
    /// Where to.
    pub destination: Arc<str>,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why.
    pub cause: Option<Cause>,
}

/// Where the message stands, and why if it ended badly or waits.
pub fn standing(refusal: Option<&Cause>, runs: &[RunStanding]) -> (MessageState, Option<Cause>) {
    let standing_runs: Vec<_> = runs.iter().filter(|run| !is_repeated(run, runs)).collect();
    let deliveries: Vec<_> = runs
        .iter()
        .flat_map(|run| run.deliveries.iter().map(move |delivery| (run, delivery)))
        .filter(|(run, delivery)| !is_delivered_again(run, delivery, runs))
        .map(|(_, delivery)| delivery)
        .collect();
    let states: Vec<_> = standing_runs.iter().map(|run| run.state).collect();
    let delivery_states: Vec<_> = deliveries.iter().map(|delivery| delivery.state).collect();
    let cause = refusal
        .or(standing_runs.iter().find_map(|run| run.cause.as_ref()))
        .or(deliveries.iter().find_map(|delivery| delivery.cause.as_ref()));
    (MessageState::of(refusal.is_some(), &states, &delivery_states), cause.cloned())
}

/// Whether a later run did the same route again, or took a message that no route had taken.
fn is_repeated(run: &RunStanding, all: &[RunStanding]) -> bool {
    all.iter().any(|other| other.run_no > run.run_no && (run.route.is_none() || other.route == run.route))
}

/// Whether a later run of the same route goes to the same destination.
fn is_delivered_again(run: &RunStanding, delivery: &DeliveryStanding, all: &[RunStanding]) -> bool {
    all.iter()
        .filter(|other| other.run_no > run.run_no && other.route == run.route)
        .flat_map(|other| &other.deliveries)
        .any(|other| other.destination == delivery.destination)
}
