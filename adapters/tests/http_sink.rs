//! The HTTP destination against scripted far systems.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::clock::{FakeClock, Timestamp};
use adapters::http::{Error, HttpSink, Method, Options};
use adapters::limits::HttpLimits;
use adapters::{Format, Parcel, Sink, Verdict};
use bytes::Bytes;
use support::authority::{Authority, Validity};
use support::soon;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: Timestamp = Timestamp(784_111_777_000_000);

fn parcel() -> Parcel {
    Parcel {
        idempotency_key: "delivery-17".to_owned(),
        body: Bytes::from_static(b"{\"family\":\"CANARY\"}"),
        format: Format::FhirJson,
        attempt: 1,
    }
}

fn options(url: String) -> Options {
    Options {
        url,
        method: Method::Post,
        headers: Vec::new(),
        limits: HttpLimits { exchange_deadline: Duration::from_millis(400), ..HttpLimits::default() },
        tls: None,
        clock: Arc::new(FakeClock::new(NOW)),
    }
}

fn sink(url: String) -> HttpSink {
    HttpSink::new(options(url)).expect("built")
}

/// A far system that answers each request with the next of its answers; an empty one is silence.
struct Peer {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Peer {
    async fn start(answers: Vec<String>) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}/fhir/R4", listener.local_addr().expect("address"));
        let (requests, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicUsize::new(0)));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let (seen, counted) = (Arc::clone(&requests), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                served.spawn(serve(stream, Arc::clone(&answers), Arc::clone(&seen)));
            }
        });
        Peer { url, requests, connections, task }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("lock").clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S>(mut stream: S, answers: Arc<Mutex<VecDeque<String>>>, seen: Arc<Mutex<Vec<String>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().expect("lock").push(request);
        let answer = answers.lock().expect("lock").pop_front().expect("an answer for each request");
        if answer == "close" {
            return;
        }
        // The sink may be gone before it has read all of a long answer.
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.flush().await;
    }
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().map(str::to_ascii_lowercase);
            let length = lines.filter_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).next();
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

async fn deliver(sink: &HttpSink) -> Verdict {
    let verdict = soon(sink.deliver(&parcel())).await;
    let text = format!("{verdict:?}");
    assert!(!text.contains("CANARY") && !text.contains("fhir/R4"), "{text}");
    verdict
}

fn retry(reason: &str, after_seconds: Option<u64>) -> Verdict {
    Verdict::Retry { reason: reason.to_owned(), after: after_seconds.map(Duration::from_secs) }
}

#[tokio::test]
async fn a_parcel_is_one_request_with_its_key_and_type() {
    let peer = Peer::start(vec![answer(201, "", "CANARY"), answer(200, "", "")]).await;
    let mut with_headers = options(peer.url.clone());
    with_headers.headers = vec![("Authorization".to_owned(), "Bearer secret".to_owned())];
    with_headers.method = Method::Put;
    let sink = HttpSink::new(with_headers).expect("built");
    assert_eq!(deliver(&sink).await, Verdict::Delivered { answer: "answered 201".to_owned() });
    let hl7 = Parcel { format: Format::Hl7v2, body: Bytes::from_static(b"MSH|1"), ..parcel() };
    assert_eq!(sink.deliver(&hl7).await, Verdict::Delivered { answer: "answered 200".to_owned() });
    let requests = peer.requests();
    assert!(requests[0].starts_with("PUT /fhir/R4 HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].ends_with("\r\n\r\n{\"family\":\"CANARY\"}"), "{requests:?}");
    for header in
        ["content-type: application/fhir+json", "idempotency-key: delivery-17", "authorization: Bearer secret"]
    {
        assert!(requests[0].contains(header), "{requests:?}");
    }
    assert!(requests[1].contains("content-type: x-application/hl7-v2+er7"), "{requests:?}");
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1, "the connection is used again");
}

#[tokio::test]
async fn a_configured_content_type_goes_first_and_a_configured_key_does_not() {
    let peer = Peer::start(vec![answer(200, "", "")]).await;
    let mut with_headers = options(peer.url.clone());
    with_headers.headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("idempotency-key".to_owned(), "always the same".to_owned()),
    ];
    deliver(&HttpSink::new(with_headers).expect("built")).await;
    let request = peer.requests().remove(0);
    assert!(request.contains("content-type: application/json\r\n") && !request.contains("fhir+json"), "{request}");
    assert!(request.contains("idempotency-key: delivery-17") && !request.contains("always the same"), "{request}");
}

