//! What waits for the writer: jobs in the order in which they came, each with the time until which it may wait.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::store::{HandOver, Outcome, StoreError, UnitOfWork};

/// Units in one transaction at most: bounds the time that the first of them waits.
const GROUP_UNITS_MAX: usize = 512;
/// Jobs that wait for the writer at most; a full queue slows the senders down.
pub(super) const QUEUE_MAX: usize = 1024;
/// How long a commit may wait for a database that is away. Then its caller is told that nothing was written.
pub(super) const COMMIT_DEADLINE: Duration = Duration::from_secs(5);

/// Units that a caller wants committed.
pub(super) struct Job {
    pub(super) units: Vec<UnitOfWork>,
    /// Called first, in the order of the commits.
    pub(super) hand_over: Option<HandOver>,
    /// Answered next.
    pub(super) reply: oneshot::Sender<Vec<Outcome>>,
    pub(super) until: Instant,
}

impl Job {
    pub(super) fn tell(self, outcomes: Vec<Outcome>) {
        if let (Some(hand_over), Some(outcome)) = (self.hand_over, outcomes.first()) {
            hand_over(outcome);
        }
        let _ = self.reply.send(outcomes);
    }

    pub(super) fn fail(self, error: &StoreError) {
        let outcomes = vec![Outcome::Failed(error.clone()); self.units.len()];
        self.tell(outcomes);
    }
}

/// The jobs that have not had their turn.
pub(super) struct Queue {
    jobs: mpsc::Receiver<Job>,
    /// Taken out of the channel while the database was away, so that none waits too long.
    waiting: VecDeque<Job>,
}

impl Queue {
    pub(super) fn new(jobs: mpsc::Receiver<Job>) -> Queue {
        Queue { jobs, waiting: VecDeque::new() }
    }

    /// The next job; none: every sender is gone. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Option<Job> {
        match self.waiting.pop_front() {
            Some(job) => Some(job),
            None => self.jobs.recv().await,
        }
    }

    /// The next group: `first`, and what queued up while the last commit was under way.
    pub(super) fn group(&mut self, first: Job) -> Vec<Job> {
        let mut units = first.units.len();
        let mut group = vec![first];
        while units < GROUP_UNITS_MAX {
            let Some(job) = self.waiting.pop_front().or_else(|| self.jobs.try_recv().ok()) else { break };
            units += job.units.len();
            group.push(job);
        }
        group
    }

    /// Tells those whose time is over that nothing of theirs was written.
    pub(super) fn turn_away(&mut self, error: &StoreError) {
        while self.waiting.len() < QUEUE_MAX {
            let Ok(job) = self.jobs.try_recv() else { break };
            self.waiting.push_back(job);
        }
        let now = Instant::now();
        while let Some(job) = self.waiting.pop_front_if(|job| job.until <= now) {
            job.fail(error);
        }
    }

    /// Tells all that nothing of theirs was written, now and from now on.
    pub(super) async fn refuse_all(&mut self, error: &StoreError) {
        while let Some(job) = self.next().await {
            job.fail(error);
        }
    }
}
