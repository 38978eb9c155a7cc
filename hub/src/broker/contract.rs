//! The contract suite of [`Broker`]: every promise of the trait, as a named check.
//!
//! In comes a [`Ground`], which starts brokers of one kind; a check publishes, consumes and judges. Every
//! broker passes all checks, and for every check there is a broker that is wrong on purpose ([`wrong`])
//! and that the check finds out.

mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::{Broker, Consumption, PublishError, Record};
use crate::store::{DeliveryId, Lane, MessageId};

/// Partitions of a channel in every check.
const PARTITIONS: usize = 4;

/// Starts brokers.
#[async_trait]
trait Ground: Send + Sync {
    /// A broker with these channels, empty, each in so many partitions.
    async fn start(&self, channels: &[&str], partitions: usize) -> Arc<dyn Broker>;

    /// Records that wait in one partition before a publisher waits, at most.
    fn room(&self) -> usize;

    /// How long a check may take: what must come has come by then.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// One promise.
type Check = for<'g> fn(&'g dyn Ground) -> BoxFuture<'g, ()>;

/// Declares the checks as a table and, for the broker of this crate, as tests.
macro_rules! checks {
    ($ground:expr; $($name:ident,)+) => {
        const CHECKS: &[(&str, Check)] = &[$((stringify!($name), |ground| $name(ground).boxed()),)+];

        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::check(stringify!($name), &$ground).await;
                }
            )+
        }
    };
}

checks! {
    super::wrong::Right;
    records_come_whole,
    records_of_a_key_come_in_order,
    a_key_is_always_in_one_partition,
    each_channel_has_its_own_records,
    what_is_not_acknowledged_comes_again_in_order,
    nothing_comes_twice_unless_it_is_asked_for,
    only_what_was_handed_out_is_acknowledged,
    a_redelivery_may_be_cut_short_by_another,
    a_batch_holds_at_most_what_was_asked_for,
    who_asks_waits_for_the_next_record,
    a_full_broker_makes_the_publisher_wait,
    an_unknown_channel_is_refused,
    when_the_broker_stops_its_consumers_end,
}

/// Runs one check by its name.
async fn check(name: &str, ground: &dyn Ground) {
    let (_, run) = CHECKS.iter().find(|(known, _)| *known == name).expect("a check of the suite");
    tokio::time::timeout(ground.patience(), run(ground)).await.expect("what must come has come");
}

/// The n-th record, of the n-th message.
fn record(n: i64, key: Option<Lane>) -> Record {
    Record {
        id: DeliveryId { message: MessageId(n), run_no: 1, delivery_no: 2 },
        channel: "prescription".into(),
        key,
        command: Some("create".into()),
        kind: "MedicationRequest".into(),
        source: "kasr-al-ainy".into(),
        route: "orders".into(),
        created_at: Timestamp(1_791_100_800_000_000 + n),
        attempts: 3,
        charges: 1,
        suspect: n % 2 == 1,
        body: Bytes::from(format!("{{\"n\":{n}}}")),
    }
}

/// One of many keys.
fn key(n: u8) -> Lane {
    [n.wrapping_mul(37), n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, n, n.wrapping_mul(11)]
}

fn numbers(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.id.message.0).collect()
}

/// A broker with one channel of one partition, and what consumes it.
async fn one_partition(ground: &dyn Ground) -> (Arc<dyn Broker>, Box<dyn Consumption>) {
    let broker = ground.start(&["prescription"], 1).await;
    let mut partitions = broker.consume("prescription");
    assert_eq!(partitions.len(), 1, "one consumption a partition");
    (broker, partitions.remove(0))
}

async fn publish(broker: &dyn Broker, numbers: impl IntoIterator<Item = i64>) {
    let records = numbers.into_iter().map(|n| record(n, Some(key(1)))).collect();
    for confirmed in broker.publish(records).await {
        assert_eq!(confirmed, Ok(()));
    }
}

/// The next `count` records, in batches of at most `max`; they are not acknowledged.
async fn take(partition: &mut dyn Consumption, count: usize, max: usize) -> Vec<Record> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(partition.next(max.min(count - taken.len())).await.expect("the broker is at work"));
    }
    taken
}

