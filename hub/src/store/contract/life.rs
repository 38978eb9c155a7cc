//! What holds over the life of a store: ids, counters, configurations and facts over stops; the end.

use std::sync::Arc;

use adapters::clock::Timestamp;
use futures::future::{join, join_all};

use super::samples::{START, accept, after, all, commit, configuration, message, must_commit, prescription};
use super::{Ground, Stop};
use crate::store::{MessageFilter, MessageId, Outcome, Row, StoreError};

/// Commits that wait when the store is told to close: no more than one turn of a task may queue.
const QUEUED: usize = 100;

pub(super) async fn ids_grow_over_stops_and_steps_of_the_clock(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let mut last = MessageId(0);
    let mut accepted = Vec::new();
    let times = [START, after(3600), START, Timestamp(0), after(1), after(86_400)];
    for (place, at) in times.into_iter().enumerate() {
        ground.clock().set(at);
        for round in 0..3 {
            let name = format!("T{place}R{round}");
            let id = accept(&*store, message(&name)).await;
            assert!(id > last, "{name} has a smaller id than the one before it");
            last = id;
            accepted.push(Arc::from(name));
        }
        assert!(last >= MessageId::first_at(at), "an id tells the time when the clock goes forward");
        store = Stop::BOTH[place % 2].and_open(ground, store).await;
    }
    assert_eq!(all(&*store).await, accepted, "the order of the ids is the order of the commits");
}

pub(super) async fn a_number_is_never_taken_twice(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let mut taken = Vec::new();
    for stop in [Stop::Crash, Stop::Close, Stop::Crash] {
        let tasks = (0..16).map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let first = store.take_numbers("2026-10-04", task + 1).await.expect("numbers");
                (first..first + task + 1).collect::<Vec<_>>()
            })
        });
        for task in join_all(tasks).await {
            taken.extend(task.expect("the numbers of a task"));
        }
        store = stop.and_open(ground, store).await;
    }
    let count = taken.len();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), count, "a number was given twice");
    assert_eq!(store.take_numbers("2026-10-05", 3).await, Ok(0), "another counter begins at its beginning");
    assert_eq!(store.take_numbers("2026-10-05", 1).await, Ok(3));
}

pub(super) async fn a_configuration_keeps_its_number(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let files = |text: &str| vec![("routes.toml".to_owned(), text.to_owned())];
    let first = store.configuration("aa", &files("a")).await.unwrap();
    let second = store.configuration("bb", &files("b")).await.unwrap();
    assert_ne!(first, second);
    for stop in Stop::BOTH {
        assert_eq!(store.configuration("aa", &files("a")).await, Ok(first));
        assert_eq!(store.configuration("bb", &files("b")).await, Ok(second));
        store = stop.and_open(ground, store).await;
    }
    let third = store.configuration("cc", &files("c")).await.unwrap();
    assert!(third != first && third != second);
}

pub(super) async fn a_fact_is_the_last_one_written(ground: &dyn Ground) {
    let mut store = ground.open().await;
    assert_eq!(store.fact("colour").await, Ok(None));
    must_commit(&*store, vec![Row::Fact("colour", "red".to_owned()), Row::Fact("shape", "round".to_owned())]).await;
    for (stop, colour) in Stop::BOTH.into_iter().zip(["green", "blue"]) {
        must_commit(&*store, vec![Row::Fact("colour", colour.to_owned())]).await;
        store = stop.and_open(ground, store).await;
        assert_eq!(store.fact("colour").await, Ok(Some(colour.to_owned())));
        assert_eq!(store.fact("shape").await, Ok(Some("round".to_owned())));
    }
}

pub(super) async fn what_was_reported_survives_a_crash(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let mut accepted: Vec<Arc<str>> = Vec::new();
    for round in 0..5 {
        let tasks = (0..32).map(|task| {
            let store = Arc::clone(&store);
            let name = format!("R{round}T{task}");
            tokio::spawn(async move { (commit(&*store, vec![Row::Message(Box::new(message(&name)))]).await, name) })
        });
        for task in join_all(tasks).await {
            let (outcome, name) = task.expect("an outcome");
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            accepted.push(name.into());
        }
        store = Stop::Crash.and_open(ground, store).await;
        let mut kept = all(&*store).await;
        kept.sort_unstable();
        accepted.sort_unstable();
        assert_eq!(kept, accepted, "round {round}");
    }
}

pub(super) async fn close_finishes_what_is_queued(ground: &dyn Ground) {
    let store = ground.open().await;
    let commits = join_all((0..QUEUED).map(|n| {
        let rows = vec![Row::Message(Box::new(message(&format!("Q{n}"))))];
        let store = Arc::clone(&store);
        async move { commit(&*store, rows).await }
    }));
    // The commits are polled first: they are in the queue when the store is told to close.
    let (outcomes, ()) = join(commits, store.close()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))), "{outcomes:?}");
    drop(store);
    assert_eq!(all(&*ground.open().await).await.len(), QUEUED);
}

pub(super) async fn a_closed_store_says_so(ground: &dyn Ground) {
    let store = ground.open().await;
    configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    assert_eq!(store.health(), Ok(()));
    store.close().await;
    store.close().await;
    let closed = StoreError::Closed;
    let outcome = commit(&*store, vec![Row::Message(Box::new(message("B")))]).await;
    assert_eq!(outcome, Outcome::Failed(closed.clone()));
    assert_eq!(store.health().err(), Some(closed.clone()));
    assert_eq!(store.take_numbers("a day", 1).await.err(), Some(closed.clone()));
    assert_eq!(store.configuration("dd", &[]).await.err(), Some(closed.clone()));
    assert_eq!(store.unrouted(1).await.err(), Some(closed.clone()));
    assert_eq!(store.in_hand().await.err(), Some(closed.clone()));
    assert_eq!(store.open_deliveries("file", 1).await.err(), Some(closed.clone()));
    assert_eq!(store.message(id).await.err(), Some(closed.clone()));
    assert_eq!(store.output(super::samples::named(id, 1, 1)).await.err(), Some(closed.clone()));
    assert_eq!(store.aggregates(vec![prescription("RX1")]).await.err(), Some(closed.clone()));
    assert_eq!(store.assigned_numbers(vec![]).await.err(), Some(closed.clone()));
    assert_eq!(
        store.messages(MessageFilter { limit: 1, ..MessageFilter::default() }).await.err(),
        Some(closed.clone())
    );
    assert_eq!(store.journey(id).await.err(), Some(closed.clone()));
    assert_eq!(store.dead_letters(1).await.err(), Some(closed.clone()));
    assert_eq!(store.terms_after(id, 1).await.err(), Some(closed.clone()));
    assert_eq!(store.fact("colour").await.err(), Some(closed));
    let again = ground.open().await;
    assert_eq!(super::samples::all(&*again).await.len(), 1, "what was committed before is there");
}
