//! One line of a prescription, and what commands make of it. Pure: no clock, no store, no chance.
//!
//! In come what is held of an order, a command, and what the shell knows besides (the time, the rules, the
//! key of the command, a number); out go the new states and the events that tell of them, to be stored in
//! one transaction with the inbox key (H3), or a refusal. A line is an order: (authority, number) of who
//! placed it. Lines of one paper share the prescription's number, which the hub gives where the sender has
//! none. Each change of a line is one version and one event. A command that was the last one applied, or
//! the one that began the line, changes nothing (H4). Refused is whatever the table of states does not
//! allow; what only came too early waits. A line whose validity is over is marked expired by the first
//! command that meets it, or by [`expire`].

mod content;
mod record;
#[cfg(test)]
mod tests;
mod transition;
mod validity;

use adapters::clock::Timestamp;

pub use record::{Dispensed, Prescription};
pub use transition::Status;
pub use validity::{Rules, Validity};

use self::record::{Change, Moved, SHAPE};
use self::transition::{Step, first_step, next_step, replaced};
use super::command::Command;
use super::event::{Event, EventKind};
use super::identifiers::{IssuedNumber, NATIONAL_SYSTEM, OrderIdentity, PrescriptionNumber};
use super::refusal::{Awaited, Reason, Refusal};

/// What the store holds of the orders that a command names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held<'a> {
    /// The line of [`Command::order`].
    pub order: Option<&'a Prescription>,
    /// The line of [`Command::replaces`].
    pub prior: Option<&'a Prescription>,
}

/// The number of the group that a command's line belongs to ([`Command::group_or_order`]).
#[derive(Clone, Debug)]
pub enum GroupNumber {
    /// The group has it already.
    Known(IssuedNumber),
    /// The group has none yet: this one is free.
    Free(PrescriptionNumber),
}

/// What the shell knows besides the command.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: Timestamp,
    /// The rules in force.
    pub rules: &'a Rules,
    /// The key of this command, the same at each attempt. It travels in headers: no patient data.
    pub cause: &'a str,
    /// Needed only where [`Command::begins_a_line`]. None if none can be had now.
    pub number: Option<GroupNumber>,
}

/// The number that a group has got. Stored in the same transaction, unique by group and by number: of two
/// lines of one group that race, the second fails there and is tried again with the number known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The sender's prescription.
    pub group: OrderIdentity,
    /// Its number, the sender's own or the hub's.
    pub number: IssuedNumber,
}

/// What to store, all of it in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// The lines as they have become. The row of each must have the version before, `version - 1`; at
    /// version 1 it must not exist.
    pub states: Vec<Prescription>,
    /// One event for each line, in the same order.
    pub events: Vec<Event>,
    /// The number that the line's group has got, if it had none.
    pub assigned: Option<Assignment>,
}

impl Effects {
    /// Whether nothing changed: the command was a repeat.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    fn one(change: Change) -> Effects {
        Effects { states: vec![change.line], events: vec![change.event], assigned: None }
    }
}

/// What `command` makes of what is held.
pub fn apply(held: Held<'_>, command: &Command, context: &Context<'_>) -> Result<Effects, Refusal> {
    if held.order.is_some_and(|line| line.was_changed_by(command)) {
        return Ok(Effects::default());
    }
    match &command.replaces {
        Some(_) => replace(held, command, context),
        None => match held.order {
            Some(line) => alter(line, command, context),
            None => {
                first_step(command.kind)?;
                begin(command, None, context)
            }
        },
    }
}

/// Marks `line` expired if its validity is over. `cause` says who looked, without patient data.
pub fn expire(line: &Prescription, now: Timestamp, cause: &str) -> Result<Option<Effects>, Refusal> {
    if !line.is_overdue(now) {
        return Ok(None);
    }
    let context = Moved { now, cause, ordinal: 0 };
    Ok(Some(Effects::one(line.moved(Status::Expired, EventKind::Expired, None, context)?)))
}

/// A command on a line that exists.
fn alter(line: &Prescription, command: &Command, context: &Context<'_>) -> Result<Effects, Refusal> {
    content::check_same_patient(line, command)?;
    if let Some(refusal) = refuse_if_overdue(line, command, context)? {
        return Err(refusal);
    }
    let moved = Moved { now: context.now, cause: context.cause, ordinal: 0 };
    let change = match next_step(line.status, command.kind)? {
        Step::Issue => sign(line, command, context)?,
        Step::Amend => amend(line, command, context)?,
        Step::TakeBack => match line.dispensed {
            Dispensed::Nothing => line.moved(Status::Cancelled, EventKind::Cancelled, Some(command), moved)?,
            Dispensed::Part | Dispensed::Whole => {
                line.moved(Status::Stopped, EventKind::Stopped, Some(command), moved)?
            }
        },
        Step::Suspend => line.moved(Status::Suspended, EventKind::Suspended, Some(command), moved)?,
        Step::Resume => line.moved(Status::Active, EventKind::Resumed, Some(command), moved)?,
    };
    Ok(Effects::one(change))
}

/// An order that takes the place of another: the old line ends, the new one begins.
fn replace(held: Held<'_>, command: &Command, context: &Context<'_>) -> Result<Effects, Refusal> {
    let prior = held.prior.ok_or(Reason::NotYet(Awaited::Order))?;
    if held.order.is_some() {
        return Err(Reason::AlreadyExists.into());
    }
    content::check_same_patient(prior, command)?;
    if let Some(refusal) = refuse_if_overdue(prior, command, context)? {
        return Err(refusal);
    }
    let end = replaced(prior.status)?;
    let event = if end == Status::Cancelled { EventKind::Cancelled } else { EventKind::Stopped };
    let moved = Moved { now: context.now, cause: context.cause, ordinal: 0 };
    let mut ended = prior.moved(end, event, Some(command), moved)?;
    ended.line.replaced_by = Some(command.order.clone());
    let mut effects = Effects::one(ended);
    let begun = begin(command, Some(prior), context)?;
    effects.states.extend(begun.states);
    effects.events.extend(begun.events);
    effects.assigned = begun.assigned;
    Ok(effects)
}

