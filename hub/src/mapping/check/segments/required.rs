//! What a message must have, and no rule writes.
//!
//! In come the segments and blocks of one level of a mapping, with their places in the structure; out go findings:
//! required segments and groups that are not written where others of their group are, and required fields and
//! components of a segment that may stay empty while the segment is written. Promised: what the blocks inside write
//! is left to their own levels.

use std::sync::Arc;

use adapters::hl7v2::grammar::{Definition, Element, Grammar, Usage};

use super::outline::{Outline, Scope};
use super::{Entry, FieldWrite, Within};
use crate::finding::{Code, Finding, Text, codes};
use crate::mapping::check::Checker;

impl Checker<'_> {
    /// Required segments and groups of the scope.
    pub(super) fn check_required_segments(&mut self, entries: &[Entry], within: Within<'_>, declared: &Text) {
        let (Some(outline), Scope::Group(group)) = (within.outline, within.scope) else { return };
        let written: Vec<(Scope, &Text)> =
            entries.iter().filter_map(|entry| entry.scope.map(|scope| (scope, &entry.at))).collect();
        self.check_group(outline, group, &written, declared);
    }

    fn check_group(&mut self, outline: &Outline, group: usize, written: &[(Scope, &Text)], declared: &Text) {
        let name = outline.name(Scope::Group(group));
        for (place, slot) in outline.slots.iter().enumerate().filter(|(_, slot)| slot.group == group && slot.required) {
            let segment = outline.name(Scope::Slot(place));
            let is_written = written.iter().any(|(scope, _)| *scope == Scope::Slot(place));
            if slot.names.len() == 1 && segment != "MSH" && !is_written {
                let message = format!("{name} must have {segment}, and no rule writes it");
                self.report_required(codes::SEGMENT_MISSING, declared, message, fields_of(outline, segment));
            }
        }
        let inside = outline.groups.iter().enumerate().filter(|(_, inner)| inner.parent == Some(group));
        for (place, inner) in inside {
            let is_in = |scope: &Scope| match scope {
                Scope::Group(other) => outline.is_inside(*other, place),
                Scope::Slot(slot) => inner.slots.contains(slot),
            };
            let first = written.iter().find(|(scope, _)| is_in(scope));
            let is_block = written.iter().any(|(scope, _)| *scope == Scope::Group(place));
            match first {
                // A block writes the group, and its own level is checked.
                Some(_) if is_block => {}
                Some((_, at)) => self.check_group(outline, place, written, at),
                None if inner.required => {
                    let segments = outline.segment_names(Scope::Group(place)).join(", ");
                    let message = format!("{name} must have the group {}, and no rule writes it", inner.name);
                    let help = Some(format!("its segments are {segments}"));
                    self.report_required(codes::SEGMENT_MISSING, declared, message, help);
                }
                None => {}
            }
        }
    }

    /// Required fields and components of what is written.
    pub(super) fn check_required_fields(&mut self, entries: &[Entry], within: Within<'_>) {
        let Some(outline) = within.outline else { return };
        let grammar = Grammar::of(outline.version);
        for entry in entries.iter().filter(|entry| entry.name != "MSH") {
            let Some(segment) = grammar.segment(&entry.name) else { continue };
            for field in segment.elements.iter().filter(|field| field.usage == Usage::Required) {
                self.check_field_of(entry, field);
            }
            self.check_components(entry, segment, grammar);
        }
    }

    fn check_field_of(&mut self, entry: &Entry, field: &Element) {
        let what = format!("{}-{} ({})", entry.name, field.number, field.text);
        let mut writes = entry.writes.iter().filter(|write| write.place.field == field.number).peekable();
        // A segment of which only this field is written is not there without it.
        let is_alone = entry.writes.iter().all(|write| write.place.field == field.number);
        let Some(first) = writes.peek().copied() else {
            // A block has no writes of its own.
            if !entry.writes.is_empty() {
                let message = format!("{} must have {what}, and no rule writes it", entry.name);
                self.compiler.source = Arc::clone(&entry.origin);
                self.report_required(codes::FIELD_MISSING, &entry.at, message, None);
            }
            return;
        };
        if !is_alone && !writes.any(|write| write.is_sure) {
            let message = format!("{} must have {what}, and this may write nothing", entry.name);
            let help = "end it with `| required`, so that a message without it is refused, or with `?? \"...\"`";
            self.compiler.source = Arc::clone(&first.origin);
            self.report_required(codes::FIELD_MISSING, &first.expression, message, Some(help.to_owned()));
        }
    }

    /// Where components of a field are written one by one, those that its type requires must be among them.
    fn check_components(&mut self, entry: &Entry, segment: &Definition, grammar: &'static Grammar) {
        for (at, write) in entry.writes.iter().enumerate() {
            let repetition = |one: &FieldWrite| (one.place.field, one.place.repetition, one.list);
            let is_same = |other: &&FieldWrite| repetition(other) == repetition(write);
            let is_first = !entry.writes.iter().take(at).any(|other| is_same(&other));
            let Some(field) = segment.element(write.place.field).filter(|_| is_first) else { continue };
            let Some(data_type) = grammar.data_type(field.data_type) else { continue };
            let is_written = |number: u16| {
                let mut same = entry.writes.iter().filter(is_same);
                same.any(|other| other.place.component.unwrap_or(1) == number)
            };
            let required = data_type.elements.iter().filter(|element| element.usage == Usage::Required);
            for element in required.filter(|element| !is_written(element.number)) {
                let name = format!("{}-{}", entry.name, field.number);
                let message = format!(
                    "{name} ({}) must have {name}.{} ({}), and no rule writes it",
                    field.data_type, element.number, element.text
                );
                self.compiler.source = Arc::clone(&write.origin);
                self.report_required(codes::FIELD_MISSING, &write.target, message, None);
            }
        }
    }

    fn report_required(&mut self, code: Code, at: &Text, message: String, help: Option<String>) {
        let finding = Finding::error(code, &self.compiler.source, at.span.clone(), message);
        self.missing.push(finding.with_help_if(help));
    }
}

/// Which fields a segment must have.
fn fields_of(outline: &Outline, segment: &str) -> Option<String> {
    let definition = Grammar::of(outline.version).segment(segment)?;
    let required = definition.elements.iter().filter(|field| field.usage == Usage::Required);
    let names: Vec<String> = required.map(|field| format!("{segment}-{} ({})", field.number, field.text)).collect();
    (!names.is_empty()).then(|| format!("it must have {}", names.join(", ")))
}
