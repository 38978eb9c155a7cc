//! What a group of units comes to, decided without the database.
//!
//! In come the units in their order and what is [`Known`]; out go an outcome for each and the [`Draft`] of the rows
//! that are to be written. A unit sees what the units before it changed, and a row the rows before it; a unit whose
//! condition does not hold, or which refers to what is not there, leaves nothing behind. Pure: the same units and
//! the same knowledge give the same outcomes.

use adapters::clock::Timestamp;
use bytes::Bytes;

use super::known::{Known, Newest, question};
use crate::store::{
    AggregateChange, AssignedNumber, Charge, DeliveryChange, Flags, InboxKey, MessageId, MessageRef, NewAttempt,
    NewDelivery, NewHeld, NewMessage, NewOutput, NewRun, Outcome, Row, RunId, StoreError, UnitOfWork,
};

/// A message with the id that it is given.
pub(super) struct Numbered<'u> {
    pub(super) id: MessageId,
    pub(super) flags: Flags,
    pub(super) message: &'u NewMessage,
}

/// The rows that a group writes, by their tables, each in the order of the units.
#[derive(Default)]
pub(super) struct Draft<'u> {
    pub(super) inbox: Vec<&'u InboxKey>,
    pub(super) aggregates: Vec<&'u AggregateChange>,
    pub(super) numbers: Vec<&'u AssignedNumber>,
    pub(super) messages: Vec<Numbered<'u>>,
    pub(super) runs: Vec<(MessageId, &'u NewRun)>,
    pub(super) outputs: Vec<&'u NewOutput>,
    pub(super) deliveries: Vec<&'u NewDelivery>,
    pub(super) changes: Vec<&'u DeliveryChange>,
    pub(super) attempts: Vec<&'u NewAttempt>,
    pub(super) held: Vec<&'u NewHeld>,
    pub(super) let_go: Vec<RunId>,
    pub(super) charges: Vec<Charge>,
    pub(super) facts: Vec<(&'static str, &'u str)>,
}

/// How many rows of each table there were.
type Mark = [usize; 13];

impl Draft<'_> {
    fn mark(&self) -> Mark {
        [
            self.inbox.len(),
            self.aggregates.len(),
            self.numbers.len(),
            self.messages.len(),
            self.runs.len(),
            self.outputs.len(),
            self.deliveries.len(),
            self.changes.len(),
            self.attempts.len(),
            self.held.len(),
            self.let_go.len(),
            self.charges.len(),
            self.facts.len(),
        ]
    }

    /// Takes back what was drafted since.
    fn cut(&mut self, mark: Mark) {
        let [
            inbox,
            aggregates,
            numbers,
            messages,
            runs,
            outputs,
            deliveries,
            changes,
            attempts,
            held,
            go,
            charges,
            facts,
        ] = mark;
        self.inbox.truncate(inbox);
        self.aggregates.truncate(aggregates);
        self.numbers.truncate(numbers);
        self.messages.truncate(messages);
        self.runs.truncate(runs);
        self.outputs.truncate(outputs);
        self.deliveries.truncate(deliveries);
        self.changes.truncate(changes);
        self.attempts.truncate(attempts);
        self.held.truncate(held);
        self.let_go.truncate(go);
        self.charges.truncate(charges);
        self.facts.truncate(facts);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mark().iter().all(|count| *count == 0)
    }
}

/// What one unit comes to.
pub(super) enum Decided {
    /// This, once the commit has returned.
    Outcome(Outcome),
    /// A repeat of a message that is stored: its answer has yet to be read.
    RepeatOf(MessageId),
}

/// Why a unit stops.
enum Stop {
    Ends(Decided),
    Wrong(&'static str),
}

fn ends(outcome: Outcome) -> Result<(), Stop> {
    Err(Stop::Ends(Decided::Outcome(outcome)))
}

/// How many messages the units have: so many ids are wanted at most.
pub(super) fn messages_of(units: &[&UnitOfWork]) -> usize {
    units.iter().flat_map(|unit| unit.rows.iter()).filter(|row| matches!(row, Row::Message(_))).count()
}

/// Decides all units. `first` is the id of the first message that is written.
pub(super) fn decide<'u>(units: &[&'u UnitOfWork], known: Known<'u>, first: MessageId) -> (Vec<Decided>, Draft<'u>) {
    let mut judge = Judge { known, draft: Draft::default(), next: first.0, ids: Vec::new() };
    let decided = units.iter().map(|unit| judge.unit(unit)).collect();
    (decided, judge.draft)
}

struct Judge<'u> {
    known: Known<'u>,
    draft: Draft<'u>,
    next: i64,
    /// Of the messages of the unit in hand.
    ids: Vec<MessageId>,
}