/// A new line. `prior` is the one whose place it takes.
fn begin(command: &Command, prior: Option<&Prescription>, context: &Context<'_>) -> Result<Effects, Refusal> {
    content::check_patient(&command.resource, context.rules.day_of(context.now))?;
    let is_draft = match command.status.as_deref() {
        Some("draft") => true,
        Some("active") => false,
        Some(_) | None => return Err(Reason::StatusAtCreation.into()),
    };
    if !is_draft && !content::has_prescriber(&command.resource)? {
        return Err(Reason::NoPrescriber.into());
    }
    let (group, number, is_new) = number_for(command, prior, context)?;
    let assigned = is_new.then(|| Assignment { group: group.clone(), number: number.clone() });
    let mut line = Prescription {
        shape: SHAPE,
        order: command.order.clone(),
        group,
        resource: content::adopt(command, &number)?,
        number,
        status: Status::Draft,
        dispensed: Dispensed::Nothing,
        version: 1,
        expires_at: None,
        replaced_by: None,
        begun_by: command.fingerprint.clone(),
        changed_by: command.fingerprint.clone(),
    };
    let mut kind = EventKind::Received;
    if is_draft {
        content::set_status(&mut line.resource, Status::Draft, Some(command))?;
    } else {
        kind = line.issue(command.authored, command, context)?;
    }
    let moved = Moved { now: context.now, cause: context.cause, ordinal: u8::from(prior.is_some()) };
    let event = line.event(kind, moved);
    Ok(Effects { assigned, ..Effects::one(Change { line, event }) })
}

/// The group and number of a new line, and whether the group gets that number now.
fn number_for(
    command: &Command,
    prior: Option<&Prescription>,
    context: &Context<'_>,
) -> Result<(OrderIdentity, IssuedNumber, bool), Reason> {
    if let Some(prior) = prior.filter(|prior| command.group.as_ref().is_none_or(|group| *group == prior.group)) {
        return Ok((prior.group.clone(), prior.number.clone(), false));
    }
    let group = command.group_or_order().clone();
    if let Some(GroupNumber::Known(number)) = &context.number {
        return Ok((group, number.clone(), false));
    }
    if let Some(number) = &command.number {
        return Ok((group, number.clone(), true));
    }
    match &context.number {
        Some(GroupNumber::Free(number)) => Ok((group, IssuedNumber::new(NATIONAL_SYSTEM, number.clone()), true)),
        Some(GroupNumber::Known(_)) | None => Err(Reason::NoNumber),
    }
}

/// A draft becomes valid from the day it is signed.
fn sign(line: &Prescription, command: &Command, context: &Context<'_>) -> Result<Change, Reason> {
    let mut signed = line.next_version(command);
    if content::has_prescriber(&command.resource)? {
        signed.resource.take_over("requester", &command.resource);
    }
    if !content::has_prescriber(&signed.resource)? {
        return Err(Reason::NoPrescriber);
    }
    let kind = signed.issue(command.authored, command, context)?;
    let event = signed.event(kind, Moved { now: context.now, cause: context.cause, ordinal: 0 });
    Ok(Change { line: signed, event })
}

/// The content changes in place; the state, the number and what was begun stay.
fn amend(line: &Prescription, command: &Command, context: &Context<'_>) -> Result<Change, Reason> {
    if line.dispensed != Dispensed::Nothing {
        return Err(Reason::PartlyDispensed);
    }
    content::check_patient(&command.resource, context.rules.day_of(context.now))?;
    if line.status != Status::Draft && !content::has_prescriber(&command.resource)? {
        return Err(Reason::NoPrescriber);
    }
    let mut amended = line.next_version(command);
    amended.resource = content::adopt(command, &line.number)?;
    let mut kind = EventKind::Amended;
    match line.status {
        Status::Active => {
            if amended.issue(command.authored, command, context)? == EventKind::Expired {
                kind = EventKind::Expired;
            }
        }
        Status::Draft | Status::Suspended => {
            content::set_status(&mut amended.resource, line.status, None)?;
            amended.resource.take_over("statusReason", &line.resource);
            if line.status == Status::Suspended {
                amended.limit(command.authored, context)?;
            }
        }
        Status::Completed | Status::Cancelled | Status::Stopped | Status::Expired | Status::EnteredInError => {
            return Err(Reason::NotActive(line.status));
        }
    }
    let event = amended.event(kind, Moved { now: context.now, cause: context.cause, ordinal: 0 });
    Ok(Change { line: amended, event })
}

/// A refusal that also stores the end of a line whose validity is over.
fn refuse_if_overdue(
    line: &Prescription,
    command: &Command,
    context: &Context<'_>,
) -> Result<Option<Refusal>, Refusal> {
    let Some(noticed) = expire(line, context.now, context.cause)? else { return Ok(None) };
    let reason = if command.replaces.is_some() {
        Reason::Expired
    } else {
        next_step(Status::Expired, command.kind).err().unwrap_or(Reason::Expired)
    };
    Ok(Some(Refusal { reason, noticed: Some(Box::new(noticed)) }))
}
