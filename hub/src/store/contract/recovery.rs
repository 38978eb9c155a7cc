//! Recovery: what is accepted and not routed is found again, exactly, whatever happened in between.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::samples::{
    accept, all, commit, configuration, ids, is_refused, message, must_commit, refused, routed, run, unrouted,
};
use super::{Ground, Stop};
use crate::store::{
    Charge, MessageId, MessageRef, NewMessage, NewRun, Outcome, Row, RunState, Store, Term, UnitOfWork,
};

pub(super) async fn refused_messages_are_kept_and_not_fed_again(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let id = accept(&*store, refused("no")).await;
    accept(&*store, message("yes")).await;
    for stop in Stop::BOTH {
        assert_eq!(unrouted(&*store).await, ids(&["yes"]));
        assert_eq!(all(&*store).await, ids(&["no", "yes"]));
        let kept = store.message(id).await.unwrap().unwrap();
        assert_eq!(kept.refusal, refused("no").refusal);
        assert_eq!(kept.body, refused("no").body);
        store = stop.and_open(ground, store).await;
    }
}

pub(super) async fn unrouted_comes_in_order_with_charges(ground: &dyn Ground) {
    let store = ground.open().await;
    let mut given = Vec::new();
    for name in ["A", "B", "C", "D"] {
        given.push(accept(&*store, message(name)).await);
    }
    let charge = |message, charges, in_hand| Row::Charge(Charge { message, charges, in_hand });
    must_commit(&*store, vec![charge(given[1], 1, true), charge(given[3], 1, false)]).await;
    must_commit(&*store, vec![charge(given[1], 2, true)]).await;
    let number = configuration(&*store).await;
    must_commit(&*store, routed(given[2], 1, number, "file")).await;
    let found = store.unrouted(10).await.unwrap();
    let charges: Vec<_> = found.iter().map(|(message, charges)| (message.id, *charges)).collect();
    assert_eq!(charges, [(given[0], 0), (given[1], 2), (given[3], 1)]);
    assert!(found.iter().all(|(message, _)| !message.body.is_empty()), "with their bodies");
    let oldest = store.unrouted(2).await.unwrap();
    assert_eq!(oldest.iter().map(|(message, _)| message.id).collect::<Vec<_>>(), given[..2]);
    assert!(store.unrouted(0).await.unwrap().is_empty());
}

pub(super) async fn who_was_alone_in_hand_is_known_after_a_stop(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let mut given = Vec::new();
    for name in ["A", "B", "C"] {
        given.push(accept(&*store, message(name)).await);
    }
    let charge = |message, charges, in_hand| Charge { message, charges, in_hand };
    let marked = [charge(given[2], 0, true), charge(given[0], 1, true), charge(given[1], 1, true)];
    must_commit(&*store, marked.map(Row::Charge).to_vec()).await;
    must_commit(&*store, vec![Row::Charge(charge(given[1], 1, false))]).await;
    for stop in Stop::BOTH {
        let found = store.in_hand().await;
        assert_eq!(found, Ok(vec![charge(given[0], 1, true), charge(given[2], 0, true)]), "{stop:?}");
        store = stop.and_open(ground, store).await;
    }
}

pub(super) async fn the_oldest_unrouted_is_never_hidden(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let number = configuration(&*store).await;
    accept(&*store, message("oldest")).await;
    for round in 0..40 {
        let id = accept(&*store, message(&format!("C{round}"))).await;
        let ended = NewRun { state: RunState::Filtered, ..run(MessageRef::Stored(id), 1, number) };
        must_commit(&*store, vec![Row::Run(ended)]).await;
        must_commit(&*store, vec![Row::Fact("round", round.to_string())]).await;
        if round % 10 == 9 {
            store = Stop::BOTH[round / 10 % 2].and_open(ground, store).await;
        }
        assert_eq!(unrouted(&*store).await, ids(&["oldest"]), "round {round}");
    }
    accept(&*store, message("newest")).await;
    store = Stop::Crash.and_open(ground, store).await;
    assert_eq!(unrouted(&*store).await, ids(&["oldest", "newest"]));
}

/// What may happen to messages; places are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// Some messages arrive in one commit, each refused or not.
    Accept(Vec<bool>),
    /// Some unrouted messages are routed in one commit.
    Route(Vec<usize>),
    /// A message is routed again: a replay.
    Replay(usize),
    /// A unit accepts, routes, and then fails.
    Fail(usize),
    /// An effect with an event that ends at once, and one that does not.
    Effect,
    /// The store stops.
    Stop(Stop),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => vec(prop::bool::weighted(0.2), 1..6).prop_map(Step::Accept),
        6 => vec(any::<usize>(), 1..5).prop_map(Step::Route),
        1 => any::<usize>().prop_map(Step::Replay),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => Just(Step::Effect),
        1 => Just(Step::Stop(Stop::Close)),
        1 => Just(Step::Stop(Stop::Crash)),
    ]
}

