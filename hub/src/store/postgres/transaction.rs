//! One transaction: this hub's turn, what is known, what is decided, the rows, COMMIT.
//!
//! In come units and a session; out goes an outcome for each, when COMMIT has returned. Promised: an error says
//! whether nothing was written, or whether that is not known.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Clock;
use bytes::Bytes;
use sqlx::{Executor, PgConnection, query, query_scalar};

use super::columns::{columns_of, whole_message_columns};
use super::decide::{Decided, decide, messages_of};
use super::error::{Reach, classify};
use super::known::Known;
use super::partitions::{self, Day, day_of};
use super::write::write;
use crate::store::{MessageId, Outcome, StoreError, UnitOfWork};

/// How long the server may take for one answer; longer than any statement may run there.
const ANSWER_DEADLINE: Duration = Duration::from_secs(6);

/// One life of a hub as the database knows it.
pub(super) struct Life {
    pub(super) clock: Arc<dyn Clock>,
    /// Its row in `writer`: its fencing token.
    pub(super) id: i64,
    /// The commits that it made.
    pub(super) commits: i64,
    /// The days that have partitions.
    pub(super) days: BTreeSet<Day>,
}

/// Why a group was not committed.
pub(super) enum Undone {
    /// The server refused a row: one of the units is to blame.
    Refused(StoreError),
    /// Nothing was written; the same may succeed later.
    Passing(StoreError),
    /// The session broke at COMMIT.
    Unknown,
    /// This life may write no more.
    Over(StoreError),
}

/// What an error before COMMIT means for the group, and whether the session is lost with it.
fn before_commit(error: &sqlx::Error) -> (Undone, Reach) {
    let (known, reach) = classify(error);
    let undone = if known.is_passing() { Undone::Passing(known) } else { Undone::Refused(known) };
    (undone, reach)
}

/// Asks the server, and does not wait for ever.
pub(super) async fn answered<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_DEADLINE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

impl Life {
    /// One transaction for all units, up to its COMMIT. What they come to is left in `drafted` before COMMIT is sent.
    pub(super) async fn transact(
        &mut self,
        on: &mut PgConnection,
        units: &[&UnitOfWork],
        drafted: &mut Option<Vec<Outcome>>,
    ) -> Result<Vec<Outcome>, (Undone, Reach)> {
        let before = |error: sqlx::Error| before_commit(&error);
        let wanted = i64::try_from(messages_of(units)).unwrap_or(i64::MAX);
        answered(on.execute("BEGIN")).await.map_err(before)?;
        let now = MessageId::first_at(self.clock.now());
        let Some(last) = answered(self.take_turn(on, wanted, now)).await.map_err(before)? else {
            let error = StoreError::Broken("another hub has taken the place of this one".into());
            return Err((Undone::Over(error), Reach::Statement));
        };
        let first = MessageId(last.saturating_sub(wanted).saturating_add(1));
        let made = match wanted {
            0 => BTreeSet::new(),
            _ => answered(self.make_days(on, first, MessageId(last))).await.map_err(before)?,
        };
        let known = answered(Known::read(on, units)).await.map_err(before)?;
        let (decided, draft) = decide(units, known, first);
        let outcomes = answered(with_answers(on, decided)).await.map_err(before)?;
        if draft.is_empty() {
            answered(on.execute("ROLLBACK")).await.map_err(before)?;
            return Ok(outcomes);
        }
        answered(write(on, &draft)).await.map_err(before)?;
        fail::fail_point!("journal.before_commit");
        *drafted = Some(outcomes.clone());
        match answered(on.execute("COMMIT")).await {
            Ok(_) => {
                self.commits += 1;
                self.days.extend(made);
                Ok(outcomes)
            }
            Err(error) => match before_commit(&error) {
                (_, Reach::Connection) => Err((Undone::Unknown, Reach::Connection)),
                // The server itself says that it did not commit.
                refused => Err(refused),
            },
        }
    }

    /// Waits for this hub's turn, and takes `wanted` ids: the last of them. None: this life is over.
    async fn take_turn(&self, on: &mut PgConnection, wanted: i64, now: MessageId) -> Result<Option<i64>, sqlx::Error> {
        query_scalar(
            "WITH turn AS (UPDATE writer SET commits = commits + 1 WHERE id = $1 AND commits = $2 RETURNING id) \
             UPDATE head SET last_id = CASE WHEN $3 = 0 THEN last_id ELSE greatest(last_id + 1, $4) + $3 - 1 END \
             FROM turn WHERE head.one RETURNING last_id",
        )
        .bind(self.id)
        .bind(self.commits)
        .bind(wanted)
        .bind(now.0)
        .fetch_optional(on)
        .await
    }

    /// The days of these ids have partitions; they are made here only if the upkeep has not made them in time.
    async fn make_days(
        &self,
        on: &mut PgConnection,
        first: MessageId,
        last: MessageId,
    ) -> Result<BTreeSet<Day>, sqlx::Error> {
        let missing: BTreeSet<Day> = (day_of(first)..=day_of(last)).filter(|day| !self.days.contains(day)).collect();
        for day in &missing {
            partitions::make(on, *day, 1).await?;
        }
        Ok(missing)
    }
}

/// The outcomes, with the answers of the messages that were repeated. One that is no longer kept gives none.
async fn with_answers(on: &mut PgConnection, decided: Vec<Decided>) -> Result<Vec<Outcome>, sqlx::Error> {
    let repeated: BTreeSet<i64> = decided.iter().filter_map(repeat_of).map(|id| id.0).collect();
    let mut answers = Vec::new();
    if let (Some(least), Some(greatest)) = (repeated.first().copied(), repeated.last().copied()) {
        let ids: Vec<i64> = repeated.into_iter().collect();
        let found = query(concat!(
            "SELECT ",
            whole_message_columns!(),
            " FROM message m WHERE m.id = ANY($1) AND m.id BETWEEN $2 AND $3"
        ));
        for row in &found.bind(ids).bind(least).bind(greatest).fetch_all(on).await? {
            let id = MessageId(sqlx::Row::try_get(row, "id")?);
            let sum = sqlx::Row::try_get::<i64, _>(row, "checksum").ok();
            let whole = columns_of(row).ok().filter(|columns| Some(columns.checksum()) == sum);
            let answer = whole.map(|columns| columns.answer.map(Bytes::copy_from_slice));
            answers.push((id, answer.ok_or(StoreError::CorruptMessage(id))));
        }
    }
    let answer =
        |of: MessageId| answers.iter().find(|(id, _)| *id == of).map_or(Ok(None), |(_, answer)| answer.clone());
    Ok(decided.into_iter().map(|one| one.with_answer(answer)).collect())
}

fn repeat_of(decided: &Decided) -> Option<MessageId> {
    match decided {
        Decided::RepeatOf(of) => Some(*of),
        Decided::Outcome(_) => None,
    }
}
