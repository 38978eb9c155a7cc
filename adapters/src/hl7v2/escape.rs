//! Escape sequences (HL7 v2.5.1 section 2.7), both ways.
//!
//! In comes one leaf (a subcomponent, or what stands in its place) as bytes; out goes its text, and back.
//! Promised: reading never fails and loses nothing, for what is unknown or unterminated stays as it is and
//! is counted; what is written reads back as the same text, and never divides a field or begins a segment.
//! Refused is writing a text that the delimiters or the character set cannot carry.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

use super::charset::{Charset, Unencodable};
use super::delimiters::{Delimiters, is_line_break};

/// Blank lines or blanks that one `\.sp\` or `\.sk\` may ask for; more is kept as text.
const SKIP_MAX: usize = 99;

/// Longest sequence, in bytes between its two escape characters; a hexadecimal one may be as long as it is.
const CODE_BYTES_MAX: usize = 64;

/// A leaf as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text, line breaks as LF.
    pub text: Cow<'a, str>,
    /// How many escape sequences were unknown or unterminated, and kept as they are.
    pub unknown: usize,
}

/// Reads the text of `leaf`.
pub fn decode<'a>(leaf: &'a [u8], delimiters: &Delimiters, charset: Charset) -> Cow<'a, str> {
    decode_counting(leaf, delimiters, charset).text
}

/// Reads the text of `leaf` and counts what it had to keep as it is.
pub fn decode_counting<'a>(leaf: &'a [u8], delimiters: &Delimiters, charset: Charset) -> Decoded<'a> {
    // Where nothing is declared CR stands in, which is looked for anyway.
    let escape = delimiters.escape.unwrap_or(b'\r');
    if memchr3(escape, b'\r', b'\n', leaf).is_none() {
        return Decoded { text: charset.decode(leaf), unknown: 0 };
    }
    let mut decoder = Decoder::new(delimiters, charset);
    decoder.read(leaf);
    let unknown = decoder.unknown;
    Decoded { text: Cow::Owned(decoder.finish()), unknown }
}

/// Writes `text` as a leaf: delimiters become escapes, LF becomes `\.br\`, CR becomes `\X0D\`.
///
/// All of `text` is text: a backslash in it is written as `\E\`, so that no reader takes what follows for an
/// escape. What was read as an unknown escape is carried over as raw bytes instead, by
/// [`set_raw`](super::edit::Editor::set_raw).
pub fn encode(text: &str, delimiters: &Delimiters, charset: Charset) -> Result<Vec<u8>, EncodeError> {
    let dot_divides = delimiters.all().any(|delimiter| delimiter == b'.');
    write(text, delimiters, charset, if dot_divides { b"X0A" } else { b".br" })
}

/// Like [`encode`], for types without formatting (ST and the like): LF becomes `\X0A\`.
pub fn encode_unformatted(text: &str, delimiters: &Delimiters, charset: Charset) -> Result<Vec<u8>, EncodeError> {
    write(text, delimiters, charset, b"X0A")
}

/// Why a text cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The character set lacks a character of it.
    #[error(transparent)]
    Charset(#[from] Unencodable),
    /// It has a delimiter or a line break, and the message declares no escape character.
    #[error("the text needs an escape, and the message declares no escape character")]
    NoEscape,
}

fn write(text: &str, delimiters: &Delimiters, charset: Charset, line_feed: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let bytes = charset.encode(text)?;
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes.iter() {
        let code: &[u8] = match byte {
            b'\r' => b"X0D",
            b'\n' => line_feed,
            byte if byte == delimiters.field => b"F",
            byte if Some(byte) == delimiters.component => b"S",
            byte if Some(byte) == delimiters.repetition => b"R",
            byte if Some(byte) == delimiters.escape => b"E",
            byte if Some(byte) == delimiters.subcomponent => b"T",
            byte if Some(byte) == delimiters.truncation => {
                write_hex(byte, delimiters, &mut out)?;
                continue;
            }
            plain => {
                out.push(plain);
                continue;
            }
        };
        let escape = delimiters.escape.ok_or(EncodeError::NoEscape)?;
        out.push(escape);
        out.extend_from_slice(code);
        out.push(escape);
    }
    Ok(out)
}

