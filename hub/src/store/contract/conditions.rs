//! Conditions: what does not hold ends its unit, and nothing of the unit is written.

use std::sync::Arc;

use super::Ground;
use super::samples::{
    START, accept, accept_and_route, aggregate, all, attempt, change, commit, configuration, ids, inbox, known_once,
    message, must_commit, named, prescription, routed,
};
use crate::store::{
    AssignedNumber, DeliveryState, InboxKey, MessageId, Outcome, Row, Store, StoredAggregate, UnitOfWork,
};

fn assigned(number: &str, assigned: &str) -> Row {
    Row::AssignNumber(AssignedNumber {
        authority: "KASR".to_owned(),
        number: number.to_owned(),
        assigned: assigned.to_owned(),
    })
}

pub(super) async fn an_inbox_key_is_taken_once(ground: &dyn Ground) {
    let store = ground.open().await;
    let applied = |key: &str, name: &str| vec![inbox(key), Row::Message(Box::new(message(name)))];
    must_commit(&*store, applied("d1", "A")).await;
    assert_eq!(commit(&*store, applied("d1", "B")).await, Outcome::AlreadyApplied);
    must_commit(&*store, applied("d2", "C")).await;
    let elsewhere = InboxKey { consumer: "claims", key: "d1".to_owned(), at: START };
    must_commit(&*store, vec![Row::Inbox(elsewhere)]).await;
    let store = super::Stop::Crash.and_open(ground, store).await;
    assert_eq!(commit(&*store, applied("d2", "D")).await, Outcome::AlreadyApplied);
    assert_eq!(all(&*store).await, ids(&["A", "C"]));
}

pub(super) async fn an_aggregate_changes_only_from_the_expected_version(ground: &dyn Ground) {
    let store = ground.open().await;
    let by = accept(&*store, message("A")).await;
    let put = |expected| vec![Row::Aggregate(aggregate("RX1", expected, by))];
    assert_eq!(commit(&*store, put(1)).await, Outcome::Conflict, "it is not there yet");
    must_commit(&*store, put(0)).await;
    assert_eq!(commit(&*store, put(0)).await, Outcome::Conflict, "it is there already");
    must_commit(&*store, put(1)).await;
    assert_eq!(commit(&*store, put(1)).await, Outcome::Conflict, "it went on to 2");
    assert_eq!(commit(&*store, put(3)).await, Outcome::Conflict, "it is not at 3");
    must_commit(&*store, put(2)).await;
    let keys = vec![prescription("none"), prescription("RX1"), prescription("none"), prescription("RX1")];
    let now = Some(StoredAggregate { version: 3, body: "{\"version\":3}".to_owned() });
    assert_eq!(store.aggregates(keys).await, Ok(vec![None, now.clone(), None, now]), "in the order asked for");
    assert_eq!(store.aggregates(vec![]).await, Ok(vec![]));
    for other in ["kind", "authority"] {
        let mut key = prescription("RX1");
        match other {
            "kind" => key.kind = "claim",
            _ => key.authority = "CAIRO".to_owned(),
        }
        assert_eq!(store.aggregates(vec![key]).await, Ok(vec![None]), "another {other} is another aggregate");
    }
}

pub(super) async fn a_group_and_a_number_have_one_partner(ground: &dyn Ground) {
    let store = ground.open().await;
    must_commit(&*store, vec![assigned("G1", "EG-1")]).await;
    assert_eq!(commit(&*store, vec![assigned("G1", "EG-2")]).await, Outcome::Conflict, "the group has a number");
    assert_eq!(commit(&*store, vec![assigned("G2", "EG-1")]).await, Outcome::Conflict, "the number has a group");
    must_commit(&*store, vec![assigned("G1", "EG-1")]).await;
    must_commit(&*store, vec![assigned("G2", "EG-2")]).await;
    let group = |number: &str| ("KASR".to_owned(), number.to_owned());
    let found = store.assigned_numbers(vec![group("G2"), group("G3"), group("G1")]).await;
    assert_eq!(found, Ok(vec![Some("EG-2".to_owned()), None, Some("EG-1".to_owned())]));
    let elsewhere = ("CAIRO".to_owned(), "G1".to_owned());
    assert_eq!(store.assigned_numbers(vec![elsewhere]).await, Ok(vec![None]));
}

