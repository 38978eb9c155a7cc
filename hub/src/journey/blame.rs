//! Blame: which message was in hand when something panicked, or when the process died.
//!
//! An attempt is counted before a message is handed over. It is charged to the message when it panicked
//! in hand, or when it was alone in hand when the process died. A message charged three times is dead-
//! lettered; a neighbour in the same batch, or a message that happened to be there when someone killed
//! the hub, is not charged (H8).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::store::Cause;

/// Charges that make a dead letter.
pub const CHARGES_MAX: u32 = 3;

/// Which message of a batch is in hand; shared with the cell that works on the batch.
#[derive(Clone, Debug, Default)]
pub struct InHand(Arc<AtomicUsize>);

impl InHand {
    /// The `place`-th message of the batch is in hand from now on.
    pub fn take(&self, place: usize) {
        self.0.store(place, Ordering::Release);
    }

    /// The message that was in hand last.
    pub fn place(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// Why a poisoned message is a dead letter. The place is in the code, not in the message.
pub fn poisoned(stage: &str, place: &str) -> Cause {
    Cause::new("HUB0401", &format!("charged {CHARGES_MAX} times: {stage} panicked at {place}"))
}

/// Why a message that took the process down is a dead letter.
pub fn deadly(stage: &str) -> Cause {
    Cause::new("HUB0402", &format!("charged {CHARGES_MAX} times: the process died while {stage} had it alone in hand"))
}

/// A message that a test wants to be poisonous: its control id says at which stage and how.
#[cfg(feature = "crash-points")]
pub fn provoke(stage: &str, control_id: &str) {
    #[expect(clippy::panic, clippy::infinite_loop, reason = "the poison of the reliability tests")]
    if let Some(rest) = control_id.strip_prefix("POISON-") {
        if rest.starts_with(&format!("ABORT-{stage}")) {
            std::process::abort();
        }
        if rest.starts_with(&format!("STUCK-{stage}")) {
            loop {
                std::thread::park();
            }
        }
        if rest.starts_with(&format!("PANIC-{stage}")) {
            panic!("poison for {stage}");
        }
    }
}

/// Nothing is poisonous on purpose in a release.
#[cfg(not(feature = "crash-points"))]
pub fn provoke(_stage: &str, _control_id: &str) {}
