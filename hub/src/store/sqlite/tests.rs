use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use super::writer::{Job, Writer};
use super::{SqliteStore, connect_writer, migrate, take_folder};
use crate::store::contract::samples::message;
use crate::store::contract::{Ground, SetClock, tests_of_a_store, with_all_checks};
use crate::store::{MessageId, NewMessage, Outcome, Row, Store, StoreError, UnitOfWork};

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

mod damage;

mod contract {
    use super::*;

    with_all_checks!(tests_of_a_store { super::Folder::new(); });
}

/// A writer that nobody runs: the test does its jobs itself.
async fn idle_writer(folder: &Path) -> Writer {
    let file = folder.join("journal.db");
    migrate(&file).await.expect("a journal");
    connect_writer(&file, Arc::new(SetClock::new()), take_folder(folder).expect("the folder is free"))
        .expect("a writer")
}

#[tokio::test]
async fn numbers_whose_commit_fails_are_not_given() {
    let folder = TempDir::new().unwrap();
    let mut writer = idle_writer(folder.path()).await;
    let take = |from: &mut Writer| {
        let (reply, mut taken) = tokio::sync::oneshot::channel();
        from.sort(Job::TakeNumbers("day".to_owned(), 10, reply), &mut Vec::new());
        taken.try_recv().expect("an answer")
    };
    assert_eq!(take(&mut writer), Ok(0));
    writer.connection.commit_hook(Some(|| true)).unwrap();
    assert!(matches!(take(&mut writer), Err(StoreError::Statement(_))));
    writer.connection.commit_hook(None::<fn() -> bool>).unwrap();
    assert_eq!(take(&mut writer), Ok(10));
}

#[tokio::test]
async fn the_log_is_moved_into_the_file_while_the_writer_goes_on() {
    const MESSAGES: usize = 8_000;
    let folder = Folder::new();
    let store = folder.open().await;
    let body: Bytes = (0..4_000).map(|place: u32| place.to_le_bytes()[0]).collect();
    for first in (0..MESSAGES).step_by(200) {
        let units = (first..first + 200).map(|place| {
            let one = NewMessage { body: body.clone(), ..message(&format!("C{place}")) };
            UnitOfWork::of(vec![Row::Message(Box::new(one))])
        });
        let outcomes = store.commit(units.collect()).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))));
    }
    let file = folder.path().join("journal.db");
    let moved = async {
        while std::fs::metadata(&file).unwrap().len() <= 16 << 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), moved).await.expect("the pages are in the file");
    assert_eq!(store.terms_after(MessageId(0), usize::MAX).await.unwrap().len(), MESSAGES);
    store.close().await;
    assert_eq!(std::fs::metadata(folder.path().join("journal.db-wal")).map_or(0, |log| log.len()), 0);
}
