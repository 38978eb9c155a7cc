//! What is read back from SQLite, through a pool of read-only connections.

use std::sync::Arc;

use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;
use rusqlite::ffi;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row as _, query};

use crate::store::checksum::{AggregateColumns, MessageColumns, OutputColumns};
use crate::store::{
    AggregateKey, Cause, Charge, DeliveryId, DeliveryNow, DeliveryState, Flags, Lane, MessageId, OpenDelivery,
    StoreError, StoredAggregate, StoredMessage, StoredOutput, Term, format_from,
};

/// Reads from the journal.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) pool: SqlitePool,
}

/// An error of sqlx, as the hub knows it.
pub(super) fn reading(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolClosed => StoreError::Closed,
        sqlx::Error::PoolTimedOut => StoreError::Busy,
        sqlx::Error::Io(error) => StoreError::Broken(error.to_string().into()),
        sqlx::Error::Database(error) => by_code(error.code().as_deref(), error.message()),
        other @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
            StoreError::Corrupt(other.to_string().into())
        }
        other => StoreError::Statement(other.to_string().into()),
    }
}

/// By the result code of SQLite; the low byte is the primary one (`https://sqlite.org/rescode.html`).
fn by_code(code: Option<&str>, said: &str) -> StoreError {
    match code.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff) {
        Some(ffi::SQLITE_FULL) => StoreError::NoSpace,
        Some(ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => StoreError::Busy,
        Some(ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => StoreError::Corrupt(said.into()),
        Some(ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN) => StoreError::Broken(said.into()),
        _ => StoreError::Statement(said.into()),
    }
}

/// One column of a row.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(reading)
}

pub(super) fn text(row: &SqliteRow, column: &str) -> Result<Arc<str>, StoreError> {
    get::<&str>(row, column).map(Arc::from)
}

pub(super) fn text_or_none(row: &SqliteRow, column: &str) -> Result<Option<Arc<str>>, StoreError> {
    Ok(get::<Option<&str>>(row, column)?.map(Arc::from))
}

pub(super) fn number(row: &SqliteRow, column: &str) -> Result<u32, StoreError> {
    u32::try_from(get::<i64>(row, column)?).map_err(|_| StoreError::Corrupt(format!("{column} is no count").into()))
}

pub(super) fn time_or_none(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp))
}

pub(super) fn cause(row: &SqliteRow) -> Result<Option<Cause>, StoreError> {
    let code = text_or_none(row, "code")?;
    let reason = text_or_none(row, "reason")?;
    Ok(code.map(|code| Cause { code, reason: reason.unwrap_or_else(|| "".into()) }))
}

pub(super) fn lane(row: &SqliteRow, column: &str) -> Result<Option<Lane>, StoreError> {
    get::<Option<&[u8]>>(row, column)?
        .map(|bytes| Lane::try_from(bytes).map_err(|_| StoreError::Corrupt("a lane is not 16 bytes".into())))
        .transpose()
}

fn format(row: &SqliteRow) -> Result<Format, StoreError> {
    format_from(get(row, "format")?).ok_or_else(|| StoreError::Corrupt("unknown format".into()))
}

/// Reads a state that is stored as a number.
pub(super) fn state<T>(row: &SqliteRow, from: impl Fn(i64) -> Option<T>) -> Result<T, StoreError> {
    from(get(row, "state")?).ok_or_else(|| StoreError::Corrupt("unknown state".into()))
}

