//! The hub's journal as it lies on the disk, read with plain SQL. All that tests know of its tables is in this file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row};

use crate::{Fallible, wait};

/// The journal's file in the data folder.
const FILE: &str = "journal.db";
/// From this number on a delivery has ended.
const FIRST_END: i64 = 10;
/// The deliveries that ended well.
const DELIVERED: i64 = 10;
/// The deliveries whose domain actor refused the command.
const REFUSED: i64 = 12;
/// The deliveries that were given up.
const DEAD_LETTERED: i64 = 13;

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its place in the journal.
    pub id: i64,
    /// MSH-10.
    pub control_id: String,
    /// Whether it was taken; otherwise it was refused and kept.
    pub accepted: bool,
    /// The key that keeps it in order.
    pub lane: Option<Vec<u8>>,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// How one delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is still on its way.
    Open,
    /// It arrived, or was applied.
    Delivered,
    /// The domain actor refused the command.
    Refused,
    /// It was given up.
    DeadLettered,
    /// It ended in another way.
    Other(i64),
}

/// One output to one destination.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its message.
    pub message: i64,
    /// Where to.
    pub destination: String,
    /// The key that keeps it in order.
    pub lane: Option<Vec<u8>>,
    /// How it stands.
    pub end: End,
    /// When it ended, in microseconds since 1970; 0 while open.
    pub ended_at: i64,
}

/// The state of one order in the domain.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Its number there.
    pub number: String,
    /// How often it was changed.
    pub version: i64,
    /// Its state in a word.
    pub state: String,
    /// All of it.
    pub body: String,
}

/// The journal of a hub that is down, or running.
#[derive(Debug)]
pub struct Journal(Connection);

impl Journal {
    /// A journal whose tables were copied from elsewhere.
    pub(crate) fn of(copy: Connection) -> Journal {
        Journal(copy)
    }

    /// Opens the journal of a data folder for reading.
    pub fn open(data: &Path) -> Fallible<Journal> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Journal(Connection::open_with_flags(data.join(FILE), flags)?))
    }

    /// Copies the journal of a killed hub to `copy` and opens that, so that the hub itself does the recovery of its own.
    pub fn open_copy(data: &Path, copy: &Path) -> Fallible<Journal> {
        std::fs::create_dir_all(copy)?;
        for file in [FILE.to_owned(), format!("{FILE}-wal")] {
            let (from, to): (PathBuf, PathBuf) = (data.join(&file), copy.join(&file));
            if from.exists() {
                std::fs::copy(from, to)?;
            }
        }
        Ok(Journal(Connection::open(copy.join(FILE))?))
    }

    /// Every message that came by `source`, in the order in which it was taken.
    pub fn received(&self, source: &str, mut take: impl FnMut(Received) -> Fallible<()>) -> Fallible<()> {
        let sql = "SELECT id, control_id, code IS NULL, lane, body FROM message WHERE source = ?1 ORDER BY id";
        let mut statement = self.0.prepare(sql)?;
        let mut rows = statement.query([source])?;
        while let Some(row) = rows.next()? {
            take(Received {
                id: row.get(0)?,
                control_id: row.get(1)?,
                accepted: row.get(2)?,
                lane: row.get(3)?,
                body: row.get(4)?,
            })?;
        }
        Ok(())
    }

    /// Every delivery, in the order in which they ended.
    pub fn deliveries(&self) -> Fallible<Vec<Delivery>> {
        let sql = "SELECT message_id, destination, lane, state, ended_at FROM delivery ORDER BY ended_at, message_id";
        self.all(sql, |row| {
            let state: i64 = row.get(3)?;
            let end = match state {
                DELIVERED => End::Delivered,
                REFUSED => End::Refused,
                DEAD_LETTERED => End::DeadLettered,
                state if state >= FIRST_END => End::Other(state),
                _ => End::Open,
            };
            let ended_at: Option<i64> = row.get(4)?;
            Ok(Delivery {
                message: row.get(0)?,
                destination: row.get(1)?,
                lane: row.get(2)?,
                end,
                ended_at: ended_at.unwrap_or_default(),
            })
        })
    }

    /// Every order of the domain.
    pub fn aggregates(&self) -> Fallible<Vec<Aggregate>> {
        self.all("SELECT number, version, state, body FROM aggregate WHERE kind = 'prescription'", |row| {
            Ok(Aggregate { number: row.get(0)?, version: row.get(1)?, state: row.get(2)?, body: row.get(3)? })
        })
    }

    /// For each event of the domain: the message that caused it.
    pub fn causes_of_events(&self) -> Fallible<Vec<i64>> {
        self.all("SELECT cause FROM message WHERE cause IS NOT NULL", |row| row.get(0))
    }

    /// How many commands the domain has applied, by its inbox.
    pub fn inbox_keys(&self) -> Fallible<i64> {
        Ok(self.0.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?)
    }

    /// How many messages stand where, for the checks that crashes hit something.
    pub fn in_hand(&self) -> Fallible<InHand> {
        let count = |sql: &str| self.0.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(InHand {
            unrouted: count(
                "SELECT count(*) FROM message m WHERE code IS NULL AND NOT EXISTS (SELECT 1 FROM run r WHERE r.message_id = m.id)",
            )?,
            undelivered: count(&format!("SELECT count(*) FROM delivery WHERE state < {FIRST_END}"))?,
        })
    }

    /// Waits until a running hub has brought everything to its end: by the rows, not by what the hub says of them.
    pub fn wait_until_drained(&self, within: Duration) -> Fallible<()> {
        wait::until("every message is at an end", within, || Ok((self.in_hand()? == InHand::default()).then_some(())))
    }

    /// Whether SQLite finds the file whole.
    pub fn is_whole(&self) -> Fallible<bool> {
        Ok(self.0.query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0))? == "ok")
    }

    fn all<T>(&self, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Fallible<Vec<T>> {
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], read)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
    }
}

/// What was on its way when a hub died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InHand {
    /// Accepted, and not yet routed.
    pub unrouted: i64,
    /// Deliveries that had not ended.
    pub undelivered: i64,
}
