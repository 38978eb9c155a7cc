//! The wrapper that is wrong in one way, and right in all others.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use adapters::clock::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;

use super::Wrong;
use crate::store::{
    AggregateKey, Charge, CodeFilter, CodePage, DeadLetter, DeliveryId, DeliveryNow, DeliveryState, Flags, HandOver,
    HeldFilter, HeldRun, Journey, MessageFilter, MessageId, NewMessage, OpenDelivery, Outcome, Page, Row, Store,
    StoreError, StoredAggregate, StoredMessage, StoredOutput, Term, UnitOfWork,
};

/// Lives, so that each can be told from the one before.
static LIVES: AtomicU32 = AtomicU32::new(0);

/// A store that is wrong.
pub(super) struct WrongStore {
    wrong: Wrong,
    inner: Arc<dyn Store>,
    life: u32,
    messages: AtomicUsize,
    counters: Mutex<HashMap<String, u32>>,
    not_yet: Mutex<Vec<UnitOfWork>>,
    accepted: Mutex<HashSet<MessageId>>,
}

impl WrongStore {
    pub(super) fn new(wrong: Wrong, inner: Arc<dyn Store>) -> WrongStore {
        WrongStore {
            wrong,
            inner,
            life: LIVES.fetch_add(1, Ordering::SeqCst),
            messages: AtomicUsize::new(0),
            counters: Mutex::default(),
            not_yet: Mutex::default(),
            accepted: Mutex::default(),
        }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    /// The row as it is written; none leaves it out.
    async fn spoilt(&self, row: Row) -> Option<Row> {
        match (self.wrong, row) {
            (Wrong::DropsTheInbox, Row::Inbox(_))
            | (Wrong::ForgetsNumbers, Row::AssignNumber(_))
            | (Wrong::LosesAttempts, Row::Attempt(_))
            | (Wrong::ForgetsCharges, Row::Charge(_)) => None,
            (Wrong::KeepsTheEndedOpen, Row::ChangeDelivery(mut change)) if change.state.is_end() => {
                change.state = DeliveryState::Waiting;
                Some(Row::ChangeDelivery(change))
            }
            (Wrong::LetsGoTwice, Row::LetGo(id)) => {
                let held = self.inner.held(HeldFilter { limit: 100, ..HeldFilter::default() }).await;
                let is_held = held.expect("what is held").iter().any(|run| run.held.id == id);
                is_held.then_some(Row::LetGo(id))
            }
            (Wrong::MixesSources, Row::Hold(mut held)) => {
                held.source = "kasr".into();
                Some(Row::Hold(held))
            }
            (Wrong::RoutesAnew, Row::Run(mut run)) => {
                run.route = run.route.map(|route| format!("{route} {}", run.run_no).into());
                Some(Row::Run(run))
            }
            (Wrong::IgnoresVersions, Row::Aggregate(mut change)) => {
                let now = self.inner.aggregates(vec![change.key.clone()]).await.expect("the version of now");
                change.expected = now[0].as_ref().map_or(0, |aggregate| aggregate.version);
                Some(Row::Aggregate(change))
            }
            (Wrong::KeepsTheFirstFact, Row::Fact(name, value)) => {
                let known = self.inner.fact(name).await.expect("the fact of now");
                known.is_none().then_some(Row::Fact(name, value))
            }
            (_, Row::Message(message)) => Some(Row::Message(Box::new(self.spoilt_message(*message)))),
            (_, row) => Some(row),
        }
    }

    fn spoilt_message(&self, message: NewMessage) -> NewMessage {
        let came_before = self.messages.fetch_add(1, Ordering::SeqCst);
        let unknown = NewMessage { repeat_since: None, ..message.clone() };
        match self.wrong {
            Wrong::IgnoresSenders => NewMessage { sender: "all".into(), ..message },
            Wrong::IgnoresTheWindow => {
                let repeat_since = message.repeat_since.map(|_| Timestamp(0));
                NewMessage { repeat_since, ..message }
            }
            Wrong::TiresOfRepeats if came_before > 500 => unknown,
            Wrong::KnowsNoRepeats => unknown,
            Wrong::ConfusesBodies => {
                let mut identity = [0; 16];
                identity[0] = message.identity[0];
                NewMessage { identity, ..message }
            }
            Wrong::ForgetsRepeatsAtAStop => {
                let sender = format!("{}{}", message.sender, self.life).into();
                NewMessage { sender, ..message }
            }
            Wrong::AlwaysLooksForRepeats => NewMessage { repeat_since: Some(Timestamp(0)), ..message },
            Wrong::AcceptsTheRefused => NewMessage { refusal: None, ..message },
            _ => message,
        }
    }

    /// Row by row, until one fails.
    async fn half_a_unit(&self, unit: UnitOfWork) -> Outcome {
        let mut ids = Vec::new();
        for row in unit.rows.iter().cloned() {
            match self.inner.commit(vec![UnitOfWork::of(vec![row])]).await.remove(0) {
                Outcome::Committed(given) => ids.extend(given),
                other => return other,
            }
        }
        Outcome::Committed(ids)
    }

    /// Without the rows that fail it.
    async fn without_bad_rows(&self, unit: UnitOfWork) -> Outcome {
        let messages = unit.rows.iter().filter(|row| matches!(row, Row::Message(_))).cloned().collect();
        self.inner.commit(vec![UnitOfWork::of(messages)]).await.remove(0)
    }

    /// Whether every aggregate stands, before anything is written, where the unit expects it.
    async fn holds_at_the_start(&self, unit: &UnitOfWork) -> bool {
        for row in unit.rows.iter() {
            if let Row::Aggregate(change) = row {
                let now = self.inner.aggregates(vec![change.key.clone()]).await.expect("the version of now");
                if now[0].as_ref().map_or(0, |aggregate| aggregate.version) != change.expected {
                    return false;
                }
            }
        }
        true
    }

    async fn one_by_one(&self, units: Vec<UnitOfWork>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for unit in units {
            outcomes.push(match self.wrong {
                Wrong::LeavesHalfAUnit => self.half_a_unit(unit).await,
                Wrong::JudgesByTheStart if !self.holds_at_the_start(&unit).await => Outcome::Conflict,
                Wrong::LeavesOutBadRows => match self.inner.commit(vec![unit.clone()]).await.remove(0) {
                    Outcome::Failed(_) => self.without_bad_rows(unit).await,
                    other => other,
                },
                _ => self.inner.commit(vec![unit]).await.remove(0),
            });
        }
        outcomes
    }

    /// What went before is committed; this is promised.
    async fn with_the_next(&self, units: Vec<UnitOfWork>) -> Vec<Outcome> {
        let promise = |unit: &UnitOfWork| {
            let messages = unit.rows.iter().filter(|row| matches!(row, Row::Message(_)));
            Outcome::Committed(messages.map(|_| MessageId(1)).collect())
        };
        let promised = units.iter().map(promise).collect();
        let before = std::mem::replace(&mut *self.not_yet.lock().unwrap(), units);
        self.inner.commit(before).await;
        promised
    }

    /// Looks whether the inbox key is free, and writes without looking again.
    async fn check_then_act(&self, units: Vec<UnitOfWork>) -> Vec<Outcome> {
        let has_key = |unit: &UnitOfWork| unit.rows.iter().any(|row| matches!(row, Row::Inbox(_)));
        let taken = !self.accepted.lock().unwrap().is_empty();
        if units.iter().any(has_key) && taken {
            return units.iter().map(|_| Outcome::AlreadyApplied).collect();
        }
        tokio::task::yield_now().await;
        let mut without = Vec::new();
        for unit in units {
            let rows = unit.rows.iter().filter(|row| !matches!(row, Row::Inbox(_))).cloned().collect();
            without.push(UnitOfWork::of(rows));
        }
        self.inner.commit(without).await
    }

    async fn wrongly(&self, units: Vec<UnitOfWork>) -> Vec<Outcome> {
        match self.wrong {
            Wrong::WritesBackwards => {
                let mut outcomes = self.inner.commit(units.into_iter().rev().collect()).await;
                outcomes.reverse();
                outcomes
            }
            Wrong::SkipsEmptyUnits => {
                self.inner.commit(units.into_iter().filter(|unit| !unit.rows.is_empty()).collect()).await
            }
            Wrong::DropsTheQueue => {
                tokio::task::yield_now().await;
                self.inner.commit(units).await
            }
            Wrong::ReportsBeforeItCommits => self.with_the_next(units).await,
            Wrong::ChecksThenActs => self.check_then_act(units).await,
            Wrong::LeavesHalfAUnit | Wrong::JudgesByTheStart | Wrong::LeavesOutBadRows => self.one_by_one(units).await,
            _ => self.inner.commit(units).await,
        }
    }

    fn reported(&self, outcomes: Vec<Outcome>, answers: &[Option<Bytes>]) -> Vec<Outcome> {
        let any_failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)));
        let mut reported: Vec<Outcome> = outcomes
            .into_iter()
            .zip(answers)
            .map(|(outcome, brought)| match (self.wrong, outcome) {
                (Wrong::CallsFailureSuccess, Outcome::Failed(_)) => Outcome::Committed(vec![]),
                (Wrong::CallsConflictSuccess, Outcome::Conflict) => Outcome::Committed(vec![]),
                (Wrong::FailsTogether, _) if any_failed => Outcome::Failed(StoreError::Statement("all".into())),
                (Wrong::AnswersAnew, Outcome::Repeat { of, .. }) => Outcome::Repeat { of, answer: brought.clone() },
                (Wrong::GivesOneId, Outcome::Committed(ids)) => {
                    Outcome::Committed(ids.into_iter().map(|_| MessageId(1)).collect())
                }
                (_, outcome) => outcome,
            })
            .collect();
        if self.is(Wrong::SwapsOutcomes) {
            reported.reverse();
        }
        reported
    }
}

