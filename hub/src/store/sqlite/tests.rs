use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tempfile::TempDir;

use super::SqliteStore;
use crate::store::Store;
use crate::store::contract::{Ground, SetClock, tests_of_a_store, with_all_checks};

/// A data folder. A crash leaves it as the disk has it: the next store opens a copy.
pub(crate) struct Folder {
    now: Mutex<TempDir>,
    clock: SetClock,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder { now: Mutex::new(TempDir::new().expect("a temporary folder")), clock: SetClock::new() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.now.lock().unwrap().path().to_owned()
    }
}

#[async_trait]
impl Ground for Folder {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path(), Arc::new(self.clock.clone())).await.expect("the store opens"))
    }

    async fn crash(&self, store: Arc<dyn Store>) {
        let copy = TempDir::new().expect("a temporary folder");
        copy_journal(&self.path(), copy.path());
        *self.now.lock().unwrap() = copy;
        drop(store);
    }

    fn clock(&self) -> &SetClock {
        &self.clock
    }

    fn another(&self) -> Box<dyn Ground> {
        Box::new(Folder::new())
    }
}

/// What a process that is killed leaves: the file and its log, without the index of the log, which
/// SQLite makes again.
fn copy_journal(from: &Path, to: &Path) {
    for name in ["journal.db", "journal.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("a copy of the journal");
        }
    }
}

mod contract {
    use super::*;

    with_all_checks!(tests_of_a_store { super::Folder::new(); });
}
