//! A hub for tests: a real journal on SQLite, a real configuration, and parts that do as the test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::Format;
use adapters::clock::{FakeClock, Timestamp};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::{
    CodeError, Control, DestinationStatus, NewCode, Options, Part, ReloadError, SearchBy, Server, SourceStatus,
    TapEvent,
};
use crate::config::{Limits, Settings};
use crate::journey::Live;
use crate::journey::dead_letter::ReplayError;
use crate::routes::Configuration;
use crate::store::sqlite::SqliteStore;
use crate::store::{
    AttemptVerdict, AwaitedCode, Cause, DeliveryChange, DeliveryId, DeliveryState, Flags, MessageId, MessageRef,
    NewAttempt, NewDelivery, NewHeld, NewMessage, NewOutput, NewRun, Outcome, Row, RunId, RunState, Store, StoreError,
    UnitOfWork,
};

/// A word that is only in bodies.
pub(crate) const CANARY: &str = "قناري";
/// 2026-11-05T07:30:00Z, when the first message came; each later one came a minute later.
pub(crate) const START: Timestamp = Timestamp(1_793_863_800_000_000);
/// Events that a slow watcher may be behind.
const TAP_MAX: usize = 4;

const ROUTES: &str = r#"
[source.ward]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:0"

[source.clinic]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:0"

[destination.archive]
adapter = "file"
folder  = "archive"

[[route]]
id   = "keep"
why  = "The archive gets everything."
from = ["ward", "clinic"]
to   = ["archive"]
"#;

/// The hub.
pub(crate) struct Fake {
    pub folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
    live: Arc<Live>,
    tap: broadcast::Sender<TapEvent>,
    /// What `/ready` says.
    pub parts: Mutex<Vec<Part>>,
    /// What the search index has.
    pub index: Mutex<HashMap<(SearchBy, String), Vec<MessageId>>>,
    /// What was asked to be done, in order.
    pub done: Mutex<Vec<String>>,
    /// What a reload gives.
    pub reload: Mutex<Result<String, ReloadError>>,
}

