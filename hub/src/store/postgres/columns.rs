//! Columns of rows as the hub knows them, and rows that must be what was written: their checksums are judged.

use std::sync::Arc;

use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::error::reading;
use crate::store::checksum::{AggregateColumns, MessageColumns, OutputColumns};
use crate::store::{
    Cause, DeliveryId, DeliveryNow, DeliveryState, Flags, Lane, MessageId, OpenDelivery, StoreError, StoredAggregate,
    StoredMessage, StoredOutput, format_from,
};

/// One column of a row.
pub(super) fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(reading)
}

pub(super) fn text(row: &PgRow, column: &str) -> Result<Arc<str>, StoreError> {
    get::<&str>(row, column).map(Arc::from)
}

pub(super) fn text_or_none(row: &PgRow, column: &str) -> Result<Option<Arc<str>>, StoreError> {
    Ok(get::<Option<&str>>(row, column)?.map(Arc::from))
}

pub(super) fn number(row: &PgRow, column: &str) -> Result<u32, StoreError> {
    u32::try_from(get::<i32>(row, column)?).map_err(|_| StoreError::Corrupt(format!("{column} is no count").into()))
}

pub(super) fn time_or_none(row: &PgRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp))
}

pub(super) fn cause(row: &PgRow) -> Result<Option<Cause>, StoreError> {
    let code = text_or_none(row, "code")?;
    let reason = text_or_none(row, "reason")?;
    Ok(code.map(|code| Cause { code, reason: reason.unwrap_or_else(|| "".into()) }))
}

pub(super) fn lane(row: &PgRow, column: &str) -> Result<Option<Lane>, StoreError> {
    get::<Option<&[u8]>>(row, column)?
        .map(|bytes| Lane::try_from(bytes).map_err(|_| StoreError::Corrupt("a lane is not 16 bytes".into())))
        .transpose()
}

fn format(row: &PgRow) -> Result<Format, StoreError> {
    format_from(get::<i16>(row, "format")?.into()).ok_or_else(|| StoreError::Corrupt("unknown format".into()))
}

/// Reads a state that is stored as a number.
pub(super) fn state<T>(row: &PgRow, from: impl Fn(i64) -> Option<T>) -> Result<T, StoreError> {
    from(get::<i16>(row, "state")?.into()).ok_or_else(|| StoreError::Corrupt("unknown state".into()))
}

/// A message without its body.
pub(super) fn message_head(row: &PgRow) -> Result<StoredMessage, StoreError> {
    Ok(StoredMessage {
        id: MessageId(get(row, "id")?),
        received_at: Timestamp(get(row, "received_at")?),
        source: text(row, "source")?,
        principal: text(row, "principal")?,
        peer: text(row, "peer")?,
        sender: text(row, "sender")?,
        control_id: text(row, "control_id")?,
        kind: text(row, "type")?,
        format: format(row)?,
        lane: lane(row, "lane")?,
        flags: Flags(get(row, "flags")?),
        cause: get::<Option<i64>>(row, "cause")?.map(MessageId),
        refusal: cause(row)?,
        body: Bytes::new(),
    })
}

/// A message with its body, as it was written. What is not what was written names its message.
pub(super) fn message(row: &PgRow) -> Result<StoredMessage, StoreError> {
    let id = MessageId(get(row, "id")?);
    let corrupt = |_| StoreError::CorruptMessage(id);
    let columns = columns_of(row).map_err(corrupt)?;
    if columns.checksum() != get::<i64>(row, "checksum").map_err(corrupt)? {
        return Err(StoreError::CorruptMessage(id));
    }
    Ok(StoredMessage { body: Bytes::copy_from_slice(columns.body), ..message_head(row).map_err(corrupt)? })
}

pub(super) fn columns_of(row: &PgRow) -> Result<MessageColumns<'_>, StoreError> {
    Ok(MessageColumns {
        id: get(row, "id")?,
        received_at: get(row, "received_at")?,
        source: get(row, "source")?,
        principal: get(row, "principal")?,
        peer: get(row, "peer")?,
        sender: get(row, "sender")?,
        control_id: get(row, "control_id")?,
        kind: get(row, "type")?,
        format: get::<i16>(row, "format")?.into(),
        lane: get(row, "lane")?,
        identity: get(row, "identity")?,
        flags: get(row, "flags")?,
        cause: get(row, "cause")?,
        code: get(row, "code")?,
        reason: get(row, "reason")?,
        body: get(row, "body")?,
        answer: get(row, "answer")?,
        terms: get(row, "terms")?,
    })
}

