//! Calls of functions: from names and arguments to plans.
//!
//! In comes a call; out goes its plan, or findings: a function that does not exist, too few or too many arguments, an
//! argument of another kind than the function takes, a table that does not exist. Promised: a call that compiled can be
//! run. Refused: the rest, with place and suggestion.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use super::{Part, Walk};
use crate::finding::{codes, did_you_mean, one_of};
use crate::mapping::expression::{Expression, Node};
use crate::mapping::functions::{Function, Kind, catalogue, function};
use crate::mapping::plan::{Call, Leaf, Op};
use crate::mapping::tables::Table;

/// Functions that make structures of fields, and the structures that they let pass.
const TYPED: [(&str, &[&str]); 9] = [
    ("identifier", &["Identifier"]),
    ("human_name", &["HumanName"]),
    ("address", &["Address"]),
    ("telecom", &["ContactPoint"]),
    ("codeable_concept", &["CodeableConcept", "Coding"]),
    ("coding", &["CodeableConcept", "Coding"]),
    ("code_of", &["CodeableConcept", "Coding"]),
    ("money", &["Money"]),
    ("location_name", &[]),
];

/// The arguments of a call, compiled.
#[derive(Default)]
struct Given {
    ops: Vec<Op>,
    table: Option<Arc<Table>>,
    pattern: Option<Arc<Regex>>,
    /// Kind of the first, and whether it is several.
    kind: Kind,
    is_many: bool,
    /// There is no mistake in them.
    are_fine: bool,
}

impl Given {
    fn call(mut self, function: &'static Function) -> Part {
        match function.name {
            "attempt" => return Some((Op::Attempt(Box::new(self.ops.pop()?)), self.kind, self.is_many)),
            "urn" => self.ops.push(Op::Place),
            _ => {}
        }
        let reduces = matches!(function.name, "first" | "last" | "count" | "join" | "concat" | "is_null");
        let kind = if function.returns == Kind::Any && function.name != "table" { self.kind } else { function.returns };
        let call = Call { function, arguments: self.ops, table: self.table, pattern: self.pattern };
        Some((Op::Call(Box::new(call)), kind, self.is_many && !reduces))
    }
}

