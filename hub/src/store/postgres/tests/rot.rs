//! What happens to rows beside the hub: what reads back is what was written, or its message is named (H9 is another
//! matter: who wants to change a row can change its sum).

use super::*;
use crate::store::contract::samples::{
    accept, aggregate, commit, configuration, known_once, message, must_commit, named, prescription, routed,
};
use crate::store::{Outcome, Row, StoreError};

#[tokio::test]
async fn a_row_that_was_changed_beside_the_hub_is_named() {
    let schema = Schema::new().await;
    let store = schema.open().await;
    let number = configuration(&*store).await;
    let id = accept(&*store, known_once("A")).await;
    let mut rows = routed(id, 1, number, "file");
    rows.push(Row::Aggregate(aggregate("RX1", 0, id)));
    must_commit(&*store, rows).await;
    let other = accept(&*store, message("B")).await;
    let corrupt = StoreError::CorruptMessage(id);
    let mut connection = schema.look().await;
    connection.execute("UPDATE output SET body = body || '\\x00'").await.unwrap();
    assert_eq!(store.output(named(id, 1, 1)).await.err(), Some(corrupt.clone()));
    connection.execute("UPDATE aggregate SET state = 'revoked'").await.unwrap();
    assert_eq!(store.aggregates(vec![prescription("RX1")]).await.err(), Some(corrupt.clone()));
    let changed = "UPDATE message SET answer = set_byte(answer, 0, 1) WHERE control_id = 'A'";
    connection.execute(changed).await.unwrap();
    assert_eq!(store.message(id).await.err(), Some(corrupt.clone()));
    assert_eq!(store.journey(id).await.err(), Some(corrupt.clone()));
    let again = commit(&*store, vec![Row::Message(Box::new(known_once("A")))]).await;
    assert_eq!(again, Outcome::Failed(corrupt), "no answer that was never given");
    assert!(store.message(other).await.unwrap().is_some(), "its neighbours read back");
}

#[tokio::test]
async fn a_text_with_nul_is_refused_alone() {
    let schema = Schema::new().await;
    let store = schema.open().await;
    let unit = |name: &str| crate::store::UnitOfWork::of(vec![Row::Message(Box::new(message(name)))]);
    let outcomes = store.commit(vec![unit("A"), unit("B\0"), unit("C")]).await;
    let committed: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Committed(_))).collect();
    assert_eq!(committed, [true, false, true], "{outcomes:?}");
    assert!(matches!(&outcomes[1], Outcome::Failed(StoreError::Statement(_))));
}