impl<'u> Judge<'u> {
    fn unit(&mut self, unit: &'u UnitOfWork) -> Decided {
        let (mark, next) = (self.draft.mark(), self.next);
        self.ids.clear();
        let stopped = unit.rows.iter().try_for_each(|row| self.row(row));
        self.known.end_unit(stopped.is_ok());
        if stopped.is_err() {
            self.draft.cut(mark);
            self.next = next;
        }
        match stopped {
            Ok(()) => Decided::Outcome(Outcome::Committed(std::mem::take(&mut self.ids))),
            Err(Stop::Ends(decided)) => decided,
            Err(Stop::Wrong(why)) => Decided::Outcome(Outcome::Failed(StoreError::Statement(why.into()))),
        }
    }

    fn row(&mut self, row: &'u Row) -> Result<(), Stop> {
        match row {
            Row::Inbox(key) => self.inbox(key),
            Row::Aggregate(change) => self.aggregate(change),
            Row::AssignNumber(number) => self.assign(number),
            Row::ChangeDelivery(change) => self.change(change),
            Row::LetGo(id) => self.let_go(*id),
            Row::Message(message) => self.message(message),
            Row::Run(run) => self.run(run),
            Row::Hold(held) => self.hold(held),
            Row::Output(output) => self.output(output),
            Row::Delivery(delivery) => self.delivery(delivery),
            Row::Attempt(attempt) => self.attempt(attempt),
            Row::Charge(charge) => self.charge(*charge),
            Row::Fact(name, value) => {
                readable(&[value])?;
                self.draft.facts.push((name, value));
                Ok(())
            }
        }
    }

    fn inbox(&mut self, key: &'u InboxKey) -> Result<(), Stop> {
        readable(&[&key.key])?;
        let name = (key.consumer, key.key.as_str());
        if self.known.inbox.get(&name).is_some() {
            return ends(Outcome::AlreadyApplied);
        }
        self.known.inbox.set(name, ());
        self.draft.inbox.push(key);
        Ok(())
    }

    fn aggregate(&mut self, change: &'u AggregateChange) -> Result<(), Stop> {
        readable(&[&change.key.authority, &change.key.number, &change.body])?;
        let version = self.known.versions.get(&&change.key).copied().unwrap_or(0);
        if i64::try_from(change.expected) != Ok(version) {
            return ends(Outcome::Conflict);
        }
        self.known.versions.set(&change.key, version.saturating_add(1));
        self.draft.aggregates.push(change);
        Ok(())
    }

    fn assign(&mut self, number: &'u AssignedNumber) -> Result<(), Stop> {
        readable(&[&number.authority, &number.number, &number.assigned])?;
        let group = (number.authority.as_str(), number.number.as_str());
        match self.known.assigned.get(&group) {
            Some(assigned) if *assigned == number.assigned => Ok(()),
            Some(_) => ends(Outcome::Conflict),
            None if self.known.taken.get(&number.assigned.as_str()).is_some() => ends(Outcome::Conflict),
            None => {
                self.known.assigned.set(group, number.assigned.clone());
                self.known.taken.set(&number.assigned, ());
                self.draft.numbers.push(number);
                Ok(())
            }
        }
    }

    fn change(&mut self, change: &'u DeliveryChange) -> Result<(), Stop> {
        if self.known.deliveries.get(&change.id) != Some(&true) {
            return ends(Outcome::Conflict);
        }
        if let Some(cause) = &change.cause {
            readable(&[&cause.code, &cause.reason])?;
        }
        self.known.deliveries.set(change.id, !change.state.is_end());
        self.draft.changes.push(change);
        Ok(())
    }

    fn let_go(&mut self, id: RunId) -> Result<(), Stop> {
        if self.known.held.get(&id) != Some(&true) {
            return ends(Outcome::Conflict);
        }
        self.known.held.set(id, false);
        self.draft.let_go.push(id);
        Ok(())
    }

    fn message(&mut self, message: &'u NewMessage) -> Result<(), Stop> {
        let NewMessage { source, principal, peer, sender, control_id, kind, .. } = message;
        readable(&[source, principal, peer, sender, control_id, kind])?;
        if let Some(cause) = &message.refusal {
            readable(&[&cause.code, &cause.reason])?;
        }
        let mut flags = message.flags;
        let id = MessageId(self.next);
        if let Some(since) = message.repeat_since {
            self.look_for_repeat(message, since)?;
            if self.has_other_body(message, since) {
                flags = flags.with(Flags::CONTROL_ID_REUSED);
            }
            let (asked, at) = (question(message), message.received_at.0);
            self.known.seen.set((asked, message.identity), (id, at));
            let newest = Newest::with(self.known.newest.get(&asked), message.identity, at);
            self.known.newest.set(asked, newest);
        }
        self.next = self.next.saturating_add(1);
        self.ids.push(id);
        self.known.messages.set(id, ());
        self.draft.messages.push(Numbered { id, flags, message });
        Ok(())
    }

    fn look_for_repeat(&self, message: &'u NewMessage, since: Timestamp) -> Result<(), Stop> {
        let Some((of, at)) = self.known.seen.get(&(question(message), message.identity)).copied() else {
            return Ok(());
        };
        if at < since.0 {
            return Ok(());
        }
        let own = self.draft.messages.iter().rev().find(|numbered| numbered.id == of);
        Err(Stop::Ends(match own {
            Some(numbered) => Decided::Outcome(Outcome::Repeat { of, answer: numbered.message.answer.clone() }),
            None => Decided::RepeatOf(of),
        }))
    }

