//! Judges a drained hub by what its senders know (reliability: the law of the oracle).
//!
//! In come the senders' [`Ledger`], the hub's [`Journal`] and the folder of a file destination; out go [`Findings`].
//! The law: answered positively, then exactly one end and exactly one effect (H2, H3); answered negatively, then no
//! effect; unknown, then none or one; what arrived is, byte for byte, what the function of its id says; and the order
//! of a key is kept (H5).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use crate::Fallible;
use crate::journal::{Delivery, End, Journal};
use crate::ledger::{Entry, Expected, Ledger};
use crate::payload::{Id, Kind};

/// The source that the senders speak to.
pub const SOURCE: &str = "oracle";
/// The channel of the prescription actor.
pub const CHANNEL: &str = "prescription";
/// The file destination that gets every message as it came.
pub const ARCHIVE: &str = "archive";
/// Findings of one kind that are shown.
const SHOWN: usize = 5;

/// What is wrong, by kind. All of it must be empty.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Answered positively, and without end or effect.
    pub lost: Vec<String>,
    /// More than one effect, end or row.
    pub doubled: Vec<String>,
    /// A later message of a key before an earlier one.
    pub reordered: Vec<String>,
    /// Another payload than the function of its id says, or an end that it must not have.
    pub wrong: Vec<String>,
    /// An effect of what was never sent, or was refused.
    pub phantom: Vec<String>,
}

impl Findings {
    /// `Ok` if there are none.
    pub fn into_result(self) -> Fallible<()> {
        let kinds = [&self.lost, &self.doubled, &self.reordered, &self.wrong, &self.phantom];
        if kinds.iter().all(|kind| kind.is_empty()) { Ok(()) } else { Err(self.to_string().into()) }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("reordered", &self.reordered),
            ("wrong", &self.wrong),
            ("phantom", &self.phantom),
        ];
        for (name, findings) in kinds {
            write!(out, "{name} = {}; ", findings.len())?;
        }
        for (name, findings) in kinds {
            for finding in findings.iter().take(SHOWN) {
                write!(out, "\n  {name}: {finding}")?;
            }
        }
        Ok(())
    }
}

/// The judge of one data folder.
#[derive(Debug)]
pub struct Oracle {
    entries: BTreeMap<Id, Entry>,
    findings: Findings,
    /// The accepted message of each id, by its place in the journal.
    accepted: BTreeMap<Id, i64>,
    ids: HashMap<i64, Id>,
    lanes: HashMap<u64, Vec<u8>>,
}

impl Oracle {
    /// Judges everything. The hub must have drained.
    pub fn judge(ledger: &Ledger, journal: &Journal, archive: &Path) -> Fallible<Findings> {
        let mut oracle = Oracle {
            entries: ledger.entries().into_iter().collect(),
            findings: Findings::default(),
            accepted: BTreeMap::new(),
            ids: HashMap::new(),
            lanes: HashMap::new(),
        };
        oracle.judge_messages(journal)?;
        let deliveries = journal.deliveries()?;
        oracle.judge_ends(&deliveries);
        oracle.judge_order(&deliveries);
        oracle.judge_effects(journal, &deliveries)?;
        oracle.judge_archive(archive)?;
        Ok(oracle.findings)
    }

    /// One row for each message that was taken, with its bytes, and in the order in which its sender sent.
    fn judge_messages(&mut self, journal: &Journal) -> Fallible<()> {
        let mut last_of: HashMap<(u16, u64), Id> = HashMap::new();
        journal.received(SOURCE, |received| {
            let id = Id::from_control_id(&received.control_id);
            let Some((id, _)) = id.and_then(|id| self.entries.get(&id).map(|entry| (id, entry))) else {
                self.findings.phantom.push(format!("{} was never sent", received.control_id));
                return Ok(());
            };
            if received.body != id.body() {
                self.findings.wrong.push(format!("the journal has other bytes of {}", received.control_id));
            }
            if !received.accepted {
                return Ok(());
            }
            if let Some(first) = self.accepted.insert(id, received.id) {
                self.findings.doubled.push(format!("{id:?} was taken as message {first} and as {}", received.id));
            }
            self.ids.insert(received.id, id);
            match received.lane {
                Some(lane) if *self.lanes.entry(id.patient()).or_insert_with(|| lane.clone()) == lane => {}
                lane => self.findings.wrong.push(format!("{id:?} is in lane {lane:?}")),
            }
            if let Some(last) = last_of.insert((id.sender, id.patient()), id).filter(|last| *last > id) {
                self.findings.reordered.push(format!("{id:?} was taken after {last:?}"));
            }
            Ok(())
        })?;
        for (id, entry) in &self.entries {
            match (entry.expected(), self.accepted.contains_key(id)) {
                (Expected::Once, false) => self.findings.lost.push(format!("{id:?} is not in the journal")),
                (Expected::Never, true) => self.findings.phantom.push(format!("{id:?} was refused and taken")),
                (Expected::Once, true) | (Expected::Never, false) | (Expected::AtMostOnce, _) => {}
            }
        }
        Ok(())
    }

