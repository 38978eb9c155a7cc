//! Expressions: from tree to plan.
//!
//! In comes the text of an expression and what its paths lead through; out goes a plan, or findings.
//! Promised: a plan that compiled has only paths that can be read, functions that exist with arguments
//! of their kinds, and tables that exist. Refused: the rest, with place and suggestion.

mod calls;
mod idle;
mod known;
mod literals;
mod paths;
mod table_codes;

pub(super) use known::Known;
pub(super) use paths::nearby;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::expression::{Expression, Node, PathKind};
use super::fields::{DataType, datatype};
use super::functions::Kind;
use super::interned::Interned;
use super::json_path::JsonPath;
use super::names::{Named, Names};
use super::plan::{Each, Leaf, Op, Variable};
use super::tables::Tables;
use crate::finding::{Code, Finding, Findings, SourceText, Text, codes, did_you_mean, one_of};

/// What the paths of an expression lead through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'g> {
    pub kind: PathKind,
    /// The structures of the HL7 v2 messages, as far as they are known. A path must fit one of them.
    pub structures: &'g [&'static str],
    /// The field whose repetitions a block goes through, if it does.
    pub item: Option<DataType>,
    /// Whether the expression decides about a message before it is mapped: it must not fail, and has no
    /// context.
    pub is_condition: bool,
    /// The message type for people: `RDE^O11`.
    pub message: &'g str,
    /// Names that `let` gave.
    pub names: Option<&'g Names>,
    /// How many blocks are around.
    pub depth: usize,
    /// What the item in hand is, in JSON.
    pub known: Known<'g>,
    /// What the whole document is, in JSON.
    pub root: Known<'g>,
    /// Whether the document has rows, whose number is `$row`.
    pub has_rows: bool,
}

impl Ground<'_> {
    /// Outside any block, without names.
    pub fn of(kind: PathKind) -> Ground<'static> {
        Ground {
            kind,
            structures: &[],
            item: None,
            is_condition: false,
            message: "",
            names: None,
            depth: 0,
            known: Known::Anything,
            root: Known::Anything,
            has_rows: false,
        }
    }
}

impl<'g> Ground<'g> {
    /// The same at each repetition of something.
    pub fn at(self, each: &Each) -> Ground<'g> {
        match each {
            Each::Here => self,
            Each::Field { datatype, .. } => Ground { item: Some(*datatype), ..self },
            Each::Group { .. } => Ground { item: None, ..self },
            // What is wrong with the path was told where it stands.
            Each::Items(path) => {
                let known = self.lead(path).map_or(Known::Anything, |led| led.known);
                Ground { item: None, known, ..self }
            }
        }
    }
}

/// A compiled expression, and what is known about its value.
#[derive(Debug)]
pub(super) struct Compiled {
    pub op: Op,
    pub kind: Kind,
    /// Whether it gives several values.
    pub is_many: bool,
    /// The first source path in it.
    pub source: Option<String>,
}

/// Compiles the expressions of one file.
pub(super) struct Compiler<'c> {
    /// The file in hand.
    pub source: Arc<SourceText>,
    pub tables: &'c Tables,
    pub interned: &'c Interned,
    pub findings: Findings,
    /// Tables that are named somewhere.
    pub used_tables: BTreeSet<String>,
}

impl<'c> Compiler<'c> {
    pub fn new(source: &Arc<SourceText>, tables: &'c Tables, interned: &'c Interned) -> Self {
        let (source, findings, used_tables) = (Arc::clone(source), Findings::new(), BTreeSet::new());
        Compiler { source, tables, interned, findings, used_tables }
    }

