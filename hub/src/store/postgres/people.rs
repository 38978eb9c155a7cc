//! Questions of people: lists of messages, one message's journey, dead letters.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::query;

use super::columns::{
    cause, delivery_id, get, message, message_columns, message_head, number, output, output_columns, state, text,
    text_or_none, time_or_none, whole_message_columns,
};
use super::error::reading;
use super::known::i32_of;
use super::read::Reader;

use crate::store::{
    AttemptVerdict, Cause, DeadLetter, DeliveryStanding, DeliveryState, Journey, JourneyAttempt, JourneyDelivery,
    JourneyRun, MessageFilter, MessageId, MessageLine, Page, RunStanding, RunState, StoreError, StoredMessage,
    standing,
};

/// Rows looked at for one page at most, so that a rare match cannot read the whole journal.
const SCANNED_MAX: usize = 50_000;
/// Rows looked at by one statement at most.
const WINDOW_MAX: usize = 4096;
/// A commit comes this long after its arrival at most. Ids tell the time of the commit, so that a filter
/// by time of arrival needs to look at no others.
const COMMIT_DELAY_MAX: Duration = Duration::from_secs(60);

/// What a list shows of a message: its runs and deliveries as JSON, one text each.
macro_rules! line_columns {
    () => {
        concat!(
            message_columns!(),
            ", octet_length(m.body) AS size, \
             (SELECT coalesce(json_agg(json_build_array(r.run_no, r.route, r.state, r.code, r.reason) \
             ORDER BY r.run_no), '[]')::text FROM run r WHERE r.message_id = m.id) AS runs, \
             (SELECT coalesce(json_agg(json_build_array(d.run_no, d.destination, d.state, d.code, d.reason) \
             ORDER BY d.run_no, d.delivery_no), '[]')::text FROM delivery d WHERE d.message_id = m.id) AS deliveries"
        )
    };
}

/// What a filter says of a row.
macro_rules! filter_conditions {
    () => {
        "($4::text IS NULL OR m.source = $4) AND ($5::text IS NULL OR m.control_id = $5) \
         AND ($6::bigint IS NULL OR m.received_at >= $6) AND ($7::bigint IS NULL OR m.received_at < $7)"
    };
}

/// The ids between which messages are looked for; neither end belongs to it.
#[derive(Clone, Copy)]
struct Range {
    oldest: MessageId,
    before: MessageId,
}

impl Range {
    fn of(filter: &MessageFilter) -> Range {
        let since = filter.since.map(|since| MessageId(MessageId::first_at(since.minus(COMMIT_DELAY_MAX)).0 - 1));
        let until = filter.until.map(|until| MessageId::first_at(until.plus(COMMIT_DELAY_MAX)));
        Range {
            oldest: filter.after.max(since).unwrap_or(MessageId(-1)),
            before: filter.before.into_iter().chain(until).min().unwrap_or(MessageId(i64::MAX)),
        }
    }
}

impl Reader {
    pub(super) async fn messages(&self, filter: MessageFilter) -> Result<Page, StoreError> {
        let mut page = Page::default();
        if filter.limit == 0 {
            return Ok(page);
        }
        let Range { oldest, mut before } = Range::of(&filter);
        let mut window = filter.limit.saturating_add(1).min(WINDOW_MAX);
        let mut scanned = 0;
        loop {
            let floor = if filter.among.is_some() { None } else { self.floor(oldest, before, window).await? };
            let range = Range { oldest: floor.map_or(oldest, |floor| MessageId(floor.0 - 1)), before };
            for row in &self.lines(&filter, range, page.messages.len()).await? {
                let line = message_line(row)?;
                if filter.state.is_none_or(|state| state == line.state) {
                    page.messages.push(line);
                }
            }
            scanned += window;
            if page.messages.len() > filter.limit {
                page.messages.truncate(filter.limit);
                page.next = page.messages.last().map(|line| line.message.id);
                break;
            }
            let Some(floor) = floor else { break };
            if scanned >= SCANNED_MAX {
                page.next = Some(floor);
                break;
            }
            before = floor;
            window = window.saturating_mul(4).min(WINDOW_MAX);
        }
        Ok(page)
    }

