//! The national id of Egypt: `C YYMMDD GG SSSG X`, 14 digits.
//!
//! In come a text as people write it (Arabic-Indic or Persian digits, spaces, dashes, marks of writing
//! direction) and today's date; out goes the id, with what it says: century, birth date, governorate, sex.
//! Refused is what cannot be an id by its structure. The check digit is never a reason to refuse, for its
//! algorithm is not published, and neither is a difference from what a record says about the person:
//! published samples differ. Debug output is masked (H10).

use std::fmt;

use jiff::civil::Date;

use super::governorate::Governorate;

/// How many digits an id has.
const DIGITS: usize = 14;

/// No living person is older, in years.
const AGE_MAX_YEARS: i16 = 130;

/// Weights of the check digit as the community computes it.
const WEIGHTS: [u32; 13] = [2, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];

/// A national id that is right by its structure.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NationalId {
    digits: [u8; DIGITS],
    birth_date: Date,
}

/// What digit 13 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    Male,
    Female,
}

/// Why a text cannot be a national id. No message holds any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NationalIdError {
    #[error("the national id is missing")]
    Missing,
    #[error("a national id has 14 digits")]
    Length,
    #[error("a national id has digits only")]
    NotNumeric,
    #[error("the first digit must be 2 or 3")]
    InvalidCentury,
    #[error("digits 4 and 5 are not a month")]
    InvalidMonth,
    #[error("digits 6 and 7 are not a day")]
    InvalidDay,
    #[error("digits 2 to 7 are not a date")]
    InvalidDate,
    #[error("the birth date is in the future")]
    FutureDate,
    #[error("digits 8 and 9 are not a governorate")]
    InvalidGovernorate,
}

impl NationalIdError {
    /// The code of the national registry.
    pub fn code(self) -> &'static str {
        match self {
            NationalIdError::Missing => "NID_MISSING",
            NationalIdError::Length => "NID_LENGTH",
            NationalIdError::NotNumeric => "NID_NOT_NUMERIC",
            NationalIdError::InvalidCentury => "NID_INVALID_CENTURY",
            NationalIdError::InvalidMonth => "NID_INVALID_MONTH",
            NationalIdError::InvalidDay => "NID_INVALID_DAY",
            NationalIdError::InvalidDate => "NID_INVALID_DATE",
            NationalIdError::FutureDate => "NID_FUTURE_DATE",
            NationalIdError::InvalidGovernorate => "NID_INVALID_GOVERNORATE",
        }
    }
}

impl NationalId {
    /// Reads an id as people write it. `today` is the civil date in Cairo.
    pub fn parse(text: &str, today: Date) -> Result<NationalId, NationalIdError> {
        let digits = digits_of(text)?;
        let id = NationalId { digits, birth_date: birth_date(digits)? };
        if id.birth_date > today {
            return Err(NationalIdError::FutureDate);
        }
        if today.year() - id.birth_date.year() > AGE_MAX_YEARS {
            return Err(NationalIdError::InvalidDate);
        }
        if Governorate::by_code(id.governorate_code().as_str()).is_none() {
            return Err(NationalIdError::InvalidGovernorate);
        }
        Ok(id)
    }

    /// The 14 ASCII digits. Patient data: for the wire and the store only.
    pub fn expose(&self) -> String {
        self.digits.iter().map(|digit| char::from(b'0' + digit)).collect()
    }

    /// The first year of the century of birth: 1900 or 2000.
    pub fn century(&self) -> i16 {
        self.birth_date.year() / 100 * 100
    }

    /// The date of birth.
    pub fn birth_date(&self) -> Date {
        self.birth_date
    }

