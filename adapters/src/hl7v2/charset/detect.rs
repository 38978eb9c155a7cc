//! Finds the character set of a message by its bytes.
//!
//! The order is fixed: byte order mark, seven-bit, UTF-8, what MSH-18 says if the bytes do not contradict,
//! letters that only windows-1256 has, the likelihood of the letters, the source's default.

use encoding_rs::Encoding;

use super::{Charset, Confidence, Declared};

/// The Arabic evidence that decides between windows-1256 and ISO-8859-6 (doublings of likelihood).
const EVIDENCE_MIN: i64 = 6;

/// So many well-formed sequences outweigh one damaged one, so that one bad byte does not turn a message in
/// UTF-8 into nonsense.
const UTF8_SEQUENCES_PER_ERROR_MIN: usize = 4;

/// The detector. The order of its steps matters.
pub(super) fn detect(bytes: &[u8], declared: Declared, default: Charset) -> (Charset, Confidence) {
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
