//! Functions of codes: Coding and CodeableConcept.

use std::borrow::Cow;

use adapters::hl7v2::grammar;

use super::text::trimmed;
use super::{Arguments, Environment, Example, Function, Kind, Takes, one, optional};
use crate::mapping::error::Fault;
use crate::mapping::tables::Row;
use crate::mapping::value::{Field, Val};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "codeable_concept",
        parameters: &[one("value", Kind::Any), optional("table", Kind::Table)],
        returns: Kind::Structure,
        doc: "A FHIR CodeableConcept from a coded field (CE, CWE): both of its codings, and its text (original text, or the text of a coding). Names of code systems become URIs by the table `systems`; a name that is not there becomes `urn:hl7v2:FACILITY:NAME`, and so does a table of HL7 (`HL70162`) that does not have the code. With a table, the coding that the table has for the first code comes first.",
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
];

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
        let known = table.row(&code).map(Row::value);
        if let Some(coding @ Val::Object(_)) = known
            && !codings.iter().any(|one| is_same(one, &coding))
        {
            codings.insert(0, coding);
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

fn is_same(left: &Val<'_>, right: &Val<'_>) -> bool {
    let part = |value: &Val<'_>, key: &str| match value {
        Val::Object(fields) => {
            fields.iter().find(|(name, _)| *name == key).and_then(|(_, element)| element.text().map(Cow::into_owned))
        }
        _ => None,
    };
    part(left, "system") == part(right, "system") && part(left, "code") == part(right, "code")
}

/// CE and CWE: 1-3 code, text, system; 4-6 the alternate; 7-8 versions; 9 original text.
fn of_field<'r>(
    field: &Field<'r>,
    environment: &Environment<'r>,
) -> (Vec<Val<'r>>, Option<Cow<'r, str>>, Option<Cow<'r, str>>) {
    let [code, name, system, other_code, other_name, other_system, version, other_version, original] =
        field.components::<9>();
    let text = original.or_else(|| name.clone()).or_else(|| other_name.clone()).map(trimmed);
    let first = code.clone().map(trimmed);
    let both = [[system, version, code, name], [other_system, other_version, other_code, other_name]];
    let codings = both.into_iter().filter_map(|columns| coding_of(columns, environment)).collect();
    (codings, text, first)
}

/// The coding of system, version, code and display; `None` without a code.
fn coding_of<'r>(columns: [Option<Cow<'r, str>>; 4], environment: &Environment<'r>) -> Option<Val<'r>> {
    let [system, version, code, display] = columns;
    let code = code?;
    let system = system.map(|name| system_uri(&name, &code, environment));
    let elements = [("system", system), ("version", version), ("code", Some(code)), ("display", display)];
    let filled = elements.into_iter().filter_map(|(name, text)| Some((name, Val::Text(trimmed(text?)))));
    Some(Val::Object(filled.collect()))
}

/// The URI of a code system that a message names for a code.
fn system_uri<'r>(name: &str, code: &str, environment: &Environment<'r>) -> Cow<'r, str> {
    let name = name.trim();
    if let Some(uri) = environment.system(name) {
        return Cow::Borrowed(uri);
    }
    if let Some(number) = name.strip_prefix("HL7").filter(|digits| digits.len() == 4) {
        return hl7_system(number, code, environment);
    }
    if is_oid(name) {
        return Cow::Owned(format!("urn:oid:{name}"));
    }
    if is_uri(name) {
        return Cow::Owned(name.to_owned());
    }
    Cow::Owned(environment.local_system(name))
}

/// The URI of a table of HL7 for one of its codes. A code that HL7 does not have there is the sender's own: it is no
/// code of HL7's code system, whatever table the sender names.
pub(super) fn hl7_system<'r>(number: &str, code: &str, environment: &Environment<'r>) -> Cow<'r, str> {
    if grammar::table(number).is_some_and(|table| table.code(code.trim()).is_some()) {
        Cow::Owned(format!("http://terminology.hl7.org/CodeSystem/v2-{number}"))
    } else {
        Cow::Owned(environment.local_system(&format!("HL7{number}")))
    }
}

/// Numbers with dots between them, at least three, the first 0 to 2.
pub(super) fn is_oid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() >= 3
        && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()))
        && matches!(parts.first(), Some(&("0" | "1" | "2")))
}

/// A scheme and something after it.
pub(super) fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https" | "urn") && !rest.is_empty() && !rest.contains(char::is_whitespace)
    })
}
