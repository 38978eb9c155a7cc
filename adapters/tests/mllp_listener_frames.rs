//! The MLLP listener and frames that are split, cut, too large, too slow, or none at all.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use adapters::BreachKind;
use adapters::hl7v2::listener::Options;
use adapters::hl7v2::mllp::{can_be_framed, encode};
use adapters::limits::{FrameLimits, ListenLimits};
use support::{Running, limits, never, options, soon, until};
use tokio::io::AsyncWriteExt;

const MOMENT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_frame_split_anywhere_over_packets_is_one_message() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    let frame = encode(b"MSH|split\r");
    for at in 1..frame.len() {
        let (head, tail) = frame.split_at(at);
        client.write(head).await;
        tokio::task::yield_now().await;
        client.write(tail).await;
        assert_eq!(client.answer().await.as_deref(), Some("AA MSH|split\r"), "cut at {at}");
    }
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn junk_around_frames_is_counted_and_costs_no_message() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    client.write(b"\r\nhello\x0bMSH|one\x1c\r\n\0\x0b\x1c\r\x0bMSH|two\x1cjunk\x0bMSH|three\x1c").await;
    for body in ["MSH|one", "MSH|two", "MSH|three"] {
        assert_eq!(client.answer().await, Some(format!("AA {body}")));
    }
    assert_eq!(hub.counters.junk_bytes.load(Ordering::Relaxed), 11);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_peer_that_sends_only_junk_is_closed() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    client.write(&[b'G'; 2_000]).await;
    assert_eq!(client.answer().await, None);
    assert_eq!(hub.intake.breaches(), []);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn messages_without_a_frame_end_in_silence_or_with_the_connection() {
    let bare = Options { unframed: true, ..options(ListenLimits { unframed_silence: MOMENT, ..limits() }) };
    let hub = Running::start_with(bare).await;
    let mut client = hub.client().await;
    client.write(b"MSH|one\r").await;
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|one\r"));
    client.write(b"MSH|half").await;
    assert_eq!(client.answer().await.as_deref(), Some("AR cut"));
    client.write(b"\x0bMSH|framed\x1c\rMSH|two\r").await;
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|framed"));
    soon(client.stream.shutdown()).await.expect("closed");
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|two\r"));
    assert_eq!(client.answer().await, None);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_and_the_next_one_taken() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    client.send("MSH|before").await;
    client.send(&"x".repeat(100_000)).await;
    client.send("MSH|after").await;
    for answer in ["AA MSH|before", "AR too large", "AA MSH|after"] {
        assert_eq!(client.answer().await.as_deref(), Some(answer));
    }
    assert_eq!(hub.intake.breaches(), [(BreachKind::FrameTooLarge { limit: 64 * 1024 }, 1024)]);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn an_endless_frame_is_refused_before_it_is_closed() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    client.write(b"\x0b").await;
    for _ in 0..40 {
        client.write(&[b'x'; 32 * 1024]).await;
    }
    assert_eq!(client.answer().await.as_deref(), Some("AR too large"));
    assert_eq!(client.answer().await, None);
    drop(client);
    until(|| hub.open_connections() == 0).await;
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_frame_that_drips_is_refused_at_its_deadline() {
    let frame_deadline = Duration::from_millis(200);
    let hub = Running::start(ListenLimits { frame_deadline, ..limits() }).await;
    let mut client = hub.client().await;
    client.write(b"\x0bMSH|").await;
    let dripping = async {
        loop {
            client.stream.write_all(b"x").await.expect("no reset");
            tokio::time::sleep(Duration::from_millis(10)).await;
            if !hub.intake.breaches().is_empty() {
                break;
            }
        }
    };
    soon(dripping).await;
    assert_eq!(client.answer().await.as_deref(), Some("AR too slow"));
    assert_eq!(client.answer().await, None);
    let breaches = hub.intake.breaches();
    assert!(matches!(breaches.as_slice(), [(BreachKind::FrameTooSlow { limit }, 5..)] if *limit == frame_deadline));
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_start_byte_and_nothing_more_is_too_slow() {
    let hub = Running::start(ListenLimits { frame_deadline: MOMENT, ..limits() }).await;
    let mut client = hub.client().await;
    client.write(b"\x0b").await;
    assert_eq!(client.answer().await.as_deref(), Some("AR too slow"));
    assert_eq!(client.answer().await, None);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn time_in_which_the_hub_does_not_read_is_not_the_peers() {
    let hub = Running::start(ListenLimits { window: 1, frame_deadline: MOMENT, ..limits() }).await;
    hub.intake.hold();
    let mut client = hub.client().await;
    client.write(b"\x0bMSH|one\x1c\r\x0bMSH|").await;
    until(|| hub.intake.begun_count() == 1).await;
    never(3 * MOMENT, || !hub.intake.breaches().is_empty()).await;
    hub.intake.release();
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|one"));
    client.write(b"two\x1c\r").await;
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|two"));
    assert_eq!(hub.intake.breaches(), []);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_cut_frame_is_refused_and_never_received() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    client.write(b"\x0bMSH|cut\r").await;
    soon(client.stream.shutdown()).await.expect("closed");
    assert_eq!(client.answer().await.as_deref(), Some("AR cut"));
    assert_eq!(client.answer().await, None);
    assert_eq!(hub.intake.breaches(), [(BreachKind::FrameCut, 8)]);
    assert_eq!(hub.intake.begun_count(), 0);
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_frame_cut_by_a_reset_is_recorded() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    assert!(client.ask("MSH|one").await.is_some());
    client.write(b"\x0bMSH|cut\r").await;
    until(|| hub.counters.frames.load(Ordering::Relaxed) == 1).await;
    socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("set");
    // The reset must not overtake the bytes.
    never(MOMENT, || !hub.intake.breaches().is_empty()).await;
    drop(client);
    until(|| hub.intake.breaches() == [(BreachKind::FrameCut, 8)]).await;
    hub.stop().await.expect("drained");
}

#[tokio::test]
async fn a_frame_begun_inside_another_is_taken_and_the_first_recorded_unanswered() {
    let hub = Running::start(limits()).await;
    let mut client = hub.client().await;
    client.write(b"\x0bMSH|half\x0bMSH|whole\x1c\r").await;
    assert_eq!(client.answer().await.as_deref(), Some("AA MSH|whole"));
    assert_eq!(hub.intake.breaches(), [(BreachKind::FrameCut, 8)]);
    assert_eq!(hub.counters.resyncs.load(Ordering::Relaxed), 1);
    hub.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bytes_are_answered_or_closed_and_harm_nobody() {
    let hub = Running::start(ListenLimits { accepts_per_second_max: 10_000, ..limits() }).await;
    let mut bystander = hub.client().await;
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    for nth in 0..500 {
        let mut client = hub.client().await;
        client.write(&hostile(&mut seed)).await;
        soon(client.stream.shutdown()).await.expect("closed");
        while let Some(answer) = client.answer().await {
            assert!(answer.starts_with("AA ") || answer == "AR cut" || answer == "AR too large", "{answer}");
        }
        let body = format!("MSH|{nth}");
        assert_eq!(bystander.ask(&body).await, Some(format!("AA {body}")));
    }
    until(|| hub.open_connections() == 1).await;
    assert!(hub.intake.begun_count() > 1_000, "the bytes must have held frames too");
    assert!(hub.intake.begun.lock().expect("lock").iter().all(|body| can_be_framed(body)));
    hub.stop().await.expect("drained");
}

/// Up to 4 KiB, a quarter of them bytes of the framing, sometimes with a frame over the limit.
fn hostile(seed: &mut u64) -> Vec<u8> {
    let mut next = || {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        usize::try_from(*seed >> 33).expect("31 bits")
    };
    let alphabet = b"\x0b\x1c\r\n\0MSH|^~\\&|a\xd8\xb5\xff";
    let length = next() % 4096;
    let mut bytes: Vec<u8> = (0..length).map(|_| alphabet[next() % alphabet.len()]).collect();
    if next() % 8 == 0 {
        bytes.push(0x0b);
        bytes.extend(std::iter::repeat_n(b'x', 65 * 1024));
    }
    bytes
}

#[tokio::test]
async fn a_frame_that_drips_in_within_its_deadline_is_one_message() {
    let hub = Running::start(ListenLimits { frame: FrameLimits::default(), ..limits() }).await;
    let mut client = hub.client().await;
    client.stream.set_nodelay(true).expect("no delay");
    let frame = encode("x".repeat(64 * 1024).as_bytes());
    for byte in frame.chunks(1) {
        client.write(byte).await;
    }
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.len(), 64 * 1024 + 3);
    hub.stop().await.expect("drained");
}
