//! The one writing connection, on a thread of its own.
//!
//! In come jobs through a bounded queue; the thread drains what has queued up during the last fsync
//! into one transaction, commits once, and only then releases all answers (H1). A unit that breaks a
//! rule of the schema fails alone: the group is rolled back and written again with a savepoint a unit.
//! A failed write or fsync is never tried again: from then on every job is refused.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use adapters::clock::Clock;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpoint::Checkpoints;
use super::write::{Effect, write_row};
use crate::store::{HandOver, MessageId, Outcome, StoreError, UnitOfWork};

/// Units in one transaction at most: bounds the time that the first of them waits.
const GROUP_UNITS_MAX: usize = 512;
/// Jobs that wait for the writer at most; a full queue slows the senders down.
pub(super) const QUEUE_MAX: usize = 1024;
/// Statements kept prepared.
const STATEMENTS_KEPT: usize = 64;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Commit these units.
    Commit(Vec<UnitOfWork>, Waiting),
    /// Take the next values of a counter.
    TakeNumbers(String, u32, oneshot::Sender<Result<u32, StoreError>>),
    /// Find or write a configuration.
    Configuration { hash: String, files: String, reply: oneshot::Sender<Result<i64, StoreError>> },
}

/// Who waits for a commit.
pub(super) struct Waiting {
    /// Called first, in the order of the commits.
    pub(super) hand_over: Option<HandOver>,
    /// Answered next.
    pub(super) reply: oneshot::Sender<Vec<Outcome>>,
}

impl Waiting {
    fn tell(self, outcomes: Vec<Outcome>) {
        if let (Some(hand_over), Some(outcome)) = (self.hand_over, outcomes.first()) {
            hand_over(outcome);
        }
        let _ = self.reply.send(outcomes);
    }
}

/// The writer's own state, on its thread.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) clock: Arc<dyn Clock>,
    /// The id given last.
    pub(super) last: MessageId,
    /// Accepted and not routed.
    pub(super) unrouted: BTreeSet<MessageId>,
    /// Below this every message is routed, as the store knows it.
    pub(super) low_water: MessageId,
    /// Set once, when the journal can no longer be trusted.
    pub(super) broken: watch::Sender<Option<StoreError>>,
    /// The journal's file.
    pub(super) file: PathBuf,
    /// Moves the log into the file; there once the writer runs.
    pub(super) checkpoints: Option<Checkpoints>,
    /// Goes last: the folder is free when the last commit is done, not before.
    pub(super) _folder_lock: File,
}

/// What a group did to the writer's own state; counts only when the commit returned.
#[derive(Default)]
struct GroupEffect {
    accepted: Vec<MessageId>,
    routed: Vec<MessageId>,
}

/// How far one unit came.
enum Written {
    /// All its rows are written.
    Whole(Outcome),
    /// Its first row is a condition that did not hold.
    Nothing(Outcome),
    /// A later row is a condition that did not hold: what was written before must go.
    Partly(Outcome),
}

/// Why a group was undone.
enum Undone {
    /// SQLite refused something.
    By(rusqlite::Error),
    /// A unit ended after it had written something.
    ByACondition,
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Undone {
        Undone::By(error)
    }
}

