//! The store on PostgreSQL: for production.
//!
//! One writer task with a session of its own and group commit, a pool for reading beside it, and an upkeep that
//! makes partitions ahead, archives what is past its retention, and follows the place below which all is routed.
//! The database belongs to one hub: a second one is refused. A database that is away costs waiting, and then
//! refusals that say that nothing was written; it never costs a message.

mod asked;
mod columns;
mod connect;
mod decide;
mod error;
mod held;
mod known;
mod layered;
mod partitions;
mod people;
mod queue;
mod read;
mod search;
#[cfg(test)]
pub(crate) mod tests;
mod transaction;
mod upkeep;
mod write;
mod writer;

use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use adapters::clock::Clock;
use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::connect::Server;
use self::queue::{COMMIT_DEADLINE, Job, QUEUE_MAX, Queue};
use self::read::{Patience, Reader};
pub use self::search::Terms;
use self::upkeep::Upkeep;
use self::writer::{SILENCE_MAX, Standing, Writer};
use super::{
    AggregateKey, Charge, CodeFilter, CodePage, DeadLetter, DeliveryId, DeliveryNow, HandOver, HeldFilter, HeldRun,
    Journey, MessageFilter, MessageId, OpenDelivery, OpenError, Outcome, Page, Store, StoreError, StoredAggregate,
    StoredMessage, StoredOutput, Term, UnitOfWork,
};

/// A database for a hub, and how long it keeps there what is at its end.
#[derive(Clone, Debug)]
pub struct Place {
    /// How it is connected to.
    pub options: PgConnectOptions,
    /// Days that stay before they are archived; none: all of them.
    pub keep_days: Option<u32>,
    /// Days whose partitions are made ahead.
    pub days_ahead: u32,
    /// Whether this hub writes alone. Several hubs need leases for their lanes first.
    alone: bool,
}

impl Place {
    /// The place that a URL names. `ca` is a file of authorities; none: the system's.
    pub fn of(url: &str, ca: Option<&Path>, keep_days: Option<u32>) -> Result<Place, OpenError> {
        let mut options = PgConnectOptions::from_str(url).map_err(|error| match error {
            // Its text is about the URL, and does not hold it.
            sqlx::Error::Configuration(why) => OpenError::Url(why.to_string()),
            _ => OpenError::Url("it cannot be read".to_owned()),
        })?;
        if let Some(ca) = ca {
            options = options.ssl_root_cert(ca);
        }
        Ok(Place { keep_days, ..Place::new(options) })
    }

    /// A place that keeps everything.
    pub fn new(options: PgConnectOptions) -> Place {
        Place { options, keep_days: None, days_ahead: DAYS_AHEAD, alone: true }
    }
}

/// Partitions for so many days are there before they are needed.
const DAYS_AHEAD: u32 = 3;

/// The store on PostgreSQL.
pub struct PostgresStore {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    reader: Reader,
    clock: Arc<dyn Clock>,
    standing: watch::Receiver<Standing>,
    writer: Mutex<Option<JoinHandle<()>>>,
    upkeep: Mutex<Option<JoinHandle<()>>>,
}

impl PostgresStore {
    /// Opens the store at `place`, makes it if it is not there, and starts the writer.
    pub async fn open(place: Place, clock: Arc<dyn Clock>) -> Result<PostgresStore, OpenError> {
        let server = Server::new(place.options.clone(), place.alone);
        server.prepare().await?;
        let session = server.first_session().await?;
        let pool = server.pool();
        let writer = Writer::begin(server, Arc::clone(&clock), session).await?;
        let standing = writer.standing.subscribe();
        let upkeep = Upkeep {
            pool: pool.clone(),
            clock: Arc::clone(&clock),
            keep_days: place.keep_days,
            days_ahead: place.days_ahead,
        };
        upkeep.begin().await?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        Ok(PostgresStore {
            jobs: Mutex::new(Some(jobs)),
            reader: Reader { pool },
            clock,
            standing,
            writer: Mutex::new(Some(tokio::spawn(writer.run(Queue::new(queue))))),
            upkeep: Mutex::new(Some(tokio::spawn(upkeep.run()))),
        })
    }

    /// The search index, in the same database.
    pub fn terms(&self) -> Terms {
        Terms::new(self.reader.pool.clone())
    }

    fn jobs(&self) -> Result<mpsc::Sender<Job>, StoreError> {
        self.jobs.lock().ok().and_then(|jobs| jobs.clone()).ok_or(StoreError::Closed)
    }

    async fn ask_writer(&self, units: Vec<UnitOfWork>, hand_over: Option<HandOver>) -> Vec<Outcome> {
        let count = units.len();
        let lost = || vec![Outcome::Failed(StoreError::Closed); count];
        let Ok(jobs) = self.jobs() else { return lost() };
        let (reply, outcomes) = oneshot::channel();
        let job = Job { units, hand_over, reply, until: Instant::now() + COMMIT_DEADLINE };
        if jobs.send(job).await.is_err() {
            return lost();
        }
        outcomes.await.unwrap_or_else(|_| lost())
    }

