//! Numbers of prescriptions: the six shapes that are met in the field, and the one that the hub issues.
//!
//! In comes a text from a sender, or a day, a counter and a key; out goes a number. A number is kept as
//! its issuer wrote it and never changed into another. The hub issues `RX-YYYYMMDD` and six hexadecimal
//! digits: a counter of the day, scrambled by a keyed permutation of all 2^24 values, so that a number
//! says nothing about its neighbours and no two counters of a day give the same one. A text of no known
//! shape is refused, and so is a counter past the last of a day.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::shape::{Letters, Piece, between, exactly, fits};

/// The system of numbers that the platform issues.
pub const NATIONAL_SYSTEM: &str = "http://ndp.egypt.gov.eg/fhir/prescription-id";

/// Other names under which the same system is met.
const NATIONAL_ALIASES: [&str; 1] = ["https://fhir.healthflow.eg/sid/prescription"];

/// How many numbers one day has.
pub const NUMBERS_PER_DAY: u32 = 1 << 24;

/// Half of a counter in bits: the permutation works on two halves.
const HALF_BITS: u32 = 12;
const HALF_MASK: u32 = (1 << HALF_BITS) - 1;

/// Rounds of the permutation. Four make it look random to one who may choose counters; the rest is margin.
const ROUNDS: u8 = 8;

/// The longest random part that is taken from a sender.
const RANDOM_LETTERS_MAX: usize = 32;

/// A number of a prescription, as its issuer wrote it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrescriptionNumber {
    text: String,
    form: Form,
}

/// The shapes of numbers that are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `RX-20260503A1B2C3`: what the hub issues.
    Issued,
    /// `RX-2026-00012345`.
    YearAndSerial,
    /// `RX-2026-A1B2C3`.
    YearAndRandom,
    /// `RX-20260503-A1B2C3`.
    DayAndRandom,
    /// `RX-1777777777777-x7Yz`: milliseconds since 1970.
    EpochAndRandom,
    /// `NDP-2026-000123`.
    YearAndSequence,
}

/// A number together with who issued it: what identifies a prescription. Two issuers may have given the
/// same number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IssuedNumber {
    issuer: String,
    number: PrescriptionNumber,
}

/// The text is a prescription number of no known shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a prescription number of a known shape")]
pub struct UnknownForm;

/// All numbers of the day are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the day has no prescription numbers left")]
pub struct DayExhausted;

/// The secret that scrambles counters. Whoever has it can tell how many prescriptions a day had.
#[derive(Clone)]
pub struct NumberKey(pub [u8; 32]);

impl PrescriptionNumber {
    /// Recognises a number in any of the six shapes. White space round it is dropped.
    pub fn parse(text: &str) -> Result<PrescriptionNumber, UnknownForm> {
        let trimmed = text.trim();
        let form = Form::ALL.into_iter().find(|form| fits(trimmed, form.shape())).ok_or(UnknownForm)?;
        Ok(PrescriptionNumber { text: trimmed.to_owned(), form })
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which shape it has.
    pub fn form(&self) -> Form {
        self.form
    }
}

impl IssuedNumber {
    /// A number under the system of its issuer. The platform's system is known under every name it has.
    pub fn new(issuer: &str, number: PrescriptionNumber) -> IssuedNumber {
        let canonical = if is_national_system(issuer) { NATIONAL_SYSTEM } else { issuer };
        IssuedNumber { issuer: canonical.to_owned(), number }
    }

    /// `issuer|number`: one text that is unique, in the notation of FHIR's token search.
    pub fn to_token(&self) -> String {
        format!("{}|{}", self.issuer, self.number.as_str())
    }

    /// Reads what [`IssuedNumber::to_token`] wrote.
    pub fn from_token(token: &str) -> Result<IssuedNumber, UnknownForm> {
        let (issuer, number) = token.rsplit_once('|').ok_or(UnknownForm)?;
        Ok(IssuedNumber::new(issuer, PrescriptionNumber::parse(number)?))
    }

