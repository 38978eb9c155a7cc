//! Arguments that are written out: what can be known about them before a message comes.
//!
//! In comes a call; out go findings: a pattern that cannot be used, a place before the first letter, a group that the
//! pattern does not have, a currency that is none. Promised: what is complained of can never do what it was written
//! for.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use super::Walk;
use crate::finding::{codes, one_of};
use crate::mapping::expression::{Expression, Node};
use crate::mapping::functions::Function;
use crate::mapping::functions::money::currency_code;

/// Types that `identifier` can be told.
const IDENTIFIER_TYPES: [&str; 6] = ["EI", "CX", "XCN", "XON", "DLN", "PLN"];

impl Walk<'_, '_> {
    /// The pattern of a call, compiled.
    pub(super) fn pattern(&mut self, function: &Function, argument: &Expression) -> Option<Arc<Regex>> {
        let Node::Text(text) = &argument.node else {
            let message = format!("`{}` takes a pattern in quotes here", function.name);
            self.report(codes::ARGUMENT_TYPE, &argument.span, message, None);
            return None;
        };
        let error = match self.compiler.interned.pattern(text) {
            Ok(pattern) => return Some(pattern),
            Err(error) => error,
        };
        let written = self.text.value.get(argument.span.clone()).unwrap_or_default();
        let place = place_in(written, &error.span);
        let place = argument.span.start.saturating_add(place.start)..argument.span.start.saturating_add(place.end);
        self.report(codes::ARGUMENT_TYPE, &place, format!("the pattern cannot be used: {}", error.message), None);
        None
    }

    /// Whether the arguments that are written out can do what they are for.
    pub(super) fn check_literals(
        &mut self,
        function: &Function,
        arguments: &[Expression],
        pattern: Option<&Regex>,
    ) -> bool {
        let wrong = match function.name {
            "money" => arguments.get(1).and_then(wrong_currency),
            "identifier" => arguments.get(1).and_then(wrong_type),
            "regex" => arguments.get(2).and_then(|group| wrong_group(group, pattern)),
            "split" => arguments.get(2).and_then(wrong_place),
            "substring" => arguments.iter().skip(1).find_map(wrong_place),
            _ => None,
        };
        let Some((span, message)) = wrong else { return true };
        self.report(codes::ARGUMENT_TYPE, &span, message, Some(format!("write {}", function.signature())));
        false
    }
}

/// The bytes of a pattern as they stand in the expression: after the quote, with escapes as they were written.
fn place_in(written: &str, span: &Range<usize>) -> Range<usize> {
    let outside = |offset: usize| {
        let (mut inside, mut letters) = (0_usize, written.char_indices().skip(1).peekable());
        while let Some((at, letter)) = letters.next() {
            if inside >= offset {
                return at;
            }
            let is_escape =
                letter == '\\' && letters.next_if(|(_, next)| matches!(next, 'n' | 't' | '"' | '\'' | '\\')).is_some();
            inside = inside.saturating_add(if is_escape { 1 } else { letter.len_utf8() });
        }
        written.len()
    };
    outside(span.start)..outside(span.end)
}

type Wrong = Option<(Range<usize>, String)>;

fn wrong_currency(argument: &Expression) -> Wrong {
    let Node::Text(text) = &argument.node else { return None };
    let message = || format!("`{text}` is no currency: it has three letters (ISO 4217), as EGP");
    currency_code(text).is_none().then(|| (argument.span.clone(), message()))
}

fn wrong_type(argument: &Expression) -> Wrong {
    let Node::Text(text) = &argument.node else { return None };
    let message = || format!("`{text}` is no type of an identifier: types are {}", one_of(IDENTIFIER_TYPES));
    (!IDENTIFIER_TYPES.contains(&text.as_str())).then(|| (argument.span.clone(), message()))
}

fn wrong_place(argument: &Expression) -> Wrong {
    let Node::Number(number) = &argument.node else { return None };
    let is_place = number.parse::<usize>().is_ok_and(|place| place > 0);
    (!is_place).then(|| (argument.span.clone(), format!("`{number}` is no whole number from 1")))
}

fn wrong_group(argument: &Expression, pattern: Option<&Regex>) -> Wrong {
    let Node::Number(number) = &argument.node else { return None };
    let groups = pattern?.captures_len().saturating_sub(1);
    let is_group = number.parse::<usize>().is_ok_and(|group| group <= groups);
    let message = || format!("the pattern has no group {number}: it has {groups}");
    (!is_group).then(|| (argument.span.clone(), message()))
}
