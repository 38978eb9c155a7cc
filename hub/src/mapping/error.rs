//! Why a mapping could not be made.
//!
//! In comes what a rule met; out goes an error with its code, its rule and its class. Promised: no
//! message content in any error (H10). Refused: nothing.

use std::fmt;
use std::sync::Arc;

use crate::finding::{Code, codes};

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as findings name it.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What to do with a message whose mapping failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The message will never map as it is: refuse it, do not try again.
    Reject,
    /// The message waits until a table has a row for its code.
    Hold,
}

/// A code that a table with `unknown = "hold"` does not have. Its code is content of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct HeldCode {
    /// The table.
    pub table: String,
    /// The code as the message has it.
    pub code: String,
}

impl fmt::Debug for HeldCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldCode {{ table: {:?}, code: [phi] }}", self.table)
    }
}

/// Why a mapping gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapError {
    /// The kind of failure; its page says what to do.
    pub code: Code,
    /// The rule that failed.
    pub rule: Place,
    /// What the rule writes: `subject.identifier`.
    pub path: String,
    /// The source path that the failure is about: `PID-3`.
    pub source: Option<String>,
    /// What is wrong, without content.
    pub reason: &'static str,
    /// The table that did not have a code.
    pub table: Option<Box<str>>,
    /// The code to wait for, when the class is [`Class::Hold`].
    pub held: Option<Box<HeldCode>>,
}

impl MapError {
    /// What to do with the message.
    pub fn class(&self) -> Class {
        if self.held.is_some() { Class::Hold } else { Class::Reject }
    }

    /// The code of table HL7 0357 that answers the sender (HL7 v2.5.1 section 2.15.5.3).
    pub fn hl7_error_code(&self) -> u16 {
        match self.code {
            codes::VALUE_MISSING | codes::NOTHING_TO_MAP => 101,
            codes::VALUE_INVALID => 102,
            codes::CODE_UNKNOWN | codes::CODE_HELD => 103,
            _ => 207,
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}: {}", self.code, self.rule, self.path, self.reason)?;
        if let Some(table) = &self.table {
            write!(f, " (table {table})")?;
        }
        if let Some(source) = &self.source {
            write!(f, " (from {source})")?;
        }
        Ok(())
    }
}

impl std::error::Error for MapError {}

/// What went wrong inside a rule, before the rule is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A required value is not there.
    Missing,
    /// A value cannot be read as what it should be.
    Invalid(&'static str),
    /// A table does not have the code.
    Unknown { table: String },
    /// A table does not have the code, and the message shall wait for it.
    Held(Box<HeldCode>),
    /// The output grew over its limit.
    TooLarge,
}

impl Fault {
    pub fn at(self, rule: Place, path: &str, source: Option<String>) -> MapError {
        let (code, reason) = match &self {
            Fault::Missing => (codes::VALUE_MISSING, "a required value is missing"),
            Fault::Invalid(reason) => (codes::VALUE_INVALID, *reason),
            Fault::Unknown { .. } => (codes::CODE_UNKNOWN, "the table does not have the code"),
            Fault::Held(_) => (codes::CODE_HELD, "the code waits for a row in the table"),
            Fault::TooLarge => (codes::OUTPUT_TOO_LARGE, "the output is over its limit"),
        };
        let (table, held) = match self {
            Fault::Unknown { table } => (Some(table.into()), None),
            Fault::Held(held) => (Some(held.table.as_str().into()), Some(held)),
            Fault::Missing | Fault::Invalid(_) | Fault::TooLarge => (None, None),
        };
        MapError { code, rule, path: path.to_owned(), source, reason, table, held }
    }
}
