//! What a version says of segments and data types: their fields and components, in order.
//!
//! In come the rows of segments.txt and types.txt; out come the definitions that hold in one version. Every
//! text is borrowed from the rows. A row that cannot be read is left out; a test holds that all can.

use super::read::rows;
use super::version::Version;

/// A segment with its fields, or a data type with its components. Simple types, such as ST, have none.
#[derive(Debug)]
pub struct Definition {
    /// `PID` or `CX`.
    pub name: &'static str,
    /// `Patient Identification`.
    pub text: &'static str,
    /// Fields or components, from number 1 on without a gap.
    pub elements: Vec<Element>,
}

/// A field of a segment, or a component of a data type (HL7 v2.5.1 section 2.5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its place, from 1.
    pub number: u16,
    /// `Patient Identifier List`.
    pub text: &'static str,
    /// `CX`; [`VARIES`] or [`WITHDRAWN`].
    pub data_type: &'static str,
    /// Whether a sender must fill it (section 2.5.3.4).
    pub usage: Usage,
    /// How often it may stand at most; `None` is any number (section 2.5.3.5).
    pub repetitions: Option<u16>,
    /// Characters at most; `None` where the version says nothing, as most fields of 2.7 (section 2.5.3.2).
    pub length: Option<u32>,
    /// The number of its table, `0119`. Types that hold codes, as CWE, also have it (section 2.5.3.6).
    pub table: Option<&'static str>,
}

/// The data type of a field whose content another field tells, as OBX-5.
pub const VARIES: &str = "varies";
/// The data type of what a version has withdrawn without leaving it a type.
pub const WITHDRAWN: &str = "-";

/// Whether a sender fills a field or component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// R: must be filled.
    Required,
    /// O, and B up to 2.6: may be filled.
    Optional,
    /// C: must be filled under conditions that the text of the standard names.
    Conditional,
    /// W: must not be filled.
    Withdrawn,
}

impl Definition {
    /// The field or component of this number.
    pub fn element(&self, number: u16) -> Option<&Element> {
        self.elements.get(usize::from(number).checked_sub(1)?)
    }
}

impl Element {
    /// It may stand more than once.
    pub fn repeats(&self) -> bool {
        self.repetitions != Some(1)
    }
}

/// The definitions of one version, in order of their names.
pub(super) fn read(table: &'static str, version: Version) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    let mut is_open = false;
    let mut above = "";
    for row in rows(table) {
        match row.strip_prefix(' ') {
            None => {
                let Some((name, versions, text)) = head(row) else { continue };
                is_open = holds(versions, version);
                if is_open {
                    found.push(Definition { name, text, elements: Vec::new() });
                }
            }
            Some(inner) => {
                let Some((versions, element)) = element(inner, above) else { continue };
                above = element.text;
                if is_open && holds(versions, version) {
                    found.last_mut().into_iter().for_each(|last| last.elements.push(element.clone()));
                }
            }
        }
    }
    found
}

pub(super) fn head(row: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let (name, rest) = row.split_once(' ')?;
    let (versions, text) = rest.split_once(' ')?;
    Some((name, versions, text))
}

/// `3 2.5-2.5.1 CX R * 250 - Patient Identifier List`; a text of `"` is the one above.
pub(super) fn element(row: &'static str, above: &'static str) -> Option<(&'static str, Element)> {
    let mut columns = row.splitn(8, ' ');
    let number = columns.next()?.parse().ok()?;
    let versions = columns.next()?;
    let element = Element {
        number,
        data_type: columns.next()?,
        usage: usage(columns.next()?)?,
        repetitions: or_none(columns.next()?, "*")?,
        length: or_none(columns.next()?, "-")?,
        table: Some(columns.next()?).filter(|table| *table != "-"),
        text: Some(columns.next()?).filter(|text| *text != "\"").unwrap_or(above),
    };
    Some((versions, element))
}

fn usage(letter: &str) -> Option<Usage> {
    match letter {
        "R" => Some(Usage::Required),
        "O" => Some(Usage::Optional),
        "C" => Some(Usage::Conditional),
        "W" => Some(Usage::Withdrawn),
        _ => None,
    }
}

/// A number, or the sign for none. `None` if it is neither.
fn or_none<N: std::str::FromStr>(text: &str, none: &str) -> Option<Option<N>> {
    if text == none { Some(None) } else { text.parse().ok().map(Some) }
}

/// `2.3-2.4,2.6` holds in 2.3.1.
pub(super) fn holds(versions: &str, version: Version) -> bool {
    versions.split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (Version::named(first), Version::named(last)) {
            (Some(first), Some(last)) => (first..=last).contains(&version),
            _ => false,
        }
    })
}
