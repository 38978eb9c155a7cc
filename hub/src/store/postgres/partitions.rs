//! Partitions, one a day of UTC: made before they are needed, and archived as a whole when their time is over.
//!
//! In come days, counted from 2020-01-01 as ids are; out go partitions that are there, or are in the archive.
//! Promised: a day with a message that has not come to all its ends is not archived, nothing is deleted row by row,
//! and a row that found no partition is told.

use std::collections::BTreeSet;

use adapters::clock::Timestamp;
use sqlx::{PgConnection, PgPool, query, query_scalar};

use super::error::reading;
use crate::store::{MessageId, StoreError};

/// Ids of one day.
const IDS_A_DAY: i64 = 86_400_000 * 4096;
/// Days that are archived in one go at most: what had waited for long does not hold up the rest.
const ARCHIVED_MAX: i64 = 31;

/// A day, counted from 2020-01-01.
pub(super) type Day = i32;

/// The day whose partition has this id.
pub(super) fn day_of(id: MessageId) -> Day {
    Day::try_from(id.0 / IDS_A_DAY).unwrap_or(Day::MAX)
}

/// The days that have partitions.
pub(super) async fn kept(on: &mut PgConnection) -> Result<BTreeSet<Day>, sqlx::Error> {
    let days = query_scalar::<_, Day>("SELECT day - date '2020-01-01' FROM kept_days() AS kept (day)");
    Ok(days.fetch_all(on).await?.into_iter().collect())
}

/// Makes the partitions of `count` days from `first` on that are missing; says how many tables were.
pub(super) async fn make(on: &mut PgConnection, first: Day, count: i32) -> Result<i32, sqlx::Error> {
    query_scalar("SELECT make_partitions(date '2020-01-01' + $1, $2)").bind(first).bind(count).fetch_one(on).await
}

/// Archives the days before `now` less `keep_days`; says which.
pub(super) async fn archive(pool: &PgPool, now: Timestamp, keep_days: u32) -> Result<Vec<Day>, StoreError> {
    let last = day_of(MessageId::first_at(now)).saturating_sub(i32::try_from(keep_days).unwrap_or(i32::MAX));
    let due = query_scalar::<_, Day>(
        "SELECT day - date '2020-01-01' FROM kept_days() AS kept (day) WHERE day - date '2020-01-01' < $1 LIMIT $2",
    );
    let mut archived = Vec::new();
    for day in due.bind(last).bind(ARCHIVED_MAX).fetch_all(pool).await.map_err(reading)? {
        let gone = query_scalar("SELECT archive_day(date '2020-01-01' + $1, current_schema() || '_archive')");
        match gone.bind(day).fetch_one(pool).await {
            Ok(true) => archived.push(day),
            Ok(false) => tracing::info!(day, "a day past its retention stays: some of its messages are not at an end"),
            Err(error) => return Err(reading(error)),
        }
    }
    Ok(archived)
}

/// How many rows of messages found no partition of their day.
pub(super) async fn astray(pool: &PgPool) -> Result<i64, StoreError> {
    query_scalar("SELECT count(*) FROM (SELECT FROM message_default LIMIT 1000) astray")
        .fetch_one(pool)
        .await
        .map_err(reading)
}

/// Moves the place below which every message is routed. What is committed later has a greater id than the last one
/// of now, so the place never runs ahead.
pub(super) async fn move_low_water(pool: &PgPool) -> Result<(), StoreError> {
    let (low, last): (i64, i64) = sqlx::query_as(
        "SELECT coalesce((SELECT value::bigint FROM fact WHERE name = 'low_water'), 0), last_id FROM head",
    )
    .fetch_one(pool)
    .await
    .map_err(reading)?;
    let open = query_scalar::<_, i64>(
        "SELECT m.id FROM message m WHERE m.id >= $1 AND m.id <= $2 AND m.code IS NULL \
         AND NOT EXISTS (SELECT FROM run r WHERE r.message_id = m.id AND r.message_id >= $1 AND r.message_id <= $2) \
         ORDER BY m.id LIMIT 1",
    );
    let open = open.bind(low).bind(last).fetch_optional(pool).await.map_err(reading)?;
    let place = open.unwrap_or(last.saturating_add(1));
    if place > low {
        query(
            "INSERT INTO fact (name, value) VALUES ('low_water', $1) ON CONFLICT (name) DO UPDATE \
             SET value = excluded.value WHERE fact.value::bigint < excluded.value::bigint",
        )
        .bind(place.to_string())
        .execute(pool)
        .await
        .map_err(reading)?;
    }
    Ok(())
}