impl Fake {
    /// A hub without messages.
    pub async fn new() -> Arc<Fake> {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::new(START));
        let store = Arc::new(SqliteStore::open(&folder.path().join("data"), clock).await.unwrap());
        let routes = folder.path().join("routes.toml");
        std::fs::write(&routes, ROUTES).unwrap();
        let configuration = Configuration::load(&routes).unwrap().configuration;
        let number = store.configuration(configuration.hash.as_str(), &configuration.files).await.unwrap();
        Arc::new(Fake {
            folder,
            store,
            live: Arc::new(Live { configuration, number }),
            tap: broadcast::Sender::new(TAP_MAX),
            parts: Mutex::new(vec![Part::needed("journal", None)]),
            index: Mutex::default(),
            done: Mutex::default(),
            reload: Mutex::new(Ok("0".repeat(64))),
        })
    }

    /// Serves it.
    pub fn serve(self: &Arc<Fake>) -> Served {
        let limits = Limits { taps: 1, ..Limits::default() };
        let mut http = Settings::default().http;
        http.listen.set_port(0);
        self.serve_with(Options { http, limits })
    }

    /// Serves it as `options` say.
    pub fn serve_with(self: &Arc<Fake>, options: Options) -> Served {
        let server = Server::bind(options, Arc::<Fake>::clone(self)).unwrap();
        let address = server.address();
        let (drain, draining) = watch::channel(false);
        Served { address, drain, running: tokio::spawn(server.run(draining)) }
    }

    /// Tells those who watch; somebody must.
    pub fn happens(&self, source: &str, outcome: &'static str) {
        assert!(self.tell(source, outcome) > 0, "nobody watches");
    }

    /// Tells those who watch, if anybody does.
    pub fn happens_if_watched(&self, source: &str) {
        self.tell(source, "accepted");
    }

    fn tell(&self, source: &str, outcome: &'static str) -> usize {
        let event = TapEvent {
            at: START,
            message: MessageId(7),
            source: source.into(),
            kind: "RDE^O11".into(),
            stage: "receive",
            outcome,
            at_name: None,
            code: None,
        };
        self.tap.send(event).unwrap_or(0)
    }

    /// Journals a message that arrived `minute` minutes after the first.
    pub async fn message(&self, source: &str, control_id: &str, minute: u64, body: &[u8]) -> MessageId {
        self.commit_message(NewMessage {
            received_at: START.plus(Duration::from_secs(60 * minute)),
            source: source.into(),
            principal: source.into(),
            peer: "127.0.0.1:50000".into(),
            sender: "HIS|WARD".into(),
            control_id: control_id.into(),
            kind: "RDE^O11".into(),
            format: Format::Hl7v2,
            lane: None,
            identity: [0; 16],
            flags: Flags::default(),
            cause: None,
            refusal: None,
            body: Bytes::copy_from_slice(body),
            answer: Some(Bytes::from(format!("MSH|^~\\&|HUB\rMSA|AA|{control_id}|{CANARY}\r"))),
            terms: Vec::new(),
            repeat_since: None,
        })
        .await
    }

    /// Journals a message.
    pub async fn commit_message(&self, message: NewMessage) -> MessageId {
        let outcome = self.commit(vec![Row::Message(Box::new(message))]).await;
        let Outcome::Committed(ids) = outcome else { panic!("{outcome:?}") };
        ids[0]
    }

    /// Maps a message to one output with one delivery that ended as `state`.
    pub async fn run(&self, message: MessageId, state: DeliveryState) -> DeliveryId {
        let at = self.received_at(message).await.plus(Duration::from_secs(1));
        let id = DeliveryId { message, run_no: 1, delivery_no: 1 };
        let mut rows = vec![
            Row::Run(self.new_run(message, RunState::Mapped, None).await),
            Row::Output(NewOutput {
                message,
                run_no: 1,
                output_no: 1,
                format: Format::FhirJson,
                command: Some("create".into()),
                kind: "MedicationRequest".into(),
                body: Some(Bytes::from(format!("{{\"note\":\"{CANARY}\"}}"))),
            }),
            Row::Delivery(NewDelivery { id, output_no: 1, destination: "archive".into(), lane: None, created_at: at }),
        ];
        if state != DeliveryState::Ready {
            let (verdict, cause) = match state {
                DeliveryState::Delivered => (AttemptVerdict::Delivered, None),
                _ => (AttemptVerdict::Failed, Some(Cause::new("HUB0501", "the far system is silent"))),
            };
            let reason = "a few words".into();
            rows.push(Row::Attempt(NewAttempt { id, attempt_no: 1, at, took_us: 1500, verdict, reason }));
            let next_at = (state == DeliveryState::Waiting).then_some(at);
            rows.push(Row::ChangeDelivery(DeliveryChange { id, state, attempts: 1, next_at, at, cause }));
        }
        assert_eq!(self.commit(rows).await, Outcome::Committed(Vec::new()));
        id
    }

    /// Ends a message by its run alone.
    pub async fn end_by_run(&self, message: MessageId, state: RunState) {
        let cause = (state != RunState::Filtered).then(|| Cause::new("HUB0401", "charged 3 times"));
        let outcome = self.commit(vec![Row::Run(self.new_run(message, state, cause).await)]).await;
        assert_eq!(outcome, Outcome::Committed(Vec::new()));
    }

    /// Holds the run of a message for a code of the table `routes`.
    pub async fn hold(&self, message: MessageId, code: Option<&str>) {
        let stored = self.store.message(message).await.unwrap().unwrap();
        let held = NewHeld {
            id: RunId { message, run_no: 1 },
            route: "keep".into(),
            destination: None,
            lane: None,
            source: stored.source,
            received_at: stored.received_at,
            code: code.map(|code| AwaitedCode { table: "routes".into(), code: code.into() }),
        };
        let cause = Cause::new("HUB0153", "the code waits for a row in the table (table routes)");
        let run = self.new_run(message, RunState::Held, Some(cause)).await;
        assert_eq!(self.commit(vec![Row::Run(run), Row::Hold(held)]).await, Outcome::Committed(Vec::new()));
    }

    async fn received_at(&self, message: MessageId) -> Timestamp {
        self.store.message(message).await.unwrap().unwrap().received_at
    }

    async fn new_run(&self, message: MessageId, state: RunState, cause: Option<Cause>) -> NewRun {
        let route = (state != RunState::Filtered).then(|| "keep".into());
        NewRun {
            message: MessageRef::Stored(message),
            run_no: 1,
            route,
            mapping: None,
            configuration: self.live.number,
            started_at: self.received_at(message).await,
            state,
            cause,
        }
    }

    async fn commit(&self, rows: Vec<Row>) -> Outcome {
        self.store.commit(vec![UnitOfWork::of(rows)]).await.pop().unwrap()
    }

    fn did(&self, what: String) {
        self.done.lock().unwrap().push(what);
    }
}

