//! Units of work: in order, all or nothing, each with its own outcome.

use std::sync::{Arc, Mutex};

use super::Ground;
use super::samples::{
    accept, all, attempt, commit, configuration, delivery, ids, is_refused, message, must_commit, named, output,
    routed, run, unrouted,
};
use crate::store::{Charge, MessageId, MessageRef, Outcome, Row, Store, UnitOfWork};

/// More than one group commit holds.
const MANY: usize = 1_500;
/// Tasks that commit at once.
const TASKS: usize = 64;
/// Commits of each of them.
const COMMITS_OF_A_TASK: usize = 8;

pub(super) async fn units_commit_in_order(ground: &dyn Ground) {
    let store = ground.open().await;
    let names: Vec<String> = (0..MANY).map(|place| format!("C{place}")).collect();
    let units = names.iter().map(|name| UnitOfWork::of(vec![Row::Message(Box::new(message(name)))])).collect();
    let mut last = MessageId(0);
    for outcome in store.commit(units).await {
        let Outcome::Committed(given) = outcome else { panic!("not committed: {outcome:?}") };
        assert_eq!(given.len(), 1);
        assert!(given[0] > last, "ids grow in the order of the units");
        last = given[0];
    }
    let two = vec![Row::Message(Box::new(message("first"))), Row::Message(Box::new(message("second")))];
    let given = must_commit(&*store, two).await;
    assert!(given[0] > last && given[1] > given[0], "ids grow inside a unit");
    let journal: Vec<_> = all(&*store).await;
    let expected: Vec<_> = names.iter().map(String::as_str).chain(["first", "second"]).collect();
    assert_eq!(journal, ids(&expected));
}

