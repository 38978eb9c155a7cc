//! What the store holds of the things that a group of units speaks of, so that its conditions can be judged.
//!
//! In come the units of a group; out goes [`Known`], read in the transaction that will write them, after its
//! turn has come (`head` is locked): nobody else changes what was read. One question a kind of thing, asked only
//! if a unit has that kind; keys go as arrays, and ids of messages with their bounds, so that only partitions of
//! their days are opened.

use std::collections::{BTreeSet, HashSet};

use adapters::clock::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _, query};

use super::asked::Asked;
use super::layered::Layered;
use crate::store::{AggregateKey, AssignedNumber, DeliveryId, InboxKey, MessageId, NewMessage, RunId, UnitOfWork};

/// What names a repeat besides its body: source, control id, sender.
pub(super) type Question<'u> = (&'u str, &'u str, &'u str);

/// A hash of a body.
pub(super) type Identity = [u8; 16];

/// A group of orders as its sender numbers it: authority, number.
pub(super) type Group<'u> = (&'u str, &'u str);

/// What is known before, and while, the units of a group are judged.
#[derive(Default)]
pub(super) struct Known<'u> {
    pub(super) inbox: Layered<(&'u str, &'u str), ()>,
    /// Versions of aggregates.
    pub(super) versions: Layered<&'u AggregateKey, i64>,
    /// The number that each group has.
    pub(super) assigned: Layered<Group<'u>, String>,
    /// Numbers that are taken, by whatever group.
    pub(super) taken: Layered<&'u str, ()>,
    pub(super) messages: Layered<MessageId, ()>,
    pub(super) runs: Layered<RunId, ()>,
    pub(super) outputs: Layered<(RunId, u32), ()>,
    /// Whether each is open.
    pub(super) deliveries: Layered<DeliveryId, bool>,
    pub(super) attempts: Layered<(DeliveryId, u32), ()>,
    /// Whether each is held now.
    pub(super) held: Layered<RunId, bool>,
    pub(super) configurations: HashSet<i64>,
    /// The message that had this question and this body last, and when.
    pub(super) seen: Layered<(Question<'u>, Identity), (MessageId, i64)>,
    /// Whether the store has another body to a question since a time.
    pub(super) other_bodies: HashSet<(Question<'u>, Identity, i64)>,
    /// The newest two bodies to each question, of this group alone.
    pub(super) newest: Layered<Question<'u>, Newest>,
}

/// The newest two bodies that came to one question.
#[derive(Clone, Copy)]
pub(super) struct Newest {
    identity: Identity,
    at: i64,
    other_at: Option<i64>,
}

impl Newest {
    /// With one more that came at `at`.
    pub(super) fn with(before: Option<&Newest>, identity: Identity, at: i64) -> Newest {
        match before {
            None => Newest { identity, at, other_at: None },
            Some(last) if last.identity == identity => Newest { at: last.at.max(at), ..*last },
            Some(last) if last.at > at => Newest { other_at: last.other_at.max(Some(at)), ..*last },
            Some(last) => Newest { identity, at, other_at: Some(last.at) },
        }
    }

    /// Whether another body came since `since`.
    pub(super) fn has_other(&self, identity: Identity, since: i64) -> bool {
        let other = if self.identity == identity { self.other_at } else { Some(self.at) };
        other.is_some_and(|at| at >= since)
    }
}

pub(super) fn question(message: &NewMessage) -> Question<'_> {
    (&message.source, &message.control_id, &message.sender)
}

/// Ids of messages as an array, with the least and the greatest of them.
fn bounded(ids: &BTreeSet<i64>) -> Option<(Vec<i64>, i64, i64)> {
    Some((ids.iter().copied().collect(), *ids.first()?, *ids.last()?))
}

fn run_id(row: &PgRow) -> Result<RunId, sqlx::Error> {
    Ok(RunId { message: MessageId(row.try_get("message_id")?), run_no: number(row, "run_no")? })
}

