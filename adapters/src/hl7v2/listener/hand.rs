//! The messages of one connection that the intake has in hand.
//!
//! In come calls of the intake; out come their replies in the order in which they were begun. Promised:
//! calls are first polled in that order (H5), all go on side by side, and a panic in one is caught (H8).
//! Refused is nothing: the connection looks at [`Hand::len`] and [`Hand::bytes`] before it adds one.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures::FutureExt;
use futures::stream::{FuturesOrdered, StreamExt};

use crate::Reply;

/// Calls under way.
pub(super) struct Hand {
    calls: FuturesOrdered<Pin<Box<dyn Future<Output = Done> + Send>>>,
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
        Hand { calls: FuturesOrdered::new(), bytes: 0 }
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
        self.calls.push_back(Box::pin(async move {
            let reply = AssertUnwindSafe(call).catch_unwind().await.ok();
            Done { bytes, is_answered, reply }
        }));
    }

    /// The next in the order of receipt; nothing if the hand is empty.
    pub(super) async fn next(&mut self) -> Option<Done> {
        let done = self.calls.next().await?;
        self.bytes = self.bytes.saturating_sub(done.bytes);
        Some(done)
    }
}