pub(super) async fn hand_overs_come_in_the_order_of_the_commits(ground: &dyn Ground) {
    let store = ground.open().await;
    let handed_over: Arc<Mutex<Vec<MessageId>>> = Arc::default();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, handed_over) = (Arc::clone(&store), Arc::clone(&handed_over));
            tokio::spawn(async move {
                for place in 0..COMMITS_OF_A_TASK {
                    let unit = UnitOfWork::of(vec![Row::Message(Box::new(message(&format!("T{task}C{place}"))))]);
                    let into = Arc::clone(&handed_over);
                    let take = move |outcome: &Outcome| {
                        let Outcome::Committed(given) = outcome else { panic!("not committed: {outcome:?}") };
                        into.lock().unwrap().extend(given);
                    };
                    let outcome = store.commit_in_order(unit, Box::new(take)).await;
                    let Outcome::Committed(given) = outcome else { panic!("not committed: {outcome:?}") };
                    assert!(
                        handed_over.lock().unwrap().contains(&given[0]),
                        "handed over before the caller is answered"
                    );
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the commits of a task");
    }
    let order = handed_over.lock().unwrap().clone();
    assert_eq!(order.len(), TASKS * COMMITS_OF_A_TASK);
    assert!(order.is_sorted(), "in another order than that of the commits");
}

pub(super) async fn a_unit_is_all_or_nothing(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    let mut rows = vec![Row::Message(Box::new(message("event")))];
    rows.extend(routed(id, 1, number, "file"));
    rows.push(Row::Fact("seen", "yes".to_owned()));
    rows.push(Row::Charge(Charge { message: id, charges: 2, in_hand: true }));
    rows.push(Row::Run(run(MessageRef::Stored(id), 1, number)));
    assert!(is_refused(&commit(&*store, rows).await));
    assert_eq!(all(&*store).await, ids(&["A"]));
    assert_eq!(unrouted(&*store).await, ids(&["A"]));
    assert_eq!(store.open_deliveries("file", 10).await, Ok(vec![]));
    assert_eq!(store.fact("seen").await, Ok(None));
    let journey = store.journey(id).await.unwrap().unwrap();
    assert!(journey.runs.is_empty());
    assert_eq!(journey.charges, 0);
}

pub(super) async fn a_bad_unit_fails_alone(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    must_commit(&*store, routed(id, 1, number, "file")).await;
    let good = |name: &str| UnitOfWork::of(vec![Row::Message(Box::new(message(name)))]);
    let twice =
        UnitOfWork::of(vec![Row::Message(Box::new(message("bad"))), Row::Run(run(MessageRef::Stored(id), 1, number))]);
    let nowhere =
        UnitOfWork::of(vec![Row::Message(Box::new(message("worse"))), Row::Run(run(MessageRef::New(1), 1, number))]);
    let outcomes = store.commit(vec![good("B"), twice, good("C"), nowhere, good("D")]).await;
    let committed: Vec<bool> = outcomes.iter().map(|one| matches!(one, Outcome::Committed(_))).collect();
    assert_eq!(committed, [true, false, true, false, true], "{outcomes:?}");
    assert!(is_refused(&outcomes[1]) && is_refused(&outcomes[3]));
    assert_eq!(all(&*store).await, ids(&["A", "B", "C", "D"]));
    for (outcome, name) in [(&outcomes[0], "B"), (&outcomes[2], "C"), (&outcomes[4], "D")] {
        let Outcome::Committed(given) = outcome else { panic!("{outcome:?}") };
        assert_eq!(&*store.message(given[0]).await.unwrap().unwrap().control_id, name);
    }
}

pub(super) async fn a_wrong_reference_fails_its_unit(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    must_commit(&*store, routed(id, 1, number, "file")).await;
    let missing = MessageId(1);
    let mut no_output = delivery(named(id, 1, 2), "file");
    no_output.output_no = 9;
    let wrong = [
        Row::Run(run(MessageRef::Stored(missing), 1, number)),
        Row::Run(run(MessageRef::New(1), 1, number)),
        Row::Run(run(MessageRef::Stored(id), 2, number + 1)),
        Row::Output(output(id, 2, 1)),
        Row::Output(output(missing, 1, 1)),
        Row::Delivery(delivery(named(id, 2, 1), "file")),
        Row::Delivery(no_output),
        Row::Attempt(attempt(named(id, 1, 9), 1)),
        Row::Charge(Charge { message: missing, charges: 1, in_hand: false }),
    ];
    for row in wrong {
        let said = format!("{row:?}");
        let rows = vec![Row::Message(Box::new(message("bad"))), row];
        assert!(is_refused(&commit(&*store, rows).await), "was taken: {said}");
    }
    assert_eq!(all(&*store).await, ids(&["A"]));
}

pub(super) async fn a_number_is_given_once_in_its_message(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    must_commit(&*store, routed(id, 1, number, "file")).await;
    let again = [
        Row::Run(run(MessageRef::Stored(id), 1, number)),
        Row::Output(output(id, 1, 1)),
        Row::Delivery(delivery(named(id, 1, 1), "other")),
    ];
    for row in again {
        let said = format!("{row:?}");
        assert!(is_refused(&commit(&*store, vec![row]).await), "was taken twice: {said}");
    }
}

pub(super) async fn many_tasks_each_see_their_own_outcome(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { commit_and_judge(&*store, task, number).await })
        })
        .collect();
    let mut given = Vec::new();
    for task in tasks {
        given.extend(task.await.expect("the task's own outcomes"));
    }
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count, "no id is given twice");
    assert_eq!(all(&*store).await.len(), count);
}

/// A good and a bad unit, several times; gives the ids.
async fn commit_and_judge(store: &dyn Store, task: usize, number: i64) -> Vec<MessageId> {
    let mut given = Vec::new();
    for round in 0..8 {
        let name = format!("T{task}R{round}");
        let bad = vec![Row::Run(run(MessageRef::New(0), 1, number))];
        let good = vec![Row::Message(Box::new(message(&name))), Row::Run(run(MessageRef::New(0), 1, number))];
        let outcomes = store.commit(vec![UnitOfWork::of(bad), UnitOfWork::of(good)]).await;
        assert!(is_refused(&outcomes[0]), "{:?}", outcomes[0]);
        let Outcome::Committed(ids) = &outcomes[1] else { panic!("{:?}", outcomes[1]) };
        assert_eq!(*store.message(ids[0]).await.unwrap().unwrap().control_id, name);
        given.extend(ids);
    }
    given
}

pub(super) async fn an_empty_unit_is_committed(ground: &dyn Ground) {
    let store = ground.open().await;
    assert_eq!(store.commit(vec![]).await, vec![]);
    let outcomes = store.commit(vec![UnitOfWork::default(), UnitOfWork::default()]).await;
    assert_eq!(outcomes, vec![Outcome::Committed(vec![]), Outcome::Committed(vec![])]);
}
