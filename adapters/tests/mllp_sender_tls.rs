//! The MLLP destination by mutual TLS, with a listener of our own at the other end.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use adapters::hl7v2::sender::{MllpSink, Options, Tls};
use adapters::limits::SendLimits;
use adapters::{Arrival, Breach, Intake, Reply, Source, Verdict, tls};
use async_trait::async_trait;
use bytes::Bytes;
use support::authority::{Authority, Validity};
use support::far::{class, deliver, reason};
use support::soon;
use tokio::sync::watch;

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
