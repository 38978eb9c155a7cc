//! What an expression gives while a mapping runs.
//!
//! In come parts of a document; out go values that borrow from it. Promised: nothing is copied before
//! it is written; emptiness means the same everywhere. Refused: nothing.

use std::borrow::Cow;
use std::cmp::Ordering;

use adapters::hl7v2;
use serde_json::Value as Json;

use super::fields::DataType;

/// A value that borrows from the document, the mapping or the context.
#[derive(Clone, Debug)]
pub(super) enum Val<'r> {
    /// Nothing.
    Absent,
    /// True or false.
    Boolean(bool),
    /// Letters.
    Text(Cow<'r, str>),
    /// A decimal number, in digits as JSON writes them.
    Number(Cow<'r, str>),
    /// A part of an HL7 v2 message, not yet decoded.
    Field(Field<'r>),
    /// A part of a JSON document.
    Json(&'r Json),
    /// Several.
    List(Vec<Val<'r>>),
    /// A structure that a typed function made.
    Object(Vec<(&'r str, Val<'r>)>),
}

/// A part of an HL7 v2 message, and the type that the standard gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'r> {
    /// The part.
    pub value: hl7v2::Value<'r>,
    /// The type of the part.
    pub datatype: DataType,
}

impl<'r> Val<'r> {
    /// Whether nothing would be written. A null (`""`) is not valued.
    pub fn is_empty(&self) -> bool {
        match self {
            Val::Absent => true,
            Val::Boolean(_) | Val::Number(_) => false,
            Val::Text(text) => is_blank(text),
            Val::Field(field) => field.is_empty(),
            Val::Json(json) => json_is_empty(json),
            Val::List(items) => items.iter().all(Val::is_empty),
            Val::Object(fields) => fields.iter().all(|(_, value)| value.is_empty()),
        }
    }

    /// Whether the value holds as a condition: true, or anything that is not empty.
    pub fn holds(&self) -> bool {
        match self {
            Val::Boolean(boolean) => *boolean,
            Val::Json(Json::Bool(boolean)) => *boolean,
            Val::Absent
            | Val::Text(_)
            | Val::Number(_)
            | Val::Field(_)
            | Val::Json(_)
            | Val::List(_)
            | Val::Object(_) => !self.is_empty(),
        }
    }

    /// The value as letters: the first leaf of a field, the first of several. `None` when it is empty or
    /// a structure.
    pub fn text(&self) -> Option<Cow<'r, str>> {
        let text = match self {
            Val::Absent | Val::Object(_) => return None,
            Val::Boolean(true) => Cow::Borrowed("true"),
            Val::Boolean(false) => Cow::Borrowed("false"),
            Val::Text(text) | Val::Number(text) => text.clone(),
            Val::Field(field) => field.value.text(),
            Val::Json(json) => return json_text(json),
            Val::List(items) => return items.iter().find_map(Val::text),
        };
        (!is_blank(&text)).then_some(text)
    }

    /// The value as letters, also when they are only blanks.
    pub fn spoken(&self) -> Option<Cow<'r, str>> {
        match self {
            Val::Text(text) => Some(text.clone()),
            Val::Absent
            | Val::Boolean(_)
            | Val::Number(_)
            | Val::Field(_)
            | Val::Json(_)
            | Val::List(_)
            | Val::Object(_) => self.text(),
        }
    }

    /// The values of a list, or the value itself as the only one; nothing for an empty one.
    pub fn into_items(self) -> Vec<Val<'r>> {
        match self {
            Val::List(items) => items,
            Val::Json(Json::Array(items)) => items.iter().map(Val::Json).collect(),
            Val::Absent => Vec::new(),
            Val::Boolean(_) | Val::Text(_) | Val::Number(_) | Val::Field(_) | Val::Json(_) | Val::Object(_) => {
                vec![self]
            }
        }
    }

    /// Whether the value is several.
    pub fn is_list(&self) -> bool {
        matches!(self, Val::List(_) | Val::Json(Json::Array(_)))
    }
}

impl<'r> From<&'r str> for Val<'r> {
    fn from(text: &'r str) -> Self {
        Val::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Val<'_> {
    fn from(text: String) -> Self {
        Val::Text(Cow::Owned(text))
    }
}

impl<'r> From<Cow<'r, str>> for Val<'r> {
    fn from(text: Cow<'r, str>) -> Self {
        Val::Text(text)
    }
}

impl<'r> Field<'r> {
    /// Nothing there, null, or only blanks.
    pub fn is_empty(&self) -> bool {
        let raw = self.value.raw();
        raw.iter().all(|byte| *byte == b' ') || self.value.is_empty() || self.value.is_null()
    }

    /// A component as text; `None` when it is empty.
    pub fn component(&self, number: u16) -> Option<Cow<'r, str>> {
        filled_text(self.value.component(number))
    }

    /// The first components as text, in one pass; `None` for each that is empty.
    pub fn components<const N: usize>(&self) -> [Option<Cow<'r, str>>; N] {
        let mut components = self.value.components();
        std::array::from_fn(|_| components.next().and_then(filled_text))
    }

    /// A subcomponent of a component as text; `None` when it is empty.
    pub fn subcomponent(&self, component: u16, number: u16) -> Option<Cow<'r, str>> {
        filled_text(self.value.component(component).subcomponent(number))
    }
}

