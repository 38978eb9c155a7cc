//! Brokers that are wrong on purpose, each in one way, round the embedded one. For every check of the
//! suite there is one that the check finds out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::{CHECKS, Ground, check};
use crate::broker::embedded::{Embedded, PARTITION_MAX};
use crate::broker::{Broker, Consumption, Partitions, PublishError, Record, Standing};

/// Here a record is there as soon as it is published.
const QUIET: Duration = Duration::from_millis(20);

/// Declares the ways to be wrong, each with the checks that find it out.
macro_rules! ways_to_be_wrong {
    ($($(#[$doc:meta])* $wrong:ident: $($check:ident),+;)+) => {
        /// In which way a broker is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Wrong { $($(#[$doc])* $wrong,)+ }

        const FOUND_OUT_BY: &[(Wrong, &[&str])] = &[$((Wrong::$wrong, &[$(stringify!($check)),+]),)+];
    };
}

ways_to_be_wrong! {
    /// Does not carry the command.
    LosesTheCommand: records_come_whole;
    /// Hands out the newest of a batch first.
    HandsOutBackwards: records_of_a_key_come_in_order, what_is_not_acknowledged_comes_again_in_order;
    /// Spreads records, not keys.
    SpreadsRecords: a_key_is_always_in_one_partition;
    /// Has one partition for all keys.
    SpreadsNothing: a_key_is_always_in_one_partition;
    /// Puts everything into the first channel.
    MixesChannels: each_channel_has_its_own_records;
    /// Forgets what was handed out.
    NeverRedelivers: what_is_not_acknowledged_comes_again_in_order;
    /// Hands out again without being asked.
    AlwaysRedelivers: nothing_comes_twice_unless_it_is_asked_for;
    /// Takes one acknowledgement for all.
    AcknowledgesAll: only_what_was_handed_out_is_acknowledged;
    /// Acknowledges what it has not handed out.
    AcknowledgesAhead: only_what_was_handed_out_is_acknowledged;
    /// Puts the end of what comes again in front.
    TurnsRedeliveryRound: a_redelivery_may_be_cut_short_by_another;
    /// Hands out all it has.
    IgnoresMax: a_batch_holds_at_most_what_was_asked_for;
    /// Ends when there is nothing.
    EndsWhenIdle: who_asks_waits_for_the_next_record;
    /// Confirms what it has no room for, and drops it.
    DropsWhenFull: a_full_broker_makes_the_publisher_wait;
    /// Confirms what goes nowhere.
    TakesAnyChannel: an_unknown_channel_is_refused;
    /// Drops what it took when nobody asks any more.
    LosesWhatNobodyWaitsFor: who_stops_asking_loses_nothing;
    /// Never ends.
    NeverEnds: when_the_broker_stops_its_consumers_end;
    /// Ends before it has handed out what it has.
    ForgetsAtTheEnd: what_the_broker_has_is_handed_out_before_the_end;
    /// Confirms what it has no room for, and drops it.
    DropsOverABound: what_nobody_takes_is_kept;
    /// Holds what it has in memory only.
    Forgets: what_is_not_acknowledged_outlives_the_broker;
}

/// Starts the broker that is right.
pub(super) struct Right;

#[async_trait]
impl Ground for Right {
    async fn start(&self, _name: &str, channels: &[&str], partitions: usize) -> Arc<dyn Broker> {
        Arc::new(Embedded::new(channels, partitions))
    }

    fn room(&self) -> usize {
        PARTITION_MAX
    }

    fn quiet(&self) -> Duration {
        QUIET
    }
}

/// Starts brokers that are wrong.
struct WrongGround(Wrong);

#[async_trait]
impl Ground for WrongGround {
    async fn start(&self, _name: &str, channels: &[&str], partitions: usize) -> Arc<dyn Broker> {
        let inner = Arc::new(Embedded::new(channels, partitions));
        Arc::new(WrongBroker { wrong: self.0, first: channels[0].into(), inner })
    }

    fn room(&self) -> usize {
        PARTITION_MAX
    }

    fn quiet(&self) -> Duration {
        QUIET
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }
}

struct WrongBroker {
    wrong: Wrong,
    first: Arc<str>,
    inner: Arc<Embedded>,
}

impl WrongBroker {
    fn spoilt(&self, record: Record) -> Record {
        match self.wrong {
            Wrong::LosesTheCommand => Record { command: None, ..record },
            Wrong::MixesChannels => Record { channel: Arc::clone(&self.first), ..record },
            Wrong::TakesAnyChannel if &*record.channel == "nowhere" => {
                Record { channel: Arc::clone(&self.first), ..record }
            }
            // The first bytes of a key choose the partition; the wrong consumer puts them back.
            Wrong::SpreadsRecords => with_start(record.clone(), (record.id.message.0 / 40).to_le_bytes()[0]),
            Wrong::SpreadsNothing => with_start(record, 0),
            _ => record,
        }
    }
}

/// Keeps what stood at the start of the key at its end, where the keys of the checks repeat it.
fn with_start(record: Record, start: u8) -> Record {
    let key = record.key.map(|mut key| {
        key[0] = 0;
        key[1] = start;
        key
    });
    Record { key, ..record }
}

fn restored(record: Record) -> Record {
    let key = record.key.map(|key| super::key(key[14]));
    Record { key, ..record }
}

#[async_trait]
impl Broker for WrongBroker {
    async fn publish(&self, records: Vec<Record>) -> Vec<Result<(), PublishError>> {
        let records: Vec<_> = records.into_iter().map(|record| self.spoilt(record)).collect();
        if !matches!(self.wrong, Wrong::DropsWhenFull | Wrong::DropsOverABound) {
            return self.inner.publish(records).await;
        }
        let mut confirmed = Vec::new();
        for record in records {
            let taken = self.inner.publish(vec![record]).now_or_never();
            confirmed.push(taken.map_or(Ok(()), |mut taken| taken.remove(0)));
        }
        confirmed
    }

    async fn prepare(&self) -> Result<(), PublishError> {
        self.inner.prepare().await
    }

    fn consume(&self, channel: &str) -> Partitions {
        let wrong = self.wrong;
        let wrap =
            move |inner| -> Box<dyn Consumption> { Box::new(WrongConsumption { wrong, inner, next: Vec::new() }) };
        self.inner.consume(channel).map(wrap).boxed()
    }

    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    fn setbacks(&self) -> watch::Receiver<u64> {
        self.inner.setbacks()
    }

    fn standing(&self) -> Standing {
        self.inner.standing()
    }
}

struct WrongConsumption {
    wrong: Wrong,
    inner: Box<dyn Consumption>,
    /// Handed out next, before anything else.
    next: Vec<Record>,
}

#[async_trait]
impl Consumption for WrongConsumption {
    async fn next(&mut self, max: usize) -> Option<Vec<Record>> {
        if !self.next.is_empty() {
            return Some(std::mem::take(&mut self.next));
        }
        let batch = match self.wrong {
            Wrong::IgnoresMax => self.inner.next(1_000).await,
            Wrong::LosesWhatNobodyWaitsFor => {
                let taken = self.inner.next(max).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                taken
            }
            Wrong::NeverEnds => match self.inner.next(max).await {
                Some(batch) => Some(batch),
                None => std::future::pending().await,
            },
            Wrong::EndsWhenIdle => self.inner.next(max).now_or_never().flatten(),
            Wrong::ForgetsAtTheEnd => self.inner.next(max).await.filter(|batch| batch.len() == max),
            _ => self.inner.next(max).await,
        };
        let mut batch = batch?;
        match self.wrong {
            Wrong::HandsOutBackwards => batch.reverse(),
            Wrong::SpreadsRecords | Wrong::SpreadsNothing => batch = batch.into_iter().map(restored).collect(),
            Wrong::AlwaysRedelivers => self.next = batch.clone(),
            _ => {}
        }
        Some(batch)
    }

    async fn acknowledge(&mut self, count: usize) {
        match self.wrong {
            Wrong::AcknowledgesAll => self.inner.acknowledge(usize::MAX).await,
            Wrong::AcknowledgesAhead if count > 100 => {
                self.inner.acknowledge(count).await;
                let _ = self.inner.next(count).now_or_never();
                self.inner.acknowledge(count).await;
            }
            _ => self.inner.acknowledge(count).await,
        }
    }

    async fn redeliver(&mut self) {
        match self.wrong {
            Wrong::NeverRedelivers => {}
            Wrong::TurnsRedeliveryRound => {
                self.inner.redeliver().await;
                self.next = self.inner.next(1_000).await.unwrap_or_default();
                self.next.reverse();
            }
            _ => self.inner.redeliver().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_turns_red_for_every_broker_that_is_wrong() {
    let mut missed = Vec::new();
    for (wrong, checks) in FOUND_OUT_BY {
        for name in *checks {
            if AssertUnwindSafe(check(name, &WrongGround(*wrong))).catch_unwind().await.is_ok() {
                missed.push(format!("{wrong:?} passes {name}"));
            }
        }
    }
    assert_eq!(missed, [""; 0]);
}

#[test]
fn every_check_finds_some_broker_out() {
    let idle = CHECKS.iter().map(|(name, _)| name).filter(|name| {
        let finds_out = |(_, checks): &(Wrong, &[&str])| checks.contains(name);
        !FOUND_OUT_BY.iter().any(finds_out)
    });
    assert_eq!(idle.collect::<Vec<_>>(), [&""; 0]);
}
