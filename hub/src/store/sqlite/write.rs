//! One row into SQLite. Every statement is a constant with bound values.

use adapters::clock::Timestamp;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::held::{hold, let_go};
use super::read::whole_message_columns;
use crate::store::checksum::{AggregateColumns, MessageColumns, OutputColumns};
use crate::store::{
    AggregateChange, AssignedNumber, DeliveryChange, Flags, InboxKey, MessageId, MessageRef, NewAttempt, NewDelivery,
    NewMessage, NewOutput, NewRun, Outcome, Row, StoreError,
};

/// What writing one row did.
pub(super) enum Effect {
    /// It is written.
    Written,
    /// A message was accepted.
    Accepted(MessageId),
    /// A message was kept although refused.
    Refused(MessageId),
    /// A message was routed.
    Routed(MessageId),
    /// A condition did not hold: the unit ends with this.
    Ends(Outcome),
}

/// Writes one row. `next` is the id for a message; `ids` are those of the unit's messages so far.
pub(super) fn write_row(
    connection: &Connection,
    row: &Row,
    next: MessageId,
    ids: &[MessageId],
) -> rusqlite::Result<Effect> {
    match row {
        Row::Inbox(key) => inbox(connection, key),
        Row::Aggregate(change) => aggregate(connection, change),
        Row::AssignNumber(number) => assign_number(connection, number),
        Row::ChangeDelivery(change) => change_delivery(connection, change),
        Row::LetGo(id) => let_go(connection, *id),
        Row::Message(message) => insert_message(connection, message, next),
        Row::Run(run) => insert_run(connection, run, ids),
        Row::Hold(held) => hold(connection, held),
        Row::Output(output) => insert_output(connection, output),
        Row::Delivery(delivery) => insert_delivery(connection, delivery),
        Row::Attempt(attempt) => insert_attempt(connection, attempt),
        Row::Charge(charge) => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO charge (message_id, charges, in_hand) VALUES (?1, ?2, ?3)")?
                .execute(params![charge.message.0, charge.charges, charge.in_hand])?;
            Ok(Effect::Written)
        }
        Row::Fact(name, value) => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO fact (name, value) VALUES (?1, ?2)")?
                .execute(params![name, value])?;
            Ok(Effect::Written)
        }
    }
}

fn inbox(connection: &Connection, key: &InboxKey) -> rusqlite::Result<Effect> {
    let taken = connection
        .prepare_cached("INSERT OR IGNORE INTO inbox (consumer, key, applied_at) VALUES (?1, ?2, ?3)")?
        .execute(params![key.consumer, key.key, key.at.0])?;
    Ok(if taken == 1 { Effect::Written } else { Effect::Ends(Outcome::AlreadyApplied) })
}

fn aggregate(connection: &Connection, change: &AggregateChange) -> rusqlite::Result<Effect> {
    let AggregateChange { key, expected, state, body, at, by } = change;
    let checksum = AggregateColumns::of(change, i64_of(*expected).saturating_add(1)).checksum();
    let changed = if *expected == 0 {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO aggregate \
                 (kind, authority, number, version, state, changed_at, changed_by, body, checksum) \
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![key.kind, key.authority, key.number, state, at.0, by.0, body, checksum])?
    } else {
        connection
            .prepare_cached(
                "UPDATE aggregate SET version = version + 1, state = ?5, changed_at = ?6, changed_by = ?7, body = ?8, \
                 checksum = ?9 WHERE kind = ?1 AND authority = ?2 AND number = ?3 AND version = ?4",
            )?
            .execute(params![
                key.kind,
                key.authority,
                key.number,
                i64_of(*expected),
                state,
                at.0,
                by.0,
                body,
                checksum
            ])?
    };
    Ok(if changed == 1 { Effect::Written } else { Effect::Ends(Outcome::Conflict) })
}

fn assign_number(connection: &Connection, number: &AssignedNumber) -> rusqlite::Result<Effect> {
    let written = connection
        .prepare_cached("INSERT OR IGNORE INTO assigned_number (authority, number, assigned) VALUES (?1, ?2, ?3)")?
        .execute(params![number.authority, number.number, number.assigned])?;
    if written == 1 || is_assigned(connection, number)? {
        return Ok(Effect::Written);
    }
    Ok(Effect::Ends(Outcome::Conflict))
}

