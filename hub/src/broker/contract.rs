//! The contract suite of [`Broker`]: every promise of the trait, as a named check.
//!
//! In comes a [`Ground`], which starts brokers of one kind; a check publishes, consumes and judges. Every
//! broker passes all checks, and for every check there is a broker that is wrong on purpose ([`wrong`])
//! and that the check finds out.

pub(crate) mod servers;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adapters::clock::{Clock, SystemClock, Timestamp};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::{Broker, Consumption, PublishError, Record};
use crate::store::{DeliveryId, Lane, MessageId};

/// Partitions of a channel in every check.
const PARTITIONS: usize = 4;

/// Starts brokers.
#[async_trait]
trait Ground: Send + Sync {
    /// A broker with these channels, each in so many partitions, ready for records. One that is durable has what a
    /// broker of the same name had before.
    async fn start(&self, name: &str, channels: &[&str], partitions: usize) -> Arc<dyn Broker>;

    /// Records that wait in one partition before a publisher waits, at most; none if there is no such bound.
    fn room(&self) -> usize {
        0
    }

    /// What has not come by then does not come.
    fn quiet(&self) -> Duration;

    /// How long a check may take: what must come has come by then.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// One promise.
type Check = for<'g> fn(&'g dyn Ground) -> BoxFuture<'g, ()>;

