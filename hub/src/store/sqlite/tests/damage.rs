//! What a disk does to the journal while nobody looks (reliability F06), and journals that are not this hub's.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use rusqlite::Connection;

use super::*;
use crate::store::contract::samples::{accept, aggregate, configuration, must_commit, named, prescription, routed};
use crate::store::{AggregateChange, DeliveryId, NewOutput, OpenError};

const MESSAGES: u8 = 60;
const PLACES: u32 = 300;
const PAGE: u64 = 4096;

/// What was written, by the names it is asked for.
#[derive(Default)]
struct Written {
    messages: BTreeMap<MessageId, Bytes>,
    outputs: BTreeMap<DeliveryId, Bytes>,
    aggregates: BTreeMap<String, String>,
}

/// A journal that was closed in order: one file.
async fn written(folder: &Path) -> Written {
    let store = SqliteStore::open(folder, Arc::new(SetClock::new())).await.unwrap();
    let live = configuration(&store).await;
    let mut written = Written::default();
    for place in 0..MESSAGES {
        let body = |length: usize| Bytes::from(vec![place ^ 0x5A; length]);
        let id = accept(&store, NewMessage { body: body(1_800), ..message(&format!("C{place}")) }).await;
        let rows = routed(id, 1, live, "archive").into_iter().map(|row| match row {
            Row::Output(output) => Row::Output(NewOutput { body: Some(body(5_000)), ..output }),
            other => other,
        });
        let number = format!("RX{place}");
        let state = "x".repeat(usize::from(place) * 60);
        let change = AggregateChange { body: state.clone(), ..aggregate(&number, 0, id) };
        must_commit(&store, rows.chain([Row::Aggregate(change)]).collect()).await;
        written.messages.insert(id, body(1_800));
        written.outputs.insert(named(id, 1, 1), body(5_000));
        written.aggregates.insert(number, state);
    }
    store.close().await;
    written
}

/// One bit turned, one page of zeros, or the end cut off.
fn damage(file: &Path, chance: &mut fastrand::Rng) -> String {
    let open = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let length = open.metadata().unwrap().len();
    let at = chance.u64(..length);
    match chance.u8(..10) {
        0 => {
            open.set_len(at).unwrap();
            format!("cut at {at}")
        }
        1 => {
            open.write_all_at(&[0; 4096], at / PAGE * PAGE).unwrap();
            format!("page {} of zeros", at / PAGE)
        }
        _ => {
            let mut byte = [0];
            open.read_exact_at(&mut byte, at).unwrap();
            let bit = chance.u8(..8);
            open.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
            format!("bit {bit} of byte {at}")
        }
    }
}

/// What reads back is what was written, or it is not read back. Returns how many errors told of damage.
async fn judge(store: &SqliteStore, written: &Written, what: &str) -> usize {
    let mut told = 0;
    for (id, body) in &written.messages {
        match store.message(*id).await {
            Ok(Some(kept)) => assert_eq!(kept.body, body, "{what}: message {id} reads back as another"),
            Ok(None) => {}
            Err(_) => told += 1,
        }
    }
    for (id, body) in &written.outputs {
        match store.output(*id).await {
            Ok(Some(kept)) => assert_eq!(kept.body, body, "{what}: an output of {id} reads back as another"),
            Ok(None) => {}
            Err(_) => told += 1,
        }
    }
    for (number, state) in &written.aggregates {
        match store.aggregates(vec![prescription(number)]).await.as_deref() {
            Ok([Some(kept)]) => assert_eq!(kept.body, *state, "{what}: {number} reads back as another"),
            Ok(_) => {}
            Err(_) => told += 1,
        }
    }
    told
}

#[tokio::test]
async fn no_damaged_place_reads_back_as_something_else() {
    let whole = TempDir::new().unwrap();
    let written = written(whole.path()).await;
    let mut chance = fastrand::Rng::with_seed(6);
    let (mut refused, mut told, mut unhurt) = (0, 0, 0);
    for _ in 0..PLACES {
        let copy = TempDir::new().unwrap();
        let file = copy.path().join("journal.db");
        std::fs::copy(whole.path().join("journal.db"), &file).unwrap();
        let what = damage(&file, &mut chance);
        match SqliteStore::open(copy.path(), Arc::new(SetClock::new())).await {
            Ok(store) => {
                let errors = judge(&store, &written, &what).await;
                (told, unhurt) = if errors > 0 { (told + 1, unhurt) } else { (told, unhurt + 1) };
                store.close().await;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(told > PLACES / 2, "{told} told of damage, {refused} journals were refused, {unhurt} were unhurt");
}

#[tokio::test]
async fn a_journal_of_a_newer_hub_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("journal.db");
    SqliteStore::open(folder.path(), Arc::new(SetClock::new())).await.unwrap().close().await;
    let statement = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (9999, 'later', 1, x'00', 0)";
    Connection::open(&file).unwrap().execute(statement, []).unwrap();
    let before = std::fs::read(&file).unwrap();
    let refused = SqliteStore::open(folder.path(), Arc::new(SetClock::new())).await.err();
    assert!(matches!(&refused, Some(OpenError::Migration(_))), "{refused:?}");
    assert!(refused.unwrap().to_string().starts_with("HUB0210"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}
