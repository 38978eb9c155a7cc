//! Functions of texts.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Arguments, Example, Function, Kind, Takes, many, one, optional};
use crate::arabic::{fold_digit, search_form};
use crate::mapping::error::Fault;
use crate::mapping::value::Val;

/// The null of HL7 v2 (HL7 v2.5.1 section 2.5.3.6): delete what you have.
pub(in crate::mapping) const NULL: &str = "\"\"";

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "text",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The value as text: blanks at both ends dropped, Arabic-Indic and Persian digits written as 0 to 9.",
        example: Example {
            given: "NTE|1||  قرص كل ١٢ ساعة ",
            expression: "NTE-3 | text",
            gives: r#""قرص كل 12 ساعة""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| Ok(arguments.text(0).map_or(Val::Absent, |text| Val::Text(fold_digits(trimmed(text))))),
    },
    Function {
        name: "upper",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The text in capital letters.",
        example: Example { given: "ORC|nw", expression: "ORC-1 | upper", gives: r#""NW""# },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| Ok(arguments.text(0).map_or(Val::Absent, |text| Val::from(text.to_uppercase()))),
    },
    Function {
        name: "lower",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The text in small letters.",
        example: Example { given: "PID|||||||M|", expression: "\"MALE\" | lower", gives: r#""male""# },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| Ok(arguments.text(0).map_or(Val::Absent, |text| Val::from(text.to_lowercase()))),
    },
    Function {
        name: "trim",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The text without blanks at both ends.",
        example: Example { given: "ORC|NW| 12 ", expression: "ORC-2.1 | trim", gives: r#""12""# },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| Ok(arguments.text(0).map_or(Val::Absent, |text| Val::Text(trimmed(text)))),
    },
    Function {
        name: "concat",
        parameters: &[many("value", Kind::Value)],
        returns: Kind::Text,
        doc: "All values one after the other; empty ones give nothing. `+` does the same.",
        example: Example {
            given: "ORC|NW|12^HIS",
            expression: "concat(ORC-2.2, \"/\", ORC-2.1)",
            gives: r#""HIS/12""#,
        },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| Ok(joined(std::mem::take(&mut arguments.values), "")),
    },
    Function {
        name: "split",
        parameters: &[one("value", Kind::Value), one("separator", Kind::Word), one("place", Kind::Number)],
        returns: Kind::Text,
        doc: "The part of the text at a place, counted from 1, when it is cut at every separator; nothing if there is no such part.",
        example: Example { given: "ORC|NW|A-12", expression: "ORC-2.1 | split(\"-\", 2)", gives: r#""12""# },
        may_fail: false,
        takes: Takes::Each,
        run: split,
    },
    Function {
        name: "replace",
        parameters: &[one("value", Kind::Value), one("from", Kind::Word), one("to", Kind::Word)],
        returns: Kind::Text,
        doc: "The text with every `from` replaced by `to`.",
        example: Example { given: "RXE||J06,9", expression: "RXE-2.1 | replace(\",\", \".\")", gives: r#""J06.9""# },
        may_fail: false,
        takes: Takes::Each,
        run: replace,
    },
    Function {
        name: "substring",
        parameters: &[one("value", Kind::Value), one("from", Kind::Number), optional("length", Kind::Number)],
        returns: Kind::Text,
        doc: "The letters of the text from a place, counted from 1: so many, or all to the end; nothing if the text ends before.",
        example: Example {
            given: "PID|||28001010100013",
            expression: "PID-3.1 | substring(2, 6)",
            gives: r#""800101""#,
        },
        may_fail: false,
        takes: Takes::Each,
        run: substring,
    },
    Function {
        name: "fold",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The text as names are searched by: no vowel signs and no lengthening stroke, alef, hamza, ya and ta marbuta each as one letter, `عبد` joined to the word after it, joined forms as plain letters, digits as 0 to 9, small Latin letters, one blank between words. For comparing, not for sending.",
        example: Example {
            given: "PID|||||الشيخ^فَاطِمَة أحمد", expression: "PID-5.2 | fold", gives: r#""فاطمه احمد""#
        },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| Ok(arguments.text(0).map_or(Val::Absent, |text| Val::from(search_form(&text)))),
    },
    Function {
        name: "base64",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The UTF-8 bytes of the text in Base64 (RFC 4648 section 4), as `Attachment.data` and `Binary.data` take them.",
        example: Example { given: "NTE|1||قرص", expression: "NTE-3 | base64", gives: r#""2YLYsdi1""# },
        may_fail: false,
        takes: Takes::Each,
        run: |arguments| Ok(arguments.text(0).map_or(Val::Absent, |text| Val::from(STANDARD.encode(text.as_bytes())))),
    },
    Function {
        name: "default",
        parameters: &[one("value", Kind::Any), one("otherwise", Kind::Any)],
        returns: Kind::Any,
        doc: "The value, or something else when it is empty. `??` does the same.",
        example: Example { given: "ORC|NW", expression: "ORC-5 | default(\"IP\")", gives: r#""IP""# },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| {
            let value = arguments.take(0);
            Ok(if value.is_empty() { arguments.take(1) } else { value })
        },
    },
    Function {
        name: "required",
        parameters: &[one("value", Kind::Any)],
        returns: Kind::Any,
        doc: "The value; the message is refused (HUB0150) when it is empty.",
        example: Example { given: "ORC|NW|12", expression: "ORC-2.1 | required", gives: r#""12""# },
        may_fail: true,
        takes: Takes::Whole,
        run: |arguments| {
            let value = arguments.take(0);
            if value.is_empty() { Err(Fault::Missing) } else { Ok(value) }
        },
    },
    Function {
        name: "null",
        parameters: &[],
        returns: Kind::Text,
        doc: "The null of HL7 v2, `\"\"`: the receiver shall delete what it has. For HL7 v2 targets only; a text of the source is never written as a null.",
        example: Example {
            given: r#"{"telecom":null}"#,
            expression: "null() if is_null(telecom) else telecom",
            gives: r#""\"\"""#,
        },
        may_fail: false,
        takes: Takes::Whole,
        run: |_| Ok(Val::from(NULL)),
    },
    Function {
        name: "is_null",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Boolean,
        doc: "Whether an HL7 v2 value is null, `\"\"`: the sender wants what is stored to be deleted. In a JSON document, whether it is `null`.",
        example: Example { given: "ORC|NW|12|\"\"", expression: "is_null(ORC-3)", gives: "true" },
        may_fail: false,
        takes: Takes::Whole,
        run: |arguments| {
            Ok(Val::Boolean(match arguments.take(0) {
                Val::Field(field) => field.value.is_null(),
                Val::Json(json) => json.is_null(),
                Val::Absent | Val::Boolean(_) | Val::Text(_) | Val::Number(_) | Val::List(_) | Val::Object(_) => false,
            }))
        },
    },
];

fn split<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let (Some(text), Some(separator), Some(place)) = (arguments.text(0), arguments.text(1), arguments.text(2)) else {
        return Ok(Val::Absent);
    };
    let place = place.trim().parse::<usize>().ok().and_then(|place| place.checked_sub(1));
    let part = place.and_then(|place| text.split(&*separator).nth(place));
    Ok(part.map_or(Val::Absent, |part| Val::from(part.to_owned())))
}

/// A place or a length, in digits.
pub(super) fn whole_number(arguments: &Arguments<'_>, place: usize) -> Option<usize> {
    arguments.text(place).and_then(|text| text.trim().parse().ok())
}

fn substring<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let before = whole_number(arguments, 1).and_then(|from| from.checked_sub(1));
    let (Some(text), Some(before)) = (arguments.text(0), before) else { return Ok(Val::Absent) };
    let length = if arguments.values.len() > 2 { whole_number(arguments, 2).unwrap_or(0) } else { usize::MAX };
    Ok(Val::from(text.chars().skip(before).take(length).collect::<String>()))
}

fn replace<'r>(arguments: &mut Arguments<'r>) -> Result<Val<'r>, Fault> {
    let (Some(text), Some(from)) = (arguments.text(0), arguments.word(1)) else { return Ok(Val::Absent) };
    let to = arguments.word(2).unwrap_or_default();
    if from.is_empty() {
        return Ok(Val::Text(text));
    }
    Ok(Val::from(text.replace(&*from, &to)))
}

/// The texts of all values with `between` between them; lists count as their items.
pub(in crate::mapping) fn joined<'r>(values: Vec<Val<'r>>, between: &str) -> Val<'r> {
    let mut all = String::new();
    for text in values.into_iter().flat_map(Val::into_items).filter_map(|value| value.spoken()) {
        if !all.is_empty() {
            all.push_str(between);
        }
        all.push_str(&text);
    }
    if all.is_empty() { Val::Absent } else { Val::from(all) }
}

pub(super) fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Arabic-Indic (U+0660) and Persian (U+06F0) digits as 0 to 9.
pub(super) fn fold_digits(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_foreign = |letter: char| matches!(letter, '\u{660}'..='\u{669}' | '\u{6F0}'..='\u{6F9}');
    if text.is_ascii() || !text.contains(is_foreign) {
        return text;
    }
    Cow::Owned(text.chars().map(fold_digit).collect())
}
