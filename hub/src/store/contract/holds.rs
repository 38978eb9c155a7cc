//! Runs that are held: in order, let go once, still there after a stop; and the list of their codes.

use adapters::clock::Timestamp;

use super::samples::{accept, after, commit, configuration, message, must_commit, routed, run};
use super::{Ground, Stop};
use crate::store::{
    AwaitedCode, CodeFilter, CodeKey, CodeLine, HeldFilter, HeldRun, MessageId, MessageRef, MessageState, NewHeld,
    NewMessage, NewRun, Outcome, Row, RunId, RunState, Store,
};

fn awaited(table: &str, code: &str) -> AwaitedCode {
    AwaitedCode { table: table.into(), code: code.into() }
}

/// A run that waits for a code, or behind others.
fn held(message: MessageId, run_no: u32, code: Option<AwaitedCode>) -> NewHeld {
    NewHeld {
        id: RunId { message, run_no },
        route: "orders".into(),
        destination: Some("archive".into()),
        lane: Some([5; 16]),
        source: "kasr-al-ainy".into(),
        received_at: after(7),
        code,
    }
}

/// The rows of a held run.
fn holding(held: NewHeld, configuration: i64) -> Vec<Row> {
    let run =
        NewRun { state: RunState::Held, ..run(MessageRef::Stored(held.id.message), held.id.run_no, configuration) };
    vec![Row::Run(run), Row::Hold(held)]
}

async fn all(store: &dyn Store) -> Vec<HeldRun> {
    store.held(HeldFilter { limit: 1000, ..HeldFilter::default() }).await.expect("what is held is read")
}

async fn names(store: &dyn Store) -> Vec<RunId> {
    all(store).await.into_iter().map(|run| run.held.id).collect()
}

pub(super) async fn held_runs_read_back_in_the_order_of_the_journal(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let first = accept(&*store, message("A")).await;
    let second = accept(&*store, NewMessage { lane: None, ..message("B") }).await;
    let bare = NewHeld { destination: None, lane: None, ..held(second, 1, None) };
    must_commit(&*store, holding(bare.clone(), number)).await;
    must_commit(&*store, routed(first, 1, number, "prescription")).await;
    let full = held(first, 2, Some(awaited("routes", "Ünï-١")));
    must_commit(&*store, holding(full.clone(), number)).await;
    let found = all(&*store).await;
    let lanes: Vec<_> = found.iter().map(|run| run.message_lane).collect();
    assert_eq!(lanes, [Some([7; 16]), None]);
    assert_eq!(
        found.iter().map(|run| (run.configuration, run.last_run)).collect::<Vec<_>>(),
        [(number, 2), (number, 1)]
    );
    assert_eq!(found.into_iter().map(|run| run.held).collect::<Vec<_>>(), [full.clone(), bare.clone()]);

    let one = store.held(HeldFilter { limit: 1, ..HeldFilter::default() }).await.unwrap();
    assert_eq!(one[0].held, full);
    let rest = store.held(HeldFilter { after: Some(full.id), limit: 9, ..HeldFilter::default() }).await.unwrap();
    assert_eq!(rest.iter().map(|run| run.held.id).collect::<Vec<_>>(), [bare.id]);
    let code = Some(awaited("routes", "Ünï-١"));
    for (source, count) in [("kasr-al-ainy", 1), ("damanhour", 0)] {
        let source = Some(source.to_owned());
        let of_source = HeldFilter { code: code.clone(), source, limit: 9, after: None };
        assert_eq!(store.held(of_source).await.unwrap().len(), count);
    }
    let other = Some(awaited("units", "Ünï-١"));
    assert!(store.held(HeldFilter { code: other, limit: 9, ..HeldFilter::default() }).await.unwrap().is_empty());
}

pub(super) async fn a_held_run_is_let_go_once(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    must_commit(&*store, holding(held(id, 1, Some(awaited("routes", "SC"))), number)).await;
    assert!(super::samples::unrouted(&*store).await.is_empty(), "what is held was routed");
    assert_eq!(store.journey(id).await.unwrap().unwrap().state, MessageState::Held);
    let release = |run_no| {
        let mut rows = vec![Row::LetGo(RunId { message: id, run_no: 1 })];
        rows.extend(routed(id, run_no, number, "prescription"));
        rows
    };
    must_commit(&*store, release(2)).await;
    assert!(names(&*store).await.is_empty());
    assert_eq!(commit(&*store, release(3)).await, Outcome::Conflict);
    let journey = store.journey(id).await.unwrap().unwrap();
    assert_eq!(journey.runs.iter().map(|run| run.state).collect::<Vec<_>>(), [RunState::Held, RunState::Mapped]);
    assert_eq!(journey.state, MessageState::Accepted, "its new run stands for the one that was held");
    assert_eq!(journey.held().count(), 0);
}

