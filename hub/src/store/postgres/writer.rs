//! The one writer of this hub: a task with a session of its own.
//!
//! In come units through a bounded queue; what has queued up while the last commit was under way goes into one
//! transaction, and only when its COMMIT has returned are the callers answered (H1). The transaction begins with
//! this hub's turn: its row in `writer` is counted up, and `head` gives the ids and is locked until the commit, so
//! that ids grow in the order of commits whoever writes. A unit that the server refuses fails alone.
//!
//! A session that breaks before COMMIT has written nothing: the group is tried again until its time is over. One
//! that breaks at COMMIT leaves open what became of the group. Its callers wait, and never hear a guess: the old
//! session is ended, and the count in this hub's row says whether the commit arrived.

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::Clock;
use sqlx::{Executor, query, query_scalar};
use tokio::sync::watch;
use tokio::time::Instant;

use super::connect::{Backend, Server, Session};
use super::error::{Reach, classify};
use super::partitions;
use super::queue::{Job, Queue};
use super::transaction::{Life, Undone, answered};
use crate::store::{Outcome, StoreError, UnitOfWork};

/// A writer that has waited so long for an answer is not well.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(4);
/// How often an idle writer looks whether the database is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a look may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
/// Between two attempts, at first and at last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How the writer stands, for all to see.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// What is wrong; none: nothing.
    pub(super) trouble: Option<StoreError>,
    /// Since when the server owes an answer.
    pub(super) asked_at: Option<Instant>,
}

/// The writer's own state.
pub(super) struct Writer {
    server: Server,
    session: Option<Session>,
    /// Sessions that were lost, and may still be at work.
    lost: Vec<Backend>,
    life: Life,
    pub(super) standing: watch::Sender<Standing>,
}

impl Writer {
    /// Begins a life: takes a row in `writer`, which is its fencing token.
    pub(super) async fn begin(server: Server, clock: Arc<dyn Clock>, mut session: Session) -> Result<Self, StoreError> {
        let known = |error| classify(&error).0;
        let id = query_scalar("INSERT INTO writer (started_at) VALUES ($1) RETURNING id")
            .bind(clock.now().0)
            .fetch_one(&mut session.connection)
            .await
            .map_err(known)?;
        if server.is_alone() {
            // Lives before this one: should one of them still think that it writes, its next commit ends it.
            let older = query("DELETE FROM writer WHERE id < $1").bind::<i64>(id);
            older.execute(&mut session.connection).await.map_err(known)?;
        }
        let days = partitions::kept(&mut session.connection).await.map_err(known)?;
        let standing = watch::Sender::new(Standing::default());
        let life = Life { clock, id, commits: 0, days };
        Ok(Writer { server, session: Some(session), lost: Vec::new(), life, standing })
    }

