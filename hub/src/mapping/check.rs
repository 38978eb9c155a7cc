//! One mapping, from declaration to plan.
//!
//! In comes a mapping as its file has it; out goes the compiled mapping, or findings for all that is
//! wrong with it. Promised: a mapping that compiled can run. Refused: unknown formats, targets that
//! clash, lists put into single places, commands that no actor knows, paths and targets that FHIR R4, HL7 v2 or an
//! outline does not have.

mod each;
mod elements;
mod expectations;
mod formats;
mod given;
mod level;
mod outlines;
mod resource;
mod segments;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use adapters::fhir;
use adapters::xml::Namespaces;

use self::given::{Given, given, guards_of};
use self::level::Flat;
use super::compile::{Compiled, Compiler, Ground, Known};
use super::error::Place;
use super::expression::ExpressionError;
use super::fragments::Fragments;
use super::interned::Interned;
use super::layout::Clash;
use super::outline::Outline;
use super::parse::{DeclaredMapping, DeclaredRule};
use super::plan::{Layout, Mapping, MessageType, Op, Rule, SourceFormat, TargetFormat};
use super::tables::Tables;
use crate::domain::command::CommandKind;
use crate::finding::{Code, Finding, Findings, SourceText, Text, codes, did_you_mean, one_of};

/// The target that names the command, beside the resource.
const COMMAND: &str = "command";

/// A checked mapping: the plan, unless something is wrong, and the tables it names.
pub(super) struct Checked {
    pub mapping: Option<Mapping>,
    pub findings: Findings,
    /// What is not written, and must be; worth telling when nothing else is wrong with the file.
    pub missing: Findings,
    pub used_tables: Vec<String>,
}

/// What all mappings of a configuration share.
#[derive(Clone, Copy)]
pub(super) struct Shared<'s> {
    pub fragments: &'s Fragments,
    pub tables: &'s Tables,
    pub interned: &'s Interned,
    pub samples: &'s [Arc<SourceText>],
}

/// Checks and compiles a mapping.
pub(super) fn check(declared: &DeclaredMapping, shared: Shared<'_>) -> Checked {
    let Shared { fragments, tables, interned, samples } = shared;
    let mut checker = Checker {
        compiler: Compiler::new(&declared.documents.origin, tables, interned),
        file: &declared.body.origin,
        fragments,
        samples,
        rules: Vec::new(),
        targets: Vec::new(),
        entries: 0,
        command: None,
        missing: Findings::new(),
    };
    let mapping = checker.mapping(declared);
    let findings = checker.compiler.findings;
    let used_tables = checker.compiler.used_tables.into_iter().collect();
    let fits = !findings.has_errors() && checker.missing.is_empty();
    Checked { mapping: mapping.filter(|_| fits), findings, missing: checker.missing, used_tables }
}

struct Checker<'c> {
    compiler: Compiler<'c>,
    /// The mapping's own file; rules may stand in that of its base too.
    file: &'c Arc<SourceText>,
    fragments: &'c Fragments,
    samples: &'c [Arc<SourceText>],
    rules: Vec<Rule>,
    /// The target of each rule with its file, for findings.
    targets: Vec<(Text, Arc<SourceText>)>,
    /// Entries of a Bundle so far.
    entries: usize,
    command: Option<usize>,
    /// Required elements that are not written, or not surely.
    missing: Findings,
}

/// What is known where rules stand.
#[derive(Clone, Copy)]
struct Level<'l> {
    ground: Ground<'l>,
    /// The FHIR type whose elements are written, if it is known.
    within: Option<&'static fhir::grammar::Structure>,
    /// Where it is declared, and in which file.
    declared: &'l Text,
    origin: &'l Arc<SourceText>,
    /// Source fields that are there wherever these rules are run.
    guards: &'l [String],
    /// The target of the blocks around, for errors: `note[].`
    prefix: &'l str,
    is_root: bool,
    /// What is written.
    writes: Writes<'l>,
}

