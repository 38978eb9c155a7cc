//! A message that was read: its segments, its header, and the document that owns it.
//!
//! In come bytes and their [`Index`]; out go segments and values that point into the bytes. Promised: the
//! prefix, the segments and their terminators are the whole message, byte for byte. Values are decoded when
//! asked for. `Debug` shows sizes, never content.

use std::ops::Range;

use bytes::Bytes;

use crate::Unreadable;

use super::charset::{CharsetReport, CharsetRule};
use super::delimiters::Delimiters;
use super::findings::Findings;
use super::grammar;
use super::index::{Index, Limits, Line, wide};
use super::value::Value;

/// A message over its bytes.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) index: &'a Index,
}

impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("bytes", &self.bytes.len()).field("index", self.index).finish()
    }
}

impl<'a> Message<'a> {
    /// The bytes as they came.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// MSH-1 and MSH-2.
    pub fn delimiters(&self) -> Delimiters {
        self.index.delimiters
    }

    /// The character set that text is read in, and how it was found.
    pub fn charset(&self) -> CharsetReport {
        self.index.charset
    }

    /// What reading noticed and forgave.
    pub fn findings(&self) -> Findings {
        self.index.findings
    }

    /// Where the bytes before the first segment are: a byte order mark, line breaks.
    pub fn prefix(&self) -> Range<usize> {
        self.index.prefix()
    }

    /// The segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let message = *self;
        self.index.lines.iter().map(move |line| Segment { message, line: *line })
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.index.lines.len()
    }

    /// A segment by its place, from 0.
    pub(super) fn segment(&self, place: u32) -> Option<Segment<'a>> {
        self.index.lines.get(wide(place)).map(|line| Segment { message: *self, line: *line })
    }

    /// The fields of MSH that the hub uses.
    pub fn header(&self) -> Header<'a> {
        Header { segment: self.segment(0) }
    }

    /// The name of this message's structure, `RDE_O11`, by MSH-9: derived from the trigger event when MSH-9.3
    /// is missing or unknown. `None` for a structure that the hub does not know.
    pub fn structure(&self) -> Option<&'static str> {
        let header = self.header();
        grammar::structure_of(&header.message_code().text(), &header.trigger().text(), &header.structure().text())
    }

    /// How many escape sequences of the whole message are unknown or unterminated, and stay as they are.
    pub fn unknown_escapes(&self) -> usize {
        let repetitions =
            self.segments().flat_map(|segment| segment.fields().skip(usize::from(segment.is_header()) * 2));
        let components =
            repetitions.flat_map(|field| field.repetitions()).flat_map(|repetition| repetition.components());
        components.flat_map(|component| component.subcomponents()).map(|leaf| leaf.unknown_escapes()).sum()
    }

    /// The message without MSH-7: what two sendings of the same message have in common.
    pub fn without_time(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let time = self.header().time().span();
        let parts = [self.bytes.get(..time.start), self.bytes.get(time.end..)];
        parts.into_iter().flatten()
    }
}

/// One segment of a message.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    message: Message<'a>,
    line: Line,
}

impl std::fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("name", &self.name()).field("span", &self.span()).finish()
    }
}

