//! Acknowledgements: which are due, how they are written, and what a received one says.
//!
//! In come a message (or bytes that are none) and what became of it; out goes the answer of HL7 v2.5.1
//! section 2.9. Pure functions: time and control id come from the caller. Promised: MSA-2 is the sender's
//! MSH-10 byte for byte, and nothing that a sender wrote begins a segment of the answer. When to answer
//! "accepted" is not decided here (H1).

mod codes;
mod mode;
mod read;

pub use codes::{Code, Condition, Location, Problem, Severity};
pub use mode::{AckMode, AckRule, When};
pub use read::{Acknowledgement, ReportedError, read};

use super::charset::Charset;
use super::delimiters::{Delimiters, is_line_break};
use super::escape;
use super::index::Index;
use super::message::{Header, Message};
use super::value::Value;

/// Who answers when the message does not say to whom it was sent (MSH-3 and MSH-4).
const OWN_NAME: (&str, &str) = ("HUB", "NDP");

/// The version of an answer to a message that cannot be read.
const OWN_VERSION: &str = "2.5.1";

/// Characters of a text in an answer.
const TEXT_MAX: usize = 250;

/// Errors that one answer reports.
const ERRORS_MAX: usize = 100;

/// What to answer.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// MSA-1.
    pub code: Code,
    /// MSA-3; empty for none.
    pub text: &'a str,
    /// MSH-10 of the answer: new.
    pub control_id: &'a str,
    /// MSH-7 of the answer: `20261105093015+0200`.
    pub time: &'a str,
    /// MSA-4, if the sequence number protocol is on.
    pub expected_sequence: Option<i64>,
    /// ERR segments.
    pub problems: &'a [Problem],
}

impl<'a> Answer<'a> {
    /// An answer without text and errors.
    pub fn new(code: Code, control_id: &'a str, time: &'a str) -> Answer<'a> {
        Answer { code, text: "", control_id, time, expected_sequence: None, problems: &[] }
    }
}

/// Answers a message.
pub fn write(message: &Message<'_>, answer: &Answer<'_>) -> Vec<u8> {
    let header = message.header();
    let mut writer = Writer { delimiters: message.delimiters(), out: Vec::new() };
    let trigger = line_of(header.trigger());
    let mut kind: Vec<&[u8]> = vec![b"ACK"];
    if !trigger.is_empty() {
        kind.extend([trigger, b"ACK"]);
    }
    writer.header();
    writer.next(line_of(header.receiving_application()));
    writer.next(line_of(header.receiving_facility()));
    writer.next(line_of(header.sending_application()));
    writer.next(line_of(header.sending_facility()));
    writer.next_text(answer.time);
    writer.skip(1);
    writer.next_parts(&kind);
    writer.next_text(answer.control_id);
    writer.next(line_of(header.field(11)));
    writer.next(version_of(&header));
    let charset = line_of(header.charset());
    if !charset.is_empty() {
        writer.skip(5);
        writer.next(charset);
    }
    writer.end();
    writer.acknowledge(answer, line_of(header.control_id()));
    writer.errors(answer.problems, has_structured_errors(&header));
    writer.out
}

/// Answers bytes that are no readable message. If at least their first segment can be read it is answered as
/// a message is; else the answer has the hub's own name, version 2.5.1 and no MSA-2.
pub fn write_unreadable(bytes: &[u8], answer: &Answer<'_>) -> Vec<u8> {
    if let Ok(header) = Index::new().read_header_only(bytes) {
        return write(&header, answer);
    }
    let mut writer = Writer { delimiters: Delimiters::default(), out: Vec::new() };
    writer.header();
    writer.next_text(OWN_NAME.0);
    writer.next_text(OWN_NAME.1);
    writer.skip(2);
    writer.next_text(answer.time);
    writer.skip(1);
    writer.next_text("ACK");
    writer.next_text(answer.control_id);
    writer.next_text("P");
    writer.next_text(OWN_VERSION);
    writer.end();
    writer.acknowledge(answer, b"");
    writer.errors(answer.problems, true);
    writer.out
}

/// MSH-12 as it came; the hub's own version to a message of a standard that the answer cannot be written in.
fn version_of<'a>(header: &Header<'a>) -> &'a [u8] {
    let sent = line_of(header.field(12));
    let is_known = sent.is_empty() || matches!(sent, [b'2', b'.', b'1'..=b'8', ..]);
    if is_known { sent } else { OWN_VERSION.as_bytes() }
}

/// Versions before 2.5 know only ERR-1. A version that cannot be read is taken for 2.5.1.
fn has_structured_errors(header: &Header<'_>) -> bool {
    let version = header.version().text();
    let minor = version.trim().strip_prefix("2.").and_then(|rest| rest.chars().next());
    !matches!(minor, Some('1'..='4'))
}

/// The bytes of a value up to a line break: what was kept of a broken line must not break the answer.
fn line_of(value: Value<'_>) -> &[u8] {
    let raw = value.raw();
    let end = raw.iter().position(|&byte| is_line_break(byte)).unwrap_or(raw.len());
    raw.get(..end).unwrap_or_default()
}

/// Writes segments in the delimiters of the sender.
struct Writer {
    delimiters: Delimiters,
    out: Vec<u8>,
}

