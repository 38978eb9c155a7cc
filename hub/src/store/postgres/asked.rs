//! The keys that a group of units speaks of: what has to be known before it can be decided.

use std::collections::{BTreeSet, HashSet};

use adapters::clock::Timestamp;

use crate::store::{
    AggregateKey, AssignedNumber, DeliveryId, InboxKey, MessageRef, NewMessage, Row, RunId, UnitOfWork,
};

/// The keys that a group speaks of.
#[derive(Default)]
pub(super) struct Asked<'u> {
    pub(super) inbox: Vec<&'u InboxKey>,
    pub(super) aggregates: Vec<&'u AggregateKey>,
    pub(super) numbers: Vec<&'u AssignedNumber>,
    pub(super) messages: BTreeSet<i64>,
    pub(super) runs: BTreeSet<i64>,
    pub(super) outputs: BTreeSet<i64>,
    pub(super) deliveries: BTreeSet<i64>,
    pub(super) attempts: Vec<(DeliveryId, u32)>,
    pub(super) held: Vec<RunId>,
    pub(super) configurations: BTreeSet<i64>,
    pub(super) seen: Vec<(&'u NewMessage, Timestamp)>,
}

impl<'u> Asked<'u> {
    pub(super) fn of(units: &[&'u UnitOfWork]) -> Asked<'u> {
        let mut asked = Asked::default();
        for unit in units {
            // What hangs on a run that this unit itself makes cannot be there yet.
            let mut made = HashSet::new();
            for row in unit.rows.iter() {
                asked.row(row, &mut made);
            }
        }
        asked
    }

    fn row(&mut self, row: &'u Row, made: &mut HashSet<RunId>) {
        match row {
            Row::Inbox(key) => self.inbox.push(key),
            Row::Aggregate(change) => self.aggregates.push(&change.key),
            Row::AssignNumber(number) => self.numbers.push(number),
            Row::ChangeDelivery(change) => self.ask_delivery(change.id),
            Row::LetGo(id) => self.held.push(*id),
            Row::Message(message) => self.seen.extend(message.repeat_since.map(|since| (&**message, since))),
            Row::Run(run) => {
                self.configurations.insert(run.configuration);
                if let MessageRef::Stored(message) = run.message {
                    self.messages.insert(message.0);
                    self.runs.insert(message.0);
                    made.insert(RunId { message, run_no: run.run_no });
                }
            }
            Row::Hold(held) => {
                if !made.contains(&held.id) {
                    self.runs.insert(held.id.message.0);
                    self.held.push(held.id);
                }
            }
            Row::Output(output) => {
                if !made.contains(&RunId { message: output.message, run_no: output.run_no }) {
                    self.runs.insert(output.message.0);
                    self.outputs.insert(output.message.0);
                }
            }
            Row::Delivery(delivery) => {
                if !made.contains(&RunId { message: delivery.id.message, run_no: delivery.id.run_no }) {
                    self.outputs.insert(delivery.id.message.0);
                    self.ask_delivery(delivery.id);
                }
            }
            Row::Attempt(attempt) => {
                self.ask_delivery(attempt.id);
                self.attempts.push((attempt.id, attempt.attempt_no));
            }
            Row::Charge(charge) => {
                self.messages.insert(charge.message.0);
            }
            Row::Fact(_, _) => {}
        }
    }

    fn ask_delivery(&mut self, id: DeliveryId) {
        self.deliveries.insert(id.message.0);
    }
}
