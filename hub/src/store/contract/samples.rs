//! Rows that checks write. Everything that a row may hold has a value, so that what is lost is seen.

use std::sync::Arc;
use std::time::Duration;

use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;

use crate::store::{
    AggregateChange, AggregateKey, AttemptVerdict, Cause, DeliveryChange, DeliveryId, DeliveryState, Flags, InboxKey,
    MessageId, MessageRef, NewAttempt, NewDelivery, NewMessage, NewOutput, NewRun, Outcome, Row, RunState, Store,
    StoreError, UnitOfWork,
};

/// 2026-10-04T08:00:00Z, a morning on which checks begin.
pub(crate) const START: Timestamp = Timestamp(1_791_100_800_000_000);

/// `START` and so many seconds.
pub(crate) fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

/// A message that is accepted; repeats of it are not looked for.
pub(crate) fn message(control_id: &str) -> NewMessage {
    NewMessage {
        received_at: START,
        source: "kasr-al-ainy".into(),
        principal: "CN=his.kasr".into(),
        peer: "127.0.0.1:40001".into(),
        sender: "HIS|KASR".into(),
        control_id: control_id.into(),
        kind: "RDE^O11".into(),
        format: Format::Hl7v2,
        lane: Some([7; 16]),
        identity: [1; 16],
        flags: Flags::default(),
        cause: None,
        refusal: None,
        body: Bytes::from(format!("MSH|^~\\&|HIS|KASR|||20261004||RDE^O11|{control_id}\r")),
        answer: Some(Bytes::from(format!("MSA|AA|{control_id}"))),
        terms: vec![[3; 16]],
        repeat_since: None,
    }
}

/// A message of which repeats are looked for since the beginning of time.
pub(crate) fn known_once(control_id: &str) -> NewMessage {
    NewMessage { repeat_since: Some(Timestamp(0)), ..message(control_id) }
}

/// A message that the intake refused.
pub(crate) fn refused(control_id: &str) -> NewMessage {
    NewMessage { refusal: Some(Cause::new("HUB0101", "no such type")), ..message(control_id) }
}

/// An attempt that failed.
pub(crate) fn attempt(id: DeliveryId, attempt_no: u32) -> NewAttempt {
    NewAttempt {
        id,
        attempt_no,
        at: after(10),
        took_us: 1_500,
        verdict: AttemptVerdict::Failed,
        reason: "refused to connect".into(),
    }
}

/// A run that mapped its message.
pub(crate) fn run(message: MessageRef, run_no: u32, configuration: i64) -> NewRun {
    NewRun {
        message,
        run_no,
        route: Some("orders".into()),
        mapping: Some("rde_o11 v1".into()),
        configuration,
        started_at: after(1),
        state: RunState::Mapped,
        cause: None,
    }
}

/// A document of a run.
pub(crate) fn output(message: MessageId, run_no: u32, output_no: u32) -> NewOutput {
    NewOutput {
        message,
        run_no,
        output_no,
        format: Format::FhirJson,
        command: Some("create".into()),
        kind: "MedicationRequest".into(),
        body: Some(Bytes::from(format!("{{\"run\":{run_no},\"output\":{output_no}}}"))),
    }
}

/// A place in the outbox.
pub(crate) fn delivery(id: DeliveryId, destination: &str) -> NewDelivery {
    NewDelivery { id, output_no: 1, destination: destination.into(), lane: Some([7; 16]), created_at: after(2) }
}

/// Names a delivery.
pub(crate) fn named(message: MessageId, run_no: u32, delivery_no: u32) -> DeliveryId {
    DeliveryId { message, run_no, delivery_no }
}

/// The rows that one route gives a message: run, output and delivery, each the first.
pub(crate) fn routed(message: MessageId, run_no: u32, configuration: i64, destination: &str) -> Vec<Row> {
    vec![
        Row::Run(run(MessageRef::Stored(message), run_no, configuration)),
        Row::Output(output(message, run_no, 1)),
        Row::Delivery(delivery(named(message, run_no, 1), destination)),
    ]
}