/// A message without its body.
pub(super) fn message_head(row: &SqliteRow) -> Result<StoredMessage, StoreError> {
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
pub(super) fn message(row: &SqliteRow) -> Result<StoredMessage, StoreError> {
    let id = MessageId(get(row, "id")?);
    let corrupt = |_| StoreError::CorruptMessage(id);
    let columns = columns_of(row).map_err(corrupt)?;
    if columns.checksum() != get::<i64>(row, "checksum").map_err(corrupt)? {
        return Err(StoreError::CorruptMessage(id));
    }
    Ok(StoredMessage { body: Bytes::copy_from_slice(columns.body), ..message_head(row).map_err(corrupt)? })
}

fn columns_of(row: &SqliteRow) -> Result<MessageColumns<'_>, StoreError> {
    Ok(MessageColumns {
        id: get(row, "id")?,
        received_at: get(row, "received_at")?,
        source: get(row, "source")?,
        principal: get(row, "principal")?,
        peer: get(row, "peer")?,
        sender: get(row, "sender")?,
        control_id: get(row, "control_id")?,
        kind: get(row, "type")?,
        format: get(row, "format")?,
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
pub(super) fn output(row: &SqliteRow) -> Result<(u32, StoredOutput, bool), StoreError> {
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

fn output_columns_of(row: &SqliteRow) -> Result<OutputColumns<'_>, StoreError> {
    Ok(OutputColumns {
        message: get(row, "message_id")?,
        run_no: number(row, "run_no")?,
        output_no: number(row, "output_no")?,
        format: get(row, "format")?,
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

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader {
    pub(super) async fn unrouted(&self, limit: usize) -> Result<Vec<(StoredMessage, u32)>, StoreError> {
        let low_water = self.fact("low_water").await?.and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
        let rows = query(concat!(
            "SELECT ",
            whole_message_columns!(),
            ", coalesce((SELECT charges FROM charge c WHERE c.message_id = m.id), 0) AS charges \
             FROM message m WHERE m.id >= ?1 AND m.code IS NULL \
             AND NOT EXISTS (SELECT 1 FROM run r WHERE r.message_id = m.id) ORDER BY m.id LIMIT ?2"
        ))
        .bind(low_water)
        .bind(limit_of(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(|row| Ok((message(row)?, number(row, "charges")?))).collect()
    }

    pub(super) async fn open_deliveries(&self, to: &str, limit: usize) -> Result<Vec<OpenDelivery>, StoreError> {
        let rows = query(
            "SELECT d.message_id, d.run_no, d.delivery_no, d.destination, d.lane, d.state, d.attempts, d.created_at, \
             d.next_at, coalesce(r.route, '') AS route, m.source, \
             coalesce((SELECT charges FROM charge c WHERE c.message_id = d.message_id), 0) AS charges FROM delivery d \
             JOIN run r ON r.message_id = d.message_id AND r.run_no = d.run_no JOIN message m ON m.id = d.message_id \
             WHERE d.destination = ?1 AND d.state < 10 ORDER BY d.message_id, d.run_no, d.delivery_no LIMIT ?2",
        )
        .bind(to)
        .bind(limit_of(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(open_delivery).collect()
    }

    pub(super) async fn deliveries_now(&self, ids: &[DeliveryId]) -> Result<Vec<Option<DeliveryNow>>, StoreError> {
        let asked: Vec<_> = ids.iter().map(|id| (id.message.0, id.run_no, id.delivery_no)).collect();
        let rows = query(
            "SELECT d.state, d.attempts, \
             coalesce((SELECT charges FROM charge c WHERE c.message_id = d.message_id), 0) AS charges \
             FROM json_each(?1) k LEFT JOIN delivery d ON d.message_id = k.value ->> 0 AND d.run_no = k.value ->> 1 \
             AND d.delivery_no = k.value ->> 2 ORDER BY k.key",
        )
        .bind(serde_json::json!(asked).to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(delivery_now).collect()
    }

    pub(super) async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let row = query(concat!("SELECT ", whole_message_columns!(), " FROM message m WHERE m.id = ?1"))
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(reading)?;
        row.as_ref().map(message).transpose()
    }

    pub(super) async fn output(&self, id: DeliveryId) -> Result<Option<StoredOutput>, StoreError> {
        let row = query(concat!(
            "SELECT ",
            output_columns!(),
            " FROM delivery d JOIN output o ON o.message_id = d.message_id AND o.run_no = d.run_no \
             AND o.output_no = d.output_no WHERE d.message_id = ?1 AND d.run_no = ?2 AND d.delivery_no = ?3"
        ))
        .bind(id.message.0)
        .bind(id.run_no)
        .bind(id.delivery_no)
        .fetch_optional(&self.pool)
        .await
        .map_err(reading)?;
        let Some(row) = row else { return Ok(None) };
        let (_, mut found, is_passed_through) = output(&row)?;
        if is_passed_through {
            let message = self.message(id.message).await?;
            found.body = message.ok_or(StoreError::CorruptMessage(id.message))?.body;
        }
        Ok(Some(found))
    }

    pub(super) async fn aggregates(&self, keys: &[AggregateKey]) -> Result<Vec<Option<StoredAggregate>>, StoreError> {
        let asked: Vec<_> = keys.iter().map(|key| [key.kind, &key.authority, &key.number]).collect();
        let rows = query(
            "SELECT a.kind, a.authority, a.number, a.version, a.state, a.body, a.changed_by, \
             a.checksum FROM json_each(?1) k LEFT JOIN aggregate a ON a.kind = k.value ->> 0 \
             AND a.authority = k.value ->> 1 AND a.number = k.value ->> 2 ORDER BY k.key",
        )
        .bind(serde_json::json!(asked).to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(stored_aggregate).collect()
    }

    pub(super) async fn assigned_numbers(
        &self,
        groups: &[(String, String)],
    ) -> Result<Vec<Option<String>>, StoreError> {
        let rows = query(
            "SELECT n.assigned FROM json_each(?1) k LEFT JOIN assigned_number n ON n.authority = k.value ->> 0 \
             AND n.number = k.value ->> 1 ORDER BY k.key",
        )
        .bind(serde_json::json!(groups).to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(|row| get(row, "assigned")).collect()
    }

    pub(super) async fn terms_after(
        &self,
        after: MessageId,
        limit: usize,
    ) -> Result<Vec<(MessageId, Vec<Term>)>, StoreError> {
        let rows = query("SELECT id, terms FROM message WHERE id > ?1 ORDER BY id LIMIT ?2")
            .bind(after.0)
            .bind(limit_of(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        let terms_of = |row| {
            let (terms, _) = get::<&[u8]>(row, "terms")?.as_chunks();
            Ok((MessageId(get(row, "id")?), terms.to_vec()))
        };
        rows.iter().map(terms_of).collect()
    }

    pub(super) async fn in_hand(&self) -> Result<Vec<Charge>, StoreError> {
        let rows = query("SELECT message_id, charges FROM charge WHERE in_hand = 1 ORDER BY message_id")
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        let charge = |row| {
            Ok(Charge { message: MessageId(get(row, "message_id")?), charges: number(row, "charges")?, in_hand: true })
        };
        rows.iter().map(charge).collect()
    }

    pub(super) async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = query("SELECT value FROM fact WHERE name = ?1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(reading)?;
        row.as_ref().map(|row| get(row, "value")).transpose()
    }
}

fn stored_aggregate(row: &SqliteRow) -> Result<Option<StoredAggregate>, StoreError> {
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

fn aggregate_columns_of(row: &SqliteRow, version: i64) -> Result<AggregateColumns<'_>, StoreError> {
    Ok(AggregateColumns {
        kind: get(row, "kind")?,
        authority: get(row, "authority")?,
        number: get(row, "number")?,
        version,
        state: get(row, "state")?,
        body: get(row, "body")?,
    })
}

fn open_delivery(row: &SqliteRow) -> Result<OpenDelivery, StoreError> {
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

fn delivery_now(row: &SqliteRow) -> Result<Option<DeliveryNow>, StoreError> {
    if get::<Option<i64>>(row, "state")?.is_none() {
        return Ok(None);
    }
    Ok(Some(DeliveryNow {
        state: state(row, DeliveryState::from_number)?,
        attempts: number(row, "attempts")?,
        charges: number(row, "charges")?,
    }))
}

pub(super) fn delivery_id(row: &SqliteRow) -> Result<DeliveryId, StoreError> {
    Ok(DeliveryId {
        message: MessageId(get(row, "message_id")?),
        run_no: number(row, "run_no")?,
        delivery_no: number(row, "delivery_no")?,
    })
}
