//! The one place where tests look at the clock and pause: every wait is on a condition and has a deadline.

use std::time::{Duration, Instant};

use crate::Fallible;

/// Longer than anything that a test waits for takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long to pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A moment after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    within: Duration,
}

impl Deadline {
    /// A deadline `within` from now.
    pub fn within(within: Duration) -> Deadline {
        Deadline { at: now() + within, within }
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        now() >= self.at
    }
}

/// A stopwatch that runs.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Stopwatch {
        Stopwatch(now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.0)
    }
}

/// Looks at `probe` until it gives a value, fails, or the deadline passes.
pub fn until<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Fallible<Option<T>>) -> Fallible<T> {
    let deadline = Deadline::within(within);
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if deadline.has_passed() {
            return Err(format!("{what}: not within {:?}", deadline.within).into());
        }
        pause(LOOK_EVERY);
    }
}

/// Lets a fault strike `after` this time. It decides when something happens to the hub, never whether it was right.
pub fn pause(after: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the one place where a test pauses")]
    std::thread::sleep(after);
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "real processes are timed by the real clock")]
    Instant::now()
}