async fn records_come_whole(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    let bare = Record { command: None, body: Bytes::new(), ..record(2, None) };
    let large = Record { body: Bytes::from(vec![0xFF; 700_000]), ..record(3, Some(key(9))) };
    let sent = vec![record(1, Some(key(1))), bare, large];
    assert_eq!(broker.publish(sent.clone()).await, [Ok(()), Ok(()), Ok(())]);
    let mut came = take(&mut *partition, 3, 3).await;
    came.sort_by_key(|record| record.id);
    assert_eq!(format!("{came:?}"), format!("{sent:?}"));
}

async fn records_of_a_key_come_in_order(ground: &dyn Ground) {
    let broker = ground.start(&["prescription"], PARTITIONS).await;
    let consumers = broker.consume("prescription").into_iter().map(|partition| tokio::spawn(drain(partition)));
    let consumers: Vec<_> = consumers.collect();
    // Each publisher has keys of its own: between publishers there is no order.
    let publishers = (0..4_u8).map(|publisher| {
        let broker = Arc::clone(&broker);
        tokio::spawn(async move {
            for batch in 0..50_i64 {
                let base = i64::from(publisher) * 10_000 + batch * 10;
                let records =
                    (0..10).map(|n| record(base + n, Some(key(publisher * 8 + u8::try_from(n % 8).unwrap()))));
                assert!(broker.publish(records.collect()).await.iter().all(Result::is_ok));
            }
        })
    });
    for publisher in join_all(publishers).await {
        publisher.expect("the publisher is done");
    }
    drop(broker);
    let mut last: BTreeMap<Lane, i64> = BTreeMap::new();
    let mut count = 0;
    for consumer in consumers {
        for record in consumer.await.expect("the consumer is done") {
            let before = last.insert(record.key.unwrap(), record.id.message.0);
            assert!(before.is_none_or(|before| before < record.id.message.0), "{} overtook", record.id);
            count += 1;
        }
    }
    assert_eq!(count, 4 * 50 * 10, "each came once");
}

/// Takes and acknowledges until the broker stops.
async fn drain(mut partition: Box<dyn Consumption>) -> Vec<Record> {
    let mut all = Vec::new();
    while let Some(batch) = partition.next(7).await {
        partition.acknowledge(batch.len()).await;
        all.extend(batch);
    }
    all
}

async fn a_key_is_always_in_one_partition(ground: &dyn Ground) {
    let broker = ground.start(&["prescription"], PARTITIONS).await;
    let partitions = broker.consume("prescription");
    assert_eq!(partitions.len(), PARTITIONS, "one consumption a partition");
    let records = (0..400_i64).map(|n| record(n, Some(key(u8::try_from(n % 40).unwrap())))).collect();
    assert!(broker.publish(records).await.iter().all(Result::is_ok));
    drop(broker);
    let mut of_key: BTreeMap<Lane, BTreeSet<usize>> = BTreeMap::new();
    for (place, partition) in partitions.into_iter().enumerate() {
        for record in drain(partition).await {
            of_key.entry(record.key.unwrap()).or_default().insert(place);
        }
    }
    assert_eq!(of_key.len(), 40);
    assert!(of_key.values().all(|places| places.len() == 1), "{of_key:?}");
    assert!(of_key.values().flatten().collect::<BTreeSet<_>>().len() > 1, "keys are spread");
}

async fn each_channel_has_its_own_records(ground: &dyn Ground) {
    let broker = ground.start(&["prescription", "claims"], 1).await;
    let of_claims = |n| Record { channel: "claims".into(), ..record(n, None) };
    let sent = vec![record(1, None), of_claims(2), record(3, None), of_claims(4)];
    assert!(broker.publish(sent).await.iter().all(Result::is_ok));
    let mut claims = broker.consume("claims").remove(0);
    assert_eq!(numbers(&take(&mut *claims, 2, 2).await), [2, 4]);
    let mut prescriptions = broker.consume("prescription").remove(0);
    assert_eq!(numbers(&take(&mut *prescriptions, 2, 2).await), [1, 3]);
}

async fn what_is_not_acknowledged_comes_again_in_order(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    publish(&*broker, 0..10).await;
    take(&mut *partition, 6, 2).await;
    partition.acknowledge(2).await;
    partition.redeliver().await;
    publish(&*broker, 10..12).await;
    assert_eq!(numbers(&take(&mut *partition, 10, 3).await), (2..12).collect::<Vec<_>>());
    partition.redeliver().await;
    assert_eq!(numbers(&take(&mut *partition, 10, 10).await), (2..12).collect::<Vec<_>>(), "as often as needed");
    partition.acknowledge(10).await;
    partition.redeliver().await;
    publish(&*broker, [12]).await;
    assert_eq!(numbers(&take(&mut *partition, 1, 10).await), [12], "what is acknowledged is done");
}

