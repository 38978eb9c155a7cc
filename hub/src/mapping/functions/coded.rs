//! Functions of codes: Coding and CodeableConcept.

use std::borrow::Cow;

use adapters::hl7v2::grammar::table;

use super::text::trimmed;
use super::{Arguments, Environment, Example, Function, Kind, Takes, one, optional};
use crate::mapping::error::Fault;
use crate::mapping::tables::{Row, Unknown};
use crate::mapping::value::{Field, Val};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "codeable_concept",
        parameters: &[one("value", Kind::Any), optional("table", Kind::Table)],
        returns: Kind::Structure,
        doc: "A FHIR CodeableConcept from a coded field (CE, CWE): all of its codings, and its text (original text, or the text of a coding). Names of code systems become URIs by the table `systems`; a name that is not there becomes `urn:hl7v2:FACILITY:NAME`. With a table, the coding that the table has for the first code comes first.",
        example: Example {
            given: "RXE||J06.9^Acute URTI^I10",
            expression: "RXE-2 | codeable_concept",
            gives: r#"{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10","code":"J06.9","display":"Acute URTI"}],"text":"Acute URTI"}"#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: codeable_concept,
    },
    Function {
        name: "coding",
        parameters: &[one("value", Kind::Any), optional("table", Kind::Table)],
        returns: Kind::Structure,
        doc: "A FHIR Coding: the first that `codeable_concept` would give.",
        example: Example {
            given: "RXR|PO^Oral^HL70162",
            expression: "RXR-1 | coding",
            gives: r#"{"system":"http://terminology.hl7.org/CodeSystem/v2-0162","code":"PO","display":"Oral"}"#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| Ok(codings(arguments)?.0.into_iter().next().unwrap_or(Val::Absent)),
    },
    Function {
        name: "code_of",
        parameters: &[one("concept", Kind::Any), optional("system", Kind::Word)],
        returns: Kind::Text,
        doc: "The code of a CodeableConcept or a Coding: of the first coding with this system (a URI), or of the first that there is.",
        example: Example {
            given: r#"{"code":{"coding":[{"system":"http://loinc.org","code":"718-7"},{"system":"urn:lab","code":"HB"}]}}"#,
            expression: "code | code_of(\"urn:lab\")",
            gives: r#""HB""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| {
            let wanted = arguments.word(1);
            let value = match arguments.take(0) {
                Val::Field(field) => Val::List(of_field(&field, arguments.environment).0),
                other => other,
            };
            let found = codes_of(&value).into_iter().find(|(system, _)| wanted.is_none() || *system == wanted);
            Ok(found.map_or(Val::Absent, |(_, code)| Val::Text(code)))
        },
    },
];

/// A code, and its system if it has one.
pub(super) type SystemAndCode<'r> = (Option<Cow<'r, str>>, Cow<'r, str>);

/// The codes of a concept, a coding, several of them, or a plain code.
pub(super) fn codes_of<'r>(value: &Val<'r>) -> Vec<SystemAndCode<'r>> {
    if value.is_list() {
        return value.clone().into_items().iter().flat_map(codes_of).collect();
    }
    let is_structure = matches!(value, Val::Object(_) | Val::Json(serde_json::Value::Object(_)));
    if !is_structure {
        return value.text().map(|text| (None, trimmed(text))).into_iter().collect();
    }
    match part_of(value, "coding") {
        Some(codings) => codes_of(&codings),
        None => {
            let text = |name: &str| part_of(value, name).and_then(|part| part.text());
            text("code").map(|code| (text("system"), trimmed(code))).into_iter().collect()
        }
    }
}

/// An element of a structure, whoever made it.
fn part_of<'r>(structure: &Val<'r>, name: &str) -> Option<Val<'r>> {
    match structure {
        Val::Object(fields) => fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()),
        Val::Json(json) => json.get(name).map(Val::Json),
        Val::Absent | Val::Boolean(_) | Val::Text(_) | Val::Number(_) | Val::Field(_) | Val::List(_) => None,
    }
}

fn codeable_concept<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    if let Some(Val::Json(serde_json::Value::Object(fields))) = arguments.values.first()
        && (fields.contains_key("coding") || fields.contains_key("text"))
    {
        return Ok(arguments.take(0));
    }
    let (codings, text) = codings(arguments)?;
    let mut elements = Vec::with_capacity(2);
    if !codings.is_empty() {
        elements.push(("coding", Val::List(codings)));
    }
    if let Some(text) = text {
        elements.push(("text", Val::Text(text)));
    }
    Ok(if elements.is_empty() { Val::Absent } else { Val::Object(elements) })
}

/// Codings, and the text that stands for all of them.
type Codings<'r> = (Vec<Val<'r>>, Option<Cow<'r, str>>);