/// The truncation character is `\P\` in the standard and `\L\` in a widespread library; every reader
/// understands hexadecimal.
fn write_hex(byte: u8, delimiters: &Delimiters, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let escape = delimiters.escape.ok_or(EncodeError::NoEscape)?;
    out.push(escape);
    out.extend_from_slice(format!("X{byte:02X}").as_bytes());
    out.push(escape);
    Ok(())
}

/// What one escape sequence stands for.
enum Meaning<'a> {
    /// One byte of text.
    Byte(u8),
    /// `count` times the same byte.
    Repeated { byte: u8, count: usize },
    /// Bytes in hexadecimal.
    Hex(&'a [u8]),
    /// Formatting that has no text.
    Nothing,
    /// Another character set from here on.
    Switch(Charset),
    /// Not known: the whole sequence stays as it is.
    Kept,
    /// No sequence at all: a lone escape character.
    Text,
}

struct Decoder<'d> {
    delimiters: &'d Delimiters,
    /// The message's own character set, to which a switch returns.
    home: Charset,
    charset: Charset,
    /// Bytes in `charset` that wait to be decoded together, for a letter may consist of several sequences.
    waiting: Vec<u8>,
    text: String,
    unknown: usize,
}

impl<'d> Decoder<'d> {
    fn new(delimiters: &'d Delimiters, charset: Charset) -> Decoder<'d> {
        Decoder { delimiters, home: charset, charset, waiting: Vec::new(), text: String::new(), unknown: 0 }
    }

    fn read(&mut self, leaf: &[u8]) {
        let mut rest = leaf;
        while let Some((&byte, after)) = rest.split_first() {
            if Some(byte) == self.delimiters.escape {
                rest = self.read_escape(after, byte);
            } else if is_line_break(byte) {
                self.waiting.push(b'\n');
                rest = if byte == b'\r' { after.strip_prefix(b"\n").unwrap_or(after) } else { after };
            } else {
                let special = self.delimiters.escape.unwrap_or(b'\r');
                let plain = memchr3(special, b'\r', b'\n', rest).unwrap_or(rest.len());
                let (text, next) = rest.split_at(plain);
                self.waiting.extend_from_slice(text);
                rest = next;
            }
        }
    }

    /// Reads on after an escape character, and returns what follows the sequence.
    fn read_escape<'b>(&mut self, after: &'b [u8], escape: u8) -> &'b [u8] {
        let Some(end) = memchr(escape, after) else {
            self.unknown = self.unknown.saturating_add(1);
            self.waiting.push(escape);
            return after;
        };
        let (code, rest) = after.split_at(end);
        let rest = rest.get(1..).unwrap_or_default();
        match meaning(code, self.delimiters, self.home) {
            Meaning::Byte(byte) => self.waiting.push(byte),
            Meaning::Repeated { byte, count } => self.waiting.extend(std::iter::repeat_n(byte, count)),
            Meaning::Hex(digits) => self.waiting.extend(hex_bytes(digits)),
            Meaning::Nothing => {}
            Meaning::Switch(charset) => self.switch(charset),
            Meaning::Kept => {
                self.unknown = self.unknown.saturating_add(1);
                self.waiting.push(escape);
                self.waiting.extend_from_slice(code);
                self.waiting.push(escape);
            }
            Meaning::Text => {
                self.unknown = self.unknown.saturating_add(1);
                self.waiting.push(escape);
                return after;
            }
        }
        rest
    }

    fn switch(&mut self, charset: Charset) {
        self.flush();
        self.charset = charset;
    }

    fn flush(&mut self) {
        self.text.push_str(&self.charset.decode(&self.waiting));
        self.waiting.clear();
    }

    fn finish(mut self) -> String {
        self.flush();
        self.text
    }
}