impl Writer {
    fn header(&mut self) {
        self.out.extend_from_slice(b"MSH");
        self.out.push(self.delimiters.field);
        self.out.extend(self.delimiters.encoding_characters());
    }

    fn segment(&mut self, name: &str) {
        self.out.extend_from_slice(name.as_bytes());
    }

    fn end(&mut self) {
        while self.out.last() == Some(&self.delimiters.field) {
            self.out.pop();
        }
        self.out.push(b'\r');
    }

    /// The next field, as bytes that are already escaped.
    fn next(&mut self, raw: &[u8]) {
        self.out.push(self.delimiters.field);
        self.out.extend_from_slice(raw);
    }

    fn next_text(&mut self, text: &str) {
        let escaped = self.escaped(text);
        self.next(&escaped);
    }

    fn skip(&mut self, fields: usize) {
        self.out.extend(std::iter::repeat_n(self.delimiters.field, fields));
    }

    /// The next field of components; only the first if the sender divides none.
    fn next_parts(&mut self, parts: &[&[u8]]) {
        let joined = join(parts, self.delimiters.component);
        self.next(&joined);
    }

    fn next_texts(&mut self, texts: &[&str]) {
        let escaped: Vec<Vec<u8>> = texts.iter().map(|text| self.escaped(text)).collect();
        let parts: Vec<&[u8]> = escaped.iter().map(Vec::as_slice).collect();
        self.next_parts(&parts);
    }

    /// ASCII in the sender's delimiters, whatever the text is; what cannot be written becomes a question mark.
    fn escaped(&self, text: &str) -> Vec<u8> {
        let plain = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
        let ascii: String = text.chars().take(TEXT_MAX).map(plain).collect();
        escape::encode(&ascii, &self.delimiters, Charset::Ascii).unwrap_or_else(|_| {
            let divides = |byte: u8| self.delimiters.all().any(|delimiter| delimiter == byte);
            ascii.bytes().map(|byte| if divides(byte) { b' ' } else { byte }).collect()
        })
    }

    fn acknowledge(&mut self, answer: &Answer<'_>, control_id: &[u8]) {
        self.segment("MSA");
        self.next_text(answer.code.as_str());
        self.next(control_id);
        self.next_text(answer.text);
        if let Some(expected) = answer.expected_sequence {
            self.next_text(&expected.to_string());
        }
        // MSA-2 stays in its place also when all is empty.
        if control_id.is_empty() && answer.text.is_empty() && answer.expected_sequence.is_none() {
            self.out.pop();
            self.out.push(b'\r');
            return;
        }
        self.end();
    }

    fn errors(&mut self, problems: &[Problem], structured: bool) {
        let problems = problems.get(..ERRORS_MAX).unwrap_or(problems);
        if structured {
            problems.iter().for_each(|problem| self.structured_error(problem));
        } else if !problems.is_empty() {
            self.coded_errors(problems);
        }
    }

    /// ERR of v2.5 and later.
    fn structured_error(&mut self, problem: &Problem) {
        let (code, text) = problem.condition.code_and_text();
        let location = problem.location.as_ref().map(Location::parts).unwrap_or_default();
        let location: Vec<&str> = location.iter().map(String::as_str).collect();
        self.segment("ERR");
        self.skip(1);
        self.next_texts(&location);
        self.next_texts(&[code, text, "HL70357"]);
        self.next_text(problem.severity.as_str());
        if problem.code.is_empty() {
            self.skip(1);
        } else {
            self.next_texts(&[&problem.code, &problem.text, "HUBERR"]);
        }
        self.skip(1);
        self.next_text(&problem.diagnostic);
        self.next_text(&problem.user_text);
        self.end();
    }

    /// ERR of v2.3 and 2.4: ERR-1 repeats `segment^sequence^field^code`, the code divided once more.
    fn coded_errors(&mut self, problems: &[Problem]) {
        let repetitions: Vec<Vec<u8>> = problems.iter().map(|problem| self.coded_error(problem)).collect();
        let repetitions: Vec<&[u8]> = repetitions.iter().map(Vec::as_slice).collect();
        self.segment("ERR");
        let joined = join(&repetitions, self.delimiters.repetition);
        self.next(&joined);
        self.end();
    }

    fn coded_error(&self, problem: &Problem) -> Vec<u8> {
        let (code, text) = problem.condition.code_and_text();
        let mut parts: Vec<Vec<u8>> = match &problem.location {
            Some(location) => location.parts().iter().take(3).map(|part| self.escaped(part)).collect(),
            None => Vec::new(),
        };
        parts.resize(3, Vec::new());
        let code: Vec<Vec<u8>> = [code, text, "HL70357"].iter().map(|part| self.escaped(part)).collect();
        let code: Vec<&[u8]> = code.iter().map(Vec::as_slice).collect();
        parts.push(join(&code, self.delimiters.subcomponent));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        join(&parts, self.delimiters.component)
    }
}

fn join(parts: &[&[u8]], delimiter: Option<u8>) -> Vec<u8> {
    match delimiter {
        Some(delimiter) => parts.join(&delimiter),
        None => parts.first().copied().unwrap_or_default().to_vec(),
    }
}

#[cfg(test)]
mod tests;
