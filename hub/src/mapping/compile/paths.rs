//! Source paths into HL7 v2, held against the standard.
//!
//! In comes a path of a mapping for a message type; out go findings: a group or segment that the message does not
//! have, a field or component that no version of the standard has. Groups are errors; what systems are known to send
//! beside the standard is a warning.

use adapters::hl7v2::Path;
use adapters::hl7v2::grammar::{self, Grammar, Possible, Unknown, Version};

use super::Walk;
use crate::finding::{Finding, codes, did_you_mean};

/// Fields or components that a finding lists at most.
const LISTED_MAX: usize = 8;

impl Walk<'_, '_> {
    /// Warns of segments and groups that the message type does not have.
    pub(super) fn check_structure(&mut self, path: &Path, span: &std::ops::Range<usize>) {
        let structures = self.ground.structures;
        if structures.is_empty() {
            return;
        }
        let exists = |group: &&str| structures.iter().any(|structure| grammar::group_exists(structure, group));
        let unknown_group = path.groups().find(|group| !exists(group)).map(str::to_owned);
        if let Some(group) = unknown_group {
            let names: Vec<&str> = structures.iter().flat_map(|structure| grammar::groups_of(structure)).collect();
            let message = format!("{} has no group {group}", self.ground.message);
            return self.report(codes::NOT_IN_MESSAGE, span, message, did_you_mean(&group, names));
        }
        let known = |structure: &&str| grammar::segment_exists(structure, None, path.segment());
        if !path.segment().starts_with('Z') && !structures.iter().any(known) {
            let message = format!("{} has no segment {}", self.ground.message, path.segment());
            let place = self.text.place(&self.compiler.source, span);
            let finding = Finding::warning(codes::NOT_IN_MESSAGE, &self.compiler.source, place, message);
            self.compiler.findings.push(finding);
        }
    }

    /// Warns of fields and components that no version of the standard has there. Systems do send such; whoever
    /// reads them should know that nobody promised them.
    pub(super) fn check_field(&mut self, path: &Path, span: &std::ops::Range<usize>) {
        // Before the type of a message is known, its header is.
        let header = (path.segment() == "MSH").then_some("ACK");
        let structures = self.ground.structures.iter().copied().chain(header);
        let mut resolved = structures.clone().map(|structure| grammar::resolve(Version::USUAL, structure, path));
        let Some(Err(unknown)) = resolved.next() else { return };
        let in_version = |version: Version| {
            structures.clone().any(|structure| Grammar::of(version).resolve(structure, path).is_ok())
        };
        if resolved.any(|other| other.is_ok()) || Version::ALL.into_iter().any(in_version) {
            return;
        }
        if !matches!(unknown.part, grammar::Part::Field | grammar::Part::Component | grammar::Part::Subcomponent) {
            return;
        }
        let place = self.text.place(&self.compiler.source, span);
        let finding = Finding::warning(codes::NOT_IN_SEGMENT, &self.compiler.source, place, unknown.to_string());
        self.compiler.findings.push(finding.with_help_if(nearby(&unknown)));
    }
}

/// What could stand there: all of it if that is little, else the first and the last.
pub(in crate::mapping) fn nearby(unknown: &Unknown) -> Option<String> {
    let named = |one: &Possible| format!("{} {}", one.name, one.text);
    match unknown.possible.as_slice() {
        [] => None,
        few if few.len() <= LISTED_MAX => {
            Some(format!("there are {}", few.iter().map(named).collect::<Vec<String>>().join(", ")))
        }
        [first, .., last] => Some(format!("there are {} to {}", named(first), named(last))),
        [_] => None,
    }
}
