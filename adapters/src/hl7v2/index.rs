//! The index of a message: where its segments and fields begin and end.
//!
//! In come bytes; out goes a [`Message`] over them. One pass, no copy, and no allocation when the index is
//! used again. Promised: every byte belongs to the prefix, to one segment or to one terminator, whatever the
//! bytes are, and a line that begins no segment stays part of the segment before it. Refused: what does not
//! begin with a header segment, delimiters that cannot be told apart, and what is over a limit.

use std::ops::Range;
use std::sync::OnceLock;

use memchr::{memchr_iter, memchr2};

use crate::Unreadable;

use super::charset::{self, CharsetReport, CharsetRule};
use super::delimiters::{Delimiters, is_line_break};
use super::findings::Findings;
use super::groups::Groups;
use super::message::Message;

mod terminators;

use terminators::Terminators;

/// The byte order mark of UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Place of MSH-18 among the tokens of MSH.
const CHARSET_TOKEN: usize = 17;

/// What one message may be. Over a limit it is unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole message.
    pub message_bytes_max: usize,
    /// Bytes of one segment.
    pub segment_bytes_max: usize,
    /// Segments.
    pub segments_max: usize,
    /// Repetitions of one field.
    pub repetitions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes_max: 16 << 20,
            segment_bytes_max: 4 << 20,
            segments_max: 100_000,
            repetitions_max: 10_000,
        }
    }
}

/// One segment: offsets into the message and into the field ends.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// First byte of the name.
    pub(super) start: u32,
    /// Just after the last byte, before the terminator.
    pub(super) end: u32,
    /// First byte of the next segment, after the terminator and blank lines.
    pub(super) next: u32,
    /// First of this segment's tokens in `ends`.
    pub(super) tokens_from: u32,
    /// Just after the last of them.
    pub(super) tokens_to: u32,
    /// The name.
    pub(super) name: [u8; 3],
}

impl Line {
    pub(super) fn span(&self) -> Range<usize> {
        wide(self.start)..wide(self.end)
    }

    /// MSH, FHS and BHS count their separator as the first field.
    pub(super) fn is_header(&self) -> bool {
        is_header_name(self.name)
    }
}

/// Where everything is in one message; reusable.
#[derive(Default)]
pub struct Index {
    limits: Limits,
    rule: CharsetRule,
    pub(super) lines: Vec<Line>,
    /// The end of every token (segment name or field), one segment after the other.
    ends: Vec<u32>,
    prefix: usize,
    pub(super) delimiters: Delimiters,
    pub(super) charset: CharsetReport,
    pub(super) findings: Findings,
    /// Which segments form which groups: found when first asked for.
    pub(super) groups: OnceLock<Groups>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("segments", &self.lines.len()).field("fields", &self.ends.len()).finish()
    }
}

impl Index {
    /// An index with the default limits and the default rule for character sets.
    pub fn new() -> Self {
        Index::default()
    }

    /// An index with limits and a rule for character sets.
    pub fn with(limits: Limits, rule: CharsetRule) -> Self {
        Index { limits, rule, ..Index::default() }
    }

    /// An index with the same limits and rule, for another message.
    pub(super) fn empty_copy(&self) -> Index {
        Index::with(self.limits, self.rule)
    }

