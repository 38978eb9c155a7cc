//! What happened to a prescription, told to the rest of the hub as CloudEvents 1.0 (structured JSON).
//!
//! In comes the line as it has become; out goes the event: what happened, when, because of which command,
//! and the MedicationRequest. The id follows from the command, so that a repeat of the same work tells the
//! same event (H3). Attributes travel in broker headers and hold no patient data (H10): the subject is the
//! prescription's number, never a person.

use std::fmt;

use adapters::clock::Timestamp;
use serde::Serialize;

use super::resource::{Resource, UnreadableElement};

/// The shape of `data` and of the attributes. Raised when a reader of the old shape would misread the new.
const SCHEMA_VERSION: &str = "1";

const SOURCE: &str = "/hub/prescription";
const TYPE_PREFIX: &str = "eg.ndp.prescription.";

/// What happened to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A draft came in.
    Received,
    /// It became valid.
    Issued,
    /// Its content changed.
    Amended,
    /// It was held.
    Suspended,
    /// The hold ended.
    Resumed,
    /// It was taken back before anything was dispensed.
    Cancelled,
    /// It was replaced, or taken back after a part was dispensed.
    Stopped,
    /// Its validity ended.
    Expired,
}

impl EventKind {
    /// The name in the catalogue of events.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Received => "PrescriptionReceived",
            EventKind::Issued => "PrescriptionIssued",
            EventKind::Amended => "PrescriptionAmended",
            EventKind::Suspended => "PrescriptionSuspended",
            EventKind::Resumed => "PrescriptionResumed",
            EventKind::Cancelled => "PrescriptionCancelled",
            EventKind::Stopped => "PrescriptionStopped",
            EventKind::Expired => "PrescriptionExpired",
        }
    }
}

/// One event of one line.
#[derive(Clone)]
pub struct Event {
    /// The same for the same command and place, whenever it is told.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// The prescription's number.
    pub subject: String,
    /// When the hub did it.
    pub time: Timestamp,
    /// Place among the events of its line, from 1 without gaps.
    pub sequence: u64,
    /// The key of the command that was the cause.
    pub cause: String,
    /// The MedicationRequest as it has become.
    pub data: Resource,
}

#[derive(Serialize)]
struct Structured<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    schemaversion: &'static str,
    sequence: String,
    sequencetype: &'static str,
    causationid: &'a str,
    data: &'a Resource,
}

impl Event {
    /// The CloudEvents type.
    pub fn cloud_type(&self) -> String {
        format!("{TYPE_PREFIX}{}", self.kind.name())
    }

    /// The event in structured mode (CloudEvents 1.0, JSON format).
    pub fn to_json(&self) -> Result<String, UnreadableElement> {
        let structured = Structured {
            specversion: "1.0",
            id: &self.id,
            source: SOURCE,
            kind: self.cloud_type(),
            subject: &self.subject,
            time: self.time.to_rfc3339(),
            datacontenttype: "application/fhir+json",
            schemaversion: SCHEMA_VERSION,
            sequence: self.sequence.to_string(),
            sequencetype: "Integer",
            causationid: &self.cause,
            data: &self.data,
        };
        serde_json::to_string(&structured).map_err(|_| UnreadableElement { element: "resource" })
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({} sequence {} [phi])", self.kind.name(), self.sequence)
    }
}
