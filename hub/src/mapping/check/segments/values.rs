//! What is written into a field of HL7 v2, held against the type of the field.
//!
//! In come a rule, what its expression can give, and the field or component it writes; out go findings: a value of
//! another type, a code that HL7's table does not have, a text that is longer than the field. Promised: only what is
//! known before a message comes is complained of. A user's own tables (IS, CWE) are the user's.

use adapters::hl7v2::Charset;
use adapters::hl7v2::grammar::{Element, Grammar, Resolved, VARIES, Version};

use crate::finding::{Finding, Text, codes};
use crate::mapping::check::Checker;
use crate::mapping::check::given::{Given, given};
use crate::mapping::functions::is_hl7_time;
use crate::mapping::hl7_tables::{Outside, outside};
use crate::mapping::parse::DeclaredRule;
use crate::mapping::plan::{Op, Variable};
use crate::mapping::value::canonical_number;

/// Functions that give times as FHIR writes them.
const FHIR_TIMES: [&str; 2] = ["datetime", "date"];

/// Types of dates and times, as precise as they are given (HL7 v2.5.1 section 2.A).
const TIMES: [&str; 4] = ["TS", "DTM", "DT", "TM"];

/// The innermost component that a value goes to.
struct Leaf {
    /// The type that people know: `TS`, not the `ST` that it was made of in 2.3.
    kind: &'static str,
    element: &'static Element,
    /// Characters at most.
    length: Option<u32>,
}

impl Leaf {
    /// A value for a whole field or component goes to its first part.
    fn of(resolved: &Resolved) -> Option<Leaf> {
        let grammar = Grammar::of(resolved.version);
        let mut element = resolved.element().filter(|element| element.data_type != VARIES)?;
        let mut kind = element.data_type;
        let mut length = element.length;
        while let Some(first) = grammar.data_type(element.data_type).and_then(|known| known.element(1)) {
            element = first;
            length = first.length.or(length);
            if !TIMES.contains(&kind) {
                kind = first.data_type;
            }
        }
        Some(Leaf { kind, element, length })
    }
}

impl Checker<'_> {
    /// Checks what a rule gives against the place it goes to.
    pub(super) fn check_value(&mut self, rule: &DeclaredRule, op: &Op, resolved: &Resolved) {
        let Some(leaf) = Leaf::of(resolved) else { return };
        let mut told = Vec::new();
        let mut report = |checker: &mut Self, code, message: String, help: Option<String>| {
            // One finding of a kind for a rule: a table may have a hundred such rows.
            if !told.contains(&code) {
                checker.report(code, rule.expression.span.clone(), message, help);
            }
            told.push(code);
        };
        let target = &rule.target.value;
        if TIMES.contains(&leaf.kind) && gives_fhir_time(op) {
            let message = format!("{target} is of type {}, and this is a time as FHIR writes it", leaf.kind);
            report(self, codes::FIELD_TYPE, message, Some("end it with `| hl7_datetime`".to_owned()));
        }
        // What is empty is not written.
        let is_written = |one: &Given| !matches!(one, Given::Literal(text) if text.trim().is_empty());
        for one in given(op).into_iter().filter(is_written) {
            if let Some((found, help)) = mismatch(&leaf, &one) {
                let message = format!("{target} is of type {}, and this is {found}", leaf.kind);
                report(self, codes::FIELD_TYPE, message, help);
            }
            let Given::Literal(text) = &one else { continue };
            if let Some(Outside { table, help }) = outside(leaf.element, text) {
                let message = format!("{target} has no code `{text}` (HL7 table {}, {})", table.number, table.text);
                report(self, codes::NOT_IN_TABLE, message, help);
            } else {
                self.check_length(rule, &leaf, text);
            }
        }
    }

    fn check_length(&mut self, rule: &DeclaredRule, leaf: &Leaf, text: &str) {
        let Some(most) =
            leaf.length.filter(|most| usize::try_from(*most).is_ok_and(|most| text.chars().count() > most))
        else {
            return;
        };
        let characters = if most == 1 { "character" } else { "characters" };
        let message = format!("{} takes {most} {characters}, and `{text}` has more", rule.target.value);
        let span = rule.expression.span.clone();
        self.compiler.findings.push(Finding::warning(codes::TOO_LONG, &self.compiler.source, span, message));
    }

    /// MSH-12 and MSH-18 say how the message is written: the hub must be able to.
    pub(super) fn check_header(&mut self, rule: &DeclaredRule, field: u16, op: &Op) {
        let literals =
            given(op).into_iter().filter_map(|one| if let Given::Literal(text) = one { Some(text) } else { None });
        for text in literals {
            if field == 12 && Version::named(&text).is_none() {
                let help = format!("write one of {}", Version::ALL.map(Version::name).join(", "));
                let message = format!("the hub does not write HL7 v{text}");
                self.report(codes::BAD_VALUE, rule.expression.span.clone(), message, Some(help));
            }
            if field == 18 && Charset::from_name(&text).is_none() {
                let message = format!("the hub does not write the character set `{text}`");
                let help = "write `UNICODE UTF-8`, `8859/6` or `WINDOWS-1256`".to_owned();
                self.report(codes::BAD_VALUE, rule.expression.span.clone(), message, Some(help));
            }
        }
    }
}