    fn take(task: &Mutex<Option<JoinHandle<()>>>) -> Option<JoinHandle<()>> {
        task.lock().ok().and_then(|mut task| task.take())
    }
}

impl PostgresStore {
    /// Stops where it stands. Sessions end with their tasks.
    fn kill(&self) {
        for task in [&self.writer, &self.upkeep] {
            if let Some(task) = PostgresStore::take(task) {
                task.abort();
            }
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks again while the database is away, as long as patience lasts: nothing was changed by asking.
macro_rules! patiently {
    ($ask:expr) => {{
        let patience = Patience::begin();
        loop {
            match $ask.await {
                Err(StoreError::Away(_)) if patience.lasts().await => {}
                answer => break answer,
            }
        }
    }};
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, units: Vec<UnitOfWork>) -> Vec<Outcome> {
        self.ask_writer(units, None).await
    }

    async fn commit_in_order(&self, unit: UnitOfWork, hand_over: HandOver) -> Outcome {
        let outcome = self.ask_writer(vec![unit], Some(hand_over)).await.pop();
        outcome.unwrap_or(Outcome::Failed(StoreError::Closed))
    }

    async fn unrouted(&self, limit: usize) -> Result<Vec<(StoredMessage, u32)>, StoreError> {
        patiently!(self.reader.unrouted(limit))
    }

    async fn in_hand(&self) -> Result<Vec<Charge>, StoreError> {
        patiently!(self.reader.in_hand())
    }

    async fn open_deliveries(&self, destination: &str, limit: usize) -> Result<Vec<OpenDelivery>, StoreError> {
        patiently!(self.reader.open_deliveries(destination, limit))
    }

    async fn deliveries_now(&self, ids: Vec<DeliveryId>) -> Result<Vec<Option<DeliveryNow>>, StoreError> {
        patiently!(self.reader.deliveries_now(&ids))
    }

    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        patiently!(self.reader.message(id))
    }

    async fn output(&self, id: DeliveryId) -> Result<Option<StoredOutput>, StoreError> {
        patiently!(self.reader.output(id))
    }

    async fn aggregates(&self, keys: Vec<AggregateKey>) -> Result<Vec<Option<StoredAggregate>>, StoreError> {
        patiently!(self.reader.aggregates(&keys))
    }

    async fn assigned_numbers(&self, groups: Vec<(String, String)>) -> Result<Vec<Option<String>>, StoreError> {
        patiently!(self.reader.assigned_numbers(&groups))
    }

    async fn take_numbers(&self, counter: &str, count: u32) -> Result<u32, StoreError> {
        patiently!(self.reader.take_numbers(counter, count))
    }

    async fn configuration(&self, hash: &str, files: &[(String, String)]) -> Result<i64, StoreError> {
        let files = serde_json::json!(files).to_string();
        let now = self.clock.now();
        patiently!(self.reader.configuration(hash, &files, now))
    }

    async fn messages(&self, filter: MessageFilter) -> Result<Page, StoreError> {
        patiently!(self.reader.messages(filter.clone()))
    }

    async fn journey(&self, id: MessageId) -> Result<Option<Journey>, StoreError> {
        patiently!(self.reader.journey(id))
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        patiently!(self.reader.dead_letters(limit))
    }

    async fn held(&self, filter: HeldFilter) -> Result<Vec<HeldRun>, StoreError> {
        patiently!(self.reader.held(filter.clone()))
    }

    async fn held_codes(&self, filter: CodeFilter) -> Result<CodePage, StoreError> {
        patiently!(self.reader.held_codes(filter.clone()))
    }

    async fn terms_after(&self, after: MessageId, limit: usize) -> Result<Vec<(MessageId, Vec<Term>)>, StoreError> {
        patiently!(self.reader.terms_after(after, limit))
    }

    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        patiently!(self.reader.fact(name))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.jobs()?;
        let standing = self.standing.borrow();
        if let Some(trouble) = &standing.trouble {
            return Err(trouble.clone());
        }
        if standing.asked_at.is_some_and(|at| at.elapsed() > SILENCE_MAX) {
            return Err(StoreError::Away("no answer in time".into()));
        }
        drop(standing);
        // The other end of the watch goes with the writer, however it ended.
        self.standing.has_changed().map(|_| ()).map_err(|_| StoreError::Closed)
    }

    async fn close(&self) {
        let jobs = self.jobs.lock().ok().and_then(|mut jobs| jobs.take());
        drop(jobs);
        if let Some(writer) = PostgresStore::take(&self.writer) {
            let _ = writer.await;
        }
        if let Some(upkeep) = PostgresStore::take(&self.upkeep) {
            upkeep.abort();
            let _ = upkeep.await;
        }
        self.reader.pool.close().await;
    }
}
