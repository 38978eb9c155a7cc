//! Which character set a message is written in, and turning its bytes into text.
//!
//! In come the bytes of a message, what MSH-18 says, and the rule of its source; out goes a report: what
//! was declared, what is used, how sure that is. MSH-18 is often wrong in the region, so under `auto` the
//! bytes have the last word. Nothing is refused: bytes that are no text become U+FFFD in the text, and
//! stay as they are in the message.

use std::borrow::Cow;

use encoding_rs::Encoding;

use super::findings::Findings;

/// The Arabic evidence that decides between windows-1256 and ISO-8859-6 (doublings of likelihood).
const EVIDENCE_MIN: i64 = 6;

/// So many well-formed sequences outweigh one damaged one, so that one bad byte does not turn a message in
/// UTF-8 into nonsense.
const UTF8_SEQUENCES_PER_ERROR_MIN: usize = 4;

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
        CharsetRule::Auto { default } => detect(bytes, declared, default),
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

/// The detector. The order of its steps matters.
fn detect(bytes: &[u8], declared: Declared, default: Charset) -> (Charset, Confidence) {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return (Charset::Utf8, Confidence::Certain);
    }
    if bytes.is_ascii() {
        return (Charset::Ascii, Confidence::Certain);
    }
    if Encoding::utf8_valid_up_to(bytes) == bytes.len() {
        return (Charset::Utf8, Confidence::Certain);
    }
    if is_damaged_utf8(bytes) {
        return (Charset::Utf8, Confidence::Likely);
    }
    let counts = HighBytes::count(bytes);
    match declared {
        Declared::Known(charset) if counts.may_be(charset) => (charset, Confidence::Likely),
        Declared::Known(_) | Declared::Nothing | Declared::Wide | Declared::Unknown => counts.judge(default),
    }
}

fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut sequences, mut errors) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        sequences = sequences.saturating_add(chunk.valid().chars().filter(|letter| !letter.is_ascii()).count());
        errors = errors.saturating_add(usize::from(!chunk.invalid().is_empty()));
    }
    sequences >= errors.saturating_mul(UTF8_SEQUENCES_PER_ERROR_MIN)
}

/// How often each byte from 0x80 occurs, and whether some stand together as in a word of Arabic.
struct HighBytes {
    counts: [i64; 128],
    together: bool,
}

impl HighBytes {
    fn count(bytes: &[u8]) -> HighBytes {
        let mut high = HighBytes { counts: [0; 128], together: false };
        let mut before = false;
        for &byte in bytes {
            if let Some(count) = byte.checked_sub(0x80).and_then(|at| high.counts.get_mut(usize::from(at))) {
                *count = count.saturating_add(1);
            }
            high.together |= before && byte >= 0xC0;
            before = byte >= 0xC0;
        }
        high
    }

    fn each(&self) -> impl Iterator<Item = (u8, i64)> {
        (0x80..=0xFF).zip(self.counts).filter(|(_, count)| *count > 0)
    }

    fn has_any(&self, mut test: impl FnMut(u8) -> bool) -> bool {
        self.each().any(|(byte, _)| test(byte))
    }

    /// The bytes do not contradict what MSH-18 says.
    fn may_be(&self, charset: Charset) -> bool {
        match charset {
            Charset::Ascii | Charset::Utf8 => false,
            Charset::Windows1256 => self.evidence() > -EVIDENCE_MIN,
            Charset::Iso8859_6 => !self.has_any(is_undefined_in_8859_6) && self.evidence() < EVIDENCE_MIN,
            // Many systems say Latin 1 and send Arabic. Latin has its accents one by one among ASCII letters.
            latin if latin.is_latin() => !self.together,
            other => !self.has_any(|byte| other.decode(&[byte]).contains(char::REPLACEMENT_CHARACTER)),
        }
    }

    /// Arabic in one of two character sets, or the default.
    fn judge(&self, default: Charset) -> (Charset, Confidence) {
        if self.has_any(is_only_in_1256) {
            return (Charset::Windows1256, Confidence::Certain);
        }
        if self.has_any(is_undefined_in_8859_6) {
            let charset = if default == Charset::Iso8859_6 { Charset::Windows1256 } else { default };
            return (charset, Confidence::Guess);
        }
        match self.evidence() {
            for_1256 if for_1256 >= EVIDENCE_MIN => (Charset::Windows1256, Confidence::Likely),
            for_8859_6 if for_8859_6 <= -EVIDENCE_MIN => (Charset::Iso8859_6, Confidence::Likely),
            _ => (default, Confidence::Guess),
        }
    }

    /// How much more likely the letters are in windows-1256 (positive) than in ISO-8859-6 (negative).
    ///
    /// Single bytes prove little here: E1 and E3 are the commonest letters of one character set and rare
    /// ones of the other. So all letters are weighed by how common they are in Arabic.
    fn evidence(&self) -> i64 {
        let weight = |charset: Charset, byte: u8| charset.decode(&[byte]).chars().map(commonness).sum::<i64>();
        self.each()
            .filter(|(byte, _)| *byte >= 0xD7)
            .map(|(byte, count)| {
                count.saturating_mul(weight(Charset::Windows1256, byte) - weight(Charset::Iso8859_6, byte))
            })
            .sum()
    }
}

/// Bytes that ISO-8859-6 leaves undefined and that are letters of windows-1256.
fn is_only_in_1256(byte: u8) -> bool {
    matches!(byte, 0x81 | 0x8D | 0x8E | 0x8F | 0x90 | 0x98 | 0x9A | 0xC0 | 0xDB..=0xDF | 0xFF)
}

fn is_undefined_in_8859_6(byte: u8) -> bool {
    matches!(
        byte,
        0x80..=0x9F | 0xA1..=0xA3 | 0xA5..=0xAB | 0xAE..=0xBA | 0xBC..=0xBE | 0xC0 | 0xDB..=0xDF | 0xF3..=0xFF
    )
}

/// How common a letter is in Arabic text: the binary logarithm of its share in thousandths.
fn commonness(letter: char) -> i64 {
    match letter {
        'ل' => 7,
        'ي' | 'م' | 'ن' | 'و' => 6,
        'ه' | 'ع' => 5,
        'ف' | 'ق' | 'ك' => 4,
        'ط' | 'ى' => 3,
        'غ' => 2,
        'ظ' => 1,
        // Vowel signs and the lengthening stroke are rarely written.
        '\u{64B}'..='\u{652}' | 'ـ' => 0,
        _ => -2,
    }
}

#[cfg(test)]
mod tests;