    /// The system of the issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The number.
    pub fn number(&self) -> &PrescriptionNumber {
        &self.number
    }
}

/// Whether `system` names the platform's own numbers.
pub fn is_national_system(system: &str) -> bool {
    system == NATIONAL_SYSTEM || NATIONAL_ALIASES.contains(&system)
}

/// The number that belongs to the `counter`th prescription of `day` (from 0).
///
/// The same three always give the same number; two counters of a day never do.
pub fn allocate(day: Date, counter: u32, key: &NumberKey) -> Result<PrescriptionNumber, DayExhausted> {
    if counter >= NUMBERS_PER_DAY {
        return Err(DayExhausted);
    }
    let cipher = key.for_day(day);
    let scrambled = permute(counter, |round, half| cipher.round(round, half));
    let text = format!("RX-{:04}{:02}{:02}{scrambled:06X}", day.year(), day.month(), day.day());
    Ok(PrescriptionNumber { text, form: Form::Issued })
}

/// A balanced Feistel network on 24 bits: a bijection, whatever `round` is.
fn permute(counter: u32, round: impl Fn(u8, u32) -> u32) -> u32 {
    let mut left = counter >> HALF_BITS & HALF_MASK;
    let mut right = counter & HALF_MASK;
    for number in 0..ROUNDS {
        let mixed = (left ^ round(number, right)) & HALF_MASK;
        left = right;
        right = mixed;
    }
    left << HALF_BITS | right
}

/// The key, made ready for one day.
struct DayCipher(Hmac<Sha256>);

impl NumberKey {
    fn for_day(&self, day: Date) -> DayCipher {
        let mut block = [0_u8; 64];
        for (slot, byte) in block.iter_mut().zip(self.0) {
            *slot = byte;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(b"prescription number");
        mac.update(&day.year().to_be_bytes());
        mac.update(&day.month().to_be_bytes());
        mac.update(&day.day().to_be_bytes());
        DayCipher(mac)
    }
}

impl DayCipher {
    fn round(&self, round: u8, half: u32) -> u32 {
        let mut mac = self.0.clone();
        mac.update(&[round]);
        mac.update(&half.to_be_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let [first, second, ..] = bytes;
        u32::from(u16::from_be_bytes([first, second])) & HALF_MASK
    }
}

impl Form {
    /// Every shape, the hub's own first.
    pub const ALL: [Form; 6] = [
        Form::Issued,
        Form::YearAndSerial,
        Form::YearAndRandom,
        Form::DayAndRandom,
        Form::EpochAndRandom,
        Form::YearAndSequence,
    ];

    fn shape(self) -> &'static [Piece] {
        use Letters::{AnyOrDigit, Digit, UpperHex, UpperOrDigit};
        use Piece::Literal;
        const RX: Piece = Literal("RX-");
        const DASH: Piece = Literal("-");
        match self {
            Form::Issued => const { &[RX, exactly(8, Digit), exactly(6, UpperHex)] },
            Form::YearAndSerial => const { &[RX, exactly(4, Digit), DASH, exactly(8, Digit)] },
            Form::YearAndRandom => const { &[RX, exactly(4, Digit), DASH, exactly(6, UpperOrDigit)] },
            Form::DayAndRandom => const { &[RX, exactly(8, Digit), DASH, exactly(6, UpperOrDigit)] },
            Form::EpochAndRandom => {
                const { &[RX, exactly(13, Digit), DASH, between(1, RANDOM_LETTERS_MAX, AnyOrDigit)] }
            }
            Form::YearAndSequence => const { &[Literal("NDP-"), exactly(4, Digit), DASH, exactly(6, Digit)] },
        }
    }
}

impl fmt::Debug for PrescriptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrescriptionNumber({:?} [phi])", self.form)
    }
}

impl fmt::Debug for NumberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NumberKey([secret])")
    }
}

impl TryFrom<String> for PrescriptionNumber {
    type Error = UnknownForm;

    fn try_from(text: String) -> Result<Self, UnknownForm> {
        PrescriptionNumber::parse(&text)
    }
}