    /// Compiles one expression; `None` when something is wrong with it, which is then in the findings.
    pub fn expression(&mut self, text: &Text, ground: Ground<'_>) -> Option<Compiled> {
        match Expression::parse(&text.value, ground.kind) {
            Ok(tree) => {
                let compiled = Walk { compiler: self, text, ground, first_path: None }.whole(&tree)?;
                if let Some(what) = idle::idle(&compiled.op) {
                    self.warn_of_idle(text, what);
                }
                Some(compiled)
            }
            Err(error) => {
                let place = text.place(&self.source, &error.span);
                let finding = Finding::error(codes::EXPRESSION, &self.source, place, error.message);
                self.findings.push(finding.with_help_if(error.help));
                None
            }
        }
    }
}

impl Compiler<'_> {
    /// Compiles a condition that decides about all that stands with it.
    pub fn condition(&mut self, text: &Text, ground: Ground<'_>) -> Option<Compiled> {
        let compiled = self.expression(text, ground)?;
        if idle::never_holds(&compiled.op) {
            self.warn_of_idle(text, "the condition never holds");
        }
        Some(compiled)
    }

    fn warn_of_idle(&mut self, text: &Text, what: &str) {
        let finding = Finding::warning(codes::IDLE, &self.source, text.span.clone(), what);
        self.findings.push(finding);
    }
}

struct Walk<'w, 'c> {
    compiler: &'w mut Compiler<'c>,
    text: &'w Text,
    ground: Ground<'w>,
    first_path: Option<String>,
}

/// A part of an expression, compiled: its plan, its kind, whether it is many.
type Part = Option<(Op, Kind, bool)>;

impl Walk<'_, '_> {
    fn whole(mut self, tree: &Expression) -> Option<Compiled> {
        let (op, kind, is_many) = self.node(tree)?;
        Some(Compiled { op, kind, is_many, source: self.first_path })
    }

    fn report(&mut self, code: Code, span: &std::ops::Range<usize>, message: String, help: Option<String>) {
        let place = self.text.place(&self.compiler.source, span);
        let finding = Finding::error(code, &self.compiler.source, place, message);
        self.compiler.findings.push(finding.with_help_if(help));
    }

    fn node(&mut self, expression: &Expression) -> Part {
        let span = &expression.span;
        match &expression.node {
            Node::Text(text) => Some((Op::Text(text.clone()), Kind::Text, false)),
            Node::Number(number) => Some((Op::Number(number.clone()), Kind::Number, false)),
            Node::Boolean(boolean) => Some((Op::Boolean(*boolean), Kind::Boolean, false)),
            Node::Path(path) => self.path(path, span),
            Node::Variable(name) => self.variable(name, span),
            Node::Call { name, name_span, arguments } => self.call(name, name_span, arguments, span),
            Node::FirstOf(parts) => {
                let (ops, kinds, is_many) = self.nodes(parts)?;
                Some((Op::FirstOf(ops), common(&kinds), is_many))
            }
            Node::Joined(parts) => {
                let (ops, kinds, _) = self.nodes(parts)?;
                self.no_structures(parts, &kinds, "`+`")?;
                Some((Op::Joined(ops), Kind::Text, false))
            }
            Node::If { value, condition, otherwise } => self.choice(value, condition, otherwise.as_deref()),
            Node::Compare { left, comparison, right } => {
                let (left_op, right_op) = (self.node(left), self.node(right));
                let (left_op, right_op) = (left_op?, right_op?);
                self.no_structures(&[(**left).clone(), (**right).clone()], &[left_op.1, right_op.1], "a comparison")?;
                self.check_compared(&left_op.0, std::slice::from_ref(right));
                self.check_compared(&right_op.0, std::slice::from_ref(left));
                let op =
                    Op::Compare { left: Box::new(left_op.0), comparison: *comparison, right: Box::new(right_op.0) };
                Some((op, Kind::Boolean, false))
            }
            Node::In { value, among } => {
                let (value, list) = (self.node(value), self.nodes(among));
                let value = value?.0;
                self.check_compared(&value, among);
                Some((Op::In { value: Box::new(value), among: list?.0 }, Kind::Boolean, false))
            }
            Node::Exists(value) => Some((Op::Exists(Box::new(self.node(value)?.0)), Kind::Boolean, false)),
            Node::Not(value) => Some((Op::Not(Box::new(self.node(value)?.0)), Kind::Boolean, false)),
            Node::And(parts) => Some((Op::And(self.nodes(parts)?.0), Kind::Boolean, false)),
            Node::Or(parts) => Some((Op::Or(self.nodes(parts)?.0), Kind::Boolean, false)),
        }
    }

