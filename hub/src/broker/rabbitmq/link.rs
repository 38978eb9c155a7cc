//! One connection to RabbitMQ, made again when it is lost.
//!
//! In comes where the broker is; out come channels of the connection that lives. Promised: a dead connection is
//! noticed within 15 s by heartbeats, and is told once; every wait has a deadline (H6). Refused: nothing is retried
//! here; who needs a channel asks again.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::BrokerTls;

/// Longest wait for a connection, and for a channel of it.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Heartbeats in seconds: a connection without a byte for twice as long is dead.
const HEARTBEAT_SECONDS: u16 = 6;

/// How RabbitMQ is reached. It holds a password, and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// `amqp://user:password@host:port/vhost`, or `amqps`.
    pub url: String,
    /// Files of TLS, for `amqps`.
    pub tls: BrokerTls,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

/// Why RabbitMQ cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection, or it ended.
    #[error("HUB0503 RabbitMQ cannot be reached: {0}")]
    Away(String),
    /// User or password.
    #[error("HUB0170 RabbitMQ refuses the user or the password")]
    Denied,
    /// The virtual host.
    #[error("HUB0171 RabbitMQ refuses the virtual host: {0}")]
    NoVirtualHost(String),
    /// A queue of that name exists and is another one.
    #[error("HUB0172 a queue exists with other arguments: {0}")]
    OtherQueue(String),
    /// The user may not do what has to be done.
    #[error("HUB0173 RabbitMQ does not permit it: {0}")]
    NotPermitted(String),
    /// The queue is not there.
    #[error("HUB0504 a queue is not there: {0}")]
    NoQueue(String),
    /// The address, or a file that it names.
    #[error("HUB0174 the access to RabbitMQ cannot be used: {0}")]
    Access(String),
}

impl From<lapin::Error> for Fault {
    fn from(error: lapin::Error) -> Fault {
        let ErrorKind::ProtocolError(told) = error.kind() else { return Fault::Away(error.to_string()) };
        let text = told.get_message().to_string();
        // AMQP 0-9-1, constants: access refused, not found, precondition failed, not allowed.
        match told.get_id() {
            403 if text.contains("Login was refused") => Fault::Denied,
            403 => Fault::NotPermitted(text),
            404 => Fault::NoQueue(text),
            406 => Fault::OtherQueue(text),
            530 => Fault::NoVirtualHost(text),
            _ => Fault::Away(text),
        }
    }
}

impl Fault {
    /// Whether it may pass by itself. What does not has to be changed by a person.
    pub fn is_passing(&self) -> bool {
        matches!(self, Fault::Away(_) | Fault::NoQueue(_))
    }
}

/// A connection that is made again.
pub(super) struct Link {
    access: Access,
    name: &'static str,
    connection: Mutex<Option<Connection>>,
    blocked: Arc<AtomicBool>,
    on_loss: Arc<dyn Fn() + Send + Sync>,
}

impl Link {
    /// No connection yet. `on_loss` is called when one has ended.
    pub fn new(access: Access, name: &'static str, on_loss: Arc<dyn Fn() + Send + Sync>) -> Link {
        Link { access, name, connection: Mutex::default(), blocked: Arc::default(), on_loss }
    }

    /// A new channel of the connection; it is made if there is none.
    pub async fn channel(&self) -> Result<Channel, Fault> {
        let mut connection = self.connection.lock().await;
        if let Some(alive) = connection.as_ref().filter(|alive| alive.status().connected()) {
            let opened = timeout(CONNECT_DEADLINE, alive.create_channel()).await;
            return opened.map_err(|_| no_answer())?.map_err(Fault::from);
        }
        *connection = None;
        let made = timeout(CONNECT_DEADLINE, self.connect()).await.map_err(|_| no_answer())??;
        let channel = timeout(CONNECT_DEADLINE, made.create_channel()).await.map_err(|_| no_answer())??;
        *connection = Some(made);
        Ok(channel)
    }

    /// Whether the broker asked publishers to wait.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let mut uri: AMQPUri = self.access.url.parse().map_err(|_| Fault::Access("it is no AMQP URI".to_owned()))?;
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        let properties = ConnectionProperties::default().with_connection_name(self.name.into());
        let runtime = lapin::runtime::default_runtime()?;
        let tls = self.tls().await?;
        let connection = Connection::connect_uri_with_config(uri, properties, tls, runtime).await?;
        let mut events = Box::pin(connection.events_listener());
        let (blocked, on_loss) = (Arc::clone(&self.blocked), Arc::clone(&self.on_loss));
        blocked.store(false, Ordering::Release);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(reason, "RabbitMQ asks publishers to wait");
                        blocked.store(true, Ordering::Release);
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!("RabbitMQ takes records again");
                        blocked.store(false, Ordering::Release);
                    }
                    Event::Error(error) => {
                        tracing::warn!(%error, "the connection to RabbitMQ is lost");
                        break;
                    }
                    _ => {}
                }
            }
            blocked.store(false, Ordering::Release);
            on_loss();
        });
        Ok(connection)
    }

    async fn tls(&self) -> Result<OwnedTLSConfig, Fault> {
        let read = async |path: &PathBuf| {
            let unreadable = |error| Fault::Access(format!("{}: {error}", path.display()));
            tokio::fs::read(path).await.map_err(unreadable)
        };
        let cert_chain = match &self.access.tls.ca {
            Some(path) => Some(String::from_utf8_lossy(&read(path).await?).into_owned()),
            None => None,
        };
        let identity = match &self.access.tls.identity {
            Some((chain, key)) => Some(OwnedIdentity::PKCS8 { pem: read(chain).await?, key: read(key).await? }),
            None => None,
        };
        Ok(OwnedTLSConfig { identity, cert_chain })
    }
}

fn no_answer() -> Fault {
    Fault::Away("no answer in time".to_owned())
}
