//! Functions of people and where they are: HumanName, Address, ContactPoint, the name of a Location.

use std::borrow::Cow;

use super::text::{fold_digits, trimmed};
use super::{Arguments, Example, Function, Kind, Takes, one};
use crate::mapping::error::Fault;
use crate::mapping::fields::DataType;
use crate::mapping::value::{Field, Val};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "human_name",
        parameters: &[one("value", Kind::Any)],
        returns: Kind::Structure,
        doc: "A FHIR HumanName from an XPN, XCN, PN or CN field. `text` is the name as people write it: prefix, given names, family name. A degree is a suffix.",
        example: Example {
            given: "PID|||||السيد^محمد^أحمد^^^^L",
            expression: "PID-5 | human_name",
            gives: r#"{"use":"official","text":"محمد أحمد السيد","family":"السيد","given":["محمد","أحمد"]}"#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: human_name,
    },
    Function {
        name: "address",
        parameters: &[one("value", Kind::Any)],
        returns: Kind::Structure,
        doc: "A FHIR Address from an XAD or AD field. A street that is given in parts (SAD) is put together: number, then name.",
        example: Example {
            given: "PID|||||||||||12 شارع النيل^^الجيزة^21^12511^EGY^H",
            expression: "PID-11 | address",
            gives: r#"{"use":"home","line":["12 شارع النيل"],"city":"الجيزة","state":"21","postalCode":"12511","country":"EGY"}"#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: address,
    },
    Function {
        name: "telecom",
        parameters: &[one("value", Kind::Any)],
        returns: Kind::Structure,
        doc: "A FHIR ContactPoint from an XTN or TN field; the number is put together from its parts when it is not given whole. It is an e-mail when the field says so, or has an e-mail and no number.",
        example: Example {
            given: "PID|||||||||||||^PRN^CP^^20^10^12345678",
            expression: "PID-13 | telecom",
            gives: r#"{"system":"phone","value":"+20 10 12345678","use":"mobile"}"#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: telecom,
    },
    Function {
        name: "location_name",
        parameters: &[one("value", Kind::Any)],
        returns: Kind::Text,
        doc: "The name of a place in a PL field: ward, room and bed with dashes, and the facility after a comma; its description when it has neither ward, room nor bed.",
        example: Example {
            given: "PV1|1|I|ICU^12^3^KASR",
            expression: "PV1-3 | location_name",
            gives: r#""ICU-12-3, KASR""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: location_name,
    },
];

fn location_name<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let field = match arguments.take(0) {
        Val::Field(field) => field,
        other => return Ok(other.text().map_or(Val::Absent, |text| Val::Text(trimmed(text)))),
    };
    let [ward, room, bed, facility, _, _, _, _, description] = field.components::<9>().map(|part| part.map(trimmed));
    let inside = [ward, room, bed].into_iter().flatten().collect::<Vec<_>>().join("-");
    let inside = if inside.is_empty() { description } else { Some(Cow::Owned(inside)) };
    let parts: Vec<Cow<'r, str>> = [inside, facility].into_iter().flatten().collect();
    Ok(if parts.is_empty() { Val::Absent } else { Val::from(parts.join(", ")) })
}

/// The field of a structured value; anything else goes through as it is.
fn field_or<'r>(arguments: &mut Arguments<'r>, text_element: &'static str) -> Result<Field<'r>, Val<'r>> {
    match arguments.take(0) {
        Val::Field(field) => Ok(field),
        structure @ (Val::Object(_) | Val::Json(serde_json::Value::Object(_))) => Err(structure),
        other => Err(other.text().map_or(Val::Absent, |text| Val::Object(vec![(text_element, Val::Text(text))]))),
    }
}

fn human_name<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let field = match field_or(arguments, "text") {
        Ok(field) => field,
        Err(value) => return Ok(value),
    };
    // XCN has the identifier first, and its name type in 10 instead of 7. Places count from 0.
    let (first, kind_place): (usize, usize) = if field.datatype == DataType::Xcn { (1, 9) } else { (0, 6) };
    let mut parts = field.components::<10>().map(|part| part.map(trimmed));
    let mut part = |place: usize| parts.get_mut(place).and_then(Option::take);
    let [family, given, middle, suffix, prefix, degree] = [0, 1, 2, 3, 4, 5].map(|offset| part(first + offset));
    let usage = match part(kind_place).as_deref() {
        Some("L" | "R") => Some("official"),
        Some("D") => Some("usual"),
        Some("M") => Some("maiden"),
        Some("N") => Some("nickname"),
        Some("S" | "MSK") => Some("anonymous"),
        Some("BAD") => Some("old"),
        Some("TEMP" | "NAV") => Some("temp"),
        Some(_) | None => None,
    };
    let spoken: Vec<&str> =
        [&prefix, &given, &middle, &family, &suffix].into_iter().flatten().map(AsRef::as_ref).collect();
    let mut elements = Vec::with_capacity(6);
    if let Some(usage) = usage {
        elements.push(("use", Val::from(usage)));
    }
    if !spoken.is_empty() {
        elements.push(("text", Val::from(spoken.join(" "))));
    }
    if let Some(family) = family {
        elements.push(("family", Val::Text(family)));
    }
    let given: Vec<Val<'r>> = [given, middle].into_iter().flatten().map(Val::Text).collect();
    let suffix: Vec<Val<'r>> = [suffix, degree].into_iter().flatten().map(Val::Text).collect();
    let prefix: Vec<Val<'r>> = prefix.map(Val::Text).into_iter().collect();
    for (name, values) in [("given", given), ("prefix", prefix), ("suffix", suffix)] {
        if !values.is_empty() {
            elements.push((name, Val::List(values)));
        }
    }
    Ok(structure(elements))
}