/// What a mapping writes, as far as rules are concerned.
#[derive(Clone, Copy)]
enum Writes<'l> {
    /// Segments.
    Hl7,
    /// A resource.
    Fhir,
    /// Elements without a grammar, and what an outline says of them.
    Json(Option<&'l Outline>),
    Xml(&'l Namespaces, Option<&'l Outline>),
    /// Columns.
    Csv(Option<&'l Outline>),
}

impl<'l> Writes<'l> {
    fn of(to: &TargetFormat, namespaces: &'l Namespaces, outline: Option<&'l Outline>) -> Writes<'l> {
        match to {
            TargetFormat::Fhir(_) => Writes::Fhir,
            TargetFormat::Hl7v2(_) => Writes::Hl7,
            TargetFormat::Json => Writes::Json(outline),
            TargetFormat::Xml(_) => Writes::Xml(namespaces, outline),
            TargetFormat::Csv => Writes::Csv(outline),
        }
    }
}

impl<'c> Checker<'c> {
    fn mapping(&mut self, declared: &'c DeclaredMapping) -> Option<Mapping> {
        let documents = &declared.documents;
        let from = self.source_format(&documents.from);
        let to = self.target_format(&documents.to, segments::written_version(&declared.body.rules));
        let (from, to) = (from?, to?);
        let (message, structures) = messages_of(&from);
        let mut settings = self.settings(documents, &from, &to);
        let outline = self.source_outline(documents, &from, &settings);
        let target_outline = self.target_outline(documents, &to, &settings);
        let known = known_of(&from, outline.as_ref());
        let whole = Ground {
            structures: &structures,
            message: &message,
            known,
            root: known,
            has_rows: from == SourceFormat::Csv,
            ..Ground::of(from.path_kind())
        };
        let each = documents.each.as_ref().map(|each| (self.each(each, whole), self.place(&each.span)));
        let ground = match &each {
            Some((Some(each), _)) => whole.at(each),
            Some((None, _)) => Ground { known: Known::Anything, ..whole },
            None => whole,
        };
        let names = self.names(&declared.body, &Rc::default(), ground);
        let ground = Ground { names: Some(&names), ..ground };
        self.compiler.source = Arc::clone(&documents.origin);
        let when = documents.when.as_ref();
        let when = when.map(|when| (self.compiler.condition(when, ground), self.place(&when.span)));
        let within = if let TargetFormat::Fhir(resource) = &to { fhir::grammar::resource(resource) } else { None };
        let mut guards = Vec::new();
        if let Some((Some(condition), _)) = &when {
            guards_of(&condition.op, &mut guards);
        }
        let origin = &documents.origin;
        let namespaces = settings.namespaces.clone();
        let writes = Writes::of(&to, &namespaces, target_outline.as_ref());
        let declared_to = &documents.to;
        let level =
            Level { ground, within, declared: declared_to, origin, guards: &guards, prefix: "", is_root: true, writes };
        let flat = self.flat(&declared.body, &names, level);
        let layout = self.layout(&flat, level, &to);
        if let (TargetFormat::Csv, Layout::Json(shape)) = (&to, &layout) {
            self.columns(shape, declared_to, &mut settings);
        }
        self.warn_of_unused_names(&names);
        self.compiler.source = Arc::clone(&declared.body.origin);
        declared.tests.iter().for_each(|test| self.test(test, &to));
        let each = match each {
            None => None,
            Some((each, place)) => Some((each?, place)),
        };
        let when = match when {
            None => None,
            Some((compiled, place)) => Some((compiled?.op, place)),
        };
        let table = |name: &str| self.compiler.tables.get(name).map(Arc::clone);
        Some(Mapping {
            name: declared.name.value.clone(),
            version: declared.version,
            from,
            to,
            place: self.place(&declared.name.span),
            each,
            when,
            command: self.command,
            layout,
            systems: table("systems"),
            units: table("units"),
            settings,
            tests: declared.tests.clone(),
            rules: std::mem::take(&mut self.rules),
        })
    }

    fn layout(&mut self, flat: &Flat<'c>, level: Level<'_>, to: &TargetFormat) -> Layout {
        match to {
            TargetFormat::Hl7v2(kind) => Layout::Hl7(self.segments(flat, level, kind)),
            TargetFormat::Fhir(_) | TargetFormat::Json | TargetFormat::Xml(_) | TargetFormat::Csv => {
                Layout::Json(self.resource(flat, level))
            }
        }
    }