fn codings<'r>(arguments: &mut Arguments<'r>) -> Result<Codings<'r>, Fault> {
    let value = arguments.take(0);
    let (mut codings, text, code) = match value {
        Val::Field(field) => of_field(&field, arguments.environment),
        Val::Object(_) | Val::Json(serde_json::Value::Object(_)) => return Ok((vec![value], None)),
        other => match other.text() {
            Some(text) => (vec![Val::Object(vec![("code", Val::Text(text.clone()))])], None, Some(text)),
            None => return Ok((Vec::new(), None)),
        },
    };
    if let (Some(table), Some(code)) = (arguments.table, code) {
        let standard = || if let Unknown::Default(row) = table.unknown() { Some(row) } else { None };
        let known = table.row(&code).or_else(standard).map(Row::value);
        if let Some(coding @ Val::Object(_)) = known {
            // What the table says of the sender's bare code stands instead of it.
            codings.retain(|one| !is_bare(one, &code));
            if !codings.iter().any(|one| is_same(one, &coding)) {
                codings.insert(0, coding);
            }
        } else if known_is_needed(table, &code) {
            // The table decides what an unknown code does.
            table.look_up(code)?;
        }
    }
    Ok((codings, text))
}

fn known_is_needed(table: &crate::mapping::tables::Table, code: &str) -> bool {
    table.row(code).is_none() && table.may_fail()
}

/// The code without a system.
fn is_bare(coding: &Val<'_>, code: &str) -> bool {
    let Val::Object(fields) = coding else { return false };
    let has = |name: &str| fields.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.text());
    has("system").is_none() && has("code").is_some_and(|own| own == code.trim())
}

fn is_same(left: &Val<'_>, right: &Val<'_>) -> bool {
    let part = |value, key| part_of(value, key).and_then(|element| element.text());
    part(left, "system") == part(right, "system") && part(left, "code") == part(right, "code")
}

/// CE and CWE: 1-3 code, text, system; 4-6 the alternate; 7-8 versions; 9 original text; from 2.7 on 10-13 the second
/// alternate with its version.
fn of_field<'r>(
    field: &Field<'r>,
    environment: &Environment<'r>,
) -> (Vec<Val<'r>>, Option<Cow<'r, str>>, Option<Cow<'r, str>>) {
    let [code, name, system, other_code, other_name, other_system, version, other_version, original, third @ ..] =
        field.components::<13>();
    let text = original.or_else(|| name.clone()).or_else(|| other_name.clone()).map(trimmed);
    let first = code.clone().map(trimmed);
    let [third_code, third_name, third_system, third_version] = third;
    let all = [
        [system, version, code, name],
        [other_system, other_version, other_code, other_name],
        [third_system, third_version, third_code, third_name],
    ];
    let codings = all.into_iter().filter_map(|columns| coding_of(columns, environment)).collect();
    (codings, text, first)
}

/// The coding of system, version, code and display; `None` without a code.
fn coding_of<'r>(columns: [Option<Cow<'r, str>>; 4], environment: &Environment<'r>) -> Option<Val<'r>> {
    let [system, version, code, display] = columns;
    let code = code?;
    let system = system.map(|name| system_uri(&name, code.trim(), environment));
    let elements = [("system", system), ("version", version), ("code", Some(code)), ("display", display)];
    let filled = elements.into_iter().filter_map(|(name, text)| Some((name, Val::Text(trimmed(text?)))));
    Some(Val::Object(filled.collect()))
}

/// The URI of the code system that a message names for a code. Of HL7's tables only if the table has the code; any
/// other is the sender's own, whatever table it names.
fn system_uri<'r>(name: &str, code: &str, environment: &Environment<'r>) -> Cow<'r, str> {
    let name = name.trim();
    if let Some(uri) = environment.system(name) {
        return Cow::Borrowed(uri);
    }
    let of_hl7 = name.strip_prefix("HL7").filter(|number| number.len() == 4);
    let has_code = |number: &&str| table(number).is_some_and(|table| table.code(code).is_some());
    if let Some(number) = of_hl7.filter(has_code) {
        return Cow::Owned(format!("http://terminology.hl7.org/CodeSystem/v2-{number}"));
    }
    if is_oid(name) {
        return Cow::Owned(format!("urn:oid:{name}"));
    }
    if is_uri(name) {
        return Cow::Owned(name.to_owned());
    }
    Cow::Owned(environment.local_system(name))
}

/// Numbers with dots between them, none with a zero before it, the first 0 to 2. Of fewer than four, it is rather a
/// version that somebody put there.
pub(super) fn is_oid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_arc = |part: &&str| {
        let is_number = !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        is_number && (*part == "0" || !part.starts_with('0'))
    };
    parts.len() >= 4 && parts.iter().all(is_arc) && matches!(parts.first(), Some(&("0" | "1" | "2")))
}

/// A scheme and something after it.
pub(super) fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https" | "urn") && !rest.is_empty() && !rest.contains(char::is_whitespace)
    })
}
