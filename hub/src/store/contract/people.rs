//! What people are shown: a message whole, its journey, where it stands, dead letters.

use adapters::Format;
use bytes::Bytes;

use super::Ground;
use super::samples::{
    accept, accept_and_route, after, attempt, change, configuration, delivery, message, must_commit, named, output,
    refused, routed, run,
};
use crate::store::{
    AttemptVerdict, Cause, Charge, DeliveryState, Flags, MessageFilter, MessageId, MessageLine, MessageRef,
    MessageState, NewAttempt, NewMessage, NewRun, Row, RunState, Store,
};

pub(super) async fn a_message_reads_back_whole(ground: &dyn Ground) {
    let store = ground.open().await;
    let cause = accept(&*store, message("A")).await;
    let full = NewMessage {
        received_at: after(7),
        source: "مستشفى".into(),
        principal: "CN=a".into(),
        peer: "[::1]:5".into(),
        sender: "X|Y".into(),
        control_id: "Ünïcode-١".into(),
        kind: "org.ndp.prescription.created".into(),
        format: Format::FhirJson,
        lane: Some([9; 16]),
        identity: [3; 16],
        flags: Flags::CHARSET_DISAGREES.with(Flags::TOLERATED),
        cause: Some(cause),
        refusal: Some(Cause::new("HUB0101", "no such type")),
        body: (0..=255).cycle().take(70_000).collect(),
        answer: Some(Bytes::from_static(b"\x0bMSA\x1c\r")),
        terms: vec![[1; 16], [2; 16]],
        repeat_since: None,
    };
    let bare = NewMessage { lane: None, answer: None, body: Bytes::new(), ..message("") };
    for sent in [full, bare] {
        let id = accept(&*store, sent.clone()).await;
        let kept = store.message(id).await.unwrap().unwrap();
        assert_eq!(kept.id, id);
        assert_eq!(kept.received_at, sent.received_at);
        let texts = [&kept.source, &kept.principal, &kept.peer, &kept.sender, &kept.control_id, &kept.kind];
        assert_eq!(texts, [&sent.source, &sent.principal, &sent.peer, &sent.sender, &sent.control_id, &sent.kind]);
        assert_eq!((kept.format, kept.lane, kept.flags), (sent.format, sent.lane, sent.flags));
        assert_eq!((kept.cause, kept.refusal), (sent.cause, sent.refusal));
        assert_eq!(kept.body, sent.body);
        assert_eq!(store.journey(id).await.unwrap().unwrap().answer, sent.answer);
    }
    assert!(store.message(MessageId(1)).await.unwrap().is_none());
    assert!(store.journey(MessageId(1)).await.unwrap().is_none());
}

