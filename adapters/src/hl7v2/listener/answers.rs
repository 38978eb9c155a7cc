//! Answers on their way to the peer of one connection.
//!
//! In come bodies, at once or later; out go framed bytes. Promised: later answers come out whenever they
//! are ready and hold up nothing; a peer that takes no byte of an answer for too long is noticed (H6).
//! Refused: more outstanding later answers than the limit; the oldest, likely stuck, is given up.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::after;
use crate::hl7v2::mllp;

/// Framed answers that the peer has not taken yet.
pub(super) struct Outgoing {
    bytes: BytesMut,
    /// Bytes were written that TLS may still hold.
    is_unflushed: bool,
    deadline: Duration,
    due: Instant,
    moved_at: Option<Instant>,
}

impl Outgoing {
    pub(super) fn new(deadline: Duration) -> Outgoing {
        Outgoing { bytes: BytesMut::new(), is_unflushed: false, deadline, due: Instant::now(), moved_at: None }
    }

    pub(super) fn push(&mut self, body: &[u8]) {
        if self.is_empty() {
            self.due = after(Instant::now(), self.deadline);
        }
        mllp::encode_into(body, &mut self.bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_unflushed
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// By when the peer must have taken some of it; nothing if there is nothing to take.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_empty()).then_some(self.due)
    }

    /// Whether the peer was sent something in the last `window`.
    pub(super) fn moved_within(&self, window: Duration) -> bool {
        self.moved_at.is_some_and(|moved_at| moved_at.elapsed() < window)
    }

    /// What is to be written.
    pub(super) fn unwritten(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether everything is written, but not flushed.
    pub(super) fn needs_flush(&self) -> bool {
        self.is_unflushed && self.bytes.is_empty()
    }

    /// So many bytes were written.
    pub(super) fn written(&mut self, count: usize) {
        self.bytes.advance(count.min(self.bytes.len()));
        self.is_unflushed = true;
        self.moved();
    }

    /// Everything that was written is flushed.
    pub(super) fn flushed(&mut self) {
        self.is_unflushed = false;
        self.moved();
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }

    /// Nothing can be sent any more.
    pub(super) fn discard(&mut self) {
        self.bytes = BytesMut::new();
        self.is_unflushed = false;
    }

    fn moved(&mut self) {
        let now = Instant::now();
        self.moved_at = Some(now);
        self.due = after(now, self.deadline);
    }
}

/// Application answers that have not come yet.
pub(super) struct Later {
    outstanding: VecDeque<oneshot::Receiver<Bytes>>,
    answers_max: usize,
}

impl Later {
    pub(super) fn new(answers_max: usize) -> Later {
        Later { outstanding: VecDeque::new(), answers_max: answers_max.max(1) }
    }

    /// Waits for one more. Returns whether another had to be given up for it.
    pub(super) fn push(&mut self, answer: oneshot::Receiver<Bytes>) -> bool {
        let is_full = self.outstanding.len() >= self.answers_max;
        if is_full {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(answer);
        is_full
    }

    pub(super) fn clear(&mut self) {
        self.outstanding.clear();
    }

    /// The next answer, whichever is ready first. Waits for ever if none is outstanding.
    pub(super) async fn next(&mut self) -> Bytes {
        poll_fn(|cx| {
            let mut ready = None;
            self.outstanding.retain_mut(|answer| {
                if ready.is_some() {
                    return true;
                }
                match answer.poll_unpin(cx) {
                    Poll::Pending => true,
                    Poll::Ready(came) => {
                        ready = came.ok();
                        false
                    }
                }
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn later_answers_come_out_as_they_are_ready_and_dropped_ones_never() {
        let mut later = Later::new(9);
        let [first, dropped, last] = std::array::from_fn(|_| {
            let (sender, receiver) = oneshot::channel();
            later.push(receiver);
            sender
        });
        drop(dropped);
        last.send(Bytes::from_static(b"last")).expect("waited for");
        assert_eq!(later.next().await, "last");
        first.send(Bytes::from_static(b"first")).expect("waited for");
        assert_eq!(later.next().await, "first");
        assert!(later.next().now_or_never().is_none());
    }

    #[test]
    fn the_oldest_later_answer_is_given_up_when_there_are_too_many() {
        let mut later = Later::new(2);
        let senders: Vec<oneshot::Sender<Bytes>> = (0..3)
            .map(|nth| {
                let (sender, receiver) = oneshot::channel();
                assert_eq!(later.push(receiver), nth == 2);
                sender
            })
            .collect();
        let closed: Vec<bool> = senders.iter().map(oneshot::Sender::is_closed).collect();
        assert_eq!(closed, [true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_moves_is_not_due() {
        let second = Duration::from_secs(1);
        let mut outgoing = Outgoing::new(10 * second);
        assert_eq!(outgoing.due(), None);
        outgoing.push(b"MSA");
        let first_due = outgoing.due().expect("something waits");
        tokio::time::advance(5 * second).await;
        outgoing.push(b"MSA");
        assert_eq!(outgoing.due(), Some(first_due), "another answer gives the peer no more time");
        outgoing.written(4);
        assert_eq!(outgoing.due(), first_due.checked_add(5 * second));
        outgoing.written(8);
        assert!(outgoing.needs_flush() && !outgoing.is_empty());
        outgoing.flushed();
        assert_eq!(outgoing.due(), None);
    }
}