/// A document, as it was written; none stands for the message's own body.
pub(super) fn output(row: &PgRow) -> Result<(u32, StoredOutput, bool), StoreError> {
    let message = MessageId(get(row, "message_id")?);
    let corrupt = |_| StoreError::CorruptMessage(message);
    let columns = output_columns_of(row).map_err(corrupt)?;
    if columns.checksum() != get::<i64>(row, "checksum").map_err(corrupt)? {
        return Err(StoreError::CorruptMessage(message));
    }
    let output = StoredOutput {
        format: format(row).map_err(corrupt)?,
        command: columns.command.map(Arc::from),
        kind: columns.kind.into(),
        body: columns.body.map(Bytes::copy_from_slice).unwrap_or_default(),
    };
    Ok((columns.output_no, output, columns.body.is_none()))
}

fn output_columns_of(row: &PgRow) -> Result<OutputColumns<'_>, StoreError> {
    Ok(OutputColumns {
        message: get(row, "message_id")?,
        run_no: number(row, "run_no")?,
        output_no: number(row, "output_no")?,
        format: get::<i16>(row, "format")?.into(),
        command: get(row, "command")?,
        kind: get(row, "type")?,
        body: get(row, "body")?,
    })
}

/// Columns of a message without its body.
macro_rules! message_columns {
    () => {
        "m.id, m.received_at, m.source, m.principal, m.peer, m.sender, m.control_id, m.type, m.format, m.lane, \
         m.flags, m.cause, m.code, m.reason"
    };
}
pub(super) use message_columns;

/// All columns of a message, so that its checksum can be judged.
macro_rules! whole_message_columns {
    () => {
        "m.id, m.received_at, m.source, m.principal, m.peer, m.sender, m.control_id, m.type, m.format, m.lane, \
         m.flags, m.cause, m.code, m.reason, m.identity, m.body, m.answer, m.terms, m.checksum"
    };
}
pub(super) use whole_message_columns;

/// All columns of an output.
macro_rules! output_columns {
    () => {
        "o.message_id, o.run_no, o.output_no, o.format, o.command, o.type, o.body, o.checksum"
    };
}
pub(super) use output_columns;

pub(super) fn stored_aggregate(row: &PgRow) -> Result<Option<StoredAggregate>, StoreError> {
    let Some(version) = get::<Option<i64>>(row, "version")? else { return Ok(None) };
    let changed_by = MessageId(get(row, "changed_by")?);
    let corrupt = |_| StoreError::CorruptMessage(changed_by);
    let columns = aggregate_columns_of(row, version).map_err(corrupt)?;
    if columns.checksum() != get::<i64>(row, "checksum").map_err(corrupt)? {
        return Err(StoreError::CorruptMessage(changed_by));
    }
    let version = u64::try_from(version).map_err(|_| StoreError::CorruptMessage(changed_by))?;
    Ok(Some(StoredAggregate { version, body: columns.body.to_owned() }))
}

fn aggregate_columns_of(row: &PgRow, version: i64) -> Result<AggregateColumns<'_>, StoreError> {
    Ok(AggregateColumns {
        kind: get(row, "kind")?,
        authority: get(row, "authority")?,
        number: get(row, "number")?,
        version,
        state: get(row, "state")?,
        body: get(row, "body")?,
    })
}

pub(super) fn open_delivery(row: &PgRow) -> Result<OpenDelivery, StoreError> {
    Ok(OpenDelivery {
        id: delivery_id(row)?,
        destination: text(row, "destination")?,
        lane: lane(row, "lane")?,
        state: state(row, DeliveryState::from_number)?,
        attempts: number(row, "attempts")?,
        created_at: Timestamp(get(row, "created_at")?),
        next_at: time_or_none(row, "next_at")?,
        route: text(row, "route")?,
        source: text(row, "source")?,
        charges: number(row, "charges")?,
    })
}

pub(super) fn delivery_now(row: &PgRow) -> Result<Option<DeliveryNow>, StoreError> {
    if get::<Option<i16>>(row, "state")?.is_none() {
        return Ok(None);
    }
    Ok(Some(DeliveryNow {
        state: state(row, DeliveryState::from_number)?,
        attempts: number(row, "attempts")?,
        charges: number(row, "charges")?,
    }))
}

pub(super) fn delivery_id(row: &PgRow) -> Result<DeliveryId, StoreError> {
    Ok(DeliveryId {
        message: MessageId(get(row, "message_id")?),
        run_no: number(row, "run_no")?,
        delivery_no: number(row, "delivery_no")?,
    })
}
