//! Apply: what a domain actor decided -> one unit of work.
//!
//! Inbox key, effect, the end of the delivery and the new events stand in one transaction (H3): either
//! all of it happened, once, or nothing did.

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;

use super::Live;
use super::blame::InHand;
use super::consume::waited_too_long;
use crate::broker::Record;
use crate::retry::{Failed, Next, RetryPolicy};
use crate::store::{
    AttemptVerdict, Cause, DeliveryChange, DeliveryState, InboxKey, MessageRef, NewAttempt, NewMessage, NewRun, Row,
    RunState, UnitOfWork,
};

/// What a domain actor is asked: decide these, in order.
pub struct DomainBatch {
    /// The records.
    pub records: Arc<[Record]>,
    /// The time of the decision.
    pub now: Timestamp,
    /// Which of them is in hand.
    pub in_hand: InHand,
}

/// What it decided on one record.
#[derive(Debug)]
pub struct Decision {
    /// Rows of the effect: aggregates, assigned numbers. Empty where nothing changes.
    pub rows: Vec<Row>,
    /// What happened, for whoever listens.
    pub events: Vec<NewMessage>,
    /// How the record ends.
    pub end: End,
}

/// How a record ends.
#[derive(Debug)]
pub enum End {
    /// Its effect is there.
    Applied,
    /// It will never have the effect it asked for.
    Refused(Cause),
    /// What must come before it has not come yet.
    Wait(Cause),
    /// It was charged too often.
    Poisoned(Cause),
    /// The store can neither take its effect nor say what it would be.
    Dead(Cause),
}

impl Decision {
    /// A decision without effect.
    pub fn ending(end: End) -> Decision {
        Decision { rows: Vec::new(), events: Vec::new(), end }
    }
}

/// A decision as a unit, and what is to be done when it is committed.
pub struct Applied {
    /// The unit.
    pub unit: UnitOfWork,
    /// Its events, in the unit's order.
    pub events: Vec<NewMessage>,
    /// Whether any route takes them; if not, they ended with this unit.
    pub events_are_routed: bool,
    /// How the delivery stands, in a word.
    pub word: &'static str,
    /// It waits for what must come before.
    pub stands_aside: bool,
    /// Something changed.
    pub took_effect: bool,
}

/// Makes the unit.
pub fn unit_of(live: &Live, record: &Record, decision: Decision, now: Timestamp) -> Applied {
    let Decision { rows: effect, events, end } = decision;
    let attempts = record.attempts.saturating_add(1);
    let verdict = verdict_of(&end);
    let (state, cause, next_at) = standing(live, record, end, attempts, now);
    let took_effect = !effect.is_empty();
    let mut rows = Vec::with_capacity(effect.len() + 2 * events.len() + 3);
    if state.is_end() {
        rows.push(Row::Inbox(InboxKey { consumer: "domain", key: record.id.to_string(), at: now }));
    }
    rows.extend(effect);
    if !matches!(state, DeliveryState::Delivered) {
        rows.push(Row::Attempt(attempt_of(record, attempts, verdict, cause.as_ref(), now)));
    }
    rows.push(Row::ChangeDelivery(DeliveryChange { id: record.id, state, attempts, next_at, at: now, cause }));
    let source = events.first().map(|event| Arc::clone(&event.source));
    let events_are_routed = source.is_some_and(|source| live.routes_from(&source));
    for (place, event) in events.iter().enumerate() {
        rows.push(Row::Message(Box::new(event.clone())));
        if !events_are_routed {
            rows.push(Row::Run(unrouted(live, place, now)));
        }
    }
    Applied {
        unit: UnitOfWork::of(rows),
        events,
        events_are_routed,
        word: state.word(),
        stands_aside: state == DeliveryState::Waiting,
        took_effect,
    }
}

/// Where the delivery stands after the decision.
fn standing(
    live: &Live,
    record: &Record,
    end: End,
    attempts: u32,
    now: Timestamp,
) -> (DeliveryState, Option<Cause>, Option<Timestamp>) {
    match end {
        End::Applied => (DeliveryState::Delivered, None, None),
        End::Refused(cause) => (DeliveryState::Refused, Some(cause), None),
        End::Poisoned(cause) | End::Dead(cause) => (DeliveryState::DeadLettered, Some(cause), None),
        End::Wait(cause) => {
            let policy = RetryPolicy::of_delivery(&live.configuration, &record.route, &record.channel);
            let since_first = now.0.saturating_sub(record.created_at.0);
            let since_first = Duration::from_micros(u64::try_from(since_first).unwrap_or(0));
            let failed = Failed { attempt: attempts, since_first, retry_after: None };
            match policy.next(failed, &mut fastrand::Rng::with_seed(seed_of(record))) {
                Next::After(delay) => (DeliveryState::Waiting, Some(cause), Some(now.plus(delay))),
                Next::GiveUp => (DeliveryState::DeadLettered, Some(waited_too_long(&cause)), None),
            }
        }
    }
}

/// Jitter follows from the delivery and the attempt: the same retry is planned the same way.
fn seed_of(record: &Record) -> u64 {
    let id = u64::try_from(record.id.message.0).unwrap_or(0);
    id.wrapping_mul(31).wrapping_add(u64::from(record.id.delivery_no)).wrapping_add(u64::from(record.attempts) << 48)
}

fn verdict_of(end: &End) -> AttemptVerdict {
    match end {
        End::Applied => AttemptVerdict::Delivered,
        End::Refused(_) => AttemptVerdict::Rejected,
        End::Wait(_) | End::Dead(_) => AttemptVerdict::Failed,
        End::Poisoned(_) => AttemptVerdict::Panicked,
    }
}

fn attempt_of(
    record: &Record,
    attempt_no: u32,
    verdict: AttemptVerdict,
    cause: Option<&Cause>,
    at: Timestamp,
) -> NewAttempt {
    let reason = cause.map_or_else(|| "".into(), |cause| format!("{} {}", cause.code, cause.reason).into());
    NewAttempt { id: record.id, attempt_no, at, took_us: 0, verdict, reason }
}

/// An event that no route takes has ended: filtered, and counted.
fn unrouted(live: &Live, place: usize, now: Timestamp) -> NewRun {
    NewRun {
        message: MessageRef::New(place),
        run_no: 1,
        route: None,
        mapping: None,
        configuration: live.number,
        started_at: now,
        state: RunState::Filtered,
        cause: None,
    }
}
