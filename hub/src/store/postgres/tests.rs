//! The contract suite on PostgreSQL, each check in a schema of its own.

mod days;
mod doubt;
mod rot;

use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::{Place, PostgresStore};
use crate::store::Store;
use crate::store::contract::{Ground, SetClock, tests_of_a_store, with_all_checks};

/// Schemas of this process so far.
static SCHEMAS: AtomicU32 = AtomicU32::new(0);
/// What names the server.
const VARIABLE: &str = "HUB_TEST_POSTGRES";

/// The server of the tests, as the environment or `deploy/services.sh` names it.
pub(crate) fn server() -> PgConnectOptions {
    let url = std::env::var(VARIABLE).ok().or_else(from_file);
    let url = url.expect("no PostgreSQL for tests: run deploy/services.sh up");
    PgConnectOptions::from_str(&url).expect("the URL of a database")
}

fn from_file() -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/services/env");
    let text = std::fs::read_to_string(file).ok()?;
    let value =
        text.lines().find_map(|line| line.trim_start_matches("export ").strip_prefix(VARIABLE)?.strip_prefix('='));
    Some(value?.trim_matches(['"', '\'']).to_owned())
}

/// A schema of its own, dropped when the test ends.
pub(crate) struct Schema {
    name: String,
    server: PgConnectOptions,
    clock: SetClock,
    opened: Mutex<Vec<Arc<PostgresStore>>>,
}

impl Schema {
    pub(crate) async fn new() -> Schema {
        Schema::on(server()).await
    }

    /// On a server that is reached as `server` says.
    async fn on(server: PgConnectOptions) -> Schema {
        let schema = Schema::named(server);
        schema.say("CREATE SCHEMA").await;
        schema
    }

    fn named(server: PgConnectOptions) -> Schema {
        let name = format!("hub_test_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::SeqCst));
        Schema { name, server, clock: SetClock::new(), opened: Mutex::default() }
    }

    async fn say(&self, what: &'static str) {
        let sql = AssertSqlSafe(format!("{what} {}", self.name));
        let mut connection = self.server.connect().await.expect("the server of the tests answers");
        sqlx::query(sql).execute(&mut connection).await.expect("a schema");
        connection.close().await.expect("the connection ends");
    }

    fn place(&self) -> Place {
        let options = self.server.clone().options([("search_path", &self.name)]);
        Place { days_ahead: 0, ..Place::new(options) }
    }

    /// A store of this schema.
    async fn store(&self, place: Place) -> Arc<PostgresStore> {
        let store = PostgresStore::open(place, Arc::new(self.clock.clone())).await.expect("the store opens");
        let store = Arc::new(store);
        self.opened.lock().unwrap().push(Arc::clone(&store));
        store
    }

    /// The search index of a store of this schema.
    pub(crate) async fn index(&self) -> Arc<dyn crate::search::Index> {
        Arc::new(self.store(self.place()).await.terms())
    }

    /// A connection to this schema, beside the store.
    async fn look(&self) -> sqlx::PgConnection {
        self.place().options.connect().await.expect("the server of the tests answers")
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        for store in self.opened.lock().unwrap().drain(..) {
            store.kill();
        }
        let (server, name) = (self.server.clone(), self.name.clone());
        // Not on the runtime of the test, which may be going down.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = server.connect().await.map_err(std::io::Error::other)?;
                for schema in [format!("{name}_archive"), name] {
                    let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
                    connection.execute(AssertSqlSafe(sql)).await.map_err(std::io::Error::other)?;
                }
                Ok::<_, std::io::Error>(())
            })
        });
        let _ = dropped.join();
    }
}

#[async_trait]
impl Ground for Schema {
    async fn open(&self) -> Arc<dyn Store> {
        self.say("CREATE SCHEMA IF NOT EXISTS").await;
        self.store(self.place()).await
    }

    async fn crash(&self, store: Arc<dyn Store>) {
        drop(store);
        for opened in self.opened.lock().unwrap().drain(..) {
            opened.kill();
        }
    }

    fn clock(&self) -> &SetClock {
        &self.clock
    }

    fn another(&self) -> Box<dyn Ground> {
        Box::new(Schema::named(self.server.clone()))
    }
}

mod contract {
    use super::*;

    with_all_checks!(tests_of_a_store { super::Schema::new().await; });
}