/// Whether these two are partners already.
fn is_assigned(connection: &Connection, number: &AssignedNumber) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM assigned_number WHERE authority = ?1 AND number = ?2 AND assigned = ?3")?
        .exists(params![number.authority, number.number, number.assigned])
}

fn change_delivery(connection: &Connection, change: &DeliveryChange) -> rusqlite::Result<Effect> {
    let DeliveryChange { id, state, attempts, next_at, at, cause } = change;
    let ended_at = state.is_end().then_some(at.0);
    let changed = connection
        .prepare_cached(
            "UPDATE delivery SET state = ?4, attempts = ?5, next_at = ?6, ended_at = ?7, code = ?8, reason = ?9 \
             WHERE message_id = ?1 AND run_no = ?2 AND delivery_no = ?3 AND state < 10",
        )?
        .execute(params![
            id.message.0,
            id.run_no,
            id.delivery_no,
            state.number(),
            attempts,
            next_at.map(|next| next.0),
            ended_at,
            cause.as_ref().map(|cause| &*cause.code),
            cause.as_ref().map(|cause| &*cause.reason),
        ])?;
    Ok(if changed == 1 { Effect::Written } else { Effect::Ends(Outcome::Conflict) })
}

fn insert_message(connection: &Connection, message: &NewMessage, id: MessageId) -> rusqlite::Result<Effect> {
    let mut flags = message.flags;
    if let Some(since) = message.repeat_since {
        match look_for_repeat(connection, message, since)? {
            Seen::Never => {}
            Seen::WithOtherBody => flags = flags.with(Flags::CONTROL_ID_REUSED),
            Seen::Before(of) => return Ok(Effect::Ends(first_answer(connection, of)?)),
        }
        remember(connection, message, id)?;
    }
    let columns = MessageColumns::of(message, id, flags.0);
    connection
        .prepare_cached(
            "INSERT INTO message (id, received_at, source, principal, peer, sender, control_id, type, format, lane, \
             identity, flags, cause, code, reason, body, answer, terms, checksum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            columns.id,
            columns.received_at,
            columns.source,
            columns.principal,
            columns.peer,
            columns.sender,
            columns.control_id,
            columns.kind,
            columns.format,
            columns.lane,
            columns.identity,
            columns.flags,
            columns.cause,
            columns.code,
            columns.reason,
            columns.body,
            columns.answer,
            columns.terms,
            columns.checksum(),
        ])?;
    Ok(if message.refusal.is_some() { Effect::Refused(id) } else { Effect::Accepted(id) })
}

/// What was answered when the message was first. A message that is no longer kept gives none.
fn first_answer(connection: &Connection, of: MessageId) -> rusqlite::Result<Outcome> {
    let mut statement =
        connection.prepare_cached(concat!("SELECT ", whole_message_columns!(), " FROM message m WHERE m.id = ?1"))?;
    let mut rows = statement.query([of.0])?;
    let Some(row) = rows.next()? else { return Ok(Outcome::Repeat { of, answer: None }) };
    let columns = columns_of(row)?;
    if columns.checksum() != row.get::<_, i64>("checksum")? {
        return Ok(Outcome::Failed(StoreError::CorruptMessage(of)));
    }
    Ok(Outcome::Repeat { of, answer: columns.answer.map(Bytes::copy_from_slice) })
}

fn columns_of<'r>(row: &'r rusqlite::Row<'_>) -> rusqlite::Result<MessageColumns<'r>> {
    let text = |column: &str| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
    Ok(MessageColumns {
        id: row.get("id")?,
        received_at: row.get("received_at")?,
        source: text("source")?,
        principal: text("principal")?,
        peer: text("peer")?,
        sender: text("sender")?,
        control_id: text("control_id")?,
        kind: text("type")?,
        format: row.get("format")?,
        lane: row.get_ref("lane")?.as_blob_or_null()?,
        identity: row.get_ref("identity")?.as_blob()?,
        flags: row.get("flags")?,
        cause: row.get("cause")?,
        code: row.get_ref("code")?.as_str_or_null()?,
        reason: row.get_ref("reason")?.as_str_or_null()?,
        body: row.get_ref("body")?.as_blob()?,
        answer: row.get_ref("answer")?.as_blob_or_null()?,
        terms: row.get_ref("terms")?.as_blob()?,
    })
}

/// Whether a control id came before from the same sender.
enum Seen {
    Never,
    WithOtherBody,
    Before(MessageId),
}

