//! Codes of the tables that HL7 v2 defines.
//!
//! In come a field or component of the grammar and a code; out goes why the code cannot stand there. Promised: only
//! fields of type ID are judged, for theirs are HL7's own tables (HL7 v2.5.1 section 2.A.35); what a site may define
//! (IS, CWE) never. Refused: nothing.

use adapters::hl7v2::grammar::{Element, Table, table};

use crate::finding::{did_you_mean, one_of};

/// Codes that advice lists at most.
const LISTED_MAX: usize = 12;

/// Tables of ID fields to which a site may add, types of identifiers and names of coding systems, and those whose
/// rows stand for many codes: MIME subtypes, priorities of diagnoses and procedures. What MSH-12 and MSH-18 name is
/// judged by what the hub can write (0104, 0211).
const OPEN: [&str; 7] = ["0104", "0203", "0211", "0291", "0359", "0396", "0418"];

/// A code that its table does not have.
pub(super) struct Outside {
    pub table: &'static Table,
    /// What was probably meant, or what there is.
    pub help: Option<String>,
}

/// The table that HL7 gives the field or component; none if a site may add to it.
pub(super) fn closed_table(element: &Element) -> Option<&'static Table> {
    let number = element.table.filter(|number| element.data_type == "ID" && !OPEN.contains(number))?;
    table(number).filter(|table| !table.codes.is_empty())
}

/// Whether the code cannot stand in the field or component.
pub(super) fn outside(element: &Element, code: &str) -> Option<Outside> {
    let table = closed_table(element).filter(|table| table.code(code).is_none())?;
    let codes = || table.codes.iter().map(|known| known.code);
    let few = table.codes.len() <= LISTED_MAX;
    let help = did_you_mean(code, codes()).or_else(|| few.then(|| format!("codes are {}", one_of(codes()))));
    Some(Outside { table, help })
}
