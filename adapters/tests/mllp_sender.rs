//! The MLLP destination against far systems that behave, and against those that do not.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use adapters::hl7v2::mllp::encode;
use adapters::hl7v2::sender::{MllpSink, Options};
use adapters::limits::SendLimits;
use adapters::{Format, Parcel, Sink, Verdict};
use bytes::Bytes;
use support::far::{DEADLINE, Peer, Step, acknowledgement, class, deliver, parcel, reason};
use support::{soon, until};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

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
