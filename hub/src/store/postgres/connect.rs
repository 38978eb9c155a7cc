//! Connections: how the hub is known to the server, what it asks of each session, and how the store is made ready.
//!
//! In comes the place of a database; out go a pool for reading, and the one session that writes. Promised: commits
//! are synchronous; no statement, lock or idle transaction is without a bound; one hub writes a database, known by
//! an advisory lock that goes with its session. Refused: a server that is too old, a store of a newer hub, a
//! database that another hub has.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, query, query_scalar};

use super::error::{classify, reading};
use crate::store::{OpenError, StoreError};

/// The oldest server that will do.
const VERSION_NEEDED: u32 = 14;
/// Connections for reading.
const READERS: u32 = 6;
/// How long a reader waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a start waits for a server that does not answer, and for the lock of a hub that has just ended.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts of a start.
const PAUSE: Duration = Duration::from_millis(200);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/postgres");

/// What every session has. Bounds are the server's own: they hold also when the hub is gone.
const SESSION: &[(&str, &str)] = &[
    ("synchronous_commit", "on"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("client_min_messages", "warning"),
    ("jit", "off"),
];

/// What the writing session has besides: plans are made once, and go by the keys, however full the tables were when
/// the plan was made.
const WRITING: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
];

/// A database, as it is connected to.
#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    /// Only one hub may write. Checks of what several would do ask for less.
    alone: bool,
}

/// A session of the server, so that another one can end it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend {
    pid: i32,
    /// Process ids come again; the time of the start does not.
    started_at: i64,
}

/// The one session that writes.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) backend: Backend,
}

impl Server {
    pub(super) fn new(options: PgConnectOptions, alone: bool) -> Server {
        let options = options.application_name("hub").options(SESSION.iter().copied()).statement_cache_capacity(200);
        Server { options: options.disable_statement_logging(), alone }
    }

    /// Host, port and name; no password.
    pub(super) fn place(&self) -> String {
        let name = self.options.get_database().unwrap_or(self.options.get_username());
        format!("{name} at {}:{}", self.options.get_host(), self.options.get_port())
    }

    /// Connections for reading. None is made yet.
    pub(super) fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(self.options.clone())
    }

    /// Waits for the server, and brings the store to this version.
    pub(super) async fn prepare(&self) -> Result<(), OpenError> {
        let deadline = tokio::time::Instant::now() + START_DEADLINE;
        let mut connection = loop {
            match self.connect(&[]).await {
                Ok(connection) => break connection,
                Err(error) => match self.refusal(&error) {
                    OpenError::Unreached { .. } if tokio::time::Instant::now() < deadline => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    refused => return Err(refused),
                },
            }
        };
        self.check_version(&mut connection).await?;
        let _ = connection.close().await;
        let pool = self.pool();
        let migrated = MIGRATIONS.run(&pool).await;
        pool.close().await;
        migrated.map_err(|error| self.not_migrated(error))
    }

    async fn check_version(&self, connection: &mut PgConnection) -> Result<(), OpenError> {
        let version: String = query_scalar("SHOW server_version").fetch_one(connection).await.map_err(reading)?;
        let digits = version.split(|letter: char| !letter.is_ascii_digit()).next();
        let major = digits.and_then(|text| text.parse::<u32>().ok());
        match major {
            Some(major) if major < VERSION_NEEDED => {
                Err(OpenError::TooOld { place: self.place(), version, needed: VERSION_NEEDED })
            }
            _ => Ok(()),
        }
    }

    /// The session that writes, at the start of a hub.
    pub(super) async fn first_session(&self) -> Result<Session, OpenError> {
        let deadline = tokio::time::Instant::now() + START_DEADLINE;
        loop {
            match self.session(&[]).await {
                Ok(Some(session)) => return Ok(session),
                Ok(None) if tokio::time::Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Ok(None) => return Err(OpenError::DatabaseTaken { place: self.place() }),
                Err(error) => return Err(self.refusal(&error)),
            }
        }
    }

    /// Whether only one hub may write.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// A session that writes; none: another hub has the database. Those that were lost are ended first: what they had
    /// under way is then decided, and their lock is free.
    pub(super) async fn session(&self, lost: &[Backend]) -> Result<Option<Session>, sqlx::Error> {
        let mut connection = self.connect(WRITING).await?;
        for Backend { pid, started_at } in lost {
            query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 \
                 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2",
            )
            .bind(pid)
            .bind(started_at)
            .execute(&mut connection)
            .await?;
        }
        if self.alone {
            let taken = query_scalar::<_, bool>("SELECT pg_try_advisory_lock(1213547057, hashtext(current_schema()))");
            if !taken.fetch_one(&mut connection).await? {
                let _ = connection.close().await;
                return Ok(None);
            }
        }
        let (pid, started_at) = sqlx::query_as(
            "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity \
             WHERE pid = pg_backend_pid()",
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(Some(Session { connection, backend: Backend { pid, started_at } }))
    }

    async fn connect(&self, more: &[(&str, &str)]) -> Result<PgConnection, sqlx::Error> {
        let options = self.options.clone().options(more.iter().copied());
        match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    /// Why there is no connection.
    fn refusal(&self, error: &sqlx::Error) -> OpenError {
        let place = self.place();
        let said = || error.to_string();
        match error {
            sqlx::Error::Configuration(_) => OpenError::Url(said()),
            sqlx::Error::Tls(_) => OpenError::Unsafe { place, said: said() },
            sqlx::Error::Io(failed) if is_handshake(failed) => OpenError::Unsafe { place, said: failed.to_string() },
            sqlx::Error::Database(refused) => match refused.code().as_deref() {
                Some("28P01" | "28000") => OpenError::NotLetIn { place, said: refused.message().to_owned() },
                Some("3D000") => OpenError::NoDatabase { place },
                Some("57P03" | "53300") => OpenError::Unreached { place, said: refused.message().to_owned() },
                _ => OpenError::Store(classify(error).0),
            },
            _ => OpenError::Unreached { place, said: said() },
        }
    }

    fn not_migrated(&self, error: MigrateError) -> OpenError {
        match error {
            MigrateError::VersionMismatch(version) => OpenError::OtherMigration { version },
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => match classify(&error).0 {
                StoreError::Statement(said) => OpenError::Migration(said.to_string()),
                other => OpenError::Store(other),
            },
            other => OpenError::Migration(other.to_string()),
        }
    }
}

/// Whether TLS failed, and not the network below it.
fn is_handshake(failed: &std::io::Error) -> bool {
    failed.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
