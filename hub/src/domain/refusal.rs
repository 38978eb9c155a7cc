//! Why a command had no effect, in the terms of the hub, of the platform and of the standards.
//!
//! In comes a reason; out go its code (`HUB03nn`, a page each in `docs/errors/`), its class and what to
//! answer the sender. A refusal never holds anything of the message (H10). What only came too early is a
//! class of its own: it is parked and tried again, and is an end only when its time is over (H2).

use super::identifiers::{IdentityError, NationalIdError};
use super::prescription::{Effects, Status};
use super::resource::UnreadableElement;

/// A command that had not the effect it asked for.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What came to light on the way and must be stored all the same: a line whose time is over is
    /// marked expired by the first command that meets it.
    pub noticed: Option<Box<Effects>>,
}

/// What to do with a refused command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It will never be possible: an end.
    Reject,
    /// What must come before it has not come yet: park it *alone* (never its lane, or what it waits for
    /// could not overtake it), try again, dead-letter it when its time is over.
    Wait,
}

/// What a command that came too early waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The order itself.
    Order,
    /// The signature that makes a draft valid.
    Signature,
    /// A hold, which this command would release.
    Hold,
    /// The release of the hold that is in force; then this command holds again.
    Release,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the command cannot be read: {0}")]
    Unreadable(#[from] UnreadableElement),
    #[error("the command is of no known kind")]
    UnknownCommand,
    #[error("the order is not identified: {0}")]
    NoIdentity(#[from] IdentityError),
    #[error("the order has no identified prescriber")]
    NoPrescriber,
    #[error("the order has no identified patient")]
    NoPatient,
    #[error("the patient's identifier cannot be right: {0}")]
    InvalidPatient(#[from] NationalIdError),
    #[error("the {0} this command follows has not come yet")]
    NotYet(Awaited),
    #[error("the order exists already, with other content")]
    AlreadyExists,
    #[error("the order is signed already")]
    AlreadySigned,
    #[error("the order is {0} and can no longer change")]
    NotActive(Status),
    #[error("the validity of the order is over")]
    Expired,
    #[error("the command names another patient than the order")]
    OtherPatient,
    #[error("a part of the order is dispensed, so it can only be replaced or stopped")]
    PartlyDispensed,
    #[error("no prescription number can be had now")]
    NoNumber,
    #[error("an order begins as draft or active")]
    StatusAtCreation,
}

impl Reason {
    /// The hub's code, which has a page in `docs/errors/`.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Unreadable(_) => "HUB0301",
            Reason::UnknownCommand => "HUB0302",
            Reason::NoIdentity(_) => "HUB0303",
            Reason::NoPrescriber => "HUB0304",
            Reason::NoPatient | Reason::InvalidPatient(_) => "HUB0305",
            Reason::NotYet(_) => "HUB0306",
            Reason::AlreadyExists => "HUB0307",
            Reason::AlreadySigned => "HUB0308",
            Reason::NotActive(_) => "HUB0309",
            Reason::Expired => "HUB0310",
            Reason::OtherPatient => "HUB0311",
            Reason::PartlyDispensed => "HUB0312",
            Reason::NoNumber => "HUB0313",
            Reason::StatusAtCreation => "HUB0314",
        }
    }

    /// What to do with the command.
    pub fn class(self) -> Class {
        match self {
            Reason::NotYet(_) | Reason::NoNumber => Class::Wait,
            Reason::Unreadable(_)
            | Reason::UnknownCommand
            | Reason::NoIdentity(_)
            | Reason::NoPrescriber
            | Reason::NoPatient
            | Reason::InvalidPatient(_)
            | Reason::AlreadyExists
            | Reason::AlreadySigned
            | Reason::NotActive(_)
            | Reason::Expired
            | Reason::OtherPatient
            | Reason::PartlyDispensed
            | Reason::StatusAtCreation => Class::Reject,
        }
    }

    /// The platform's own code, as its interfaces use it.
    pub fn ndp_code(self) -> &'static str {
        match self {
            Reason::Unreadable(_)
            | Reason::UnknownCommand
            | Reason::NoIdentity(_)
            | Reason::NoPrescriber
            | Reason::AlreadyExists
            | Reason::PartlyDispensed
            | Reason::StatusAtCreation => "INVALID_REQUEST",
            Reason::NoPatient | Reason::InvalidPatient(_) | Reason::OtherPatient => "INVALID_PATIENT_ID",
            Reason::NotYet(Awaited::Order) => "PRESCRIPTION_NOT_FOUND",
            Reason::NotYet(Awaited::Signature | Awaited::Hold | Awaited::Release) | Reason::NotActive(_) => {
                "PRESCRIPTION_NOT_ACTIVE"
            }
            Reason::AlreadySigned => "PRESCRIPTION_ALREADY_SIGNED",
            Reason::Expired => "PRESCRIPTION_EXPIRED",
            Reason::NoNumber => "SERVICE_UNAVAILABLE",
        }
    }

    /// The error condition for ERR-3 (HL7 table 0357).
    pub fn hl7_condition(self) -> u16 {
        match self {
            Reason::NoIdentity(_) | Reason::NoPrescriber | Reason::NoPatient => 101,
            Reason::Unreadable(_) | Reason::InvalidPatient(_) => 102,
            Reason::UnknownCommand | Reason::StatusAtCreation => 103,
            Reason::NotYet(Awaited::Order) => 204,
            Reason::AlreadyExists => 205,
            Reason::NotYet(Awaited::Signature | Awaited::Hold | Awaited::Release)
            | Reason::AlreadySigned
            | Reason::NotActive(_)
            | Reason::Expired
            | Reason::OtherPatient
            | Reason::PartlyDispensed
            | Reason::NoNumber => 207,
        }
    }

    /// The issue type for an OperationOutcome (FHIR R4, code system issue-type).
    pub fn fhir_issue(self) -> &'static str {
        match self {
            Reason::Unreadable(_) => "structure",
            Reason::UnknownCommand => "not-supported",
            Reason::NoIdentity(_) | Reason::NoPrescriber | Reason::NoPatient => "required",
            Reason::InvalidPatient(_) | Reason::StatusAtCreation => "value",
            Reason::NotYet(Awaited::Order) => "not-found",
            Reason::AlreadyExists => "duplicate",
            Reason::NotYet(Awaited::Signature | Awaited::Hold | Awaited::Release)
            | Reason::AlreadySigned
            | Reason::NotActive(_)
            | Reason::PartlyDispensed => "conflict",
            Reason::Expired | Reason::OtherPatient => "business-rule",
            Reason::NoNumber => "transient",
        }
    }
}

