//! H4: same question, same answer. A repeat has the source, the sender, the control id and the identity
//! of a message that came within the window.

use std::sync::Arc;

use adapters::clock::Timestamp;
use bytes::Bytes;

use super::samples::{accept, after, all, commit, ids, known_once, message, refused};
use super::{Ground, Stop};
use crate::store::{Flags, MessageId, NewMessage, Outcome, Row, Store, UnitOfWork};

async fn offer(store: &dyn Store, message: NewMessage) -> Outcome {
    commit(store, vec![Row::Message(Box::new(message))]).await
}

/// The n-th of many bodies.
fn with_body(n: u64) -> NewMessage {
    let mut identity = [0; 16];
    identity[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    identity[8..].copy_from_slice(&n.to_be_bytes());
    NewMessage { identity, answer: Some(Bytes::from(format!("MSA|AA|{n}"))), ..known_once("A") }
}

fn repeat_of(id: MessageId, message: &NewMessage) -> Outcome {
    Outcome::Repeat { of: id, answer: message.answer.clone() }
}

async fn is_flagged(store: &dyn Store, id: MessageId) -> bool {
    store.message(id).await.unwrap().unwrap().flags.has(Flags::CONTROL_ID_REUSED)
}

pub(super) async fn a_repeat_gets_the_stored_answer(ground: &dyn Ground) {
    let store = ground.open().await;
    let first = accept(&*store, known_once("A")).await;
    let again = NewMessage {
        received_at: after(5),
        peer: "127.0.0.1:50000".into(),
        body: Bytes::from_static(b"MSH|^~\\&|HIS|KASR|||20261005||RDE^O11|A\r"),
        answer: Some(Bytes::from_static(b"another answer")),
        ..known_once("A")
    };
    assert_eq!(offer(&*store, again).await, repeat_of(first, &known_once("A")));
    let silent = accept(&*store, NewMessage { answer: None, ..known_once("B") }).await;
    assert_eq!(offer(&*store, known_once("B")).await, Outcome::Repeat { of: silent, answer: None });
    let both = store
        .commit(vec![
            UnitOfWork::of(vec![Row::Message(Box::new(known_once("C")))]),
            UnitOfWork::of(vec![Row::Message(Box::new(known_once("C")))]),
        ])
        .await;
    let Outcome::Committed(given) = &both[0] else { panic!("{both:?}") };
    assert_eq!(both[1], repeat_of(given[0], &known_once("C")), "a repeat in the same commit");
    assert_eq!(all(&*store).await, ids(&["A", "B", "C"]));
}

pub(super) async fn another_body_is_new_and_flagged(ground: &dyn Ground) {
    let store = ground.open().await;
    let first = accept(&*store, with_body(1)).await;
    let second = accept(&*store, NewMessage { flags: Flags::TOLERATED, ..with_body(2) }).await;
    assert!(!is_flagged(&*store, first).await && is_flagged(&*store, second).await);
    let flags = store.message(second).await.unwrap().unwrap().flags;
    assert!(flags.has(Flags::TOLERATED), "the flags that it brought are kept");
    assert_eq!(offer(&*store, with_body(1)).await, repeat_of(first, &with_body(1)));
    assert_eq!(offer(&*store, with_body(2)).await, repeat_of(second, &with_body(2)));
    assert_eq!(all(&*store).await, ids(&["A", "A"]));
}

pub(super) async fn another_sender_or_source_does_not_repeat(ground: &dyn Ground) {
    let store = ground.open().await;
    accept(&*store, known_once("A")).await;
    let others = [
        NewMessage { sender: "HIS|CAIRO".into(), ..known_once("A") },
        NewMessage { source: "qasr".into(), ..known_once("A") },
        known_once("A2"),
        known_once("a"),
    ];
    for other in others {
        let id = accept(&*store, other).await;
        assert!(!is_flagged(&*store, id).await);
    }
}

pub(super) async fn outside_the_window_nothing_repeats(ground: &dyn Ground) {
    let store = ground.open().await;
    let at = |seconds: u64, since: u64| NewMessage {
        received_at: after(seconds),
        repeat_since: Some(after(since)),
        ..known_once("A")
    };
    let first = accept(&*store, at(0, 0)).await;
    assert_eq!(offer(&*store, at(10, 0)).await, repeat_of(first, &at(0, 0)), "the window begins with that moment");
    let other = accept(&*store, NewMessage { identity: [2; 16], ..at(20, 1) }).await;
    assert!(!is_flagged(&*store, other).await, "the other body is outside the window");
    let second = accept(&*store, at(30, 21)).await;
    assert!(!is_flagged(&*store, second).await);
    assert_eq!(offer(&*store, at(40, 30)).await, repeat_of(second, &at(30, 30)), "the newer one is the first now");
    let third = accept(&*store, NewMessage { identity: [2; 16], ..at(50, 30) }).await;
    assert!(is_flagged(&*store, third).await, "the other body is inside the window");
}

pub(super) async fn a_thousand_repeats_get_one_answer(ground: &dyn Ground) {
    let store = ground.open().await;
    let first = accept(&*store, known_once("A")).await;
    for _ in 0..10 {
        let units = (0..100).map(|_| UnitOfWork::of(vec![Row::Message(Box::new(known_once("A")))])).collect();
        for outcome in store.commit(units).await {
            assert_eq!(outcome, repeat_of(first, &known_once("A")));
        }
    }
    assert_eq!(all(&*store).await, ids(&["A"]));
}

pub(super) async fn a_thousand_other_bodies_are_all_kept(ground: &dyn Ground) {
    let store = ground.open().await;
    let units = (0..1001).map(|n| UnitOfWork::of(vec![Row::Message(Box::new(with_body(n)))])).collect();
    let mut given = Vec::new();
    for (place, outcome) in store.commit(units).await.into_iter().enumerate() {
        let Outcome::Committed(ids) = outcome else { panic!("{outcome:?}") };
        assert_eq!(is_flagged(&*store, ids[0]).await, place > 0, "message {place}");
        given.extend(ids);
    }
    let again = (0..1001).map(|n| UnitOfWork::of(vec![Row::Message(Box::new(with_body(n)))])).collect();
    for ((outcome, id), n) in store.commit(again).await.into_iter().zip(given).zip(0..) {
        assert_eq!(outcome, repeat_of(id, &with_body(n)), "each body has its own answer");
    }
}

pub(super) async fn of_ten_tasks_at_once_one_is_first(ground: &dyn Ground) {
    let store = ground.open().await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for n in 0..100 {
                    seen.push(offer(&*store, known_once(&format!("C{n}"))).await);
                }
                seen
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.expect("the outcomes of a task"));
    }
    for n in 0..100 {
        let of_one: Vec<_> = seen.iter().map(|task| task[n].clone()).collect();
        let firsts: Vec<_> = of_one.iter().filter_map(first_of).collect();
        let [first] = firsts[..] else { panic!("{} were first", firsts.len()) };
        let repeat = repeat_of(first, &known_once(&format!("C{n}")));
        assert_eq!(of_one.iter().filter(|outcome| **outcome == repeat).count(), 9);
    }
}

