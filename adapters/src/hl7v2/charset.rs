//! Which character set a message is written in, and turning its bytes into text.
//!
//! In come the bytes of a message, what MSH-18 says, and the rule of its source; out goes a report: what
//! was declared, what is used, how sure that is. MSH-18 is often wrong in the region, so under `auto` the
//! bytes have the last word. Nothing is refused: bytes that are no text become U+FFFD in the text, and
//! stay as they are in the message.

use std::borrow::Cow;

use encoding_rs::Encoding;

use super::findings::Findings;

mod detect;

/// A character set that messages are read and written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Charset {
    /// Seven-bit ASCII (`ASCII`, `ISO IR6`).
    Ascii,
    /// UTF-8 (`UNICODE UTF-8`).
    #[default]
    Utf8,
    /// Arabic on Windows; not in table 0211, and met every day.
    Windows1256,
    /// Latin 1 (`8859/1`), read as its superset windows-1252.
    Iso8859_1,
    /// Latin 2.
    Iso8859_2,
    /// Latin 3.
    Iso8859_3,
    /// Latin 4.
    Iso8859_4,
    /// Cyrillic.
    Iso8859_5,
    /// Arabic (`8859/6`, `ISO IR127`).
    Iso8859_6,
    /// Greek.
    Iso8859_7,
    /// Hebrew.
    Iso8859_8,
    /// Turkish, read as its superset windows-1254.
    Iso8859_9,
    /// Latin 9.
    Iso8859_15,
}

impl Charset {
    /// Reads a name as MSH-18 or a configuration writes it; case, blanks and punctuation do not matter.
    pub fn from_name(name: &str) -> Option<Charset> {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect();
        match plain.as_str() {
            "ASCII" | "USASCII" | "ISOIR6" => Some(Charset::Ascii),
            "UNICODEUTF8" | "UTF8" | "UNICODE" => Some(Charset::Utf8),
            "WINDOWS1256" | "CP1256" | "1256" | "MS1256" | "ARABIC" => Some(Charset::Windows1256),
            "ISOIR127" => Some(Charset::Iso8859_6),
            "ISOIR100" => Some(Charset::Iso8859_1),
            other => match other.strip_prefix("ISO").unwrap_or(other).strip_prefix("8859")? {
                "1" => Some(Charset::Iso8859_1),
                "2" => Some(Charset::Iso8859_2),
                "3" => Some(Charset::Iso8859_3),
                "4" => Some(Charset::Iso8859_4),
                "5" => Some(Charset::Iso8859_5),
                "6" => Some(Charset::Iso8859_6),
                "7" => Some(Charset::Iso8859_7),
                "8" => Some(Charset::Iso8859_8),
                "9" => Some(Charset::Iso8859_9),
                "15" => Some(Charset::Iso8859_15),
                _ => None,
            },
        }
    }

    /// The name for MSH-18: that of table 0211 where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Charset::Ascii => "ASCII",
            Charset::Utf8 => "UNICODE UTF-8",
            Charset::Windows1256 => "WINDOWS-1256",
            Charset::Iso8859_1 => "8859/1",
            Charset::Iso8859_2 => "8859/2",
            Charset::Iso8859_3 => "8859/3",
            Charset::Iso8859_4 => "8859/4",
            Charset::Iso8859_5 => "8859/5",
            Charset::Iso8859_6 => "8859/6",
            Charset::Iso8859_7 => "8859/7",
            Charset::Iso8859_8 => "8859/8",
            Charset::Iso8859_9 => "8859/9",
            Charset::Iso8859_15 => "8859/15",
        }
    }

    /// The text of `bytes`; what is no text becomes U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Charset::Utf8 => String::from_utf8_lossy(bytes),
            Charset::Ascii => match std::str::from_utf8(bytes) {
                Ok(text) if text.is_ascii() => Cow::Borrowed(text),
                Ok(_) | Err(_) => bytes
                    .iter()
                    .map(|&byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER })
                    .collect(),
            },
            legacy => legacy.encoding().decode_without_bom_handling(bytes).0,
        }
    }

    /// The bytes of `text`, if this character set has all its characters.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>, Unencodable> {
        if text.is_ascii() || self == Charset::Utf8 {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        if self == Charset::Ascii {
            let at = text.bytes().position(|byte| !byte.is_ascii()).unwrap_or_default();
            return Err(Unencodable { charset: self, at });
        }
        let (bytes, _, unmappable) = self.encoding().encode(text);
        if unmappable {
            let at = text.char_indices().find(|(_, letter)| self.lacks(*letter)).map_or(0, |(at, _)| at);
            return Err(Unencodable { charset: self, at });
        }
        Ok(bytes)
    }

    fn lacks(self, letter: char) -> bool {
        self.encoding().encode(letter.encode_utf8(&mut [0; 4])).2
    }

    fn encoding(self) -> &'static Encoding {
        match self {
            Charset::Ascii | Charset::Utf8 => encoding_rs::UTF_8,
            Charset::Windows1256 => encoding_rs::WINDOWS_1256,
            Charset::Iso8859_1 => encoding_rs::WINDOWS_1252,
            Charset::Iso8859_2 => encoding_rs::ISO_8859_2,
            Charset::Iso8859_3 => encoding_rs::ISO_8859_3,
            Charset::Iso8859_4 => encoding_rs::ISO_8859_4,
            Charset::Iso8859_5 => encoding_rs::ISO_8859_5,
            Charset::Iso8859_6 => encoding_rs::ISO_8859_6,
            Charset::Iso8859_7 => encoding_rs::ISO_8859_7,
            Charset::Iso8859_8 => encoding_rs::ISO_8859_8,
            Charset::Iso8859_9 => encoding_rs::WINDOWS_1254,
            Charset::Iso8859_15 => encoding_rs::ISO_8859_15,
        }
    }

    fn is_latin(self) -> bool {
        matches!(
            self,
            Charset::Iso8859_1
                | Charset::Iso8859_2
                | Charset::Iso8859_3
                | Charset::Iso8859_4
                | Charset::Iso8859_9
                | Charset::Iso8859_15
        )
    }
}