/// The answer that a unit's first message brings.
fn answer_of(unit: &UnitOfWork) -> Option<Bytes> {
    unit.rows.iter().find_map(|row| if let Row::Message(message) = row { message.answer.clone() } else { None })
}

#[async_trait]
impl Store for WrongStore {
    async fn commit(&self, units: Vec<UnitOfWork>) -> Vec<Outcome> {
        let answers: Vec<_> = units.iter().map(answer_of).collect();
        let mut written = Vec::new();
        for unit in units {
            let mut rows = Vec::new();
            for row in unit.rows.iter().cloned() {
                rows.extend(self.spoilt(row).await);
            }
            written.push(UnitOfWork::of(rows));
        }
        let outcomes = self.wrongly(written).await;
        for outcome in &outcomes {
            if let Outcome::Committed(ids) = outcome {
                self.accepted.lock().unwrap().extend(ids);
            }
        }
        self.reported(outcomes, &answers)
    }

    async fn commit_in_order(&self, unit: UnitOfWork, hand_over: HandOver) -> Outcome {
        if !self.is(Wrong::HandsOverWhenWoken) {
            return self.inner.commit_in_order(unit, hand_over).await;
        }
        let outcome = self.commit(vec![unit]).await.remove(0);
        if matches!(&outcome, Outcome::Committed(ids) if ids[0].0 % 2 == 0) {
            tokio::task::yield_now().await;
        }
        hand_over(&outcome);
        outcome
    }