    /// Reads one message, beginning with MSH.
    pub fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Message<'a>, Unreadable> {
        self.fill(bytes, |name| name == *b"MSH")?;
        Ok(Message { bytes, index: self })
    }

    /// Reads segments that begin with any header: MSH, FHS or BHS.
    pub fn read_headed<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Message<'a>, Unreadable> {
        self.fill(bytes, is_header_name)?;
        Ok(Message { bytes, index: self })
    }

    /// Reads the first segment of `bytes` alone, for an answer to a message that cannot be read.
    pub fn read_header_only<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Message<'a>, Unreadable> {
        let start = prefix_length(bytes);
        let rest = bytes.get(start..).unwrap_or_default();
        let end = start.saturating_add(memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
        self.read(bytes.get(..end).unwrap_or(bytes))
    }

    pub(super) fn fill(&mut self, bytes: &[u8], may_begin: impl Fn([u8; 3]) -> bool) -> Result<(), Unreadable> {
        self.clear();
        if bytes.len() > self.limits.message_bytes_max.min(wide(u32::MAX)) {
            return Err(Unreadable {
                reason: "the message is larger than the limit",
                at: self.limits.message_bytes_max,
            });
        }
        let start = prefix_length(bytes);
        self.note_prefix(bytes, start);
        let header = bytes.get(start..).unwrap_or_default();
        check_beginning(header, start, may_begin)?;
        self.delimiters = Delimiters::read(header, start, &mut self.findings)?;
        self.index_lines(bytes, start)?;
        let declared = self.token_of_first_line(CHARSET_TOKEN).and_then(|span| bytes.get(span)).unwrap_or_default();
        self.charset = charset::find(bytes, declared, self.delimiters.repetition, self.rule, &mut self.findings);
        Ok(())
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.ends.clear();
        self.findings = Findings::default();
        self.groups = OnceLock::new();
    }

    fn note_prefix(&mut self, bytes: &[u8], start: usize) {
        self.prefix = start;
        let marked = bytes.starts_with(BYTE_ORDER_MARK);
        if marked {
            self.findings.add(Findings::BYTE_ORDER_MARK);
        }
        if start > if marked { BYTE_ORDER_MARK.len() } else { 0 } {
            self.findings.add(Findings::LEADING_LINE_BREAKS);
        }
    }

    fn index_lines(&mut self, bytes: &[u8], start: usize) -> Result<(), Unreadable> {
        let separator = self.delimiters.field;
        let mut terminators = Terminators::default();
        let mut at = start;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(length);
            let end = at.saturating_add(length);
            // A name alone may as well be a word in a text that was broken by another kind of line break.
            let is_own_line = at == start || terminators.last == terminators.first;
            if let Some(name) = segment_name(line, separator).filter(|name| is_own_line || line.len() > name.len()) {
                self.begin(name, at)?;
            } else {
                self.go_on();
            }
            push_separators(line, separator, narrow(at), &mut self.ends);
            let next = end.saturating_add(terminators.measure(after));
            self.finish(bytes, end, next)?;
            at = next;
        }
        terminators.report(&mut self.findings);
        Ok(())
    }

    fn begin(&mut self, name: [u8; 3], at: usize) -> Result<(), Unreadable> {
        if self.lines.len() >= self.limits.segments_max {
            return Err(Unreadable { reason: "the message has more segments than the limit", at });
        }
        if !self.lines.is_empty() && is_header_name(name) {
            self.findings.add(Findings::SECOND_HEADER);
        }
        let tokens = narrow(self.ends.len());
        let start = narrow(at);
        self.lines.push(Line { start, end: start, next: start, tokens_from: tokens, tokens_to: tokens, name });
        Ok(())
    }

    /// Takes a line that begins no segment into the segment before it: its last token goes on.
    fn go_on(&mut self) {
        self.findings.add(Findings::CONTINUATION);
        self.ends.pop();
    }

    /// Ends the segment in hand at `end`, and checks its size.
    fn finish(&mut self, bytes: &[u8], end: usize, next: usize) -> Result<(), Unreadable> {
        self.ends.push(narrow(end));
        let tokens = narrow(self.ends.len());
        let Some(line) = self.lines.last_mut() else { return Ok(()) };
        line.end = narrow(end);
        line.next = narrow(next);
        line.tokens_to = tokens;
        let line = *line;
        let length = line.span().len();
        if length == line.name.len() {
            self.findings.add(Findings::BARE_SEGMENT);
        }
        if length > self.limits.segment_bytes_max {
            return Err(Unreadable { reason: "a segment is larger than the limit", at: wide(line.start) });
        }
        if length > self.limits.repetitions_max {
            return self.check_repetitions(bytes, &line);
        }
        Ok(())
    }

    /// A field with more repetitions than the limit is longer than the limit, so few are counted.
    fn check_repetitions(&self, bytes: &[u8], line: &Line) -> Result<(), Unreadable> {
        let Some(repetition) = self.delimiters.repetition else { return Ok(()) };
        for token in 1..wide(line.tokens_to.saturating_sub(line.tokens_from)) {
            let Some(span) = self.token(line, token).filter(|span| span.len() >= self.limits.repetitions_max) else {
                continue;
            };
            let at = span.start;
            if memchr_iter(repetition, bytes.get(span).unwrap_or_default()).count() >= self.limits.repetitions_max {
                return Err(Unreadable { reason: "a field has more repetitions than the limit", at });
            }
        }
        Ok(())
    }

    /// The bytes before the first segment.
    pub(super) fn prefix(&self) -> Range<usize> {
        0..self.prefix
    }

    /// Where a token of `line` is; token 0 is the name.
    pub(super) fn token(&self, line: &Line, token: usize) -> Option<Range<usize>> {
        let place = wide(line.tokens_from).checked_add(token)?;
        if place >= wide(line.tokens_to) {
            return None;
        }
        let start = match token {
            0 => wide(line.start),
            _ => wide(*self.ends.get(place.checked_sub(1)?)?).saturating_add(1),
        };
        Some(start..wide(*self.ends.get(place)?))
    }

    fn token_of_first_line(&self, token: usize) -> Option<Range<usize>> {
        self.token(self.lines.first()?, token)
    }
}

