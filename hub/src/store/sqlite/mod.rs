//! The store on SQLite: the embedded default.
//!
//! WAL, `synchronous=FULL`, exactly one writing connection on a thread of its own with group commit,
//! read-only connections beside it. The data folder belongs to one hub: a second one is refused with
//! the pid of the first.

mod checkpoint;
mod held;
mod people;
mod read;
#[cfg(test)]
pub(super) mod tests;
mod write;
mod writer;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::clock::Clock;
use async_trait::async_trait;
use rusqlite::Connection;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::{mpsc, oneshot, watch};

use self::read::Reader;
use self::writer::{Job, QUEUE_MAX, Waiting, Writer, classify};
use super::{
    AggregateKey, Charge, CodeFilter, CodePage, DeadLetter, DeliveryId, DeliveryNow, HandOver, HeldFilter, HeldRun,
    Journey, MessageFilter, MessageId, OpenDelivery, OpenError, Outcome, Page, Store, StoreError, StoredAggregate,
    StoredMessage, StoredOutput, Term, UnitOfWork,
};

/// Connections for reading.
const READERS: u32 = 4;
/// How long a write waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reader waits for a free connection.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");

/// The store on SQLite.
pub struct SqliteStore {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    reader: Reader,
    broken: watch::Receiver<Option<StoreError>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the journal in `folder`, makes it if it is not there, and starts the writer.
    pub async fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<SqliteStore, OpenError> {
        let unusable = |source| OpenError::Folder { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let lock = take_folder(folder)?;
        let file = folder.join("journal.db");
        migrate(&file).await?;
        let writer = connect_writer(&file, clock, lock).map_err(|error| classify(&error))?;
        let options = SqliteConnectOptions::new().filename(&file).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READ_TIMEOUT)
            .connect_with(options.disable_statement_logging())
            .await
            .map_err(read::reading)?;
        let broken = writer.broken.subscribe();
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread =
            std::thread::Builder::new().name("journal".to_owned()).spawn(|| writer.run(queue)).map_err(unusable)?;
        Ok(SqliteStore {
            jobs: Mutex::new(Some(jobs)),
            reader: Reader { pool },
            broken,
            thread: Mutex::new(Some(thread)),
        })
    }

    fn jobs(&self) -> Result<mpsc::Sender<Job>, StoreError> {
        self.jobs.lock().ok().and_then(|jobs| jobs.clone()).ok_or(StoreError::Closed)
    }

    async fn ask_writer(&self, units: Vec<UnitOfWork>, hand_over: Option<HandOver>) -> Vec<Outcome> {
        let count = units.len();
        let lost = || vec![Outcome::Failed(StoreError::Closed); count];
        let Ok(jobs) = self.jobs() else { return lost() };
        let (reply, outcomes) = oneshot::channel();
        if jobs.send(Job::Commit(units, Waiting { hand_over, reply })).await.is_err() {
            return lost();
        }
        outcomes.await.unwrap_or_else(|_| lost())
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs()?.send(job(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// Locks the folder for this process, and writes its pid for the one who comes second.
fn take_folder(folder: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Folder { folder: folder.to_owned(), source };
    let path = folder.join("hub.lock");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(unusable)?;
            return Err(OpenError::Taken { folder: folder.to_owned(), pid: pid.trim().to_owned() });
        }
        Err(std::fs::TryLockError::Error(source)) => return Err(unusable(source)),
    }
    file.set_len(0).map_err(unusable)?;
    file.rewind().map_err(unusable)?;
    write!(file, "{}", std::process::id()).map_err(unusable)?;
    Ok(file)
}

async fn migrate(file: &Path) -> Result<(), OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(read::reading)?;
    let migrated = MIGRATIONS.run(&pool).await.map_err(|error| OpenError::Migration(error.to_string()));
    pool.close().await;
    migrated
}

fn connect_writer(file: &Path, clock: Arc<dyn Clock>, folder_lock: File) -> rusqlite::Result<Writer> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {}; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; \
         PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 67108864;",
        synchronous()
    ))?;
    let last = connection.query_row("SELECT coalesce(max(id), 0) FROM message", [], |row| row.get(0))?;
    let low_water = connection.query_row(
        "SELECT coalesce((SELECT CAST(value AS INTEGER) FROM fact WHERE name = 'low_water'), 0)",
        [],
        |row| row.get(0),
    )?;
    let unrouted = connection
        .prepare(
            "SELECT id FROM message m WHERE id >= ?1 AND code IS NULL \
             AND NOT EXISTS (SELECT 1 FROM run r WHERE r.message_id = m.id)",
        )?
        .query_map([low_water], |row| row.get(0).map(MessageId))?
        .collect::<rusqlite::Result<BTreeSet<_>>>()?;
    let broken = watch::Sender::new(None);
    Ok(Writer {
        connection,
        clock,
        last: MessageId(last),
        unrouted,
        low_water: MessageId(low_water),
        broken,
        file: file.to_owned(),
        checkpoints: None,
        _folder_lock: folder_lock,
    })
}

