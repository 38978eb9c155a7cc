//! One attempt: wait for the rate, hand over, wait for the answer, record it.
//!
//! An attempt and what follows from it commit together. A far system that refused is not asked again; one
//! that failed is asked again later with the same key, until the time to give up (H3).

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;
use adapters::{Format, Parcel, Verdict};
use bytes::Bytes;
use tokio::time::Instant;

use super::Deliverer;
use super::lanes::Item;
use crate::actors::{Fault, Handle};
use crate::admin::TapEvent;
use crate::journey::Hub;
use crate::journey::blame::{CHARGES_MAX, poisoned};
use crate::journey::route::commit_surely;
use crate::retry::{Failed, Next, RetryPolicy};
use crate::store::{
    AttemptVerdict, Cause, DeliveryChange, DeliveryState, NewAttempt, Outcome, Row, StoreError, UnitOfWork,
};
use crate::telemetry::{Metrics, Of};

/// Longest wait for the far system, whatever the adapter's own deadlines say.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(300);
/// Longest wait for a rate limit before the attempt is put off.
const LIMIT_DEADLINE: Duration = Duration::from_secs(60);
/// Wait before an attempt that could not be begun.
const PUT_OFF: Duration = Duration::from_secs(1);

/// An attempt to be made.
pub struct Errand {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// The destination's name.
    pub destination: Arc<str>,
    /// The delivery.
    pub item: Item,
    /// Who makes it.
    pub cell: Handle<Deliverer>,
    /// The cell's place.
    pub place: usize,
}

/// What came of it.
pub struct Settled {
    /// The delivery.
    pub item: Item,
    /// The cell that is free again.
    pub place: usize,
    /// How long until it goes again; none: it has ended.
    pub wait: Option<Duration>,
}

/// Makes one attempt.
pub async fn run_errand(errand: Errand) -> Settled {
    let Errand { hub, destination, mut item, cell, place } = errand;
    if item.in_doubt {
        note_unknown(&hub, &mut item).await;
    }
    let wait = match prepare(&hub, &destination, &item).await {
        Ok((format, body)) => {
            let parcel =
                Parcel { idempotency_key: item.id.to_string(), body, format, attempt: item.attempts.saturating_add(1) };
            let began = (hub.clock.now(), Instant::now());
            let verdict = hand_over(&hub, &cell, parcel, &mut item).await;
            fail::fail_point!("deliver.after_answer", |_| Settled { item: item.clone(), place, wait: Some(PUT_OFF) });
            record(&hub, &destination, &mut item, verdict, began).await
        }
        Err(Unready::NotNow(wait)) => Some(wait),
        Err(Unready::Gone) => None,
        Err(Unready::Unreadable(cause)) => {
            let began = (hub.clock.now(), Instant::now());
            record(&hub, &destination, &mut item, Judged::Rejected(cause), began).await
        }
    };
    Settled { item, place, wait }
}

/// Records that an attempt may have been under way when the hub died, and counts it.
async fn note_unknown(hub: &Hub, item: &mut Item) {
    item.attempts += 1;
    let at = hub.clock.now();
    let attempt = NewAttempt {
        id: item.id,
        attempt_no: item.attempts,
        at,
        took_us: 0,
        verdict: AttemptVerdict::Unknown,
        reason: "the hub stopped; if it was under way, its answer is lost".into(),
    };
    let change = DeliveryChange {
        id: item.id,
        state: DeliveryState::Waiting,
        attempts: item.attempts,
        next_at: None,
        at,
        cause: None,
    };
    let unit = UnitOfWork::of(vec![Row::ChangeDelivery(change), Row::Attempt(attempt)]);
    match commit_surely(hub, vec![unit]).await.as_deref() {
        Ok([Outcome::Committed(_)]) => {}
        other => tracing::warn!(delivery = %item.id, outcome = ?other, "cannot record an unknown attempt"),
    }
}

/// Why an attempt cannot be begun.
enum Unready {
    /// It can be after so long.
    NotNow(Duration),
    /// Its document does not read back.
    Unreadable(Cause),
    /// There is no such delivery.
    Gone,
}

/// What an attempt is judged to be.
enum Judged {
    Delivered(String),
    Rejected(Cause),
    Failed { reason: String, after: Option<Duration> },
}

/// Waits for the rate and finds the document.
async fn prepare(hub: &Hub, destination: &str, item: &Item) -> Result<(Format, Bytes), Unready> {
    let rates = hub.rates.load_full();
    for limiter in [rates.routes.get(&item.route), rates.destinations.get(destination)].into_iter().flatten() {
        limiter.pass(LIMIT_DEADLINE).await.map_err(|_| Unready::NotNow(PUT_OFF))?;
    }
    if let Some(document) = item.document.clone() {
        return Ok(document);
    }
    match hub.store.output(item.id).await {
        Ok(Some(output)) => Ok((output.format, output.body)),
        Ok(None) => Err(Unready::Gone),
        Err(error @ (StoreError::Corrupt(_) | StoreError::CorruptMessage(_))) => {
            Err(Unready::Unreadable(Cause::from(&error)))
        }
        Err(error) => {
            tracing::warn!(delivery = %item.id, %error, "its document cannot be read");
            Err(Unready::NotNow(PUT_OFF))
        }
    }
}