/// Looks at one or two rows, however often a sender uses the same control id.
fn look_for_repeat(connection: &Connection, message: &NewMessage, since: Timestamp) -> rusqlite::Result<Seen> {
    let NewMessage { source, control_id, sender, identity, .. } = message;
    let any = connection
        .prepare_cached(
            "SELECT identity = ?5, message_id FROM seen \
             WHERE source = ?1 AND control_id = ?2 AND sender = ?3 AND seen_at >= ?4 LIMIT 1",
        )?
        .query_row(params![source, control_id, sender, since.0, identity.as_slice()], |row| {
            Ok(if row.get(0)? { Seen::Before(MessageId(row.get(1)?)) } else { Seen::WithOtherBody })
        })
        .optional()?;
    match any {
        None => Ok(Seen::Never),
        Some(Seen::WithOtherBody) => look_for_body(connection, message, since),
        Some(found) => Ok(found),
    }
}

fn look_for_body(connection: &Connection, message: &NewMessage, since: Timestamp) -> rusqlite::Result<Seen> {
    let NewMessage { source, control_id, sender, identity, .. } = message;
    let same = connection
        .prepare_cached(
            "SELECT message_id FROM seen \
             WHERE source = ?1 AND control_id = ?2 AND sender = ?3 AND identity = ?5 AND seen_at >= ?4",
        )?
        .query_row(params![source, control_id, sender, since.0, identity.as_slice()], |row| row.get(0))
        .optional()?;
    Ok(same.map_or(Seen::WithOtherBody, |id| Seen::Before(MessageId(id))))
}

fn remember(connection: &Connection, message: &NewMessage, id: MessageId) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO seen (source, control_id, sender, identity, message_id, seen_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            message.source,
            message.control_id,
            message.sender,
            message.identity.as_slice(),
            id.0,
            message.received_at.0
        ])
        .map(|_| ())
}

fn insert_run(connection: &Connection, run: &NewRun, ids: &[MessageId]) -> rusqlite::Result<Effect> {
    let id = match run.message {
        MessageRef::Stored(id) => id,
        MessageRef::New(place) => *ids.get(place).ok_or(rusqlite::Error::InvalidQuery)?,
    };
    connection
        .prepare_cached(
            "INSERT INTO run (message_id, run_no, route, mapping, configuration, started_at, state, code, reason) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id.0,
            run.run_no,
            run.route,
            run.mapping,
            run.configuration,
            run.started_at.0,
            run.state.number(),
            run.cause.as_ref().map(|cause| &*cause.code),
            run.cause.as_ref().map(|cause| &*cause.reason),
        ])?;
    Ok(Effect::Routed(id))
}

fn insert_output(connection: &Connection, output: &NewOutput) -> rusqlite::Result<Effect> {
    let columns = OutputColumns::of(output);
    connection
        .prepare_cached(
            "INSERT INTO output (message_id, run_no, output_no, format, command, type, body, checksum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            columns.message,
            columns.run_no,
            columns.output_no,
            columns.format,
            columns.command,
            columns.kind,
            columns.body,
            columns.checksum(),
        ])?;
    Ok(Effect::Written)
}

fn insert_delivery(connection: &Connection, delivery: &NewDelivery) -> rusqlite::Result<Effect> {
    connection
        .prepare_cached(
            "INSERT INTO delivery (message_id, run_no, delivery_no, output_no, destination, lane, state, attempts, \
             created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7)",
        )?
        .execute(params![
            delivery.id.message.0,
            delivery.id.run_no,
            delivery.id.delivery_no,
            delivery.output_no,
            delivery.destination,
            delivery.lane.as_ref().map(<[u8; 16]>::as_slice),
            delivery.created_at.0,
        ])?;
    Ok(Effect::Written)
}

fn insert_attempt(connection: &Connection, attempt: &NewAttempt) -> rusqlite::Result<Effect> {
    let recorded = connection
        .prepare_cached(
            "INSERT INTO attempt (message_id, run_no, delivery_no, attempt_no, at, took_us, verdict, reason) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (message_id, run_no, delivery_no, attempt_no) DO NOTHING",
        )?
        .execute(params![
            attempt.id.message.0,
            attempt.id.run_no,
            attempt.id.delivery_no,
            attempt.attempt_no,
            attempt.at.0,
            attempt.took_us,
            attempt.verdict.number(),
            attempt.reason,
        ])?;
    Ok(if recorded == 1 { Effect::Written } else { Effect::Ends(Outcome::AlreadyApplied) })
}

/// A version as SQLite holds it.
fn i64_of(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
