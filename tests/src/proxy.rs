//! A TCP proxy that does to a connection what networks do: loses, holds, cuts, delays.
//!
//! In come connections on a port of 127.0.0.1, out go connections to one server; what happens to the bytes of each
//! direction is said by a [`Fault`], which may change at any time and then holds for open connections and new ones.
//! Promised: bytes that pass are neither changed nor reordered, a stream that lost bytes never goes on as if it had not,
//! and everything is closed when the proxy is dropped. Refused: more than [`CONNECTIONS_MAX`] connections at once.

mod carry;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};

use crate::Fallible;

/// Connections at once; those beyond wait in the listener's queue.
pub const CONNECTIONS_MAX: usize = 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From who connected to the server.
    Up,
    /// From the server to who connected.
    Down,
}

/// What happens to the bytes of a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// They are taken and thrown away. A connection that lost some is cut when this fault ends.
    Blackhole,
    /// They are not taken, as when packets are lost: they wait, and arrive when this fault ends.
    Partition,
    /// The connection is cut at a mark, in both directions, this many times; connections after that are left alone.
    Cut(Mark, u64),
    /// Each piece waits this long, so a stream of many pieces gets slow too.
    Delay(Duration),
    /// So many bytes a second at most, on each connection.
    Rate(u32),
    /// They arrive in pieces of so many bytes.
    Slice(usize),
    /// Connections are reset, the open ones and those to come.
    Reset,
}

/// Where a connection is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// When so many bytes have passed on a connection since the fault was set.
    Bytes(u64),
    /// When these bytes come. They do not arrive.
    Before(Vec<u8>),
    /// When these bytes have passed, with what came in the same piece. Nothing goes the other way any more from the
    /// moment in which they were seen: an answer to them is lost, what they ask for is done.
    After(Vec<u8>),
}

/// What the proxy saw so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Connections that it took.
    pub connections: u64,
    /// Those of them that are open.
    pub open: u64,
    /// Those of them that were cut at a mark.
    pub cuts: u64,
    /// Bytes that were handed to the server.
    pub up_bytes: u64,
    /// Bytes that the server sent and that were handed on.
    pub down_bytes: u64,
}

/// A fault as it was set once, and how often it may still cut.
#[derive(Debug)]
struct Setting {
    fault: Fault,
    cuts_left: AtomicU64,
}

impl Setting {
    fn new(fault: Fault) -> Arc<Setting> {
        let cuts = if let Fault::Cut(_, times) = &fault { *times } else { 0 };
        Arc::new(Setting { fault, cuts_left: AtomicU64::new(cuts) })
    }

    /// Takes one of the cuts that are left.
    fn take_cut(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.cuts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    open: AtomicU64,
    cuts: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

impl Counters {
    fn bytes(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Up => &self.up_bytes,
            Direction::Down => &self.down_bytes,
        }
    }
}

/// What a connection looks at.
#[derive(Clone, Debug)]
struct Faults {
    up: watch::Receiver<Arc<Setting>>,
    down: watch::Receiver<Arc<Setting>>,
    counters: Arc<Counters>,
}

/// The proxy. It runs on a thread of its own, so that tests with and without a runtime can use it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    up: watch::Sender<Arc<Setting>>,
    down: watch::Sender<Arc<Setting>>,
    counters: Arc<Counters>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `server`.
    pub fn new(server: SocketAddr) -> Fallible<Proxy> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("proxy").enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (up, up_seen) = watch::channel(Setting::new(Fault::Pass));
        let (down, down_seen) = watch::channel(Setting::new(Fault::Pass));
        let counters = Arc::<Counters>::default();
        let faults = Faults { up: up_seen, down: down_seen, counters: Arc::clone(&counters) };
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        runtime.spawn(accept(listener, server, faults));
        Ok(Proxy { address, up, down, counters, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this happens to one direction.
    pub fn set(&self, direction: Direction, fault: Fault) {
        let sender = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        sender.send_replace(Setting::new(fault));
    }

    /// From now on this happens to both directions.
    pub fn set_both(&self, fault: &Fault) {
        self.set(Direction::Up, fault.clone());
        self.set(Direction::Down, fault.clone());
    }

    /// From now on everything passes.
    pub fn heal(&self) {
        self.set_both(&Fault::Pass);
    }

    /// What it saw so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let counters = &self.counters;
        Counts {
            connections: read(&counters.connections),
            open: read(&counters.open),
            cuts: read(&counters.cuts),
            up_bytes: read(&counters.up_bytes),
            down_bytes: read(&counters.down_bytes),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Waits for nothing, since a test that has a runtime itself may drop this on it; sockets close as tasks end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, faults: Faults) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        // An error here belongs to a connection that ended before it was taken.
        let Ok((client, _)) = listener.accept().await else { continue };
        let faults = faults.clone();
        faults.counters.connections.fetch_add(1, Ordering::SeqCst);
        faults.counters.open.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            connection(client, server, &faults).await;
            faults.counters.open.fetch_sub(1, Ordering::SeqCst);
            drop(place);
        });
    }
}

/// One connection, from its beginning to its end.
async fn connection(mut client: TcpStream, server: SocketAddr, faults: &Faults) {
    // Whoever cannot reach the server is connected all the same, and hears nothing.
    let mut up = faults.up.clone();
    while matches!(up.borrow_and_update().fault, Fault::Partition) {
        if up.changed().await.is_err() {
            return;
        }
    }
    if matches!(up.borrow_and_update().fault, Fault::Blackhole) {
        carry::swallow(&mut client, &mut up).await;
        return;
    }
    let Ok(far) = TcpStream::connect(server).await else { return };
    carry::carry(client, far, faults).await;
}

#[cfg(test)]
mod tests;