    /// Where the birth was registered.
    pub fn governorate(&self) -> Option<&'static Governorate> {
        Governorate::by_code(self.governorate_code().as_str())
    }

    /// Male if digit 13 is odd.
    pub fn sex(&self) -> Sex {
        let [.., thirteenth, _] = self.digits;
        if thirteenth % 2 == 1 { Sex::Male } else { Sex::Female }
    }

    /// Whether the last digit is what the community's algorithm gives. For a warning where one is wanted,
    /// never for a refusal.
    pub fn check_digit_fits(&self) -> bool {
        let sum: u32 = self.digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum();
        let expected = match 11 - sum % 11 {
            11 => 1,
            10 => 0,
            digit => digit,
        };
        let [.., last] = self.digits;
        u32::from(last) == expected
    }

    fn governorate_code(&self) -> String {
        let [_, _, _, _, _, _, _, tens, ones, ..] = self.digits;
        [tens, ones].iter().map(|digit| char::from(b'0' + digit)).collect()
    }
}

fn digits_of(text: &str) -> Result<[u8; DIGITS], NationalIdError> {
    let written: Vec<char> = text.chars().filter(|letter| !is_padding(*letter)).collect();
    if written.is_empty() {
        return Err(NationalIdError::Missing);
    }
    let letters = <[char; DIGITS]>::try_from(written).map_err(|_| NationalIdError::Length)?;
    let mut digits = [0_u8; DIGITS];
    for (slot, letter) in digits.iter_mut().zip(letters) {
        *slot = digit_value(letter).ok_or(NationalIdError::NotNumeric)?;
    }
    Ok(digits)
}

