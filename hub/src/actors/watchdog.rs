//! The watchdog: a thread of its own that sees whether actors go on (H8).
//!
//! In comes the progress of each cell: whether it computes, and on which step; out goes what is slow, for `/ready`,
//! within seconds. A step that does not end cannot be taken from its thread, so the process is given up, and the
//! next start takes what was in hand one at a time, so that blame falls where it belongs. Waiting is no step: a cell
//! that waits for a slow disk is not stuck. The thread asks nothing of the runtime that it watches.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;

/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so long a step is slow, and the hub is not ready.
const SLOW: Duration = Duration::from_secs(4);

/// The steps of one cell: odd while it computes. A count, not a time: the thread has the only clock.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

/// A step in hand; it ends however it is left.
struct Step<'p>(&'p AtomicU64);

impl Progress {
    /// The same future, each poll of which is a step.
    pub fn over<F: Future + Unpin>(self, mut future: F) -> impl Future<Output = F::Output> {
        poll_fn(move |context| {
            let _step = self.begin();
            future.poll_unpin(context)
        })
    }

    fn begin(&self) -> Step<'_> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Step(&self.0)
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
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
    /// Looks again; returns for how long the same step has been in hand.
    fn look(&mut self) -> Duration {
        let count = self.progress.0.load(Ordering::Acquire);
        let is_the_same = count % 2 == 1 && count == self.count;
        self.looks = if is_the_same { self.looks.saturating_add(1) } else { 0 };
        self.count = count;
        LOOK_EVERY.saturating_mul(self.looks)
    }
}

/// Watches `cells` as long as somebody hears which of them are slow. One whose step takes as long as `stuck` is given
/// up by `give_up`.
pub fn watch(
    cells: Vec<(String, Progress)>,
    stuck: Duration,
    give_up: impl Fn(&str) + Send + 'static,
) -> watch::Receiver<Vec<String>> {
    let (told, slow) = watch::channel(Vec::new());
    let mut watched: Vec<Watched> =
        cells.into_iter().map(|(name, progress)| Watched { name, progress, count: 0, looks: 0 }).collect();
    let run = move || {
        while !told.is_closed() {
            #[expect(clippy::disallowed_methods, reason = "outside the runtime, so that it sees the runtime freeze")]
            std::thread::sleep(LOOK_EVERY);
            look(&mut watched, stuck, &give_up, &told);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("watchdog".to_owned()).spawn(run) {
        tracing::warn!(%error, "there is no watchdog");
    }
    slow
}

fn look(watched: &mut [Watched], stuck: Duration, give_up: &impl Fn(&str), told: &watch::Sender<Vec<String>>) {
    let mut slow = Vec::new();
    for one in watched {
        let busy = one.look();
        if busy >= stuck {
            tracing::error!(part = %one.name, busy_s = busy.as_secs(), "is stuck");
            give_up(&one.name);
        }
        if busy >= SLOW {
            slow.push(one.name.clone());
        }
    }
    told.send_if_modified(|known| {
        let changed = *known != slow;
        if changed {
            tracing::warn!(parts = ?slow, "parts that have been at one step for seconds");
            *known = slow;
        }
        changed
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn watched(progress: &Progress) -> Watched {
        Watched { name: "router 1".to_owned(), progress: progress.clone(), count: 0, looks: 0 }
    }

    fn looks(one: &mut Watched, times: u32) -> Duration {
        (0..times).map(|_| one.look()).last().unwrap_or_default()
    }

    #[test]
    fn only_one_and_the_same_step_in_hand_counts() {
        let progress = Progress::default();
        let mut one = watched(&progress);
        assert_eq!(looks(&mut one, 100), Duration::ZERO, "nothing in hand");
        let step = progress.begin();
        assert_eq!(looks(&mut one, 9), SLOW);
        drop(step);
        let _another = progress.begin();
        assert_eq!(looks(&mut one, 1), Duration::ZERO, "another step");
    }

    #[tokio::test]
    async fn a_cell_that_waits_is_at_no_step_and_neither_is_one_that_panicked_or_was_left() {
        let progress = Progress::default();
        let mut one = watched(&progress);
        let mut waiting = Box::pin(progress.clone().over(futures::future::pending::<()>()));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(looks(&mut one, 100), Duration::ZERO);
        drop(waiting);
        let panics = progress.clone().over(futures::future::lazy(|_| panic!("poison")));
        assert!(std::panic::AssertUnwindSafe(panics).catch_unwind().await.is_err());
        assert_eq!(looks(&mut one, 100), Duration::ZERO);
    }

    #[test]
    fn what_is_slow_is_told_until_it_goes_on_and_what_is_stuck_is_given_up() {
        const STUCK: Duration = Duration::from_secs(5);
        let (progress, given_up) = (Progress::default(), Mutex::new(Vec::new()));
        let mut cells = [watched(&progress), Watched { name: "router 2".to_owned(), ..watched(&Progress::default()) }];
        let (told, slow) = watch::channel(Vec::new());
        let mut look = |times: u32| {
            for _ in 0..times {
                super::look(&mut cells, STUCK, &|part: &str| given_up.lock().unwrap().push(part.to_owned()), &told);
            }
            (slow.borrow().clone(), given_up.lock().unwrap().clone())
        };
        let (router, nobody) = (vec!["router 1".to_owned()], Vec::<String>::new());
        let step = progress.begin();
        assert_eq!(look(8), (nobody.clone(), nobody.clone()));
        assert_eq!(look(1), (router.clone(), nobody.clone()));
        assert_eq!(look(2), (router.clone(), router.clone()));
        drop(step);
        assert_eq!(look(1), (nobody, router));
    }
}
