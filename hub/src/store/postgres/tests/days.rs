//! Days: partitions are there when they are needed, and go into the archive as a whole.

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;
use sqlx::query_scalar;

use super::*;
use crate::store::contract::samples::{
    START, accept, accept_and_route, all, change, configuration, ids, known_once, message, must_commit, named,
};
use crate::store::postgres::partitions::{archive, astray, day_of, kept, make, move_low_water};
use crate::store::{DeliveryState, MessageId, Outcome, Row, UnitOfWork};

const DAY: Duration = Duration::from_secs(86_400);

fn days_later(days: u32) -> Timestamp {
    START.plus(DAY * days)
}

async fn count(schema: &Schema, table: &str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    query_scalar(sql).fetch_one(&mut schema.look().await).await.expect("a count")
}

#[tokio::test]
async fn every_day_that_messages_come_on_has_its_partitions_and_none_goes_astray() {
    let schema = Schema::new().await;
    let store = schema.open().await;
    for days in [0, 1, 5, 2, 400] {
        schema.clock().set(days_later(days));
        accept(&*store, message(&format!("D{days}"))).await;
    }
    let today = day_of(MessageId::first_at(START));
    let found = kept(&mut schema.look().await).await.unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [today, today + 1, today + 5, today + 400]);
    for table in ["message_default", "run_default", "output_default", "delivery_default", "attempt_default"] {
        assert_eq!(count(&schema, table).await, 0, "{table}");
    }
    assert_eq!(all(&*store).await, ids(&["D0", "D1", "D5", "D2", "D400"]));
}

#[tokio::test]
async fn a_partition_whose_commit_fails_is_made_again() {
    let schema = Schema::new().await;
    let store = schema.open().await;
    schema.clock().set(days_later(1));
    // Nothing of this group is written, so the partition of its day is not there either.
    let bad = UnitOfWork::of(vec![
        Row::Message(Box::new(message("A"))),
        Row::LetGo(crate::store::RunId { message: MessageId(1), run_no: 1 }),
    ]);
    assert_eq!(store.commit(vec![bad]).await, [Outcome::Conflict]);
    accept(&*store, message("B")).await;
    assert_eq!(count(&schema, "message_default").await, 0);
}

#[tokio::test]
async fn a_row_without_a_partition_is_told() {
    let schema = Schema::new().await;
    let store = schema.store(schema.place()).await;
    assert_eq!(astray(&store.reader.pool).await, Ok(0));
    let copied = "INSERT INTO message SELECT 353894400000 * 20000, received_at, source, principal, peer, sender, \
                  control_id, type, format, lane, identity, flags, cause, code, reason, body, answer, terms, checksum \
                  FROM message";
    accept(&*store, message("A")).await;
    schema.look().await.execute(copied).await.unwrap();
    assert_eq!(astray(&store.reader.pool).await, Ok(1));
}

#[tokio::test]
async fn partitions_are_made_once() {
    let schema = Schema::new().await;
    drop(schema.open().await);
    let mut connection = schema.look().await;
    let today = day_of(MessageId::first_at(START));
    assert_eq!(make(&mut connection, today + 1, 2).await.unwrap(), 12, "six tables, two days");
    assert_eq!(make(&mut connection, today, 4).await.unwrap(), 6, "the fourth day was missing");
    assert_eq!(make(&mut connection, today, 4).await.unwrap(), 0);
}

#[tokio::test]
async fn a_day_past_its_retention_is_archived_whole_once_all_of_it_is_at_its_end() {
    let schema = Schema::new().await;
    let store = schema.store(schema.place()).await;
    let id = accept_and_route(&*store, "A", "file").await;
    let seen = accept(&*store, known_once("B")).await;
    schema.clock().set(days_later(10));
    let kept_one = accept(&*store, message("C")).await;
    let pool = &store.reader.pool;
    let now = days_later(10);
    assert_eq!(archive(pool, now, 3).await, Ok(vec![]), "a delivery is open and a message is not routed");
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(id, 1, 1), DeliveryState::Delivered))]).await;
    assert_eq!(archive(pool, now, 3).await, Ok(vec![]), "a message is not routed");
    let number = configuration(&*store).await;
    let routed = crate::store::contract::samples::routed(seen, 1, number, "file");
    must_commit(&*store, routed).await;
    must_commit(&*store, vec![Row::ChangeDelivery(change(named(seen, 1, 1), DeliveryState::Filtered))]).await;
    assert_eq!(archive(pool, now, 10).await, Ok(vec![]), "its time is not over");
    assert_eq!(archive(pool, now, 3).await, Ok(vec![day_of(id)]));
    assert!(store.message(id).await.unwrap().is_none(), "it is not here any more");
    assert!(store.message(kept_one).await.unwrap().is_some());
    let part = format!("{}_archive.message_20261004", schema.name);
    assert_eq!(count(&schema, &part).await, 2, "it is in the archive");
    let offered = UnitOfWork::of(vec![Row::Message(Box::new(known_once("B")))]);
    assert_eq!(store.commit(vec![offered]).await, [Outcome::Repeat { of: seen, answer: None }]);
    assert_eq!(archive(pool, now, 3).await, Ok(vec![]), "once");
}

#[tokio::test]
async fn the_place_of_recovery_moves_and_never_past_what_is_not_routed() {
    let schema = Schema::new().await;
    let store = schema.store(schema.place()).await;
    let place = || async { store.fact("low_water").await.unwrap().map(|text| text.parse::<i64>().unwrap()) };
    move_low_water(&store.reader.pool).await.unwrap();
    let first = accept_and_route(&*store, "A", "file").await;
    let open = accept(&*store, message("B")).await;
    accept_and_route(&*store, "C", "file").await;
    for _ in 0..2 {
        move_low_water(&store.reader.pool).await.unwrap();
        assert_eq!(place().await, Some(open.0));
    }
    assert!(open > first);
    let number = configuration(&*store).await;
    must_commit(&*store, crate::store::contract::samples::routed(open, 1, number, "file")).await;
    let last = accept_and_route(&*store, "D", "file").await;
    move_low_water(&store.reader.pool).await.unwrap();
    assert_eq!(place().await, Some(last.0 + 1));
    let newest = accept(&*store, message("E")).await;
    assert!(newest.0 > last.0);
    let _ = Arc::clone(&store);
    assert_eq!(crate::store::contract::samples::unrouted(&*store).await, ids(&["E"]));
}
