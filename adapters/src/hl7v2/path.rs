//! Paths into a message: `PID-3[2].4.1`, `PID-3[.5 = "NI"].1`, `OBX[2]-5`, `PATIENT.INSURANCE[2].IN1-3`.
//!
//! In comes the text of a path; out goes a [`Path`], or an error that says where the text is wrong and what
//! was probably meant. Numbers count from 1, as the standard's do, and are bounded.
//!
//! ```text
//! path      = { group [ "[" number "]" ] "." } segment [ "[" number | "*" "]" ] [ "-" field ]
//! field     = number [ "[" number | "*" | condition "]" ] [ "." component [ "." subcomponent ] ]
//! condition = "." component [ "." subcomponent ] ( "=" | "!=" ) '"' text '"'
//! ```

use std::fmt;
use std::str::FromStr;

mod read;

/// Highest field number.
pub const FIELD_MAX: u16 = 9_999;
/// Highest component and subcomponent number.
pub const COMPONENT_MAX: u16 = 999;
/// Highest repetition of a field.
pub const REPETITION_MAX: u32 = 10_000;
/// Highest repetition of a segment or group.
pub const OCCURRENCE_MAX: u32 = 100_000;
/// Groups before the segment.
pub const GROUPS_MAX: usize = 8;
/// Bytes of a path.
pub const PATH_BYTES_MAX: usize = 1_024;

/// A place in a message. `Display` writes its canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub(super) groups: Vec<GroupStep>,
    pub(super) segment: String,
    pub(super) occurrence: Occurrence,
    pub(super) field: Option<FieldStep>,
}

/// A group on the way to the segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GroupStep {
    pub(super) name: String,
    pub(super) occurrence: Occurrence,
}

/// Which of several segments or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Occurrence {
    /// Not said: the first for `find`, every one for `find_all`.
    Unsaid,
    /// This one, from 1.
    Number(u32),
    /// Every one.
    Every,
}

/// The field, and what of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FieldStep {
    pub(super) number: u16,
    pub(super) repetition: Repetition,
    pub(super) part: Part,
}

/// Which repetition of the field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Repetition {
    /// Not said: the first for `find`, every one for `find_all`.
    Unsaid,
    /// This one, from 1.
    Number(u32),
    /// Every one.
    Every,
    /// Those in which `part` is, or is not, `text`.
    Where { part: Part, equal: bool, text: String },
}

/// What of a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// A component.
    Component(u16),
    /// A subcomponent.
    Subcomponent(u16, u16),
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Path, PathError> {
        read::path(text)
    }

    /// The name of the segment: `PID`.
    pub fn segment(&self) -> &str {
        &self.segment
    }

    /// The number of the field, unless the path means the whole segment.
    pub fn field(&self) -> Option<u16> {
        self.field.as_ref().map(|field| field.number)
    }

    /// The number of the component, unless the path means the whole field.
    pub fn component(&self) -> Option<u16> {
        match self.field.as_ref()?.part {
            Part::Whole => None,
            Part::Component(component) | Part::Subcomponent(component, _) => Some(component),
        }
    }

    /// The number of the subcomponent, if the path names one.
    pub fn subcomponent(&self) -> Option<u16> {
        match self.field.as_ref()?.part {
            Part::Whole | Part::Component(_) => None,
            Part::Subcomponent(_, subcomponent) => Some(subcomponent),
        }
    }

    /// The names of the groups before the segment, outermost first.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    /// The path asks for every one of several: it has a `[*]`.
    pub fn is_repeating(&self) -> bool {
        let repetition = self.field.as_ref().is_some_and(|field| field.repetition == Repetition::Every);
        repetition
            || self.occurrence == Occurrence::Every
            || self.groups.iter().any(|group| group.occurrence == Occurrence::Every)
    }

    pub(super) fn segment_bytes(&self) -> [u8; 3] {
        self.segment.as_bytes().first_chunk::<3>().copied().unwrap_or_default()
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Path, PathError> {
        Path::parse(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            write!(f, "{}{}.", group.name, group.occurrence)?;
        }
        write!(f, "{}{}", self.segment, self.occurrence)?;
        let Some(field) = &self.field else { return Ok(()) };
        write!(f, "-{}", field.number)?;
        match &field.repetition {
            Repetition::Unsaid => {}
            Repetition::Number(number) => write!(f, "[{number}]")?,
            Repetition::Every => write!(f, "[*]")?,
            Repetition::Where { part, equal, text } => {
                let sign = if *equal { "=" } else { "!=" };
                let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "[{part} {sign} \"{quoted}\"]")?;
            }
        }
        write!(f, "{}", field.part)
    }
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Occurrence::Unsaid => Ok(()),
            Occurrence::Number(number) => write!(f, "[{number}]"),
            Occurrence::Every => write!(f, "[*]"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Whole => Ok(()),
            Part::Component(component) => write!(f, ".{component}"),
            Part::Subcomponent(component, subcomponent) => write!(f, ".{component}.{subcomponent}"),
        }
    }
}

/// Why a text is no path, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// Offset in bytes of the offending part.
    pub at: usize,
    /// Its length in bytes; 0 at the end of the text.
    pub len: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub help: Option<String>,
}

#[cfg(test)]
mod tests;
