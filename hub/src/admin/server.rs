//! The server: bound early, so that a taken port ends the start; served until drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use adapters::{Drain, tls};
use tokio::sync::{Semaphore, watch};

use super::control::Control;
use super::{caller, guard, router};
use crate::config::{HttpSettings, Limits};

/// The largest body of a request in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Connections in the system's queue.
const BACKLOG: u32 = 512;
/// TLS handshakes at once.
const HANDSHAKES_MAX: usize = 32;
/// For the head of a request, from its first byte.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// For the other side to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// A connection without a request for this long is closed.
const IDLE_DEADLINE: Duration = Duration::from_secs(75);
/// For requests in hand when draining begins, in seconds.
const DRAIN_DEADLINE_SECONDS: u64 = 5;

/// What a server is built from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens, and how.
    pub http: HttpSettings,
    /// Bounds of the process.
    pub limits: Limits,
}

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address could not be listened on.
    #[error("HUB0811 cannot listen for HTTP on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificates cannot be used.
    #[error("HUB0812 {0}")]
    Tls(#[from] tls::Error),
    /// It ended by itself.
    #[error("HUB0813 the HTTP server failed: {0}")]
    Failed(std::io::Error),
}

/// What every request may use.
pub(super) struct Api {
    pub control: Arc<dyn Control>,
    /// Host names under which the hub is asked.
    pub names: Vec<String>,
    /// Room for watchers of the tap.
    pub taps: Arc<Semaphore>,
    /// True once draining has begun.
    pub drain: Drain,
}

/// The HTTP interface, bound and not serving yet.
pub struct Server {
    server: actix_web::dev::Server,
    address: SocketAddr,
    draining: watch::Sender<bool>,
}

impl Server {
    /// Binds the address. Connections wait in the system's queue until [`Server::run`].
    pub fn bind(options: Options, control: Arc<dyn Control>) -> Result<Server, Error> {
        let (draining, drain) = watch::channel(false);
        let Options { http, limits } = options;
        let api =
            web::Data::new(Api { control, names: http.names, taps: Arc::new(Semaphore::new(limits.taps)), drain });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::clone(&api))
                .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
                .wrap(from_fn(guard::around))
                .configure(router::configure)
        })
        .workers(1)
        .disable_signals()
        .max_connections(limits.http_connections)
        .max_connection_rate(HANDSHAKES_MAX)
        .backlog(BACKLOG)
        .keep_alive(IDLE_DEADLINE)
        .client_request_timeout(HEAD_DEADLINE)
        .client_disconnect_timeout(CLOSE_DEADLINE)
        .shutdown_timeout(DRAIN_DEADLINE_SECONDS)
        .on_connect(caller::note);
        let listen = |source| Error::Listen { address: http.listen, source };
        let bound = match http.tls {
            None => server.bind(http.listen).map_err(listen)?,
            Some(files) => {
                let identity = tls::IdentityFiles { certificate: files.certificate, key: files.key };
                let config = tls::Server::load(tls::ServerFiles { identity, client_ca: files.client_ca })?.config();
                server.bind_rustls_0_23(http.listen, (*config).clone()).map_err(listen)?
            }
        };
        let address = bound.addrs().first().copied().unwrap_or(http.listen);
        Ok(Server { server: bound.run(), address, draining })
    }

    /// Where it listens, with the port that the system gave for 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` turns true; requests in hand are finished then.
    pub async fn run(self, mut drain: Drain) -> Result<(), Error> {
        let Server { server, draining, .. } = self;
        let handle = server.handle();
        tokio::pin!(server);
        tokio::select! {
            ended = &mut server => return ended.map_err(Error::Failed),
            // A sender that is gone has nothing more to drain.
            _ = drain.wait_for(|begun| *begun) => {}
        }
        draining.send_replace(true);
        let (ended, ()) = tokio::join!(server, handle.stop(true));
        ended.map_err(Error::Failed)
    }
}
