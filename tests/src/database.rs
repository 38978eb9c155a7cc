//! A database of PostgreSQL for one hub: made for a test, read with plain SQL, dropped afterwards.
//!
//! In comes a server: the one that `deploy/services.sh` started, or one of the test's own, which may be killed. Out
//! go the URL for a hub, and its journal as a [`Journal`] to judge by. Refused: a test without a server.

use std::path::PathBuf;
use std::str::FromStr;

use rusqlite::{Connection as Copy, params};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row, query};

use crate::Fallible;
use crate::folder::workspace;
use crate::journal::{InHand, Journal};
use crate::server::Server;

/// What names the server.
const VARIABLE: &str = "HUB_TEST_POSTGRES";

/// The tables that tests look at, as [`Journal`] asks for them.
const TABLES: &str = "CREATE TABLE message (id INTEGER PRIMARY KEY, source TEXT, control_id TEXT, code TEXT, lane BLOB, \
    body BLOB, cause INTEGER); CREATE TABLE run (message_id INTEGER); \
    CREATE TABLE delivery (message_id INTEGER, destination TEXT, lane BLOB, state INTEGER, ended_at INTEGER); \
    CREATE TABLE aggregate (kind TEXT, number TEXT, version INTEGER, state TEXT, body TEXT); \
    CREATE TABLE inbox (key TEXT);";

/// A database.
#[derive(Debug)]
pub struct Database {
    server: PgConnectOptions,
    name: String,
    /// The test's own server, if it has one.
    own: Option<Server>,
}

impl Database {
    /// A database on the server of the tests.
    pub fn new(name: &str) -> Fallible<Database> {
        Database::make(PgConnectOptions::from_str(&shared_server()?)?, name, None)
    }

    /// A database on a server of its own, which may be killed.
    pub fn on_its_own_server(name: &str) -> Fallible<Database> {
        let server = Server::start(name)?;
        Database::make(PgConnectOptions::from_str(&server.url())?, name, Some(server))
    }

    fn make(server: PgConnectOptions, name: &str, own: Option<Server>) -> Fallible<Database> {
        let name = format!("hub_{}_{}", name.replace('-', "_"), std::process::id());
        let database = Database { server, name, own };
        database.drop_it()?;
        let sql = format!("CREATE DATABASE {}", database.name);
        database.on(database.server.clone(), async |connection| {
            connection.execute(AssertSqlSafe(sql)).await?;
            Ok(())
        })?;
        Ok(database)
    }

    /// The URL for a hub.
    pub fn url(&self) -> String {
        self.server.clone().database(&self.name).to_url_lossy().to_string()
    }

    /// The server, if it is the test's own.
    pub fn server(&self) -> Fallible<&Server> {
        self.own.as_ref().ok_or_else(|| "the server of this database is not the test's own".into())
    }

    /// Ends all sessions of hubs, as an administrator may.
    pub fn end_sessions(&self) -> Fallible<u64> {
        self.on(self.server.clone(), async |connection| {
            let ended = query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1");
            Ok(ended.bind(&self.name).execute(connection).await?.rows_affected())
        })
    }

    /// How many messages and deliveries have not come to their ends.
    pub fn in_hand(&self) -> Fallible<InHand> {
        self.inside(async |connection| {
            let row = query(
                "SELECT (SELECT count(*) FROM message m WHERE code IS NULL AND NOT EXISTS \
                 (SELECT FROM run r WHERE r.message_id = m.id)), (SELECT count(*) FROM delivery WHERE state < 10)",
            )
            .fetch_one(connection)
            .await?;
            Ok(InHand { unrouted: row.try_get(0)?, undelivered: row.try_get(1)? })
        })
    }

    /// What the database holds, copied.
    pub fn journal(&self) -> Fallible<Journal> {
        self.inside(async |connection| {
            let copy = Copy::open_in_memory()?;
            copy.execute_batch(TABLES)?;
            copy.execute_batch("BEGIN")?;
            copy_messages(connection, &copy).await?;
            copy_deliveries(connection, &copy).await?;
            copy_rest(connection, &copy).await?;
            copy.execute_batch("COMMIT")?;
            Ok(Journal::of(copy))
        })
    }

