//! Held runs in PostgreSQL, read back.

use adapters::clock::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::query;

use super::columns::{get, lane, number, text, text_or_none};
use super::error::reading;
use super::known::i32_of;
use super::read::{Reader, limit_of};
use crate::store::{
    AwaitedCode, CodeFilter, CodeKey, CodeLine, CodePage, HeldFilter, HeldRun, MessageId, NewHeld, RunId, StoreError,
};

impl Reader {
    pub(super) async fn held(&self, filter: HeldFilter) -> Result<Vec<HeldRun>, StoreError> {
        let after = filter.after.unwrap_or(RunId { message: MessageId(-1), run_no: 0 });
        let rows = query(
            "SELECT h.message_id, h.run_no, h.route, h.destination, h.lane, h.source, h.received_at, h.code_table, \
             h.code, r.configuration, m.lane AS message_lane, \
             (SELECT max(n.run_no) FROM run n WHERE n.message_id = h.message_id) AS last_run, \
             coalesce((SELECT charges FROM charge c WHERE c.message_id = h.message_id), 0) AS charges \
             FROM held h JOIN run r ON r.message_id = h.message_id AND r.run_no = h.run_no \
             JOIN message m ON m.id = h.message_id \
             WHERE (h.message_id, h.run_no) > ($1, $2) \
             AND ($3::text IS NULL OR (h.code_table = $3 AND h.code = $4)) AND ($5::text IS NULL OR h.source = $5) \
             ORDER BY h.message_id, h.run_no LIMIT $6",
        )
        .bind(after.message.0)
        .bind(i32_of(after.run_no))
        .bind(filter.code.as_ref().map(|awaited| &*awaited.table))
        .bind(filter.code.as_ref().map(|awaited| &*awaited.code))
        .bind(filter.source.as_deref())
        .bind(limit_of(filter.limit))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(held_run).collect()
    }

    pub(super) async fn held_codes(&self, filter: CodeFilter) -> Result<CodePage, StoreError> {
        let after = filter.after.as_ref();
        let rows = query(
            "SELECT code_table, code, source, count(DISTINCT message_id) AS messages, min(received_at) AS oldest, \
             max(received_at) AS newest FROM held WHERE code_table IS NOT NULL \
             AND ($1::text IS NULL OR code_table = $1) AND ($2::text IS NULL OR source = $2) \
             AND ($3::text IS NULL OR (code_table, code, source) > ($3, $4, $5)) \
             GROUP BY code_table, code, source ORDER BY code_table, code, source LIMIT $6",
        )
        .bind(filter.table.as_deref())
        .bind(filter.source.as_deref())
        .bind(after.map(|key| &*key.code.table))
        .bind(after.map(|key| &*key.code.code))
        .bind(after.map(|key| &*key.source))
        .bind(limit_of(filter.limit.saturating_add(1)))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        let mut codes = rows.iter().map(code_line).collect::<Result<Vec<_>, _>>()?;
        let more = codes.len() > filter.limit;
        codes.truncate(filter.limit);
        let behind = query("SELECT count(*) AS behind FROM held WHERE code_table IS NULL")
            .fetch_one(&self.pool)
            .await
            .map_err(reading)?;
        Ok(CodePage { codes, more, behind: count(&behind, "behind")? })
    }
}

fn held_run(row: &PgRow) -> Result<HeldRun, StoreError> {
    let id = RunId { message: MessageId(get(row, "message_id")?), run_no: number(row, "run_no")? };
    let held = NewHeld {
        id,
        route: text(row, "route")?,
        destination: text_or_none(row, "destination")?,
        lane: lane(row, "lane")?,
        source: text(row, "source")?,
        received_at: Timestamp(get(row, "received_at")?),
        code: awaited(row)?,
    };
    Ok(HeldRun {
        held,
        message_lane: lane(row, "message_lane")?,
        configuration: get(row, "configuration")?,
        last_run: number(row, "last_run")?,
        charges: number(row, "charges")?,
    })
}

fn awaited(row: &PgRow) -> Result<Option<AwaitedCode>, StoreError> {
    let Some(table) = text_or_none(row, "code_table")? else { return Ok(None) };
    Ok(Some(AwaitedCode { table, code: text(row, "code")? }))
}

fn code_line(row: &PgRow) -> Result<CodeLine, StoreError> {
    let code = awaited(row)?.ok_or_else(|| StoreError::Corrupt("a code without its table".into()))?;
    Ok(CodeLine {
        key: CodeKey { code, source: text(row, "source")? },
        messages: count(row, "messages")?,
        oldest: Timestamp(get(row, "oldest")?),
        newest: Timestamp(get(row, "newest")?),
    })
}

fn count(row: &PgRow, column: &str) -> Result<u64, StoreError> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| StoreError::Corrupt(format!("{column} is no count").into()))
}
