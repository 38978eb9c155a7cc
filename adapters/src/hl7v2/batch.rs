//! Batch and file envelopes (HL7 v2.5.1 section 2.10.3): taking them apart, and wrapping answers.
//!
//! In come the bytes of a frame or a file; out go the ranges of its messages. Every header and trailer is
//! optional, and messages that merely follow each other are a batch as well. Promised: no copy, and every
//! byte is in a message, in a header or trailer, or between them as a byte order mark, line breaks or
//! framing. A wrong count is a finding, for the messages are there. Refused is what does not begin with a
//! header, and more messages than the limit.

use std::ops::Range;

use memchr::memchr3;

use crate::Unreadable;

use super::delimiters::{Delimiters, is_line_break};
use super::index::BYTE_ORDER_MARK;
use super::message::Message;

/// Start of a frame (MLLP), met in files.
const FRAME_START: u8 = 0x0B;
/// End of a frame.
const FRAME_END: u8 = 0x1C;

/// Messages of one envelope.
pub const MESSAGES_MAX: usize = 100_000;

/// An envelope that was taken apart. Ranges are offsets into the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// FHS.
    pub file_header: Option<Range<usize>>,
    /// The batches, in order; messages outside any BHS form one without header.
    pub batches: Vec<Batch>,
    /// FTS.
    pub file_trailer: Option<Range<usize>>,
    /// What lies between: byte order mark, line breaks, framing, and a second file header or trailer.
    pub between: Vec<Range<usize>>,
    /// What does not agree.
    pub findings: Vec<Finding>,
}

/// One batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// BHS.
    pub header: Option<Range<usize>>,
    /// The messages.
    pub messages: Vec<Range<usize>>,
    /// BTS.
    pub trailer: Option<Range<usize>>,
}

/// What an envelope says and does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// BTS-1 names another number of messages.
    MessageCount {
        /// The batch, from 0.
        batch: usize,
        /// BTS-1.
        declared: usize,
        /// The messages that are there.
        found: usize,
    },
    /// FTS-1 names another number of batches.
    BatchCount {
        /// FTS-1.
        declared: usize,
        /// The batches that are there.
        found: usize,
    },
    /// BTS-1 or FTS-1 is no number.
    UnreadableCount,
    /// A trailer without what it ends.
    StrayTrailer,
    /// A second FHS or FTS.
    SecondFile,
}

impl Envelope {
    /// All messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = Range<usize>> {
        self.batches.iter().flat_map(|batch| batch.messages.iter().cloned())
    }
}

/// The bytes begin with FHS or BHS: an envelope and not a message.
pub fn is_envelope(bytes: &[u8]) -> bool {
    matches!(Marks::new(bytes).next(), Some((_, Mark::FileHeader | Mark::BatchHeader)))
}

/// Takes an envelope, or messages that follow each other, apart.
pub fn split(bytes: &[u8]) -> Result<Envelope, Unreadable> {
    let mut envelope = Envelope::default();
    let mut marks = Marks::new(bytes).peekable();
    let first = marks.peek().map_or(bytes.len(), |(at, _)| *at);
    let before = bytes.get(..first).unwrap_or_default();
    let before = before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before);
    if first == bytes.len() || !before.iter().all(|&byte| lies_between(byte)) {
        return Err(Unreadable { reason: "the envelope does not begin with FHS, BHS or MSH", at: 0 });
    }
    envelope.leave_between(0..first);
    let mut messages = 0_usize;
    while let Some((start, mark)) = marks.next() {
        let next = marks.peek().map_or(bytes.len(), |(at, _)| *at);
        let end = end_of(bytes, start, next);
        messages = messages.saturating_add(usize::from(mark == Mark::Message));
        if messages > MESSAGES_MAX {
            return Err(Unreadable { reason: "the envelope has more messages than the limit", at: start });
        }
        envelope.take(bytes, mark, start..end);
        envelope.leave_between(end..next);
    }
    Ok(envelope)
}

impl Envelope {
    fn leave_between(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.between.push(range);
        }
    }

    fn leave_second_file(&mut self, range: Range<usize>) {
        self.findings.push(Finding::SecondFile);
        self.leave_between(range);
    }

    fn take(&mut self, bytes: &[u8], mark: Mark, range: Range<usize>) {
        match mark {
            Mark::FileHeader if self.file_header.is_some() => self.leave_second_file(range),
            Mark::FileHeader => self.file_header = Some(range),
            Mark::BatchHeader => self.batches.push(Batch { header: Some(range), ..Batch::default() }),
            Mark::Message => self.in_batch(|batch| batch.messages.push(range)),
            Mark::BatchTrailer => {
                self.check_messages(bytes, &range);
                self.in_batch(|batch| batch.trailer = Some(range));
            }
            Mark::FileTrailer if self.file_trailer.is_some() => self.leave_second_file(range),
            Mark::FileTrailer => {
                self.check_batches(bytes, &range);
                self.file_trailer = Some(range);
            }
        }
    }

    /// Changes the batch in hand; a new one without header after a trailer, or when there is none.
    fn in_batch(&mut self, change: impl FnOnce(&mut Batch)) {
        if self.batches.last().is_none_or(|batch| batch.trailer.is_some()) {
            self.batches.push(Batch::default());
        }
        if let Some(batch) = self.batches.last_mut() {
            change(batch);
        }
    }

    fn check_messages(&mut self, bytes: &[u8], trailer: &Range<usize>) {
        let Some(batch) = self.batches.last().filter(|batch| batch.trailer.is_none()) else {
            self.findings.push(Finding::StrayTrailer);
            return;
        };
        let found = batch.messages.len();
        match declared_count(bytes, trailer) {
            Ok(Some(declared)) if declared != found => {
                let place = self.batches.len().saturating_sub(1);
                self.findings.push(Finding::MessageCount { batch: place, declared, found });
            }
            Ok(_) => {}
            Err(finding) => self.findings.push(finding),
        }
    }

    fn check_batches(&mut self, bytes: &[u8], trailer: &Range<usize>) {
        if self.file_header.is_none() {
            self.findings.push(Finding::StrayTrailer);
        }
        let found = self.batches.len();
        match declared_count(bytes, trailer) {
            Ok(Some(declared)) if declared != found => self.findings.push(Finding::BatchCount { declared, found }),
            Ok(_) => {}
            Err(finding) => self.findings.push(finding),
        }
    }
}