/// Spaces, dashes and invisible marks of writing direction say nothing.
fn is_padding(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// ASCII, Arabic-Indic (U+0660) and Persian (U+06F0) digits.
fn digit_value(letter: char) -> Option<u8> {
    let zero = match letter {
        '0'..='9' => '0',
        '\u{0660}'..='\u{0669}' => '\u{0660}',
        '\u{06F0}'..='\u{06F9}' => '\u{06F0}',
        _ => return None,
    };
    u8::try_from(u32::from(letter) - u32::from(zero)).ok()
}

fn birth_date(digits: [u8; DIGITS]) -> Result<Date, NationalIdError> {
    let [century, year_tens, year_ones, month_tens, month_ones, day_tens, day_ones, ..] = digits;
    let hundreds: i16 = match century {
        2 => 1900,
        3 => 2000,
        _ => return Err(NationalIdError::InvalidCentury),
    };
    let year = hundreds + i16::from(year_tens) * 10 + i16::from(year_ones);
    let month = two_digits(month_tens, month_ones).filter(|month| (1..=12).contains(month));
    let day = two_digits(day_tens, day_ones).filter(|day| (1..=31).contains(day));
    let month = month.ok_or(NationalIdError::InvalidMonth)?;
    let day = day.ok_or(NationalIdError::InvalidDay)?;
    Date::new(year, month, day).map_err(|_| NationalIdError::InvalidDate)
}

fn two_digits(tens: u8, ones: u8) -> Option<i8> {
    i8::try_from(tens * 10 + ones).ok()
}

impl fmt::Debug for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NationalId([phi])")
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn today() -> Date {
        date(2026, 11, 24)
    }

    #[test]
    fn the_good_ids_say_when_where_and_whom() {
        let good = [
            ("28001010100013", date(1980, 1, 1), "Cairo", Sex::Male),
            ("28001010100021", date(1980, 1, 1), "Cairo", Sex::Female),
            ("29006152100016", date(1990, 6, 15), "Giza", Sex::Male),
            ("30402291200058", date(2004, 2, 29), "Dakahlia", Sex::Male),
            ("29912318800012", date(1999, 12, 31), "born abroad", Sex::Male),
            ("30110100100015", date(2001, 10, 10), "Cairo", Sex::Male),
            ("28208151304597", date(1982, 8, 15), "Sharqia", Sex::Male),
        ];
        for (text, birth_date, governorate, sex) in good {
            let id = NationalId::parse(text, today()).unwrap();
            assert_eq!(id.expose(), text);
            assert_eq!(id.birth_date(), birth_date);
            assert_eq!(id.century(), if text.starts_with('2') { 1900 } else { 2000 });
            assert_eq!(id.governorate().map(|one| one.name), Some(governorate));
            assert_eq!(id.sex(), sex);
            assert!(id.check_digit_fits(), "{text}");
        }
    }

    #[test]
    fn a_sample_whose_digits_disagree_with_its_story_is_still_an_id() {
        let id = NationalId::parse("27001012345678", today()).unwrap();
        assert_eq!(id.governorate().map(|one| one.name), Some("Fayoum"));
        assert_eq!(id.sex(), Sex::Male);
        assert!(!id.check_digit_fits());
    }

    #[test]
    fn each_bad_id_is_refused_with_the_code_of_its_fault() {
        let bad = [
            ("", "NID_MISSING"),
            ("  -  ", "NID_MISSING"),
            ("2800101010001", "NID_LENGTH"),
            ("280010101000133", "NID_LENGTH"),
            ("2800101010001X", "NID_NOT_NUMERIC"),
            ("18001010100018", "NID_INVALID_CENTURY"),
            ("48001010100018", "NID_INVALID_CENTURY"),
            ("28013010100018", "NID_INVALID_MONTH"),
            ("28000010100018", "NID_INVALID_MONTH"),
            ("28001000100018", "NID_INVALID_DAY"),
            ("28001320100018", "NID_INVALID_DAY"),
            ("30502291200028", "NID_INVALID_DATE"),
            ("28004310100018", "NID_INVALID_DATE"),
            ("32611250100015", "NID_FUTURE_DATE"),
            ("28001019900014", "NID_INVALID_GOVERNORATE"),
            ("28001010000014", "NID_INVALID_GOVERNORATE"),
        ];
        for (text, code) in bad {
            let refused = NationalId::parse(text, today()).unwrap_err();
            assert_eq!(refused.code(), code, "{text}");
        }
    }

    #[test]
    fn a_child_born_today_has_an_id_and_one_born_tomorrow_has_none() {
        assert!(NationalId::parse("32611240100015", today()).is_ok());
        assert_eq!(NationalId::parse("32611250100015", today()), Err(NationalIdError::FutureDate));
    }

    #[test]
    fn nobody_is_older_than_130_years() {
        assert!(NationalId::parse("20001010100015", date(2030, 12, 31)).is_ok());
        let late = NationalId::parse("20001010100015", date(2031, 1, 1));
        assert_eq!(late, Err(NationalIdError::InvalidDate));
    }

    #[test]
    fn an_id_is_the_same_however_its_digits_are_written() {
        let plain = NationalId::parse("28001010100013", today()).unwrap();
        for text in [
            "٢٨٠٠١٠١٠١٠٠٠١٣",
            "۲۸۰۰۱۰۱۰۱۰۰۰۱۳",
            " 2 800101 01 0001 3 ",
            "2-800101-01-0001-3",
            "2\u{2013}800101\u{00A0}01\u{2011}0001 3",
            "\u{200F}28001010100013\u{200E}",
            "٢٨٠٠١٠١01۰۰۰13",
        ] {
            assert_eq!(NationalId::parse(text, today()).as_ref(), Ok(&plain), "{text}");
        }
    }

    #[test]
    fn debug_output_and_errors_hold_no_digit_of_an_id() {
        let id = NationalId::parse("28001010100013", today()).unwrap();
        assert_eq!(format!("{id:?}"), "NationalId([phi])");
        let error = NationalId::parse("28099010100018", today()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("99"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_any_id_writes_back_to_itself(text in "[0-9٠-٩ -]{0,20}|\\PC{0,20}") {
            if let Ok(id) = NationalId::parse(&text, today()) {
                prop_assert_eq!(NationalId::parse(&id.expose(), today()), Ok(id));
            }
        }
    }
}
