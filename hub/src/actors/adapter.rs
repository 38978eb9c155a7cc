//! Adapters under supervision: what `routes.toml` declares, as running sources and ready sinks.
//!
//! In come specifications; out go listeners that start again when they fail, and sinks for couriers. A
//! source that fails too often goes up to the root; one that is drained ends (H8).

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Clock;
use adapters::file::FileSink;
use adapters::hl7v2::{listener, sender};
use adapters::http::{self, HttpSink};
use adapters::limits::{FileLimits, FrameLimits, HttpLimits, ListenLimits, SendLimits};
use adapters::{Intake, Sink, Source, tls};
use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::supervisor::{Escalation, Intensity, Next, Policy, Root, panicked_at};
use crate::routes::{
    ClientTls, DestinationAdapter, DestinationSpec, HeaderValue, MllpSource, SourceAdapter, SourceSpec,
};

/// How long a new listener is given to take its address.
const BIND_DEADLINE: Duration = Duration::from_secs(5);

/// Why an adapter cannot be built from its specification.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Certificates.
    #[error("HUB0901 {name}: {source}")]
    Tls {
        /// The source or destination.
        name: String,
        /// What is wrong with them.
        source: tls::Error,
    },
    /// An HTTP destination.
    #[error("HUB0902 {name}: {source}")]
    Http {
        /// The destination.
        name: String,
        /// What is wrong.
        source: http::Error,
    },
    /// A secret that is named and not there.
    #[error("HUB0903 {name}: the secret {secret} cannot be read")]
    Secret {
        /// The destination.
        name: String,
        /// Its file or variable.
        secret: String,
    },
    /// A folder that cannot be made.
    #[error("HUB0904 {name}: the folder cannot be used: {source}")]
    Folder {
        /// The destination.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An address that cannot be listened on.
    #[error("HUB0905 {name}: cannot listen on {address}: {reason}")]
    Listen {
        /// The source.
        name: String,
        /// The address.
        address: String,
        /// What the system said.
        reason: String,
    },
}