/// FULL, always: with NORMAL a power cut loses what was acknowledged. The test of the tests may lower it.
#[cfg(not(feature = "crash-points"))]
fn synchronous() -> &'static str {
    "FULL"
}

#[cfg(feature = "crash-points")]
fn synchronous() -> &'static str {
    match std::env::var("HUB_SQLITE_SYNCHRONOUS").as_deref() {
        Ok("NORMAL") => "NORMAL",
        _ => "FULL",
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, units: Vec<UnitOfWork>) -> Vec<Outcome> {
        self.ask_writer(units, None).await
    }

    async fn commit_in_order(&self, unit: UnitOfWork, hand_over: HandOver) -> Outcome {
        let outcome = self.ask_writer(vec![unit], Some(hand_over)).await.pop();
        outcome.unwrap_or(Outcome::Failed(StoreError::Closed))
    }

    async fn unrouted(&self, limit: usize) -> Result<Vec<(StoredMessage, u32)>, StoreError> {
        self.reader.unrouted(limit).await
    }

    async fn in_hand(&self) -> Result<Vec<Charge>, StoreError> {
        self.reader.in_hand().await
    }

    async fn open_deliveries(&self, destination: &str, limit: usize) -> Result<Vec<OpenDelivery>, StoreError> {
        self.reader.open_deliveries(destination, limit).await
    }

    async fn deliveries_now(&self, ids: Vec<DeliveryId>) -> Result<Vec<Option<DeliveryNow>>, StoreError> {
        self.reader.deliveries_now(&ids).await
    }

    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.reader.message(id).await
    }

    async fn output(&self, id: DeliveryId) -> Result<Option<StoredOutput>, StoreError> {
        self.reader.output(id).await
    }

    async fn aggregates(&self, keys: Vec<AggregateKey>) -> Result<Vec<Option<StoredAggregate>>, StoreError> {
        self.reader.aggregates(&keys).await
    }

    async fn assigned_numbers(&self, groups: Vec<(String, String)>) -> Result<Vec<Option<String>>, StoreError> {
        self.reader.assigned_numbers(&groups).await
    }

    async fn take_numbers(&self, counter: &str, count: u32) -> Result<u32, StoreError> {
        self.ask(|reply| Job::TakeNumbers(counter.to_owned(), count, reply)).await
    }

    async fn configuration(&self, hash: &str, files: &[(String, String)]) -> Result<i64, StoreError> {
        let files = serde_json::json!(files).to_string();
        self.ask(|reply| Job::Configuration { hash: hash.to_owned(), files, reply }).await
    }

    async fn messages(&self, filter: MessageFilter) -> Result<Page, StoreError> {
        self.reader.messages(filter).await
    }

    async fn journey(&self, id: MessageId) -> Result<Option<Journey>, StoreError> {
        self.reader.journey(id).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.reader.dead_letters(limit).await
    }

    async fn held(&self, filter: HeldFilter) -> Result<Vec<HeldRun>, StoreError> {
        self.reader.held(filter).await
    }

    async fn held_codes(&self, filter: CodeFilter) -> Result<CodePage, StoreError> {
        self.reader.held_codes(filter).await
    }

    async fn terms_after(&self, after: MessageId, limit: usize) -> Result<Vec<(MessageId, Vec<Term>)>, StoreError> {
        self.reader.terms_after(after, limit).await
    }

    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.reader.fact(name).await
    }

    fn health(&self) -> Result<(), StoreError> {
        if let Some(error) = &*self.broken.borrow() {
            return Err(error.clone());
        }
        // The other end of the watch goes with the writer, however it ended.
        self.jobs()?;
        self.broken.has_changed().map(|_| ()).map_err(|_| StoreError::Closed)
    }

    async fn close(&self) {
        let jobs = self.jobs.lock().ok().and_then(|mut jobs| jobs.take());
        drop(jobs);
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.reader.pool.close().await;
    }
}