pub(super) async fn a_journey_is_complete(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    let mut rows = routed(id, 1, number, "prescription");
    rows.push(Row::Output(output(id, 1, 2)));
    rows.push(Row::Delivery(delivery(named(id, 1, 2), "file")));
    let ended = NewRun {
        state: RunState::Refused,
        cause: Some(Cause::new("HUB0301", "no such code")),
        mapping: None,
        ..run(MessageRef::Stored(id), 2, number)
    };
    rows.push(Row::Run(ended));
    rows.push(Row::Charge(Charge { message: id, charges: 2, in_hand: false }));
    must_commit(&*store, rows).await;
    let unknown = NewAttempt { verdict: AttemptVerdict::Unknown, ..attempt(named(id, 1, 2), 2) };
    must_commit(&*store, vec![Row::Attempt(unknown)]).await;
    must_commit(&*store, vec![Row::Attempt(attempt(named(id, 1, 2), 1))]).await;
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(id, 1, 2), DeliveryState::Waiting))]).await;
    let event = NewMessage { cause: Some(id), kind: "created".into(), ..message("E") };
    let end = Row::ChangeDelivery(change(named(id, 1, 1), DeliveryState::Delivered));
    let effects = must_commit(&*store, vec![end, Row::Message(Box::new(event.clone())), Row::Message(Box::new(event))]);
    let effects = effects.await;

    let journey = store.journey(id).await.unwrap().unwrap();
    assert_eq!(journey.message.body, message("A").body);
    assert_eq!((journey.state, journey.charges), (MessageState::Refused, 2));
    assert_eq!(journey.answer, message("A").answer);
    assert_eq!(journey.effects, [(effects[0], "created".into()), (effects[1], "created".into())]);
    let [first, second] = &journey.runs[..] else { panic!("two runs") };
    assert_eq!(
        (first.run_no, first.route.as_deref(), first.mapping.as_deref()),
        (1, Some("orders"), Some("rde_o11 v1"))
    );
    assert_eq!((&*first.configuration, first.started_at, first.state), ("c0ffee", after(1), RunState::Mapped));
    assert_eq!((second.run_no, second.mapping.as_deref(), second.state), (2, None, RunState::Refused));
    assert_eq!(second.cause, Some(Cause::new("HUB0301", "no such code")));
    assert!(second.outputs.is_empty() && second.deliveries.is_empty());
    let outputs: Vec<_> = first.outputs.iter().map(|(no, output)| (*no, output.body.clone())).collect();
    assert_eq!(outputs, [(1, output(id, 1, 1).body.unwrap()), (2, output(id, 1, 2).body.unwrap())]);
    let [done, waiting] = &first.deliveries[..] else { panic!("two deliveries") };
    assert_eq!((done.id, &*done.destination, done.output_no), (named(id, 1, 1), "prescription", 1));
    assert_eq!((done.state, done.created_at, done.ended_at), (DeliveryState::Delivered, after(2), Some(after(3))));
    assert_eq!((&done.cause, done.attempts.len()), (&None, 0));
    assert_eq!((waiting.state, waiting.ended_at, waiting.next_at), (DeliveryState::Waiting, None, Some(after(60))));
    assert_eq!(waiting.cause, Some(Cause::new("HUB0601", "the far system is away")));
    let tried: Vec<_> = waiting.attempts.iter().map(|one| (one.attempt_no, one.verdict, one.took_us)).collect();
    assert_eq!(tried, [(1, AttemptVerdict::Failed, 1_500), (2, AttemptVerdict::Unknown, 1_500)]);
    assert_eq!((&*waiting.attempts[0].reason, waiting.attempts[0].at), ("refused to connect", after(10)));
}

/// Where a message stands whose runs and deliveries stand there.
const STANDINGS: &[(&[RunState], &[DeliveryState], MessageState)] = {
    use DeliveryState as D;
    use MessageState as M;
    use RunState as R;
    &[
        (&[], &[], M::Accepted),
        (&[R::Filtered], &[], M::Filtered),
        (&[R::Refused], &[], M::Refused),
        (&[R::DeadLettered], &[], M::DeadLettered),
        (&[R::Mapped], &[D::Ready], M::Accepted),
        (&[R::Mapped], &[D::Waiting], M::Waiting),
        (&[R::Mapped], &[D::Delivered], M::Delivered),
        (&[R::Mapped], &[D::Filtered], M::Filtered),
        (&[R::Mapped], &[D::Refused], M::Refused),
        (&[R::Mapped], &[D::DeadLettered], M::DeadLettered),
        (&[R::Mapped], &[D::Delivered, D::Ready], M::Accepted),
        (&[R::Mapped], &[D::Ready, D::Waiting], M::Waiting),
        (&[R::Mapped], &[D::Waiting, D::Refused], M::Refused),
        (&[R::Mapped], &[D::Refused, D::DeadLettered], M::DeadLettered),
        (&[R::Mapped], &[D::Filtered, D::Delivered], M::Delivered),
        (&[R::Mapped, R::Filtered], &[D::Delivered], M::Delivered),
        (&[R::Mapped, R::Refused], &[D::Delivered], M::Refused),
        (&[R::Mapped, R::DeadLettered], &[D::Ready], M::DeadLettered),
        (&[R::Held], &[], M::Held),
        (&[R::Mapped, R::Held], &[D::Waiting], M::Held),
        (&[R::Held, R::Refused], &[], M::Refused),
    ]
};

