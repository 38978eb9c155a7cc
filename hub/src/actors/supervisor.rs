//! When a part of the hub may start again, and when its trouble goes up to the root.
//!
//! A failure with a message in hand is the message's (blame, DESIGN.md section 2) and does not count
//! here. Failures with no message in hand count: more than five in a minute go up, and the process
//! ends with exit code 70, so that whoever runs it starts it afresh (H8).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Failures that are remembered for a policy at most, whatever the policy says.
const REMEMBERED_MAX: usize = 64;

/// How a part starts again.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Wait before the first start after a failure.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Failures within `window` that are borne.
    pub intensity: usize,
    /// How long a failure is remembered.
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            first: Duration::from_millis(50),
            max: Duration::from_secs(10),
            intensity: 5,
            window: Duration::from_secs(60),
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start again after this long.
    Restart(Duration),
    /// Too many: tell the root.
    Escalate,
}

/// Counts the failures of one part.
#[derive(Debug)]
pub struct Intensity {
    policy: Policy,
    failures: VecDeque<Instant>,
}

impl Intensity {
    /// No failures so far.
    pub fn new(policy: Policy) -> Intensity {
        Intensity { policy, failures: VecDeque::new() }
    }

    /// Counts a failure at `now`, and decides.
    pub fn failed(&mut self, now: Instant) -> Next {
        self.failures.push_back(now);
        while self.failures.len() > REMEMBERED_MAX
            || self.failures.front().is_some_and(|at| now.duration_since(*at) > self.policy.window)
        {
            self.failures.pop_front();
        }
        if self.failures.len() > self.policy.intensity {
            return Next::Escalate;
        }
        let doublings = u32::try_from(self.failures.len().saturating_sub(1)).unwrap_or(u32::MAX).min(16);
        Next::Restart(self.policy.first.saturating_mul(1 << doublings).min(self.policy.max))
    }
}

/// A part that failed too often, or for good. The cause names places in the code, never content (H10).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} cannot go on: {cause}")]
pub struct Escalation {
    /// Which part.
    pub part: String,
    /// What happened last.
    pub cause: String,
}

/// Where parts tell the root that they cannot go on.
pub type Root = mpsc::Sender<Escalation>;

/// Runs a part that is no cell and cannot start again by itself. It may end when its work is over; an error or a panic
/// goes up to the root.
pub fn keep_up<E: Display>(root: &Root, part: &str, work: impl Future<Output = Result<(), E>> + Send + 'static) {
    let (root, part) = (root.clone(), part.to_owned());
    tokio::spawn(async move {
        let cause = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("panicked at {}", panicked_at()),
        };
        // Nobody hears it once the hub is going down.
        let _ = root.send(Escalation { part, cause }).await;
    });
}

thread_local! {
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the place of a panic and drops its text, which may quote a message (H10). Call once, at start.
pub fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
        tracing::error!(%place, thread = std::thread::current().name().unwrap_or("unnamed"), "panicked");
        PANICKED_AT.with(|at| at.replace(Some(place)));
    }));
}

/// The place of the last panic on this thread, once.
pub fn panicked_at() -> String {
    PANICKED_AT.with(RefCell::take).unwrap_or_else(|| "unknown place".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_minute_are_borne_and_the_sixth_goes_up() {
        let mut intensity = Intensity::new(Policy::default());
        let mut waits = Vec::new();
        for _ in 0..5 {
            match intensity.failed(Instant::now()) {
                Next::Restart(wait) => waits.push(wait.as_millis()),
                Next::Escalate => panic!("too early"),
            }
        }
        assert_eq!(waits, [50, 100, 200, 400, 800]);
        assert_eq!(intensity.failed(Instant::now()), Next::Escalate);
    }

    #[tokio::test]
    async fn a_part_that_errs_or_panics_goes_up_and_one_that_is_done_does_not() {
        let (root, mut escalations) = mpsc::channel(3);
        keep_up(&root, "done", async { Ok::<(), String>(()) });
        keep_up(&root, "wrong", async { Err("no such table") });
        keep_up(&root, "rash", async {
            assert!(escalation_is_wanted(), "a panic");
            Ok::<(), String>(())
        });
        drop(root);
        let mut told = Vec::new();
        while let Some(Escalation { part, cause }) = escalations.recv().await {
            told.push((part, cause.split_whitespace().next().unwrap_or_default().to_owned()));
        }
        told.sort();
        assert_eq!(
            told,
            [("rash", "panicked"), ("wrong", "no")].map(|(part, cause)| (part.to_owned(), cause.to_owned()))
        );
    }

    /// False, without the compiler knowing.
    fn escalation_is_wanted() -> bool {
        std::hint::black_box(false)
    }

    #[tokio::test(start_paused = true)]
    async fn four_failures_a_minute_never_go_up() {
        let mut intensity = Intensity::new(Policy::default());
        for _ in 0..100 {
            assert!(matches!(intensity.failed(Instant::now()), Next::Restart(_)));
            tokio::time::advance(Duration::from_secs(15)).await;
        }
    }
}
