//! A way in for HL7 v2 over MLLP.
//!
//! In come connections; out go the bodies of their frames to the [`Intake`], and its answers back, framed,
//! in the order of receipt. Promised: only what the intake answered is sent (H1); one connection's trouble
//! stays its own (H8); draining answers what is in hand. Refused, with a negative answer and not a silent
//! reset (H6): a frame over the limit, too slow, or cut, and a connection over the limit.

mod answers;
mod connection;
mod gate;
mod hand;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::connection::{Caller, Connection};
use self::gate::{Admission, Gate, Pace};
use crate::clock::Clock;
use crate::limits::ListenLimits;
use crate::{Drain, Intake, Principal, Source, SourceError, tcp, tls};

/// After a failed accept, mostly because files ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Failed accepts in a row after which the listener gives up: a minute.
const ACCEPT_FAILURES_MAX: u32 = 600;

/// What a listener is built from.
pub struct Options {
    /// The source's own name: the principal of a peer that shows no certificate.
    pub name: Arc<str>,
    /// `host:port`; port 0 takes a free one, see [`Listener::bound`].
    pub address: String,
    /// Its bounds.
    pub limits: ListenLimits,
    /// Plain without it.
    pub tls: Option<Arc<tls::Server>>,
    /// Whether messages without a frame are taken too.
    pub unframed: bool,
    /// Says when a message arrived.
    pub clock: Arc<dyn Clock>,
}

/// What a listener counted since it was built. `connections_open` goes up and down, the rest only up.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that stand, TLS handshakes included.
    pub connections_open: AtomicU64,
    /// Connections that were let in.
    pub connections_accepted: AtomicU64,
    /// Connections over a limit, answered or not.
    pub connections_refused: AtomicU64,
    /// TLS handshakes that failed or took too long, and peers without a usable name.
    pub handshakes_failed: AtomicU64,
    /// Frames handed to the intake.
    pub frames: AtomicU64,
    /// Frames too large, too slow or cut.
    pub frames_refused: AtomicU64,
    /// Frames lost because another began inside them (`mllp.resync`).
    pub resyncs: AtomicU64,
    /// Bytes outside of frames (`mllp.junk`).
    pub junk_bytes: AtomicU64,
}

/// Listens for MLLP.
pub struct Listener {
    shared: Arc<Shared>,
    bound: watch::Sender<Option<SocketAddr>>,
}

/// What all connections of a listener need.
struct Shared {
    options: Options,
    counters: Arc<Counters>,
    /// Bytes held by all connections.
    held_bytes: AtomicUsize,
}

impl Listener {
    /// A listener that is not listening yet.
    pub fn new(options: Options) -> Listener {
        let shared = Shared { options, counters: Arc::default(), held_bytes: AtomicUsize::new(0) };
        Listener { shared: Arc::new(shared), bound: watch::Sender::new(None) }
    }

    /// The address that is being listened on; nothing before and after.
    pub fn bound(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.bound.subscribe()
    }

    /// What happened so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }
}

#[async_trait]
impl Source for Listener {
    async fn run(&mut self, intake: Arc<dyn Intake>, drain: Drain) -> Result<(), SourceError> {
        let options = &self.shared.options;
        let (listener, address) =
            bind(options).await.map_err(|source| SourceError::Listen { address: options.address.clone(), source })?;
        tracing::info!(source = %options.name, %address, tls = options.tls.is_some(), "listening");
        self.bound.send_replace(Some(address));

        let (stop, stopping) = watch::channel(false);
        let mut accepting = Accepting {
            shared: Arc::clone(&self.shared),
            intake,
            stopping,
            gate: Arc::new(Gate::new(&options.limits)),
            pace: Pace::new(options.limits.accepts_per_second_max),
            connections: JoinSet::new(),
        };
        let outcome = accepting.accept_until(&listener, drain).await;
        drop(listener);
        self.bound.send_replace(None);
        stop.send_replace(true);
        let drained = accepting.finish(options.limits.drain_deadline).await;
        tracing::info!(source = %options.name, %address, "no longer listening");
        outcome.and(drained)
    }
}

/// One run of a listener.
struct Accepting {
    shared: Arc<Shared>,
    intake: Arc<dyn Intake>,
    stopping: Drain,
    gate: Arc<Gate>,
    pace: Pace,
    connections: JoinSet<()>,
}