impl Refusal {
    /// The hub's code.
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// What to do with the command.
    pub fn class(&self) -> Class {
        self.reason.class()
    }
}

impl<R: Into<Reason>> From<R> for Refusal {
    fn from(reason: R) -> Refusal {
        Refusal { reason: reason.into(), noticed: None }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refusal {}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Awaited::Order => "order",
            Awaited::Signature => "signature",
            Awaited::Hold => "hold",
            Awaited::Release => "release",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;

    fn every_reason() -> Vec<Reason> {
        let mut reasons = vec![
            Reason::Unreadable(UnreadableElement { element: "authoredOn" }),
            Reason::UnknownCommand,
            Reason::NoIdentity(IdentityError::NoNumber),
            Reason::NoPrescriber,
            Reason::NoPatient,
            Reason::InvalidPatient(NationalIdError::Length),
            Reason::AlreadyExists,
            Reason::AlreadySigned,
            Reason::NotActive(Status::Cancelled),
            Reason::Expired,
            Reason::OtherPatient,
            Reason::PartlyDispensed,
            Reason::NoNumber,
            Reason::StatusAtCreation,
        ];
        let awaited = [Awaited::Order, Awaited::Signature, Awaited::Hold, Awaited::Release];
        reasons.extend(awaited.map(Reason::NotYet));
        reasons
    }

    #[test]
    fn every_code_has_a_page_that_says_what_to_do() {
        for reason in every_reason() {
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/errors/{}.md", reason.code()));
            let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{} has no page", reason.code()));
            assert!(text.starts_with(&format!("# {}", reason.code())), "{}", reason.code());
            assert!(text.contains("## What to do"), "{}", reason.code());
            assert!(text.contains(reason.ndp_code()), "{} {reason:?}", reason.code());
            assert!(text.contains(&format!("`{}`", reason.hl7_condition())), "{} {reason:?}", reason.code());
        }
    }

    #[test]
    fn only_what_may_still_come_waits() {
        let waiting: HashSet<&str> =
            every_reason().into_iter().filter(|reason| reason.class() == Class::Wait).map(Reason::code).collect();
        assert_eq!(waiting, HashSet::from(["HUB0306", "HUB0313"]));
    }

    #[test]
    fn a_text_begins_small_and_has_no_full_stop() {
        for reason in every_reason() {
            let text = Refusal::from(reason).to_string();
            assert!(text.starts_with(|letter: char| letter.is_lowercase()), "{text}");
            assert!(!text.ends_with('.'), "{text}");
        }
    }

    #[test]
    fn conditions_and_issues_are_of_the_standards_lists() {
        let conditions = [100, 101, 102, 103, 104, 198, 199, 204, 205, 206, 207];
        let issues = [
            "structure",
            "required",
            "value",
            "not-supported",
            "duplicate",
            "not-found",
            "business-rule",
            "conflict",
            "transient",
        ];
        for reason in every_reason() {
            assert!(conditions.contains(&reason.hl7_condition()), "{reason:?}");
            assert!(issues.contains(&reason.fhir_issue()), "{reason:?}");
        }
    }
}
