//! Outlines of what is read and written.
//!
//! In come the outlines that a mapping declares, and what one of its levels writes; out go findings: an outline that
//! cannot be read, an element or column that it does not have, one that must be there and may not be written.
//! Promised: without an outline nothing is complained of. Samples are files below `mappings/`: they are part of the
//! configuration.

use std::sync::Arc;

use adapters::{csv, xml};
use bytes::Bytes;
use serde_json::Value as Json;

use super::elements::Spot;
use super::{Checker, Writes};
use crate::finding::{Finding, SourceText, Text, codes, did_you_mean, one_of};
use crate::mapping::documents::Settings;
use crate::mapping::layout::Step;
use crate::mapping::outline::{Outline, Part, Repeats};
use crate::mapping::parse::Documents;
use crate::mapping::plan::{Block, Items, Shape, SourceFormat, TargetFormat};

/// Extensions of samples.
const SAMPLES: [&str; 3] = [".xml", ".csv", ".json"];

/// Names that a finding lists at most.
const LISTED_MAX: usize = 12;

/// Formats that have no grammar of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Free {
    Json,
    Xml,
    Csv,
}

/// What is written to one target.
pub(super) struct PlainWrite {
    pub steps: Vec<Step>,
    pub target: Spot,
    pub expression: Text,
    pub is_sure: bool,
}

impl<'l> Writes<'l> {
    /// What is known of the elements of a level.
    pub(super) fn outline(self) -> Option<&'l Outline> {
        match self {
            Writes::Json(outline) | Writes::Xml(_, outline) | Writes::Csv(outline) => outline,
            Writes::Hl7 | Writes::Fhir => None,
        }
    }

    /// The same inside a list.
    pub(super) fn inside(self, outline: Option<&'l Outline>) -> Writes<'l> {
        match self {
            Writes::Json(_) => Writes::Json(outline),
            Writes::Xml(namespaces, _) => Writes::Xml(namespaces, outline),
            Writes::Csv(own) => Writes::Csv(own),
            Writes::Hl7 | Writes::Fhir => self,
        }
    }
}

impl<'c> Checker<'c> {
    /// The outline of what is read. A row of CSV is one of the list `row`.
    pub(super) fn source_outline(
        &mut self,
        documents: &Documents,
        from: &SourceFormat,
        settings: &Settings,
    ) -> Option<Outline> {
        let format = match from {
            SourceFormat::Json => Some(Free::Json),
            SourceFormat::Xml(_) => Some(Free::Xml),
            SourceFormat::Csv => Some(Free::Csv),
            SourceFormat::Hl7v2(_) | SourceFormat::Fhir(_) | SourceFormat::Event => None,
        };
        let outline = self.outline(&documents.outline, format, settings)?;
        Some(if format == Some(Free::Csv) { Outline::of_rows(outline) } else { outline })
    }

    /// The outline of what is written.
    pub(super) fn target_outline(
        &mut self,
        documents: &Documents,
        to: &TargetFormat,
        settings: &Settings,
    ) -> Option<Outline> {
        let format = match to {
            TargetFormat::Json => Some(Free::Json),
            TargetFormat::Xml(_) => Some(Free::Xml),
            TargetFormat::Csv => Some(Free::Csv),
            TargetFormat::Hl7v2(_) | TargetFormat::Fhir(_) => None,
        };
        self.outline(&documents.target_outline, format, settings)
    }

    fn outline(&mut self, names: &[Text], format: Option<Free>, settings: &Settings) -> Option<Outline> {
        let first = names.first()?;
        let Some(format) = format else {
            let message = "this format has a grammar of its own, and no outline".to_owned();
            self.report(codes::UNKNOWN_KEY, first.span.clone(), message, None);
            return None;
        };
        let is_sample = |name: &Text| SAMPLES.iter().any(|extension| name.value.ends_with(extension));
        if names.len() == 1 && is_sample(first) {
            return self.sample(first, format, settings);
        }
        if format == Free::Csv {
            return Some(Outline::of_columns(names.iter().map(|name| name.value.as_str())));
        }
        match Outline::of_names(names) {
            Ok(outline) => Some(outline),
            Err((name, error)) => {
                self.report_inside(codes::OUTLINE, &name, error);
                None
            }
        }
    }

    fn sample(&mut self, name: &Text, format: Free, settings: &Settings) -> Option<Outline> {
        let full = format!("mappings/{}", name.value);
        let samples: &'c [Arc<SourceText>] = self.samples;
        let Some(file) = samples.iter().find(|file| file.name() == full) else {
            let known = samples.iter().filter_map(|file| file.name().strip_prefix("mappings/"));
            let help = did_you_mean(&name.value, known)
                .unwrap_or_else(|| "samples are files in the folders of mappings: `samples/claim.xml`".to_owned());
            let message = format!("there is no sample `{}`", name.value);
            self.report(codes::OUTLINE, name.span.clone(), message, Some(help));
            return None;
        };
        let read = read_sample(file.text(), format, settings);
        read.map_err(|why| {
            let message = format!("the sample `{}` cannot be read: {why}", name.value);
            self.report(codes::OUTLINE, name.span.clone(), message, None);
        })
        .ok()
    }

    /// Holds what a level writes against its outline.
    pub(super) fn check_outline(
        &mut self,
        outline: &Outline,
        writes: &[PlainWrite],
        lists: &[PlainWrite],
        place: &Spot,
    ) {
        for write in writes {
            self.compiler.source = Arc::clone(&write.target.origin);
            self.part_of(outline, write);
        }
        let all: Vec<&PlainWrite> = writes.iter().chain(lists).collect();
        self.check_required(outline, &mut Vec::new(), &all, place);
    }

