//! Consume: broker -> domain actor -> one commit -> acknowledge.
//!
//! In come the records of one partition; out goes, for each, a unit with its inbox key, the effect and
//! the events ([`apply`](super::apply)). A record is acknowledged only after that commit, or after the
//! commit that sets it aside or dead-letters it: a poisoned record never stalls its partition (H3, H8).
//! A durable broker hands out copies of what was decided long ago: they are sifted out before anybody
//! decides on them again.

mod batch;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::batch::Charged;
use super::apply::{Applied, Decision, DomainBatch, End, unit_of};
use super::blame::{self, CHARGES_MAX, InHand};
use super::publish::Aside;
use super::route::commit_surely;
use super::{Accepted, Hub, Journaled};
use crate::actors::{Fault, Handle, Work};
use crate::admin::TapEvent;
use crate::broker::{Consumption, Record};
use crate::store::{Cause, Charge, DeliveryId, DeliveryNow, Lane, NewMessage, Outcome, Row, StoreError, UnitOfWork};
use crate::telemetry::{Metrics, Of};

/// Records in one batch at most.
const BATCH_MAX: usize = 128;
/// Pause before records whose state changed under them are decided again.
const PAUSE_AFTER_CONFLICT: Duration = Duration::from_millis(5);
/// Conflicts in a row that are borne before a record is dead-lettered.
const CONFLICTS_MAX: u32 = 100;

/// A domain actor's cell.
pub trait Domain: Work<Job = DomainBatch, Done = Result<Vec<Decision>, StoreError>> {}

impl<W: Work<Job = DomainBatch, Done = Result<Vec<Decision>, StoreError>>> Domain for W {}

/// One partition in work.
pub struct Consumer<D: Domain> {
    /// What every stage holds.
    pub hub: Arc<Hub>,
    /// The partition.
    pub partition: Box<dyn Consumption>,
    /// The domain actor.
    pub actor: Handle<D>,
    /// Where its events go, a sender a shard.
    pub events: Vec<mpsc::Sender<Accepted>>,
    /// What stands aside.
    pub aside: Aside,
    /// What is minded if the broker is durable.
    pub durable: Option<Durable>,
}

/// What the consumer of a durable broker minds: records outlive the process there.
pub struct Durable {
    /// True once the hub goes down: what waits in the broker stays there.
    pub closing: watch::Receiver<bool>,
    /// So many of the next open records may have been in hand when the last process died.
    pub suspects: usize,
}

/// Open records of a partition that may have been in hand when the process died: a batch.
pub const SUSPECTS_MAX: usize = BATCH_MAX;

impl<D: Domain> Consumer<D> {
    /// Works until the partition is taken away. An error is the end of the store, or what is in hand can neither be
    /// applied nor be set aside.
    pub async fn run(mut self) -> Result<(), StoreError> {
        while let Some(mut batch) = self.next().await? {
            while !batch.records.is_empty() {
                let done = self.step(&mut batch).await?;
                fail::fail_point!("ack_broker.before");
                let ended = batch.drop_first(done);
                self.partition.acknowledge(ended).await;
                for _ in 0..done {
                    self.hub.metrics.in_flight.dec();
                }
            }
        }
        Ok(())
    }

    /// The next records to decide on.
    async fn next(&mut self) -> Result<Option<Charged>, StoreError> {
        loop {
            let Some(durable) = &mut self.durable else {
                return Ok(self.partition.next(BATCH_MAX).await.map(Charged::of));
            };
            let taken = tokio::select! {
                biased;
                _ = durable.closing.wait_for(|closing| *closing) => None,
                taken = self.partition.next(BATCH_MAX) => taken,
            };
            let Some(records) = taken else { return Ok(None) };
            let (stale, batch) = self.sift(records).await?;
            self.partition.acknowledge(stale).await;
            if !batch.records.is_empty() {
                self.hub.metrics.in_flight.inc_by(i64::try_from(batch.records.len()).unwrap_or(0));
                return Ok(Some(batch));
            }
        }
    }

