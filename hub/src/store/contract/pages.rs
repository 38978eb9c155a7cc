//! Lists of messages: every filter holds, pages are complete and do not overlap.

use adapters::clock::Timestamp;

use super::Ground;
use super::samples::{START, accept, after, configuration, message, must_commit, refused, run};
use crate::store::{MessageFilter, MessageId, MessageRef, MessageState, NewMessage, NewRun, Row, RunState, Store};

/// A filter that lets everything through.
fn everything(limit: usize) -> MessageFilter {
    MessageFilter { limit, ..MessageFilter::default() }
}

/// Control ids of one page.
async fn found(store: &dyn Store, filter: MessageFilter) -> Vec<String> {
    let page = store.messages(filter).await.expect("a page");
    page.messages.iter().map(|line| line.message.control_id.to_string()).collect()
}

pub(super) async fn every_filter_holds(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let a = accept(&*store, message("A")).await;
    let b = accept(&*store, NewMessage { source: "qasr".into(), ..message("B") }).await;
    let c = accept(&*store, refused("A")).await;
    let d = accept(&*store, NewMessage { source: "qasr".into(), ..message("D") }).await;
    let ended = NewRun { state: RunState::Filtered, ..run(MessageRef::Stored(b), 1, number) };
    must_commit(&*store, vec![Row::Run(ended)]).await;
    let all = everything(9);
    assert_eq!(found(&*store, all.clone()).await, ["D", "A", "B", "A"], "newest first");
    let only = |change: fn(&mut MessageFilter)| {
        let mut filter = everything(9);
        change(&mut filter);
        filter
    };
    let of_qasr = only(|filter| filter.source = Some("qasr".to_owned()));
    assert_eq!(found(&*store, of_qasr.clone()).await, ["D", "B"]);
    assert_eq!(found(&*store, only(|filter| filter.source = Some("none".to_owned()))).await, [""; 0]);
    assert_eq!(found(&*store, only(|filter| filter.control_id = Some("A".to_owned()))).await, ["A", "A"]);
    assert_eq!(found(&*store, only(|filter| filter.state = Some(MessageState::Refused))).await, ["A"]);
    assert_eq!(found(&*store, only(|filter| filter.state = Some(MessageState::Accepted))).await, ["D", "A"]);
    assert_eq!(found(&*store, MessageFilter { before: Some(c), ..all.clone() }).await, ["B", "A"]);
    assert_eq!(found(&*store, MessageFilter { after: Some(b), ..all.clone() }).await, ["D", "A"]);
    let unknown = MessageId(d.0 + 1);
    let among = MessageFilter { among: Some(vec![a, unknown, d, b, a]), ..all.clone() };
    assert_eq!(found(&*store, among.clone()).await, ["D", "B", "A"]);
    assert_eq!(found(&*store, MessageFilter { among: Some(vec![]), ..all }).await, [""; 0]);
    let both = MessageFilter { state: Some(MessageState::Filtered), ..of_qasr };
    assert_eq!(found(&*store, both).await, ["B"], "all that is given holds");
    let three = MessageFilter { source: Some("qasr".to_owned()), before: Some(d), ..among };
    assert_eq!(found(&*store, three).await, ["B"]);
}

pub(super) async fn a_filter_by_time_goes_by_arrival(ground: &dyn Ground) {
    let store = ground.open().await;
    // Arrived, committed: a commit follows its arrival, at once or after a while.
    let times = [(0, 0), (10, 10), (20, 21), (30, 39), (40, 40)];
    for (arrived, committed) in times {
        ground.clock().set(after(committed));
        accept(&*store, NewMessage { received_at: after(arrived), ..message(&arrived.to_string()) }).await;
    }
    ground.clock().set(after(40));
    let between = |since: Option<Timestamp>, until: Option<Timestamp>| MessageFilter { since, until, ..everything(9) };
    let since = |seconds| between(Some(after(seconds)), None);
    let until = |seconds| between(None, Some(after(seconds)));
    assert_eq!(found(&*store, since(20)).await, ["40", "30", "20"], "at or after");
    assert_eq!(found(&*store, between(Some(Timestamp(after(20).0 + 1)), None)).await, ["40", "30"]);
    assert_eq!(found(&*store, until(20)).await, ["10", "0"], "before");
    assert_eq!(found(&*store, between(None, Some(Timestamp(after(20).0 + 1)))).await, ["20", "10", "0"]);
    assert_eq!(found(&*store, since(31)).await, ["40"], "not by the time of the commit");
    assert_eq!(found(&*store, until(31)).await, ["30", "20", "10", "0"], "not by the time of the commit");
    assert_eq!(found(&*store, between(Some(after(10)), Some(after(30)))).await, ["20", "10"]);
    assert_eq!(found(&*store, until(0)).await, [""; 0]);
    assert_eq!(found(&*store, since(41)).await, [""; 0]);
    assert_eq!(found(&*store, between(Some(START), Some(after(1)))).await, ["0"]);
}

pub(super) async fn pages_are_complete_and_do_not_overlap(ground: &dyn Ground) {
    let store = ground.open().await;
    let mut expected = Vec::new();
    for place in 0..37 {
        let name = format!("C{place}");
        let source = if place % 3 == 0 { "qasr" } else { "kasr-al-ainy" };
        accept(&*store, NewMessage { source: source.into(), ..message(&name) }).await;
        expected.insert(0, (name, source));
    }
    for limit in [1, 2, 5, 36, 37, 38] {
        for source in [None, Some("qasr"), Some("kasr-al-ainy")] {
            let mut filter = everything(limit);
            filter.source = source.map(str::to_owned);
            let mut read = Vec::new();
            let mut pages = 0;
            loop {
                let page = store.messages(filter.clone()).await.unwrap();
                assert!(page.messages.len() <= limit);
                read.extend(page.messages.iter().map(|line| line.message.control_id.to_string()));
                pages += 1;
                assert!(pages <= 40, "pages come to an end");
                let Some(next) = page.next else { break };
                filter.before = Some(next);
                if pages == 1 {
                    accept(&*store, NewMessage { source: "new".into(), ..message("arrived in between") }).await;
                }
            }
            let all = expected.iter().filter(|(_, of)| source.is_none_or(|source| source == *of));
            let mut all: Vec<&str> = all.map(|(name, _)| name.as_str()).collect();
            read.retain(|name| name != "arrived in between");
            all.sort_unstable();
            let order = read.clone();
            read.sort_unstable();
            assert_eq!(read, all, "limit {limit}, source {source:?}");
            assert!(order.windows(2).all(|pair| place_of(&pair[0]) > place_of(&pair[1])), "newest first: {order:?}");
        }
    }
}

fn place_of(name: &str) -> u32 {
    name.trim_start_matches('C').parse().expect("a place")
}

pub(super) async fn a_page_holds_at_most_its_limit(ground: &dyn Ground) {
    let store = ground.open().await;
    for name in ["A", "B", "C"] {
        accept(&*store, message(name)).await;
    }
    let nothing = store.messages(everything(0)).await.unwrap();
    assert!(nothing.messages.is_empty(), "a page of nothing holds nothing");
    let first = store.messages(everything(2)).await.unwrap();
    assert_eq!(first.messages.len(), 2);
    let rest = store.messages(MessageFilter { before: first.next, ..everything(2) }).await.unwrap();
    assert_eq!((rest.messages.len(), rest.next), (1, None), "the last page says that it is the last");
    let whole = store.messages(everything(3)).await.unwrap();
    assert_eq!((whole.messages.len(), whole.next), (3, None), "all of them fit the page");
}