/// Appends the offset of every `separator` in `line`, which begins at `at`.
///
/// Eight bytes at a time: fields are so short that a search begun anew after each of them takes three times
/// as long.
fn push_separators(line: &[u8], separator: u8, at: u32, ends: &mut Vec<u32>) {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7F; 8]);
    let pattern = u64::from_ne_bytes([separator; 8]);
    let (words, rest) = line.as_chunks::<8>();
    let mut at = at;
    for word in words {
        // A byte that equals the separator becomes zero, and a zero byte the only one with its high bit set.
        let differing = u64::from_le_bytes(*word) ^ pattern;
        let mut found = !((differing & LOW_BITS).wrapping_add(LOW_BITS) | differing | LOW_BITS);
        while found != 0 {
            ends.push(at.wrapping_add(found.trailing_zeros() / 8));
            found &= found.wrapping_sub(1);
        }
        at = at.wrapping_add(8);
    }
    ends.extend((at..).zip(rest).filter(|(_, byte)| **byte == separator).map(|(found, _)| found));
}

/// The name, if `line` begins a segment: three letters or digits, then the separator or nothing.
fn segment_name(line: &[u8], separator: u8) -> Option<[u8; 3]> {
    let (name, after) = line.split_first_chunk::<3>()?;
    let [first, second, third] = *name;
    let named = first.is_ascii_uppercase()
        && (second.is_ascii_uppercase() || second.is_ascii_digit())
        && (third.is_ascii_uppercase() || third.is_ascii_digit());
    (named && after.first().is_none_or(|&byte| byte == separator)).then_some(*name)
}

fn is_header_name(name: [u8; 3]) -> bool {
    matches!(&name, b"MSH" | b"FHS" | b"BHS")
}

/// A byte order mark and line breaks may stand before the first segment.
fn prefix_length(bytes: &[u8]) -> usize {
    let rest = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let breaks = rest.iter().take_while(|&&byte| is_line_break(byte)).count();
    bytes.len().saturating_sub(rest.len()).saturating_add(breaks)
}

fn check_beginning(header: &[u8], at: usize, may_begin: impl Fn([u8; 3]) -> bool) -> Result<(), Unreadable> {
    let reason = match header.first_chunk::<3>() {
        Some(name) if may_begin(*name) => return Ok(()),
        Some(name) if is_header_name(*name) => "a batch where a message is expected",
        _ if header.is_empty() => "the message is empty",
        _ if header.starts_with(b"<") => "XML where ER7 encoding is expected",
        _ if header.starts_with(b"\xFF\xFE") || header.starts_with(b"\xFE\xFF") || header.starts_with(b"M\0") => {
            "UTF-16, which cannot be framed"
        }
        _ => "the message does not begin with MSH",
    };
    Err(Unreadable { reason, at })
}

/// An offset as a size. Offsets fit, for the size of a message is limited.
pub(super) fn wide(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// A size as an offset. See [`wide`].
pub(super) fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