    async fn unrouted(&self, limit: usize) -> Result<Vec<(StoredMessage, u32)>, StoreError> {
        let mut found = self.inner.unrouted(limit).await?;
        if self.is(Wrong::ForgetsAtAStop) {
            let accepted = self.accepted.lock().unwrap();
            found.retain(|(message, _)| accepted.contains(&message.id));
        }
        Ok(found)
    }

    async fn in_hand(&self) -> Result<Vec<Charge>, StoreError> {
        self.inner.in_hand().await
    }

    async fn open_deliveries(&self, destination: &str, limit: usize) -> Result<Vec<OpenDelivery>, StoreError> {
        let mut found = self.inner.open_deliveries(destination, limit).await?;
        if self.is(Wrong::TurnsTheOutboxRound) {
            found.reverse();
        }
        Ok(found)
    }

    async fn deliveries_now(&self, ids: Vec<DeliveryId>) -> Result<Vec<Option<DeliveryNow>>, StoreError> {
        let mut found = self.inner.deliveries_now(ids).await?;
        if self.is(Wrong::TurnsDeliveriesRound) {
            found.reverse();
        }
        Ok(found)
    }

    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let mut found = self.inner.message(id).await?;
        if let Some(message) = &mut found {
            match self.wrong {
                Wrong::CutsBodies => message.body.truncate(65_536),
                Wrong::HidesReuse => message.flags = Flags(message.flags.0 & !Flags::CONTROL_ID_REUSED.0),
                _ => {}
            }
        }
        Ok(found)
    }

    async fn output(&self, id: DeliveryId) -> Result<Option<StoredOutput>, StoreError> {
        let delivery_no = if self.is(Wrong::GivesTheFirstOutput) { 1 } else { id.delivery_no };
        self.inner.output(DeliveryId { delivery_no, ..id }).await
    }

    async fn aggregates(&self, keys: Vec<AggregateKey>) -> Result<Vec<Option<StoredAggregate>>, StoreError> {
        self.inner.aggregates(keys).await
    }

    async fn assigned_numbers(&self, groups: Vec<(String, String)>) -> Result<Vec<Option<String>>, StoreError> {
        self.inner.assigned_numbers(groups).await
    }

    async fn take_numbers(&self, counter: &str, count: u32) -> Result<u32, StoreError> {
        if !self.is(Wrong::CountsInMemory) {
            return self.inner.take_numbers(counter, count).await;
        }
        let mut counters = self.counters.lock().unwrap();
        let value = counters.entry(counter.to_owned()).or_default();
        let first = *value;
        *value += count;
        Ok(first)
    }

    async fn configuration(&self, hash: &str, files: &[(String, String)]) -> Result<i64, StoreError> {
        let anew = format!("{hash}{}", self.life);
        self.inner.configuration(if self.is(Wrong::NumbersConfigurationsAnew) { &anew } else { hash }, files).await
    }

    async fn messages(&self, mut filter: MessageFilter) -> Result<Page, StoreError> {
        match self.wrong {
            Wrong::IgnoresTheSource => filter.source = None,
            Wrong::FiltersByCommit => {
                filter.after = filter.since.take().map(|since| MessageId(MessageId::first_at(since).0 - 1));
                filter.before = filter.until.take().map(MessageId::first_at);
            }
            Wrong::OverlapsPages => filter.before = filter.before.map(|before| MessageId(before.0 + 1)),
            Wrong::GivesOneMore => filter.limit += 1,
            _ => {}
        }
        let mut page = self.inner.messages(filter).await?;
        if self.is(Wrong::HidesCauses) {
            page.messages.iter_mut().for_each(|line| line.cause = None);
        }
        Ok(page)
    }

    async fn journey(&self, id: MessageId) -> Result<Option<Journey>, StoreError> {
        self.inner.journey(id).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let mut found = self.inner.dead_letters(limit).await?;
        if self.is(Wrong::TurnsDeadLettersRound) {
            found.reverse();
        }
        Ok(found)
    }

    async fn held(&self, filter: HeldFilter) -> Result<Vec<HeldRun>, StoreError> {
        let mut found = self.inner.held(filter).await?;
        match self.wrong {
            Wrong::TurnsTheHeldRound => found.reverse(),
            Wrong::ForgetsWhatIsHeld => {
                let accepted = self.accepted.lock().unwrap();
                found.retain(|run| accepted.contains(&run.held.id.message));
            }
            _ => {}
        }
        Ok(found)
    }

    async fn held_codes(&self, mut filter: CodeFilter) -> Result<CodePage, StoreError> {
        if let (true, Some(after)) = (self.is(Wrong::SkipsTheRestOfATable), &mut filter.after) {
            after.code.code = "~".into();
        }
        self.inner.held_codes(filter).await
    }

    async fn terms_after(&self, after: MessageId, limit: usize) -> Result<Vec<(MessageId, Vec<Term>)>, StoreError> {
        let step = i64::from(self.is(Wrong::SkipsOne) && after.0 > 0);
        self.inner.terms_after(MessageId(after.0 + step), limit).await
    }

    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.inner.fact(name).await
    }

    fn health(&self) -> Result<(), StoreError> {
        if self.is(Wrong::HealthyForEver) { Ok(()) } else { self.inner.health() }
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