/// A text has a character that the character set lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text has a character at byte {at} that {} lacks", charset.name())]
pub struct Unencodable {
    /// The character set to write in.
    pub charset: Charset,
    /// Offset of the character in the text, in bytes of UTF-8.
    pub at: usize,
}

/// How the character set of a source's messages is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CharsetRule {
    /// By MSH-18 and the bytes; `default` when both leave it open.
    Auto { default: Charset },
    /// Always this one, whatever MSH-18 says.
    Fixed(Charset),
}

impl Default for CharsetRule {
    /// `auto`; windows-1256 when in doubt, as Egypt's older systems write it.
    fn default() -> Self {
        CharsetRule::Auto { default: Charset::Windows1256 }
    }
}

/// What MSH-18 says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Declared {
    /// Nothing.
    #[default]
    Nothing,
    /// A character set.
    Known(Charset),
    /// UTF-16 or UTF-32, in which no message can be framed.
    Wide,
    /// A name that is not known.
    Unknown,
}

/// How sure the choice of the character set is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confidence {
    /// Nothing spoke for any character set: the source's default.
    #[default]
    Guess,
    /// The bytes speak for it, or MSH-18 names it and the bytes do not contradict.
    Likely,
    /// It cannot be another.
    Certain,
}

/// The character set of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CharsetReport {
    /// What MSH-18 says.
    pub declared: Declared,
    /// What the text is read in.
    pub used: Charset,
    /// How sure that is.
    pub confidence: Confidence,
    /// MSH-18 names a character set that the message is not written in.
    pub disagrees: bool,
}

impl CharsetReport {
    /// The character set to write in, into the message that this report is about: seven-bit text may become
    /// whatever MSH-18 says.
    pub fn for_writing(&self) -> Charset {
        match (self.used, self.declared) {
            (Charset::Ascii, Declared::Known(declared)) => declared,
            (used, _) => used,
        }
    }
}

/// Finds the character set of `bytes`. `declared` is MSH-18 as it stands, `repetition` divides it.
pub(super) fn find(
    bytes: &[u8],
    declared: &[u8],
    repetition: Option<u8>,
    rule: CharsetRule,
    findings: &mut Findings,
) -> CharsetReport {
    let declared = read_declared(declared, repetition);
    let (used, confidence) = match rule {
        CharsetRule::Fixed(charset) => (charset, Confidence::Certain),
        CharsetRule::Auto { default } => detect::detect(bytes, declared, default),
    };
    let disagrees = match declared {
        Declared::Nothing | Declared::Unknown => false,
        Declared::Wide => true,
        // Seven-bit text is the same in all of them.
        Declared::Known(charset) => charset != used && used != Charset::Ascii,
    };
    if disagrees {
        findings.add(Findings::CHARSET_DISAGREES);
    }
    if declared == Declared::Unknown {
        findings.add(Findings::UNKNOWN_CHARSET);
    }
    CharsetReport { declared, used, confidence, disagrees }
}

/// The first repetition that says something counts: `~UNICODE UTF-8` leaves the default empty.
fn read_declared(field: &[u8], repetition: Option<u8>) -> Declared {
    let mut names = field.split(|&byte| Some(byte) == repetition).map(<[u8]>::trim_ascii);
    let Some(name) = names.find(|name| !name.is_empty() && *name != b"\"\"") else { return Declared::Nothing };
    let Ok(text) = std::str::from_utf8(name) else { return Declared::Unknown };
    match Charset::from_name(text) {
        Some(charset) => Declared::Known(charset),
        None if text.contains("UTF-16") || text.contains("UTF-32") => Declared::Wide,
        None => Declared::Unknown,
    }
}

#[cfg(test)]
mod tests;