impl<'a> Segment<'a> {
    /// The name: `PID`.
    pub fn name(&self) -> &'a str {
        let start = wide(self.line.start);
        self.message
            .bytes
            .get(start..start.saturating_add(3))
            .and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or_default()
    }

    pub(super) fn is_header(&self) -> bool {
        self.line.is_header()
    }

    /// The bytes, without the terminator. Lines that begin no segment are part of it.
    pub fn raw(&self) -> &'a [u8] {
        self.message.bytes.get(self.span()).unwrap_or_default()
    }

    /// Where the segment is in the message, without its terminator.
    pub fn span(&self) -> Range<usize> {
        self.line.span()
    }

    /// Where the line breaks after it are; empty when the message ends without one.
    pub fn terminator(&self) -> Range<usize> {
        wide(self.line.end)..wide(self.line.next)
    }

    /// The number of its last field.
    pub fn field_count(&self) -> u16 {
        let tokens = self.line.tokens_to.saturating_sub(self.line.tokens_from);
        let fields = if self.line.is_header() && tokens > 1 { tokens } else { tokens.saturating_sub(1) };
        u16::try_from(fields).unwrap_or(u16::MAX)
    }

    /// A field by its number in the standard. MSH-1 is the separator itself.
    pub fn field(&self, number: u16) -> Value<'a> {
        let token = usize::from(number);
        match (self.line.is_header(), token) {
            (_, 0) => Value::absent(),
            (true, 1) => self.separator(),
            (true, 2) => self.token(1).map_or(Value::absent(), |span| self.opaque(span)),
            (true, token) => self.value(token.saturating_sub(1)),
            (false, token) => self.value(token),
        }
    }

    /// All fields in order, from field 1.
    pub fn fields(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let segment = *self;
        (1..=self.field_count()).map(move |number| segment.field(number))
    }

    /// The whole segment as a value that is not divided.
    pub(super) fn whole(&self) -> Value<'a> {
        self.opaque(self.span())
    }

    fn token(&self, token: usize) -> Option<Range<usize>> {
        self.message.index.token(&self.line, token)
    }

    fn value(&self, token: usize) -> Value<'a> {
        let Some(span) = self.token(token) else { return Value::absent() };
        let raw = self.message.bytes.get(span.clone()).unwrap_or_default();
        Value::field(raw, span.start, self.message.index)
    }

    /// The byte between the name and what follows it.
    fn separator(&self) -> Value<'a> {
        match (self.token(0), self.token(1)) {
            (Some(name), Some(after)) => self.opaque(name.end..after.start),
            (None, _) | (_, None) => Value::absent(),
        }
    }

    fn opaque(&self, span: Range<usize>) -> Value<'a> {
        let raw = self.message.bytes.get(span.clone()).unwrap_or_default();
        Value::opaque(raw, span.start, self.message.index)
    }
}

/// The fields of MSH that the hub uses.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    segment: Option<Segment<'a>>,
}

impl<'a> Header<'a> {
    /// A field of the header by number.
    pub fn field(&self, number: u16) -> Value<'a> {
        self.segment.map_or(Value::absent(), |segment| segment.field(number))
    }

    /// MSH-3.
    pub fn sending_application(&self) -> Value<'a> {
        self.field(3)
    }

    /// MSH-4.
    pub fn sending_facility(&self) -> Value<'a> {
        self.field(4)
    }

    /// MSH-5.
    pub fn receiving_application(&self) -> Value<'a> {
        self.field(5)
    }

    /// MSH-6.
    pub fn receiving_facility(&self) -> Value<'a> {
        self.field(6)
    }

    /// MSH-7.
    pub fn time(&self) -> Value<'a> {
        self.field(7)
    }

    /// MSH-9.1: `RDE`.
    pub fn message_code(&self) -> Value<'a> {
        self.field(9).component(1)
    }

    /// MSH-9.2: `O11`.
    pub fn trigger(&self) -> Value<'a> {
        self.field(9).component(2)
    }

    /// MSH-9.3: `RDE_O11`, where the sender fills it.
    pub fn structure(&self) -> Value<'a> {
        self.field(9).component(3)
    }

    /// MSH-10.
    pub fn control_id(&self) -> Value<'a> {
        self.field(10)
    }

    /// MSH-11.1: `P`, `T` or `D`.
    pub fn processing_id(&self) -> Value<'a> {
        self.field(11).component(1)
    }

    /// MSH-12.1: `2.5.1`.
    pub fn version(&self) -> Value<'a> {
        self.field(12).component(1)
    }

    /// MSH-15.
    pub fn accept_ack(&self) -> Value<'a> {
        self.field(15)
    }

    /// MSH-16.
    pub fn application_ack(&self) -> Value<'a> {
        self.field(16)
    }

    /// MSH-18.
    pub fn charset(&self) -> Value<'a> {
        self.field(18)
    }
}

/// A message that owns its bytes and its index.
pub struct Document {
    bytes: Bytes,
    index: Index,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("bytes", &self.bytes.len()).field("index", &self.index).finish()
    }
}

impl Document {
    /// Reads `bytes` within the default limits.
    pub fn read(bytes: Bytes, charset: CharsetRule) -> Result<Document, Unreadable> {
        Document::read_within(bytes, charset, Limits::default())
    }

    /// Reads `bytes` within `limits`.
    pub fn read_within(bytes: Bytes, charset: CharsetRule, limits: Limits) -> Result<Document, Unreadable> {
        let mut index = Index::with(limits, charset);
        index.read(&bytes)?;
        Ok(Document { bytes, index })
    }

    /// The message.
    pub fn message(&self) -> Message<'_> {
        Message { bytes: &self.bytes, index: &self.index }
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The character set, and how it was found.
    pub fn charset(&self) -> CharsetReport {
        self.index.charset
    }
}

#[cfg(test)]
mod tests;