    /// Works until every sender is gone.
    pub(super) async fn run(mut self, mut queue: Queue) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let first = tokio::select! {
                biased;
                job = queue.next() => job,
                _ = look.tick() => { self.look().await; continue; }
            };
            let Some(first) = first else { break };
            let group = queue.group(first);
            if let Err(error) = self.commit(group, &mut queue).await {
                queue.refuse_all(&error).await;
                break;
            }
        }
        if let Some(session) = self.session.take() {
            let _ = tokio::time::timeout(LOOK_DEADLINE, sqlx::Connection::close(session.connection)).await;
        }
    }

    /// Commits a group, and tells its callers; an error ends this life.
    async fn commit(&mut self, group: Vec<Job>, queue: &mut Queue) -> Result<(), StoreError> {
        let units: Vec<&UnitOfWork> = group.iter().flat_map(|job| &job.units).collect();
        let until = group.iter().map(|job| job.until).min().unwrap_or_else(Instant::now);
        let outcomes = match self.outcomes(&units, until, queue).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::error!(%error, "the writer ends");
                // Before its callers are told: who hears of it must find the store ended.
                self.standing.send_modify(|standing| standing.trouble = Some(error.clone()));
                group.into_iter().for_each(|job| job.fail(&error));
                return Err(error);
            }
        };
        fail::fail_point!("journal.after_commit");
        let mut left = outcomes.into_iter();
        for job in group {
            let own = left.by_ref().take(job.units.len()).collect();
            job.tell(own);
        }
        Ok(())
    }

    /// What the units of a group come to. If the server refuses one of them, each is tried alone.
    async fn outcomes(
        &mut self,
        units: &[&UnitOfWork],
        until: Instant,
        queue: &mut Queue,
    ) -> Result<Vec<Outcome>, StoreError> {
        match self.commit_units(units, until, queue).await {
            Ok(outcomes) => Ok(outcomes),
            Err(Undone::Refused(_)) if units.len() > 1 => {
                let mut outcomes = Vec::with_capacity(units.len());
                for unit in units {
                    let alone = self.commit_units(&[*unit], until, queue).await;
                    outcomes.extend(alone.or_else(|undone| failed(undone, 1))?);
                }
                Ok(outcomes)
            }
            Err(undone) => failed(undone, units.len()),
        }
    }

    /// Tries until it is done, or refused, or the time is over. What is unknown is found out, however long it takes.
    async fn commit_units(
        &mut self,
        units: &[&UnitOfWork],
        until: Instant,
        queue: &mut Queue,
    ) -> Result<Vec<Outcome>, Undone> {
        let mut pause = PAUSE.0;
        loop {
            let mut drafted = None;
            let undone = match self.attempt(units, &mut drafted).await {
                Ok(outcomes) => {
                    self.note(None);
                    return Ok(outcomes);
                }
                Err(Undone::Unknown) => match (self.find_out(queue).await?, drafted) {
                    (true, Some(outcomes)) => return Ok(outcomes),
                    _ => Undone::Passing(StoreError::Away("the session broke".into())),
                },
                Err(undone) => undone,
            };
            let Undone::Passing(error) = &undone else { return Err(undone) };
            if Instant::now() >= until {
                return Err(undone);
            }
            self.note(Some(error.clone()));
            self.wait(&mut pause, queue, error).await;
        }
    }

    /// A pause that grows. Who has waited too long meanwhile is told.
    async fn wait(&self, pause: &mut Duration, queue: &mut Queue, error: &StoreError) {
        tokio::time::sleep(*pause).await;
        *pause = pause.saturating_mul(2).min(PAUSE.1);
        queue.turn_away(error);
    }

    /// One transaction for all units. What they come to is left in `drafted` before COMMIT is sent.
    async fn attempt(
        &mut self,
        units: &[&UnitOfWork],
        drafted: &mut Option<Vec<Outcome>>,
    ) -> Result<Vec<Outcome>, Undone> {
        let mut session = self.take_session().await?;
        self.standing.send_modify(|standing| standing.asked_at = Some(Instant::now()));
        let done = self.life.transact(&mut session.connection, units, drafted).await;
        self.standing.send_modify(|standing| standing.asked_at = None);
        match done {
            Ok(outcomes) => {
                self.session = Some(session);
                Ok(outcomes)
            }
            Err((undone, Reach::Connection)) => {
                self.lost.push(session.backend);
                Err(undone)
            }
            Err((undone, Reach::Statement)) => {
                if answered(session.connection.execute("ROLLBACK")).await.is_ok() {
                    self.session = Some(session);
                } else {
                    self.lost.push(session.backend);
                }
                Err(undone)
            }
        }
    }

    /// The session, or a new one.
    async fn take_session(&mut self) -> Result<Session, Undone> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        let lost = |error: &sqlx::Error| match classify(error).0 {
            passing if passing.is_passing() => Undone::Passing(passing),
            other => Undone::Passing(StoreError::Away(other.to_string().into())),
        };
        let Some(mut session) = self.server.session(&self.lost).await.map_err(|error| lost(&error))? else {
            return Err(Undone::Passing(StoreError::Away("another session has the lock of this database".into())));
        };
        self.life.days = answered(partitions::kept(&mut session.connection)).await.map_err(|error| lost(&error))?;
        self.lost.clear();
        Ok(session)
    }

    /// Whether the commit arrived whose answer did not. The row is locked by the old session as long as that has not
    /// decided; it was ended when this one began.
    async fn find_out(&mut self, queue: &mut Queue) -> Result<bool, Undone> {
        let mut pause = PAUSE.0;
        let in_doubt = self.lost.clone();
        loop {
            let found = match self.take_session().await {
                Ok(mut session) => {
                    let asked = query_scalar::<_, i64>("SELECT commits FROM writer WHERE id = $1 FOR UPDATE")
                        .bind(self.life.id)
                        .fetch_optional(&mut session.connection);
                    match answered(asked).await {
                        Ok(found) => {
                            self.session = Some(session);
                            Ok(found)
                        }
                        Err(error) => {
                            // What was lost first is what must have ended, whatever is lost after it.
                            self.lost = in_doubt.clone();
                            self.lost.push(session.backend);
                            Err(classify(&error).0)
                        }
                    }
                }
                Err(Undone::Passing(error)) => Err(error),
                Err(undone) => return Err(undone),
            };
            match found {
                Ok(Some(commits)) => {
                    let arrived = commits > self.life.commits;
                    self.life.commits = commits;
                    tracing::warn!(arrived, "the answer to a commit was lost; it was looked up");
                    return Ok(arrived);
                }
                Ok(None) => return Err(Undone::Over(StoreError::Broken("the row of this writer is gone".into()))),
                Err(error) => {
                    self.note(Some(error.clone()));
                    self.wait(&mut pause, queue, &error).await;
                }
            }
        }
    }

    /// Whether the database is there, when nobody asks for anything.
    async fn look(&mut self) {
        let mut session = match self.take_session().await {
            Ok(session) => session,
            Err(Undone::Passing(error)) => return self.note(Some(error)),
            Err(_) => return,
        };
        match tokio::time::timeout(LOOK_DEADLINE, session.connection.execute("SELECT 1")).await {
            Ok(Ok(_)) => {
                self.session = Some(session);
                self.note(None);
            }
            lost => {
                self.lost.push(session.backend);
                let said = lost.err().map_or("the session broke", |_| "no answer in time");
                self.note(Some(StoreError::Away(said.into())));
            }
        }
    }

    /// Tells how the writer stands; the log says when it changes.
    fn note(&self, trouble: Option<StoreError>) {
        self.standing.send_if_modified(|standing| {
            let changed = standing.trouble.is_some() != trouble.is_some();
            if changed {
                match &trouble {
                    Some(error) => tracing::warn!(%error, "the journal waits"),
                    None => tracing::info!("the journal goes on"),
                }
            }
            standing.trouble = trouble;
            changed
        });
    }
}

/// What callers hear of a group that was not committed; an error ends this life.
fn failed(undone: Undone, units: usize) -> Result<Vec<Outcome>, StoreError> {
    match undone {
        Undone::Refused(error) | Undone::Passing(error) => Ok(vec![Outcome::Failed(error); units]),
        // Not reached: what is unknown was found out.
        Undone::Unknown => Err(StoreError::Broken("what became of a commit is not known".into())),
        Undone::Over(error) => Err(error),
    }
}