    /// The last of the next `window` messages; none if there are not so many.
    async fn floor(
        &self,
        oldest: MessageId,
        before: MessageId,
        window: usize,
    ) -> Result<Option<MessageId>, StoreError> {
        let row = query("SELECT id FROM message WHERE id > $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3")
            .bind(oldest.0)
            .bind(before.0)
            .bind(i64::try_from(window.saturating_sub(1)).unwrap_or(i64::MAX))
            .fetch_optional(&self.pool)
            .await
            .map_err(reading)?;
        row.map(|row| Ok(MessageId(get(&row, "id")?))).transpose()
    }

    /// Rows of one window that the filter lets through, but for the state, which is not in a row.
    async fn lines(&self, filter: &MessageFilter, range: Range, found: usize) -> Result<Vec<PgRow>, StoreError> {
        let statement = match &filter.among {
            None => query(concat!(
                "SELECT ",
                line_columns!(),
                " FROM message m WHERE m.id > $1 AND m.id < $2 AND $3::bigint[] IS NULL AND ",
                filter_conditions!(),
                " ORDER BY m.id DESC LIMIT $8"
            )),
            Some(_) => query(concat!(
                "SELECT ",
                line_columns!(),
                " FROM message m WHERE m.id = ANY($3) AND m.id > $1 AND m.id < $2 AND ",
                filter_conditions!(),
                " ORDER BY m.id DESC LIMIT $8"
            )),
        };
        let among = filter.among.as_ref().map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>());
        let missing = filter.limit.saturating_add(1).saturating_sub(found);
        let limit = if filter.state.is_none() { i64::try_from(missing).ok() } else { None };
        statement
            .bind(range.oldest.0)
            .bind(range.before.0)
            .bind(among)
            .bind(filter.source.as_deref())
            .bind(filter.control_id.as_deref())
            .bind(filter.since.map(|since| since.0))
            .bind(filter.until.map(|until| until.0))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(reading)
    }

    pub(super) async fn journey(&self, id: MessageId) -> Result<Option<Journey>, StoreError> {
        let row = query(concat!(
            "SELECT ",
            whole_message_columns!(),
            ", coalesce((SELECT charges FROM charge c WHERE c.message_id = m.id), 0) AS charges \
             FROM message m WHERE m.id = $1"
        ))
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await
        .map_err(reading)?;
        let Some(row) = row else { return Ok(None) };
        let found = message(&row)?;
        let runs = self.runs(&found).await?;
        let standings: Vec<_> = runs.iter().map(standing_of).collect();
        Ok(Some(Journey {
            state: standing(found.refusal.as_ref(), &standings).0,
            message: found,
            answer: get::<Option<Vec<u8>>>(&row, "answer")?.map(Into::into),
            charges: number(&row, "charges")?,
            effects: self.effects(id).await?,
            runs,
        }))
    }

    async fn effects(&self, id: MessageId) -> Result<Vec<(MessageId, Arc<str>)>, StoreError> {
        let rows = query("SELECT id, type FROM message WHERE cause = $1 AND id > $1 ORDER BY id LIMIT 1000")
            .bind(id.0)
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        rows.iter().map(|row| Ok((MessageId(get(row, "id")?), text(row, "type")?))).collect()
    }

    async fn runs(&self, of: &StoredMessage) -> Result<Vec<JourneyRun>, StoreError> {
        let rows = query(
            "SELECT r.run_no, r.route, r.mapping, c.hash, r.started_at, r.state, r.code, r.reason FROM run r \
             JOIN configuration c ON c.id = r.configuration WHERE r.message_id = $1 ORDER BY r.run_no",
        )
        .bind(of.id.0)
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push(self.run(of, row).await?);
        }
        Ok(runs)
    }

    async fn run(&self, of: &StoredMessage, row: &PgRow) -> Result<JourneyRun, StoreError> {
        let run_no = number(row, "run_no")?;
        let rows = query(concat!(
            "SELECT ",
            output_columns!(),
            " FROM output o WHERE o.message_id = $1 AND o.run_no = $2 ORDER BY o.output_no"
        ))
        .bind(of.id.0)
        .bind(i32_of(run_no))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        let mut outputs = Vec::with_capacity(rows.len());
        for one in &rows {
            let (output_no, mut document, is_passed_through) = output(one)?;
            if is_passed_through {
                document.body = of.body.clone();
            }
            outputs.push((output_no, document));
        }
        Ok(JourneyRun {
            run_no,
            route: text_or_none(row, "route")?,
            mapping: text_or_none(row, "mapping")?,
            configuration: text(row, "hash")?,
            started_at: Timestamp(get(row, "started_at")?),
            state: state(row, RunState::from_number)?,
            cause: cause(row)?,
            outputs,
            deliveries: self.deliveries(of.id, run_no).await?,
        })
    }

    async fn deliveries(&self, id: MessageId, run_no: u32) -> Result<Vec<JourneyDelivery>, StoreError> {
        let rows = query(
            "SELECT message_id, run_no, delivery_no, output_no, destination, state, created_at, next_at, ended_at, \
             code, reason FROM delivery WHERE message_id = $1 AND run_no = $2 ORDER BY delivery_no",
        )
        .bind(id.0)
        .bind(i32_of(run_no))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        let attempts = query(
            "SELECT delivery_no, attempt_no, at, took_us, verdict, reason FROM attempt \
             WHERE message_id = $1 AND run_no = $2 ORDER BY delivery_no, attempt_no",
        )
        .bind(id.0)
        .bind(i32_of(run_no))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(|row| journey_delivery(row, &attempts)).collect()
    }

    pub(super) async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = query(
            "SELECT d.message_id, d.run_no, d.delivery_no, m.source, m.control_id, r.route, d.destination, \
             d.ended_at AS at, d.attempts, d.code, d.reason FROM delivery d JOIN message m ON m.id = d.message_id \
             JOIN run r ON r.message_id = d.message_id AND r.run_no = d.run_no WHERE d.state = 13 \
             AND NOT EXISTS (SELECT 1 FROM run n JOIN delivery x ON x.message_id = n.message_id \
             AND x.run_no = n.run_no WHERE n.message_id = r.message_id AND n.run_no > r.run_no \
             AND n.route IS NOT DISTINCT FROM r.route AND x.destination = d.destination) \
             UNION ALL SELECT r.message_id, r.run_no, NULL, m.source, m.control_id, r.route, NULL, r.started_at, \
             coalesce(c.charges, 0), r.code, r.reason FROM run r JOIN message m ON m.id = r.message_id \
             LEFT JOIN charge c ON c.message_id = r.message_id WHERE r.state = 4 \
             AND NOT EXISTS (SELECT 1 FROM run n WHERE n.message_id = r.message_id AND n.run_no > r.run_no \
             AND (r.route IS NULL OR n.route IS NOT DISTINCT FROM r.route)) ORDER BY 1 DESC, 2 DESC, 3 DESC NULLS LAST LIMIT $1",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(dead_letter).collect()
    }
}

