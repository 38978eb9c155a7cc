//! The table of what each command does in each state.
//!
//! In come a state and a command; out goes the step to take, or the reason why there is none. There is a
//! row for every pair: what the table does not name cannot be compiled. A step that only came too early
//! waits ([`Reason::NotYet`]): holds and releases that arrive in any order end in the state of the
//! ordered run, for each is taken only where it has something to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::command::CommandKind;
use crate::domain::refusal::{Awaited, Reason};

/// The state of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Written, not signed: not valid yet.
    Draft,
    /// Valid. A line that is dispensed in part is active too.
    Active,
    /// Held for a clinical reason: not to be dispensed until released.
    Suspended,
    /// Dispensed in whole.
    Completed,
    /// Taken back before anything was dispensed.
    Cancelled,
    /// Ended by replacement, or taken back after a part was dispensed.
    Stopped,
    /// Its validity is over.
    Expired,
    /// It should never have been.
    EnteredInError,
}

/// What a command does to a line that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The draft becomes valid.
    Issue,
    /// The content changes, the state stays.
    Amend,
    /// The line is taken back.
    TakeBack,
    /// The line is held.
    Suspend,
    /// The hold ends.
    Resume,
}

impl Status {
    /// Every state.
    pub const ALL: [Status; 8] = [
        Status::Draft,
        Status::Active,
        Status::Suspended,
        Status::Completed,
        Status::Cancelled,
        Status::Stopped,
        Status::Expired,
        Status::EnteredInError,
    ];

    /// Whether no command changes it any more.
    pub fn is_final(self) -> bool {
        match self {
            Status::Draft | Status::Active | Status::Suspended => false,
            Status::Completed | Status::Cancelled | Status::Stopped | Status::Expired | Status::EnteredInError => true,
        }
    }

    /// Its name in lists, as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Status::Draft => "draft",
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Completed => "completed",
            Status::Cancelled => "cancelled",
            Status::Stopped => "stopped",
            Status::Expired => "expired",
            Status::EnteredInError => "entered-in-error",
        }
    }

    /// MedicationRequest.status. FHIR R4 has no code for an expired order: it is stopped, and its
    /// statusReason says why.
    pub fn fhir(self) -> &'static str {
        match self {
            Status::Draft => "draft",
            Status::Active => "active",
            Status::Suspended => "on-hold",
            Status::Completed => "completed",
            Status::Cancelled => "cancelled",
            Status::Stopped | Status::Expired => "stopped",
            Status::EnteredInError => "entered-in-error",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Draft => "a draft",
            Status::Active => "active",
            Status::Suspended => "on hold",
            Status::Completed => "completed",
            Status::Cancelled => "cancelled",
            Status::Stopped => "stopped",
            Status::Expired => "expired",
            Status::EnteredInError => "entered in error",
        })
    }
}

/// What `kind` does to an order that is not known.
pub(super) fn first_step(kind: CommandKind) -> Result<(), Reason> {
    match kind {
        CommandKind::Create => Ok(()),
        CommandKind::Sign | CommandKind::Replace | CommandKind::Cancel | CommandKind::Hold | CommandKind::Release => {
            Err(Reason::NotYet(Awaited::Order))
        }
    }
}

/// What `kind` does to a line in `status`.
pub(super) fn next_step(status: Status, kind: CommandKind) -> Result<Step, Reason> {
    use CommandKind::{Cancel, Create, Hold, Release, Replace, Sign};
    match (status, kind) {
        (
            Status::Draft
            | Status::Active
            | Status::Suspended
            | Status::Completed
            | Status::Cancelled
            | Status::Stopped
            | Status::Expired
            | Status::EnteredInError,
            Create,
        ) => Err(Reason::AlreadyExists),

        (Status::Draft, Sign) => Ok(Step::Issue),
        (Status::Draft, Hold | Release) => Err(Reason::NotYet(Awaited::Signature)),
        (Status::Active | Status::Suspended, Sign) => Err(Reason::AlreadySigned),

        (Status::Draft | Status::Active | Status::Suspended, Replace) => Ok(Step::Amend),
        (Status::Draft | Status::Active | Status::Suspended, Cancel) => Ok(Step::TakeBack),

        (Status::Active, Hold) => Ok(Step::Suspend),
        (Status::Active, Release) => Err(Reason::NotYet(Awaited::Hold)),
        (Status::Suspended, Hold) => Err(Reason::NotYet(Awaited::Release)),
        (Status::Suspended, Release) => Ok(Step::Resume),

        (Status::Expired, Sign | Replace | Cancel | Hold | Release) => Err(Reason::Expired),
        (
            Status::Completed | Status::Cancelled | Status::Stopped | Status::EnteredInError,
            Sign | Replace | Cancel | Hold | Release,
        ) => Err(Reason::NotActive(status)),
    }
}

/// The state of a line in `status` once another order has taken its place.
pub(super) fn replaced(status: Status) -> Result<Status, Reason> {
    match status {
        Status::Draft => Ok(Status::Cancelled),
        Status::Active | Status::Suspended => Ok(Status::Stopped),
        Status::Expired => Err(Reason::Expired),
        Status::Completed | Status::Cancelled | Status::Stopped | Status::EnteredInError => {
            Err(Reason::NotActive(status))
        }
    }
}