/// The first field of a trailer.
fn declared_count(bytes: &[u8], trailer: &Range<usize>) -> Result<Option<usize>, Finding> {
    let line = bytes.get(trailer.clone()).unwrap_or_default();
    let Some((&separator, rest)) = line.get(3..).and_then(<[u8]>::split_first) else { return Ok(None) };
    let count = rest.split(|&byte| byte == separator || is_line_break(byte)).next().unwrap_or_default().trim_ascii();
    if count.is_empty() {
        return Ok(None);
    }
    let number = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok());
    number.map(Some).ok_or(Finding::UnreadableCount)
}

/// What a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    FileHeader,
    BatchHeader,
    Message,
    BatchTrailer,
    FileTrailer,
}

/// The lines that begin a message, a header or a trailer.
struct Marks<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Marks<'b> {
    fn new(bytes: &'b [u8]) -> Marks<'b> {
        let at = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Marks { bytes, at }
    }
}

impl Iterator for Marks<'_> {
    type Item = (usize, Mark);

    fn next(&mut self) -> Option<(usize, Mark)> {
        loop {
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let framing = rest.iter().take_while(|&&byte| lies_between(byte)).count();
            let (start, line) = (self.at.saturating_add(framing), rest.get(framing..)?);
            let length = memchr3(b'\r', b'\n', FRAME_END, line).unwrap_or(line.len());
            self.at = start.saturating_add(length);
            if let Some(mark) = mark(line.get(..length)?) {
                return Some((start, mark));
            }
        }
    }
}

fn mark(line: &[u8]) -> Option<Mark> {
    let (name, after) = line.split_first_chunk::<3>()?;
    let divided = after.first().is_some_and(|&byte| byte.is_ascii_graphic() && !byte.is_ascii_alphanumeric());
    match name {
        b"MSH" if divided => Some(Mark::Message),
        b"FHS" if divided => Some(Mark::FileHeader),
        b"BHS" if divided => Some(Mark::BatchHeader),
        b"BTS" if divided || after.is_empty() => Some(Mark::BatchTrailer),
        b"FTS" if divided || after.is_empty() => Some(Mark::FileTrailer),
        _ => None,
    }
}

fn lies_between(byte: u8) -> bool {
    is_line_break(byte) || byte == FRAME_START || byte == FRAME_END || byte == 0
}

/// Where the part that begins at `start` ends: before framing, if there is some before the next part.
fn end_of(bytes: &[u8], start: usize, next: usize) -> usize {
    let part = bytes.get(start..next).unwrap_or_default();
    let kept = part.iter().rposition(|&byte| !lies_between(byte)).map_or(0, |last| last.saturating_add(1));
    let tail = part.get(kept..).unwrap_or_default();
    let framing = tail.iter().position(|&byte| !is_line_break(byte));
    framing.map_or(next, |framing| start.saturating_add(kept).saturating_add(framing))
}

/// Wraps answers to a batch into one batch: BHS-12 names the BHS-11 that is answered, BTS-1 counts.
///
/// `header` is the BHS of the batch, read with [`Index::read_headed`](super::Index::read_headed).
pub fn wrap(header: Option<&Message<'_>>, answers: &[Vec<u8>], control_id: &str, time: &str) -> Vec<u8> {
    let delimiters = header.map_or_else(Delimiters::default, Message::delimiters);
    let field = |number: u16| {
        let raw = header.map_or(&b""[..], |header| header.header().field(number).raw());
        raw.split(|&byte| is_line_break(byte)).next().unwrap_or_default()
    };
    let encoding: Vec<u8> = delimiters.encoding_characters().collect();
    let (time, control_id) = (plain(time, &delimiters), plain(control_id, &delimiters));
    let fields: [&[u8]; 11] =
        [&encoding, field(5), field(6), field(3), field(4), &time, b"", b"", b"", &control_id, field(11)];
    let mut out = b"BHS".to_vec();
    for part in fields {
        out.push(delimiters.field);
        out.extend_from_slice(part);
    }
    out.push(b'\r');
    for answer in answers {
        out.extend_from_slice(answer);
        if !answer.last().copied().is_some_and(is_line_break) {
            out.push(b'\r');
        }
    }
    out.extend_from_slice(b"BTS");
    out.push(delimiters.field);
    out.extend_from_slice(answers.len().to_string().as_bytes());
    out.push(b'\r');
    out
}

/// A time or an id of our own, without anything that divides.
fn plain(text: &str, delimiters: &Delimiters) -> Vec<u8> {
    let divides = |byte: u8| !byte.is_ascii_graphic() || delimiters.all().any(|delimiter| delimiter == byte);
    text.bytes().filter(|&byte| !divides(byte)).collect()
}

#[cfg(test)]
mod tests;