    /// What the items of a list are that a block adds to.
    pub(super) fn items_of_outline<'o>(&mut self, outline: &'o Outline, list: &PlainWrite) -> Option<&'o Outline> {
        self.compiler.source = Arc::clone(&list.target.origin);
        let part = self.part_of(outline, list)?;
        if part.repeats == Repeats::No {
            let message = format!("`{}` is one, and a block adds to a list", list.target.text.value);
            self.report(codes::ELEMENT_TYPE, list.target.text.span.clone(), message, None);
        }
        Some(&part.inside)
    }

    /// The element that a target leads to.
    fn part_of<'o>(&mut self, outline: &'o Outline, write: &PlainWrite) -> Option<&'o Part> {
        let (mut around, mut found): (&Outline, Option<&Part>) = (outline, None);
        for step in &write.steps {
            let span = write.target.text.span.clone();
            match step {
                Step::Name(name) if name == xml::TEXT => {}
                Step::Name(name) => {
                    let Some(part) = around.part(name) else {
                        let names = || around.parts().map(|(known, _)| known);
                        let few = (1..=LISTED_MAX).contains(&names().count());
                        let help = did_you_mean(name, names())
                            .or_else(|| few.then(|| format!("there are {}", one_of(names()))));
                        self.report(codes::NO_ELEMENT, span, format!("the outline has no `{name}` here"), help);
                        return None;
                    };
                    found = Some(part);
                    around = &part.inside;
                }
                Step::Index(_) if found.is_some_and(|part| part.repeats == Repeats::No) => {
                    let message = "the outline has this once, and it has an index".to_owned();
                    self.report(codes::NO_ELEMENT, span, message, Some("leave the index out".to_owned()));
                    return None;
                }
                Step::Index(_) => {}
            }
        }
        found
    }

    fn check_required(&mut self, outline: &Outline, way: &mut Vec<String>, all: &[&PlainWrite], place: &Spot) {
        for (name, part) in outline.parts() {
            way.push(name.to_owned());
            let inside: Vec<&PlainWrite> = all.iter().copied().filter(|write| goes_through(write, way)).collect();
            let is_whole = inside.iter().any(|write| names_of(write).count() == way.len());
            if part.is_required && inside.is_empty() {
                let message = format!("the outline has `{}`, and no rule writes it", way.join("."));
                self.missing_part(place, message, "a name with `?` in the outline may be missing");
            } else if let (true, true, [write]) = (part.is_required, way.len() == 1, inside.as_slice())
                && is_whole
                && !write.is_sure
            {
                let message = format!("the outline has `{name}`, and this may write nothing");
                let spot = Spot::new(&write.expression, &write.target.origin);
                self.missing_part(&spot, message, "end it with `| required`, or mark the name with `?`");
            }
            if !inside.is_empty() && !is_whole {
                self.check_required(&part.inside, way, &inside, place);
            }
            way.pop();
        }
    }

    fn missing_part(&mut self, place: &Spot, message: String, help: &str) {
        let finding = Finding::error(codes::ELEMENT_MISSING, &place.origin, place.text.span.clone(), message);
        self.missing.push(finding.with_help(help));
    }

    /// The columns of CSV that is written, in the order of the file.
    pub(super) fn columns(&mut self, shape: &Shape, declared: &Text, settings: &mut Settings) {
        for (key, part) in &shape.fields {
            if key.name == csv::ROW && part.is_list() {
                settings.is_of_rows = true;
                part.blocks.iter().for_each(|block| columns_of(block, &mut settings.columns));
            } else if !settings.columns.contains(&key.name) {
                settings.columns.push(key.name.clone());
            }
        }
        if settings.is_of_rows && shape.fields.len() > 1 {
            let message = "rules write columns, and blocks write rows beside them".to_owned();
            let help = Some("write all columns in the blocks: `$.` leads to the whole document".to_owned());
            self.report(codes::BAD_VALUE, declared.span.clone(), message, help);
        }
    }
}

fn columns_of(block: &Block<Items>, columns: &mut Vec<String>) {
    match &block.layout {
        Items::OfBlocks(blocks) => blocks.iter().for_each(|inner| columns_of(inner, columns)),
        Items::One(shape) => {
            for (key, _) in &shape.fields {
                if !columns.contains(&key.name) {
                    columns.push(key.name.clone());
                }
            }
        }
    }
}

fn names_of(write: &PlainWrite) -> impl Iterator<Item = &str> {
    write.steps.iter().filter_map(|step| match step {
        Step::Name(name) if name != xml::TEXT => Some(name.as_str()),
        Step::Name(_) | Step::Index(_) => None,
    })
}

fn goes_through(write: &PlainWrite, way: &[String]) -> bool {
    let mut names = names_of(write);
    way.iter().all(|wanted| names.next() == Some(wanted))
}

fn read_sample(text: &str, format: Free, settings: &Settings) -> Result<Outline, String> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    match format {
        Free::Json => {
            let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(Outline::of_sample(&json, Repeats::No))
        }
        Free::Xml => {
            let document = xml::Document::read(bytes).map_err(|error| error.to_string())?;
            let tree = document.tree_with(&settings.namespaces).map_err(|error| error.to_string())?;
            Ok(Outline::of_sample(&tree.content, Repeats::Perhaps))
        }
        Free::Csv => {
            let document = csv::Document::read(bytes).map_err(|error| error.to_string())?;
            let columns = document.columns(&settings.csv).map_err(|error| error.to_string())?;
            Ok(Outline::of_columns(columns.iter().map(String::as_str)))
        }
    }
}
