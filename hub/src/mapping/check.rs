//! One mapping, from declaration to plan.
//!
//! In comes a mapping as its file has it; out goes the compiled mapping, or findings for all that is
//! wrong with it. Promised: a mapping that compiled can run. Refused: unknown formats, targets that
//! clash, lists put into single places, commands that no actor knows, targets that FHIR R4 does not have. The
//! grammar of HL7 v2 fields is asked here when it comes.

mod commands;
mod elements;
mod formats;
mod given;

use std::ops::Range;
use std::sync::Arc;

use adapters::fhir;
use adapters::hl7v2::{self, Path};

use self::commands::commands_of;
use self::elements::{Write, Written};
use self::given::guards_of;
use super::compile::{Compiled, Compiler, Ground};
use super::error::Place;
use super::expression::{ExpressionError, PathKind};
use super::fields::{DataType, datatype};
use super::functions::Kind;
use super::json_path::JsonPath;
use super::layout::{Clash, Draft, has_segment, read_json_target, read_segment_target};
use super::parse::{DeclaredBlock, DeclaredMapping, DeclaredRule, DeclaredTest};
use super::plan::{Block, Each, Layout, Mapping, Op, Rule, Segments, Shape, SourceFormat, TargetFormat};
use super::tables::Tables;
use crate::finding::{Code, Finding, Findings, SourceText, Text, codes, did_you_mean, one_of};

