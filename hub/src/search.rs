//! Search: by patient, by order number, by control id.
//!
//! When a message is received, the terms that it can be found by stand in its row: HMACs of identifiers, never
//! the identifiers (H10). In come those rows, in order, a batch at least every half a second; out go ids,
//! newest first. The index is never in the way of an answer: beside a journal on SQLite it is a file of its own,
//! without fsync, which is built again from the journal when it is lost or damaged; with a journal on PostgreSQL it
//! lies in the same database.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::Document;
use async_trait::async_trait;
use rusqlite::{Connection, params};
use tokio::sync::watch;

use crate::arabic::fold_digit;
use crate::journey::Hub;
use crate::keys::Keys;
use crate::routes::SourceSpec;
use crate::store::{MessageId, StoreError, Term};

/// Messages read from the journal at a time.
const BATCH_MAX: usize = 4000;
/// How often new messages are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Pause before the journal is read again after it could not be.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Order numbers of one message that are remembered at most.
const ORDERS_MAX: usize = 1000;

const SCHEMA: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096; \
    CREATE TABLE IF NOT EXISTS term (hash BLOB NOT NULL, message_id INTEGER NOT NULL, \
    PRIMARY KEY (hash, message_id)) WITHOUT ROWID; \
    CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), reached INTEGER NOT NULL); \
    INSERT OR IGNORE INTO place (one, reached) VALUES (1, 0);";

/// Where terms and their messages are kept. What is taken in twice is there once.
#[async_trait]
pub trait Index: Send + Sync {
    /// Everything before and at this place is in the index.
    async fn reached(&self) -> Result<MessageId, StoreError>;

    /// Takes in the terms of the messages up to `last`, with that place.
    async fn take_in(&self, terms: Vec<(Term, MessageId)>, last: MessageId) -> Result<(), StoreError>;

    /// The newest messages with this term, `limit` at most.
    async fn find(&self, term: Term, limit: usize) -> Result<Vec<MessageId>, StoreError>;
}

/// The index, and the keys that make terms of identifiers.
#[derive(Clone)]
pub struct Search {
    index: Arc<dyn Index>,
    keys: Keys,
}

/// An index in a file of the data folder.
struct FileIndex {
    connection: Arc<Mutex<Connection>>,
}

impl Search {
    /// The index that a store has.
    pub fn of(index: Arc<dyn Index>, keys: Keys) -> Search {
        Search { index, keys }
    }

    /// Opens the index of `folder`. One that cannot be read is thrown away and built again.
    pub fn open(folder: &Path, keys: Keys) -> Result<Search, StoreError> {
        let file = folder.join("search.db");
        let connection = open_file(&file).or_else(|error| {
            tracing::warn!(%error, "the search index is built again");
            for suffix in ["", "-wal", "-shm"] {
                let mut name = file.clone().into_os_string();
                name.push(suffix);
                let _ = std::fs::remove_file(name);
            }
            open_file(&file)
        });
        let connection = connection.map_err(|error| StoreError::Broken(error.to_string().into()))?;
        Ok(Search::of(Arc::new(FileIndex { connection: Arc::new(Mutex::new(connection)) }), keys))
    }

    /// Follows the journal until `stop` is true.
    pub async fn follow(self, hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
        loop {
            let pause = match self.catch_up(&hub).await {
                Ok(true) => continue,
                Ok(false) => LOOK_EVERY,
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "the search index waits");
                    PAUSE_AFTER_FAILURE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                stopped = stop.wait_for(|stop| *stop) => { let _ = stopped; return; }
            }
        }
    }

    /// Takes in the next batch; true when more may be there.
    async fn catch_up(&self, hub: &Hub) -> Result<bool, StoreError> {
        let reached = self.index.reached().await?;
        let messages = hub.store.terms_after(reached, BATCH_MAX).await?;
        let Some(last) = messages.last().map(|(id, _)| *id) else { return Ok(false) };
        let more = messages.len() == BATCH_MAX;
        let mut terms: Vec<(Term, MessageId)> =
            messages.into_iter().flat_map(|(id, terms)| terms.into_iter().map(move |term| (term, id))).collect();
        terms.sort_unstable();
        self.index.take_in(terms, last).await?;
        Ok(more)
    }

    /// The newest messages with this identifier, `limit` at most.
    pub async fn find(&self, kind: &'static str, value: &str, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        self.index.find(term(&self.keys, kind, value), limit).await
    }

    /// Everything before and at this place is in the index.
    pub async fn reached(&self) -> Result<MessageId, StoreError> {
        self.index.reached().await
    }
}

#[async_trait]
impl Index for FileIndex {
    async fn reached(&self) -> Result<MessageId, StoreError> {
        self.blocking(|connection| read_place(connection)).await
    }

    async fn take_in(&self, terms: Vec<(Term, MessageId)>, last: MessageId) -> Result<(), StoreError> {
        self.blocking(move |connection| write_terms(connection, &terms, last)).await
    }

