//! Hands records to a far broker, many at a time, and those of one key one after the other.
//!
//! Promised (H5): a record leaves only when the one before it, of the same key, is confirmed; if that one
//! is not, it does not leave. So a refusal in the middle never lets a later record overtake.

use std::collections::HashSet;

use futures::stream::{FuturesUnordered, StreamExt};

use super::{PublishError, Record};
use crate::store::Lane;

/// Hands over `records` by `send`, at most `max` on their way; gives what became of each.
pub async fn in_window<F>(records: Vec<Record>, max: usize, send: impl Fn(Record) -> F) -> Vec<Result<(), PublishError>>
where
    F: Future<Output = Result<(), PublishError>>,
{
    let mut confirmed: Vec<Result<(), PublishError>> = vec![Err(PublishError::Behind); records.len()];
    let mut on_their_way = FuturesUnordered::new();
    let mut busy: HashSet<Lane> = HashSet::new();
    let mut failed: HashSet<Lane> = HashSet::new();
    let mut next = records.into_iter().enumerate().peekable();
    loop {
        let may_leave = next.peek().is_some_and(|(_, record)| {
            on_their_way.len() < max.max(1) && record.key.is_none_or(|key| !busy.contains(&key))
        });
        if may_leave && let Some((place, record)) = next.next() {
            let key = record.key;
            if key.is_some_and(|key| failed.contains(&key)) {
                continue;
            }
            busy.extend(key);
            let sent = send(record);
            on_their_way.push(async move { (place, key, sent.await) });
            continue;
        }
        let Some((place, key, outcome)) = on_their_way.next().await else { return confirmed };
        if let Some(key) = key {
            busy.remove(&key);
            if outcome.is_err() {
                failed.insert(key);
            }
        }
        if let Some(slot) = confirmed.get_mut(place) {
            *slot = outcome;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use adapters::clock::Timestamp;

    use super::*;
    use crate::store::{DeliveryId, MessageId};

    fn record(n: i64, key: Option<u8>) -> Record {
        Record {
            id: DeliveryId { message: MessageId(n), run_no: 1, delivery_no: 1 },
            channel: "prescription".into(),
            key: key.map(|key| [key; 16]),
            command: None,
            kind: "MedicationRequest".into(),
            source: "s".into(),
            route: "r".into(),
            created_at: Timestamp(0),
            attempts: 0,
            charges: 0,
            suspect: false,
            body: bytes::Bytes::new(),
        }
    }

    #[tokio::test]
    async fn a_record_waits_for_the_one_before_it_of_its_key_and_stays_if_that_one_failed() {
        let log = Mutex::new(Vec::new());
        let records = vec![record(1, Some(7)), record(2, Some(8)), record(3, Some(7)), record(4, Some(8))];
        let confirmed = in_window(records, 64, |record| {
            let log = &log;
            async move {
                let n = record.id.message.0;
                log.lock().unwrap().push(format!("{n} leaves"));
                tokio::task::yield_now().await;
                log.lock().unwrap().push(format!("{n} is told"));
                if n == 1 { Err(PublishError::Unroutable) } else { Ok(()) }
            }
        });
        assert_eq!(confirmed.await, [Err(PublishError::Unroutable), Ok(()), Err(PublishError::Behind), Ok(())]);
        let log = log.into_inner().unwrap();
        let at = |what: &str| log.iter().position(|line| line == what);
        assert!(at("2 is told") < at("4 leaves"), "{log:?}");
        assert_eq!(at("3 leaves"), None, "{log:?}");
    }

    #[tokio::test]
    async fn never_more_than_the_window_are_on_their_way() {
        let (now, most) = (Mutex::new(0_usize), Mutex::new(0_usize));
        let records = (0..50).map(|n| record(n, None)).collect();
        let confirmed = in_window(records, 8, |_| {
            let (now, most) = (&now, &most);
            async move {
                *now.lock().unwrap() += 1;
                let here = *now.lock().unwrap();
                let before = *most.lock().unwrap();
                *most.lock().unwrap() = here.max(before);
                tokio::task::yield_now().await;
                *now.lock().unwrap() -= 1;
                Ok(())
            }
        });
        assert!(confirmed.await.iter().all(Result::is_ok));
        assert_eq!(most.into_inner().unwrap(), 8);
    }
}
