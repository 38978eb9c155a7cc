//! Functions of patterns: regular expressions that are matched in time linear in the text.
//!
//! In come the pattern of a call, once when the mapping is loaded, and texts; out go what of a text the pattern meets.
//! Promised: no pattern that was loaded takes more than linear time or a bounded memory. Refused: patterns that
//! cannot be read, that look around or back, or that grow over their limit, with the place of the mistake.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use super::text::whole_number;
use super::{Arguments, Example, Function, Kind, Takes, one, optional};
use crate::mapping::error::Fault;
use crate::mapping::value::Val;

/// Longest pattern in bytes.
const PATTERN_BYTES_MAX: usize = 1024;

/// Memory that one compiled pattern may take, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// How deep groups may nest in a pattern.
const NEST_MAX: u32 = 32;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "regex",
        parameters: &[one("value", Kind::Value), one("pattern", Kind::Pattern), optional("group", Kind::Number)],
        returns: Kind::Text,
        doc: "What a regular expression meets in the text: the whole of it, or a group in parentheses by its number from 1; nothing if the text does not have it. `^` and `$` stand for the beginning and the end of the text, `(?i)` at the beginning for capital and small letters alike. It has no look-around and no back-references, so that no text takes long.",
        example: Example {
            given: "RXE||0201^Amoxicillin 500 mg cap",
            expression: r#"RXE-2.2 | regex("(\d+) ?(mg|g)\b", 1)"#,
            gives: r#""500""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| {
            let group = if arguments.values.len() > 1 { whole_number(arguments, 1) } else { Some(0) };
            let (Some(text), Some(pattern), Some(group)) = (arguments.text(0), arguments.pattern, group) else {
                return Ok(Val::Absent);
            };
            let found = pattern.captures(&text).and_then(|found| Some(found.get(group)?.as_str().to_owned()));
            Ok(found.map_or(Val::Absent, Val::from))
        },
    },
    Function {
        name: "matches",
        parameters: &[one("value", Kind::Value), one("pattern", Kind::Pattern)],
        returns: Kind::Boolean,
        doc: "Whether the text has what a regular expression looks for. `^` and `$` bind it to the whole text.",
        example: Example {
            given: "PID|||28001010100013",
            expression: r#"PID-3.1 | matches("^[23]\d{13}$")"#,
            gives: "true",
        },
        may_fail: false,
        takes: Takes::Each,
        run: matches,
    },
];

fn matches<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    Ok(match (arguments.text(0), arguments.pattern) {
        (Some(text), Some(pattern)) => Val::Boolean(pattern.is_match(&text)),
        (None, _) | (_, None) => Val::Absent,
    })
}

/// Why a pattern cannot be used, and its bytes that are wrong.
#[derive(Debug)]
pub(in crate::mapping) struct PatternError {
    pub span: Range<usize>,
    pub message: String,
}

/// Compiles the pattern of a call.
pub(in crate::mapping) fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let whole = |message: String| PatternError { span: 0..pattern.len(), message };
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(whole(format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    regex_syntax::ParserBuilder::new().nest_limit(NEST_MAX).build().parse(pattern).map_err(|error| located(&error))?;
    let compiled = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).nest_limit(NEST_MAX).build();
    compiled.map_err(|_| whole(format!("the pattern takes more than {COMPILED_BYTES_MAX} bytes when it is compiled")))
}

fn located(error: &regex_syntax::Error) -> PatternError {
    let (span, message) = match error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        other => return PatternError { span: 0..0, message: other.to_string() },
    };
    PatternError { span: span.start.offset..span.end.offset, message }
}