    async fn find(&self, term: Term, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.blocking(move |connection| {
            connection
                .prepare_cached("SELECT message_id FROM term WHERE hash = ?1 ORDER BY message_id DESC LIMIT ?2")?
                .query_map(params![term.as_slice(), limit], |row| row.get(0).map(MessageId))?
                .collect()
        })
        .await
    }
}

impl FileIndex {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            let mut held = connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            work(&mut held)
        });
        match done.await {
            Ok(result) => result.map_err(|error| StoreError::Statement(error.to_string().into())),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

fn open_file(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch(SCHEMA)?;
    read_place(&connection)?;
    Ok(connection)
}

fn read_place(connection: &Connection) -> rusqlite::Result<MessageId> {
    connection.query_row("SELECT reached FROM place WHERE one = 1", [], |row| row.get(0).map(MessageId))
}

fn write_terms(connection: &mut Connection, terms: &[(Term, MessageId)], last: MessageId) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO term (hash, message_id) VALUES (?1, ?2)")?;
        for (term, id) in terms {
            insert.execute(params![term.as_slice(), id.0])?;
        }
    }
    transaction.execute("UPDATE place SET reached = ?1 WHERE one = 1", params![last.0])?;
    transaction.commit()
}

/// What a message of a source can be found by: its control id, its patient, its orders.
pub fn terms_of_document(keys: &Keys, control_id: &str, source: &SourceSpec, document: &Document) -> Vec<Term> {
    let mut terms = Vec::new();
    if !control_id.is_empty() {
        terms.push(term(keys, "control_id", control_id));
    }
    terms.extend(source.patient(document).map(|patient| term(keys, "patient", &patient)));
    terms.extend(source.orders(document).iter().take(ORDERS_MAX).map(|order| term(keys, "order", order)));
    terms
}

/// What an event can be found by: its id, and the number of the prescription, which is its subject. The patient
/// finds the message behind it.
pub fn terms_of_event(keys: &Keys, id: &str, subject: &str) -> Vec<Term> {
    vec![term(keys, "control_id", id), term(keys, "order", subject)]
}

fn term(keys: &Keys, kind: &'static str, value: &str) -> Term {
    keys.term(kind, &normalise(kind, value))
}

/// Two ways of writing one identifier are one: digits of any script, blanks and dashes in a patient's.
fn normalise(kind: &str, value: &str) -> String {
    let folded = value.trim().chars().map(fold_digit);
    match kind {
        "patient" => folded.filter(|letter| !letter.is_whitespace() && *letter != '-').collect(),
        _ => folded.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_of_writing_one_identifier_are_one() {
        assert_eq!(normalise("patient", " ٢٨٠٠١٠١-٠١٠٠٠١٣ "), "28001010100013");
        assert_eq!(normalise("patient", "۲۸۰۰۱۰۱۰۱۰۰۰۱۳"), "28001010100013");
        assert_eq!(normalise("order", " RX88-1 "), "RX88-1");
    }

    #[tokio::test]
    async fn a_damaged_index_is_thrown_away_and_built_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("search.db"), b"this is no database, but it is long enough to be read")
            .unwrap();
        let search = Search::open(folder.path(), Keys::from_secret([1; 32])).unwrap();
        assert_eq!(search.reached().await, Ok(MessageId(0)));
        assert_eq!(search.find("order", "RX88-1", 10).await, Ok(Vec::new()));
    }

    /// What every index must do.
    async fn terms_are_found(search: Search, keys: &Keys) {
        let (order, other) = (keys.term("order", "RX88-1"), keys.term("order", "RX88-2"));
        let terms = vec![(order, MessageId(1)), (order, MessageId(2)), (other, MessageId(2)), (order, MessageId(3))];
        for _ in 0..2 {
            search.index.take_in(terms.clone(), MessageId(3)).await.unwrap();
        }
        assert_eq!(search.find("order", "RX88-1 ", 2).await, Ok(vec![MessageId(3), MessageId(2)]), "newest first");
        assert_eq!(search.find("order", "RX88-1", 9).await.unwrap().len(), 3, "taken in twice, there once");
        assert_eq!(search.find("patient", "RX88-1", 2).await, Ok(Vec::new()));
        assert_eq!(search.reached().await, Ok(MessageId(3)));
        search.index.take_in(vec![], MessageId(9)).await.unwrap();
        assert_eq!(search.reached().await, Ok(MessageId(9)));
    }

    #[tokio::test]
    async fn terms_are_found_newest_first_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::from_secret([1; 32]);
        terms_are_found(Search::open(folder.path(), keys.clone()).unwrap(), &keys).await;
    }

    #[tokio::test]
    async fn terms_are_found_newest_first_in_a_database() {
        let schema = crate::store::postgres::tests::Schema::new().await;
        let keys = Keys::from_secret([1; 32]);
        terms_are_found(Search::of(schema.index().await, keys.clone()), &keys).await;
    }
}