fn meaning<'a>(code: &'a [u8], delimiters: &Delimiters, home: Charset) -> Meaning<'a> {
    let declared = |delimiter: Option<u8>| delimiter.map_or(Meaning::Kept, Meaning::Byte);
    match code {
        b"F" => Meaning::Byte(delimiters.field),
        b"S" => declared(delimiters.component),
        b"R" => declared(delimiters.repetition),
        b"E" => declared(delimiters.escape),
        b"T" => declared(delimiters.subcomponent),
        b"P" | b"L" => Meaning::Byte(delimiters.truncation.unwrap_or(b'#')),
        b"H" | b"N" => Meaning::Nothing,
        [b'X', digits @ ..] if is_hex(digits) => match digits {
            // A widespread library writes line breaks in UTF-16.
            b"000d" | b"000D" => Meaning::Byte(b'\r'),
            b"000a" | b"000A" => Meaning::Byte(b'\n'),
            bytes => Meaning::Hex(bytes),
        },
        [b'.', command @ ..] => formatting(command),
        [b'C', designation @ ..] => designated(designation, home).map_or(Meaning::Kept, Meaning::Switch),
        code if code.len() <= CODE_BYTES_MAX && is_code(code) => Meaning::Kept,
        _ => Meaning::Text,
    }
}

/// `\.br\` and its relatives.
fn formatting(command: &[u8]) -> Meaning<'_> {
    let (name, number) = command.split_at_checked(2).unwrap_or((command, b""));
    let count = match number {
        [] => Some(1),
        digits => std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.trim().parse::<usize>().ok())
            .filter(|count| *count <= SKIP_MAX),
    };
    match (name.to_ascii_lowercase().as_slice(), number, count) {
        (b"br" | b"ce", [], _) => Meaning::Byte(b'\n'),
        (b"sp", _, Some(count)) => Meaning::Repeated { byte: b'\n', count },
        (b"sk", _, Some(count)) => Meaning::Repeated { byte: b' ', count },
        (b"in" | b"ti", number, _) if is_signed_number(number) => Meaning::Nothing,
        (b"fi" | b"nf", [], _) => Meaning::Nothing,
        _ if command.len() < CODE_BYTES_MAX && is_code(command) => Meaning::Kept,
        _ => Meaning::Text,
    }
}

/// The character set that an ISO 2022 escape designates, in hexadecimal: only single-byte sets of table 0211.
fn designated(designation: &[u8], home: Charset) -> Option<Charset> {
    match designation.to_ascii_uppercase().as_slice() {
        b"2842" => Some(home),
        b"2D41" => Some(Charset::Iso8859_1),
        b"2D42" => Some(Charset::Iso8859_2),
        b"2D43" => Some(Charset::Iso8859_3),
        b"2D44" => Some(Charset::Iso8859_4),
        b"2D4C" => Some(Charset::Iso8859_5),
        b"2D47" => Some(Charset::Iso8859_6),
        b"2D46" => Some(Charset::Iso8859_7),
        b"2D48" => Some(Charset::Iso8859_8),
        b"2D4D" => Some(Charset::Iso8859_9),
        _ => None,
    }
}

/// Looks like an escape code and not like text between two backslashes.
fn is_code(code: &[u8]) -> bool {
    !code.is_empty() && code.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-'))
}

fn is_signed_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    digits.len() <= 4 && digits.iter().all(u8::is_ascii_digit)
}

fn is_hex(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit)
}

fn hex_bytes(digits: &[u8]) -> impl Iterator<Item = u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0);
    digits.chunks_exact(2).map(move |pair| match *pair {
        [high, low] => value(high) << 4 | value(low),
        _ => 0,
    })
}

#[cfg(test)]
mod tests;