pub(super) async fn a_delivery_that_ended_does_not_change(ground: &dyn Ground) {
    let store = ground.open().await;
    for end in [DeliveryState::Delivered, DeliveryState::Filtered, DeliveryState::Refused, DeliveryState::DeadLettered]
    {
        let id = named(accept_and_route(&*store, end.word(), "file").await, 1, 1);
        for open in [DeliveryState::Waiting, DeliveryState::Ready] {
            must_commit(&*store, vec![Row::ChangeDelivery(change(id, open))]).await;
        }
        must_commit(&*store, vec![Row::ChangeDelivery(change(id, end))]).await;
        for after in [DeliveryState::Ready, DeliveryState::Delivered, end] {
            let outcome = commit(&*store, vec![Row::ChangeDelivery(change(id, after))]).await;
            assert_eq!(outcome, Outcome::Conflict, "{} then {}", end.word(), after.word());
        }
        let journey = store.journey(id.message).await.unwrap().unwrap();
        assert_eq!(journey.runs[0].deliveries[0].state, end);
    }
    let unknown = named(MessageId(1), 1, 1);
    let outcome = commit(&*store, vec![Row::ChangeDelivery(change(unknown, DeliveryState::Delivered))]).await;
    assert_eq!(outcome, Outcome::Conflict, "there is no such delivery");
}

pub(super) async fn an_attempt_counts_once(ground: &dyn Ground) {
    let store = ground.open().await;
    let id = named(accept_and_route(&*store, "A", "prescription").await, 1, 1);
    let waits = vec![Row::Attempt(attempt(id, 1)), Row::ChangeDelivery(change(id, DeliveryState::Waiting))];
    must_commit(&*store, waits.clone()).await;
    // A copy of the record was decided meanwhile: as before, or otherwise.
    assert_eq!(commit(&*store, waits).await, Outcome::AlreadyApplied);
    let ends = |attempt_no| {
        let end = Row::ChangeDelivery(change(id, DeliveryState::DeadLettered));
        vec![inbox("A"), Row::Attempt(attempt(id, attempt_no)), end]
    };
    assert_eq!(commit(&*store, ends(1)).await, Outcome::AlreadyApplied);
    let open = store.open_deliveries("prescription", 10).await.unwrap();
    assert_eq!(open.iter().map(|one| one.state).collect::<Vec<_>>(), [DeliveryState::Waiting]);
    must_commit(&*store, ends(2)).await;
}

pub(super) async fn a_failed_condition_undoes_the_rows_before_it(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let done = named(accept_and_route(&*store, "done", "file").await, 1, 1);
    let id = accept(&*store, known_once("A")).await;
    must_commit(
        &*store,
        vec![
            Row::ChangeDelivery(change(done, DeliveryState::Delivered)),
            Row::Attempt(attempt(done, 1)),
            inbox("taken"),
            Row::Aggregate(aggregate("RX1", 0, id)),
            assigned("G1", "EG-1"),
        ],
    )
    .await;
    let conditions = [
        (inbox("taken"), Outcome::AlreadyApplied),
        (Row::Aggregate(aggregate("RX1", 0, id)), Outcome::Conflict),
        (Row::Aggregate(aggregate("RX1", 7, id)), Outcome::Conflict),
        (assigned("G1", "EG-9"), Outcome::Conflict),
        (Row::ChangeDelivery(change(done, DeliveryState::Refused)), Outcome::Conflict),
        (Row::Attempt(attempt(done, 1)), Outcome::AlreadyApplied),
        (Row::Message(Box::new(known_once("A"))), Outcome::Repeat { of: id, answer: known_once("A").answer }),
    ];
    for (condition, expected) in conditions {
        let mut rows = vec![
            inbox("new"),
            Row::Aggregate(aggregate("RX2", 0, id)),
            assigned("G2", "EG-2"),
            Row::Message(Box::new(message("event"))),
        ];
        rows.extend(routed(id, 1, number, "http"));
        rows.push(Row::Fact("written", "yes".to_owned()));
        rows.push(condition);
        rows.push(Row::Message(Box::new(message("later"))));
        let neighbour = UnitOfWork::of(vec![Row::Fact("neighbour", "yes".to_owned())]);
        let outcomes = store.commit(vec![neighbour.clone(), UnitOfWork::of(rows), neighbour]).await;
        let written = Outcome::Committed(vec![]);
        assert_eq!(outcomes, [written.clone(), expected, written]);
        nothing_of_it(&*store, id).await;
    }
}

