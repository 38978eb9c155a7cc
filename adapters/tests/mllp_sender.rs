//! The MLLP destination against far systems that behave, and against those that do not.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::hl7v2::mllp::{Decoder, Event, encode};
use adapters::hl7v2::sender::{MllpSink, Options, Tls};
use adapters::limits::{FrameLimits, SendLimits};
use adapters::{Arrival, Breach, Format, Intake, Parcel, Reply, Sink, Source, Verdict, tls};
use async_trait::async_trait;
use bytes::Bytes;
use support::authority::{Authority, Validity};
use support::{soon, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

const DEADLINE: Duration = Duration::from_millis(300);

fn parcel(id: &str) -> Parcel {
    Parcel {
        idempotency_key: format!("delivery-{id}"),
        body: Bytes::from(format!("MSH|^~\\&|HUB|NDP|LAB|H|20261124||RDE^O11|{id}|P|2.5.1\rPID|1||CANARY\r")),
        format: Format::Hl7v2,
        attempt: 1,
    }
}

fn acknowledgement(code: &str, id: &str) -> Vec<u8> {
    let body = format!("MSH|^~\\&|LAB|H|HUB|NDP|20261124||ACK|x|P|2.5.1\rMSA|{code}|{id}|CANARY\r");
    encode(body.as_bytes()).to_vec()
}

/// What a far system does about one message.
enum Step {
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
struct Peer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Bytes>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Peer {
    async fn start(script: Vec<Step>) -> Peer {
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

    fn sink(&self) -> MllpSink {
        self.sink_with(|_| {})
    }

    fn sink_with(&self, change: impl FnOnce(&mut Options)) -> MllpSink {
        let limits = SendLimits { answer_deadline: DEADLINE, answer_bytes_max: 4096, ..SendLimits::default() };
        let mut options = Options { address: self.address.to_string(), limits, tls: None, retry_ar: false };
        change(&mut options);
        MllpSink::new(options)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn received(&self) -> Vec<Bytes> {
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

fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Delivered { answer } => answer,
        Verdict::Rejected { reason } | Verdict::Retry { reason, .. } => reason,
    }
}

fn class(verdict: &Verdict) -> &'static str {
    assert!(!reason(verdict).contains("CANARY"), "{verdict:?}");
    match verdict {
        Verdict::Delivered { .. } => "delivered",
        Verdict::Rejected { .. } => "rejected",
        Verdict::Retry { .. } => "retry",
    }
}

async fn deliver(sink: &MllpSink, id: &str) -> Verdict {
    soon(sink.deliver(&parcel(id))).await
}

/// Lets what the peer did on an idle connection arrive: nothing tells this side when it has.
async fn arrived() {
    support::never(Duration::from_millis(50), || false).await;
}

#[tokio::test]
async fn every_code_has_its_verdict() {
    let cases = [
        ("AA", "delivered"),
        ("CA", "delivered"),
        ("aa ", "delivered"),
        ("AE", "rejected"),
        ("AR", "rejected"),
        ("CR", "rejected"),
        ("CE", "retry"),
        ("XX", "retry"),
        ("", "retry"),
    ];
    for (code, expected) in cases {
        let peer = Peer::start(vec![Step::Write(acknowledgement(code, "A1"))]).await;
        let verdict = deliver(&peer.sink(), "A1").await;
        assert_eq!(class(&verdict), expected, "{code}: {verdict:?}");
        assert_eq!(peer.received(), [parcel("A1").body]);
    }
}

#[tokio::test]
async fn the_errors_that_were_reported_are_named_by_their_codes_alone() {
    let answer = "MSH|^~\\&|LAB||||||ACK|x|P|2.5.1\rMSA|AE|A1|CANARY\r\
                  ERR||PID^1^3|101^CANARY|E|CANARY||CANARY\rERR||PID^1^5|104|E\rERR||PID|29001011234567|E\r";
    let peer = Peer::start(vec![Step::Write(encode(answer.as_bytes()).to_vec())]).await;
    let verdict = deliver(&peer.sink(), "A1").await;
    assert_eq!((class(&verdict), reason(&verdict)), ("rejected", "answered AE, errors 101 104"));
}

#[tokio::test]
async fn an_ar_or_cr_is_tried_again_where_the_options_say_so() {
    for (code, expected) in [("AR", "retry"), ("CR", "retry"), ("AE", "rejected")] {
        let peer = Peer::start(vec![Step::Write(acknowledgement(code, "A1"))]).await;
        let verdict = deliver(&peer.sink_with(|options| options.retry_ar = true), "A1").await;
        assert_eq!(class(&verdict), expected, "{code}");
    }
}

#[tokio::test]
async fn messages_share_a_connection_while_their_answers_come() {
    let answers = ["AA", "AE", "CE", "AA"].iter().enumerate();
    let script = answers.map(|(nth, code)| Step::Write(acknowledgement(code, &format!("A{nth}")))).collect();
    let peer = Peer::start(script).await;
    let sink = peer.sink();
    let mut classes = Vec::new();
    for nth in 0..4 {
        classes.push(class(&deliver(&sink, &format!("A{nth}")).await));
    }
    assert_eq!(classes, ["delivered", "rejected", "retry", "delivered"]);
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn sloppy_answers_are_understood() {
    let text = |text: &str| Step::Write(encode(text.as_bytes()).to_vec());
    let script = vec![
        text("MSH|^~\\&|LAB\rMSA|AA| A1 \r"),
        text("MSH|^~\\&|LAB\rMSA|AA\r"),
        text("MSH|^~\\&|LAB\rMSA|AA|\r"),
        text("MSH|^~\\&|LAB\nMSA|AA|A1\n"),
        text("\r\nMSH#^~\\&#LAB\r\nMSA#AA#A1#"),
        Step::Write([b"\r\n".as_slice(), &acknowledgement("AA", "A1"), b"\n\0"].concat()),
    ];
    let count = script.len();
    let peer = Peer::start(script).await;
    let sink = peer.sink();
    for _ in 0..count {
        assert_eq!(deliver(&sink, "A1").await, Verdict::Delivered { answer: "answered AA".to_owned() });
    }
}

#[tokio::test]
async fn no_answer_is_a_retry_on_a_new_connection_with_the_same_message() {
    let peer = Peer::start(vec![Step::Silence, Step::Write(acknowledgement("AA", "A1"))]).await;
    let sink = peer.sink();
    let first = deliver(&sink, "A1").await;
    assert_eq!((class(&first), reason(&first)), ("retry", "no answer came in time"));
    assert_eq!(class(&deliver(&sink, "A1").await), "delivered");
    assert_eq!(peer.connections(), 2);
    assert_eq!(peer.received(), [parcel("A1").body, parcel("A1").body]);
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_that_of_a_later_message() {
    let (answer_late, told) = oneshot::channel();
    // The late answer names no message, so only the closed connection keeps it from the second one.
    let late = Step::Split(vec![], told, acknowledgement("AA", ""));
    let peer = Peer::start(vec![late, Step::Write(acknowledgement("AE", "A2"))]).await;
    let sink = peer.sink();
    assert_eq!(class(&deliver(&sink, "A1").await), "retry");
    answer_late.send(()).expect("waited for");
    assert_eq!(class(&deliver(&sink, "A2").await), "rejected");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_not_read_as_the_next() {
    let twice = [acknowledgement("AA", "A1"), acknowledgement("AA", "")].concat();
    let (send_more, told) = oneshot::channel();
    let peer = Peer::start(vec![
        Step::Write(twice),
        Step::Split(acknowledgement("AE", "A2"), told, acknowledgement("AA", "")),
        Step::Write(acknowledgement("AR", "A3")),
    ])
    .await;
    let sink = peer.sink();
    assert_eq!(class(&deliver(&sink, "A1").await), "delivered");
    assert_eq!(class(&deliver(&sink, "A2").await), "rejected", "the second answer came with the first");
    send_more.send(()).expect("waited for");
    arrived().await;
    assert_eq!(class(&deliver(&sink, "A3").await), "rejected", "the second answer came after the first");
    assert_ne!(peer.connections(), 1);
}

#[tokio::test]
async fn an_answer_to_another_message_is_a_retry_and_closes_the_connection() {
    let peer =
        Peer::start(vec![Step::Write(acknowledgement("AA", "A0")), Step::Write(acknowledgement("AA", "A1"))]).await;
    let sink = peer.sink();
    let verdict = deliver(&sink, "A1").await;
    assert_eq!((class(&verdict), reason(&verdict)), ("retry", "the answer was for another message"));
    assert_eq!(class(&deliver(&sink, "A1").await), "delivered");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn garbage_and_broken_answers_are_retries() {
    let whole = acknowledgement("AA", "A1");
    let half = whole[..whole.len() / 2].to_vec();
    let cases = [
        ("no HL7", Step::Write(encode(b"hello").to_vec())),
        ("no MSA", Step::Write(encode(b"MSH|^~\\&|LAB\r").to_vec())),
        ("an MSA without fields", Step::Write(encode(b"MSH|^~\\&|LAB\rMSA\r").to_vec())),
        ("byte acknowledgement of MLLP release 2", Step::Write(vec![0x0B, 0x06, 0x1C, 0x0D])),
        ("HTTP", Step::WriteAndClose(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("unframed", Step::Write(whole[1..].to_vec())),
        ("half and closed", Step::WriteAndClose(half.clone())),
        ("half and silent", Step::Write(half)),
        ("too large", Step::Write(encode(&[b'x'; 5000]).to_vec())),
        ("endless junk", Step::Write(vec![b'x'; 5000])),
        ("closed", Step::Close),
    ];
    for (case, step) in cases {
        let peer = Peer::start(vec![step, Step::Write(acknowledgement("AA", "A1"))]).await;
        let sink = peer.sink();
        let verdict = deliver(&sink, "A1").await;
        assert_eq!(class(&verdict), "retry", "{case}: {verdict:?}");
        assert_eq!(class(&deliver(&sink, "A1").await), "delivered", "{case}");
        assert_eq!(peer.connections(), 2, "{case}");
    }
}

#[tokio::test]
async fn an_answer_split_over_packets_is_one_answer() {
    let whole = acknowledgement("AA", "A1");
    let (head, tail) = whole.split_at(whole.len() - 1);
    let (go_on, told) = oneshot::channel();
    let peer = Peer::start(vec![Step::Split(head.to_vec(), told, tail.to_vec())]).await;
    let sink = peer.sink();
    // The answer is whole at its end byte; its carriage return may come later.
    assert_eq!(class(&deliver(&sink, "A1").await), "delivered");
    go_on.send(()).expect("waited for");
}

#[tokio::test]
async fn a_connection_that_the_far_system_closed_meanwhile_costs_no_attempt() {
    let peer =
        Peer::start(vec![Step::WriteAndClose(acknowledgement("AA", "A1")), Step::Write(acknowledgement("AA", "A2"))])
            .await;
    let sink = peer.sink();
    assert_eq!(class(&deliver(&sink, "A1").await), "delivered");
    arrived().await;
    assert_eq!(class(&deliver(&sink, "A2").await), "delivered");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn nobody_listening_is_a_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address").to_string();
    drop(listener);
    let sink = MllpSink::new(Options { address, limits: SendLimits::default(), tls: None, retry_ar: false });
    let verdict = deliver(&sink, "A1").await;
    assert_eq!((class(&verdict), reason(&verdict)), ("retry", "cannot connect: connection refused"));
}

#[tokio::test]
async fn what_cannot_be_matched_or_framed_is_rejected_unsent() {
    let peer = Peer::start(vec![]).await;
    let sink = peer.sink();
    let bodies: [&'static [u8]; 5] = [
        b"MSH|^~\\&|HUB|NDP|LAB|H|20261124||RDE^O11||P|2.5.1\r",
        b"MSH|^~\\&|HUB\r",
        b"not hl7",
        b"",
        b"MSH|^~\\&|HUB|NDP|LAB|H|20261124||RDE^O11|A1|P|2.5.1\rNTE|1||a\x0bb\r",
    ];
    for body in bodies {
        let verdict = sink.deliver(&Parcel { body: Bytes::from_static(body), ..parcel("A1") }).await;
        assert_eq!(class(&verdict), "rejected", "{verdict:?}");
    }
    let verdict = sink.deliver(&Parcel { format: Format::FhirJson, ..parcel("A1") }).await;
    assert_eq!(class(&verdict), "rejected");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn no_connection_has_two_messages_in_flight() {
    let (first, first_told) = oneshot::channel();
    let (second, second_told) = oneshot::channel();
    let script = vec![
        Step::Split(vec![], first_told, acknowledgement("AA", "")),
        Step::Split(vec![], second_told, acknowledgement("AA", "")),
        Step::Write(acknowledgement("AA", "")),
    ];
    let peer = Peer::start(script).await;
    let sink = Arc::new(peer.sink_with(|options| {
        options.limits.connections = 2;
        options.limits.answer_deadline = support::PATIENCE;
    }));
    let deliveries: Vec<_> = (0..3)
        .map(|nth| {
            let sink = Arc::clone(&sink);
            tokio::spawn(async move { deliver(&sink, &format!("A{nth}")).await })
        })
        .collect();
    until(|| peer.received().len() == 2).await;
    support::never(Duration::from_millis(100), || peer.received().len() > 2).await;
    first.send(()).expect("waited for");
    second.send(()).expect("waited for");
    for delivery in deliveries {
        assert_eq!(class(&delivery.await.expect("no panic")), "delivered");
    }
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn waiting_for_a_connection_ends_at_its_deadline() {
    let peer = Peer::start(vec![Step::Silence]).await;
    let sink = Arc::new(peer.sink_with(|options| {
        options.limits.turn_deadline = Duration::from_millis(50);
        options.limits.answer_deadline = support::PATIENCE;
    }));
    let holder = Arc::clone(&sink);
    let held = tokio::spawn(async move { deliver(&holder, "A1").await });
    until(|| peer.received().len() == 1).await;
    let verdict = deliver(&sink, "A2").await;
    assert_eq!((class(&verdict), reason(&verdict)), ("retry", "all connections were busy"));
    held.abort();
}

#[tokio::test]
async fn a_far_system_that_reads_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address").to_string();
    let limits = SendLimits { write_deadline: DEADLINE, ..SendLimits::default() };
    let sink = MllpSink::new(Options { address, limits, tls: None, retry_ar: false });
    let note = format!("NTE|1||{}\r", "x".repeat(1024 * 1024));
    let body = [parcel("A1").body.as_ref(), note.repeat(15).as_bytes()].concat();
    let verdict = soon(sink.deliver(&Parcel { body: Bytes::from(body), ..parcel("A1") })).await;
    assert_eq!((class(&verdict), reason(&verdict)), ("retry", "the message was not taken in time"));
}

/// Answers AA to every message, as a hub does.
struct Accepting(Mutex<Vec<Arrival>>);

#[async_trait]
impl Intake for Accepting {
    async fn receive(&self, arrival: Arrival) -> Reply {
        let text = String::from_utf8_lossy(&arrival.bytes).into_owned();
        let id = text.split('|').nth(9).unwrap_or_default().to_owned();
        self.0.lock().expect("lock").push(arrival);
        Reply { now: Some(Bytes::from(format!("MSH|^~\\&|LAB\rMSA|AA|{id}\r"))), later: None }
    }

    async fn refuse(&self, _: Breach) -> Reply {
        Reply::default()
    }
}

/// Sends one message by TLS to a listener of `authority`; tells the verdict and what was received.
async fn by_tls(authority: &Authority, client: tls::Client, name: &str) -> (Verdict, Vec<Arrival>) {
    let options =
        adapters::hl7v2::listener::Options { tls: Some(authority.mutual()), ..support::options(support::limits()) };
    let mut listener = adapters::hl7v2::listener::Listener::new(options);
    let mut bound = listener.bound();
    let (drain, draining) = watch::channel(false);
    let intake = Arc::new(Accepting(Mutex::default()));
    let taken_by = Arc::clone(&intake);
    let task = tokio::spawn(async move { listener.run(taken_by, draining).await });
    let address = soon(bound.wait_for(Option::is_some)).await.expect("bound").expect("an address").to_string();
    let server_name = tls::server_name(name).expect("a name");
    let tls = Some(Tls { client: Arc::new(client), server_name });
    let sink = MllpSink::new(Options { address, limits: SendLimits::default(), tls, retry_ar: false });
    let mut verdict = deliver(&sink, "A1").await;
    if let Verdict::Delivered { .. } = verdict {
        verdict = deliver(&sink, "A2").await;
    }
    drain.send_replace(true);
    soon(task).await.expect("no panic").expect("drained");
    let received = intake.0.lock().expect("lock").clone();
    (verdict, received)
}

#[tokio::test]
async fn mutual_tls_is_spoken_with_a_listener_of_our_own() {
    let authority = Authority::new();
    let identity = authority.client("hub.example", Validity::Now);
    let (verdict, received) = by_tls(&authority, authority.trusting(Some(identity)), "localhost").await;
    assert_eq!(class(&verdict), "delivered", "{verdict:?}");
    assert_eq!(received.len(), 2);
    let peers: std::collections::HashSet<_> = received.iter().map(|arrival| arrival.peer.to_string()).collect();
    assert_eq!(peers.len(), 1, "one connection");
    assert!(received.iter().all(|arrival| arrival.principal.0.as_ref() == "hub.example"));
}

#[tokio::test]
async fn a_far_system_that_is_not_who_it_should_be_gets_nothing() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let identity = || Some(authority.client("hub.example", Validity::Now));
    let cases = [
        ("another host", authority.trusting(identity()), "pharmacy.example"),
        ("another authority", stranger.trusting(identity()), "localhost"),
    ];
    for (case, client, name) in cases {
        let (verdict, received) = by_tls(&authority, client, name).await;
        assert_eq!(class(&verdict), "retry", "{case}");
        assert!(reason(&verdict).starts_with("tls failed"), "{case}: {verdict:?}");
        assert!(received.is_empty(), "{case}");
    }
}

#[tokio::test]
async fn a_far_system_that_refuses_our_certificate_has_not_got_the_message() {
    let authority = Authority::new();
    let (verdict, received) = by_tls(&authority, authority.trusting(None), "localhost").await;
    assert_eq!(class(&verdict), "retry", "{verdict:?}");
    assert!(received.is_empty());
}