/// A hub that is served until this is dropped or drained.
pub(crate) struct Served {
    pub address: std::net::SocketAddr,
    drain: watch::Sender<bool>,
    running: JoinHandle<Result<(), super::Error>>,
}

impl Served {
    /// Asks it to drain, and waits until it has.
    pub async fn stop(self) {
        self.drain.send_replace(true);
        self.running.await.unwrap().unwrap();
    }
}

#[async_trait]
impl Control for Fake {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<SqliteStore>::clone(&self.store)
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    fn ready(&self) -> Vec<Part> {
        self.parts.lock().unwrap().clone()
    }

    async fn reload(&self) -> Result<String, ReloadError> {
        self.did("reload".to_owned());
        self.reload.lock().unwrap().clone()
    }

    async fn add_code(&self, new: &NewCode) -> Result<String, CodeError> {
        self.did(format!("add {} {} {:?}", new.table, new.code, new.row));
        match new.table.as_str() {
            "routes" => self.reload.lock().unwrap().clone().map_err(CodeError::Reload),
            _ => Err(CodeError::NoTable),
        }
    }

    async fn refuse_code(&self, code: &AwaitedCode, source: Option<&str>) -> Result<usize, StoreError> {
        self.did(format!("refuse {} {} {}", code.table, code.code, source.unwrap_or("all")));
        Ok(usize::from(&*code.code == "SC"))
    }

    async fn reconcile(&self, older_than: Duration) -> Result<usize, StoreError> {
        self.did(format!("reconcile {}", older_than.as_secs()));
        Ok(3)
    }

    async fn replay_message(&self, message: MessageId) -> Result<(), ReplayError> {
        let journey = self.store.journey(message).await?.ok_or(ReplayError::Unknown)?;
        if journey.runs.is_empty() {
            return Err(ReplayError::NotEnded);
        }
        self.did(format!("message {message}"));
        Ok(())
    }

    async fn replay_delivery(&self, delivery: DeliveryId) -> Result<(), ReplayError> {
        self.did(format!("delivery {delivery}"));
        Ok(())
    }

    async fn replay_run(&self, run: RunId) -> Result<(), ReplayError> {
        self.did(format!("run {run}"));
        Ok(())
    }

    async fn find(&self, by: SearchBy, value: &str, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        let index = self.index.lock().unwrap();
        let found = index.get(&(by, value.to_owned())).cloned().unwrap_or_default();
        Ok(found.into_iter().rev().take(limit).collect())
    }

    fn tap(&self) -> broadcast::Receiver<TapEvent> {
        self.tap.subscribe()
    }

    fn metrics(&self) -> String {
        "# TYPE hub_x counter\nhub_x_total 1\n# EOF\n".to_owned()
    }

    fn sources(&self) -> Vec<SourceStatus> {
        let address = Some(([127, 0, 0, 1], 2575).into());
        vec![SourceStatus { name: "ward".to_owned(), address, state: "listening", trouble: None }]
    }

    fn destinations(&self) -> Vec<DestinationStatus> {
        let trouble = Some("the far system is silent".to_owned());
        vec![DestinationStatus { name: "archive".to_owned(), state: "waiting", open: 3, trouble }]
    }
}
