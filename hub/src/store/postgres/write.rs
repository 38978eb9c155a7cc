//! The rows of a group into PostgreSQL: one statement a table, whatever the number of rows.
//!
//! In comes a [`Draft`] whose conditions were judged in this transaction; its rows go as arrays (`UNNEST`), in
//! statements of a bounded size. A statement that changes fewer rows than it should tells that somebody else
//! writes here without asking for a turn: nothing of the group is kept then.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, query};

use super::decide::{Draft, Numbered};
use super::known::i32_of;
use crate::store::checksum::{AggregateColumns, MessageColumns, OutputColumns};
use crate::store::{AggregateChange, Cause, Lane, NewOutput};

/// Bodies in one statement at most, in bytes; one that is larger goes alone. The protocol ends at 1 GiB.
const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// A statement with a column of each row's values a parameter.
macro_rules! columns {
    ($sql:expr; $rows:expr, $row:ident => $($value:expr),+ $(,)?) => {
        query($sql)$(.bind($rows.iter().map(|$row| $value).collect::<Vec<_>>()))+
    };
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// Writes all rows.
pub(super) async fn write(on: &mut PgConnection, draft: &Draft<'_>) -> Result<(), sqlx::Error> {
    for messages in pieces(&draft.messages, |numbered| numbered.message.body.len()) {
        exactly(messages.len(), insert_messages(messages), on).await?;
    }
    remember(on, &draft.messages).await?;
    if !draft.runs.is_empty() {
        exactly(draft.runs.len(), insert_runs(draft), on).await?;
    }
    for outputs in pieces(&draft.outputs, |output| output.body.as_ref().map_or(0, bytes::Bytes::len)) {
        exactly(outputs.len(), insert_outputs(outputs), on).await?;
    }
    if !draft.deliveries.is_empty() {
        exactly(draft.deliveries.len(), insert_deliveries(draft), on).await?;
    }
    change_deliveries(on, draft).await?;
    if !draft.attempts.is_empty() {
        exactly(draft.attempts.len(), insert_attempts(draft), on).await?;
    }
    write_domain(on, draft).await?;
    write_rest(on, draft).await
}

/// The inbox, and the state of the domain.
async fn write_domain(on: &mut PgConnection, draft: &Draft<'_>) -> Result<(), sqlx::Error> {
    let Draft { inbox, numbers, .. } = draft;
    if !inbox.is_empty() {
        let insert = columns!(
            "INSERT INTO inbox (consumer, key, applied_at) SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[])";
            inbox, key => key.consumer, key.key.as_str(), key.at.0
        );
        exactly(inbox.len(), insert, on).await?;
    }
    if !numbers.is_empty() {
        let insert = columns!(
            "INSERT INTO assigned_number (authority, number, assigned) \
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[])";
            numbers, number => number.authority.as_str(), number.number.as_str(), number.assigned.as_str()
        );
        exactly(numbers.len(), insert, on).await?;
    }
    // An aggregate that changed several times has its last state; it was there if its first change says so.
    let mut first = HashMap::new();
    for change in &draft.aggregates {
        first.entry(&change.key).or_insert(change.expected);
    }
    let last = last_of(&draft.aggregates, |change| &change.key);
    let is_new = |change: &&&AggregateChange| first.get(&change.key) == Some(&0);
    let (new, changed): (Vec<&&AggregateChange>, Vec<&&AggregateChange>) = last.into_iter().partition(is_new);
    for changes in pieces(&new, |change| change.body.len()) {
        exactly(changes.len(), insert_aggregates(changes), on).await?;
    }
    let base = |change: &AggregateChange| first.get(&change.key).copied().map_or(0, i64_of);
    for changes in pieces(&changed, |change| change.body.len()) {
        exactly(changes.len(), update_aggregates(changes, base), on).await?;
    }
    Ok(())
}

/// What is held and let go, blame, facts.
async fn write_rest(on: &mut PgConnection, draft: &Draft<'_>) -> Result<(), sqlx::Error> {
    if !draft.held.is_empty() {
        exactly(draft.held.len(), insert_held(draft), on).await?;
    }
    let let_go = &draft.let_go;
    if !let_go.is_empty() {
        let delete = columns!(
            "DELETE FROM held h USING UNNEST($1::bigint[], $2::integer[]) AS k (message_id, run_no) \
             WHERE h.message_id = k.message_id AND h.run_no = k.run_no";
            let_go, id => id.message.0, i32_of(id.run_no)
        );
        exactly(let_go.len(), delete, on).await?;
    }
    let charges = last_of(&draft.charges, |charge| charge.message);
    if !charges.is_empty() {
        let upsert = columns!(
            "INSERT INTO charge (message_id, charges, in_hand) \
             SELECT * FROM UNNEST($1::bigint[], $2::integer[], $3::boolean[]) \
             ON CONFLICT (message_id) DO UPDATE SET charges = excluded.charges, in_hand = excluded.in_hand";
            charges, charge => charge.message.0, i32_of(charge.charges), charge.in_hand
        );
        exactly(charges.len(), upsert, on).await?;
    }
    let facts = last_of(&draft.facts, |(name, _)| *name);
    if !facts.is_empty() {
        let upsert = columns!(
            "INSERT INTO fact (name, value) SELECT * FROM UNNEST($1::text[], $2::text[]) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            facts, fact => fact.0, fact.1
        );
        exactly(facts.len(), upsert, on).await?;
    }
    Ok(())
}

async fn exactly(count: usize, statement: Statement<'_>, on: &mut PgConnection) -> Result<(), sqlx::Error> {
    let done = statement.execute(on).await?.rows_affected();
    if u64::try_from(count) == Ok(done) { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Parts of `rows` whose bodies fit one statement.
fn pieces<T>(rows: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let (mut rest, mut bytes, mut taken) = (rows, 0, 0);
    for row in rows {
        bytes += size(row);
        if taken > 0 && bytes > STATEMENT_BYTES_MAX {
            let (part, left) = rest.split_at(taken);
            parts.push(part);
            (rest, bytes, taken) = (left, size(row), 0);
        }
        taken += 1;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// The last row of each key.
fn last_of<T, K: Eq + Hash>(rows: &[T], key: impl Fn(&T) -> K) -> Vec<&T> {
    let mut met = HashSet::new();
    let mut last: Vec<_> = rows.iter().rev().filter(|row| met.insert(key(row))).collect();
    last.reverse();
    last
}

fn bytes_of(lane: &Option<Lane>) -> Option<&[u8]> {
    lane.as_ref().map(<[u8; 16]>::as_slice)
}

fn code(cause: &Option<Cause>) -> Option<&str> {
    cause.as_ref().map(|cause| &*cause.code)
}

fn reason(cause: &Option<Cause>) -> Option<&str> {
    cause.as_ref().map(|cause| &*cause.reason)
}

/// A version as the store holds it.
fn i64_of(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// A state or a format as the store holds it.
fn i16_of(number: i64) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

fn insert_messages<'q>(messages: &'q [Numbered<'_>]) -> Statement<'q> {
    let rows: Vec<_> = messages.iter().map(|row| MessageColumns::of(row.message, row.id, row.flags.0)).collect();
    columns!(
        "INSERT INTO message (id, received_at, source, principal, peer, sender, control_id, type, format, lane, \
         identity, flags, cause, code, reason, body, answer, terms, checksum) SELECT * FROM UNNEST($1::bigint[], \
         $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::smallint[], \
         $10::bytea[], $11::bytea[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bytea[], \
         $17::bytea[], $18::bytea[], $19::bigint[])";
        rows, row => row.id, row.received_at, row.source, row.principal, row.peer, row.sender, row.control_id,
        row.kind, i16_of(row.format), row.lane, row.identity, row.flags, row.cause, row.code, row.reason, row.body,
        row.answer, row.terms, row.checksum(),
    )
}

/// Repeats of these are found from now on.
async fn remember(on: &mut PgConnection, messages: &[Numbered<'_>]) -> Result<(), sqlx::Error> {
    let asked: Vec<_> = messages.iter().filter(|row| row.message.repeat_since.is_some()).collect();
    let rows = last_of(&asked, |row| {
        let message = row.message;
        (&message.source, &message.control_id, &message.sender, message.identity)
    });
    if rows.is_empty() {
        return Ok(());
    }
    let upsert = columns!(
        "INSERT INTO seen (source, control_id, sender, identity, message_id, seen_at) SELECT * FROM \
         UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[]) \
         ON CONFLICT (source, control_id, sender, identity) \
         DO UPDATE SET message_id = excluded.message_id, seen_at = excluded.seen_at";
        rows, row => &*row.message.source, &*row.message.control_id, &*row.message.sender,
        row.message.identity.as_slice(), row.id.0, row.message.received_at.0
    );
    exactly(rows.len(), upsert, on).await
}

fn insert_runs<'q>(draft: &'q Draft<'_>) -> Statement<'q> {
    columns!(
        "INSERT INTO run (message_id, run_no, route, mapping, configuration, started_at, state, code, reason) \
         SELECT * FROM UNNEST($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], \
         $7::smallint[], $8::text[], $9::text[])";
        draft.runs, row => row.0.0, i32_of(row.1.run_no), row.1.route.as_deref(), row.1.mapping.as_deref(),
        row.1.configuration, row.1.started_at.0, i16_of(row.1.state.number()), code(&row.1.cause),
        reason(&row.1.cause)
    )
}

fn insert_outputs<'q>(outputs: &'q [&NewOutput]) -> Statement<'q> {
    let rows: Vec<_> = outputs.iter().map(|output| OutputColumns::of(output)).collect();
    columns!(
        "INSERT INTO output (message_id, run_no, output_no, format, command, type, body, checksum) \
         SELECT * FROM UNNEST($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], $5::text[], $6::text[], \
         $7::bytea[], $8::bigint[])";
        rows, row => row.message, i32_of(row.run_no), i32_of(row.output_no), i16_of(row.format), row.command, row.kind,
        row.body, row.checksum()
    )
}

fn insert_deliveries<'q>(draft: &'q Draft<'_>) -> Statement<'q> {
    columns!(
        "INSERT INTO delivery (message_id, run_no, delivery_no, output_no, destination, lane, created_at, state, \
         attempts) SELECT *, 0, 0 FROM UNNEST($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::text[], \
         $6::bytea[], $7::bigint[])";
        draft.deliveries, row => row.id.message.0, i32_of(row.id.run_no), i32_of(row.id.delivery_no),
        i32_of(row.output_no), &*row.destination, bytes_of(&row.lane), row.created_at.0
    )
}

async fn change_deliveries(on: &mut PgConnection, draft: &Draft<'_>) -> Result<(), sqlx::Error> {
    let changes = last_of(&draft.changes, |change| change.id);
    let ids = || changes.iter().map(|change| change.id.message.0);
    let (Some(least), Some(greatest)) = (ids().min(), ids().max()) else { return Ok(()) };
    let update = columns!(
        "UPDATE delivery d SET state = k.state, attempts = k.attempts, next_at = k.next_at, ended_at = k.ended_at, \
         code = k.code, reason = k.reason FROM UNNEST($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], \
         $5::integer[], $6::bigint[], $7::bigint[], $8::text[], $9::text[]) AS k (message_id, run_no, delivery_no, \
         state, attempts, next_at, ended_at, code, reason) WHERE d.message_id = k.message_id AND d.run_no = k.run_no \
         AND d.delivery_no = k.delivery_no AND d.state < 10 AND d.message_id BETWEEN $10 AND $11";
        changes, row => row.id.message.0, i32_of(row.id.run_no), i32_of(row.id.delivery_no),
        i16_of(row.state.number()), i32_of(row.attempts), row.next_at.map(|at| at.0),
        row.state.is_end().then_some(row.at.0), code(&row.cause), reason(&row.cause)
    );
    exactly(changes.len(), update.bind(least).bind(greatest), on).await
}

fn insert_attempts<'q>(draft: &'q Draft<'_>) -> Statement<'q> {
    columns!(
        "INSERT INTO attempt (message_id, run_no, delivery_no, attempt_no, at, took_us, verdict, reason) \
         SELECT * FROM UNNEST($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], \
         $7::smallint[], $8::text[])";
        draft.attempts, row => row.id.message.0, i32_of(row.id.run_no), i32_of(row.id.delivery_no),
        i32_of(row.attempt_no), row.at.0, row.took_us, i16_of(row.verdict.number()), &*row.reason
    )
}

fn insert_aggregates<'q>(changes: &'q [&&AggregateChange]) -> Statement<'q> {
    let version = |change: &AggregateChange| i64_of(change.expected).saturating_add(1);
    columns!(
        "INSERT INTO aggregate (kind, authority, number, version, state, changed_at, changed_by, body, checksum) \
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], \
         $7::bigint[], $8::text[], $9::bigint[])";
        changes, row => row.key.kind, row.key.authority.as_str(), row.key.number.as_str(), version(row), row.state,
        row.at.0, row.by.0, row.body.as_str(), AggregateColumns::of(row, version(row)).checksum()
    )
}

fn update_aggregates<'q>(changes: &'q [&&AggregateChange], base: impl Fn(&AggregateChange) -> i64) -> Statement<'q> {
    let version = |change: &AggregateChange| i64_of(change.expected).saturating_add(1);
    columns!(
        "UPDATE aggregate a SET version = k.version, state = k.state, changed_at = k.changed_at, \
         changed_by = k.changed_by, body = k.body, checksum = k.checksum FROM UNNEST($1::text[], $2::text[], \
         $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::bigint[]) \
         AS k (kind, authority, number, base, version, state, changed_at, changed_by, body, checksum) \
         WHERE a.kind = k.kind AND a.authority = k.authority AND a.number = k.number AND a.version = k.base";
        changes, row => row.key.kind, row.key.authority.as_str(), row.key.number.as_str(), base(row), version(row),
        row.state, row.at.0, row.by.0, row.body.as_str(), AggregateColumns::of(row, version(row)).checksum()
    )
}

fn insert_held<'q>(draft: &'q Draft<'_>) -> Statement<'q> {
    columns!(
        "INSERT INTO held (message_id, run_no, route, destination, lane, source, received_at, code_table, code) \
         SELECT * FROM UNNEST($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::bytea[], $6::text[], \
         $7::bigint[], $8::text[], $9::text[])";
        draft.held, row => row.id.message.0, i32_of(row.id.run_no), &*row.route, row.destination.as_deref(),
        bytes_of(&row.lane), &*row.source, row.received_at.0, row.code.as_ref().map(|awaited| &*awaited.table),
        row.code.as_ref().map(|awaited| &*awaited.code)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_in_order_and_bounded() {
        let sizes = [1, STATEMENT_BYTES_MAX, 2 * STATEMENT_BYTES_MAX, 3, 4, STATEMENT_BYTES_MAX - 7, 1];
        let parts = pieces(&sizes, |size| *size);
        assert_eq!(parts.concat(), sizes);
        assert!(parts.iter().all(|part| part.len() == 1 || part.iter().sum::<usize>() <= STATEMENT_BYTES_MAX));
        assert_eq!(parts.len(), 5);
        assert!(pieces(&[0_usize; 0], |size| *size).is_empty());
    }

    #[test]
    fn the_last_of_each_key_stays_in_order() {
        assert_eq!(last_of(&[("a", 1), ("b", 2), ("a", 3)], |(key, _)| *key), [&("b", 2), &("a", 3)]);
    }
}
