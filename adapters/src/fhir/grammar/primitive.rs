//! Primitive types: which texts are values of each (FHIR R4, datatypes.html#primitive).
//!
//! In comes the text of a JSON string, number or boolean; out goes what is wrong with it. Promised: what is
//! taken matches the pattern of the type in `primitives.txt` and what the standard says beside it: values
//! are not empty, days exist, integers have 32 bits, strings have no control characters and at most 1 MiB.

mod scan;

use self::scan::{has_day_of_calendar, is_uuid};
use self::scan::{is_base64, is_code, is_date, is_date_time, is_decimal, is_instant, is_integer, is_oid, is_time};

const TABLE: &str = include_str!("primitives.txt");

/// Longest string, in bytes (datatypes.html#string).
const STRING_BYTES_MAX: usize = 1024 * 1024;

/// Longest id, in bytes (datatypes.html#id).
const ID_BYTES_MAX: usize = 64;

/// A type without elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    /// `base64Binary`
    Base64Binary,
    /// `boolean`
    Boolean,
    /// `canonical`: URL of a definition, with its version behind `|`.
    Canonical,
    /// `code`
    Code,
    /// `date`: to the year, the month or the day.
    Date,
    /// `dateTime`: as `date`, or to the second with a zone.
    DateTime,
    /// `decimal`
    Decimal,
    /// `id`
    Id,
    /// `instant`: to the second or finer, with a zone.
    Instant,
    /// `integer`
    Integer,
    /// `markdown`
    Markdown,
    /// `oid`: `urn:oid:1.2.3`
    Oid,
    /// `positiveInt`: from 1.
    PositiveInt,
    /// `string`
    String,
    /// `time`
    Time,
    /// `unsignedInt`: from 0.
    UnsignedInt,
    /// `uri`
    Uri,
    /// `url`
    Url,
    /// `uuid`: `urn:uuid:` and lower-case letters.
    Uuid,
    /// `xhtml`: what it may hold is not judged here.
    Xhtml,
}

/// How JSON writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// Why a text is no value of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// No value is empty; what is not known is not written (json.html).
    #[error("it is empty")]
    Empty,
    /// It is not written as the type is.
    #[error("it is not written as the type is")]
    Shape,
    /// The month does not have the day.
    #[error("there is no such day")]
    Day,
    /// It is larger or longer than the type allows.
    #[error("it is too large")]
    TooLarge,
}

const ALL: [(&str, Primitive); 20] = [
    ("base64Binary", Primitive::Base64Binary),
    ("boolean", Primitive::Boolean),
    ("canonical", Primitive::Canonical),
    ("code", Primitive::Code),
    ("date", Primitive::Date),
    ("dateTime", Primitive::DateTime),
    ("decimal", Primitive::Decimal),
    ("id", Primitive::Id),
    ("instant", Primitive::Instant),
    ("integer", Primitive::Integer),
    ("markdown", Primitive::Markdown),
    ("oid", Primitive::Oid),
    ("positiveInt", Primitive::PositiveInt),
    ("string", Primitive::String),
    ("time", Primitive::Time),
    ("unsignedInt", Primitive::UnsignedInt),
    ("uri", Primitive::Uri),
    ("url", Primitive::Url),
    ("uuid", Primitive::Uuid),
    ("xhtml", Primitive::Xhtml),
];

impl Primitive {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Primitive> {
        ALL.into_iter().map(|(_, primitive)| primitive)
    }

    /// The type of this name.
    pub fn of(name: &str) -> Option<Primitive> {
        ALL.iter().find(|(own, _)| *own == name).map(|(_, primitive)| *primitive)
    }

    /// `dateTime`
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }

    /// How JSON writes it.
    pub fn form(self) -> Form {
        match self.row().0 {
            "boolean" => Form::Boolean,
            "number" => Form::Number,
            _ => Form::Text,
        }
    }

    /// The pattern that the standard gives it, for people; `xhtml` has none.
    pub fn pattern(self) -> Option<&'static str> {
        Some(self.row().1).filter(|pattern| *pattern != "-")
    }

    /// The form and the pattern that the table has.
    fn row(self) -> (&'static str, &'static str) {
        let row = TABLE.lines().find_map(|line| line.strip_prefix(self.name())?.strip_prefix(' '));
        row.and_then(|row| row.split_once(' ')).unwrap_or(("text", "-"))
    }

    /// Whether a text is a value of the type; of a string, the text without quotes and escapes.
    pub fn judge(self, text: &str) -> Result<(), Flaw> {
        if text.is_empty() {
            return Err(Flaw::Empty);
        }
        let is_shaped = match self {
            Primitive::Base64Binary => is_base64(text),
            Primitive::Boolean => matches!(text, "true" | "false"),
            Primitive::Canonical | Primitive::Uri | Primitive::Url => !text.contains(is_space),
            Primitive::Code => is_code(text),
            Primitive::Date => is_date(text),
            Primitive::DateTime => is_date_time(text),
            Primitive::Decimal => is_decimal(text),
            Primitive::Id => text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')),
            Primitive::Instant => is_instant(text),
            Primitive::Integer => is_integer(text.strip_prefix('-').unwrap_or(text)),
            Primitive::Markdown | Primitive::String => !text.contains(is_control),
            Primitive::Oid => is_oid(text),
            Primitive::PositiveInt => is_integer(text) && text != "0",
            Primitive::Time => is_time(text),
            Primitive::UnsignedInt => is_integer(text),
            Primitive::Uuid => is_uuid(text),
            Primitive::Xhtml => true,
        };
        if !is_shaped { Err(Flaw::Shape) } else { self.judge_size(text) }
    }

    /// What the patterns do not say, of a text that has the shape.
    fn judge_size(self, text: &str) -> Result<(), Flaw> {
        let has_day = matches!(self, Primitive::Date | Primitive::DateTime | Primitive::Instant);
        if has_day && !has_day_of_calendar(text) {
            return Err(Flaw::Day);
        }
        let is_integer = matches!(self, Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt);
        let is_long = matches!(self, Primitive::String | Primitive::Markdown) && text.len() > STRING_BYTES_MAX
            || self == Primitive::Id && text.len() > ID_BYTES_MAX;
        if is_long || is_integer && text.parse::<i32>().is_err() { Err(Flaw::TooLarge) } else { Ok(()) }
    }
}

/// White space as the patterns mean it.
fn is_space(letter: char) -> bool {
    letter.is_ascii_whitespace() || letter == '\u{b}'
}

/// What a string must not have: all below 32 but tab and line ends.
fn is_control(letter: char) -> bool {
    letter < ' ' && !matches!(letter, '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests;