/// Declares the checks as a table and, for the brokers of this crate, as tests: of every broker, of those that have
/// what they hold in memory, and of those that are durable.
macro_rules! checks {
    (every: $($every:ident),+; in_memory: $($memory:ident),+; durable: $($durable:ident),+;) => {
        const CHECKS: &[(&str, Check)] = &[
            $((stringify!($every), |ground| $every(ground).boxed()),)+
            $((stringify!($memory), |ground| $memory(ground).boxed()),)+
            $((stringify!($durable), |ground| $durable(ground).boxed()),)+
        ];

        checks!(mod embedded, super::wrong::Right; $($every,)+ $($memory,)+);
        checks!(mod kafka, super::servers::KafkaGround; $($every,)+ $($durable,)+);
        checks!(mod rabbitmq, super::servers::RabbitGround; $($every,)+ $($durable,)+);
    };
    (mod $broker:ident, $ground:expr; $($name:ident,)+) => {
        mod $broker {
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
    every:
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
    who_stops_asking_loses_nothing,
    an_unknown_channel_is_refused,
    when_the_broker_stops_its_consumers_end;
    in_memory:
    a_full_broker_makes_the_publisher_wait,
    what_the_broker_has_is_handed_out_before_the_end;
    durable:
    what_nobody_takes_is_kept,
    what_is_not_acknowledged_outlives_the_broker;
}

/// A name that no other check has, nor any run before.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("check-{}-{}-{}", SystemClock.now().0, std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
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
    let broker = ground.start(&unique(), &["prescription"], 1).await;
    let partition = partitions(&*broker, "prescription", 1).await.remove(0);
    (broker, partition)
}

/// The partitions of a channel. More would be found out by their records.
async fn partitions(broker: &dyn Broker, channel: &str, count: usize) -> Vec<Box<dyn Consumption>> {
    let all: Vec<_> = broker.consume(channel).take(count).collect().await;
    assert_eq!(all.len(), count, "one consumption a partition");
    all
}

/// More than any check publishes.
const TOLD_MAX: usize = 100_000;

/// Takes and acknowledges in the background; each record comes with the place of its partition.
fn follow(partitions: Vec<Box<dyn Consumption>>) -> mpsc::Receiver<(usize, Record)> {
    let (told, came) = mpsc::channel(TOLD_MAX);
    for (place, mut partition) in partitions.into_iter().enumerate() {
        let told = told.clone();
        tokio::spawn(async move {
            while let Some(batch) = partition.next(7).await {
                partition.acknowledge(batch.len()).await;
                for record in batch {
                    let _ = told.send((place, record)).await;
                }
            }
        });
    }
    came
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
    let broker = ground.start(&unique(), &["prescription"], PARTITIONS).await;
    let mut came = follow(partitions(&*broker, "prescription", PARTITIONS).await);
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
    let mut last: BTreeMap<Lane, i64> = BTreeMap::new();
    for _ in 0..4 * 50 * 10 {
        let (_, record) = came.recv().await.expect("the consumers are at work");
        let before = last.insert(record.key.unwrap(), record.id.message.0);
        assert!(before.is_none_or(|before| before < record.id.message.0), "{} overtook", record.id);
    }
    assert!(tokio::time::timeout(ground.quiet(), came.recv()).await.is_err(), "each came once");
}

async fn a_key_is_always_in_one_partition(ground: &dyn Ground) {
    let broker = ground.start(&unique(), &["prescription"], PARTITIONS).await;
    let mut came = follow(partitions(&*broker, "prescription", PARTITIONS).await);
    let records = (0..400_i64).map(|n| record(n, Some(key(u8::try_from(n % 40).unwrap())))).collect();
    assert!(broker.publish(records).await.iter().all(Result::is_ok));
    let mut of_key: BTreeMap<Lane, BTreeSet<usize>> = BTreeMap::new();
    for _ in 0..400 {
        let (place, record) = came.recv().await.expect("the consumers are at work");
        of_key.entry(record.key.unwrap()).or_default().insert(place);
    }
    assert_eq!(of_key.len(), 40);
    assert!(of_key.values().all(|places| places.len() == 1), "{of_key:?}");
    assert!(of_key.values().flatten().collect::<BTreeSet<_>>().len() > 1, "keys are spread");
}

async fn each_channel_has_its_own_records(ground: &dyn Ground) {
    let broker = ground.start(&unique(), &["prescription", "claims"], 1).await;
    let of_claims = |n| Record { channel: "claims".into(), ..record(n, None) };
    let sent = vec![record(1, None), of_claims(2), record(3, None), of_claims(4)];
    assert!(broker.publish(sent).await.iter().all(Result::is_ok));
    let mut claims = partitions(&*broker, "claims", 1).await.remove(0);
    assert_eq!(numbers(&take(&mut *claims, 2, 2).await), [2, 4]);
    let mut prescriptions = partitions(&*broker, "prescription", 1).await.remove(0);
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
    assert!(tokio::time::timeout(ground.quiet(), partition.next(1)).await.is_err(), "there is nothing left");
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
    assert_eq!(broker.consume("nowhere").count().await, 0);
}

async fn who_stops_asking_loses_nothing(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    for n in 0..40 {
        publish(&*broker, [n]).await;
        let mut came = None;
        for _ in 0..3 {
            // Given up at any moment: before, while and after the record is there.
            let asked = tokio::time::timeout(Duration::from_micros(300), partition.next(1)).await;
            if let Ok(batch) = asked {
                came = batch;
                break;
            }
        }
        let came = match came {
            Some(batch) => batch,
            None => take(&mut *partition, 1, 1).await,
        };
        assert_eq!(numbers(&came), [n]);
        partition.acknowledge(1).await;
    }
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
    assert!([1, 2].starts_with(&came), "{came:?}");
}

async fn what_the_broker_has_is_handed_out_before_the_end(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    publish(&*broker, 0..3).await;
    take(&mut *partition, 1, 1).await;
    drop(broker);
    let mut came = Vec::new();
    while let Some(batch) = partition.next(10).await {
        came.extend(numbers(&batch));
    }
    assert_eq!(came, [1, 2]);
}

async fn what_nobody_takes_is_kept(ground: &dyn Ground) {
    let (broker, mut partition) = one_partition(ground).await;
    let keys = |n: i64| record(n, Some(key(u8::try_from(n % 200).unwrap())));
    for batch in 0..20 {
        let records = (batch * 100..(batch + 1) * 100).map(keys).collect();
        assert!(broker.publish(records).await.iter().all(Result::is_ok));
    }
    let mut came = Vec::new();
    while came.len() < 2_000 {
        let batch = take(&mut *partition, 50, 50).await;
        partition.acknowledge(batch.len()).await;
        came.extend(numbers(&batch));
    }
    came.sort_unstable();
    assert_eq!(came, (0..2_000).collect::<Vec<_>>());
}

async fn what_is_not_acknowledged_outlives_the_broker(ground: &dyn Ground) {
    let name = unique();
    let broker = ground.start(&name, &["prescription"], 1).await;
    let mut partition = partitions(&*broker, "prescription", 1).await.remove(0);
    publish(&*broker, 0..6).await;
    take(&mut *partition, 3, 3).await;
    partition.acknowledge(2).await;
    drop(broker);
    while partition.next(10).await.is_some() {}
    partition.acknowledge(100).await;
    drop(partition);
    let again = ground.start(&name, &["prescription"], 1).await;
    let mut rest = partitions(&*again, "prescription", 1).await.remove(0);
    assert_eq!(numbers(&take(&mut *rest, 4, 2).await), [2, 3, 4, 5]);
    rest.acknowledge(4).await;
    assert!(tokio::time::timeout(ground.quiet(), rest.next(1)).await.is_err(), "there is nothing left");
}