pub(super) async fn a_message_stands_where_its_worst_part_stands(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let kept_out = accept(&*store, refused("refused")).await;
    let mut expected = vec![(kept_out, MessageState::Refused)];
    for (place, (runs, deliveries, state)) in STANDINGS.iter().enumerate() {
        let id = accept(&*store, message(&format!("S{place}"))).await;
        for (ended, run_no) in runs.iter().zip(1..) {
            let row = NewRun { state: *ended, ..run(MessageRef::Stored(id), run_no, number) };
            must_commit(&*store, vec![Row::Run(row)]).await;
        }
        for (now, delivery_no) in deliveries.iter().zip(1..) {
            let at = named(id, 1, delivery_no);
            let mut rows = vec![Row::Delivery(delivery(at, "file"))];
            if delivery_no == 1 {
                rows.insert(0, Row::Output(output(id, 1, 1)));
            }
            rows.extend((*now != DeliveryState::Ready).then(|| Row::ChangeDelivery(change(at, *now))));
            must_commit(&*store, rows).await;
        }
        expected.push((id, *state));
    }
    for (id, state) in &expected {
        assert_eq!(store.journey(*id).await.unwrap().unwrap().state, *state);
    }
    for state in MessageState::ALL {
        let filter = MessageFilter { state: Some(state), limit: 100, ..MessageFilter::default() };
        let page = store.messages(filter).await.unwrap();
        let found: Vec<_> = page.messages.iter().map(|line| (line.message.id, line.state)).collect();
        let newest_first: Vec<_> = expected.iter().rev().copied().filter(|(_, of)| *of == state).collect();
        assert_eq!(found, newest_first, "{}", state.word());
        assert_eq!(page.next, None, "all of them fit the page");
    }
}

async fn line(store: &dyn Store, id: MessageId) -> MessageLine {
    let filter = MessageFilter { among: Some(vec![id]), limit: 2, ..MessageFilter::default() };
    let mut page = store.messages(filter).await.unwrap();
    assert_eq!(page.messages.len(), 1, "one message of that id");
    page.messages.remove(0)
}

/// Replays: what came of the first run and of the second, by their routes and destinations, and where
/// the message stands then.
const REPLAYS: &[(Part, Part, MessageState)] = {
    use DeliveryState as D;
    use MessageState as M;
    use RunState as R;
    const DEAD: Part = (Some("orders"), R::Mapped, Some(("file", D::DeadLettered)));
    const DELIVERED: Part = (Some("orders"), R::Mapped, Some(("file", D::Delivered)));
    &[
        (DEAD, DELIVERED, M::Delivered),
        (DEAD, (Some("orders"), R::Mapped, Some(("http", D::Delivered))), M::DeadLettered),
        (DEAD, (Some("audit"), R::Mapped, Some(("file", D::Delivered))), M::DeadLettered),
        (DEAD, (Some("orders"), R::Refused, None), M::DeadLettered),
        (DEAD, (Some("orders"), R::Mapped, Some(("file", D::Waiting))), M::Waiting),
        (DELIVERED, DEAD, M::DeadLettered),
        ((Some("orders"), R::Refused, None), DELIVERED, M::Delivered),
        ((Some("audit"), R::Refused, None), DELIVERED, M::Refused),
        ((None, R::DeadLettered, None), DELIVERED, M::Delivered),
        ((None, R::Filtered, None), DELIVERED, M::Delivered),
        ((None, R::DeadLettered, None), (None, R::Filtered, None), M::Filtered),
        ((Some("orders"), R::DeadLettered, None), (Some("audit"), R::Filtered, None), M::DeadLettered),
    ]
};

/// A run of one route, and its delivery.
type Part = (Option<&'static str>, RunState, Option<(&'static str, DeliveryState)>);

pub(super) async fn a_replay_takes_the_place_of_what_it_repeats(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let wrong = |state| matches!(state, MessageState::DeadLettered | MessageState::Refused | MessageState::Waiting);
    for (first, second, expected) in REPLAYS {
        let id = accept(&*store, message("A")).await;
        for ((route, state, to), run_no) in [first, second].into_iter().zip(1..) {
            let cause = (*state != RunState::Mapped).then(|| Cause::new("HUB0301", "no such code"));
            let row = NewRun {
                route: route.map(Into::into),
                state: *state,
                cause,
                ..run(MessageRef::Stored(id), run_no, number)
            };
            let mut rows = vec![Row::Run(row)];
            if let Some((destination, at)) = to {
                rows.push(Row::Output(output(id, run_no, 1)));
                rows.push(Row::Delivery(delivery(named(id, run_no, 1), destination)));
                rows.push(Row::ChangeDelivery(change(named(id, run_no, 1), *at)));
            }
            must_commit(&*store, rows).await;
        }
        let said = format!("{first:?} then {second:?}");
        let shown = line(&*store, id).await;
        assert_eq!(shown.state, *expected, "{said}");
        assert_eq!(store.journey(id).await.unwrap().unwrap().state, *expected, "{said}");
        let dead = store.dead_letters(100).await.unwrap().iter().any(|letter| letter.message == id);
        assert_eq!(dead, *expected == MessageState::DeadLettered, "{said}");
        if wrong(*expected) {
            assert!(shown.cause.is_some(), "{said}");
        }
        if *expected == MessageState::Delivered {
            assert_eq!(shown.cause, None, "nothing is wrong any more: {said}");
        }
    }
}