fn filled_text(value: hl7v2::Value<'_>) -> Option<Cow<'_, str>> {
    if value.is_empty() {
        return None;
    }
    let text = value.text();
    (!is_blank(&text)).then_some(text)
}

/// Nothing, or only blanks.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn json_is_empty(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Bool(_) | Json::Number(_) => false,
        Json::String(text) => is_blank(text),
        Json::Array(items) => items.iter().all(json_is_empty),
        Json::Object(fields) => fields.values().all(json_is_empty),
    }
}

fn json_text(json: &Json) -> Option<Cow<'_, str>> {
    match json {
        Json::Null | Json::Object(_) => None,
        Json::Bool(true) => Some(Cow::Borrowed("true")),
        Json::Bool(false) => Some(Cow::Borrowed("false")),
        Json::Number(number) => Some(Cow::Owned(number.to_string())),
        Json::String(text) => (!is_blank(text)).then_some(Cow::Borrowed(text.as_str())),
        Json::Array(items) => items.iter().find_map(json_text),
    }
}

/// A decimal number as JSON writes it: no sign `+`, no leading zeros, digits on both sides of the point.
/// `None` when the text is no number. Precision is kept: `1.50` stays `1.50`.
pub(super) fn canonical_number(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !fraction.is_none_or(is_digits) || (whole.is_empty() && fraction.is_none_or(str::is_empty))
    {
        return None;
    }
    let fraction = fraction.filter(|fraction| !fraction.is_empty());
    let trimmed = whole.trim_start_matches('0');
    let plain = if trimmed.is_empty() { "0" } else { trimmed };
    let unchanged = sign.is_empty() && plain.len() == whole.len() && text.len() == digits.len();
    match (unchanged, fraction) {
        (true, None) => {
            Some(Cow::Borrowed(plain)).filter(|_| !digits.ends_with('.')).or(Some(Cow::Owned(plain.to_owned())))
        }
        (true, Some(_)) => Some(Cow::Borrowed(text)),
        (false, None) => Some(Cow::Owned(format!("{sign}{plain}"))),
        (false, Some(fraction)) => Some(Cow::Owned(format!("{sign}{plain}.{fraction}"))),
    }
}

/// Compares two decimal numbers exactly. `None` when one is no number.
pub(super) fn compare_numbers(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (canonical_number(left)?, canonical_number(right)?);
    let (left, right) = (Decimal::of(&left), Decimal::of(&right));
    Some(match (left.negative, right.negative) {
        (false, false) => left.compare_size(&right),
        (true, true) => right.compare_size(&left),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

struct Decimal<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
}

impl<'t> Decimal<'t> {
    fn of(canonical: &'t str) -> Self {
        let (signed, fraction) = canonical.split_once('.').unwrap_or((canonical, ""));
        let fraction = fraction.trim_end_matches('0');
        let whole = signed.strip_prefix('-').unwrap_or(signed);
        let negative = signed.starts_with('-') && !(whole == "0" && fraction.is_empty());
        Decimal { negative, whole, fraction }
    }

    fn compare_size(&self, other: &Self) -> Ordering {
        (self.whole.len(), self.whole, self.fraction).cmp(&(other.whole.len(), other.whole, other.fraction))
    }
}

#[cfg(test)]
impl PartialEq for Val<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Val::Absent, Val::Absent) => true,
            (Val::Boolean(left), Val::Boolean(right)) => left == right,
            (Val::Number(left), Val::Number(right)) => left == right,
            (Val::List(left), Val::List(right)) => left == right,
            (Val::Object(left), Val::Object(right)) => left == right,
            (Val::Text(_) | Val::Field(_) | Val::Json(_), Val::Text(_) | Val::Field(_) | Val::Json(_)) => {
                self.text() == other.text()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_json_does_and_keep_their_precision() {
        let table = [
            ("1", "1"),
            ("1.50", "1.50"),
            ("007", "7"),
            ("+5", "5"),
            ("-0.5", "-0.5"),
            (".5", "0.5"),
            ("5.", "5"),
            (" 14 ", "14"),
            ("00", "0"),
            ("-.25", "-0.25"),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ];
        for (text, expected) in table {
            assert_eq!(canonical_number(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", ".", "-", "1,5", "1e5", "0x1", "1.2.3", "--1", "١"] {
            assert_eq!(canonical_number(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_exactly() {
        assert_eq!(compare_numbers("1.10", "1.1"), Some(Ordering::Equal));
        assert_eq!(compare_numbers("9", "10"), Some(Ordering::Less));
        assert_eq!(compare_numbers("-2", "-10"), Some(Ordering::Greater));
        assert_eq!(compare_numbers("-0", "0.0"), Some(Ordering::Equal));
        assert_eq!(compare_numbers("0.1000000000000000055", "0.1"), Some(Ordering::Greater));
        assert_eq!(compare_numbers("x", "1"), None);
    }

    proptest! {
        #[test]
        fn comparison_agrees_with_that_of_whole_numbers(left in -9_999_i64..9_999, right in -9_999_i64..9_999) {
            prop_assert_eq!(compare_numbers(&left.to_string(), &right.to_string()), Some(left.cmp(&right)));
        }

        #[test]
        fn a_canonical_number_is_json_and_stays_what_it_is(text in "[+-]?[0-9]{0,6}(\\.[0-9]{0,6})?") {
            if let Some(number) = canonical_number(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Number>(&number).is_ok(), "{}", number);
                prop_assert_eq!(canonical_number(&number), Some(number.clone()));
            }
        }
    }
}
