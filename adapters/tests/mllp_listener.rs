//! The MLLP listener against real sockets: conversations, bounds, and how it ends.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use adapters::hl7v2::listener::{Listener, Options};
use adapters::hl7v2::mllp::encode;
use adapters::limits::ListenLimits;
use adapters::{BreachKind, SourceError};
use bytes::Bytes;
use support::{Running, limits, never, options, soon, until};
use tokio::io::AsyncWriteExt;

const MOMENT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_message_is_handed_over_and_its_answer_comes_back() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    assert_eq!(client.ask("MSH|one\r").await.as_deref(), Some("AA MSH|one\r"));
    {
        let received = hub.intake.received.lock().expect("lock");
        let arrival = received.first().expect("one");
        assert_eq!(arrival.principal.0.as_ref(), "kasr-al-ainy");
        assert_eq!(arrival.peer.as_ref(), client.stream.local_addr().expect("address").to_string());
        assert_eq!(arrival.received_at.0, 1_700_000_000_000_000);
    }
    hub.stop().await.expect("drained");
    assert_eq!(client.answer().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pipelined_messages_are_begun_and_answered_in_order() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    let bodies: Vec<String> = (0..1_000).map(|nth| format!("MSH|{nth}")).collect();
    let all: Vec<u8> = bodies.iter().flat_map(|body| encode(body.as_bytes())).collect();
    client.write(&all).await;
    for body in &bodies {
        assert_eq!(client.answer().await, Some(format!("AA {body}")));
    }
    let begun: Vec<Bytes> = hub.intake.begun.lock().expect("lock").clone();
    assert_eq!(begun, bodies);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn no_more_messages_than_the_window_are_in_hand() {
    let hub = Running::start(ListenLimits { window: 3, ..limits() }).await;
    hub.intake.hold();
    let mut client = hub.client().await;
    for nth in 0..10 {
        client.send(&format!("MSH|{nth}")).await;
    }
    until(|| hub.intake.begun_count() == 3).await;
    never(MOMENT, || hub.intake.begun_count() > 3).await;
    hub.intake.release();
    for nth in 0..10 {
        assert_eq!(client.answer().await, Some(format!("AA MSH|{nth}")));
    }
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_slow_intake_stops_the_reading() {
    let in_hand_bytes_max = 100_000;
    let hub = Running::start(ListenLimits { in_hand_bytes_max, ..limits() }).await;
    hub.intake.hold();
    let mut client = hub.client().await;
    let frame = encode("x".repeat(50_000).as_bytes());
    let flood = async {
        loop {
            client.stream.write_all(&frame).await.expect("no reset");
        }
    };
    let written = tokio::time::timeout(Duration::from_millis(500), flood).await;
    assert!(written.is_err(), "the client must be held up");
    assert_eq!(hub.intake.begun_count(), 2);
    hub.intake.release();
}

#[tokio::test]
async fn nothing_is_read_while_all_connections_hold_too_much_together() {
    let hub = Running::start(ListenLimits { held_bytes_max: 40_000, ..limits() }).await;
    hub.intake.hold();
    let mut first = hub.client().await;
    for _ in 0..41 {
        first.send(&"x".repeat(1_000)).await;
    }
    until(|| hub.intake.begun_count() >= 40).await;
    let mut second = hub.client().await;
    second.send("MSH|two").await;
    never(MOMENT, || hub.intake.begun.lock().expect("lock").contains(&Bytes::from_static(b"MSH|two"))).await;
    hub.intake.release();
    assert_eq!(second.answer().await.as_deref(), Some("AA MSH|two"));
    for _ in 0..41 {
        assert!(first.answer().await.is_some());
    }
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn answers_reach_a_peer_that_has_closed_its_sending_side() {
    let hub = Running::start(limits()).await;
    hub.intake.hold();
    let mut client = hub.client().await;
    client.send("MSH|one").await;
    client.send("MSH|two").await;
    soon(client.stream.shutdown()).await.expect("closed");
    until(|| hub.intake.begun_count() == 2).await;
    hub.intake.release();
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|one"));
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|two"));
    assert_eq!(client.answer().await, None);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_the_idle_deadline() {
    let hub = Running::start(ListenLimits { idle_deadline: MOMENT, ..limits() }).await;
    let mut client = hub.client().await;
    assert_eq!(client.answer().await, None);
    until(|| hub.open_connections() == 0).await;
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_connection_with_a_message_in_hand_is_not_idle() {
    let hub = Running::start(ListenLimits { idle_deadline: MOMENT, ..limits() }).await;
    hub.intake.hold();
    let mut client = hub.client().await;
    client.send("MSH|one").await;
    until(|| hub.intake.begun_count() == 1).await;
    never(3 * MOMENT, || hub.open_connections() == 0).await;
    hub.intake.release();
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|one"));
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn one_connection_more_than_the_limit_is_answered_and_closed() {
    let hub = Running::start(ListenLimits { connections_max: 2, ..limits() }).await;
    let mut first = hub.client().await;
    let mut second = hub.client().await;
    assert!(first.ask("MSH|1").await.is_some() && second.ask("MSH|2").await.is_some());
    let mut third = hub.client().await;
    third.send("MSH|3").await;
    assert_eq!(third.answer().await.as_deref(), Some("AR too many"));
    assert_eq!(third.answer().await, None);
    assert_eq!(hub.intake.breaches(), [(BreachKind::TooManyConnections { limit: 2 }, 0)]);
    drop(first);
    until(|| hub.open_connections() <= 2).await;
    drop(third);
    until(|| hub.open_connections() == 1).await;
    assert_eq!(hub.client().await.ask("MSH|4").await.as_deref(), Some("AA MSH|4"));
    assert_eq!(hub.intake.bodies(), ["MSH|1", "MSH|2", "MSH|4"]);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let hub = Running::start(ListenLimits { connections_per_peer_max: 1, ..limits() }).await;
    let mut first = hub.client().await;
    assert!(first.ask("MSH|1").await.is_some());
    assert_eq!(hub.client().await.answer().await.as_deref(), Some("AR too many"));
    assert_eq!(hub.intake.breaches(), [(BreachKind::TooManyConnections { limit: 1 }, 0)]);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn connections_come_in_no_faster_than_the_pace() {
    let hub = Running::start(ListenLimits { accepts_per_second_max: 5, ..limits() }).await;
    let started = tokio::time::Instant::now();
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(hub.client().await);
    }
    let last = clients.last_mut().expect("six");
    assert!(last.ask("MSH|last").await.is_some());
    assert!(started.elapsed() > Duration::from_millis(800), "{:?}", started.elapsed());
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn an_application_answer_follows_whenever_it_comes_and_blocks_nothing() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    assert_eq!(client.ask("LATER|1").await.as_deref(), Some("AA LATER|1"));
    assert_eq!(client.ask("LATER|2").await.as_deref(), Some("AA LATER|2"));
    assert_eq!(client.ask("MSH|3").await.as_deref(), Some("AA MSH|3"));
    let mut later: Vec<_> = hub.intake.later.lock().expect("lock").drain(..).collect();
    later.pop().expect("two").send(Bytes::from_static(b"applied 2")).expect("awaited");
    assert_eq!(client.answer().await.as_deref(), Some("applied 2"));
    later.pop().expect("one").send(Bytes::from_static(b"applied 1")).expect("awaited");
    assert_eq!(client.answer().await.as_deref(), Some("applied 1"));
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_message_without_an_answer_gets_none() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    client.send("SILENT|1").await;
    assert_eq!(client.ask("MSH|2").await.as_deref(), Some("AA MSH|2"));
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_panic_of_the_intake_costs_its_connection_and_no_other_message() {
    let hub = Running::start(limits()).await;
    let mut bystander = hub.client().await;
    let mut client = hub.client().await;
    client.send("MSH|before").await;
    client.send("PANIC").await;
    client.send("MSH|after").await;
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|before"));
    let mut rest = Vec::new();
    while let Some(answer) = client.answer().await {
        rest.push(answer);
    }
    assert!(rest.is_empty() || rest == ["AA MSH|after"], "{rest:?}");
    assert_eq!(bystander.ask("MSH|1").await.as_deref(), Some("AA MSH|1"));
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_is_closed() {
    let write_deadline = Duration::from_millis(300);
    let hub = Running::start(ListenLimits { write_deadline, ..limits() }).await;
    let mut client = hub.client().await;
    let frame = encode("x".repeat(60_000).as_bytes());
    let flood = async { while client.stream.write_all(&frame).await.is_ok() {} };
    soon(flood).await;
    until(|| hub.open_connections() == 0).await;
    let begun = hub.intake.begun_count();
    assert_eq!(hub.intake.bodies().len(), begun, "what was in hand was not given up");
    hub.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_under_load_answers_everything_that_was_received() {
    let hub = Running::start(limits()).await;
    let mut senders = Vec::new();
    for sender in 0..8 {
        let mut client = hub.client().await;
        senders.push(tokio::spawn(async move {
            let mut answered = Vec::new();
            for nth in 0.. {
                let body = format!("MSH|{sender}|{nth}");
                if client.stream.write_all(&encode(body.as_bytes())).await.is_err() {
                    break;
                }
                match client.answer().await {
                    Some(answer) => assert_eq!(answer, format!("AA {body}")),
                    None => break,
                }
                answered.push(body);
            }
            answered
        }));
    }
    until(|| hub.intake.begun_count() > 500).await;
    hub.begin_drain();
    let mut answered = Vec::new();
    for sender in senders {
        answered.extend(soon(sender).await.expect("sender"));
    }
    let mut received = hub.intake.bodies();
    let intake = std::sync::Arc::clone(&hub.intake);
    hub.stopped().await.expect("drained");
    answered.sort();
    received.sort();
    assert_eq!(intake.bodies().len(), received.len(), "nothing is received after the drain");
    assert_eq!(answered, received);
}

#[tokio::test]
async fn draining_waits_for_what_is_in_hand_and_takes_nothing_new() {
    let hub = Running::start(limits()).await;
    hub.intake.hold();
    let mut client = hub.client().await;
    client.send("MSH|in hand").await;
    until(|| hub.intake.begun_count() == 1).await;
    hub.begin_drain();
    soon(async {
        while tokio::net::TcpStream::connect(hub.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    client.send("MSH|too late").await;
    never(MOMENT, || hub.intake.begun_count() > 1).await;
    hub.intake.release();
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|in hand"));
    assert_eq!(client.answer().await, None);
    drop(client);
    assert_eq!(hub.intake.bodies(), ["MSH|in hand"]);
    hub.stopped().await.expect("drained");
}

#[tokio::test]
async fn draining_gives_up_at_its_deadline_and_says_so() {
    let hub = Running::start(ListenLimits { drain_deadline: MOMENT, ..limits() }).await;
    hub.intake.hold();
    let mut client = hub.client().await;
    client.send("MSH|stuck").await;
    until(|| hub.intake.begun_count() == 1).await;
    let outcome = hub.stop().await;
    assert!(matches!(outcome, Err(SourceError::Undrained { connections: 1 })), "{outcome:?}");
}

#[tokio::test]
async fn draining_does_not_wait_for_silent_peers() {
    let hub = Running::start(limits()).await;
    let _silent = [hub.client().await, hub.client().await];
    until(|| hub.open_connections() == 2).await;
    let started = tokio::time::Instant::now();
    hub.stop().await.expect("drained");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let hub = Running::start(limits()).await;
    let taken = Options { address: hub.address.to_string(), ..options(limits()) };
    let mut second = Listener::new(taken);
    let (_drain, draining) = tokio::sync::watch::channel(false);
    let outcome = adapters::Source::run(&mut second, support::TestIntake::new(), draining).await;
    let Err(SourceError::Listen { address, source }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((address, source.kind()), (hub.address.to_string(), std::io::ErrorKind::AddrInUse));
    hub.stop().await.expect("drained");
}
