//! Parts of an expression that can never count.
//!
//! In comes a plan; out goes what in it never holds or is never reached: a condition that contradicts itself, an
//! `else` behind a condition that always holds, a value behind `??` after one that is always there. Promised: what is
//! complained of has no effect for any message. Not everything that has none is found.

use crate::mapping::expression::Comparison;
use crate::mapping::plan::Op;

/// What never counts, in words; none if everything may.
pub(super) fn idle(op: &Op) -> Option<&'static str> {
    let here = match op {
        Op::If { condition, otherwise, .. } => match (truth(condition), otherwise) {
            (Some(false), _) => Some("the condition never holds, and its value is never used"),
            (Some(true), Some(_)) => Some("the condition always holds, and what follows `else` is never used"),
            (Some(true) | None, _) => None,
        },
        Op::FirstOf(parts) => {
            let before_last = parts.split_last().map_or(&[][..], |(_, before)| before);
            let is_hidden = before_last.iter().any(is_constant);
            is_hidden.then_some("what follows a value that is always there is never used")
        }
        _ => None,
    };
    here.or_else(|| parts_of(op).into_iter().find_map(idle))
}

/// Whether a condition can hold at all.
pub(super) fn never_holds(condition: &Op) -> bool {
    truth(condition) == Some(false)
}

fn parts_of(op: &Op) -> Vec<&Op> {
    match op {
        Op::Text(_) | Op::Number(_) | Op::Boolean(_) | Op::Variable(_) | Op::Place => Vec::new(),
        // It is looked at where it is given.
        Op::Name { .. } => Vec::new(),
        Op::Field { .. } | Op::Part { .. } | Op::Json { .. } => Vec::new(),
        Op::Call(call) => call.arguments.iter().collect(),
        Op::FirstOf(parts) | Op::Joined(parts) | Op::And(parts) | Op::Or(parts) => parts.iter().collect(),
        Op::If { condition, value, otherwise } => {
            [Some(&**condition), Some(&**value), otherwise.as_deref()].into_iter().flatten().collect()
        }
        Op::Compare { left, right, .. } => vec![left, right],
        Op::In { value, among } => std::iter::once(&**value).chain(among).collect(),
        Op::Exists(value) | Op::Not(value) | Op::Attempt(value) => vec![value],
    }
}

fn is_constant(op: &Op) -> bool {
    match op {
        Op::Text(text) => !text.is_empty(),
        Op::Number(_) | Op::Boolean(_) => true,
        _ => false,
    }
}

/// What a condition is for every message; none if that depends on the message.
fn truth(condition: &Op) -> Option<bool> {
    match condition {
        Op::Boolean(boolean) => Some(*boolean),
        Op::Name { op, .. } => truth(op),
        Op::Not(value) => truth(value).map(|truth| !truth),
        Op::And(parts) => {
            let truths: Vec<_> = parts.iter().map(truth).collect();
            if truths.contains(&Some(false)) || contradict(parts) {
                return Some(false);
            }
            truths.iter().all(|truth| *truth == Some(true)).then_some(true)
        }
        Op::Or(parts) => {
            let truths: Vec<_> = parts.iter().map(truth).collect();
            if truths.contains(&Some(true)) {
                return Some(true);
            }
            truths.iter().all(|truth| *truth == Some(false)).then_some(false)
        }
        Op::Compare { left, comparison, right } => match (&**left, comparison, &**right) {
            (Op::Text(one), Comparison::Equal, Op::Text(other)) => Some(one == other),
            (Op::Text(one), Comparison::NotEqual, Op::Text(other)) => Some(one != other),
            _ => None,
        },
        _ => None,
    }
}

/// Whether two of the conditions cannot hold together.
fn contradict(conditions: &[Op]) -> bool {
    let pairs = || {
        conditions
            .iter()
            .enumerate()
            .flat_map(|(at, one)| conditions.iter().skip(at + 1).map(move |other| (one, other)))
    };
    pairs().any(|(one, other)| is_denial(one, other) || is_denial(other, one) || are_apart(one, other))
}

