//! One part of a message: a field, a repetition, a component or a subcomponent.
//!
//! A value knows its bytes and at which level it stands. It divides itself when asked, and decodes only
//! leaves. Where a receiver expects components and finds none, the value itself is the first of them, and
//! the other way round (HL7 v2.5.1 section 2.8.2): so values of older and newer versions read alike.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::charset::Charset;
use super::delimiters::Delimiters;
use super::escape;
use super::index::Index;

/// The null value: what is stored is to be deleted.
const NULL: &[u8] = b"\"\"";

/// How deep a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Field,
    Repetition,
    Component,
    Subcomponent,
    /// Never divided and never unescaped: MSH-1, MSH-2, a whole segment.
    Opaque,
}

/// One field, repetition, component or subcomponent.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    raw: &'a [u8],
    at: usize,
    delimiters: Delimiters,
    charset: Charset,
    level: Level,
    present: bool,
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value").field("level", &self.level).field("span", &self.span()).finish()
    }
}

impl<'a> Value<'a> {
    /// A value that is not there.
    pub fn absent() -> Value<'a> {
        Value {
            raw: &[],
            at: 0,
            delimiters: Delimiters::default(),
            charset: Charset::Utf8,
            level: Level::Subcomponent,
            present: false,
        }
    }

    pub(super) fn field(raw: &'a [u8], at: usize, index: &Index) -> Value<'a> {
        let (delimiters, charset) = (index.delimiters, index.charset.used);
        Value { raw, at, delimiters, charset, level: Level::Field, present: true }
    }

    pub(super) fn opaque(raw: &'a [u8], at: usize, index: &Index) -> Value<'a> {
        Value { level: Level::Opaque, ..Value::field(raw, at, index) }
    }

    /// The bytes as they stand in the message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Nothing is there: the segment, field, repetition or component does not exist.
    pub fn is_absent(&self) -> bool {
        !self.present
    }

    /// Absent, of no length, or delimiters alone: "not valued".
    pub fn is_empty(&self) -> bool {
        let Delimiters { component, repetition, subcomponent, .. } = self.delimiters;
        let between = [component, repetition, subcomponent];
        match self.raw.first() {
            None => true,
            Some(_) if self.level == Level::Opaque => false,
            Some(_) => self.raw.iter().all(|byte| between.contains(&Some(*byte))),
        }
    }

    /// Exactly `""`: what is stored is to be deleted.
    pub fn is_null(&self) -> bool {
        self.raw == NULL
    }

    /// The text of the first leaf, decoded and with escapes resolved; empty for an empty or a null value.
    pub fn text(&self) -> Cow<'a, str> {
        let leaf = self.leaf();
        match leaf.level {
            Level::Opaque => leaf.charset.decode(leaf.raw),
            _ if leaf.is_null() => Cow::Borrowed(""),
            _ => escape::decode(leaf.raw, &leaf.delimiters, leaf.charset),
        }
    }

    /// How many escape sequences of the first leaf are unknown or unterminated; they stand in its text as
    /// they are.
    pub fn unknown_escapes(&self) -> usize {
        let leaf = self.leaf();
        if leaf.level == Level::Opaque {
            return 0;
        }
        escape::decode_counting(leaf.raw, &leaf.delimiters, leaf.charset).unknown
    }

    /// The sender cut this value short: it ends in the truncation character of MSH-2 (v2.7 and later).
    pub fn is_truncated(&self) -> bool {
        self.delimiters.truncation.is_some()
            && self.level != Level::Opaque
            && self.leaf().raw.last().copied() == self.delimiters.truncation
    }

    /// The repetitions of a field; none if it is empty. Anything else is its own only repetition.
    pub fn repetitions(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let delimiter = if self.level == Level::Field { self.delimiters.repetition } else { None };
        let level = if self.level == Level::Field { Level::Repetition } else { self.level };
        self.parts(delimiter, level)
    }

    /// A repetition, from 1.
    pub fn repetition(&self, number: u32) -> Value<'a> {
        match self.level {
            Level::Field => self.part(self.delimiters.repetition, number, Level::Repetition),
            _ if number == 1 => *self,
            _ => Value::absent(),
        }
    }

    /// A component, from 1, of the first repetition. The value itself if it has none and `number` is 1.
    pub fn component(&self, number: u16) -> Value<'a> {
        match self.level {
            Level::Field => self.repetition(1).component(number),
            Level::Repetition => self.part(self.delimiters.component, u32::from(number), Level::Component),
            Level::Component | Level::Subcomponent | Level::Opaque if number == 1 => *self,
            Level::Component | Level::Subcomponent | Level::Opaque => Value::absent(),
        }
    }

    /// The components of the first repetition; none if it is empty.
    pub fn components(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let whole = if self.level == Level::Field { self.repetition(1) } else { *self };
        let divided = whole.level == Level::Repetition;
        let delimiter = if divided { self.delimiters.component } else { None };
        whole.parts(delimiter, if divided { Level::Component } else { whole.level })
    }

    /// A subcomponent, from 1, of the first component.
    pub fn subcomponent(&self, number: u16) -> Value<'a> {
        match self.level {
            Level::Field | Level::Repetition => self.component(1).subcomponent(number),
            Level::Component => self.part(self.delimiters.subcomponent, u32::from(number), Level::Subcomponent),
            Level::Subcomponent | Level::Opaque if number == 1 => *self,
            Level::Subcomponent | Level::Opaque => Value::absent(),
        }
    }

    /// The subcomponents of the first component; none if it is empty.
    pub fn subcomponents(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let whole = if self.level < Level::Component { self.component(1) } else { *self };
        let divided = whole.level == Level::Component;
        let delimiter = if divided { self.delimiters.subcomponent } else { None };
        whole.parts(delimiter, if divided { Level::Subcomponent } else { whole.level })
    }

    /// Where the value is in the message; an empty range when it is absent.
    pub fn span(&self) -> Range<usize> {
        self.at..self.at.saturating_add(self.raw.len())
    }

    fn leaf(&self) -> Value<'a> {
        match self.level {
            Level::Field | Level::Repetition | Level::Component => self.subcomponent(1),
            Level::Subcomponent | Level::Opaque => *self,
        }
    }

    /// The part with this number when divided by `delimiter`.
    fn part(&self, delimiter: Option<u8>, number: u32, level: Level) -> Value<'a> {
        if !self.present || number == 0 {
            return Value::absent();
        }
        let mut rest = Value { level, ..*self };
        for _ in 1..number {
            match rest.split(delimiter) {
                (_, Some(after)) => rest = after,
                (_, None) => return Value::absent(),
            }
        }
        rest.split(delimiter).0
    }

    fn parts(&self, delimiter: Option<u8>, level: Level) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut rest = (!self.raw.is_empty()).then_some(Value { level, ..*self });
        std::iter::from_fn(move || {
            let (part, after) = rest?.split(delimiter);
            rest = after;
            Some(part)
        })
    }

    /// The value up to the first `delimiter`, and what follows it.
    fn split(&self, delimiter: Option<u8>) -> (Value<'a>, Option<Value<'a>>) {
        let found = delimiter.and_then(|delimiter| memchr(delimiter, self.raw));
        let Some((part, after)) =
            found.and_then(|place| Some((self.raw.get(..place)?, self.raw.get(place.checked_add(1)?..)?)))
        else {
            return (*self, None);
        };
        let at = self.at.saturating_add(part.len()).saturating_add(1);
        (Value { raw: part, ..*self }, Some(Value { raw: after, at, ..*self }))
    }
}