impl Writer {
    /// Works until every sender is gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        self.connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        match Checkpoints::start(&self.file, &self.connection, self.broken.clone()) {
            Ok(checkpoints) => self.checkpoints = Some(checkpoints),
            Err(error) => tracing::warn!(error = %self.note(&error), "the writer does its own checkpoints"),
        }
        while let Some(first) = jobs.blocking_recv() {
            let mut group = Vec::new();
            let mut units = self.sort(first, &mut group);
            while units < GROUP_UNITS_MAX {
                let Ok(next) = jobs.try_recv() else { break };
                units += self.sort(next, &mut group);
            }
            if !group.is_empty() {
                self.commit_group(group);
                self.shorten_log();
            }
        }
        self.empty_log();
    }

    fn shorten_log(&mut self) {
        let Some(checkpoints) = &mut self.checkpoints else { return };
        if let Err(error) = checkpoints.after_commit(&self.connection) {
            let known = self.note(&error);
            tracing::warn!(error = %known, "the log of the journal grows on");
        }
    }

    /// After a good end the journal is one file. If a reader is still at work, the next start does it.
    fn empty_log(&mut self) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.stop();
        }
        if self.broken.borrow().is_none() {
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }

    /// Puts units into the group and does the rare jobs at once; returns how many units came.
    pub(super) fn sort(&mut self, job: Job, group: &mut Vec<(Vec<UnitOfWork>, Waiting)>) -> usize {
        match job {
            Job::Commit(units, waiting) => {
                let count = units.len();
                group.push((units, waiting));
                count
            }
            Job::TakeNumbers(counter, count, reply) => {
                let _ = reply.send(self.guarded(|writer| {
                    writer.in_transaction(|writer| take_numbers(&writer.connection, &counter, count))
                }));
                0
            }
            Job::Configuration { hash, files, reply } => {
                let now = self.clock.now().0;
                let _ = reply.send(self.guarded(|writer| {
                    writer.in_transaction(|writer| find_configuration(&writer.connection, &hash, &files, now))
                }));
                0
            }
        }
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        if let Some(error) = self.broken.borrow().clone() {
            return Err(error);
        }
        work(self).map_err(|error| self.note(&error))
    }

    fn commit_group(&mut self, group: Vec<(Vec<UnitOfWork>, Waiting)>) {
        let (work, callers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let outcomes = self.guarded(|writer| match writer.transact(&work, false) {
            Ok(outcomes) => Ok(outcomes),
            Err(Undone::By(error)) if !is_statement(&error) => Err(error),
            Err(Undone::By(_) | Undone::ByACondition) => match writer.transact(&work, true) {
                Ok(outcomes) => Ok(outcomes),
                Err(Undone::By(error)) => Err(error),
                // Not reached: with savepoints, conditions end units only.
                Err(Undone::ByACondition) => Err(rusqlite::Error::InvalidQuery),
            },
        });
        fail::fail_point!("journal.after_commit");
        match outcomes {
            Ok(outcomes) => {
                for (waiting, outcome) in callers.into_iter().zip(outcomes) {
                    waiting.tell(outcome);
                }
            }
            Err(error) => {
                for (waiting, units) in callers.into_iter().zip(&work) {
                    waiting.tell(vec![Outcome::Failed(error.clone()); units.len()]);
                }
            }
        }
    }

    /// One transaction for all units; with `savepoints`, a unit that ends early or errs is undone alone. Without,
    /// such a unit undoes the group, which is then written again: it is rare, and a savepoint copies every page
    /// that its unit touches.
    fn transact(&mut self, work: &[Vec<UnitOfWork>], savepoints: bool) -> Result<Vec<Vec<Outcome>>, Undone> {
        let last = self.last;
        let mut effect = GroupEffect::default();
        let done = self.in_transaction(|writer| writer.write_all(work, savepoints, &mut effect));
        if done.is_err() {
            self.last = last;
        } else {
            self.unrouted.extend(effect.accepted);
            for id in effect.routed {
                self.unrouted.remove(&id);
            }
        }
        done
    }

    /// All of `work`, or nothing. Not left to autocommit: a statement that returns a row commits when it is
    /// reset, and whoever reads the row does not hear that this failed.
    fn in_transaction<T, E: From<rusqlite::Error>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.say("BEGIN IMMEDIATE")?;
        let done = work(self).and_then(|done| {
            fail::fail_point!("journal.before_commit");
            self.say("COMMIT")?;
            Ok(done)
        });
        if done.is_err() && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        done
    }

    /// A statement without values, prepared once.
    fn say(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(|_| ())
    }

    fn write_all(
        &mut self,
        work: &[Vec<UnitOfWork>],
        savepoints: bool,
        effect: &mut GroupEffect,
    ) -> Result<Vec<Vec<Outcome>>, Undone> {
        let mut all = Vec::with_capacity(work.len());
        for units in work {
            let mut outcomes = Vec::with_capacity(units.len());
            for unit in units {
                outcomes.push(self.write_unit(unit, savepoints, effect)?);
            }
            all.push(outcomes);
        }
        self.write_low_water(effect)?;
        Ok(all)
    }

    fn write_unit(&mut self, unit: &UnitOfWork, savepoints: bool, effect: &mut GroupEffect) -> Result<Outcome, Undone> {
        if savepoints {
            self.say("SAVEPOINT unit")?;
        }
        let last = self.last;
        let mut unit_effect = GroupEffect::default();
        let outcome = match self.write_rows(unit, &mut unit_effect) {
            Err(error) if savepoints && is_statement(&error) => {
                Outcome::Failed(StoreError::Statement(error.to_string().into()))
            }
            Err(error) => return Err(Undone::By(error)),
            Ok(Written::Whole(outcome) | Written::Nothing(outcome)) => outcome,
            Ok(Written::Partly(outcome)) if savepoints => outcome,
            Ok(Written::Partly(_)) => return Err(Undone::ByACondition),
        };
        let committed = matches!(outcome, Outcome::Committed(_));
        if committed {
            effect.accepted.append(&mut unit_effect.accepted);
            effect.routed.append(&mut unit_effect.routed);
        } else {
            self.last = last;
        }
        if savepoints {
            if !committed {
                self.say("ROLLBACK TO unit")?;
            }
            self.say("RELEASE unit")?;
        }
        Ok(outcome)
    }

    fn write_rows(&mut self, unit: &UnitOfWork, effect: &mut GroupEffect) -> rusqlite::Result<Written> {
        let mut ids = Vec::new();
        for (place, row) in unit.rows.iter().enumerate() {
            let next = MessageId::after(self.last, self.clock.now());
            match write_row(&self.connection, row, next, &ids)? {
                Effect::Written => {}
                Effect::Accepted(id) => {
                    self.last = id;
                    ids.push(id);
                    effect.accepted.push(id);
                }
                Effect::Refused(id) => {
                    self.last = id;
                    ids.push(id);
                }
                Effect::Routed(id) => effect.routed.push(id),
                Effect::Ends(outcome) if place == 0 => return Ok(Written::Nothing(outcome)),
                Effect::Ends(outcome) => return Ok(Written::Partly(outcome)),
            }
        }
        Ok(Written::Whole(Outcome::Committed(ids)))
    }

    /// Keeps the place below which recovery need not look. It may lag; it never runs ahead.
    fn write_low_water(&mut self, effect: &GroupEffect) -> rusqlite::Result<()> {
        let oldest = self.unrouted.first().or(effect.accepted.first()).copied();
        let low_water = oldest.unwrap_or(MessageId(self.last.0.saturating_add(1)));
        if low_water > self.low_water {
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO fact (name, value) VALUES ('low_water', ?1)")?
                .execute(params![low_water.0.to_string()])?;
            self.low_water = low_water;
        }
        Ok(())
    }

    /// Turns an error into what the hub knows; remembers the one that ends all trust.
    fn note(&self, error: &rusqlite::Error) -> StoreError {
        let known = classify(error);
        if matches!(known, StoreError::Broken(_)) {
            self.broken.send_replace(Some(known.clone()));
        }
        known
    }
}

/// A rule of the schema was broken, or the statement is wrong: this unit's own fault.
fn is_statement(error: &rusqlite::Error) -> bool {
    matches!(classify(error), StoreError::Statement(_))
}

/// What an error of SQLite means for the hub (`https://sqlite.org/rescode.html`).
pub(super) fn classify(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::NoSpace,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied,
        ) => StoreError::Broken(error.to_string().into()),
        _ => StoreError::Statement(error.to_string().into()),
    }
}

fn take_numbers(connection: &Connection, counter: &str, count: u32) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "INSERT INTO counter (name, value) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET value = value + ?2 RETURNING value",
        )?
        .query_row(params![counter, count], |row| row.get::<_, u32>(0))
        .map(|end| end.saturating_sub(count))
}

fn find_configuration(connection: &Connection, hash: &str, files: &str, now: i64) -> rusqlite::Result<i64> {
    let known = connection
        .query_row("SELECT id FROM configuration WHERE hash = ?1", params![hash], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    connection.query_row(
        "INSERT INTO configuration (hash, stored_at, files) VALUES (?1, ?2, ?3) RETURNING id",
        params![hash, now, files],
        |row| row.get(0),
    )
}