/// The version that the rules say, if they say it in so many words.
pub(in crate::mapping::check) fn written_version(rules: &[DeclaredRule]) -> Version {
    let is_it = |rule: &&DeclaredRule| matches!(rule.target.value.as_str(), "MSH-12" | "MSH-12.1");
    let text = rules.iter().find(is_it).map(|rule| literal(&rule.expression));
    text.flatten().and_then(Version::named).unwrap_or(Version::USUAL)
}

fn literal(expression: &Text) -> Option<&str> {
    expression.value.trim().strip_prefix('"')?.strip_suffix('"')
}

/// Why the value cannot stand in a field of this type: what it is, and what to do.
fn mismatch(leaf: &Leaf, given: &Given) -> Option<(String, Option<String>)> {
    let wrong = |found: String, help: Option<&str>| Some((found, help.map(str::to_owned)));
    let is_time = TIMES.contains(&leaf.kind);
    match given {
        Given::Structure(name) => wrong(format!("a {name}"), Some("write its parts one by one, as in ORC-2.1")),
        Given::Reference(_) => wrong("a Reference".to_owned(), Some("write its parts one by one, as in ORC-2.1")),
        Given::Literal(text) => {
            let fits = match leaf.kind {
                "NM" => canonical_number(text).is_some(),
                "SI" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
                "DT" => text.len() <= 8 && is_hl7_time(text),
                "TM" => is_hl7_time(&format!("20000101{text}")),
                _ if is_time => is_hl7_time(text),
                _ => true,
            };
            (!fits).then(|| (format!("`{text}`"), None))
        }
        Given::Boolean => match leaf.kind {
            "NM" | "SI" => wrong("true or false".to_owned(), None),
            "ID" => wrong("true or false".to_owned(), Some("write the code: `\"Y\" if ... else \"N\"`")),
            _ if is_time => wrong("true or false".to_owned(), None),
            _ => None,
        },
        Given::Number if is_time => wrong("a number".to_owned(), None),
        Given::Number | Given::Text | Given::Null | Given::Unknown => None,
    }
}

/// Whether the value is a time as FHIR has it, with hyphens and colons.
fn gives_fhir_time(op: &Op) -> bool {
    match op {
        Op::Variable(variable) => *variable == Variable::ReceivedAt,
        Op::FirstOf(parts) => parts.iter().any(gives_fhir_time),
        Op::If { value, otherwise, .. } => gives_fhir_time(value) || otherwise.as_deref().is_some_and(gives_fhir_time),
        Op::Call(call) if matches!(call.function.name, "required" | "default" | "first" | "last") => {
            call.arguments.iter().any(gives_fhir_time)
        }
        Op::Call(call) => FHIR_TIMES.contains(&call.function.name),
        _ => false,
    }
}
