//! What each store carries: prints one JSON object.
//!
//! In come 64 producers, each with one message at a time; out go messages a second, and how long a commit took.
//! "accept" writes a message of which repeats are looked for. "journey" also writes its run, its output and its
//! delivery in a second commit, and in a third the inbox key, the aggregate and the end of the delivery, as the
//! hub does. PostgreSQL is measured if `HUB_TEST_POSTGRES` names a database (see `deploy/services.sh`); its tables
//! are made in a schema that is dropped afterwards. Nothing is compared here.

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use adapters::Format;
use adapters::clock::{Clock, SystemClock};
use bytes::Bytes;
use hub::store::postgres::{Place, PostgresStore};
use hub::store::sqlite::SqliteStore;
use hub::store::{
    AggregateChange, AggregateKey, DeliveryChange, DeliveryId, DeliveryState, Flags, InboxKey, MessageId, MessageRef,
    NewDelivery, NewMessage, NewOutput, NewRun, Outcome, Row, RunState, Store, UnitOfWork,
};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tokio::time::Instant;

const PRODUCERS: usize = 64;
const SECONDS: Duration = Duration::from_secs(8);
const BODY_BYTES: usize = 1_500;
const OUTPUT_BYTES: usize = 1_700;

type Fallible<T> = Result<T, Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
fn main() -> Fallible<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(measure_all())?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

async fn measure_all() -> Fallible<Map<String, Value>> {
    let mut report = Map::new();
    let folder = tempfile::tempdir()?;
    let sqlite: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path(), Arc::new(SystemClock)).await?);
    report.insert("sqlite".to_owned(), measure(&sqlite).await?);
    sqlite.close().await;
    if let Ok(url) = std::env::var("HUB_TEST_POSTGRES") {
        let schema = format!("hub_bench_{}", std::process::id());
        let options = PgConnectOptions::from_str(&url)?;
        let mut server = options.connect().await?;
        server.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
        let place = Place::new(options.options([("search_path", &schema)]));
        let postgres: Arc<dyn Store> = Arc::new(PostgresStore::open(place, Arc::new(SystemClock)).await?);
        report.insert("postgres".to_owned(), measure(&postgres).await?);
        postgres.close().await;
        server.execute(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"))).await?;
    }
    Ok(report)
}

async fn measure(store: &Arc<dyn Store>) -> Fallible<Value> {
    let configuration = store.configuration("bench", &[]).await?;
    let accept = run(store, None).await?;
    let journey = run(store, Some(configuration)).await?;
    Ok(json!({ "accept": accept, "journey": journey }))
}

/// All producers for a while; with a configuration each message goes through the journey.
async fn run(store: &Arc<dyn Store>, configuration: Option<i64>) -> Fallible<Value> {
    let began = Instant::now();
    let tasks: Vec<_> = (0..PRODUCERS)
        .map(|producer| tokio::spawn(produce(Arc::clone(store), producer, configuration, began + SECONDS)))
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await?.map_err(|outcome| format!("not committed: {outcome:?}"))?);
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 1000).map_or(0, Duration::as_micros);
    let messages = u32::try_from(took.len())?;
    Ok(json!({
        "messages_a_second": (f64::from(messages) / seconds).round(),
        "accept_us_p50": u64::try_from(at(500))?,
        "accept_us_p99": u64::try_from(at(990))?,
    }))
}

async fn produce(
    store: Arc<dyn Store>,
    producer: usize,
    configuration: Option<i64>,
    until: Instant,
) -> Result<Vec<Duration>, Outcome> {
    let mut took = Vec::new();
    let life = SystemClock.now().0;
    for place in 0_u64.. {
        let began = Instant::now();
        if began >= until {
            break;
        }
        let name = format!("{life}-{producer}-{place}");
        let id = accept(store.as_ref(), &name).await?;
        took.push(began.elapsed());
        if let Some(configuration) = configuration {
            go_through(store.as_ref(), id, &name, configuration).await?;
        }
    }
    Ok(took)
}

async fn accept(store: &dyn Store, name: &str) -> Result<MessageId, Outcome> {
    let mut identity = [0; 16];
    identity.iter_mut().zip(name.bytes().rev()).for_each(|(to, from)| *to = from);
    let now = SystemClock.now();
    let message = NewMessage {
        received_at: now,
        source: "bench".into(),
        principal: "bench".into(),
        peer: "127.0.0.1:1".into(),
        sender: "HIS|BENCH".into(),
        control_id: name.into(),
        kind: "RDE^O11".into(),
        format: Format::Hl7v2,
        lane: Some(identity),
        identity,
        flags: Flags::default(),
        cause: None,
        refusal: None,
        body: Bytes::from(vec![b'x'; BODY_BYTES]),
        answer: Some(Bytes::from_static(b"MSH|^~\\&|HUB|NDP|||20261130||ACK|1|P|2.5\rMSA|AA|1\r")),
        terms: vec![identity],
        repeat_since: Some(now.minus(Duration::from_secs(86_400))),
    };
    match committed(store, vec![Row::Message(Box::new(message))]).await?.first() {
        Some(id) => Ok(*id),
        None => Err(Outcome::Conflict),
    }
}

async fn go_through(store: &dyn Store, id: MessageId, name: &str, configuration: i64) -> Result<(), Outcome> {
    let at = SystemClock.now();
    let delivery = DeliveryId { message: id, run_no: 1, delivery_no: 1 };
    let run = NewRun {
        message: MessageRef::Stored(id),
        run_no: 1,
        route: Some("bench".into()),
        mapping: Some("bench v1".into()),
        configuration,
        started_at: at,
        state: RunState::Mapped,
        cause: None,
    };
    let output = NewOutput {
        message: id,
        run_no: 1,
        output_no: 1,
        format: Format::FhirJson,
        command: Some("create".into()),
        kind: "MedicationRequest".into(),
        body: Some(Bytes::from(vec![b'y'; OUTPUT_BYTES])),
    };
    let goes =
        NewDelivery { id: delivery, output_no: 1, destination: "prescription".into(), lane: None, created_at: at };
    committed(store, vec![Row::Run(run), Row::Output(output), Row::Delivery(goes)]).await?;
    let key = AggregateKey { kind: "prescription", authority: "BENCH".to_owned(), number: name.to_owned() };
    let aggregate = AggregateChange { key, expected: 0, state: "active", body: "z".repeat(OUTPUT_BYTES), at, by: id };
    let change =
        DeliveryChange { id: delivery, state: DeliveryState::Delivered, attempts: 1, next_at: None, at, cause: None };
    let inbox = InboxKey { consumer: "prescription", key: delivery.to_string(), at };
    committed(store, vec![Row::Inbox(inbox), Row::Aggregate(aggregate), Row::ChangeDelivery(change)]).await.map(|_| ())
}

async fn committed(store: &dyn Store, rows: Vec<Row>) -> Result<Vec<MessageId>, Outcome> {
    match store.commit(vec![UnitOfWork::of(rows)]).await.pop() {
        Some(Outcome::Committed(ids)) => Ok(ids),
        other => Err(other.unwrap_or(Outcome::Conflict)),
    }
}