    /// Each message that was taken has one delivery to the domain and one to the archive, and both have ended well.
    fn judge_ends(&mut self, deliveries: &[Delivery]) {
        let mut ends: HashMap<(i64, &str), Vec<End>> = HashMap::new();
        for delivery in deliveries {
            ends.entry((delivery.message, delivery.destination.as_str())).or_default().push(delivery.end);
        }
        for (id, message) in &self.accepted {
            for destination in [CHANNEL, ARCHIVE] {
                let found = ends.get(&(*message, destination)).map(Vec::as_slice).unwrap_or_default();
                match found {
                    [] => self.findings.lost.push(format!("{id:?} has no delivery to {destination}")),
                    [End::Delivered] => {}
                    [End::Refused | End::DeadLettered] if destination == CHANNEL && self.has_nothing_to_cancel(*id) => {
                    }
                    [End::Open] => self.findings.lost.push(format!("{id:?} to {destination} has no end")),
                    [end] => self.findings.wrong.push(format!("{id:?} to {destination} ended as {end:?}")),
                    several => {
                        self.findings.doubled.push(format!("{id:?} to {destination} ended {} times", several.len()));
                    }
                }
            }
        }
    }

    /// Whether `id` cancels an order that the hub never took: it waits for the order, and is given up.
    fn has_nothing_to_cancel(&self, id: Id) -> bool {
        matches!(id.kind(), Kind::Cancel(order) if !self.accepted.contains_key(&order))
    }

    /// To one destination, what is in one lane went in the order in which it was taken. A command that waits for
    /// another one stands aside meanwhile; here only those do that end otherwise than delivered.
    fn judge_order(&mut self, deliveries: &[Delivery]) {
        let mut last_of: HashMap<(&str, &[u8]), &Delivery> = HashMap::new();
        for delivery in deliveries.iter().filter(|delivery| delivery.end == End::Delivered) {
            let Some(lane) = delivery.lane.as_deref() else { continue };
            let last = last_of.insert((delivery.destination.as_str(), lane), delivery);
            if let Some(last) = last.filter(|last| last.message > delivery.message && last.ended_at < delivery.ended_at)
            {
                self.findings.reordered.push(format!(
                    "message {} went to {} after message {} of its lane",
                    delivery.message, delivery.destination, last.message
                ));
            }
        }
    }

    /// The domain holds each order once, changed once by each of its messages, and one event tells of each change.
    fn judge_effects(&mut self, journal: &Journal, deliveries: &[Delivery]) -> Fallible<()> {
        let cancelled: BTreeSet<Id> = self.accepted.keys().filter_map(|id| cancelled_by(*id)).collect();
        let mut orders: BTreeMap<String, Id> = self
            .accepted
            .keys()
            .filter(|id| matches!(id.kind(), Kind::Order | Kind::Training))
            .map(|id| (id.order_number(), *id))
            .collect();
        for aggregate in journal.aggregates()? {
            let Some(id) = orders.remove(&aggregate.number) else {
                self.findings.phantom.push(format!("the domain has order {} that was not taken", aggregate.number));
                continue;
            };
            let (version, is_cancelled) = if cancelled.contains(&id) { (2, true) } else { (1, false) };
            if aggregate.version != version || (aggregate.state == "cancelled") != is_cancelled {
                let (found, state) = (aggregate.version, &aggregate.state);
                let finding = format!("{id:?} is {state} in version {found}, and should be in version {version}");
                let kind = if found > version { &mut self.findings.doubled } else { &mut self.findings.wrong };
                kind.push(finding);
            }
        }
        self.findings.lost.extend(orders.into_values().map(|id| format!("{id:?} has no effect in the domain")));

        let mut events: HashMap<i64, usize> = HashMap::new();
        for cause in journal.causes_of_events()? {
            *events.entry(cause).or_default() += 1;
        }
        let mut applied = 0;
        for delivery in deliveries.iter().filter(|delivery| delivery.destination == CHANNEL) {
            applied += i64::from(delivery.end != End::Open);
            let wanted = usize::from(delivery.end == End::Delivered);
            let found = events.get(&delivery.message).copied().unwrap_or_default();
            let id = self.ids.get(&delivery.message);
            if found > wanted {
                self.findings.doubled.push(format!("{id:?} has {found} events"));
            } else if found < wanted {
                self.findings.lost.push(format!("{id:?} has no event"));
            }
        }
        let keys = journal.inbox_keys()?;
        if keys != applied {
            self.findings.wrong.push(format!("the inbox has {keys} keys for {applied} applied commands"));
        }
        Ok(())
    }

    /// The archive has each message that was taken, once, byte for byte.
    fn judge_archive(&mut self, archive: &Path) -> Fallible<()> {
        let mut missing: BTreeSet<Id> = self.accepted.keys().copied().collect();
        for file in std::fs::read_dir(archive)? {
            let path = file?.path();
            let body = std::fs::read(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(id) = control_id(&body).and_then(|text| Id::from_control_id(&text)) else {
                self.findings.wrong.push(format!("the archive has {name}, which is no message of ours"));
                continue;
            };
            if body != id.body() {
                self.findings.wrong.push(format!("the archive has other bytes of {id:?} in {name}"));
            }
            if !missing.remove(&id) {
                let kind = if self.accepted.contains_key(&id) {
                    &mut self.findings.doubled
                } else {
                    &mut self.findings.phantom
                };
                kind.push(format!("the archive has {id:?} again, or though it was not taken, in {name}"));
            }
        }
        self.findings.lost.extend(missing.into_iter().map(|id| format!("{id:?} is not in the archive")));
        Ok(())
    }
}

/// The order that `id` cancels.
fn cancelled_by(id: Id) -> Option<Id> {
    match id.kind() {
        Kind::Cancel(order) => Some(order),
        Kind::Order | Kind::Training => None,
    }
}

/// MSH-10 of a message with the usual separators.
fn control_id(body: &[u8]) -> Option<String> {
    let header = body.split(|byte| *byte == b'\r').next()?;
    let field = header.split(|byte| *byte == b'|').nth(9)?;
    String::from_utf8(field.to_vec()).ok()
}

#[cfg(test)]
mod tests;
