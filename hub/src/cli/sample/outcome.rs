//! What became of one message of the feed, read from the journal.
//!
//! In come a message's place in the journal and the store; out goes what a reader of the table wants to
//! know: routes, commands, prescriptions, where it went, and why not. Promised: this is what the store has,
//! not what the feed expects.

use std::sync::Arc;

use adapters::clock::Timestamp;
use bytes::Bytes;
use serde::Deserialize;

use crate::store::{
    Cause, DeliveryState, Flags, Journey, JourneyDelivery, MessageFilter, MessageId, MessageState, Store, StoreError,
};

/// Messages with one control id that are looked through at most.
const CANDIDATES_MAX: usize = 1000;

/// What became of a message.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its place in the journal.
    pub id: MessageId,
    /// Where it stands.
    pub state: MessageState,
    /// What was answered when it came first.
    pub answer: Option<Bytes>,
    /// The routes that took it.
    pub routes: Vec<String>,
    /// The commands that the mapping made of it.
    pub commands: Vec<String>,
    /// Its prescriptions, as they became by it.
    pub orders: Vec<Order>,
    /// Where it, or an event of it, was delivered.
    pub delivered_to: Vec<String>,
    /// Why it was refused, or what it waits for.
    pub cause: Option<Cause>,
    /// When what waits is tried again.
    pub next_at: Option<Timestamp>,
    /// Its control id was used before, for another body.
    pub reuses_control_id: bool,
    /// Nothing more will happen to it, or to an event of it, before its time.
    pub is_settled: bool,
}

/// One line of a prescription after a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The prescription's number.
    pub number: String,
    /// MedicationRequest.status.
    pub status: String,
    /// The patient's name.
    pub patient: Option<String>,
}

#[derive(Deserialize)]
struct EventBody {
    subject: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    status: String,
    subject: Option<EventSubject>,
}

#[derive(Deserialize)]
struct EventSubject {
    display: Option<String>,
}

/// The newest message of `source` with exactly this body.
pub async fn find(
    store: &dyn Store,
    source: &str,
    control_id: &str,
    body: &[u8],
) -> Result<Option<MessageId>, StoreError> {
    let filter = MessageFilter {
        source: Some(source.to_owned()),
        control_id: Some(control_id.to_owned()),
        limit: CANDIDATES_MAX,
        ..MessageFilter::default()
    };
    for line in store.messages(filter).await?.messages {
        let found = store.message(line.message.id).await?;
        if found.is_some_and(|found| found.body == body) {
            return Ok(Some(line.message.id));
        }
    }
    Ok(None)
}

/// Reads what became of a message.
pub async fn read(store: &dyn Store, id: MessageId) -> Result<Option<Outcome>, StoreError> {
    let Some(journey) = store.journey(id).await? else { return Ok(None) };
    let mut outcome = of_journey(&journey);
    for (effect, _) in &journey.effects {
        let Some(effect) = store.journey(*effect).await? else { continue };
        outcome.is_settled &= effect.state != MessageState::Accepted;
        outcome.delivered_to.extend(delivered(&effect));
        outcome.cause = outcome.cause.or_else(|| cause_of(&effect));
        if let Ok(event) = serde_json::from_slice::<EventBody>(&effect.message.body) {
            let patient = event.data.subject.and_then(|subject| subject.display);
            outcome.orders.push(Order { number: event.subject, status: event.data.status, patient });
        }
    }
    outcome.delivered_to.sort();
    outcome.delivered_to.dedup();
    Ok(Some(outcome))
}

fn of_journey(journey: &Journey) -> Outcome {
    let routes = journey.runs.iter().filter_map(|run| run.route.as_deref().map(str::to_owned));
    let outputs = journey.runs.iter().flat_map(|run| &run.outputs);
    let commands = outputs.filter_map(|(_, output)| output.command.as_deref().map(str::to_owned));
    Outcome {
        id: journey.message.id,
        state: journey.state,
        answer: journey.answer.clone(),
        routes: routes.collect(),
        commands: commands.collect(),
        orders: Vec::new(),
        delivered_to: delivered(journey).collect(),
        cause: cause_of(journey),
        next_at: deliveries(journey).filter_map(|delivery| delivery.next_at).min(),
        reuses_control_id: journey.message.flags.has(Flags::CONTROL_ID_REUSED),
        is_settled: journey.state != MessageState::Accepted,
    }
}

fn deliveries(journey: &Journey) -> impl Iterator<Item = &JourneyDelivery> {
    journey.runs.iter().flat_map(|run| &run.deliveries)
}

/// Where documents went; a domain actor is no place to look, its events are.
fn delivered(journey: &Journey) -> impl Iterator<Item = String> {
    let arrived = deliveries(journey).filter(|delivery| delivery.state == DeliveryState::Delivered);
    let domain = |name: &str| crate::routes::Channel::ALL.iter().any(|channel| channel.name() == name);
    arrived.map(|delivery| delivery.destination.to_string()).filter(move |name| !domain(name))
}

fn cause_of(journey: &Journey) -> Option<Cause> {
    let of_runs = journey.runs.iter().find_map(|run| run.cause.clone());
    let of_deliveries = || deliveries(journey).find_map(|delivery| delivery.cause.clone());
    journey.message.refusal.clone().or(of_runs).or_else(of_deliveries)
}

/// The code of a cause.
pub fn code_of(cause: Option<&Cause>) -> Option<Arc<str>> {
    cause.map(|cause| Arc::clone(&cause.code))
}