impl Walk<'_, '_> {
    pub(super) fn call(
        &mut self,
        name: &str,
        name_span: &Range<usize>,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Part {
        let Some(function) = function(name) else {
            let help = did_you_mean(name, catalogue().map(|function| function.name));
            self.report(codes::UNKNOWN_FUNCTION, name_span, format!("there is no function `{name}`"), help);
            // The arguments may have mistakes of their own.
            let _ = self.nodes(arguments);
            return None;
        };
        self.check_count(function, arguments.len(), name_span, span)?;
        let mut given = self.arguments(function, arguments);
        given.are_fine &= self.check_literals(function, arguments, given.pattern.as_deref());
        if let (Some(table), Some(value)) = (&given.table, given.ops.first()) {
            self.check_rows(value, table, span);
        }
        let may_fail = function.may_fail || given.table.as_ref().is_some_and(|table| table.may_fail());
        if self.ground.is_condition && (may_fail || function.name == "hmac") {
            let message = format!("`{name}` can refuse a message, and a condition must not");
            self.report(codes::MAY_FAIL, name_span, message, Some("compare the value itself".to_owned()));
            return None;
        }
        given.are_fine.then(|| given.call(function)).flatten()
    }

    /// All arguments, so that every mistake is found, not only the first.
    fn arguments(&mut self, function: &Function, arguments: &[Expression]) -> Given {
        let mut given = Given { ops: Vec::with_capacity(arguments.len()), are_fine: true, ..Given::default() };
        for (place, argument) in arguments.iter().enumerate() {
            let wanted = function.parameter(place).map_or(Kind::Any, |parameter| parameter.kind);
            if wanted == Kind::Table {
                given.table = self.table(function, argument);
                given.are_fine &= given.table.is_some();
                continue;
            }
            if wanted == Kind::Pattern {
                given.pattern = self.pattern(function, argument);
                given.are_fine &= given.pattern.is_some();
                continue;
            }
            let Some((op, kind, is_many)) = self.node(argument) else {
                given.are_fine = false;
                continue;
            };
            given.are_fine &= self.check_kind(function, wanted, (&op, kind), &argument.span);
            if place == 0 {
                given.are_fine &= self.check_structure_given(function, &op, &argument.span);
                (given.kind, given.is_many) = (kind, is_many);
            }
            given.ops.push(op);
        }
        given
    }

    fn check_count(
        &mut self,
        function: &Function,
        given: usize,
        name_span: &Range<usize>,
        span: &Range<usize>,
    ) -> Option<()> {
        let (least, most) = function.argument_count();
        if (least..=most).contains(&given) {
            return Some(());
        }
        let wanted = match most {
            usize::MAX => format!("at least {least}"),
            _ if least == most => least.to_string(),
            _ => format!("{least} to {most}"),
        };
        let message = format!("`{}` takes {wanted} arguments, not {given}", function.name);
        let help = format!("write {}, or pipe the first argument in", function.signature());
        let place = if name_span.end <= span.end { name_span } else { span };
        self.report(codes::ARGUMENT_COUNT, place, message, Some(help));
        None
    }

    fn check_kind(&mut self, function: &Function, wanted: Kind, given: (&Op, Kind), span: &Range<usize>) -> bool {
        let (op, kind) = given;
        let fits = match wanted {
            Kind::Any | Kind::Table | Kind::Pattern => true,
            Kind::Value | Kind::Text => kind != Kind::Structure,
            Kind::Number => matches!(kind, Kind::Number | Kind::Any | Kind::Value),
            Kind::Boolean => matches!(kind, Kind::Boolean | Kind::Any | Kind::Value),
            Kind::Structure => matches!(kind, Kind::Structure | Kind::Any),
            Kind::Word => matches!(op, Op::Text(_)),
        };
        if !fits {
            let other = if kind == Kind::Any { String::new() } else { format!(", not {}", kind.word()) };
            let message = format!("`{}` takes {} here{other}", function.name, wanted.word());
            self.report(codes::ARGUMENT_TYPE, span, message, Some(format!("write {}", function.signature())));
        }
        fits
    }

    /// A function that makes a structure of a field takes that structure of FHIR, and no other.
    fn check_structure_given(&mut self, function: &Function, op: &Op, span: &Range<usize>) -> bool {
        let Op::Json { leaf: Leaf::Structure(name), .. } = op else { return true };
        let Some((_, taken)) = TYPED.iter().find(|(typed, _)| *typed == function.name) else { return true };
        if taken.contains(name) {
            return true;
        }
        let own = if taken.is_empty() { String::new() } else { format!(", or {}", one_of(taken.iter().copied())) };
        let message = format!("`{}` takes a field of HL7 v2 or a text{own}, and this is a {name}", function.name);
        self.report(codes::ARGUMENT_TYPE, span, message, None);
        false
    }

    fn table(&mut self, function: &Function, argument: &Expression) -> Option<Arc<Table>> {
        let Node::Text(name) = &argument.node else {
            let message = format!("`{}` takes the name of a table in quotes here", function.name);
            self.report(codes::ARGUMENT_TYPE, &argument.span, message, None);
            return None;
        };
        self.compiler.used_tables.insert(name.clone());
        let table = self.compiler.tables.get(name).map(Arc::clone);
        if table.is_none() && !self.compiler.tables.names().any(|known| known == name) {
            let help = did_you_mean(name, self.compiler.tables.names()).unwrap_or_else(|| {
                format!("tables are files of mappings/tables: {}", one_of(self.compiler.tables.names()))
            });
            self.report(codes::UNKNOWN_TABLE, &argument.span, format!("there is no table `{name}`"), Some(help));
        }
        table
    }
}
