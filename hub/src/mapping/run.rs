//! Mappings, run.
//!
//! In come a document and its context; out go outputs, or the first rule that failed. Promised: the same
//! input gives the same bytes (H7); no clock, no chance, no I/O. Refused: documents of another format,
//! and documents without the group that a mapping repeats over.

use std::cell::{OnceCell, RefCell};
use std::sync::LazyLock;

use adapters::{Document, Format};
use bytes::Bytes;

use super::context::{Context, Output};
use super::documents::{Source, written};
use super::error::{Fault, MapError, Place};
use super::evaluate::{Evaluator, Position};
use super::functions::Environment;
use super::lineage::{Lineage, Recorder};
use super::plan::{Layout, Mapping, Op, TargetFormat};
use super::segments::SegmentWriter;
use super::write::JsonWriter;
use crate::finding::codes;

/// The context of questions, which cannot read it.
static NOBODY: LazyLock<Context> = LazyLock::new(Context::of_nobody);

/// Most outputs of one message.
const OUTPUTS_MAX: usize = 1_000;

impl Mapping {
    /// Maps a document.
    pub fn run(&self, document: &Document, context: &Context) -> Result<Vec<Output>, MapError> {
        self.run_watched(&self.source(document)?, context, None)
    }

    /// Maps a document and tells where everything came from and what went nowhere.
    pub fn explain(&self, document: &Document, context: &Context) -> Result<(Vec<Output>, Lineage), MapError> {
        let recorder = RefCell::new(Recorder::default());
        let source = self.source(document)?;
        let outputs = self.run_watched(&source, context, Some(&recorder))?;
        Ok((outputs, recorder.into_inner().finish(source.ground())))
    }