    /// Leaves out copies of what was decided; gives how many of them come first, and the others.
    async fn sift(&mut self, records: Vec<Record>) -> Result<(usize, Charged), StoreError> {
        let ids: Vec<DeliveryId> = records.iter().map(|record| record.id).collect();
        let standing = loop {
            match self.hub.store.deliveries_now(ids.clone()).await {
                Ok(standing) => break standing,
                Err(error) if error.is_passing() => tokio::time::sleep(PAUSE_AFTER_CONFLICT).await,
                Err(error) => return Err(error),
            }
        };
        let mut seen = HashSet::new();
        let (mut stale, mut batch) = (0, Charged::of(Vec::new()));
        for (mut record, stands) in records.into_iter().zip(standing) {
            let open = self.is_to_be_decided(&record, stands).filter(|_| seen.insert(record.id));
            match (open, batch.spans.last_mut()) {
                (Some(now), _) => {
                    (record.attempts, record.charges) = (now.attempts, now.charges);
                    record.suspect = self.next_is_suspect();
                    batch.records.push(record);
                    batch.charges.push(0);
                    batch.spans.push(1);
                }
                (None, Some(span)) => *span += 1,
                (None, None) => stale += 1,
            }
        }
        Ok((stale, batch))
    }

    /// Where the delivery stands, if this copy of its record is the one to decide on.
    fn is_to_be_decided(&self, record: &Record, now: Option<DeliveryNow>) -> Option<DeliveryNow> {
        let Some(now) = now else {
            tracing::error!(delivery = %record.id, code = "HUB0510", "a record of another journal was left out");
            return None;
        };
        if now.state.is_end() {
            self.aside.decided(record.id);
        }
        // One that stands aside is published again with its attempts.
        (!now.state.is_end() && record.attempts >= now.attempts).then_some(now)
    }

    fn next_is_suspect(&mut self) -> bool {
        let Some(durable) = &mut self.durable else { return false };
        let suspect = durable.suspects > 0;
        durable.suspects = durable.suspects.saturating_sub(1);
        suspect
    }

    /// Decides and commits the next records; returns how many are done.
    async fn step(&self, batch: &mut Charged) -> Result<usize, StoreError> {
        let alone = batch.records.first().is_some_and(|record| record.suspect);
        let count = if alone || batch.singly > 0 { 1 } else { together(&batch.records) };
        fail::fail_point!("consume.before_apply", |_| Ok(0));
        let now = self.hub.clock.now();
        let records: Arc<[Record]> = batch.records.iter().take(count).cloned().collect();
        let in_hand = InHand::default();
        let job = DomainBatch { records: Arc::clone(&records), now, in_hand: in_hand.clone() };
        let asked = match records.first().filter(|_| alone) {
            Some(suspect) => {
                let _alone = self.hub.hands.write().await;
                self.mark_in_hand(suspect).await?;
                self.actor.ask(job).await
            }
            None => {
                let _hands = self.hub.hands.read().await;
                self.actor.ask(job).await
            }
        };
        match asked {
            Ok(Ok(decisions)) => self.commit(batch, &records, decisions, alone).await,
            Ok(Err(error)) if error.is_passing() => {
                tokio::time::sleep(PAUSE_AFTER_CONFLICT).await;
                Ok(0)
            }
            Ok(Err(error)) if error.is_the_end() => Err(error),
            Ok(Err(error)) => self.part_with(batch, &records, &error).await,
            Err(Fault::Stopped) => Err(StoreError::Closed),
            Err(Fault::Panicked(place)) => self.blame(batch, &records, in_hand.place(), &place).await,
        }
    }

    async fn mark_in_hand(&self, record: &Record) -> Result<(), StoreError> {
        let charge = Charge { message: record.id.message, charges: record.charges, in_hand: true };
        commit_surely(&self.hub, vec![UnitOfWork::of(vec![Row::Charge(charge)])]).await.map(|_| ())
    }