    fn has_other_body(&self, message: &'u NewMessage, since: Timestamp) -> bool {
        let asked = question(message);
        self.known.other_bodies.contains(&(asked, message.identity, since.0))
            || self.known.newest.get(&asked).is_some_and(|newest| newest.has_other(message.identity, since.0))
    }

    fn run(&mut self, run: &'u NewRun) -> Result<(), Stop> {
        let message = match run.message {
            MessageRef::Stored(id) => id,
            MessageRef::New(place) => {
                *self.ids.get(place).ok_or(Stop::Wrong("a run of a message that the unit does not have"))?
            }
        };
        if self.known.messages.get(&message).is_none() {
            return Err(Stop::Wrong("a run of a message that is not there"));
        }
        if !self.known.configurations.contains(&run.configuration) {
            return Err(Stop::Wrong("a run of a configuration that is not there"));
        }
        let id = RunId { message, run_no: run.run_no };
        if self.known.runs.get(&id).is_some() {
            return Err(Stop::Wrong("a run with a number that is taken"));
        }
        let cause = run.cause.iter().flat_map(|cause| [&*cause.code, &*cause.reason]);
        for text in cause.chain(run.route.as_deref()).chain(run.mapping.as_deref()) {
            readable(&[text])?;
        }
        self.known.runs.set(id, ());
        self.draft.runs.push((message, run));
        Ok(())
    }

    fn hold(&mut self, held: &'u NewHeld) -> Result<(), Stop> {
        if self.known.runs.get(&held.id).is_none() {
            return Err(Stop::Wrong("a held run that is not there"));
        }
        if self.known.held.get(&held.id).is_some() {
            return Err(Stop::Wrong("a run that is held twice"));
        }
        if let Some(code) = &held.code {
            readable(&[&code.table, &code.code])?;
        }
        self.known.held.set(held.id, true);
        self.draft.held.push(held);
        Ok(())
    }

    fn output(&mut self, output: &'u NewOutput) -> Result<(), Stop> {
        let run = RunId { message: output.message, run_no: output.run_no };
        if self.known.runs.get(&run).is_none() {
            return Err(Stop::Wrong("an output of a run that is not there"));
        }
        if self.known.outputs.get(&(run, output.output_no)).is_some() {
            return Err(Stop::Wrong("an output with a number that is taken"));
        }
        readable(&[output.command.as_deref().unwrap_or_default(), &output.kind])?;
        self.known.outputs.set((run, output.output_no), ());
        self.draft.outputs.push(output);
        Ok(())
    }

    fn delivery(&mut self, delivery: &'u NewDelivery) -> Result<(), Stop> {
        let run = RunId { message: delivery.id.message, run_no: delivery.id.run_no };
        if self.known.outputs.get(&(run, delivery.output_no)).is_none() {
            return Err(Stop::Wrong("a delivery of an output that is not there"));
        }
        if self.known.deliveries.get(&delivery.id).is_some() {
            return Err(Stop::Wrong("a delivery with a number that is taken"));
        }
        self.known.deliveries.set(delivery.id, true);
        self.draft.deliveries.push(delivery);
        Ok(())
    }

    fn attempt(&mut self, attempt: &'u NewAttempt) -> Result<(), Stop> {
        let name = (attempt.id, attempt.attempt_no);
        if self.known.attempts.get(&name).is_some() {
            return ends(Outcome::AlreadyApplied);
        }
        if self.known.deliveries.get(&attempt.id).is_none() {
            return Err(Stop::Wrong("an attempt of a delivery that is not there"));
        }
        readable(&[&attempt.reason])?;
        self.known.attempts.set(name, ());
        self.draft.attempts.push(attempt);
        Ok(())
    }

    fn charge(&mut self, charge: Charge) -> Result<(), Stop> {
        if self.known.messages.get(&charge.message).is_none() {
            return Err(Stop::Wrong("a charge of a message that is not there"));
        }
        self.draft.charges.push(charge);
        Ok(())
    }
}

/// PostgreSQL keeps no NUL in a text.
fn readable(texts: &[&str]) -> Result<(), Stop> {
    if texts.iter().any(|text| memchr::memchr(0, text.as_bytes()).is_some()) {
        return Err(Stop::Wrong("a text with a NUL character, which the database does not keep"));
    }
    Ok(())
}

impl Decided {
    /// With the answers that were read for repeats.
    pub(super) fn with_answer(self, answer: impl Fn(MessageId) -> Result<Option<Bytes>, StoreError>) -> Outcome {
        match self {
            Decided::Outcome(outcome) => outcome,
            Decided::RepeatOf(of) => match answer(of) {
                Ok(answer) => Outcome::Repeat { of, answer },
                Err(error) => Outcome::Failed(error),
            },
        }
    }
}
