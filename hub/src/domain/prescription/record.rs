//! The record of one line, and how it moves from one version to the next.
//!
//! In come the record and what happens to it; out goes the next version with the event that tells of it.
//! Each version is one event, so the version is the event's place in the line's story. Stored as JSON in
//! which the decimals of the order are as the sender wrote them. Refused is a stored record that cannot
//! be read. Nothing of a patient or an order shows in Debug output (H10).

use std::fmt;

use adapters::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::transition::Status;
use super::{Context, content};
use crate::domain::command::{Command, Fingerprint, Moment};
use crate::domain::event::{Event, EventKind};
use crate::domain::identifiers::{IssuedNumber, OrderIdentity};
use crate::domain::resource::{Resource, UnreadableElement};

/// The shape of a stored line. Raised when older ones must be read differently.
pub(super) const SHAPE: u16 = 1;

/// One line, as it is stored.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Prescription {
    /// The shape of this record.
    pub shape: u16,
    /// Which order it is.
    pub order: OrderIdentity,
    /// The sender's prescription that it is a line of.
    pub group: OrderIdentity,
    /// The prescription's number.
    pub number: IssuedNumber,
    /// Its state.
    pub status: Status,
    /// How much of it was dispensed.
    pub dispensed: Dispensed,
    /// How often it changed: 1 when it is new. The sequence of its last event.
    pub version: u64,
    /// The first instant at which it may no longer be dispensed. None for a draft.
    #[serde(with = "micros")]
    pub expires_at: Option<Timestamp>,
    /// The order that took its place.
    pub replaced_by: Option<OrderIdentity>,
    /// The command that began it.
    pub begun_by: Fingerprint,
    /// The last command that changed it.
    pub changed_by: Fingerprint,
    /// The MedicationRequest as it is now.
    pub resource: Resource,
}

/// How much of a line was dispensed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dispensed {
    Nothing,
    Part,
    Whole,
}

/// One line changed, and the event that tells it.
pub(super) struct Change {
    pub(super) line: Prescription,
    pub(super) event: Event,
}

/// When and why a line moved, and which of the command's events tells it.
#[derive(Clone, Copy)]
pub(super) struct Moved<'a> {
    pub(super) now: Timestamp,
    pub(super) cause: &'a str,
    pub(super) ordinal: u8,
}

impl Prescription {
    /// The record as JSON.
    pub fn to_json(&self) -> Result<String, UnreadableElement> {
        serde_json::to_string(self).map_err(|_| UnreadableElement { element: "resource" })
    }

    /// Reads what [`Prescription::to_json`] wrote.
    pub fn from_json(json: &[u8]) -> Result<Prescription, UnreadableElement> {
        serde_json::from_slice(json).map_err(|_| UnreadableElement { element: "resource" })
    }

    /// Whether its validity is over and nothing has said so yet.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let can_expire = matches!(self.status, Status::Active | Status::Suspended);
        can_expire && self.expires_at.is_some_and(|end| now >= end)
    }

    pub(super) fn was_changed_by(&self, command: &Command) -> bool {
        self.begun_by == command.fingerprint || self.changed_by == command.fingerprint
    }

    pub(super) fn next_version(&self, command: &Command) -> Prescription {
        let mut next = self.clone();
        next.version = self.version.saturating_add(1);
        next.changed_by = command.fingerprint.clone();
        next
    }

    /// The same line in another state.
    pub(super) fn moved(
        &self,
        status: Status,
        kind: EventKind,
        command: Option<&Command>,
        moved: Moved<'_>,
    ) -> Result<Change, UnreadableElement> {
        let mut line = match command {
            Some(command) => self.next_version(command),
            None => Prescription { version: self.version.saturating_add(1), ..self.clone() },
        };
        line.status = status;
        content::set_status(&mut line.resource, status, command)?;
        let event = line.event(kind, moved);
        Ok(Change { line, event })
    }

    /// Makes it valid from the date it bears; expired at once if that is too long ago.
    pub(super) fn issue(
        &mut self,
        authored: Option<Moment>,
        command: &Command,
        context: &Context<'_>,
    ) -> Result<EventKind, UnreadableElement> {
        self.status = Status::Active;
        self.limit(authored, context)?;
        let kind = if self.is_overdue(context.now) {
            self.status = Status::Expired;
            EventKind::Expired
        } else {
            EventKind::Issued
        };
        content::set_status(&mut self.resource, self.status, Some(command))?;
        Ok(kind)
    }

    pub(super) fn limit(&mut self, authored: Option<Moment>, context: &Context<'_>) -> Result<(), UnreadableElement> {
        let validity = context.rules.validity(&self.resource, authored, context.now)?;
        self.expires_at = Some(validity.expires_at);
        content::set_validity(&mut self.resource, &validity)
    }

    pub(super) fn event(&self, kind: EventKind, moved: Moved<'_>) -> Event {
        Event {
            id: format!("{}-{}", moved.cause, moved.ordinal),
            kind,
            subject: self.number.number().as_str().to_owned(),
            time: moved.now,
            sequence: self.version,
            cause: moved.cause.to_owned(),
            data: self.resource.clone(),
        }
    }
}

impl fmt::Debug for Prescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prescription({} version {} [phi])", self.status, self.version)
    }
}

/// Times are stored as microseconds since 1970.
mod micros {
    use adapters::clock::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp))
    }
}