impl Accepting {
    /// Lets connections in until `drain`, or until the system fails to give any.
    async fn accept_until(&mut self, listener: &TcpListener, mut drain: Drain) -> Result<(), SourceError> {
        let mut failures = 0_u32;
        loop {
            let accepted = tokio::select! {
                biased;
                () = begun(&mut drain) => return Ok(()),
                Some(ended) = self.connections.join_next() => {
                    report_panic(ended);
                    continue;
                }
                accepted = async { self.pace.ready().await; listener.accept().await } => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failures = 0;
                    self.pace.passed();
                    self.admit(stream, peer);
                }
                Err(error) if failures < ACCEPT_FAILURES_MAX => {
                    if failures == 0 {
                        tracing::warn!(source = %self.shared.options.name, %error, "cannot accept connections");
                    }
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Err(error) => return Err(SourceError::Io(error)),
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let counters = &self.shared.counters;
        let admission = self.gate.admit(peer.ip());
        match &admission {
            Admission::Seated(_) => count(&counters.connections_accepted, 1),
            Admission::TurnedAway { .. } | Admission::Dropped => {
                count(&counters.connections_refused, 1);
                tracing::info!(source = %self.shared.options.name, %peer, "too many connections");
            }
        }
        if let Admission::Dropped = admission {
            return;
        }
        let visit = Visit {
            shared: Arc::clone(&self.shared),
            intake: Arc::clone(&self.intake),
            stopping: self.stopping.clone(),
            peer,
            admission,
        };
        self.connections.spawn(visit.run(stream));
    }

    /// Waits for the connections to answer what they have in hand.
    async fn finish(&mut self, deadline: Duration) -> Result<(), SourceError> {
        let ended = async {
            while let Some(ended) = self.connections.join_next().await {
                report_panic(ended);
            }
        };
        if tokio::time::timeout(deadline, ended).await.is_ok() {
            return Ok(());
        }
        let connections = self.connections.len();
        self.connections.shutdown().await;
        Err(SourceError::Undrained { connections })
    }
}

/// One connection, from the accept to the close.
struct Visit {
    shared: Arc<Shared>,
    intake: Arc<dyn Intake>,
    stopping: Drain,
    peer: SocketAddr,
    admission: Admission,
}

impl Visit {
    async fn run(self, stream: TcpStream) {
        let counters = Arc::clone(&self.shared.counters);
        let _open = Open::new(&counters);
        if let Err(error) = tcp::prepare(&stream, self.shared.options.limits.keepalive) {
            tracing::debug!(peer = %self.peer, %error, "connection lost at once");
            return;
        }
        match self.shared.options.tls.clone() {
            None => {
                let principal = Principal(Arc::clone(&self.shared.options.name));
                self.serve(stream, principal).await;
            }
            // Boxed, so that a plain connection does not pay for the size of a handshake.
            Some(server) => Box::pin(self.serve_by_tls(stream, server)).await,
        }
    }

    async fn serve_by_tls(mut self, plain: TcpStream, server: Arc<tls::Server>) {
        let acceptor = tokio_rustls::TlsAcceptor::from(server.config());
        let handshake = tokio::time::timeout(self.shared.options.limits.handshake_deadline, acceptor.accept(plain));
        let shaken = tokio::select! {
            biased;
            () = begun(&mut self.stopping) => return,
            shaken = handshake => shaken,
        };
        let refusal = match shaken {
            Ok(Ok(stream)) => match self.principal(&server, &stream) {
                Some(principal) => return self.serve(stream, principal).await,
                None => "its certificate has no usable name".to_owned(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the handshake took too long".to_owned(),
        };
        count(&self.shared.counters.handshakes_failed, 1);
        tracing::info!(source = %self.shared.options.name, peer = %self.peer, reason = refusal, "tls refused");
    }

    fn principal(
        &self,
        server: &tls::Server,
        stream: &tokio_rustls::server::TlsStream<TcpStream>,
    ) -> Option<Principal> {
        if !server.asks_for_client_certificate() {
            return Some(Principal(Arc::clone(&self.shared.options.name)));
        }
        let (_, session) = stream.get_ref();
        tls::peer_name(session.peer_certificates()?).map(|name| Principal(name.into()))
    }

    async fn serve<S>(self, stream: S, principal: Principal)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    {
        let caller = Caller { principal, peer: self.peer.to_string().into() };
        let connection = Connection::new(stream, caller, self.shared, self.intake);
        match self.admission {
            Admission::Seated(_seat) => connection.serve(self.stopping).await,
            Admission::TurnedAway { kind, _permit } => connection.turn_away(kind).await,
            Admission::Dropped => {}
        }
    }
}

/// Counts a connection while it stands.
struct Open<'a>(&'a Counters);

impl<'a> Open<'a> {
    fn new(counters: &'a Counters) -> Self {
        count(&counters.connections_open, 1);
        Open(counters)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Listens on the first address of the configured name that can be listened on.
async fn bind(options: &Options) -> std::io::Result<(TcpListener, SocketAddr)> {
    let mut failure = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in tokio::net::lookup_host(&options.address).await? {
        match listen(address, options.limits.backlog) {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                return Ok((listener, bound));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart may listen again while connections of the last run are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Returns once draining has begun, or its owner is gone.
async fn begun(drain: &mut Drain) {
    let _ = drain.wait_for(|draining| *draining).await;
}

fn after(start: Instant, wait: Duration) -> Instant {
    start.checked_add(wait).unwrap_or(start)
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection panicked");
    }
}