async fn hand_over(hub: &Hub, cell: &Handle<Deliverer>, parcel: Parcel, item: &mut Item) -> Judged {
    let asked = tokio::time::timeout(ATTEMPT_DEADLINE, cell.ask(parcel)).await;
    match asked {
        Ok(Ok(Verdict::Delivered { answer })) => Judged::Delivered(answer),
        Ok(Ok(Verdict::Rejected { reason })) => Judged::Rejected(Cause::new("HUB0601", &reason)),
        Ok(Ok(Verdict::Retry { reason, after })) => Judged::Failed { reason, after },
        Ok(Err(Fault::Panicked(place))) => {
            hub.metrics.panics.get_or_create(&Of { name: "deliver".to_owned() }).inc();
            item.panics += 1;
            if item.panics >= CHARGES_MAX {
                return Judged::Rejected(poisoned("deliver", &place));
            }
            Judged::Failed { reason: format!("panicked at {place}"), after: None }
        }
        Ok(Err(Fault::Stopped)) => Judged::Failed { reason: "the deliverer has stopped".to_owned(), after: None },
        Err(_) => Judged::Failed { reason: "no answer before the deadline".to_owned(), after: None },
    }
}

/// Commits the attempt and where the delivery stands; returns the wait until the next attempt.
async fn record(
    hub: &Hub,
    destination: &str,
    item: &mut Item,
    judged: Judged,
    (at, began): (Timestamp, Instant),
) -> Option<Duration> {
    item.attempts += 1;
    let now = hub.clock.now();
    let next = plan_next(hub, destination, item, judged, now);
    let attempt = NewAttempt {
        id: item.id,
        attempt_no: item.attempts,
        at,
        took_us: i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX),
        verdict: next.verdict,
        reason: next.told.as_str().into(),
    };
    let cause_code = next.cause.as_ref().map(|cause| Arc::clone(&cause.code));
    let change = DeliveryChange {
        id: item.id,
        state: next.state,
        attempts: item.attempts,
        next_at: next.wait.map(|wait| now.plus(wait)),
        at: now,
        cause: next.cause,
    };
    Metrics::count(&hub.metrics.attempts, destination, next.verdict.word());
    let unit = UnitOfWork::of(vec![Row::ChangeDelivery(change), Row::Attempt(attempt)]);
    match commit_surely(hub, vec![unit]).await {
        Ok(outcomes) => match outcomes.first() {
            Some(Outcome::Conflict) => {
                tracing::warn!(delivery = %item.id, "it had ended already");
                return None;
            }
            Some(Outcome::Failed(error)) => {
                tracing::error!(delivery = %item.id, %error, "its attempt could not be recorded");
            }
            Some(Outcome::AlreadyApplied) => tracing::warn!(delivery = %item.id, "its attempt was recorded already"),
            Some(Outcome::Committed(_) | Outcome::Repeat { .. }) | None => {}
        },
        Err(StoreError::Closed) => {}
        Err(error) => tracing::error!(delivery = %item.id, %error, "its attempt could not be recorded"),
    }
    hub.tell(|| TapEvent {
        at: now,
        message: item.id.message,
        source: "".into(),
        kind: "".into(),
        stage: "deliver",
        outcome: next.state.word(),
        at_name: Some(destination.into()),
        code: cause_code.clone(),
    });
    if next.state.is_end() {
        Metrics::count(&hub.metrics.ended, destination, next.state.word());
        tracing::debug!(delivery = %item.id, destination, state = next.state.word(), "ended");
    } else {
        tracing::info!(delivery = %item.id, destination, attempt = item.attempts, reason = next.told, "not delivered");
    }
    next.wait
}

/// Where a delivery stands after an attempt.
struct Standing {
    state: DeliveryState,
    verdict: AttemptVerdict,
    told: String,
    cause: Option<Cause>,
    wait: Option<Duration>,
}

fn plan_next(hub: &Hub, destination: &str, item: &Item, judged: Judged, now: Timestamp) -> Standing {
    match judged {
        Judged::Delivered(told) => Standing {
            state: DeliveryState::Delivered,
            verdict: AttemptVerdict::Delivered,
            told,
            cause: None,
            wait: None,
        },
        Judged::Rejected(cause) => Standing {
            state: DeliveryState::DeadLettered,
            verdict: AttemptVerdict::Rejected,
            told: cause.reason.to_string(),
            cause: Some(cause),
            wait: None,
        },
        Judged::Failed { reason, after } => {
            let live = hub.live.load();
            let policy = RetryPolicy::of_delivery(&live.configuration, &item.route, destination);
            let since_first =
                Duration::from_micros(u64::try_from(now.0.saturating_sub(item.created_at.0)).unwrap_or(0));
            let failed = Failed { attempt: item.attempts, since_first, retry_after: after };
            let seed = u64::try_from(item.id.message.0).unwrap_or(0) ^ u64::from(item.attempts) << 53;
            match policy.next(failed, &mut fastrand::Rng::with_seed(seed)) {
                Next::After(wait) => Standing {
                    state: DeliveryState::Waiting,
                    verdict: AttemptVerdict::Failed,
                    cause: Some(Cause::new("HUB0602", &reason)),
                    told: reason,
                    wait: Some(wait),
                },
                Next::GiveUp => Standing {
                    state: DeliveryState::DeadLettered,
                    verdict: AttemptVerdict::Failed,
                    cause: Some(Cause::new("HUB0603", &format!("given up: {reason}"))),
                    told: reason,
                    wait: None,
                },
            }
        }
    }
}
