//! Progress of work that takes longer than two seconds, on a terminal.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio::time::Instant;

/// Work that ends within this shows nothing.
const SILENCE: Duration = Duration::from_secs(2);
/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// Does `work`, and turns a spinner when it takes long.
pub fn with_spinner<T: Send>(what: &'static str, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            // The sender is dropped when the work is done, also by a panic.
            if is_done.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                let spinner = ProgressBar::new_spinner().with_message(what);
                spinner.enable_steady_tick(TICK);
                let _ = is_done.recv();
                spinner.finish_and_clear();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Counts steps; a bar appears once they take long.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    is_shown: bool,
}

impl Progress {
    /// Of so many steps.
    pub fn of(steps: usize) -> Progress {
        let bar = ProgressBar::with_draw_target(u64::try_from(steps).ok(), ProgressDrawTarget::hidden());
        Progress { bar, begun: Instant::now(), is_shown: false }
    }

    /// One more is done.
    pub fn step(&mut self) {
        self.bar.inc(1);
        if !self.is_shown && self.begun.elapsed() >= SILENCE {
            self.is_shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