    /// All parts, so that every mistake is found, not only the first.
    fn nodes(&mut self, parts: &[Expression]) -> Option<(Vec<Op>, Vec<Kind>, bool)> {
        let compiled: Vec<Part> = parts.iter().map(|part| self.node(part)).collect();
        let mut ops = Vec::with_capacity(parts.len());
        let mut kinds = Vec::with_capacity(parts.len());
        let mut any_many = false;
        for part in compiled {
            let (op, kind, is_many) = part?;
            ops.push(op);
            kinds.push(kind);
            any_many |= is_many;
        }
        Some((ops, kinds, any_many))
    }

    fn choice(&mut self, value: &Expression, condition: &Expression, otherwise: Option<&Expression>) -> Part {
        let value = self.node(value);
        let condition = self.node(condition);
        let otherwise = otherwise.map(|expression| self.node(expression));
        let (value, kind, mut is_many) = value?;
        let condition = Box::new(condition?.0);
        let (otherwise, kind) = match otherwise {
            None => (None, kind),
            Some(part) => {
                let (op, other_kind, other_many) = part?;
                is_many |= other_many;
                (Some(Box::new(op)), common(&[kind, other_kind]))
            }
        };
        Some((Op::If { condition, value: Box::new(value), otherwise }, kind, is_many))
    }

    fn no_structures(&mut self, parts: &[Expression], kinds: &[Kind], what: &str) -> Option<()> {
        let mut fine = Some(());
        for (part, kind) in parts.iter().zip(kinds) {
            if *kind == Kind::Structure {
                self.report(
                    codes::ARGUMENT_TYPE,
                    &part.span,
                    format!("{what} takes values, and this is a structure"),
                    None,
                );
                fine = None;
            }
        }
        fine
    }

    fn variable(&mut self, name: &str, span: &std::ops::Range<usize>) -> Part {
        if let Some(named) = self.ground.names.and_then(|names| names.find(name)) {
            return self.named(named);
        }
        if name == "row" && self.ground.has_rows {
            let path = Box::new(JsonPath::of_name(adapters::csv::NUMBER));
            return Some((Op::Json { path, all: false, leaf: Leaf::Number }, Kind::Number, false));
        }
        let part = match Variable::of(name) {
            Some(Variable::Index) => (Op::Variable(Variable::Index), Kind::Number, false),
            Some(variable) => (Op::Variable(variable), Kind::Text, false),
            None => {
                let written = format!("${name}");
                let own: Vec<String> = self.ground.names.map(Names::written).unwrap_or_default();
                let row = self.ground.has_rows.then_some(adapters::csv::NUMBER);
                let all = || own.iter().map(String::as_str).chain(Variable::WRITTEN).chain(row);
                let help = did_you_mean(&written, all()).unwrap_or_else(|| format!("write {}", one_of(all())));
                self.report(codes::EXPRESSION, span, format!("there is no `{written}`"), Some(help));
                return None;
            }
        };
        if self.ground.is_condition {
            let message = format!("`${name}` is not known before a message is mapped");
            self.report(codes::EXPRESSION, span, message, None);
            return None;
        }
        Some(part)
    }

    /// What a name stands for; nothing if that could not be compiled, which was told there.
    fn named(&mut self, named: &Named) -> Part {
        let compiled = named.compiled()?;
        if let Some(source) = &compiled.source {
            self.first_path.get_or_insert_with(|| source.clone());
        }
        Some((Op::Name { op: Arc::clone(&compiled.op), depth: named.depth }, compiled.kind, compiled.is_many))
    }

