//! Where every element of an output came from, and what of a message went nowhere.
//!
//! In come the reads and writes of a run that is watched; out goes a list of elements with their rules
//! and sources, and a list of filled fields that no rule read. Promised: places only, no values (H10); a
//! run that is not watched pays nothing. Refused: nothing.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use adapters::{csv, hl7v2, xml};
use serde_json::Value as Json;

use super::error::Place;
use super::evaluate::Ground;
use super::tables::Table;

/// Fields that the hub itself reads of every HL7 v2 message, by segment.
const READ_BY_THE_HUB: [(&str, &[u16]); 1] = [("MSH", &[1, 2, 7, 9, 10, 11, 12, 15, 16, 18])];

/// What became of every part of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Every element that was written, in the order of writing.
    pub written: Vec<Written>,
    /// Filled parts of the message that nothing read.
    pub nowhere: Vec<Nowhere>,
}

/// One element of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Which output, from 0.
    pub output: usize,
    /// The element, with indexes: `note[1].text`.
    pub target: String,
    /// The rule that wrote it.
    pub rule: Place,
    /// What the rule read.
    pub sources: Vec<Origin>,
    /// The functions that the rule called, in order.
    pub functions: Vec<Called>,
}

/// A function that was called.
#[derive(Clone, Debug)]
pub struct Called {
    /// Its name.
    pub function: &'static str,
    /// The table that it was given.
    pub table: Option<Arc<Table>>,
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(f, "{}({})", self.function, table.name()),
            None => f.write_str(self.function),
        }
    }
}

impl PartialEq for Called {
    fn eq(&self, other: &Called) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Called {}

/// What a rule read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The path as the rule has it.
    pub path: String,
    /// The bytes of an HL7 v2 message that were found there; empty for other formats.
    pub spans: Vec<Range<usize>>,
}

/// A filled part of a message that no rule read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nowhere {
    /// Its path: `PID-3[2]`, `identifier[0].use`.
    pub path: String,
    /// Its bytes in an HL7 v2 message; empty for other formats.
    pub span: Range<usize>,
}

/// Takes down what a watched run reads and writes.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Of the rule in hand.
    sources: Vec<Origin>,
    functions: Vec<Called>,
    spans: Vec<Range<usize>>,
    /// Addresses of the JSON values that were read.
    values: Vec<usize>,
    written: Vec<Written>,
}

/// How much a recorder had taken down.
#[derive(Debug)]
pub(super) struct Mark {
    sources: usize,
    functions: usize,
    spans: usize,
    values: usize,
}

impl Recorder {
    pub fn begin_rule(&mut self) {
        self.sources.clear();
        self.functions.clear();
    }

    /// How much was taken down so far.
    pub fn mark(&self) -> Mark {
        Mark {
            sources: self.sources.len(),
            functions: self.functions.len(),
            spans: self.spans.len(),
            values: self.values.len(),
        }
    }

    /// Forgets what was read after the mark.
    pub fn forget_since(&mut self, mark: &Mark) {
        self.sources.truncate(mark.sources);
        self.functions.truncate(mark.functions);
        self.spans.truncate(mark.spans);
        self.values.truncate(mark.values);
    }

    pub fn read_field(&mut self, path: &str, spans: impl Iterator<Item = Range<usize>>) {
        let spans: Vec<Range<usize>> = spans.collect();
        self.spans.extend(spans.iter().cloned());
        if !spans.is_empty() {
            self.add_source(Origin { path: path.to_owned(), spans });
        }
    }

    pub fn read_json(&mut self, path: &str, found: &[&Json]) {
        self.values.extend(found.iter().map(|json| address(json)));
        if !found.is_empty() {
            self.add_source(Origin { path: path.to_owned(), spans: Vec::new() });
        }
    }

    /// A rule that reads a place twice, as condition and as value, has one source.
    fn add_source(&mut self, source: Origin) {
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
    }

    pub fn call(&mut self, called: Called) {
        self.functions.push(called);
    }