    /// Charges the record that panicked; its neighbours are decided again without it, or before it.
    async fn blame(
        &self,
        batch: &mut Charged,
        records: &[Record],
        guilty: usize,
        place: &str,
    ) -> Result<usize, StoreError> {
        self.hub.metrics.panics.get_or_create(&Of { name: "apply".to_owned() }).inc();
        let (Some(charges), Some(record)) = (batch.charges.get_mut(guilty), records.get(guilty)) else {
            return Ok(0);
        };
        *charges += 1;
        tracing::warn!(delivery = %record.id, charges = *charges, %place, "panicked");
        let charge = Charge { message: record.id.message, charges: *charges, in_hand: false };
        commit_surely(&self.hub, vec![UnitOfWork::of(vec![Row::Charge(charge)])]).await?;
        if *charges < CHARGES_MAX {
            return Ok(0);
        }
        let before: Arc<[Record]> = records.iter().take(guilty).cloned().collect();
        let job = DomainBatch { records: before, now: self.hub.clock.now(), in_hand: InHand::default() };
        let mut decisions = match self.actor.ask(job).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(error)) if error.is_the_end() => return Err(error),
            Ok(Err(_)) | Err(_) => return Ok(0),
        };
        decisions.push(Decision::ending(End::Poisoned(blame::poisoned("apply", place))));
        let buried: Vec<Record> = records.iter().take(guilty + 1).cloned().collect();
        self.commit(batch, &buried, decisions, false).await
    }

    /// The store cannot say what a decision needs: the records are decided one at a time, and the one that
    /// cannot be decided is a dead letter; its neighbours go on (H8).
    async fn part_with(
        &self,
        batch: &mut Charged,
        records: &[Record],
        error: &StoreError,
    ) -> Result<usize, StoreError> {
        match records {
            [only] => self.bury(only, Cause::from(error)).await.map(|()| 1),
            several => {
                batch.singly = several.len();
                Ok(0)
            }
        }
    }

    /// A record that can neither be applied nor refused has its end as a dead letter, and is seen.
    async fn bury(&self, record: &Record, cause: Cause) -> Result<(), StoreError> {
        tracing::error!(delivery = %record.id, code = %cause.code, reason = %cause.reason, "cannot be applied");
        let decision = Decision::ending(End::Dead(cause));
        let mut buried = unit_of(&self.hub.live.load(), record, decision, self.hub.clock.now());
        if record.suspect {
            buried.unit.push(out_of_hand(record));
        }
        let outcomes = commit_surely(&self.hub, vec![buried.unit.clone()]).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Failed(error)) => Err(error),
            Some(Outcome::Committed(ids)) => {
                self.settle(record, buried, &ids).await;
                Ok(())
            }
            // It has its end already.
            Some(Outcome::AlreadyApplied | Outcome::Conflict | Outcome::Repeat { .. }) | None => {
                self.aside.decided(record.id);
                Ok(())
            }
        }
    }

    /// One commit for all decisions. What conflicts is decided again, with everything behind it.
    async fn commit(
        &self,
        batch: &mut Charged,
        records: &[Record],
        decisions: Vec<Decision>,
        alone: bool,
    ) -> Result<usize, StoreError> {
        let live = self.hub.live.load_full();
        let now = self.hub.clock.now();
        let applied: Vec<Applied> =
            records.iter().zip(decisions).map(|(record, decision)| unit_of(&live, record, decision, now)).collect();
        let mut units: Vec<UnitOfWork> = applied.iter().map(|one| one.unit.clone()).collect();
        if let (true, Some(unit), Some(record)) = (alone, units.first_mut(), records.first()) {
            unit.push(out_of_hand(record));
        }
        fail::fail_point!("mark.before_commit");
        let outcomes = commit_surely(&self.hub, units).await?;
        fail::fail_point!("apply.after_commit");
        let mut done = 0;
        for ((record, one), outcome) in records.iter().zip(applied).zip(outcomes) {
            match outcome {
                Outcome::Conflict => return self.after_conflict(batch, record, done).await,
                Outcome::Failed(error) => self.bury(record, Cause::from(&error)).await?,
                Outcome::Committed(ids) => self.settle(record, one, &ids).await,
                Outcome::AlreadyApplied | Outcome::Repeat { .. } => self.aside.decided(record.id),
            }
            done += 1;
        }
        batch.conflicts = 0;
        Ok(done)
    }

    async fn after_conflict(&self, batch: &mut Charged, record: &Record, done: usize) -> Result<usize, StoreError> {
        batch.conflicts = if done == 0 { batch.conflicts + 1 } else { 1 };
        if batch.conflicts > CONFLICTS_MAX {
            batch.conflicts = 0;
            let reason = format!("its decision was in conflict {CONFLICTS_MAX} times");
            self.bury(record, Cause::new("HUB0214", &reason)).await?;
            return Ok(done + 1);
        }
        tokio::time::sleep(PAUSE_AFTER_CONFLICT).await;
        Ok(done)
    }

    async fn settle(&self, record: &Record, applied: Applied, ids: &[crate::store::MessageId]) {
        Metrics::count(&self.hub.metrics.ended, &record.channel, applied.word);
        self.hub.tell(|| TapEvent {
            at: self.hub.clock.now(),
            message: record.id.message,
            source: Arc::clone(&record.source),
            kind: Arc::clone(&record.kind),
            stage: "apply",
            outcome: applied.word,
            at_name: Some(Arc::clone(&record.channel)),
            code: None,
        });
        if applied.stands_aside {
            self.aside.remember();
        }
        self.aside.decided(record.id);
        if let (true, Some(lane)) = (applied.took_effect, record.key) {
            self.aside.stir(lane);
        }
        for (event, id) in applied.events.into_iter().zip(ids) {
            if applied.events_are_routed {
                self.feed(event, *id).await;
            }
        }
    }

    /// Gives an event to the shard of its lane.
    async fn feed(&self, event: NewMessage, id: crate::store::MessageId) {
        let Some(shard) = self.events.get(shard_of(event.lane, id, self.events.len())) else { return };
        self.hub.metrics.in_flight.inc();
        let message = Journaled {
            id,
            received_at: event.received_at,
            source: event.source,
            control_id: event.control_id,
            lane: event.lane,
            format: event.format,
            body: event.body,
            next_run: 1,
            only: None,
            held: None,
        };
        let accepted = Accepted { message: Arc::new(message), charges: 0, suspect: false, asker: None, room: None };
        if shard.send(accepted).await.is_err() {
            self.hub.metrics.in_flight.dec();
        }
    }
}

/// The record is alone in hand no more.
fn out_of_hand(record: &Record) -> Row {
    Row::Charge(Charge { message: record.id.message, charges: record.charges, in_hand: false })
}

/// How many of the first records may share a commit: no lane twice, so that a record whose commit conflicts
/// is not overtaken by the next of its lane (H5).
fn together(records: &[Record]) -> usize {
    let mut lanes = HashSet::new();
    records.iter().take_while(|record| !record.suspect && record.key.is_none_or(|lane| lanes.insert(lane))).count()
}

/// Messages of one lane go through one shard.
pub fn shard_of(lane: Option<Lane>, id: crate::store::MessageId, shards: usize) -> usize {
    let seed = match lane {
        Some([.., second_last, last]) => usize::from(second_last) << 8 | usize::from(last),
        None => usize::try_from(id.0).unwrap_or(0),
    };
    seed.checked_rem(shards).unwrap_or(0)
}

/// Why a record that came too early is a dead letter.
pub fn waited_too_long(cause: &Cause) -> Cause {
    Cause { code: Arc::clone(&cause.code), reason: format!("{}, and its time is over", cause.reason).into() }
}
