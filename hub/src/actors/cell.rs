//! A guarded cell: an actix actor round a worker that may panic.
//!
//! In come jobs through a bounded mailbox; out goes each job's result, or [`Fault`]. A panic never
//! reaches actix, whose stock supervisor would leave a dead address behind: it is caught round the
//! handler, the worker (which may be inconsistent) is dropped, and the stock `Supervisor` starts the
//! actor again with a fresh worker from its factory. Address and queued jobs survive. The reply channel
//! travels inside the message, because actix drops response futures when a context starts again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix::{
    Actor, ActorContext, Addr, ArbiterHandle, AsyncContext, Context, Handler, Supervised, Supervisor, WrapFuture,
};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::supervisor::{Escalation, Intensity, Next, Policy, Root, panicked_at};
use super::watchdog::Progress;

/// Pause after a job panicked, so that a storm of poison cannot spin.
const PAUSE_AFTER_PANIC: Duration = Duration::from_millis(10);

/// What a cell guards. Its state is rebuilt by the factory after a panic.
pub trait Work: Sized + Unpin + 'static {
    /// What it is asked.
    type Job: Send + 'static;
    /// What it answers.
    type Done: Send + 'static;

    /// Does one job. Jobs are done one at a time.
    fn work(&mut self, job: Self::Job) -> LocalBoxFuture<'_, Self::Done>;
}

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It panicked in hand, at this place in the code.
    Panicked(String),
    /// The cell has stopped.
    Stopped,
}

/// Where a cell stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It makes its worker.
    Starting,
    /// It works; so many panics of jobs were survived.
    Up {
        /// Panics survived.
        panics: u64,
    },
    /// Its worker could not be made, too often.
    Failed {
        /// What happened last.
        cause: String,
    },
}

/// How a cell is made.
pub struct Plan<W> {
    /// Its name in logs and metrics.
    pub name: String,
    /// Jobs that may wait; a full mailbox slows the caller down.
    pub mailbox: usize,
    /// How it starts again.
    pub policy: Policy,
    /// Who hears that it cannot.
    pub root: Root,
    /// Makes a fresh worker.
    pub make: Box<dyn FnMut() -> Result<W, String> + Send>,
}

/// A caller's hold on a cell. It stays valid over restarts.
pub struct Handle<W: Work> {
    address: Addr<Cell<W>>,
    health: watch::Receiver<Health>,
    progress: Progress,
}

impl<W: Work> Clone for Handle<W> {
    fn clone(&self) -> Self {
        Handle { address: self.address.clone(), health: self.health.clone(), progress: self.progress.clone() }
    }
}

impl<W: Work> Handle<W> {
    /// Waits for room in the mailbox, then for the result.
    pub async fn ask(&self, job: W::Job) -> Result<W::Done, Fault> {
        let (reply, done) = oneshot::channel();
        self.address.send(Ask { job, reply }).await.map_err(|_| Fault::Stopped)?;
        done.await.unwrap_or(Err(Fault::Stopped))
    }

    /// Where the cell stands, from now on.
    pub fn watch(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Whether it computes, for the watchdog.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Where the cell stands now.
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }
}

/// Starts a cell on an arbiter.
pub fn spawn<W: Work>(arbiter: &ArbiterHandle, plan: Plan<W>) -> Handle<W> {
    let (told, health) = watch::channel(Health::Starting);
    let progress = Progress::default();
    let of_cell = progress.clone();
    let address = Supervisor::start_in_arbiter(arbiter, move |context: &mut Context<Cell<W>>| {
        context.set_mailbox_capacity(plan.mailbox);
        let intensity = Intensity::new(plan.policy);
        Cell { plan, worker: None, health: told, progress: of_cell, intensity, panics: 0, pause: Duration::ZERO }
    });
    Handle { address, health, progress }
}

/// The actor.
pub struct Cell<W: Work> {
    plan: Plan<W>,
    worker: Option<W>,
    health: watch::Sender<Health>,
    progress: Progress,
    intensity: Intensity,
    panics: u64,
    pause: Duration,
}

struct Ask<W: Work> {
    job: W::Job,
    reply: oneshot::Sender<Result<W::Done, Fault>>,
}

impl<W: Work> actix::Message for Ask<W> {
    type Result = ();
}

impl<W: Work> Actor for Cell<W> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.begin(context);
    }
}

impl<W: Work> Supervised for Cell<W> {}

impl<W: Work> Cell<W> {
    /// Makes a worker after the pause. No job is handled meanwhile, and none is lost.
    fn begin(&mut self, context: &mut Context<Self>) {
        let pause = std::mem::take(&mut self.pause);
        let wait = tokio::time::sleep(pause).into_actor(self);
        context.wait(actix::ActorFutureExt::map(wait, |(), cell, afterwards| {
            match std::panic::catch_unwind(AssertUnwindSafe(|| (cell.plan.make)())) {
                Ok(Ok(worker)) => {
                    cell.worker = Some(worker);
                    cell.health.send_replace(Health::Up { panics: cell.panics });
                }
                Ok(Err(cause)) => cell.fail(cause, afterwards),
                Err(_) => cell.fail(panicked_at(), afterwards),
            }
        }));
    }

