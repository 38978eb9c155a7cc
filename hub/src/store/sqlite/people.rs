//! Questions of people: lists of messages, one message's journey, dead letters.

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Timestamp;
use sqlx::query;
use sqlx::sqlite::SqliteRow;

use super::read::{
    Reader, cause, delivery_id, get, message, message_columns, number, output, reading, state, text, text_or_none,
    time_or_none,
};
use crate::store::{
    AttemptVerdict, Cause, DeadLetter, DeliveryState, Journey, JourneyAttempt, JourneyDelivery, JourneyRun,
    MessageFilter, MessageId, MessageLine, MessageState, Page, RunState, StoreError,
};

/// Rows looked at for one page at most, so that a rare match cannot read the whole journal.
const SCANNED_MAX: usize = 50_000;
/// Rows looked at by one statement at most.
const WINDOW_MAX: usize = 4096;
/// A commit comes this long after its arrival at most. Ids tell the time of the commit, so that a filter
/// by time of arrival needs to look at no others.
const COMMIT_DELAY_MAX: Duration = Duration::from_secs(60);

/// What a list shows of the runs and deliveries of a message, in one text each.
macro_rules! line_columns {
    () => {
        concat!(
            message_columns!(),
            ", length(m.body) AS size, \
             (SELECT group_concat(r.state) FROM run r WHERE r.message_id = m.id AND NOT EXISTS \
             (SELECT 1 FROM run n WHERE n.message_id = m.id AND n.run_no > r.run_no AND (n.route IS r.route \
             OR r.route IS NULL))) AS runs, \
             (SELECT group_concat(DISTINCT r.route) FROM run r WHERE r.message_id = m.id) AS routes, \
             (SELECT group_concat(d.state) FROM delivery d JOIN run r ON r.message_id = d.message_id \
             AND r.run_no = d.run_no WHERE d.message_id = m.id AND NOT EXISTS (SELECT 1 FROM run n \
             JOIN delivery x ON x.message_id = n.message_id AND x.run_no = n.run_no WHERE n.message_id = m.id \
             AND n.run_no > r.run_no AND n.route IS r.route AND x.destination = d.destination)) AS deliveries, \
             coalesce((SELECT r.code || ' ' || r.reason FROM run r WHERE r.message_id = m.id AND r.code IS NOT NULL), \
             (SELECT d.code || ' ' || d.reason FROM delivery d WHERE d.message_id = m.id AND d.code IS NOT NULL)) \
             AS trouble"
        )
    };
}

/// What a filter says of a row.
macro_rules! filter_conditions {
    () => {
        "(?4 IS NULL OR m.source = ?4) AND (?5 IS NULL OR m.control_id = ?5) \
         AND (?6 IS NULL OR m.received_at >= ?6) AND (?7 IS NULL OR m.received_at < ?7)"
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
        let row = query("SELECT id FROM message WHERE id > ?1 AND id < ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3")
            .bind(oldest.0)
            .bind(before.0)
            .bind(i64::try_from(window.saturating_sub(1)).unwrap_or(i64::MAX))
            .fetch_optional(&self.pool)
            .await
            .map_err(reading)?;
        row.map(|row| Ok(MessageId(get(&row, "id")?))).transpose()
    }

    /// Rows of one window that the filter lets through, but for the state, which is not in a row.
    async fn lines(&self, filter: &MessageFilter, range: Range, found: usize) -> Result<Vec<SqliteRow>, StoreError> {
        let statement = match &filter.among {
            None => query(concat!(
                "SELECT ",
                line_columns!(),
                " FROM message m WHERE m.id > ?1 AND m.id < ?2 AND ?3 IS NULL AND ",
                filter_conditions!(),
                " ORDER BY m.id DESC LIMIT ?8"
            )),
            Some(_) => query(concat!(
                "SELECT ",
                line_columns!(),
                " FROM message m WHERE m.id IN (SELECT value FROM json_each(?3)) AND m.id > ?1 AND m.id < ?2 AND ",
                filter_conditions!(),
                " ORDER BY m.id DESC LIMIT ?8"
            )),
        };
        let among = filter.among.as_ref().map(|ids| serde_json::json!(ids.iter().map(|id| id.0).collect::<Vec<_>>()));
        let missing = filter.limit.saturating_add(1).saturating_sub(found);
        let limit = if filter.state.is_none() { i64::try_from(missing).unwrap_or(i64::MAX) } else { -1 };
        statement
            .bind(range.oldest.0)
            .bind(range.before.0)
            .bind(among.map(|among| among.to_string()))
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
            message_columns!(),
            ", m.body, m.answer, coalesce((SELECT charges FROM charge c WHERE c.message_id = m.id), 0) AS charges \
             FROM message m WHERE m.id = ?1"
        ))
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await
        .map_err(reading)?;
        let Some(row) = row else { return Ok(None) };
        let found = message(&row, true)?;
        let runs = self.runs(id).await?;
        let run_states: Vec<_> = runs.iter().filter(|run| !is_superseded(run, &runs)).map(|run| run.state).collect();
        let deliveries = standing_deliveries(&runs);
        Ok(Some(Journey {
            state: MessageState::of(found.refusal.is_some(), &run_states, &deliveries),
            message: found,
            answer: get::<Option<Vec<u8>>>(&row, "answer")?.map(Into::into),
            charges: number(&row, "charges")?,
            effects: self.effects(id).await?,
            runs,
        }))
    }

    async fn effects(&self, id: MessageId) -> Result<Vec<(MessageId, Arc<str>)>, StoreError> {
        let rows = query("SELECT id, type FROM message WHERE cause = ?1 ORDER BY id LIMIT 1000")
            .bind(id.0)
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        rows.iter().map(|row| Ok((MessageId(get(row, "id")?), text(row, "type")?))).collect()
    }

    async fn runs(&self, id: MessageId) -> Result<Vec<JourneyRun>, StoreError> {
        let rows = query(
            "SELECT r.run_no, r.route, r.mapping, c.hash, r.started_at, r.state, r.code, r.reason FROM run r \
             JOIN configuration c ON c.id = r.configuration WHERE r.message_id = ?1 ORDER BY r.run_no",
        )
        .bind(id.0)
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push(self.run(id, row).await?);
        }
        Ok(runs)
    }

    async fn run(&self, id: MessageId, row: &SqliteRow) -> Result<JourneyRun, StoreError> {
        let run_no = number(row, "run_no")?;
        let outputs = query(
            "SELECT o.output_no, o.format, o.command, o.type, coalesce(o.body, m.body) AS body FROM output o \
             JOIN message m ON m.id = o.message_id WHERE o.message_id = ?1 AND o.run_no = ?2 ORDER BY o.output_no",
        )
        .bind(id.0)
        .bind(run_no)
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        Ok(JourneyRun {
            run_no,
            route: text_or_none(row, "route")?,
            mapping: text_or_none(row, "mapping")?,
            configuration: text(row, "hash")?,
            started_at: Timestamp(get(row, "started_at")?),
            state: state(row, RunState::from_number)?,
            cause: cause(row)?,
            outputs: outputs
                .iter()
                .map(|one| Ok((number(one, "output_no")?, output(one)?)))
                .collect::<Result<_, _>>()?,
            deliveries: self.deliveries(id, run_no).await?,
        })
    }

    async fn deliveries(&self, id: MessageId, run_no: u32) -> Result<Vec<JourneyDelivery>, StoreError> {
        let rows = query(
            "SELECT message_id, run_no, delivery_no, output_no, destination, state, created_at, next_at, ended_at, \
             code, reason FROM delivery WHERE message_id = ?1 AND run_no = ?2 ORDER BY delivery_no",
        )
        .bind(id.0)
        .bind(run_no)
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        let attempts = query(
            "SELECT delivery_no, attempt_no, at, took_us, verdict, reason FROM attempt \
             WHERE message_id = ?1 AND run_no = ?2 ORDER BY delivery_no, attempt_no",
        )
        .bind(id.0)
        .bind(run_no)
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
             AND n.route IS r.route AND x.destination = d.destination) \
             UNION ALL SELECT r.message_id, r.run_no, NULL, m.source, m.control_id, r.route, NULL, r.started_at, \
             coalesce(c.charges, 0), r.code, r.reason FROM run r JOIN message m ON m.id = r.message_id \
             LEFT JOIN charge c ON c.message_id = r.message_id WHERE r.state = 4 \
             AND NOT EXISTS (SELECT 1 FROM run n WHERE n.message_id = r.message_id AND n.run_no > r.run_no) \
             ORDER BY 1 DESC LIMIT ?1",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(reading)?;
        rows.iter().map(dead_letter).collect()
    }
}