fn address<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let field = match field_or(arguments, "text") {
        Ok(field) => field,
        Err(value) => return Ok(value),
    };
    let part = |number: u16| field.component(number).map(trimmed);
    let (usage, kind) = match part(7).as_deref() {
        Some("H" | "P") => (Some("home"), None),
        Some("B" | "O") => (Some("work"), None),
        Some("C") => (Some("temp"), None),
        Some("BA") => (Some("old"), None),
        Some("BI") => (Some("billing"), None),
        Some("M" | "SH") => (None, Some("postal")),
        Some(_) | None => (None, None),
    };
    let mut elements = Vec::with_capacity(8);
    elements.extend(usage.map(|usage| ("use", Val::from(usage))));
    elements.extend(kind.map(|kind| ("type", Val::from(kind))));
    let lines: Vec<Val<'r>> = [street(&field), part(2)].into_iter().flatten().map(Val::Text).collect();
    if !lines.is_empty() {
        elements.push(("line", Val::List(lines)));
    }
    for (name, number) in [("city", 3), ("district", 9), ("state", 4), ("postalCode", 5), ("country", 6)] {
        elements.extend(part(number).map(|text| (name, Val::Text(text))));
    }
    Ok(structure(elements))
}

/// The first line: as it is given, or number and name of the street (SAD).
fn street<'r>(field: &Field<'r>) -> Option<Cow<'r, str>> {
    let [line, name, number] = [1, 2, 3].map(|place| field.subcomponent(1, place).map(trimmed));
    line.or_else(|| match (number, name) {
        (Some(number), Some(name)) => Some(Cow::Owned(format!("{number} {name}"))),
        (number, name) => number.or(name),
    })
}

fn telecom<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let field = match field_or(arguments, "value") {
        Ok(field) => field,
        Err(value) => return Ok(value),
    };
    let part = |number: u16| field.component(number).map(|text| fold_digits(trimmed(text)));
    let (kind, equipment) = (part(2), part(3));
    let phone = part(12).or_else(|| number(&part)).or_else(|| part(1)).filter(|text| !text.contains('@'));
    let says_mail = matches!(equipment.as_deref(), Some("Internet" | "X.400")) || kind.as_deref() == Some("NET");
    let is_mail = says_mail || phone.is_none();
    let system = match equipment.as_deref() {
        _ if is_mail => "email",
        Some("FX") => "fax",
        Some("BP") => "pager",
        Some("MD" | "SAT" | "TDD" | "TTY") => "other",
        Some(_) | None => "phone",
    };
    let usage = match (kind.as_deref(), equipment.as_deref()) {
        (_, Some("CP")) | (Some("PRS"), _) => Some("mobile"),
        (Some("PRN" | "ORN" | "VHN"), _) => Some("home"),
        (Some("WPN"), _) => Some("work"),
        (Some(_) | None, _) => None,
    };
    let value = if is_mail { part(4).or_else(|| part(1)) } else { phone };
    let Some(value) = value else { return Ok(Val::Absent) };
    let mut elements = vec![("system", Val::from(system)), ("value", Val::Text(value))];
    elements.extend(usage.map(|usage| ("use", Val::from(usage))));
    Ok(Val::Object(elements))
}

/// `+country area local xextension`; nothing without a local number.
fn number<'r>(part: &impl Fn(u16) -> Option<Cow<'r, str>>) -> Option<Cow<'r, str>> {
    let local = part(7)?;
    let country = part(5).map(|country| format!("+{} ", country.trim_start_matches('+')));
    let area = part(6).map(|area| format!("{area} "));
    let extension = part(8).map(|extension| format!(" x{extension}"));
    Some(Cow::Owned(format!(
        "{}{}{local}{}",
        country.unwrap_or_default(),
        area.unwrap_or_default(),
        extension.unwrap_or_default()
    )))
}

fn structure<'r>(elements: Vec<(&'r str, Val<'r>)>) -> Val<'r> {
    if elements.is_empty() { Val::Absent } else { Val::Object(elements) }
}
