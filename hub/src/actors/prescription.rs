//! The prescription actor: a thin shell round the pure core of `domain::prescription`.
//!
//! In come records of its channel, a batch at a time, in order; out goes a decision for each. What the
//! store holds is read once a batch; later records of the batch see what earlier ones decided. The state
//! here is a cache of numbers to give; all else is in the store, so a panic costs nothing (H8).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use adapters::Format;
use adapters::clock::Timestamp;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::actors::Work;
use crate::broker::Record;
use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::identifiers::{IssuedNumber, NumberKey, OrderIdentity, PrescriptionNumber, allocate};
use crate::domain::prescription::{Context, Effects, GroupNumber, Held, Prescription, Rules, apply};
use crate::domain::refusal::{Class, Refusal};
use crate::journey::Hub;
use crate::journey::apply::{Decision, DomainBatch, End};
use crate::journey::blame::provoke;
use crate::keys::Keys;
use crate::routes::Channel;
use crate::search::terms_of_event;
use crate::store::{
    AggregateChange, AggregateKey, AssignedNumber, Cause, Flags, MessageId, NewMessage, Row, StoreError,
};

/// Numbers taken from the day's counter at once. A crash leaves a gap of at most so many.
const NUMBERS_A_TIME: u32 = 256;
/// What aggregates of this actor are called in the store.
const KIND: &str = "prescription";

/// The worker in the actor's cell.
pub struct PrescriptionActor {
    hub: Arc<Hub>,
    rules: Rules,
    numbers: Numbers,
}

/// What one decision is made of.
struct Matter<'a> {
    record: &'a Record,
    keys: &'a Keys,
    now: Timestamp,
}

/// Numbers of one day that are this actor's to give.
struct Numbers {
    key: NumberKey,
    day: Option<jiff::civil::Date>,
    left: Range<u32>,
}

/// What the batch knows of the store, with its own decisions on top.
#[derive(Default)]
struct Known {
    lines: HashMap<OrderIdentity, Option<Prescription>>,
    numbers: HashMap<OrderIdentity, Option<IssuedNumber>>,
}

impl PrescriptionActor {
    /// An actor with the rules of now.
    pub fn new(hub: Arc<Hub>) -> PrescriptionActor {
        let key = NumberKey(hub.keys.for_numbers());
        PrescriptionActor { hub, rules: Rules::default(), numbers: Numbers { key, day: None, left: 0..0 } }
    }

    async fn decide_all(&mut self, batch: DomainBatch) -> Result<Vec<Decision>, StoreError> {
        let DomainBatch { records, now, in_hand } = batch;
        let mut commands = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            in_hand.take(place);
            let kind = record.command.as_deref().unwrap_or_default();
            commands.push(Command::read(kind, &record.body, &record.source));
        }
        let mut known = self.load(commands.iter().flatten()).await?;
        let wanted = commands.iter().flatten().filter(|command| known.needs_number(command)).count();
        self.numbers.fill(&self.hub, self.rules.day_of(now), u32::try_from(wanted).unwrap_or(u32::MAX)).await?;
        let hub = Arc::clone(&self.hub);
        let mut decisions = Vec::with_capacity(records.len());
        for (place, (record, command)) in records.iter().zip(commands).enumerate() {
            in_hand.take(place);
            let matter = Matter { record, keys: &hub.keys, now };
            decisions.push(self.decide(&mut known, &matter, command));
        }
        Ok(decisions)
    }

    /// Reads the lines and the numbers that the commands name.
    async fn load<'c>(&self, commands: impl Iterator<Item = &'c Command> + Clone) -> Result<Known, StoreError> {
        let mut known = Known::default();
        for command in commands {
            for order in std::iter::once(&command.order).chain(&command.replaces) {
                known.lines.insert(order.clone(), None);
            }
            if command.begins_a_line() {
                known.numbers.insert(command.group_or_order().clone(), None);
            }
        }
        let orders: Vec<OrderIdentity> = known.lines.keys().cloned().collect();
        let stored = self.hub.store.aggregates(orders.iter().map(key_of).collect()).await?;
        for (order, found) in orders.into_iter().zip(stored) {
            let line = found.map(|found| Prescription::from_json(found.body.as_bytes())).transpose();
            let line = line.map_err(|error| StoreError::Corrupt(format!("a prescription: {error}").into()))?;
            known.lines.insert(order, line);
        }
        let groups: Vec<OrderIdentity> = known.numbers.keys().cloned().collect();
        let named = groups.iter().map(|group| (group.assigning_authority().to_owned(), group.number().to_owned()));
        let assigned = self.hub.store.assigned_numbers(named.collect()).await?;
        for (group, found) in groups.into_iter().zip(assigned) {
            let number = found.and_then(|token| IssuedNumber::from_token(&token).ok());
            known.numbers.insert(group, number);
        }
        Ok(known)
    }

    fn decide(&mut self, known: &mut Known, matter: &Matter<'_>, command: Result<Command, Refusal>) -> Decision {
        let command = match command {
            Ok(command) => command,
            Err(refusal) => return refuse(known, matter, refusal),
        };
        provoke("APPLY", command.order.number());
        let cause = matter.record.id.to_string();
        let number = self.number_for(known, &command);
        let context = Context { now: matter.now, rules: &self.rules, cause: &cause, number };
        let held = Held {
            order: known.line(&command.order),
            prior: command.replaces.as_ref().and_then(|order| known.line(order)),
        };
        match apply(held, &command, &context) {
            Ok(effects) => decision_of(known, matter, effects, End::Applied),
            Err(refusal) => refuse(known, matter, refusal),
        }
    }

    /// The number of the command's group; a new one is taken only if the group has none.
    fn number_for(&mut self, known: &Known, command: &Command) -> Option<GroupNumber> {
        if !command.begins_a_line() {
            return None;
        }
        match known.numbers.get(command.group_or_order()).and_then(Option::as_ref) {
            Some(number) => Some(GroupNumber::Known(number.clone())),
            None => self.numbers.next().map(GroupNumber::Free),
        }
    }
}