impl From<PrescriptionNumber> for String {
    fn from(number: PrescriptionNumber) -> String {
        number.text
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const KEY: NumberKey = NumberKey([7; 32]);

    #[test]
    fn each_of_the_six_variants_is_recognised_and_kept_as_written() {
        let variants = [
            ("RX-20260503A1B2C3", Form::Issued),
            ("RX-20251201B9C8D7", Form::Issued),
            ("RX-2026-00012345", Form::YearAndSerial),
            ("RX-2026-A1Z9C3", Form::YearAndRandom),
            ("RX-20260503-A1Z9C3", Form::DayAndRandom),
            ("RX-1777777777777-x7Yz", Form::EpochAndRandom),
            ("NDP-2026-000123", Form::YearAndSequence),
        ];
        for (text, form) in variants {
            let number = PrescriptionNumber::parse(text).unwrap();
            assert_eq!((number.as_str(), number.form()), (text, form));
            let fitting = Form::ALL.into_iter().filter(|other| fits(text, other.shape())).count();
            assert_eq!(fitting, 1, "{text}");
        }
    }

    #[test]
    fn a_number_and_its_issuer_are_one_text_and_read_back() {
        for issuer in [NATIONAL_SYSTEM, "CLINIC", "a|b"] {
            let number = IssuedNumber::new(issuer, PrescriptionNumber::parse("RX-2026-A1Z9C3").unwrap());
            assert_eq!(IssuedNumber::from_token(&number.to_token()), Ok(number));
        }
        let alias = IssuedNumber::from_token("https://fhir.healthflow.eg/sid/prescription|RX-2026-A1Z9C3").unwrap();
        assert_eq!(alias.issuer(), NATIONAL_SYSTEM);
        assert_eq!(IssuedNumber::from_token("RX-2026-A1Z9C3"), Err(UnknownForm));
    }

    #[test]
    fn a_text_of_another_shape_is_no_prescription_number() {
        for text in [
            "",
            "RX-",
            "RX-20260503a1b2c3",
            "RX-20260503A1B2C",
            "RX-20260503A1B2C3X",
            "RX-20260503G1B2C3",
            "RX-2026-1234567",
            "RX-2026-a1b2c3",
            "RX-1777777777777-",
            "RX-1777777777777-123456789012345678901234567890123",
            "NDP-2026-0001234",
            "ORD000000001",
            "RX-٢٠٢٦٠٥٠٣A1B2C3",
        ] {
            assert_eq!(PrescriptionNumber::parse(text), Err(UnknownForm), "{text}");
        }
    }

    #[test]
    fn the_permutation_gives_every_number_of_a_day_exactly_once() {
        let day = date(2026, 5, 3);
        let cipher = KEY.for_day(day);
        let halves = usize::try_from(HALF_MASK + 1).unwrap();
        let rounds: Vec<Vec<u32>> =
            (0..ROUNDS).map(|round| (0..=HALF_MASK).map(|half| cipher.round(round, half)).collect()).collect();
        assert!(rounds.iter().all(|table| table.len() == halves));
        let mut given = vec![false; usize::try_from(NUMBERS_PER_DAY).unwrap()];
        for counter in 0..NUMBERS_PER_DAY {
            let scrambled = permute(counter, |round, half| rounds[usize::from(round)][usize::try_from(half).unwrap()]);
            let place = &mut given[usize::try_from(scrambled).unwrap()];
            assert!(!*place, "{scrambled:06X} was given twice");
            *place = true;
            if counter % 100_003 == 0 {
                let number = allocate(day, counter, &KEY).unwrap();
                assert_eq!(number.as_str(), format!("RX-20260503{scrambled:06X}"));
            }
        }
        assert!(given.into_iter().all(|given| given));
    }

    #[test]
    fn an_issued_number_is_of_the_form_that_is_recognised_as_issued() {
        let number = allocate(date(2026, 12, 31), 41, &KEY).unwrap();
        assert_eq!(PrescriptionNumber::parse(number.as_str()), Ok(number));
    }

    #[test]
    fn days_and_keys_scramble_differently() {
        let text = |day, key: &NumberKey| -> Vec<String> {
            (0..64).map(|counter| allocate(day, counter, key).unwrap().as_str()[11..].to_owned()).collect()
        };
        let first = text(date(2026, 5, 3), &KEY);
        assert_ne!(first, text(date(2026, 5, 4), &KEY));
        assert_ne!(first, text(date(2026, 5, 3), &NumberKey([8; 32])));
        assert_eq!(first, text(date(2026, 5, 3), &KEY));
    }

    #[test]
    fn neighbouring_counters_are_not_neighbouring_numbers() {
        let value = |counter| {
            let number = allocate(date(2026, 5, 3), counter, &KEY).unwrap();
            i64::from_str_radix(&number.as_str()[11..], 16).unwrap()
        };
        let near = (0..1_000).filter(|counter| (value(*counter) - value(counter + 1)).abs() < 1_000).count();
        assert!(near < 5, "{near} of 1,000 neighbours stayed near each other");
    }

    #[test]
    fn the_day_after_its_last_counter_gives_nothing() {
        assert!(allocate(date(2026, 5, 3), NUMBERS_PER_DAY - 1, &KEY).is_ok());
        assert_eq!(allocate(date(2026, 5, 3), NUMBERS_PER_DAY, &KEY), Err(DayExhausted));
    }

    #[test]
    fn debug_shows_neither_number_nor_key() {
        let number = PrescriptionNumber::parse("RX-2026-00012345").unwrap();
        let shown = format!("{number:?} {KEY:?}");
        assert!(!shown.contains("00012345") && !shown.contains('7'), "{shown}");
    }
}