    pub fn end_rule(&mut self, output: usize, target: String, rule: Place) {
        let (sources, functions) = (std::mem::take(&mut self.sources), std::mem::take(&mut self.functions));
        self.written.push(Written { output, target, rule, sources, functions });
    }

    pub fn finish(self, ground: Ground<'_>) -> Lineage {
        let nowhere = match ground {
            Ground::Hl7(message) => unread_fields(message, &self.spans),
            Ground::Json(root) | Ground::Xml(root) => unread_values(root, &self.values),
        };
        Lineage { written: self.written, nowhere }
    }
}

fn address(json: &Json) -> usize {
    std::ptr::from_ref(json).addr()
}

fn unread_fields(message: hl7v2::Message<'_>, read: &[Range<usize>]) -> Vec<Nowhere> {
    let mut nowhere = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for segment in message.segments() {
        let occurrence = seen.entry(segment.name().to_owned()).or_default();
        *occurrence = occurrence.saturating_add(1);
        let name =
            if *occurrence == 1 { segment.name().to_owned() } else { format!("{}[{occurrence}]", segment.name()) };
        let own =
            READ_BY_THE_HUB.iter().find(|(header, _)| *header == segment.name()).map_or(&[][..], |(_, fields)| fields);
        for (number, field) in (1_u16..).zip(segment.fields()) {
            if field.is_empty() || own.contains(&number) {
                continue;
            }
            let count = field.repetitions().count();
            for (repetition_number, repetition) in (1_usize..).zip(field.repetitions()) {
                let path = if count == 1 {
                    format!("{name}-{number}")
                } else {
                    format!("{name}-{number}[{repetition_number}]")
                };
                unread_parts(&path, repetition, read, &mut nowhere);
            }
        }
    }
    nowhere
}

/// A repetition of which nothing was read is listed whole, else the components that were not.
fn unread_parts(path: &str, repetition: hl7v2::Value<'_>, read: &[Range<usize>], nowhere: &mut Vec<Nowhere>) {
    let covers = |span: &Range<usize>| read.iter().any(|one| one.start <= span.start && span.end <= one.end);
    let touches = |span: &Range<usize>| read.iter().any(|one| one.start < span.end && span.start < one.end);
    let span = repetition.span();
    if repetition.is_empty() || covers(&span) {
        return;
    }
    if !touches(&span) {
        nowhere.push(Nowhere { path: path.to_owned(), span });
        return;
    }
    for (number, component) in (1_u16..).zip(repetition.components()) {
        let part = component.span();
        if !component.is_empty() && !touches(&part) {
            nowhere.push(Nowhere { path: format!("{path}.{number}"), span: part });
        }
    }
}

fn unread_values(root: &Json, read: &[usize]) -> Vec<Nowhere> {
    let read: HashSet<usize> = read.iter().copied().collect();
    let mut nowhere = Vec::new();
    let mut open = vec![(String::new(), root)];
    while let Some((path, json)) = open.pop() {
        if read.contains(&address(json)) {
            continue;
        }
        match json {
            Json::Object(fields) => {
                // The number of a row of CSV is no part of the file.
                let parts = fields.iter().rev().filter(|(name, _)| *name != csv::NUMBER);
                open.extend(parts.map(|(name, value)| (below(&path, name), value)));
            }
            Json::Array(items) => {
                open.extend(items.iter().enumerate().rev().map(|(index, value)| (format!("{path}[{index}]"), value)));
            }
            Json::Null => {}
            Json::Bool(_) | Json::Number(_) | Json::String(_) => nowhere.push(Nowhere { path, span: 0..0 }),
        }
    }
    nowhere
}

/// The path of an element, as paths write it: an element's own text is the element.
fn below(path: &str, name: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | ':' | '@');
    match name {
        xml::TEXT => path.to_owned(),
        _ if !name.chars().all(is_plain) => format!("{path}.\"{name}\""),
        _ if path.is_empty() => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}
