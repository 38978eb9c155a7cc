//! The outbox: deliveries that are open, in order, and what they carry.

use bytes::Bytes;

use super::samples::{
    accept, accept_and_route, after, change, configuration, delivery, message, must_commit, named, output, routed, run,
};
use super::{Ground, Stop};
use crate::store::{
    Charge, DeliveryId, DeliveryNow, DeliveryState, MessageId, MessageRef, NewDelivery, NewOutput, OpenDelivery, Row,
    Store,
};

async fn open(store: &dyn Store, destination: &str, limit: usize) -> Vec<DeliveryId> {
    let found = store.open_deliveries(destination, limit).await.expect("the outbox is read");
    found.into_iter().map(|delivery| delivery.id).collect()
}

pub(super) async fn open_deliveries_are_the_oldest_first(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let first = accept(&*store, message("A")).await;
    let second = accept(&*store, message("B")).await;
    must_commit(&*store, routed(second, 1, number, "file")).await;
    let mut rows = routed(first, 2, number, "file");
    rows.push(Row::Delivery(delivery(named(first, 2, 3), "file")));
    rows.push(Row::Delivery(delivery(named(first, 2, 2), "file")));
    rows.push(Row::Delivery(delivery(named(first, 2, 4), "http")));
    must_commit(&*store, rows).await;
    must_commit(&*store, routed(first, 1, number, "file")).await;
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(first, 2, 2), DeliveryState::Waiting))]).await;
    let expected =
        [named(first, 1, 1), named(first, 2, 1), named(first, 2, 2), named(first, 2, 3), named(second, 1, 1)];
    assert_eq!(open(&*store, "file", 10).await, expected);
    assert_eq!(open(&*store, "file", 3).await, expected[..3]);
    assert_eq!(open(&*store, "file", 0).await, []);
    assert_eq!(open(&*store, "http", 10).await, [named(first, 2, 4)]);
    assert_eq!(open(&*store, "nowhere", 10).await, []);
}

pub(super) async fn a_delivery_is_open_until_it_ends(ground: &dyn Ground) {
    let mut store = ground.open().await;
    let number = configuration(&*store).await;
    let id = named(accept(&*store, message("A")).await, 1, 1);
    let without_route = crate::store::NewRun { route: None, ..run(MessageRef::Stored(id.message), 1, number) };
    must_commit(
        &*store,
        vec![
            Row::Run(without_route),
            Row::Output(output(id.message, 1, 1)),
            Row::Delivery(NewDelivery { lane: None, ..delivery(id, "http") }),
        ],
    )
    .await;
    accept_and_route(&*store, "B", "file").await;
    let made = OpenDelivery {
        id,
        destination: "http".into(),
        lane: None,
        state: DeliveryState::Ready,
        attempts: 0,
        created_at: after(2),
        next_at: None,
        route: "".into(),
        source: "kasr-al-ainy".into(),
        charges: 0,
    };
    assert_eq!(store.open_deliveries("http", 10).await, Ok(vec![made.clone()]));
    let charge = Row::Charge(Charge { message: id.message, charges: 2, in_hand: true });
    must_commit(&*store, vec![Row::ChangeDelivery(change(id, DeliveryState::Waiting)), charge]).await;
    let waiting =
        OpenDelivery { state: DeliveryState::Waiting, attempts: 1, next_at: Some(after(60)), charges: 2, ..made };
    for stop in Stop::BOTH {
        assert_eq!(store.open_deliveries("http", 10).await, Ok(vec![waiting.clone()]));
        store = stop.and_open(ground, store).await;
    }
    must_commit(&*store, vec![Row::ChangeDelivery(change(id, DeliveryState::Delivered))]).await;
    for stop in Stop::BOTH {
        assert_eq!(store.open_deliveries("http", 10).await, Ok(vec![]));
        let [other] = &store.open_deliveries("file", 10).await.unwrap()[..] else { panic!("one is open") };
        assert_eq!((&*other.route, other.lane), ("orders", Some([7; 16])));
        store = stop.and_open(ground, store).await;
    }
}

pub(super) async fn a_delivery_says_where_it_stands(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    let ended = accept(&*store, message("B")).await;
    must_commit(&*store, routed(id, 1, number, "file")).await;
    must_commit(&*store, routed(ended, 1, number, "file")).await;
    let charge = Row::Charge(Charge { message: id, charges: 2, in_hand: false });
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(id, 1, 1), DeliveryState::Waiting)), charge]).await;
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(ended, 1, 1), DeliveryState::Refused))]).await;
    let asked = vec![named(ended, 1, 1), named(id, 1, 2), named(id, 1, 1), named(ended, 1, 1)];
    let refused = Some(DeliveryNow { state: DeliveryState::Refused, attempts: 1, charges: 0 });
    let waiting = Some(DeliveryNow { state: DeliveryState::Waiting, attempts: 1, charges: 2 });
    assert_eq!(store.deliveries_now(asked).await, Ok(vec![refused, None, waiting, refused]));
    assert_eq!(store.deliveries_now(Vec::new()).await, Ok(vec![]));
}

pub(super) async fn an_output_reads_back(ground: &dyn Ground) {
    let store = ground.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, message("A")).await;
    let passed = NewOutput {
        format: adapters::Format::Hl7v2,
        command: None,
        kind: "RDE^O11".into(),
        body: None,
        ..output(id, 1, 2)
    };
    let large = NewOutput { body: Some(Bytes::from(vec![b'x'; 300_000])), ..output(id, 1, 3) };
    let to = |delivery_no, output_no| {
        Row::Delivery(NewDelivery { output_no, ..delivery(named(id, 1, delivery_no), "file") })
    };
    let mut rows = routed(id, 1, number, "file");
    rows.extend([Row::Output(passed), Row::Output(large.clone()), to(2, 2), to(3, 3), to(4, 1)]);
    must_commit(&*store, rows).await;
    for delivery_no in [1, 4] {
        let mapped = store.output(named(id, 1, delivery_no)).await.unwrap().unwrap();
        assert_eq!(mapped.format, adapters::Format::FhirJson);
        assert_eq!((mapped.command.as_deref(), &*mapped.kind), (Some("create"), "MedicationRequest"));
        assert_eq!(Some(mapped.body), output(id, 1, 1).body);
    }
    let own = store.output(named(id, 1, 2)).await.unwrap().unwrap();
    assert_eq!(own.format, adapters::Format::Hl7v2);
    assert_eq!((own.command.as_deref(), &*own.kind), (None, "RDE^O11"));
    assert_eq!(own.body, message("A").body, "the message's own body");
    assert_eq!(Some(store.output(named(id, 1, 3)).await.unwrap().unwrap().body), large.body);
    for unknown in [named(id, 1, 9), named(id, 2, 1), named(MessageId(id.0 + 1), 1, 1)] {
        assert!(store.output(unknown).await.unwrap().is_none());
    }
}
