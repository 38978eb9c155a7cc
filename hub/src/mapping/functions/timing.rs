//! The function of repeat patterns: Timing (HL7 table 0335, FHIR R4 `Timing.repeat`).

use adapters::hl7v2::grammar::table;

use super::text::trimmed;
use super::{Arguments, Example, Function, Kind, Takes, one};
use crate::mapping::error::Fault;
use crate::mapping::value::Val;

/// The system of the patterns that FHIR knows.
const GTS: &str = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation";

/// The system of HL7's own patterns.
const TABLE_0335: &str = "http://terminology.hl7.org/CodeSystem/v2-0335";

/// Patterns that are in [`GTS`].
const IN_GTS: [&str; 16] =
    ["BID", "TID", "QID", "QOD", "QD", "Q1H", "Q2H", "Q3H", "Q4H", "Q6H", "Q8H", "AM", "PM", "BED", "WK", "MO"];

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "timing",
    parameters: &[one("pattern", Kind::Value)],
    returns: Kind::Structure,
    doc: "A FHIR Timing from a repeat pattern (TQ1-3, RXE-1.2): `BID`, `Q6H`, `QAM`, `ACM` and their like get how often and when; a pattern that is no code of a table is kept as text.",
    example: Example {
        given: "TQ1|1||BID",
        expression: "TQ1-3.1 | timing",
        gives: r#"{"repeat":{"frequency":2,"period":1,"periodUnit":"d"},"code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation","code":"BID"}],"text":"BID"}}"#,
    },
    may_fail: false,
    takes: Takes::Each,
    run: timing,
}];

fn timing<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let Some(text) = arguments.text(0).map(trimmed) else { return Ok(Val::Absent) };
    let pattern = text.to_ascii_uppercase();
    let repeat = repeat(&pattern);
    let mut elements = Vec::with_capacity(2);
    let mut concept = Vec::with_capacity(2);
    let known = |system: &&str| match *system {
        GTS => IN_GTS.contains(&pattern.as_str()),
        _ => table("0335").is_some_and(|patterns| patterns.code(&pattern).is_some()),
    };
    let system = [GTS, TABLE_0335].into_iter().find(known);
    elements.extend(repeat.filter(|repeat| !repeat.is_empty()).map(|repeat| ("repeat", Val::Object(repeat))));
    // Of patterns with a number, the table has a few as examples.
    if let Some(system) = system {
        let coding = Val::Object(vec![("system", Val::from(system)), ("code", Val::from(pattern))]);
        concept.push(("coding", Val::List(vec![coding])));
    }
    concept.push(("text", Val::Text(text)));
    elements.push(("code", Val::Object(concept)));
    Ok(Val::Object(elements))
}

type Elements<'r> = Vec<(&'r str, Val<'r>)>;

/// The elements of `Timing.repeat`; `None` for a pattern that is not known.
fn repeat<'r>(pattern: &str) -> Option<Elements<'r>> {
    let found = match pattern {
        "QD" | "DAILY" => every(1, 1, "d"),
        "BID" => every(2, 1, "d"),
        "TID" => every(3, 1, "d"),
        "QID" => every(4, 1, "d"),
        "QOD" => every(1, 2, "d"),
        "WK" | "QW" => every(1, 1, "wk"),
        "MO" | "QM" => every(1, 1, "mo"),
        "ONCE" => vec![("count", Val::Number("1".into()))],
        "PRN" => Vec::new(),
        "QAM" | "AM" => when("MORN"),
        "QPM" | "PM" => when("AFT"),
        "QHS" | "HS" | "BED" => when("HS"),
        "AC" | "ACM" | "ACD" | "ACV" | "PC" | "PCM" | "PCD" | "PCV" | "C" | "CM" | "CD" | "CV" => when_owned(pattern),
        _ => return every_so_often(pattern).or_else(|| times_a_day(pattern)),
    };
    Some(found)
}

/// `Q6H`, `Q30M`, `Q2D`, `Q1W`, `Q1L`: every so many seconds, minutes, hours, days, weeks, months.
fn every_so_often<'r>(pattern: &str) -> Option<Elements<'r>> {
    let body = pattern.strip_prefix('Q')?;
    let unit_at = body.len().checked_sub(1)?;
    let (digits, unit) = body.split_at_checked(unit_at)?;
    let period = digits.parse::<u16>().ok().filter(|period| *period > 0)?;
    let unit = match unit {
        "S" => "s",
        "M" => "min",
        "H" => "h",
        "D" => "d",
        "W" => "wk",
        "L" => "mo",
        _ => return None,
    };
    Some(every(1, period, unit))
}

/// `5ID`: so many times a day.
fn times_a_day<'r>(pattern: &str) -> Option<Elements<'r>> {
    let frequency = pattern.strip_suffix("ID")?.parse::<u16>().ok().filter(|frequency| *frequency > 0)?;
    Some(every(frequency, 1, "d"))
}

fn every<'r>(frequency: u16, period: u16, unit: &'static str) -> Elements<'r> {
    vec![
        ("frequency", Val::Number(frequency.to_string().into())),
        ("period", Val::Number(period.to_string().into())),
        ("periodUnit", Val::from(unit)),
    ]
}

fn when<'r>(code: &'static str) -> Elements<'r> {
    vec![("when", Val::List(vec![Val::from(code)]))]
}

fn when_owned<'r>(code: &str) -> Elements<'r> {
    vec![("when", Val::List(vec![Val::from(code.to_owned())]))]
}