pub(super) async fn unrouted_is_exact_after_any_interleaving(ground: &dyn Ground) {
    let config = Config { cases: 16, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    let outcome = tokio::task::block_in_place(|| {
        let runtime = tokio::runtime::Handle::current();
        TestRunner::new(config).run(&vec(step(), 1..40), |steps| runtime.block_on(judge(&*ground.another(), steps)))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// What the journal should hold: each message, and how many runs it has; none for a refused one.
#[derive(Default)]
struct Model {
    runs: BTreeMap<MessageId, Option<u32>>,
}

impl Model {
    fn unrouted(&self) -> Vec<MessageId> {
        self.runs.iter().filter(|(_, runs)| **runs == Some(0)).map(|(id, _)| *id).collect()
    }

    fn accepted(&self) -> Vec<MessageId> {
        self.runs.iter().filter(|(_, runs)| runs.is_some()).map(|(id, _)| *id).collect()
    }
}

async fn judge(ground: &dyn Ground, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut store = ground.open().await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Stop(stop) => store = stop.and_open(ground, store).await,
            other => take(&*store, &mut model, other).await,
        }
        let found = store.unrouted(usize::MAX).await.expect("the journal is read");
        let found: Vec<_> = found.into_iter().map(|(message, _)| message.id).collect();
        prop_assert_eq!(found, model.unrouted());
    }
    store.close().await;
    Ok(())
}

async fn take(store: &dyn Store, model: &mut Model, step: Step) {
    let number = configuration(store).await;
    let run_of = |message, run_no| Row::Run(run(message, run_no, number));
    match step {
        Step::Accept(refusals) => {
            let of = |is_refused: &bool| if *is_refused { refused("no") } else { message("yes") };
            let units = refusals.iter().map(|one| UnitOfWork::of(vec![Row::Message(Box::new(of(one)))])).collect();
            for (outcome, is_refused) in store.commit(units).await.into_iter().zip(refusals) {
                let Outcome::Committed(ids) = outcome else { panic!("{outcome:?}") };
                model.runs.insert(ids[0], (!is_refused).then_some(0));
            }
        }
        Step::Route(places) => {
            let mut open = model.unrouted();
            let mut units = Vec::new();
            for place in places {
                if let Some(place) = place.checked_rem(open.len()) {
                    let id = open.swap_remove(place);
                    model.runs.insert(id, Some(1));
                    units.push(UnitOfWork::of(vec![run_of(MessageRef::Stored(id), 1)]));
                }
            }
            let outcomes = store.commit(units).await;
            assert!(outcomes.iter().all(|one| *one == Outcome::Committed(vec![])), "{outcomes:?}");
        }
        Step::Replay(place) => {
            let accepted = model.accepted();
            let Some(id) = place.checked_rem(accepted.len()).map(|place| accepted[place]) else { return };
            let next = model.runs[&id].unwrap_or(0) + 1;
            must_commit(store, vec![run_of(MessageRef::Stored(id), next)]).await;
            model.runs.insert(id, Some(next));
        }
        Step::Fail(place) => {
            let mut rows = vec![Row::Message(Box::new(message("never")))];
            let open = model.unrouted();
            rows.extend(place.checked_rem(open.len()).map(|place| run_of(MessageRef::Stored(open[place]), 1)));
            rows.push(run_of(MessageRef::New(7), 1));
            assert!(is_refused(&commit(store, rows).await));
        }
        Step::Effect => {
            let event = || Row::Message(Box::new(message("event")));
            let ids = must_commit(store, vec![event(), run_of(MessageRef::New(0), 1), event()]).await;
            model.runs.insert(ids[0], Some(1));
            model.runs.insert(ids[1], Some(0));
        }
        Step::Stop(_) => {}
    }
}

pub(super) async fn terms_are_read_in_the_order_of_the_journal(ground: &dyn Ground) {
    let store = ground.open().await;
    let terms: Vec<Vec<Term>> = (0..25).map(|place| vec![[place; 16]; usize::from(place) % 3]).collect();
    for (place, of_one) in terms.iter().enumerate() {
        let name = format!("C{place}");
        let one = if name.ends_with('3') { refused(&name) } else { message(&name) };
        accept(&*store, NewMessage { terms: of_one.clone(), ..one }).await;
    }
    let mut read = Vec::new();
    let mut at = MessageId(0);
    loop {
        let batch = store.terms_after(at, 4).await.unwrap();
        let Some((last, _)) = batch.last() else { break };
        assert!(batch.len() <= 4 && *last > at);
        at = *last;
        read.extend(batch.into_iter().map(|(_, of_one)| of_one));
    }
    assert_eq!(read, terms);
    assert!(store.terms_after(at, 4).await.unwrap().is_empty());
    assert!(store.terms_after(MessageId(0), 0).await.unwrap().is_empty());
}
