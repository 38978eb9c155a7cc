//! A listener with an intake that answers as told, and a client that speaks raw bytes.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

pub mod authority;
pub mod far;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::clock::{FakeClock, Timestamp};
use adapters::hl7v2::listener::{Counters, Listener, Options};
use adapters::hl7v2::mllp::{Decoder, Event, encode};
use adapters::limits::{FrameLimits, ListenLimits};
use adapters::{Arrival, Breach, BreachKind, Intake, Reply, Source, SourceError, tls};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// For anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test when `future` takes too long.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// Waits until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Fails the test when `condition` comes to hold within `span`.
pub async fn never(span: Duration, condition: impl Fn() -> bool) {
    let held = tokio::time::timeout(span, until(condition)).await;
    assert!(held.is_err(), "what must not happen happened");
}

/// Answers `AA <body>`; refuses with `AR <kind>`. A body that begins with PANIC panics, one that begins with
/// SILENT has no answer, one that begins with LATER has a later one too, one with SLOW waits for a release.
pub struct TestIntake {
    pub received: Mutex<Vec<Arrival>>,
    pub refused: Mutex<Vec<Breach>>,
    pub later: Mutex<Vec<oneshot::Sender<Bytes>>>,
    /// Bodies in the order in which their calls were first polled.
    pub begun: Mutex<Vec<Bytes>>,
    held: watch::Sender<bool>,
}

impl TestIntake {
    pub fn new() -> Arc<TestIntake> {
        Arc::new(TestIntake {
            received: Mutex::default(),
            refused: Mutex::default(),
            later: Mutex::default(),
            begun: Mutex::default(),
            held: watch::Sender::new(false),
        })
    }

    /// Keeps every message in hand until released.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    pub fn bodies(&self) -> Vec<String> {
        self.received.lock().expect("lock").iter().map(|a| String::from_utf8_lossy(&a.bytes).into_owned()).collect()
    }

    pub fn begun_count(&self) -> usize {
        self.begun.lock().expect("lock").len()
    }

    pub fn breaches(&self) -> Vec<(BreachKind, usize)> {
        self.refused.lock().expect("lock").iter().map(|b| (b.kind, b.arrival.bytes.len())).collect()
    }
}

#[async_trait]
impl Intake for TestIntake {
    async fn receive(&self, arrival: Arrival) -> Reply {
        self.begun.lock().expect("lock").push(arrival.bytes.clone());
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        assert!(!arrival.bytes.starts_with(b"PANIC"), "as the test wants it");
        let now = Some(Bytes::from([b"AA ", arrival.bytes.as_ref()].concat()));
        let mut reply = Reply { now, later: None };
        if arrival.bytes.starts_with(b"SILENT") {
            reply.now = None;
        }
        if arrival.bytes.starts_with(b"LATER") {
            let (sender, receiver) = oneshot::channel();
            self.later.lock().expect("lock").push(sender);
            reply.later = Some(receiver);
        }
        self.received.lock().expect("lock").push(arrival);
        reply
    }

    async fn refuse(&self, breach: Breach) -> Reply {
        let kind = breach.kind;
        self.refused.lock().expect("lock").push(breach);
        let name = match kind {
            BreachKind::FrameTooLarge { .. } => "too large",
            BreachKind::FrameTooSlow { .. } => "too slow",
            BreachKind::FrameCut => "cut",
            BreachKind::TooManyConnections { .. } => "too many",
        };
        Reply { now: Some(Bytes::from(format!("AR {name}"))), later: None }
    }
}

/// A listener at work.
pub struct Running {
    pub address: SocketAddr,
    pub intake: Arc<TestIntake>,
    pub counters: Arc<Counters>,
    drain: watch::Sender<bool>,
    task: JoinHandle<Result<(), SourceError>>,
}

pub fn options(limits: ListenLimits) -> Options {
    Options {
        name: "kasr-al-ainy".into(),
        address: "127.0.0.1:0".to_owned(),
        limits,
        tls: None,
        unframed: false,
        clock: Arc::new(FakeClock::new(Timestamp(1_700_000_000_000_000))),
    }
}

/// Small sizes, and deadlines that no test waits for by accident.
pub fn limits() -> ListenLimits {
    ListenLimits {
        frame: FrameLimits {
            frame_bytes_max: 64 * 1024,
            kept_bytes_max: 1024,
            skipped_bytes_max: 1024 * 1024,
            junk_bytes_max: 1024,
        },
        linger_deadline: Duration::from_millis(300),
        ..ListenLimits::default()
    }
}

impl Running {
    pub async fn start(limits: ListenLimits) -> Running {
        Running::start_with(options(limits)).await
    }

    pub async fn start_with_tls(limits: ListenLimits, server: Arc<tls::Server>) -> Running {
        Running::start_with(Options { tls: Some(server), ..options(limits) }).await
    }

    pub async fn start_with(options: Options) -> Running {
        let intake = TestIntake::new();
        let mut listener = Listener::new(options);
        let counters = listener.counters();
        let mut bound = listener.bound();
        let (drain, draining) = watch::channel(false);
        let taken_by = Arc::clone(&intake);
        let task = tokio::spawn(async move { listener.run(taken_by, draining).await });
        let address = soon(bound.wait_for(Option::is_some)).await.expect("bound").expect("an address");
        Running { address, intake, counters, drain, task }
    }

    pub async fn client(&self) -> Client<TcpStream> {
        Client::new(soon(TcpStream::connect(self.address)).await.expect("connects"))
    }

    pub fn open_connections(&self) -> u64 {
        self.counters.connections_open.load(Ordering::Relaxed)
    }

    pub fn begin_drain(&self) {
        self.drain.send_replace(true);
    }

    pub async fn stopped(self) -> Result<(), SourceError> {
        soon(self.task).await.expect("no panic")
    }

    pub async fn stop(self) -> Result<(), SourceError> {
        self.begin_drain();
        self.stopped().await
    }
}

/// The other end of a connection.
pub struct Client<S> {
    pub stream: S,
    decoder: Decoder,
    events: VecDeque<Event>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Client { stream, decoder: Decoder::new(FrameLimits::default()), events: VecDeque::new() }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.expect("written");
        soon(self.stream.flush()).await.expect("flushed");
    }

    pub async fn send(&mut self, body: &str) {
        self.write(&encode(body.as_bytes())).await;
    }

    /// The next answer; nothing if the listener closed the connection. A reset fails the test.
    pub async fn answer(&mut self) -> Option<String> {
        soon(async {
            loop {
                match self.events.pop_front() {
                    Some(Event::Frame(body)) => return Some(String::from_utf8_lossy(&body).into_owned()),
                    Some(other) => panic!("{other:?} from the listener"),
                    None => {}
                }
                let mut piece = [0; 4096];
                match self.stream.read(&mut piece).await.expect("no reset") {
                    0 => return None,
                    count => self.decoder.feed(&piece[..count], &mut self.events),
                }
            }
        })
        .await
    }

    pub async fn ask(&mut self, body: &str) -> Option<String> {
        self.send(body).await;
        self.answer().await
    }
}