    /// The document as rules read it.
    fn source<'d>(&self, document: &'d Document) -> Result<Source<'d>, MapError> {
        let source = Source::of(document, &self.from, &self.settings);
        source.map_err(|reason| self.failure(codes::WRONG_FORMAT, self.place.clone(), "from", reason))
    }

    fn run_watched(
        &self,
        source: &Source<'_>,
        context: &Context,
        recorder: Option<&RefCell<Recorder>>,
    ) -> Result<Vec<Output>, MapError> {
        let environment = Environment {
            context,
            message: source.message(),
            systems: self.systems.as_deref(),
            units: self.units.as_deref(),
            local_prefix: OnceCell::new(),
        };
        let around = RefCell::default();
        let evaluator = Evaluator { ground: source.ground(), environment: &environment, recorder, around };
        let start = evaluator.start();
        let positions = match &self.each {
            None => vec![start],
            Some((each, place)) => {
                let positions = evaluator.positions(each, &start);
                if positions.is_empty() {
                    let reason = "the message has none of what the mapping repeats over";
                    return Err(self.failure(codes::NOTHING_TO_MAP, place.clone(), "each", reason));
                }
                positions
            }
        };
        if positions.len() > OUTPUTS_MAX {
            return Err(Fault::TooLarge.at(self.place.clone(), "each", None));
        }
        let mut outputs = Vec::with_capacity(positions.len());
        for at in positions {
            let number = outputs.len();
            let at = at.numbered(number.saturating_add(1));
            let output = evaluator.inside(&at, || {
                if self.wants(&evaluator, &at)? { self.output(&evaluator, number, &at).map(Some) } else { Ok(None) }
            })?;
            outputs.extend(output);
        }
        Ok(outputs)
    }

    /// Whether the place gives an output.
    fn wants<'r>(&'r self, evaluator: &Evaluator<'r>, at: &Position<'r>) -> Result<bool, MapError> {
        let Some((condition, place)) = &self.when else { return Ok(true) };
        let value = evaluator.evaluate(condition, at);
        value.map(|value| value.holds()).map_err(|fault| fault.at(place.clone(), "when", None))
    }

    fn output<'r>(&'r self, evaluator: &Evaluator<'r>, output: usize, at: &Position<'r>) -> Result<Output, MapError> {
        let command = self.command(evaluator, output, at)?;
        let (body, format) = match (&self.layout, &self.to) {
            (Layout::Json(shape), TargetFormat::Fhir(resource)) => {
                let writer = JsonWriter::new(evaluator, &self.rules, output);
                (Bytes::from(writer.resource(resource, shape, at)?), Format::FhirJson)
            }
            (Layout::Json(shape), to @ (TargetFormat::Json | TargetFormat::Xml(_) | TargetFormat::Csv)) => {
                let json = JsonWriter::new(evaluator, &self.rules, output).object_at_root(shape, at)?;
                written(json, to, &self.settings).map_err(|fault| fault.at(self.place.clone(), "to", None))?
            }
            (Layout::Hl7(segments), TargetFormat::Hl7v2(kind)) => {
                let writer = SegmentWriter { evaluator, mapping: self, output };
                (Bytes::from(writer.message(kind, segments, at)?), Format::Hl7v2)
            }
            (Layout::Json(_), TargetFormat::Hl7v2(_))
            | (Layout::Hl7(_), TargetFormat::Fhir(_) | TargetFormat::Json | TargetFormat::Xml(_) | TargetFormat::Csv) =>
            {
                let reason = "the mapping writes another format than it was compiled for";
                return Err(self.failure(codes::WRONG_FORMAT, self.place.clone(), "to", reason));
            }
        };
        Ok(Output { body, format, command, resource_type: self.to.resource_type() })
    }

    /// What the rule of `command` gives for this output.
    fn command<'r>(
        &'r self,
        evaluator: &Evaluator<'r>,
        output: usize,
        at: &Position<'r>,
    ) -> Result<Option<String>, MapError> {
        let Some(rule) = self.command.and_then(|rule| self.rules.get(rule)) else { return Ok(None) };
        let fail = |fault: Fault| fault.at(rule.place.clone(), &rule.target, rule.source.clone());
        if let Some(recorder) = evaluator.recorder {
            recorder.borrow_mut().begin_rule();
        }
        let value = evaluator.evaluate(&rule.op, at).map_err(fail)?;
        let Some(command) = value.text() else { return Err(fail(Fault::Missing)) };
        if let Some(recorder) = evaluator.recorder {
            recorder.borrow_mut().end_rule(output, rule.target.clone(), rule.place.clone());
        }
        Ok(Some(command.into_owned()))
    }

    fn failure(&self, code: crate::finding::Code, rule: Place, path: &str, reason: &'static str) -> MapError {
        MapError { code, rule, path: path.to_owned(), source: None, reason, table: None, held: None }
    }
}

/// An expression that is asked of a document outside any mapping: a route's condition, a source's key.
#[derive(Debug)]
pub(crate) struct Question {
    pub(super) op: Op,
}

impl Question {
    /// Whether it holds. An expression that may fail is not compiled into a question.
    pub fn holds(&self, document: &Document) -> bool {
        ask(&self.op, document, |value| value.holds())
    }

    /// All texts that it gives.
    pub fn texts(&self, document: &Document) -> Vec<String> {
        ask(&self.op, document, |value| {
            value.into_items().into_iter().filter_map(|item| item.text()).map(|text| text.trim().to_owned()).collect()
        })
    }
}

fn ask<T: Default>(op: &Op, document: &Document, answer: impl FnOnce(super::value::Val<'_>) -> T) -> T {
    let source = Source::plain(document);
    let (ground, message) = (source.ground(), source.message());
    let environment =
        Environment { context: &NOBODY, message, systems: None, units: None, local_prefix: OnceCell::new() };
    let evaluator = Evaluator { ground, environment: &environment, recorder: None, around: RefCell::default() };
    evaluator.evaluate(op, &evaluator.start()).map_or_else(|_| T::default(), answer)
}