impl Work for PrescriptionActor {
    type Job = DomainBatch;
    type Done = Result<Vec<Decision>, StoreError>;

    fn work(&mut self, batch: DomainBatch) -> LocalBoxFuture<'_, Self::Done> {
        self.decide_all(batch).boxed_local()
    }
}

impl Numbers {
    /// Makes sure that `wanted` numbers of `day` are here.
    async fn fill(&mut self, hub: &Hub, day: jiff::civil::Date, wanted: u32) -> Result<(), StoreError> {
        if self.day != Some(day) {
            self.day = Some(day);
            self.left = 0..0;
        }
        let here = self.left.end.saturating_sub(self.left.start);
        if here < wanted {
            let count = wanted.max(NUMBERS_A_TIME);
            let first = hub.store.take_numbers(&format!("prescription {day}"), count).await?;
            self.left = first..first.saturating_add(count);
        }
        Ok(())
    }

    fn next(&mut self) -> Option<PrescriptionNumber> {
        let counter = self.left.next()?;
        allocate(self.day?, counter, &self.key).ok()
    }
}

impl Known {
    fn line(&self, order: &OrderIdentity) -> Option<&Prescription> {
        self.lines.get(order).and_then(Option::as_ref)
    }

    fn needs_number(&self, command: &Command) -> bool {
        command.begins_a_line() && self.numbers.get(command.group_or_order()).is_none_or(Option::is_none)
    }

    fn learn(&mut self, effects: &Effects) {
        for line in &effects.states {
            self.lines.insert(line.order.clone(), Some(line.clone()));
        }
        if let Some(assigned) = &effects.assigned {
            self.numbers.insert(assigned.group.clone(), Some(assigned.number.clone()));
        }
    }
}

fn key_of(order: &OrderIdentity) -> AggregateKey {
    AggregateKey { kind: KIND, authority: order.assigning_authority().to_owned(), number: order.number().to_owned() }
}

fn refuse(known: &mut Known, matter: &Matter<'_>, refusal: Refusal) -> Decision {
    let cause = Cause::new(refusal.code(), &refusal.to_string());
    let end = match refusal.class() {
        Class::Reject => End::Refused(cause),
        Class::Wait => End::Wait(cause),
    };
    let noticed = refusal.noticed.map(|noticed| *noticed).unwrap_or_default();
    decision_of(known, matter, noticed, end)
}

/// Effects as rows and events. Effects that cannot be written are a refusal, never half a write.
fn decision_of(known: &mut Known, matter: &Matter<'_>, effects: Effects, end: End) -> Decision {
    let written = rows_of(matter, &effects).and_then(|rows| Ok((rows, events_of(matter, &effects.events)?)));
    match written {
        Ok((rows, events)) => {
            known.learn(&effects);
            Decision { rows, events, end }
        }
        Err(error) => Decision::ending(End::Refused(Cause::new("HUB0301", &error.to_string()))),
    }
}

type Unwritable = crate::domain::resource::UnreadableElement;

fn rows_of(matter: &Matter<'_>, effects: &Effects) -> Result<Vec<Row>, Unwritable> {
    let mut rows = Vec::with_capacity(effects.states.len() + 1);
    for line in &effects.states {
        rows.push(Row::Aggregate(AggregateChange {
            key: key_of(&line.order),
            expected: line.version.saturating_sub(1),
            state: line.status.name(),
            body: line.to_json()?,
            at: matter.now,
            by: matter.record.id.message,
        }));
    }
    if let Some(assigned) = &effects.assigned {
        rows.push(Row::AssignNumber(AssignedNumber {
            authority: assigned.group.assigning_authority().to_owned(),
            number: assigned.group.number().to_owned(),
            assigned: assigned.number.to_token(),
        }));
    }
    Ok(rows)
}

fn events_of(matter: &Matter<'_>, events: &[Event]) -> Result<Vec<NewMessage>, Unwritable> {
    events.iter().map(|event| Ok(message_of(matter, event, event.to_json()?))).collect()
}

/// An event goes back through the routes as a message of its own, in the lane of its cause.
fn message_of(matter: &Matter<'_>, event: &Event, body: String) -> NewMessage {
    let Matter { record, keys, now } = *matter;
    NewMessage {
        received_at: now,
        source: Channel::Prescription.events().into(),
        principal: "hub".into(),
        peer: "hub".into(),
        sender: "hub|prescription".into(),
        control_id: event.id.as_str().into(),
        kind: event.cloud_type().into(),
        format: Format::FhirJson,
        lane: record.key,
        identity: [0; 16],
        flags: Flags::default(),
        cause: Some(MessageId(record.id.message.0)),
        refusal: None,
        body: body.into(),
        answer: None,
        terms: terms_of_event(keys, &event.id, &event.subject),
        repeat_since: None,
    }
}