/// A replay takes the place of the run before it.
fn is_superseded(run: &JourneyRun, all: &[JourneyRun]) -> bool {
    all.iter().any(|other| other.run_no > run.run_no && (run.route.is_none() || other.route == run.route))
}

/// The states of deliveries that no replay has taken the place of.
fn standing_deliveries(runs: &[JourneyRun]) -> Vec<DeliveryState> {
    let again = |run: &JourneyRun, delivery: &JourneyDelivery| {
        let later = runs.iter().filter(|other| other.run_no > run.run_no && other.route == run.route);
        later.flat_map(|other| &other.deliveries).any(|other| other.destination == delivery.destination)
    };
    let all = runs.iter().flat_map(|run| run.deliveries.iter().map(move |delivery| (run, delivery)));
    all.filter(|(run, delivery)| !again(run, delivery)).map(|(_, delivery)| delivery.state).collect()
}

fn states<T>(row: &SqliteRow, column: &str, from: fn(i64) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let listed = get::<Option<String>>(row, column)?.unwrap_or_default();
    Ok(listed.split(',').filter_map(|number| number.parse().ok()).filter_map(from).collect())
}

fn message_line(row: &SqliteRow) -> Result<MessageLine, StoreError> {
    let message = message(row, false)?;
    let runs = states(row, "runs", RunState::from_number)?;
    let deliveries = states(row, "deliveries", DeliveryState::from_number)?;
    let trouble = get::<Option<String>>(row, "trouble")?;
    let cause = trouble.as_deref().and_then(|text| text.split_once(' ')).map(|(code, why)| Cause::new(code, why));
    Ok(MessageLine {
        size: usize::try_from(get::<i64>(row, "size")?).unwrap_or(0),
        state: MessageState::of(message.refusal.is_some(), &runs, &deliveries),
        routes: get::<Option<String>>(row, "routes")?
            .map(|routes| routes.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        cause: message.refusal.clone().or(cause),
        message,
    })
}

fn journey_delivery(row: &SqliteRow, attempts: &[SqliteRow]) -> Result<JourneyDelivery, StoreError> {
    let id = delivery_id(row)?;
    let mut own = Vec::new();
    for attempt in attempts {
        if number(attempt, "delivery_no")? == id.delivery_no {
            own.push(JourneyAttempt {
                attempt_no: number(attempt, "attempt_no")?,
                at: Timestamp(get(attempt, "at")?),
                took_us: get(attempt, "took_us")?,
                verdict: AttemptVerdict::from_number(get(attempt, "verdict")?)
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

fn dead_letter(row: &SqliteRow) -> Result<DeadLetter, StoreError> {
    let delivery = get::<Option<i64>>(row, "delivery_no")?.map(|_| delivery_id(row)).transpose()?;
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
