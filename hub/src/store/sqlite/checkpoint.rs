//! Checkpoint: the pages of the log go into the journal's file, on a thread beside the writer.
//!
//! In comes the length of the log after each commit; out go pages that are written and synced where they
//! belong, so that the log can begin again from its start. Left to the writer, this makes every answer of that
//! moment wait for tens of milliseconds. The thread follows the growing log until little is left, and leaves
//! that to the writer, because only between two commits nothing is added. A checkpoint that fails for good
//! ends all trust, as a failed commit does (H1); one that fails for want of room is tried again later.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use tokio::sync::watch;

use super::BUSY_TIMEOUT;
use super::writer::classify;
use crate::store::StoreError;

/// The log is followed from this length on: 16 MiB.
const PAGES_MIN: i64 = 4_096;
/// When a reader keeps the log from its start, it is followed again after so many more pages.
const PAGES_MORE: i64 = 1_024;
/// From this length on, 256 MiB, the writer waits for the whole of it.
const PAGES_MAX: i64 = 65_536;
/// So few pages are left to the writer.
const PAGES_LEFT: i64 = 128;
/// Times that the thread follows what the writer added meanwhile.
const PASSES_MAX: u32 = 8;

thread_local! {
    /// Pages in the log after this thread's last commit.
    static PAGES: Cell<i64> = const { Cell::new(0) };
}

/// The thread, as the writer sees it.
pub(super) struct Checkpoints {
    wake: Option<SyncSender<()>>,
    /// The thread has left the rest to the writer.
    nearly_done: Arc<AtomicBool>,
    /// The thread is at work.
    under_way: bool,
    /// The length at which the thread begins.
    begin_at: i64,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread, and counts the pages of `writer`, whose own checkpoints end with that. To be called on
    /// the writer's thread.
    pub(super) fn start(
        file: &Path,
        writer: &Connection,
        broken: watch::Sender<Option<StoreError>>,
    ) -> rusqlite::Result<Checkpoints> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch("PRAGMA synchronous = FULL")?;
        writer.wal_hook(Some(count));
        let (wake, woken) = sync_channel(1);
        let nearly_done = Arc::new(AtomicBool::new(false));
        let follower = Follower { connection, nearly_done: Arc::clone(&nearly_done), broken };
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || follower.run(&woken));
        let thread = thread.map_err(|error| tracing::warn!(%error, "the writer does its own checkpoints")).ok();
        Ok(Checkpoints { wake: Some(wake), nearly_done, under_way: false, begin_at: PAGES_MIN, thread })
    }

    /// After a commit of the writer: begins a checkpoint, or ends it.
    pub(super) fn after_commit(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        let pages = PAGES.get();
        if pages < PAGES_MIN {
            self.begin_at = PAGES_MIN;
        }
        if self.nearly_done.swap(false, Ordering::AcqRel) {
            self.under_way = false;
            self.begin_at = pages.saturating_add(PAGES_MORE);
            return pass(writer).map(|_| ());
        }
        if pages >= PAGES_MAX {
            return pass(writer).map(|_| ());
        }
        if pages >= self.begin_at && !self.under_way {
            self.under_way = self.wake.as_ref().is_some_and(|wake| wake.try_send(()).is_ok());
        }
        Ok(())
    }

    /// Waits until the thread is gone.
    pub(super) fn stop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Follower {
    connection: Connection,
    nearly_done: Arc<AtomicBool>,
    broken: watch::Sender<Option<StoreError>>,
}

impl Follower {
    fn run(self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            if let Err(error) = self.follow() {
                match classify(&error) {
                    known @ StoreError::Broken(_) => {
                        self.broken.send_replace(Some(known));
                        return;
                    }
                    passing => tracing::warn!(error = %passing, "the log of the journal grows on"),
                }
            }
            self.nearly_done.store(true, Ordering::Release);
        }
    }

    /// Passes until little was added during the last one.
    fn follow(&self) -> rusqlite::Result<()> {
        fail::fail_point!("journal.before_checkpoint");
        let mut before = 0;
        for _ in 0..PASSES_MAX {
            let moved = pass(&self.connection)?;
            if moved.saturating_sub(before) <= PAGES_LEFT {
                break;
            }
            before = moved;
        }
        Ok(())
    }
}

/// Moves what no reader needs in the log; returns how many of its pages have been moved by now.
fn pass(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |row| row.get(2))
}

fn count(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    PAGES.set(pages.into());
    Ok(())
}