/// A delivery stands somewhere else now.
pub(crate) fn change(id: DeliveryId, state: DeliveryState) -> DeliveryChange {
    let cause = match state {
        DeliveryState::Delivered => None,
        DeliveryState::Ready
        | DeliveryState::Waiting
        | DeliveryState::Filtered
        | DeliveryState::Refused
        | DeliveryState::DeadLettered => Some(Cause::new("HUB0601", "the far system is away")),
    };
    let next_at = (state == DeliveryState::Waiting).then(|| after(60));
    DeliveryChange { id, state, attempts: 1, next_at, at: after(3), cause }
}

/// A key of the domain actor's inbox.
pub(crate) fn inbox(key: &str) -> Row {
    Row::Inbox(InboxKey { consumer: "domain", key: key.to_owned(), at: after(3) })
}

/// Names a prescription.
pub(crate) fn prescription(number: &str) -> AggregateKey {
    AggregateKey { kind: "prescription", authority: "KASR".to_owned(), number: number.to_owned() }
}

/// A prescription that goes on from version `expected`.
pub(crate) fn aggregate(number: &str, expected: u64, by: MessageId) -> AggregateChange {
    AggregateChange {
        key: prescription(number),
        expected,
        state: "active",
        body: format!("{{\"version\":{}}}", expected + 1),
        at: after(3),
        by,
    }
}

/// The number of the configuration that checks use.
pub(crate) async fn configuration(store: &dyn Store) -> i64 {
    let files = [("routes.toml".to_owned(), "# none".to_owned())];
    store.configuration("c0ffee", &files).await.expect("a configuration is stored")
}

/// Commits one unit.
pub(crate) async fn commit(store: &dyn Store, rows: Vec<Row>) -> Outcome {
    let mut outcomes = store.commit(vec![UnitOfWork::of(rows)]).await;
    assert_eq!(outcomes.len(), 1, "one outcome for one unit");
    outcomes.remove(0)
}

/// Commits one unit that must succeed.
pub(crate) async fn must_commit(store: &dyn Store, rows: Vec<Row>) -> Vec<MessageId> {
    match commit(store, rows).await {
        Outcome::Committed(ids) => ids,
        other => panic!("not committed: {other:?}"),
    }
}

/// Accepts, or keeps, one message.
pub(crate) async fn accept(store: &dyn Store, message: NewMessage) -> MessageId {
    let ids = must_commit(store, vec![Row::Message(Box::new(message))]).await;
    assert_eq!(ids.len(), 1, "one id for one message");
    ids[0]
}

/// Accepts one message, and routes it to `destination`.
pub(crate) async fn accept_and_route(store: &dyn Store, control_id: &str, destination: &str) -> MessageId {
    let id = accept(store, message(control_id)).await;
    let rows = routed(id, 1, configuration(store).await, destination);
    must_commit(store, rows).await;
    id
}

/// Control ids of the messages that no run has taken.
pub(crate) async fn unrouted(store: &dyn Store) -> Vec<Arc<str>> {
    let found = store.unrouted(usize::MAX).await.expect("the journal is read");
    found.into_iter().map(|(message, _)| message.control_id).collect()
}

/// Control ids of all messages, in journal order.
pub(crate) async fn all(store: &dyn Store) -> Vec<Arc<str>> {
    let found = store.terms_after(MessageId(0), usize::MAX).await.expect("the journal is read");
    let mut control_ids = Vec::with_capacity(found.len());
    for (id, _) in found {
        control_ids.push(store.message(id).await.expect("the journal is read").expect("it is there").control_id);
    }
    control_ids
}

/// Whether a unit failed by its own fault.
pub(crate) fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(StoreError::Statement(_)))
}

/// `control_id` as the lists above give it.
pub(crate) fn ids(control_ids: &[&str]) -> Vec<Arc<str>> {
    control_ids.iter().map(|id| Arc::from(*id)).collect()
}