fn standing_of(run: &JourneyRun) -> RunStanding {
    let of_delivery = |delivery: &JourneyDelivery| DeliveryStanding {
        destination: Arc::clone(&delivery.destination),
        state: delivery.state,
        cause: delivery.cause.clone(),
    };
    RunStanding {
        run_no: run.run_no,
        route: run.route.clone(),
        state: run.state,
        cause: run.cause.clone(),
        deliveries: run.deliveries.iter().map(of_delivery).collect(),
    }
}

/// A run, or a delivery, as a list has it: number of the run, route or destination, state, code, reason.
type Listed = (u32, Option<Arc<str>>, i64, Option<Arc<str>>, Option<Arc<str>>);

fn listed(row: &PgRow, column: &str) -> Result<Vec<Listed>, StoreError> {
    serde_json::from_str(get(row, column)?)
        .map_err(|_| StoreError::Corrupt(format!("{column} do not read back").into()))
}

fn listed_cause(code: Option<Arc<str>>, reason: Option<Arc<str>>) -> Option<Cause> {
    code.map(|code| Cause { code, reason: reason.unwrap_or_else(|| "".into()) })
}

fn standings(row: &PgRow) -> Result<Vec<RunStanding>, StoreError> {
    let unknown = || StoreError::Corrupt("unknown state".into());
    let mut runs = Vec::new();
    for (run_no, route, state, code, reason) in listed(row, "runs")? {
        let state = RunState::from_number(state).ok_or_else(unknown)?;
        runs.push(RunStanding { run_no, route, state, cause: listed_cause(code, reason), deliveries: Vec::new() });
    }
    for (run_no, destination, state, code, reason) in listed(row, "deliveries")? {
        let state = DeliveryState::from_number(state).ok_or_else(unknown)?;
        let destination = destination.unwrap_or_else(|| "".into());
        let run = runs.iter_mut().find(|run| run.run_no == run_no).ok_or_else(unknown)?;
        run.deliveries.push(DeliveryStanding { destination, state, cause: listed_cause(code, reason) });
    }
    Ok(runs)
}