    /// One number that a question has as its answer.
    pub fn number(&self, question: &'static str) -> Fallible<i64> {
        self.inside(async |connection| Ok(query(question).fetch_one(connection).await?.try_get(0)?))
    }

    fn inside<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> Fallible<T>) -> Fallible<T> {
        self.on(self.server.clone().database(&self.name), work)
    }

    fn on<T>(
        &self,
        options: PgConnectOptions,
        work: impl AsyncFnOnce(&mut PgConnection) -> Fallible<T>,
    ) -> Fallible<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = options.connect().await?;
            let done = work(&mut connection).await;
            connection.close().await?;
            done
        })
    }

    fn drop_it(&self) -> Fallible<()> {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        self.on(self.server.clone(), async |connection| {
            connection.execute(AssertSqlSafe(sql)).await?;
            Ok(())
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.own.is_none() {
            let _ = self.drop_it();
        }
    }
}

/// The server of the tests, as the environment or `deploy/services.sh` names it.
fn shared_server() -> Fallible<String> {
    let file: PathBuf = workspace().join("target/services/env");
    let named = std::env::var(VARIABLE).ok().or_else(|| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| {
            line.trim_start_matches("export ").strip_prefix(VARIABLE)?.strip_prefix('=').map(str::to_owned)
        });
        line.map(|value| value.trim_matches(['"', '\'']).to_owned())
    });
    named.ok_or_else(|| "no PostgreSQL for tests: run deploy/services.sh up".into())
}

async fn copy_messages(from: &mut PgConnection, to: &Copy) -> Fallible<()> {
    let rows = query("SELECT id, source, control_id, code, lane, body, cause FROM message").fetch_all(from).await?;
    let mut insert = to.prepare("INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for row in &rows {
        insert.execute(params![
            get::<i64>(row, 0)?,
            get::<String>(row, 1)?,
            get::<String>(row, 2)?,
            get::<Option<String>>(row, 3)?,
            get::<Option<Vec<u8>>>(row, 4)?,
            get::<Vec<u8>>(row, 5)?,
            get::<Option<i64>>(row, 6)?,
        ])?;
    }
    Ok(())
}

async fn copy_deliveries(from: &mut PgConnection, to: &Copy) -> Fallible<()> {
    let rows = query("SELECT message_id, destination, lane, state::bigint, ended_at FROM delivery").fetch_all(from);
    let mut insert = to.prepare("INSERT INTO delivery VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in &rows.await? {
        insert.execute(params![
            get::<i64>(row, 0)?,
            get::<String>(row, 1)?,
            get::<Option<Vec<u8>>>(row, 2)?,
            get::<i64>(row, 3)?,
            get::<Option<i64>>(row, 4)?,
        ])?;
    }
    Ok(())
}

async fn copy_rest(from: &mut PgConnection, to: &Copy) -> Fallible<()> {
    let mut runs = to.prepare("INSERT INTO run VALUES (?1)")?;
    for row in &query("SELECT message_id FROM run").fetch_all(&mut *from).await? {
        runs.execute(params![get::<i64>(row, 0)?])?;
    }
    let mut inbox = to.prepare("INSERT INTO inbox VALUES (?1)")?;
    for row in &query("SELECT key FROM inbox").fetch_all(&mut *from).await? {
        inbox.execute(params![get::<String>(row, 0)?])?;
    }
    let mut aggregates = to.prepare("INSERT INTO aggregate VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in &query("SELECT kind, number, version, state, body FROM aggregate").fetch_all(from).await? {
        let (kind, number): (String, String) = (get(row, 0)?, get(row, 1)?);
        aggregates.execute(params![
            kind,
            number,
            get::<i64>(row, 2)?,
            get::<String>(row, 3)?,
            get::<String>(row, 4)?
        ])?;
    }
    Ok(())
}

fn get<'r, T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>>(row: &'r PgRow, at: usize) -> Fallible<T> {
    Ok(row.try_get(at)?)
}
