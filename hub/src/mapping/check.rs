//! One mapping, from declaration to plan.
//!
//! In comes a mapping as its file has it; out goes the compiled mapping, or findings for all that is
//! wrong with it. Promised: a mapping that compiled can run. Refused: unknown formats, targets that
//! clash, lists put into single places, commands that no actor knows, targets that FHIR R4 does not have.

mod each;
mod elements;
mod expectations;
mod formats;
mod given;
mod segments;

use std::ops::Range;
use std::sync::Arc;

use adapters::fhir;

use self::elements::{Write, Written};
use self::given::{Given, given, guards_of};
use super::compile::{Compiled, Compiler, Ground};
use super::error::Place;
use super::expression::ExpressionError;
use super::layout::{Clash, Draft, read_json_target};
use super::parse::{DeclaredBlock, DeclaredMapping, DeclaredRule};
use super::plan::{Block, Each, Layout, Mapping, Op, Rule, Shape, SourceFormat, TargetFormat};
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

/// Checks and compiles a mapping.
pub(super) fn check(declared: &DeclaredMapping, source: &Arc<SourceText>, tables: &Tables) -> Checked {
    let mut checker = Checker {
        compiler: Compiler::new(source, tables),
        rules: Vec::new(),
        targets: Vec::new(),
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
    rules: Vec<Rule>,
    /// The target of each rule, for findings.
    targets: Vec<Text>,
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
    /// Where it is declared.
    declared: &'l Text,
    /// Source fields that are there wherever these rules are run.
    guards: &'l [String],
    /// The target of the blocks around, for errors: `note[].`
    prefix: &'l str,
    is_root: bool,
}

impl Checker<'_> {
    fn mapping(&mut self, declared: &DeclaredMapping) -> Option<Mapping> {
        let from = self.source_format(&declared.from);
        let to = self.target_format(&declared.to, segments::written_version(&declared.rules));
        let (from, to) = (from?, to?);
        let (message, structure) = match &from {
            SourceFormat::Hl7v2(kind) => (format!("{}^{}", kind.code, kind.trigger), kind.structure),
            SourceFormat::Fhir(_) | SourceFormat::Event => (String::new(), None),
        };
        let mut ground =
            Ground { kind: from.path_kind(), structure, item: None, is_condition: false, message: &message };
        let each = declared.each.as_ref().map(|each| (self.each(each, ground), self.place(&each.span)));
        if let Some((Some(Each::Field { datatype, .. }), _)) = &each {
            ground.item = Some(*datatype);
        }
        let when = declared.when.as_ref();
        let when = when.map(|when| (self.compiler.condition(when, ground), self.place(&when.span)));
        let within = match &to {
            TargetFormat::Fhir(resource) => fhir::grammar::resource(resource),
            TargetFormat::Hl7v2(_) => None,
        };
        let mut guards = Vec::new();
        if let Some((Some(condition), _)) = &when {
            guards_of(&condition.op, &mut guards);
        }
        let level = Level { ground, within, declared: &declared.to, guards: &guards, prefix: "", is_root: true };
        let layout = match &to {
            TargetFormat::Fhir(_) => Layout::Json(self.json_layout(&declared.rules, &declared.blocks, level)),
            TargetFormat::Hl7v2(kind) => Layout::Hl7(self.segments(declared, level, kind)),
        };
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
            tests: declared.tests.clone(),
            rules: std::mem::take(&mut self.rules),
        })
    }

    fn report(&mut self, code: Code, span: Range<usize>, message: String, help: Option<String>) {
        let finding = Finding::error(code, self.compiler.source, span, message);
        self.compiler.findings.push(finding.with_help_if(help));
    }

    fn report_inside(&mut self, code: Code, text: &Text, error: ExpressionError) {
        let place = text.place(self.compiler.source, &error.span);
        self.report(code, place, error.message, error.help);
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let (line, _) = self.compiler.source.line_and_column(span.start);
        Place { file: self.compiler.source.name().into(), line }
    }

    fn json_layout(&mut self, rules: &[DeclaredRule], blocks: &[DeclaredBlock], level: Level<'_>) -> Shape {
        let mut draft = Draft::default();
        let mut clashes = Vec::new();
        let mut writes = Vec::with_capacity(rules.len());
        for rule in rules {
            let steps = read_json_target(&rule.target.value);
            let steps = steps.map_err(|error| self.report_inside(codes::TARGET_PATH, &rule.target, error)).ok();
            let compiled = self.compiler.expression(&rule.expression, level.ground);
            let (Some(steps), Some(compiled)) = (steps, compiled) else { continue };
            let kind = compiled.kind;
            if rule.target.value == COMMAND && level.is_root {
                self.add_command(rule, compiled);
                continue;
            }
            if compiled.is_many && rule.target.value.ends_with(']') {
                self.many_into_one(&rule.target, &rule.expression);
            }
            writes.push(Write::of(&rule.target, &rule.expression, &compiled, level.guards));
            let index = self.add_rule(rule, compiled, level);
            clashes.extend(draft.write(&steps, index, kind).err());
        }
        let lists: Vec<Text> = blocks.iter().map(|block| block.to.clone()).collect();
        let written = Written { writes: &writes, lists: &lists, place: level.declared };
        let within_lists = level.within.map(|within| self.check_elements(within, &written)).unwrap_or_default();
        for (block, list) in blocks.iter().zip(within_lists.into_iter().chain(std::iter::repeat(None))) {
            let inner_type = list.map(|list| resource_of(block).filter(|_| list.is_resource()).unwrap_or(list));
            let steps = read_json_target(&block.to.value);
            let steps = steps.map_err(|error| self.report_inside(codes::TARGET_PATH, &block.to, error)).ok();
            let has_index = block.to.value.ends_with(']');
            if has_index {
                let help = Some("leave the index out: each repetition adds an item".to_owned());
                self.report(codes::TARGET_PATH, block.to.span.clone(), "a block adds items to a list".to_owned(), help);
            }
            if let Some(after) = &block.after {
                let message = "`after` places segments, and this target has none".to_owned();
                self.report(codes::UNKNOWN_KEY, after.span.clone(), message, None);
            }
            let prefix = format!("{}{}[].", level.prefix, block.to.value);
            let compiled = self.block(
                block,
                Level { within: inner_type, declared: &block.to, ..level },
                &prefix,
                |checker, inner| checker.json_layout(&block.rules, &block.blocks, inner),
            );
            if let (Some(steps), Some(compiled)) = (steps.filter(|_| !has_index), compiled) {
                draft.add_block(&steps, compiled);
            }
        }
        let shape = draft.finish(&mut clashes);
        self.report_clashes(clashes);
        shape
    }

    fn block<L>(
        &mut self,
        block: &DeclaredBlock,
        level: Level<'_>,
        prefix: &str,
        layout: impl FnOnce(&mut Self, Level<'_>) -> L,
    ) -> Option<Block<L>> {
        let each = self.each(&block.each, level.ground);
        let mut ground = level.ground;
        if let Some(Each::Field { datatype, .. }) = &each {
            ground.item = Some(*datatype);
        }
        let when = block.when.as_ref().map(|when| self.compiler.condition(when, ground));
        let mut guards = Vec::new();
        if let Some(Some(condition)) = &when {
            guards_of(&condition.op, &mut guards);
        }
        let inner = layout(self, Level { ground, prefix, is_root: false, guards: &guards, ..level });
        let when: Option<Op> = match when {
            None => None,
            Some(compiled) => Some(compiled?.op),
        };
        let target = prefix.trim_end_matches('.').to_owned();
        Some(Block { each: each?, when, layout: inner, place: self.place(&block.each.span), target })
    }

    fn add_rule(&mut self, rule: &DeclaredRule, compiled: Compiled, level: Level<'_>) -> usize {
        let target = format!("{}{}", level.prefix, rule.target.value);
        let place = self.place(&rule.target.span);
        self.rules.push(Rule { op: compiled.op, place, target, source: compiled.source });
        self.targets.push(rule.target.clone());
        self.rules.len().saturating_sub(1)
    }

    fn report_clashes(&mut self, clashes: Vec<Clash>) {
        for clash in clashes {
            let Some(target) = self.targets.get(clash.rule).cloned() else { continue };
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
        let place = self.place(&rule.target.span);
        self.rules.push(Rule { op: compiled.op, place, target: COMMAND.to_owned(), source: compiled.source });
        self.targets.push(rule.target.clone());
        self.command = Some(self.rules.len().saturating_sub(1));
    }
}

/// The resource that each item of a block is, if the block says so: `resourceType = '"Medication"'`.
fn resource_of(block: &DeclaredBlock) -> Option<&'static fhir::grammar::Structure> {
    let rule = block.rules.iter().find(|rule| rule.target.value == "resourceType")?;
    fhir::grammar::resource(rule.expression.value.trim().trim_matches('"'))
}