fn message_line(row: &PgRow) -> Result<MessageLine, StoreError> {
    let message = message_head(row)?;
    let runs = standings(row)?;
    let (state, cause) = standing(message.refusal.as_ref(), &runs);
    let routes: BTreeSet<&str> = runs.iter().filter_map(|run| run.route.as_deref()).collect();
    Ok(MessageLine {
        size: usize::try_from(get::<i32>(row, "size")?).unwrap_or(0),
        state,
        routes: routes.into_iter().map(str::to_owned).collect(),
        cause,
        message,
    })
}

fn journey_delivery(row: &PgRow, attempts: &[PgRow]) -> Result<JourneyDelivery, StoreError> {
    let id = delivery_id(row)?;
    let mut own = Vec::new();
    for attempt in attempts {
        if number(attempt, "delivery_no")? == id.delivery_no {
            own.push(JourneyAttempt {
                attempt_no: number(attempt, "attempt_no")?,
                at: Timestamp(get(attempt, "at")?),
                took_us: get(attempt, "took_us")?,
                verdict: AttemptVerdict::from_number(get::<i16>(attempt, "verdict")?.into())
                    .ok_or_else(|| StoreError::Corrupt("unknown verdict".into()))?,
                reason: text(attempt, "reason")?,
            });
        }
    }
    Ok(JourneyDelivery {
        id,
        output_no: number(row, "output_no")?,
        destination: text(row, "destination")?,
        state: state(row, DeliveryState::from_number)?,
        created_at: Timestamp(get(row, "created_at")?),
        next_at: time_or_none(row, "next_at")?,
        ended_at: time_or_none(row, "ended_at")?,
        cause: cause(row)?,
        attempts: own,
    })
}

fn dead_letter(row: &PgRow) -> Result<DeadLetter, StoreError> {
    let delivery = get::<Option<i32>>(row, "delivery_no")?.map(|_| delivery_id(row)).transpose()?;
    Ok(DeadLetter {
        message: MessageId(get(row, "message_id")?),
        run_no: number(row, "run_no")?,
        delivery,
        source: text(row, "source")?,
        control_id: text(row, "control_id")?,
        route: text_or_none(row, "route")?,
        destination: text_or_none(row, "destination")?,
        at: Timestamp(get(row, "at")?),
        attempts: number(row, "attempts")?,
        cause: cause(row)?.unwrap_or_else(|| Cause::new("HUB0000", "no reason was kept")),
    })
}