fn first_of(outcome: &Outcome) -> Option<MessageId> {
    match outcome {
        Outcome::Committed(ids) => ids.first().copied(),
        Outcome::Repeat { .. } | Outcome::AlreadyApplied | Outcome::Conflict | Outcome::Failed(_) => None,
    }
}

pub(super) async fn a_repeat_is_known_after_a_stop(ground: &dyn Ground) {
    let mut store = ground.open().await;
    for (place, stop) in Stop::BOTH.into_iter().enumerate() {
        let name = format!("A{place}");
        let first = accept(&*store, known_once(&name)).await;
        store = stop.and_open(ground, store).await;
        assert_eq!(offer(&*store, known_once(&name)).await, repeat_of(first, &known_once(&name)), "{stop:?}");
        let other = accept(&*store, NewMessage { identity: [2; 16], ..known_once(&name) }).await;
        assert!(is_flagged(&*store, other).await, "{stop:?}");
    }
}

pub(super) async fn a_refusal_is_repeated_too(ground: &dyn Ground) {
    let store = ground.open().await;
    let refusal = NewMessage { repeat_since: Some(Timestamp(0)), answer: Some("MSA|AR|A".into()), ..refused("A") };
    let first = accept(&*store, refusal.clone()).await;
    assert_eq!(offer(&*store, known_once("A")).await, repeat_of(first, &refusal), "once refused, always refused");
}

pub(super) async fn where_no_repeat_is_looked_for_none_is_found(ground: &dyn Ground) {
    let store = ground.open().await;
    for _ in 0..3 {
        let id = accept(&*store, message("A")).await;
        assert!(!is_flagged(&*store, id).await);
    }
    assert_eq!(all(&*store).await, ids(&["A", "A", "A"]));
}
