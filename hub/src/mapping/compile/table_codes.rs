//! Codes that a message which keeps to HL7 v2, or a resource which keeps to FHIR, never has.
//!
//! In come comparisons of a field or an element with a text, and tables that it is looked up in; out go warnings for
//! codes that HL7's table of the field, or the required value set of the element, does not have: the condition never
//! holds, the row never counts. Promised: a code that any version of HL7 v2 has there is not complained of, nor one of
//! a table to which a site may add.

use std::ops::Range;

use adapters::fhir::grammar::Strength;
use adapters::hl7v2::Path;
use adapters::hl7v2::grammar::{Element, Grammar, Version, resolve};

use super::Walk;
use crate::finding::{Finding, codes, did_you_mean};
use crate::mapping::expression::{Expression, Node};
use crate::mapping::hl7_tables::{Outside, outside};
use crate::mapping::json_path::JsonPath;
use crate::mapping::plan::Op;
use crate::mapping::tables::Table;

/// Functions that give the code of a field as it is, or in capital letters.
const KEEPING: [&str; 6] = ["text", "trim", "upper", "required", "first", "last"];

impl Walk<'_, '_> {
    /// Warns of texts that the value is compared with and never is.
    pub(super) fn check_compared(&mut self, value: &Op, with: &[Expression]) {
        for literal in with {
            if let Node::Text(code) = &literal.node {
                self.check_code(value, code, &literal.span, "");
            }
        }
    }

    /// Warns of rows of a table that the value never finds.
    pub(super) fn check_rows(&mut self, value: &Op, table: &Table, span: &Range<usize>) {
        let mut rows: Vec<&str> = table.rows().map(|(code, _)| code).collect();
        rows.sort_unstable();
        let of = format!(", a row of the table {}", table.name());
        for code in rows {
            self.check_code(value, code, span, &of);
        }
    }

    fn check_code(&mut self, value: &Op, code: &str, span: &Range<usize>, of: &str) {
        if let Op::Json { path, .. } = value {
            return self.check_code_of_element(path, code, span, of);
        }
        let mut paths = Vec::new();
        if code.is_empty() || !fields_of(value, &mut paths) {
            return;
        }
        let found = paths.iter().map(|path| self.outside(path, code)).collect::<Option<Vec<Outside>>>();
        let (Some(path), Some(Outside { table, help })) =
            (paths.first(), found.and_then(|found| found.into_iter().next()))
        else {
            return;
        };
        let message =
            format!("{path} is never `{code}`{of}: HL7 table {} ({}) has no such code", table.number, table.text);
        let place = self.text.place(&self.compiler.source, span);
        let finding = Finding::warning(codes::NOT_IN_TABLE, &self.compiler.source, place, message);
        self.compiler.findings.push(finding.with_help_if(help));
    }

    /// An element with a required value set has no other codes.
    fn check_code_of_element(&mut self, path: &JsonPath, code: &str, span: &Range<usize>, of: &str) {
        let binding = self.ground.lead(path).ok().and_then(|led| led.binding);
        let required = binding.filter(|one| one.strength == Strength::Required);
        let Some(set) = required.and_then(|one| one.codes()) else { return };
        if code.is_empty() || set.may_have(None, code) {
            return;
        }
        let help = did_you_mean(code, set.codes());
        let message = format!("{path} is never `{code}`{of}: its value set has no such code ({})", set.name);
        let place = self.text.place(&self.compiler.source, span);
        let finding = Finding::warning(codes::NOT_IN_VALUE_SET, &self.compiler.source, place, message);
        self.compiler.findings.push(finding.with_help_if(help));
    }

    /// Why no version has the code there.
    fn outside(&self, path: &Path, code: &str) -> Option<Outside> {
        let header = (path.segment() == "MSH").then_some("ACK");
        // Of several message types that have the segment, each says the same of its fields.
        let structures = self.ground.structures.iter().copied().chain(header);
        let mut known = structures.filter(|structure| resolve(Version::USUAL, structure, path).is_ok());
        let structure = known.next()?;
        let usual = resolve(Version::USUAL, structure, path).ok()?.element().and_then(|usual| outside(usual, code))?;
        let of_version = |version: Version| Grammar::of(version).resolve(structure, path).ok()?.element();
        // Older versions leave out which table a component has.
        let says_nothing = |element: &Element| element.data_type == "ID" && element.table.is_none();
        let may_have = |element: &Element| !says_nothing(element) && outside(element, code).is_none();
        let is_known = Version::ALL.into_iter().filter_map(of_version).any(may_have);
        (!is_known).then_some(usual)
    }
}

/// Gathers the fields whose codes the value may be; says whether it is nothing but these and texts.
fn fields_of<'o>(value: &'o Op, paths: &mut Vec<&'o Path>) -> bool {
    match value {
        Op::Field { path, .. } => {
            paths.push(path);
            true
        }
        Op::Text(_) => true,
        Op::FirstOf(parts) => parts.iter().all(|part| fields_of(part, paths)),
        Op::Call(call) if call.function.name == "default" => call.arguments.iter().all(|part| fields_of(part, paths)),
        Op::Call(call) if KEEPING.contains(&call.function.name) => {
            call.arguments.first().is_some_and(|argument| fields_of(argument, paths))
        }
        _ => false,
    }
}
