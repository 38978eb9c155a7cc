//! Functions of numbers and truth.

use std::borrow::Cow;

use super::text::{fold_digits, trimmed};
use super::{Arguments, Environment, Example, Function, Kind, Takes, one, optional};
use crate::mapping::error::Fault;
use crate::mapping::fields::DataType;
use crate::mapping::tables::Row;
use crate::mapping::value::{Field, Val, canonical_number};

/// The system of UCUM units in FHIR.
const UCUM: &str = "http://unitsofmeasure.org";

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "integer",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Number,
        doc: "The value as a whole number. Arabic-Indic digits are read; a fraction of zeros is dropped; anything else is refused.",
        example: Example { given: "RXE||||||||||||٣", expression: "RXE-12 | integer", gives: "3" },
        may_fail: true,
        takes: Takes::Each,
        run: integer,
    },
    Function {
        name: "decimal",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Number,
        doc: "The value as a decimal number, with its precision: 1.50 stays 1.50. Arabic-Indic digits are read; what is no number is refused.",
        example: Example { given: "RXE|||1.50", expression: "RXE-3 | decimal", gives: "1.50" },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0) {
            Some(text) => Ok(Val::Number(read_number(text).ok_or(Fault::Invalid("the value is no number"))?)),
            None => Ok(Val::Absent),
        },
    },
    Function {
        name: "boolean",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Boolean,
        doc: "True for Y, YES, T, TRUE and 1, false for N, NO, F, FALSE and 0, in capital or small letters; anything else is refused.",
        example: Example { given: "PID||||||||||||||||||||||||Y", expression: "PID-24 | boolean", gives: "true" },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0).map(|text| text.trim().to_ascii_uppercase()).as_deref() {
            Some("Y" | "YES" | "T" | "TRUE" | "1") => Ok(Val::Boolean(true)),
            Some("N" | "NO" | "F" | "FALSE" | "0") => Ok(Val::Boolean(false)),
            Some(_) => Err(Fault::Invalid("the value is neither yes nor no")),
            None => Ok(Val::Absent),
        },
    },
    Function {
        name: "quantity",
        parameters: &[one("value", Kind::Value), optional("unit", Kind::Value)],
        returns: Kind::Structure,
        doc: "A FHIR Quantity. The unit is coded in UCUM when the table `units` has it or the sender says UCUM, and is text otherwise. A field with its own unit (CQ) needs no second argument.",
        example: Example {
            given: "RXE|||1||mg^milligram^UCUM",
            expression: "quantity(RXE-3, RXE-5)",
            gives: r#"{"value":1,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}"#,
        },
        may_fail: true,
        takes: Takes::Each,
        run: quantity,
    },
];

/// A decimal number in any digits. A comma is a decimal point when it stands alone.
pub(super) fn read_number(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let folded = fold_digits(trimmed(text)).replace('٫', ".");
    let is_decimal_comma = folded.matches(',').count() == 1 && !folded.contains('.');
    let plain = if is_decimal_comma { folded.replace(',', ".") } else { folded };
    canonical_number(&plain).map(|number| Cow::Owned(number.into_owned()))
}

fn integer<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let Some(text) = arguments.text(0) else { return Ok(Val::Absent) };
    let number = read_number(text).ok_or(Fault::Invalid("the value is no number"))?;
    match number.split_once('.') {
        None => Ok(Val::Number(number)),
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => {
            Ok(Val::Number(Cow::Owned(whole.to_owned())))
        }
        Some(_) => Err(Fault::Invalid("the value is no whole number")),
    }
}

fn quantity<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let value = arguments.take(0);
    if let Val::Json(serde_json::Value::Object(_)) = value {
        return Ok(value);
    }
    let Some(text) = value.text() else { return Ok(Val::Absent) };
    let number = read_number(text).ok_or(Fault::Invalid("the value is no number"))?;
    let unit = match (arguments.take(1), &value) {
        (Val::Absent, Val::Field(field)) if field.datatype == DataType::Cq => unit_of_cq(field, arguments.environment),
        (Val::Absent, _) => Unit::default(),
        (Val::Field(field), _) => Unit::coded(&field, arguments.environment),
        (other, _) => Unit::named(other.text(), arguments.environment),
    };
    let mut elements = vec![("value", Val::Number(number))];
    let named = [("unit", unit.name), ("system", unit.system), ("code", unit.code)];
    elements.extend(named.into_iter().filter_map(|(key, part)| Some((key, Val::Text(part?)))));
    Ok(Val::Object(elements))
}

/// A unit in FHIR's terms.
#[derive(Default)]
struct Unit<'r> {
    name: Option<Cow<'r, str>>,
    system: Option<Cow<'r, str>>,
    code: Option<Cow<'r, str>>,
}

impl<'r> Unit<'r> {
    /// A unit in a coded field: code, text, system.
    fn coded(field: &Field<'r>, environment: &'r Environment<'r>) -> Self {
        let (code, name, system) = (field.component(1), field.component(2), field.component(3));
        Unit::of(code, name, system, environment)
    }

    /// A unit that is only a text.
    fn named(text: Option<Cow<'r, str>>, environment: &'r Environment<'r>) -> Self {
        Unit::of(text, None, None, environment)
    }

    fn of(
        code: Option<Cow<'r, str>>,
        name: Option<Cow<'r, str>>,
        system: Option<Cow<'r, str>>,
        environment: &'r Environment<'r>,
    ) -> Self {
        if code.is_some() && system.as_deref().is_some_and(is_ucum) {
            let name = name.or_else(|| code.clone());
            return Unit { name, system: Some(Cow::Borrowed(UCUM)), code };
        }
        let known = code.as_deref().or(name.as_deref()).and_then(|text| environment.units?.row(text));
        match known {
            Some(Row::Text(ucum)) => {
                Unit { name: name.or(code), system: Some(Cow::Borrowed(UCUM)), code: Some(Cow::Borrowed(ucum)) }
            }
            Some(Row::Coding(columns)) => {
                let column = |key: &str| columns.get(key).map(|text| Cow::Borrowed(text.as_str()));
                Unit {
                    name: name.or_else(|| column("display")).or(code),
                    system: column("system").or(Some(Cow::Borrowed(UCUM))),
                    code: column("code"),
                }
            }
            Some(Row::Number(_) | Row::Boolean(_)) | None => Unit { name: name.or(code), ..Unit::default() },
        }
    }
}

/// The unit of a CQ: its second component is a CE with `&` inside.
fn unit_of_cq<'r>(field: &Field<'r>, environment: &'r Environment<'r>) -> Unit<'r> {
    let part = |number| field.subcomponent(2, number);
    Unit::of(part(1), part(2), part(3), environment)
}

fn is_ucum(system: &str) -> bool {
    let system = system.trim();
    system.eq_ignore_ascii_case("UCUM") || system == UCUM
}