    /// A failure with no message in hand.
    fn fail(&mut self, cause: String, context: &mut Context<Self>) {
        match self.intensity.failed(Instant::now()) {
            Next::Restart(wait) => {
                tracing::warn!(part = %self.plan.name, %cause, wait_ms = wait.as_millis(), "starts again");
                self.pause = wait;
                context.stop();
            }
            Next::Escalate => {
                self.health.send_replace(Health::Failed { cause: cause.clone() });
                let escalation = Escalation { part: self.plan.name.clone(), cause };
                if self.plan.root.try_send(escalation).is_err() {
                    tracing::error!(part = %self.plan.name, "failed too often, and the root does not listen");
                }
            }
        }
    }
}

impl<W: Work> Handler<Ask<W>> for Cell<W> {
    type Result = ();

    fn handle(&mut self, ask: Ask<W>, context: &mut Context<Self>) {
        let Ask { job, reply } = ask;
        let Some(mut worker) = self.worker.take() else {
            let _ = reply.send(Err(Fault::Stopped));
            return;
        };
        let progress = self.progress.clone();
        let guarded = async move {
            let outcome = AssertUnwindSafe(progress.over(worker.work(job))).catch_unwind().await;
            (worker, outcome)
        };
        let settled =
            actix::ActorFutureExt::map(guarded.into_actor(self), |(used, outcome), cell, afterwards| match outcome {
                Ok(done) => {
                    cell.worker = Some(used);
                    let _ = reply.send(Ok(done));
                }
                Err(_) => {
                    cell.panics += 1;
                    cell.pause = PAUSE_AFTER_PANIC;
                    let _ = reply.send(Err(Fault::Panicked(panicked_at())));
                    afterwards.stop();
                }
            });
        context.wait(settled);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use actix::Arbiter;
    use tokio::sync::mpsc;

    use super::*;

    struct Counter(u32);

    impl Work for Counter {
        type Job = u32;
        type Done = u32;

        fn work(&mut self, job: u32) -> LocalBoxFuture<'_, u32> {
            async move {
                assert!(job != 13, "poison");
                self.0 += 1;
                self.0
            }
            .boxed_local()
        }
    }

    fn plan(root: Root, make: impl FnMut() -> Result<Counter, String> + Send + 'static) -> Plan<Counter> {
        let policy = Policy { first: Duration::from_millis(1), ..Policy::default() };
        Plan { name: "counter".to_owned(), mailbox: 64, policy, root, make: Box::new(make) }
    }

    #[actix::test]
    async fn a_panic_costs_the_job_in_hand_and_nothing_behind_it() {
        let (root, mut escalations) = mpsc::channel(1);
        let handle = spawn(&Arbiter::current(), plan(root, || Ok(Counter(0))));
        let asked: Vec<_> = [1, 2, 13, 3, 4].into_iter().map(|job| handle.ask(job)).collect();
        let done = futures::future::join_all(asked).await;
        assert_eq!(done[0..2], [Ok(1), Ok(2)]);
        assert!(matches!(&done[2], Err(Fault::Panicked(_))));
        assert_eq!(done[3..5], [Ok(1), Ok(2)], "the worker is fresh, the queue is kept");
        assert_eq!(handle.health(), Health::Up { panics: 1 });
        assert!(escalations.try_recv().is_err());
    }

    #[actix::test]
    async fn a_hundred_poisoned_jobs_never_escalate() {
        let (root, mut escalations) = mpsc::channel(1);
        let handle = spawn(&Arbiter::current(), plan(root, || Ok(Counter(0))));
        for _ in 0..100 {
            assert!(matches!(handle.ask(13).await, Err(Fault::Panicked(_))));
        }
        assert_eq!(handle.ask(1).await, Ok(1));
        assert!(escalations.try_recv().is_err());
    }

    #[actix::test]
    async fn a_worker_that_cannot_be_made_goes_up_to_the_root() {
        let (root, mut escalations) = mpsc::channel(1);
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let handle = spawn(
            &Arbiter::current(),
            plan(root, move || {
                counted.fetch_add(1, Ordering::SeqCst);
                Err("no disk".to_owned())
            }),
        );
        let escalation = escalations.recv().await.unwrap();
        assert_eq!(escalation, Escalation { part: "counter".to_owned(), cause: "no disk".to_owned() });
        assert_eq!(tries.load(Ordering::SeqCst), 6);
        assert_eq!(handle.ask(1).await, Err(Fault::Stopped));
        assert_eq!(handle.health(), Health::Failed { cause: "no disk".to_owned() });
    }
}