    fn report(&mut self, code: Code, span: Range<usize>, message: String, help: Option<String>) {
        let finding = Finding::error(code, &self.compiler.source, span, message);
        self.compiler.findings.push(finding.with_help_if(help));
    }

    fn report_inside(&mut self, code: Code, text: &Text, error: ExpressionError) {
        let place = text.place(&self.compiler.source, &error.span);
        self.report(code, place, error.message, error.help);
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let (line, _) = self.compiler.source.line_and_column(span.start);
        Place { file: self.compiler.source.shared_name(), line }
    }

    fn add_rule(&mut self, rule: &DeclaredRule, compiled: Compiled, level: Level<'_>) -> usize {
        let target = format!("{}{}", level.prefix, rule.target.value);
        self.add((compiled.op, compiled.source), target, &rule.target)
    }

    /// Adds what is written to `target`, by what a file has at `at`.
    fn add(&mut self, by: (Op, Option<String>), target: String, at: &Text) -> usize {
        let (op, source) = by;
        let place = self.place(&at.span);
        self.rules.push(Rule { op, place, target, source });
        self.targets.push((at.clone(), Arc::clone(&self.compiler.source)));
        self.rules.len().saturating_sub(1)
    }

    fn report_clashes(&mut self, clashes: Vec<Clash>) {
        for clash in clashes {
            let Some((target, origin)) = self.targets.get(clash.rule).cloned() else { continue };
            self.compiler.source = origin;
            let message = format!("`{}` is written twice: {}", target.value, clash.message);
            self.report(codes::WRITTEN_TWICE, target.span, message, None);
        }
    }

    fn many_into_one(&mut self, target: &Text, expression: &Text) {
        let message = format!("several values are put into `{}`, which is one", target.value);
        let help = "choose one with `| first`, a number or a condition, or write to the whole list".to_owned();
        self.report(codes::MANY_INTO_ONE, expression.span.clone(), message, Some(help));
    }

    /// `command` names what the actor shall do; it must be a command that exists.
    fn add_command(&mut self, rule: &DeclaredRule, compiled: Compiled) {
        if compiled.is_many {
            self.many_into_one(&rule.target, &rule.expression);
        }
        let known = CommandKind::ALL.map(CommandKind::name);
        let literals = given(&compiled.op).into_iter().filter_map(|one| match one {
            Given::Literal(text) => Some(text),
            _ => None,
        });
        for command in literals.filter(|command| !known.contains(&command.as_str())) {
            let help = did_you_mean(&command, known).unwrap_or_else(|| format!("commands are {}", one_of(known)));
            let message = format!("no actor knows the command `{command}`");
            self.report(codes::COMMAND, rule.expression.span.clone(), message, Some(help));
        }
        self.command = Some(self.add((compiled.op, compiled.source), COMMAND.to_owned(), &rule.target));
    }
}

/// What is known of the documents that are read.
fn known_of<'o>(from: &SourceFormat, outline: Option<&'o Outline>) -> Known<'o> {
    let is_text = matches!(from, SourceFormat::Xml(_) | SourceFormat::Csv);
    match (from, outline) {
        (SourceFormat::Fhir(resource), _) => fhir::grammar::resource(resource).map_or(Known::Anything, Known::Fhir),
        (_, Some(outline)) => Known::Outline { outline, is_text },
        (SourceFormat::Xml(_) | SourceFormat::Csv, None) => Known::Texts,
        (SourceFormat::Hl7v2(_) | SourceFormat::Event | SourceFormat::Json, None) => Known::Anything,
    }
}

/// The message types for people, and their structures.
fn messages_of(from: &SourceFormat) -> (String, Vec<&'static str>) {
    let SourceFormat::Hl7v2(kinds) = from else { return (String::new(), Vec::new()) };
    let names: Vec<String> = kinds.iter().map(MessageType::name).collect();
    (one_of(names.iter().map(String::as_str)), kinds.iter().filter_map(|kind| kind.structure).collect())
}