/// What a mapping to a channel can ask of its actor.
pub const COMMANDS: [&str; 7] = ["create", "sign", "replace", "cancel", "hold", "release", "dispense"];

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
        let to = self.target_format(&declared.to);
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
        let when = when.map(|when| (self.compiler.expression(when, ground), self.place(&when.span)));
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
            TargetFormat::Hl7v2(kind) => {
                Layout::Hl7(self.segment_layout(&declared.rules, &declared.blocks, level, kind.structure))
            }
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

    /// `ORDER`, `NTE`, `PID-3` or `dosageInstruction[*]`.
    fn each(&mut self, text: &Text, ground: Ground<'_>) -> Option<Each> {
        if ground.kind == PathKind::Json {
            let path =
                JsonPath::parse(&text.value).map_err(|error| self.report_inside(codes::SOURCE_PATH, text, error));
            return path.ok().map(Each::Items);
        }
        if !text.value.contains('-') {
            return self.each_group(text, ground);
        }
        let (from_root, path_text) = from_root(&text.value);
        match Path::parse(path_text) {
            Ok(path) if path.component().is_none() => {
                let datatype = path.field().map_or(DataType::Unknown, |field| datatype(path.segment(), field));
                Some(Each::Field { path, datatype, from_root })
            }
            Ok(_) => {
                let help = Some("leave the component out".to_owned());
                self.report(codes::SOURCE_PATH, text.span.clone(), "only whole fields repeat".to_owned(), help);
                None
            }
            Err(error) => {
                let start = error.at.saturating_add(text.value.len().saturating_sub(path_text.len()));
                let span = start..start.saturating_add(error.len);
                self.report_inside(
                    codes::SOURCE_PATH,
                    text,
                    ExpressionError { span, message: error.message, help: error.help },
                );
                None
            }
        }
    }

    fn each_group(&mut self, text: &Text, ground: Ground<'_>) -> Option<Each> {
        let (from_root, name) = from_root(&text.value);
        let is_segment = name.len() == 3;
        let known = match ground.structure {
            Some(structure) if is_segment => {
                name.starts_with('Z') || hl7v2::grammar::segment_exists(structure, None, name)
            }
            Some(structure) => hl7v2::grammar::group_exists(structure, name),
            None => is_segment,
        };
        if !known {
            let groups: Vec<&str> = ground.structure.into_iter().flat_map(hl7v2::grammar::groups_of).collect();
            let help = did_you_mean(name, groups.iter().copied()).or_else(|| {
                (!groups.is_empty())
                    .then(|| format!("groups of {} are {}", ground.message, one_of(groups.iter().copied())))
            });
            let message = format!("{} has no group or segment {name}", ground.message);
            self.report(codes::NOT_IN_MESSAGE, text.span.clone(), message, help);
            return None;
        }
        Some(Each::Group { name: name.to_owned(), from_root })
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
                self.many_into_one(rule);
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

    fn segment_layout(
        &mut self,
        rules: &[DeclaredRule],
        blocks: &[DeclaredBlock],
        level: Level<'_>,
        structure: Option<&'static str>,
    ) -> Segments {
        let mut segments = Segments::default();
        let mut clashes = Vec::new();
        for rule in rules {
            let target = read_segment_target(&rule.target.value);
            let target = target.map_err(|error| self.report_inside(codes::TARGET_PATH, &rule.target, error)).ok();
            let compiled = self.compiler.expression(&rule.expression, level.ground);
            let (Some(target), Some(compiled)) = (target, compiled) else { continue };
            if !has_segment(structure, &target) {
                let message = format!("{} has no segment {}", structure.unwrap_or_default(), target.segment());
                let finding =
                    Finding::warning(codes::NOT_IN_MESSAGE, self.compiler.source, rule.target.span.clone(), message);
                self.compiler.findings.push(finding);
            }
            if compiled.kind == Kind::Structure {
                let message = "a field takes a value, and this expression gives a structure".to_owned();
                let help = Some("write its parts one by one, as in ORC-2.1".to_owned());
                self.report(codes::ARGUMENT_TYPE, rule.expression.span.clone(), message, help);
            }
            if compiled.is_many && rule.target.value.contains("-") && rule.target.value.ends_with(']') {
                self.many_into_one(rule);
            }
            let index = self.add_rule(rule, compiled, level);
            clashes.extend(segments.write(&target, index).err());
        }
        for block in blocks {
            let prefix = format!("{}{}.", level.prefix, block.to.value);
            let after = block.after.as_ref().map(|after| after.value.clone());
            let compiled = self.block(block, level, &prefix, |checker, inner| {
                checker.segment_layout(&block.rules, &block.blocks, inner, structure)
            });
            segments.blocks.extend(compiled.map(|compiled| (compiled, after)));
        }
        self.report_clashes(clashes);
        segments
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
        let when = block.when.as_ref().map(|when| self.compiler.expression(when, ground));
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

    fn many_into_one(&mut self, rule: &DeclaredRule) {
        let message = format!("several values are put into `{}`, which is one", rule.target.value);
        let help = "choose one with `| first`, a number or a condition, or write to the whole list".to_owned();
        self.report(codes::MANY_INTO_ONE, rule.expression.span.clone(), message, Some(help));
    }

    /// `command` names what the actor shall do; it must be a command that exists.
    fn add_command(&mut self, rule: &DeclaredRule, compiled: Compiled) {
        if compiled.is_many {
            self.many_into_one(rule);
        }
        let mut unknown = Vec::new();
        commands_of(&compiled.op, &mut unknown);
        unknown.retain(|command| !COMMANDS.contains(&command.as_str()));
        for command in unknown {
            let help = did_you_mean(&command, COMMANDS).unwrap_or_else(|| format!("commands are {}", one_of(COMMANDS)));
            let message = format!("no actor knows the command `{command}`");
            self.report(codes::COMMAND, rule.expression.span.clone(), message, Some(help));
        }
        let place = self.place(&rule.target.span);
        self.rules.push(Rule { op: compiled.op, place, target: COMMAND.to_owned(), source: compiled.source });
        self.targets.push(rule.target.clone());
        self.command = Some(self.rules.len().saturating_sub(1));
    }

    fn test(&mut self, test: &DeclaredTest, to: &TargetFormat) {
        for expectation in test.expect.iter().flatten().filter(|expectation| expectation.path.value != COMMAND) {
            let (path, wrong) = (
                &expectation.path,
                match to {
                    TargetFormat::Fhir(_) => JsonPath::parse(&expectation.path.value).err(),
                    TargetFormat::Hl7v2(_) => Path::parse(&expectation.path.value).err().map(|error| ExpressionError {
                        span: error.at..error.at.saturating_add(error.len),
                        message: error.message,
                        help: error.help,
                    }),
                },
            );
            if let Some(error) = wrong {
                self.report_inside(codes::TARGET_PATH, path, error);
            }
        }
        if let Some(expected) = &test.expect_error {
            let known: Vec<String> =
                codes::ALL.iter().filter(|code| code.number() >= 150).map(Code::to_string).collect();
            if !known.contains(&expected.value) {
                let message = format!("`{}` is no error of a mapping", expected.value);
                let help = format!("errors are {}", one_of(known.iter().map(String::as_str)));
                self.report(codes::BAD_VALUE, expected.span.clone(), message, Some(help));
            }
        }
    }
}

/// The resource that each item of a block is, if the block says so: `resourceType = '"Medication"'`.
fn resource_of(block: &DeclaredBlock) -> Option<&'static fhir::grammar::Structure> {
    let rule = block.rules.iter().find(|rule| rule.target.value == "resourceType")?;
    fhir::grammar::resource(rule.expression.value.trim().trim_matches('"'))
}

/// `$.NTE` is looked for in the whole message, `NTE` in the group in hand.
fn from_root(text: &str) -> (bool, &str) {
    text.strip_prefix("$.").map_or((false, text), |rest| (true, rest))
}