#[tokio::test]
async fn every_answer_has_its_verdict() {
    let rejected = |status: u16| Verdict::Rejected { reason: format!("answered {status}") };
    let in_a_minute = "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n";
    let cases = [
        (answer(400, "", "CANARY"), rejected(400)),
        (answer(401, "", ""), rejected(401)),
        (answer(404, "", ""), rejected(404)),
        (answer(409, "", ""), rejected(409)),
        (answer(422, "", ""), rejected(422)),
        (answer(408, "", ""), retry("answered 408", None)),
        (answer(425, "", ""), retry("answered 425", None)),
        (answer(429, "", ""), retry("answered 429", None)),
        (answer(429, "Retry-After: 120\r\n", ""), retry("answered 429", Some(120))),
        (answer(503, in_a_minute, ""), retry("answered 503", Some(60))),
        (answer(503, "Retry-After: 99999999999\r\n", ""), retry("answered 503", Some(24 * 3600))),
        (answer(503, "Retry-After: CANARY\r\n", ""), retry("answered 503", None)),
        (answer(500, "", "CANARY"), retry("answered 500", None)),
        (answer(502, "", ""), retry("answered 502", None)),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), retry("the connection was lost", None)),
        ("close".to_owned(), retry("the connection was lost", None)),
        (String::new(), retry("no answer came in time", None)),
    ];
    for (answer, expected) in cases {
        let peer = Peer::start(vec![answer.clone()]).await;
        assert_eq!(deliver(&sink(peer.url.clone())).await, expected, "{answer}");
        assert_eq!(peer.requests().len(), 1, "one attempt a call");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Peer::start(vec![]).await;
    let location = format!("Location: {}\r\n", target.url);
    let peer = Peer::start([301, 302, 307, 308].map(|status| answer(status, &location, "")).to_vec()).await;
    let sink = sink(peer.url.clone());
    for status in [301, 302, 307, 308] {
        assert_eq!(deliver(&sink).await, retry(&format!("answered {status}"), None));
    }
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{}", "x".repeat(10_000_000));
    let peer = Peer::start(vec![endless, answer(200, "", "")]).await;
    let sink = sink(peer.url.clone());
    let delivered = Verdict::Delivered { answer: "answered 200".to_owned() };
    assert_eq!(deliver(&sink).await, delivered);
    assert_eq!(deliver(&sink).await, delivered);
    assert_eq!(peer.connections.load(Ordering::SeqCst), 2, "the first connection was given up");
}

#[tokio::test]
async fn an_answer_whose_body_is_cut_still_counts_by_its_status() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned();
    let peer = Peer::start(vec![cut]).await;
    assert_eq!(deliver(&sink(peer.url.clone())).await, Verdict::Delivered { answer: "answered 200".to_owned() });
}

#[tokio::test]
async fn nobody_listening_is_a_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/fhir/R4", listener.local_addr().expect("address"));
    drop(listener);
    let verdict = deliver(&sink(url)).await;
    assert!(matches!(&verdict, Verdict::Retry { reason, .. } if reason.starts_with("cannot connect")), "{verdict:?}");
}

#[tokio::test]
async fn a_key_that_is_no_header_value_is_rejected_unsent() {
    let peer = Peer::start(vec![]).await;
    let odd = Parcel { idempotency_key: "a\nb".to_owned(), ..parcel() };
    let verdict = sink(peer.url.clone()).deliver(&odd).await;
    assert!(matches!(verdict, Verdict::Rejected { .. }), "{verdict:?}");
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn what_cannot_be_a_destination_is_refused_when_built() {
    for url in ["ftp://127.0.0.1/", "127.0.0.1:80", "", "http://"] {
        assert!(matches!(HttpSink::new(options(url.to_owned())), Err(Error::Url { .. })), "{url}");
    }
    let mut secret = options("http://127.0.0.1/".to_owned());
    secret.headers = vec![("Authorization".to_owned(), "Bearer CANARY\n".to_owned())];
    let Err(error) = HttpSink::new(secret) else { panic!("a line break in a header") };
    assert_eq!(error.to_string(), "the header Authorization has a name or value that cannot be sent");
}

/// Sends one parcel by HTTPS to a server of `authority` that asks for a certificate.
async fn by_tls(authority: &Authority, client: adapters::tls::Client, host: &str) -> (Verdict, usize) {
    let interface = if host == "localhost" { "127.0.0.1" } else { host };
    let listener = TcpListener::bind((interface, 0)).await.expect("bound");
    let port = listener.local_addr().expect("address").port();
    let acceptor = tokio_rustls::TlsAcceptor::from(authority.mutual().config());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let answers = Arc::new(Mutex::new(VecDeque::from(vec![answer(200, "", "")])));
    let served = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        let (plain, _) = listener.accept().await.expect("accepted");
        if let Ok(stream) = acceptor.accept(plain).await {
            serve(stream, answers, served).await;
        }
    });
    let mut with_tls = options(format!("https://{host}:{port}/fhir/R4"));
    with_tls.tls = Some(Arc::new(client));
    with_tls.limits.exchange_deadline = support::PATIENCE;
    let verdict = deliver(&HttpSink::new(with_tls).expect("built")).await;
    task.abort();
    let count = seen.lock().expect("lock").len();
    (verdict, count)
}

#[tokio::test]
async fn mutual_tls_is_spoken() {
    let authority = Authority::new();
    let client = authority.trusting(Some(authority.client("hub.example", Validity::Now)));
    let (verdict, requests) = by_tls(&authority, client, "localhost").await;
    assert_eq!((verdict, requests), (Verdict::Delivered { answer: "answered 200".to_owned() }, 1));
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_gets_nothing() {
    let authority = Authority::new();
    let identity = || Some(authority.client("hub.example", Validity::Now));
    let cases = [
        ("another host", authority.trusting(identity()), "127.0.0.2", "cannot connect: invalid peer certificate"),
        ("another authority", Authority::new().trusting(identity()), "localhost", "cannot connect: invalid peer"),
        ("our certificate is missing", authority.trusting(None), "localhost", ""),
    ];
    for (case, client, host, because) in cases {
        let (verdict, requests) = by_tls(&authority, client, host).await;
        assert!(
            matches!(&verdict, Verdict::Retry { reason, .. } if reason.starts_with(because)),
            "{case}: {verdict:?}"
        );
        assert_eq!(requests, 0, "{case}");
    }
}