    fn path(&mut self, text: &str, span: &std::ops::Range<usize>) -> Part {
        self.first_path.get_or_insert_with(|| text.to_owned());
        let from_root = text.starts_with("$.");
        match self.ground.kind {
            PathKind::Json => self.json_path(text, span),
            PathKind::Hl7 if text.starts_with('.') => self.relative_part(text, span),
            PathKind::Hl7 => match self.compiler.interned.path(text.strip_prefix("$.").unwrap_or(text)) {
                Ok(path) => {
                    self.check_structure(&path, span);
                    self.check_field(&path, span);
                    let all = path.is_repeating();
                    let datatype = match (path.field(), path.component()) {
                        (Some(field), None) => datatype(path.segment(), field),
                        (Some(_), Some(_)) => DataType::Plain,
                        (None, _) => DataType::Unknown,
                    };
                    Some((Op::Field { path, datatype, all, from_root }, Kind::Any, all))
                }
                Err(error) => {
                    let prefix = if from_root { 2 } else { 0 };
                    let start = span.start.saturating_add(prefix).saturating_add(error.at);
                    let place = start..start.saturating_add(error.len);
                    self.report(codes::SOURCE_PATH, &place, error.message, error.help);
                    None
                }
            },
        }
    }

    fn json_path(&mut self, text: &str, span: &std::ops::Range<usize>) -> Part {
        let place = |inner: &std::ops::Range<usize>| {
            span.start.saturating_add(inner.start)..span.start.saturating_add(inner.end)
        };
        let path = match JsonPath::parse(text) {
            Ok(path) => path,
            Err(error) => {
                self.report(codes::SOURCE_PATH, &place(&error.span), error.message, error.help);
                return None;
            }
        };
        let led = match self.ground.lead(&path) {
            Ok(led) => led,
            Err(astray) => {
                self.report(codes::NO_ELEMENT, &place(&astray.span), astray.message, astray.help);
                return None;
            }
        };
        let (leaf, all) = (led.known.leaf(), path.is_repeating());
        let kind = match leaf {
            Leaf::Unknown => Kind::Any,
            Leaf::Text => Kind::Text,
            Leaf::Number => Kind::Number,
            Leaf::Boolean => Kind::Boolean,
            Leaf::Structure(_) => Kind::Structure,
        };
        Some((Op::Json { path: Box::new(path), all, leaf }, kind, led.is_many))
    }

    /// `.`, `.4` or `.4.1` in a block over the repetitions of a field.
    fn relative_part(&mut self, text: &str, span: &std::ops::Range<usize>) -> Part {
        let Some(item) = self.ground.item else {
            let message = format!("`{text}` is relative, and no block goes through the repetitions of a field here");
            self.report(codes::SOURCE_PATH, span, message, Some("begin with a segment, as in PID-3.1".to_owned()));
            return None;
        };
        let mut numbers = text.split('.').skip(1).filter(|part| !part.is_empty()).map(str::parse::<u16>);
        let (component, subcomponent) = (numbers.next().unwrap_or(Ok(0)), numbers.next().unwrap_or(Ok(0)));
        let (Ok(component), Ok(subcomponent), None) = (component, subcomponent, numbers.next()) else {
            let help = "write `.` for the repetition, `.4` for its component, `.4.1` for a subcomponent".to_owned();
            self.report(codes::SOURCE_PATH, span, format!("`{text}` is no part of a repetition"), Some(help));
            return None;
        };
        let datatype = if component == 0 { item } else { DataType::Plain };
        Some((Op::Part { component, subcomponent, datatype }, Kind::Any, false))
    }
}

/// The kind of a value that is one of several.
fn common(kinds: &[Kind]) -> Kind {
    match kinds.split_first() {
        Some((first, rest)) if rest.iter().all(|kind| kind == first) => *first,
        Some(_) | None => Kind::Any,
    }
}