fn number(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    u32::try_from(row.try_get::<i32, _>(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A small number as the store has it.
pub(super) fn i32_of(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl<'u> Known<'u> {
    /// Reads all that the units speak of.
    pub(super) async fn read(connection: &mut PgConnection, units: &[&'u UnitOfWork]) -> Result<Self, sqlx::Error> {
        let asked = Asked::of(units);
        let mut known = Known::default();
        known.read_inbox(connection, &asked.inbox).await?;
        known.read_versions(connection, &asked.aggregates).await?;
        known.read_numbers(connection, &asked.numbers).await?;
        known.read_configurations(connection, &asked.configurations).await?;
        known.read_messages(connection, &asked.messages).await?;
        known.read_runs(connection, &asked.runs).await?;
        known.read_outputs(connection, &asked.outputs).await?;
        known.read_deliveries(connection, &asked.deliveries).await?;
        known.read_attempts(connection, &asked.attempts).await?;
        known.read_held(connection, &asked.held).await?;
        known.read_seen(connection, &asked.seen).await?;
        Ok(known)
    }

    /// The unit in hand ended.
    pub(super) fn end_unit(&mut self, kept: bool) {
        self.inbox.end_unit(kept);
        self.versions.end_unit(kept);
        self.assigned.end_unit(kept);
        self.taken.end_unit(kept);
        self.messages.end_unit(kept);
        self.runs.end_unit(kept);
        self.outputs.end_unit(kept);
        self.deliveries.end_unit(kept);
        self.attempts.end_unit(kept);
        self.held.end_unit(kept);
        self.seen.end_unit(kept);
        self.newest.end_unit(kept);
    }

    async fn read_inbox(&mut self, on: &mut PgConnection, keys: &[&'u InboxKey]) -> Result<(), sqlx::Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let rows = query(
            "SELECT k.place FROM UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS k (consumer, key, place), \
             LATERAL (SELECT 1 FROM inbox i WHERE i.consumer = k.consumer AND i.key = k.key LIMIT 1) taken",
        )
        .bind(keys.iter().map(|key| key.consumer).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>())
        .fetch_all(on)
        .await?;
        for row in &rows {
            if let Some(key) = at(keys, row)? {
                self.inbox.know((key.consumer, &key.key), ());
            }
        }
        Ok(())
    }

    async fn read_versions(&mut self, on: &mut PgConnection, keys: &[&'u AggregateKey]) -> Result<(), sqlx::Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let rows = query(
            "SELECT k.place, a.version FROM UNNEST($1::text[], $2::text[], $3::text[]) WITH ORDINALITY \
             AS k (kind, authority, number, place), LATERAL (SELECT version FROM aggregate a \
             WHERE a.kind = k.kind AND a.authority = k.authority AND a.number = k.number LIMIT 1) a",
        )
        .bind(keys.iter().map(|key| key.kind).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.authority.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.number.as_str()).collect::<Vec<_>>())
        .fetch_all(on)
        .await?;
        for row in &rows {
            if let Some(key) = at(keys, row)? {
                self.versions.know(key, row.try_get("version")?);
            }
        }
        Ok(())
    }

    async fn read_numbers(&mut self, on: &mut PgConnection, asked: &[&'u AssignedNumber]) -> Result<(), sqlx::Error> {
        if asked.is_empty() {
            return Ok(());
        }
        let rows = query(
            "SELECT k.place, (SELECT n.assigned FROM assigned_number n WHERE n.authority = k.authority \
             AND n.number = k.number) AS assigned, EXISTS (SELECT FROM assigned_number n \
             WHERE n.assigned = k.assigned) AS taken \
             FROM UNNEST($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (authority, number, assigned, place)",
        )
        .bind(asked.iter().map(|number| number.authority.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|number| number.number.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|number| number.assigned.as_str()).collect::<Vec<_>>())
        .fetch_all(on)
        .await?;
        for row in &rows {
            let Some(number) = at(asked, row)? else { continue };
            if let Some(assigned) = row.try_get::<Option<String>, _>("assigned")? {
                self.assigned.know((&number.authority, &number.number), assigned);
            }
            if row.try_get("taken")? {
                self.taken.know(&number.assigned, ());
            }
        }
        Ok(())
    }

    async fn read_configurations(&mut self, on: &mut PgConnection, ids: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
        let Some((ids, _, _)) = bounded(ids) else { return Ok(()) };
        let rows = query("SELECT id FROM configuration WHERE id = ANY($1)").bind(ids).fetch_all(on).await?;
        for row in &rows {
            self.configurations.insert(row.try_get("id")?);
        }
        Ok(())
    }

    async fn read_messages(&mut self, on: &mut PgConnection, ids: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
        let Some((ids, least, greatest)) = bounded(ids) else { return Ok(()) };
        let found = query("SELECT id FROM message WHERE id = ANY($1) AND id BETWEEN $2 AND $3");
        for row in &found.bind(ids).bind(least).bind(greatest).fetch_all(on).await? {
            self.messages.know(MessageId(row.try_get("id")?), ());
        }
        Ok(())
    }

    async fn read_runs(&mut self, on: &mut PgConnection, ids: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
        let Some((ids, least, greatest)) = bounded(ids) else { return Ok(()) };
        let found =
            query("SELECT message_id, run_no FROM run WHERE message_id = ANY($1) AND message_id BETWEEN $2 AND $3");
        for row in &found.bind(ids).bind(least).bind(greatest).fetch_all(on).await? {
            self.runs.know(run_id(row)?, ());
        }
        Ok(())
    }

    async fn read_outputs(&mut self, on: &mut PgConnection, ids: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
        let Some((ids, least, greatest)) = bounded(ids) else { return Ok(()) };
        let found = query(
            "SELECT message_id, run_no, output_no FROM output \
             WHERE message_id = ANY($1) AND message_id BETWEEN $2 AND $3",
        );
        for row in &found.bind(ids).bind(least).bind(greatest).fetch_all(on).await? {
            self.outputs.know((run_id(row)?, number(row, "output_no")?), ());
        }
        Ok(())
    }

    async fn read_deliveries(&mut self, on: &mut PgConnection, ids: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
        let Some((ids, least, greatest)) = bounded(ids) else { return Ok(()) };
        let found = query(
            "SELECT message_id, run_no, delivery_no, state < 10 AS is_open FROM delivery \
             WHERE message_id = ANY($1) AND message_id BETWEEN $2 AND $3",
        );
        for row in &found.bind(ids).bind(least).bind(greatest).fetch_all(on).await? {
            let RunId { message, run_no } = run_id(row)?;
            let id = DeliveryId { message, run_no, delivery_no: number(row, "delivery_no")? };
            self.deliveries.know(id, row.try_get("is_open")?);
        }
        Ok(())
    }

    async fn read_attempts(&mut self, on: &mut PgConnection, asked: &[(DeliveryId, u32)]) -> Result<(), sqlx::Error> {
        let ids = asked.iter().map(|(id, _)| id.message.0);
        let (Some(least), Some(greatest)) = (ids.clone().min(), ids.clone().max()) else { return Ok(()) };
        let rows = query(
            "SELECT k.place FROM UNNEST($1::bigint[], $2::integer[], $3::integer[], $4::integer[]) WITH ORDINALITY \
             AS k (message_id, run_no, delivery_no, attempt_no, place), LATERAL (SELECT 1 FROM attempt a \
             WHERE a.message_id = k.message_id AND a.run_no = k.run_no AND a.delivery_no = k.delivery_no \
             AND a.attempt_no = k.attempt_no AND a.message_id BETWEEN $5 AND $6 LIMIT 1) recorded",
        )
        .bind(ids.collect::<Vec<_>>())
        .bind(asked.iter().map(|(id, _)| i32_of(id.run_no)).collect::<Vec<_>>())
        .bind(asked.iter().map(|(id, _)| i32_of(id.delivery_no)).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, attempt_no)| i32_of(*attempt_no)).collect::<Vec<_>>())
        .bind(least)
        .bind(greatest)
        .fetch_all(on)
        .await?;
        for row in &rows {
            if let Some(attempt) = at(asked, row)? {
                self.attempts.know(*attempt, ());
            }
        }
        Ok(())
    }

    async fn read_held(&mut self, on: &mut PgConnection, ids: &[RunId]) -> Result<(), sqlx::Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let rows = query(
            "SELECT k.place FROM UNNEST($1::bigint[], $2::integer[]) WITH ORDINALITY AS k (message_id, run_no, place), \
             LATERAL (SELECT 1 FROM held h WHERE h.message_id = k.message_id AND h.run_no = k.run_no LIMIT 1) held",
        )
        .bind(ids.iter().map(|id| id.message.0).collect::<Vec<_>>())
        .bind(ids.iter().map(|id| i32_of(id.run_no)).collect::<Vec<_>>())
        .fetch_all(on)
        .await?;
        for row in &rows {
            if let Some(id) = at(ids, row)? {
                self.held.know(*id, true);
            }
        }
        Ok(())
    }

    /// Looks at one or two rows, however often a sender uses the same control id.
    async fn read_seen(
        &mut self,
        on: &mut PgConnection,
        asked: &[(&'u NewMessage, Timestamp)],
    ) -> Result<(), sqlx::Error> {
        if asked.is_empty() {
            return Ok(());
        }
        let rows = query(
            "SELECT k.place, same.message_id, same.seen_at, EXISTS (SELECT FROM seen s WHERE s.source = k.source \
             AND s.control_id = k.control_id AND s.sender = k.sender AND s.identity <> k.identity \
             AND s.seen_at >= k.since) AS other \
             FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[]) WITH ORDINALITY \
             AS k (source, control_id, sender, identity, since, place) LEFT JOIN LATERAL (SELECT message_id, seen_at \
             FROM seen s WHERE s.source = k.source AND s.control_id = k.control_id AND s.sender = k.sender \
             AND s.identity = k.identity LIMIT 1) same ON true",
        )
        .bind(asked.iter().map(|(message, _)| &*message.source).collect::<Vec<&str>>())
        .bind(asked.iter().map(|(message, _)| &*message.control_id).collect::<Vec<&str>>())
        .bind(asked.iter().map(|(message, _)| &*message.sender).collect::<Vec<&str>>())
        .bind(asked.iter().map(|(message, _)| message.identity.as_slice()).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, since)| since.0).collect::<Vec<_>>())
        .fetch_all(on)
        .await?;
        for row in &rows {
            let Some((message, since)) = at(asked, row)? else { continue };
            let identity = message.identity;
            if let Some(id) = row.try_get::<Option<i64>, _>("message_id")? {
                self.seen.know((question(message), identity), (MessageId(id), row.try_get("seen_at")?));
            }
            if row.try_get("other")? {
                self.other_bodies.insert((question(message), identity, since.0));
            }
        }
        Ok(())
    }
}

/// What was asked at the place that a row names.
fn at<'a, T>(asked: &'a [T], row: &PgRow) -> Result<Option<&'a T>, sqlx::Error> {
    let place = usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(0);
    Ok(place.checked_sub(1).and_then(|place| asked.get(place)))
}