/// `not X`, of `X`.
fn is_denial(denial: &Op, of: &Op) -> bool {
    matches!(denial, Op::Not(value) if written(value) == written(of))
}

/// One value that shall be in two lists, which share nothing.
fn are_apart(one: &Op, other: &Op) -> bool {
    let (Some((value, texts)), Some((same, others))) = (demanded(one), demanded(other)) else { return false };
    written(value) == written(same) && !texts.iter().any(|text| others.contains(text))
}

/// The single value of which a condition demands one of some texts.
fn demanded(condition: &Op) -> Option<(&Op, Vec<&str>)> {
    let (value, among) = match condition {
        Op::Compare { left, comparison: Comparison::Equal, right } => (left, std::slice::from_ref(&**right)),
        Op::In { value, among } => (value, among.as_slice()),
        _ => return None,
    };
    let is_single = match &**value {
        // Of several values, each condition may mean another one.
        Op::Field { all, .. } | Op::Json { all, .. } => !all,
        Op::Part { .. } | Op::Variable(_) => true,
        Op::Name { op, .. } => matches!(&**op, Op::Field { all: false, .. } | Op::Json { all: false, .. }),
        _ => false,
    };
    let texts = among.iter().map(|op| if let Op::Text(text) = op { Some(text.as_str()) } else { None });
    let texts = texts.collect::<Option<Vec<&str>>>()?;
    is_single.then_some((value, texts))
}

/// The same for two parts that do the same.
fn written(op: &Op) -> String {
    format!("{op:?}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Compiler, Ground};
    use crate::finding::{SourceText, Text, codes};
    use crate::mapping::expression::PathKind;
    use crate::mapping::interned::Interned;
    use crate::mapping::tables::Tables;

    fn is_idle(expression: &str) -> bool {
        let source = Arc::new(SourceText::new("test", format!("'{expression}'")));
        let (tables, _) = Tables::read(&[]);
        let interned = Interned::default();
        let mut compiler = Compiler::new(&source, &tables, &interned);
        let ground = Ground { message: "RDE^O11", ..Ground::of(PathKind::Hl7) };
        let text = Text::new(expression.to_owned(), 0..source.text().len());
        assert!(compiler.expression(&text, ground).is_some(), "{}", compiler.findings);
        compiler.findings.iter().any(|finding| finding.code == codes::IDLE)
    }

    #[test]
    fn what_cannot_hold_or_be_reached_is_idle() {
        for expression in [
            r#"ORC-2 if ORC-1 = "CA" and ORC-1 = "DC""#,
            r#"ORC-2 if ORC-1 in ("CA", "DC") and ORC-1 = "NW""#,
            "ORC-2 if ORC-3 and not ORC-3",
            "ORC-2 if false",
            r#"ORC-2 if "a" = "b" or false"#,
            "ORC-2 if true else ORC-3",
            r#"ORC-2 ?? "none" ?? ORC-3"#,
            r#""x" + (ORC-2 if false)"#,
        ] {
            assert!(is_idle(expression), "{expression}");
        }
    }

    #[test]
    fn what_a_message_may_decide_is_not() {
        for expression in [
            r#"ORC-2 if ORC-1 = "CA" or ORC-1 = "DC""#,
            r#"ORC-2 if ORC-1 in ("CA", "DC") and ORC-1 = "DC""#,
            r#"ORC-2 if PID-3[*].5 = "NI" and PID-3[*].5 = "MR""#,
            r#"ORC-2 if ORC-1 = "CA" and ORC-2.1 = "DC""#,
            r#"ORC-2 if ORC-1 != "CA" and ORC-1 != "DC""#,
            "ORC-2 if ORC-3 and not ORC-4",
            "ORC-2 if true",
            r#"ORC-2 ?? ORC-3 ?? "none""#,
        ] {
            assert!(!is_idle(expression), "{expression}");
        }
    }
}