/// A source that runs.
pub struct RunningSource {
    /// Its settings, to be compared at a reload.
    pub settings: MllpSource,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it counted.
    pub counters: Arc<listener::Counters>,
    /// Its certificates, to be read again at a reload.
    pub tls: Option<Arc<tls::Server>>,
    drain: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl RunningSource {
    /// Stops taking connections and frames, answers what is in hand.
    pub fn drain(&self) {
        self.drain.send_replace(true);
    }

    /// Whether it listens no more.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

/// Builds a listener, waits until it has its address, and keeps it running.
pub async fn start_source(
    spec: &SourceSpec,
    settings: &MllpSource,
    intake: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    root: Root,
) -> Result<RunningSource, BuildError> {
    let name: Arc<str> = spec.name.as_str().into();
    let tls = server_tls(spec, settings)?;
    let options = listener::Options {
        name: Arc::clone(&name),
        address: settings.listen.to_string(),
        limits: listen_limits(settings),
        tls: tls.clone(),
        unframed: settings.unframed,
        clock,
    };
    let listener = listener::Listener::new(options);
    let (counters, mut bound) = (listener.counters(), listener.bound());
    let (drain, draining) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let (first_error, mut failed) = watch::channel(None);
    let kept = Kept { name, source: listener, intake, draining, root, first_error };
    tokio::spawn(async move {
        kept.run().await;
        end.send_replace(true);
    });
    let listening = tokio::time::timeout(BIND_DEADLINE, async {
        tokio::select! {
            taken = bound.wait_for(Option::is_some) => taken.ok().and_then(|address| *address).ok_or_else(String::new),
            error = failed.wait_for(Option::is_some) => Err(error.ok().and_then(|error| error.clone()).unwrap_or_default()),
        }
    });
    match listening.await {
        Ok(Ok(address)) => Ok(RunningSource { settings: settings.clone(), address, counters, tls, drain, ended }),
        Ok(Err(reason)) => {
            drain.send_replace(true);
            Err(BuildError::Listen { name: spec.name.clone(), address: settings.listen.to_string(), reason })
        }
        Err(_) => {
            drain.send_replace(true);
            let reason = "no answer from the system".to_owned();
            Err(BuildError::Listen { name: spec.name.clone(), address: settings.listen.to_string(), reason })
        }
    }
}

/// A source that is kept running.
struct Kept {
    name: Arc<str>,
    source: listener::Listener,
    intake: Arc<dyn Intake>,
    draining: watch::Receiver<bool>,
    root: Root,
    first_error: watch::Sender<Option<String>>,
}

impl Kept {
    /// Runs until drained; failures and panics start it again, up to the intensity.
    async fn run(mut self) {
        let mut intensity = Intensity::new(Policy::default());
        loop {
            let run = self.source.run(Arc::clone(&self.intake), self.draining.clone());
            let cause = match AssertUnwindSafe(run).catch_unwind().await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => panicked_at(),
            };
            self.first_error.send_replace(Some(cause.clone()));
            tracing::warn!(source = %self.name, %cause, "the source failed");
            match intensity.failed(Instant::now()) {
                Next::Restart(wait) => {
                    if tokio::time::timeout(wait, self.draining.wait_for(|draining| *draining)).await.is_ok() {
                        return;
                    }
                }
                Next::Escalate => {
                    let _ = self.root.send(Escalation { part: format!("source {}", self.name), cause }).await;
                    return;
                }
            }
        }
    }
}

fn server_tls(spec: &SourceSpec, settings: &MllpSource) -> Result<Option<Arc<tls::Server>>, BuildError> {
    let Some(files) = &settings.tls else { return Ok(None) };
    let files = tls::ServerFiles {
        identity: tls::IdentityFiles { certificate: files.certificate.clone(), key: files.key.clone() },
        client_ca: files.client_ca.clone(),
    };
    let loaded = tls::Server::load(files);
    loaded.map(|server| Some(Arc::new(server))).map_err(|source| BuildError::Tls { name: spec.name.clone(), source })
}

fn listen_limits(settings: &MllpSource) -> ListenLimits {
    let frame = FrameLimits { frame_bytes_max: settings.max_frame, ..FrameLimits::default() };
    ListenLimits {
        frame,
        connections_max: settings.connections,
        window: settings.window,
        idle_deadline: settings.idle,
        frame_deadline: settings.frame_time,
        ..ListenLimits::default()
    }
}

/// The MLLP settings of a source, if it is one.
pub fn mllp_settings(spec: &SourceSpec) -> Option<&MllpSource> {
    match &spec.adapter {
        SourceAdapter::Mllp(settings) => Some(settings),
        SourceAdapter::Events(_) => None,
    }
}

/// Builds the sink of a destination.
pub fn build_sink(spec: &DestinationSpec, clock: Arc<dyn Clock>) -> Result<Arc<dyn Sink>, BuildError> {
    match &spec.adapter {
        DestinationAdapter::File(file) => {
            std::fs::create_dir_all(&file.folder)
                .map_err(|source| BuildError::Folder { name: spec.name.clone(), source })?;
            Ok(Arc::new(FileSink::new(file.folder.clone(), &file.extension, FileLimits::default())))
        }
        DestinationAdapter::Http(http) => {
            let mut headers = Vec::with_capacity(http.headers.len());
            for (name, value) in &http.headers {
                headers.push((name.clone(), secret(spec, value)?));
            }
            let options = http::Options {
                url: http.url.clone(),
                method: http::Method::Post,
                headers,
                limits: HttpLimits { exchange_deadline: http.timeout, ..HttpLimits::default() },
                tls: client_tls(spec, http.tls.as_ref())?,
                clock,
            };
            let sink = HttpSink::new(options).map_err(|source| BuildError::Http { name: spec.name.clone(), source })?;
            Ok(Arc::new(sink))
        }
        DestinationAdapter::Mllp(mllp) => {
            let limits = SendLimits {
                connections: mllp.connections,
                connect_deadline: mllp.timeout,
                answer_deadline: mllp.timeout,
                ..SendLimits::default()
            };
            let host = mllp.connect.rsplit_once(':').map_or(mllp.connect.as_str(), |(host, _)| host);
            let tls = match (client_tls(spec, mllp.tls.as_ref())?, &mllp.tls) {
                (Some(client), Some(files)) => {
                    let name = tls::server_name(files.server_name.as_deref().unwrap_or(host))
                        .map_err(|source| BuildError::Tls { name: spec.name.clone(), source })?;
                    Some(sender::Tls { client, server_name: name })
                }
                _ => None,
            };
            let options = sender::Options { address: mllp.connect.clone(), limits, tls, retry_ar: mllp.retry_ar };
            Ok(Arc::new(sender::MllpSink::new(options)))
        }
    }
}

fn client_tls(spec: &DestinationSpec, files: Option<&ClientTls>) -> Result<Option<Arc<tls::Client>>, BuildError> {
    let Some(files) = files else { return Ok(None) };
    let identity = files.identity.clone().map(|(certificate, key)| tls::IdentityFiles { certificate, key });
    let loaded = tls::Client::load(tls::ClientFiles { ca: Some(files.ca.clone()), identity });
    loaded.map(|client| Some(Arc::new(client))).map_err(|source| BuildError::Tls { name: spec.name.clone(), source })
}

fn secret(spec: &DestinationSpec, value: &HeaderValue) -> Result<String, BuildError> {
    let missing = |secret: String| BuildError::Secret { name: spec.name.clone(), secret };
    match value {
        HeaderValue::Plain(text) => Ok(text.clone()),
        HeaderValue::File(path) => std::fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .map_err(|_| missing(path.display().to_string())),
        HeaderValue::Environment(name) => std::env::var(name).map_err(|_| missing(format!("${name}"))),
    }
}