pub(super) async fn a_line_says_what_came_of_the_message(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let turned_away = line(&*store, accept(&*store, refused("no")).await).await;
    assert_eq!(turned_away.cause, refused("no").refusal);
    assert!(turned_away.routes.is_empty());
    assert_eq!(turned_away.size, refused("no").body.len());
    assert!(turned_away.message.body.is_empty(), "a list shows no body");
    assert_eq!(turned_away.message.sender, refused("no").sender);

    let id = accept_and_route(&*store, "A", "file").await;
    assert_eq!(line(&*store, id).await.cause, None);
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(id, 1, 1), DeliveryState::Waiting))]).await;
    assert_eq!(line(&*store, id).await.cause, Some(Cause::new("HUB0601", "the far system is away")));
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(id, 1, 1), DeliveryState::Delivered))]).await;
    assert_eq!(line(&*store, id).await.cause, None, "nothing is wrong any more");
    let second = NewRun {
        route: Some("audit".into()),
        state: RunState::Refused,
        cause: Some(Cause::new("HUB0301", "no such code")),
        ..run(MessageRef::Stored(id), 2, number)
    };
    must_commit(&*store, vec![Row::Run(second)]).await;
    let shown = line(&*store, id).await;
    assert_eq!(shown.routes, ["audit", "orders"], "by name");
    assert_eq!(shown.cause, Some(Cause::new("HUB0301", "no such code")));
}

pub(super) async fn dead_letters_come_newest_first(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let first = named(accept_and_route(&*store, "A", "file").await, 1, 1);
    let alive = named(accept_and_route(&*store, "B", "file").await, 1, 1);
    let buried = accept(&*store, message("C")).await;
    let last = named(accept_and_route(&*store, "D", "http").await, 1, 1);
    let dead = |id| Row::ChangeDelivery(change(id, DeliveryState::DeadLettered));
    must_commit(&*store, vec![dead(last)]).await;
    must_commit(&*store, vec![dead(first)]).await;
    must_commit(&*store, vec![Row::ChangeDelivery(change(alive, DeliveryState::Refused))]).await;
    let run = NewRun {
        route: None,
        state: RunState::DeadLettered,
        cause: Some(Cause::new("HUB0401", "charged 3 times")),
        ..run(MessageRef::Stored(buried), 1, number)
    };
    must_commit(&*store, vec![Row::Charge(Charge { message: buried, charges: 3, in_hand: false }), Row::Run(run)])
        .await;
    let letters = store.dead_letters(10).await.unwrap();
    let named: Vec<_> = letters.iter().map(|one| (one.message, one.delivery)).collect();
    assert_eq!(named, [(last.message, Some(last)), (buried, None), (first.message, Some(first))]);
    let [newest, of_run, _] = &letters[..] else { panic!("three letters") };
    assert_eq!((newest.run_no, newest.attempts, newest.at), (1, 1, after(3)));
    assert_eq!((&*newest.source, &*newest.control_id), ("kasr-al-ainy", "D"));
    assert_eq!((newest.route.as_deref(), newest.destination.as_deref()), (Some("orders"), Some("http")));
    assert_eq!(newest.cause, Cause::new("HUB0601", "the far system is away"));
    assert_eq!((of_run.route.as_deref(), of_run.destination.as_deref()), (None, None));
    assert_eq!((of_run.attempts, of_run.at), (3, after(1)));
    assert_eq!(of_run.cause, Cause::new("HUB0401", "charged 3 times"));
    let one: Vec<_> = store.dead_letters(1).await.unwrap().iter().map(|letter| letter.message).collect();
    assert_eq!(one, [last.message]);
    assert!(store.dead_letters(0).await.unwrap().is_empty());
}