async fn nothing_of_it(store: &dyn Store, id: MessageId) {
    assert_eq!(all(store).await, ids(&["done", "A"]));
    assert_eq!(store.fact("written").await, Ok(None));
    assert_eq!(store.fact("neighbour").await, Ok(Some("yes".to_owned())));
    assert_eq!(store.aggregates(vec![prescription("RX2")]).await, Ok(vec![None]));
    assert_eq!(store.assigned_numbers(vec![("KASR".to_owned(), "G2".to_owned())]).await, Ok(vec![None]));
    assert_eq!(store.open_deliveries("http", 10).await, Ok(vec![]));
    assert!(store.journey(id).await.unwrap().unwrap().runs.is_empty());
    assert_eq!(super::samples::unrouted(store).await, ids(&["A"]));
    let applied = commit(store, vec![inbox("new"), Row::ChangeDelivery(change(named(id, 9, 9), DeliveryState::Ready))]);
    assert_eq!(applied.await, Outcome::Conflict, "the inbox key is still free");
}

pub(super) async fn conditions_see_what_was_written_before_them(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let by = accept(&*store, message("A")).await;
    let unit = |rows| UnitOfWork::of(rows);
    let outcomes = store
        .commit(vec![
            unit(vec![Row::Aggregate(aggregate("RX1", 0, by)), Row::Aggregate(aggregate("RX1", 1, by))]),
            unit(vec![Row::Aggregate(aggregate("RX1", 1, by))]),
            unit(vec![Row::Aggregate(aggregate("RX1", 2, by)), inbox("k")]),
            unit(vec![inbox("k")]),
            unit(vec![assigned("G", "EG-1")]),
            unit(vec![assigned("G", "EG-2")]),
        ])
        .await;
    let committed = Outcome::Committed(vec![]);
    let expected = [
        committed.clone(),
        Outcome::Conflict,
        committed.clone(),
        Outcome::AlreadyApplied,
        committed.clone(),
        Outcome::Conflict,
    ];
    assert_eq!(outcomes, expected, "a unit sees the units before it");
    let mut rows = routed(by, 1, number, "file");
    rows.push(Row::ChangeDelivery(change(named(by, 1, 1), DeliveryState::Delivered)));
    assert_eq!(commit(&*store, rows).await, committed, "a row sees the rows before it");
    let again = vec![Row::ChangeDelivery(change(named(by, 1, 1), DeliveryState::Delivered))];
    assert_eq!(commit(&*store, again).await, Outcome::Conflict);
}

pub(super) async fn one_of_many_tasks_gets_the_inbox_key(ground: &dyn Ground) {
    let store = ground.open().await;
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(&store);
            let rows = vec![Row::Message(Box::new(message(&format!("T{task}")))), inbox("one")];
            tokio::spawn(async move { commit(&*store, rows).await })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.expect("an outcome") {
            Outcome::Committed(ids) => winners.extend(ids),
            other => assert_eq!(other, Outcome::AlreadyApplied),
        }
    }
    assert_eq!(winners.len(), 1, "one effect");
    assert_eq!(all(&*store).await.len(), 1);
}