async fn nothing_comes_twice_unless_it_is_asked_for(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    publish(&*broker, 0..50).await;
    let mut came = numbers(&take(&mut *partition, 25, 4).await);
    partition.acknowledge(3).await;
    came.extend(numbers(&take(&mut *partition, 25, 4).await));
    assert_eq!(came, (0..50).collect::<Vec<_>>());
    assert!(partition.next(1).now_or_never().is_none(), "there is nothing left");
}

async fn only_what_was_handed_out_is_acknowledged(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    publish(&*broker, 0..6).await;
    take(&mut *partition, 3, 3).await;
    partition.acknowledge(0).await;
    partition.redeliver().await;
    assert_eq!(numbers(&take(&mut *partition, 3, 3).await), [0, 1, 2]);
    partition.acknowledge(1_000).await;
    partition.redeliver().await;
    assert_eq!(numbers(&take(&mut *partition, 3, 3).await), [3, 4, 5], "what was not handed out is not done");
    partition.acknowledge(1).await;
    partition.redeliver().await;
    partition.acknowledge(1).await;
    assert_eq!(numbers(&take(&mut *partition, 2, 2).await), [4, 5], "nor what is to be handed out again");
}

async fn a_redelivery_may_be_cut_short_by_another(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    publish(&*broker, 0..9).await;
    take(&mut *partition, 6, 6).await;
    partition.redeliver().await;
    assert_eq!(numbers(&take(&mut *partition, 2, 2).await), [0, 1]);
    partition.acknowledge(1).await;
    partition.redeliver().await;
    assert_eq!(numbers(&take(&mut *partition, 3, 3).await), [1, 2, 3]);
    partition.redeliver().await;
    assert_eq!(numbers(&take(&mut *partition, 8, 3).await), (1..9).collect::<Vec<_>>());
}

async fn a_batch_holds_at_most_what_was_asked_for(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    publish(&*broker, 0..20).await;
    for max in [1, 3, 7] {
        let batch = partition.next(max).await.expect("the broker is at work");
        assert!((1..=max).contains(&batch.len()), "{} of {max}", batch.len());
    }
    partition.redeliver().await;
    for max in [1, 2] {
        let batch = partition.next(max).await.expect("the broker is at work");
        assert!((1..=max).contains(&batch.len()), "{} of {max}, again", batch.len());
    }
}

async fn who_asks_waits_for_the_next_record(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    let mut asked = Box::pin(partition.next(10));
    assert!((&mut asked).now_or_never().is_none(), "there is nothing yet");
    publish(&*broker, [1]).await;
    assert_eq!(numbers(&asked.await.expect("the broker is at work")), [1]);
}

async fn a_full_broker_makes_the_publisher_wait(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    let room = i64::try_from(ground.room()).unwrap();
    publish(&*broker, 0..room).await;
    let publisher = tokio::spawn({
        let broker = Arc::clone(&broker);
        async move { publish(&*broker, room..room + 5).await }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!publisher.is_finished(), "the broker is full");
    let mut came = Vec::new();
    while came.len() < ground.room() + 5 {
        let batch = partition.next(64).await.expect("the broker is at work");
        partition.acknowledge(batch.len()).await;
        came.extend(numbers(&batch));
    }
    publisher.await.expect("the publisher goes on when there is room");
    assert_eq!(came, (0..room + 5).collect::<Vec<_>>());
}

async fn an_unknown_channel_is_refused(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    let lost = Record { channel: "nowhere".into(), ..record(2, None) };
    let confirmed = broker.publish(vec![record(1, None), lost, record(3, None)]).await;
    assert_eq!(confirmed, [Ok(()), Err(PublishError::NoChannel("nowhere".into())), Ok(())]);
    assert_eq!(numbers(&take(&mut *partition, 2, 2).await), [1, 3]);
    assert!(broker.consume("nowhere").is_empty());
}

async fn when_the_broker_stops_its_consumers_end(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    publish(&*broker, 0..3).await;
    take(&mut *partition, 1, 1).await;
    drop(broker);
    let mut came = Vec::new();
    while let Some(batch) = partition.next(10).await {
        came.extend(numbers(&batch));
    }
    assert_eq!(came, [1, 2], "what the broker has is handed out first");
}