pub(super) async fn what_is_held_is_there_after_a_stop(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let number = configuration(&*store).await;
    let (first, second) = (accept(&*store, message("A")).await, accept(&*store, message("B")).await);
    must_commit(&*store, holding(held(first, 1, Some(awaited("routes", "SC"))), number)).await;
    must_commit(&*store, holding(held(second, 1, None), number)).await;
    for stop in Stop::BOTH {
        store = stop.and_open(ground, store).await;
        let expected = [first, second].map(|message| RunId { message, run_no: 1 });
        assert_eq!(names(&*store).await, expected, "{stop:?}");
    }
}

/// Holds messages for codes: (table, code, source, seconds after the start).
async fn hold_for(store: &dyn Store, codes: &[(&str, &str, &str, u64)]) {
    let number = configuration(store).await;
    for (place, (table, code, source, seconds)) in codes.iter().enumerate() {
        let id = accept(store, message(&format!("H{place}"))).await;
        let received_at: Timestamp = after(*seconds);
        let one = NewHeld { source: (*source).into(), received_at, ..held(id, 1, Some(awaited(table, code))) };
        must_commit(store, holding(one, number)).await;
    }
}

pub(super) async fn codes_are_counted_by_table_code_and_source(ground: &dyn Ground) {
    let store = ground.open().await;
    let codes = [
        ("units", "TAB", "kasr", 1),
        ("routes", "SC", "kasr", 9),
        ("routes", "SC", "damanhour", 4),
        ("routes", "SC", "kasr", 3),
        ("routes", "IM", "kasr", 5),
    ];
    hold_for(&*store, &codes).await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("twice")).await;
    for run_no in [1, 2] {
        let one = NewHeld { source: "kasr".into(), ..held(id, run_no, Some(awaited("units", "TAB"))) };
        must_commit(&*store, holding(one, number)).await;
    }
    let behind = accept(&*store, message("behind")).await;
    must_commit(&*store, holding(held(behind, 1, None), number)).await;

    let line = |table, code, source: &str, messages, (oldest, newest)| CodeLine {
        key: CodeKey { code: awaited(table, code), source: source.into() },
        messages,
        oldest: after(oldest),
        newest: after(newest),
    };
    let page = store.held_codes(CodeFilter { limit: 9, ..CodeFilter::default() }).await.unwrap();
    let expected = [
        line("routes", "IM", "kasr", 1, (5, 5)),
        line("routes", "SC", "damanhour", 1, (4, 4)),
        line("routes", "SC", "kasr", 2, (3, 9)),
        line("units", "TAB", "kasr", 2, (1, 7)),
    ];
    assert_eq!(page.codes, expected);
    assert_eq!((page.behind, page.more), (1, false));
    let of = |table: Option<&str>, source: Option<&str>| CodeFilter {
        table: table.map(str::to_owned),
        source: source.map(str::to_owned),
        limit: 9,
        after: None,
    };
    assert_eq!(store.held_codes(of(Some("units"), None)).await.unwrap().codes, expected[3..]);
    assert_eq!(store.held_codes(of(None, Some("damanhour"))).await.unwrap().codes, expected[1..2]);
    assert!(store.held_codes(of(Some("units"), Some("damanhour"))).await.unwrap().codes.is_empty());
}

pub(super) async fn pages_of_codes_are_complete_and_do_not_overlap(ground: &dyn Ground) {
    let store = ground.open().await;
    let codes = [("a", "1", "x", 1), ("a", "1", "y", 1), ("a", "2", "x", 1), ("b", "1", "x", 1), ("b", "1", "y", 1)];
    hold_for(&*store, &codes).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    for _ in 0..codes.len() {
        let page = store.held_codes(CodeFilter { after: cursor, limit: 2, ..CodeFilter::default() }).await.unwrap();
        assert!(page.codes.len() <= 2);
        cursor = page.codes.last().map(|line| line.key.clone());
        seen.extend(page.codes.into_iter().map(|line| line.key));
        if !page.more {
            break;
        }
    }
    let expected: Vec<_> = codes
        .iter()
        .map(|(table, code, source, _)| CodeKey { code: awaited(table, code), source: (*source).into() })
        .collect();
    assert_eq!(seen, expected);
}
