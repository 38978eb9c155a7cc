//! The watchdog: a thread of its own that sees whether actors go on (H8).
//!
//! In comes the progress of each cell: nothing in hand, or since when; out goes what is stuck, for `/ready`, within
//! seconds. A job that is in hand for a minute will not end: nothing can take it from its thread, so the process
//! ends with 70, and the next start takes what was in hand one at a time, so that blame falls where it belongs. The
//! thread asks nothing of the runtime that it watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// In hand for so long, a job is slow, and the hub is not ready.
pub const SLOW: Duration = Duration::from_secs(4);
/// In hand for so long, a job will not end.
const STUCK: Duration = Duration::from_secs(60);

/// Whether a cell has a job in hand. A count, not a time: the thread has the only clock.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// A job is in hand from now on.
    pub fn begin(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    /// It is done.
    pub fn end(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// One cell as the thread sees it.
struct Watched {
    name: String,
    progress: Progress,
    count: u64,
    looks: u32,
}

impl Watched {
    /// Looks again; returns for how long the same job has been in hand.
    fn look(&mut self) -> Duration {
        let count = self.progress.count();
        let busy = count % 2 == 1;
        self.looks = if busy && count == self.count { self.looks.saturating_add(1) } else { 0 };
        self.count = count;
        LOOK_EVERY.saturating_mul(self.looks)
    }
}

/// Watches `cells` as long as somebody hears what it says: the names of those that are stuck.
pub fn watch(cells: Vec<(String, Progress)>) -> watch::Receiver<Vec<String>> {
    let (told, stuck) = watch::channel(Vec::new());
    let watched = cells
        .into_iter()
        .map(|(name, progress)| Watched { name, progress, count: 0, looks: 0 })
        .collect::<Vec<Watched>>();
    let started = std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || run(watched, &told));
    if let Err(error) = started {
        tracing::warn!(%error, "there is no watchdog");
    }
    stuck
}

fn run(mut watched: Vec<Watched>, told: &watch::Sender<Vec<String>>) {
    while !told.is_closed() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread outside the runtime, so that it sees the runtime freeze"
        )]
        std::thread::sleep(LOOK_EVERY);
        let mut slow = Vec::new();
        for one in &mut watched {
            let busy = one.look();
            if busy >= STUCK {
                tracing::error!(part = %one.name, busy_s = busy.as_secs(), "is stuck; the process ends");
                std::process::exit(70);
            }
            if busy >= SLOW {
                slow.push(one.name.clone());
            }
        }
        told.send_if_modified(|known| {
            let changed = *known != slow;
            if changed {
                tracing::warn!(parts = ?slow, "parts with one job in hand for seconds");
                *known = slow;
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(one: &mut Watched, times: u32) -> Duration {
        (0..times).map(|_| one.look()).last().unwrap_or_default()
    }

    #[test]
    fn only_one_and_the_same_job_in_hand_counts_as_slow() {
        let progress = Progress::default();
        let mut one = Watched { name: "router 1".to_owned(), progress: progress.clone(), count: 0, looks: 0 };
        assert_eq!(looks(&mut one, 100), Duration::ZERO, "nothing in hand");
        progress.begin();
        assert_eq!(looks(&mut one, 9), SLOW);
        progress.end();
        progress.begin();
        assert_eq!(looks(&mut one, 1), Duration::ZERO, "another job");
        progress.end();
        assert_eq!(looks(&mut one, 100), Duration::ZERO);
    }

    #[test]
    fn the_thread_tells_what_is_stuck_and_that_it_went_on() {
        let progress = Progress::default();
        progress.begin();
        let stuck =
            watch(vec![("router 1".to_owned(), progress.clone()), ("router 2".to_owned(), Progress::default())]);
        let until = |wanted: &[String]| {
            let looked = (0..200).any(|_| {
                #[expect(clippy::disallowed_methods, reason = "the thread under test has its own clock")]
                std::thread::sleep(Duration::from_millis(50));
                *stuck.borrow() == wanted
            });
            assert!(looked, "{wanted:?} was never told");
        };
        until(&["router 1".to_owned()]);
        progress.end();
        until(&[]);
    }
}
