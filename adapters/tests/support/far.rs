//! A far system that follows a script, and what a destination says of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::hl7v2::mllp::{Decoder, Event, encode};
use adapters::hl7v2::sender::{MllpSink, Options};
use adapters::limits::{FrameLimits, SendLimits};
use adapters::{Format, Parcel, Sink, Verdict};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::soon;

pub const DEADLINE: Duration = Duration::from_millis(300);

pub fn parcel(id: &str) -> Parcel {
    Parcel {
        idempotency_key: format!("delivery-{id}"),
        body: Bytes::from(format!("MSH|^~\\&|HUB|NDP|LAB|H|20261124||RDE^O11|{id}|P|2.5.1\rPID|1||CANARY\r")),
        format: Format::Hl7v2,
        attempt: 1,
    }
}

pub fn acknowledgement(code: &str, id: &str) -> Vec<u8> {
    let body = format!("MSH|^~\\&|LAB|H|HUB|NDP|20261124||ACK|x|P|2.5.1\rMSA|{code}|{id}|CANARY\r");
    encode(body.as_bytes()).to_vec()
}

/// What a far system does about one message.
pub enum Step {
    /// Writes these bytes at once.
    Write(Vec<u8>),
    /// Writes the first bytes, then the others when told.
    Split(Vec<u8>, oneshot::Receiver<()>, Vec<u8>),
    /// Writes nothing and stays.
    Silence,
    /// Closes the connection.
    Close,
    /// Writes these bytes and closes the connection.
    WriteAndClose(Vec<u8>),
}

/// A far system that follows a script, one step a message, whatever the connection.
pub struct Peer {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Bytes>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Peer {
    pub async fn start(script: Vec<Step>) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("address");
        let connections = Arc::new(AtomicUsize::new(0));
        let received: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&received));
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                served.spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Peer { address, connections, received, task }
    }

    pub fn sink(&self) -> MllpSink {
        self.sink_with(|_| {})
    }

    pub fn sink_with(&self, change: impl FnOnce(&mut Options)) -> MllpSink {
        let limits = SendLimits { answer_deadline: DEADLINE, answer_bytes_max: 4096, ..SendLimits::default() };
        let mut options = Options { address: self.address.to_string(), limits, tls: None, retry_ar: false };
        change(&mut options);
        MllpSink::new(options)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn received(&self) -> Vec<Bytes> {
        self.received.lock().expect("lock").clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Step>>>, seen: Arc<Mutex<Vec<Bytes>>>) {
    let mut decoder = Decoder::new(FrameLimits::default());
    let mut events = VecDeque::new();
    let mut piece = Vec::new();
    loop {
        piece.clear();
        match stream.read_buf(&mut piece).await {
            Ok(1..) => decoder.feed(&piece, &mut events),
            Ok(0) | Err(_) => return,
        }
        while let Some(Event::Frame(body)) = events.pop_front() {
            seen.lock().expect("lock").push(body);
            let step = script.lock().expect("lock").pop_front().expect("a step for each message");
            match step {
                Step::Write(bytes) => stream.write_all(&bytes).await.expect("written"),
                Step::Split(first, go_on, rest) => {
                    stream.write_all(&first).await.expect("written");
                    let _ = go_on.await;
                    // The sink may have closed the connection by now: a late answer meets nobody.
                    let _ = stream.write_all(&rest).await;
                }
                Step::Silence => {}
                Step::Close => return,
                Step::WriteAndClose(bytes) => return stream.write_all(&bytes).await.expect("written"),
            }
        }
    }
}

pub fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Delivered { answer } => answer,
        Verdict::Rejected { reason } | Verdict::Retry { reason, .. } => reason,
    }
}

pub fn class(verdict: &Verdict) -> &'static str {
    assert!(!reason(verdict).contains("CANARY"), "{verdict:?}");
    match verdict {
        Verdict::Delivered { .. } => "delivered",
        Verdict::Rejected { .. } => "rejected",
        Verdict::Retry { .. } => "retry",
    }
}

pub async fn deliver(sink: &MllpSink, id: &str) -> Verdict {
    soon(sink.deliver(&parcel(id))).await
}
