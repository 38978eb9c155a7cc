//! Functions of money: Money from MO, CP and plain numbers.

use std::borrow::Cow;

use super::number::read_number;
use super::{Arguments, Example, Function, Kind, Takes, one, optional};
use crate::mapping::error::Fault;
use crate::mapping::fields::DataType;
use crate::mapping::value::{Field, Val};

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "money",
    parameters: &[one("value", Kind::Any), optional("currency", Kind::Value)],
    returns: Kind::Structure,
    doc: "A FHIR Money from an amount: a field with its own currency (MO, CP), a number or a text. 1.50 stays 1.50; Arabic-Indic digits are read. The second argument is the currency of an amount that has none; without it such an amount has no currency. What is no number is refused, and so is a currency that is not three letters (ISO 4217).",
    example: Example {
        given: "FT1|1||||||||||125.50&EGP",
        expression: "FT1-11 | money",
        gives: r#"{"value":125.50,"currency":"EGP"}"#,
    },
    may_fail: true,
    takes: Takes::Each,
    run: money,
}];

fn money<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let (amount, own_currency) = match arguments.take(0) {
        Val::Field(field) => of_field(&field),
        structure @ (Val::Object(_) | Val::Json(serde_json::Value::Object(_))) => return Ok(structure),
        other => (other.text(), None),
    };
    let Some(amount) = amount else { return Ok(Val::Absent) };
    let value = read_number(amount).ok_or(Fault::Invalid("the amount is no number"))?;
    let mut elements = vec![("value", Val::Number(value))];
    if let Some(currency) = own_currency.or_else(|| arguments.text(1)) {
        let code = currency_code(&currency).ok_or(Fault::Invalid("the currency is not three letters"))?;
        elements.push(("currency", Val::from(code)));
    }
    Ok(Val::Object(elements))
}

/// Amount and currency. CP has an MO in its first component; MO itself has them in its first two.
fn of_field<'r>(field: &Field<'r>) -> (Option<Cow<'r, str>>, Option<Cow<'r, str>>) {
    let amount = field.subcomponent(1, 1);
    let inner = field.subcomponent(1, 2);
    let second = || field.component(2);
    let currency = match field.datatype {
        DataType::Mo => inner.or_else(second),
        // In a field of a Z-segment, what looks like a currency is one: the price types of a CP have two letters.
        DataType::Unknown => inner.or_else(|| second().filter(|text| currency_code(text).is_some())),
        _ => inner,
    };
    (amount, currency)
}

/// Three letters (ISO 4217), in capitals.
pub(in crate::mapping) fn currency_code(text: &str) -> Option<String> {
    let code = text.trim();
    let is_code = code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_alphabetic());
    is_code.then(|| code.to_ascii_uppercase())
}
