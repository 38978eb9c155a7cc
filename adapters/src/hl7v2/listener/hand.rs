//! The messages of one connection that the intake has in hand.
//!
//! In come calls of the intake; out come their replies in the order in which they were begun. Promised:
//! all calls go on side by side, and each time the earlier one goes first, so that it is the first to
//! take its place in the journal (H5); a panic in one is caught (H8). Refused is nothing: the connection
//! looks at [`Hand::len`] and [`Hand::bytes`] before it adds one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;

use crate::Reply;

/// A call of the intake.
enum Call {
    Working(Pin<Box<dyn Future<Output = Done> + Send>>),
    /// It waits for those before it.
    Returned(Done),
}

/// Calls under way, all polled at each turn. With one waker each (`FuturesOrdered`), those that tokio made pause
/// would be woken last first, and overtake each other between two steps.
pub(super) struct Hand {
    calls: VecDeque<Call>,
    bytes: usize,
}

/// A call that has returned.
pub(super) struct Done {
    bytes: usize,
    /// Whether the peer is to be sent the reply.
    pub(super) is_answered: bool,
    /// Nothing if the intake panicked.
    pub(super) reply: Option<Reply>,
}

impl Hand {
    pub(super) fn new() -> Hand {
        Hand { calls: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Bytes of the messages in hand.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn take(&mut self, bytes: usize, is_answered: bool, call: impl Future<Output = Reply> + Send + 'static) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.calls.push_back(Call::Working(Box::pin(async move {
            let reply = AssertUnwindSafe(call).catch_unwind().await.ok();
            Done { bytes, is_answered, reply }
        })));
    }

    /// The next in the order of receipt; nothing if the hand is empty.
    pub(super) async fn next(&mut self) -> Option<Done> {
        let done = poll_fn(|cx| self.poll_all(cx)).await?;
        self.bytes = self.bytes.saturating_sub(done.bytes);
        Some(done)
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Option<Done>> {
        for call in &mut self.calls {
            if let Call::Working(working) = call
                && let Poll::Ready(done) = working.poll_unpin(cx)
            {
                *call = Call::Returned(done);
            }
        }
        match self.calls.pop_front() {
            None => Poll::Ready(None),
            Some(Call::Returned(done)) => Poll::Ready(Some(done)),
            Some(working) => {
                self.calls.push_front(working);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{Mutex, Semaphore, mpsc};

    use super::*;

    const CALLS: usize = 300;

    /// A call waits its turn, for room and for its place, as in the intake: three steps that the runtime counts. Of
    /// 128 that it lets a task do in one go, the last one lies between the second and the third step of a call.
    #[tokio::test]
    async fn calls_take_their_places_in_the_order_in_which_they_came_however_often_the_task_must_pause() {
        let (turn, room) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(CALLS)));
        let (places, mut taken) = mpsc::channel(CALLS);
        let mut hand = Hand::new();
        for number in 0..CALLS {
            let (turn, room, places) = (Arc::clone(&turn), Arc::clone(&room), places.clone());
            hand.take(1, true, async move {
                let waited = turn.lock().await;
                let _held = room.acquire().await.expect("it stays open");
                drop(waited);
                places.send(number).await.expect("there is room");
                Reply::default()
            });
        }
        while hand.next().await.is_some() {}
        for number in 0..CALLS {
            assert_eq!(taken.recv().await, Some(number));
        }
    }
}
