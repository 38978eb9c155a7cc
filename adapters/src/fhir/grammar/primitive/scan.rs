//! The shapes of values, read by hand from left to right.

use std::ops::RangeInclusive;

use super::is_space;

/// What is left of a text.
struct Scan<'t> {
    rest: &'t [u8],
}

impl<'t> Scan<'t> {
    fn of(text: &'t str) -> Scan<'t> {
        Scan { rest: text.as_bytes() }
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the byte if it is next.
    fn takes(&mut self, byte: u8) -> bool {
        self.takes_if(|next| next == byte)
    }

    fn takes_if(&mut self, is_wanted: impl Fn(u8) -> bool) -> bool {
        match self.rest.split_first() {
            Some((next, rest)) if is_wanted(*next) => {
                self.rest = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Takes as many bytes of a kind as there are, and says how many.
    fn takes_all(&mut self, is_wanted: impl Fn(u8) -> bool) -> usize {
        let before = self.rest.len();
        while self.takes_if(&is_wanted) {}
        before.saturating_sub(self.rest.len())
    }

    /// Takes digits, at least one.
    fn takes_digits(&mut self) -> bool {
        self.takes_all(|byte| byte.is_ascii_digit()) > 0
    }

    /// Takes a number of so many digits.
    fn number(&mut self, digits: usize, among: RangeInclusive<u32>) -> Option<u32> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        let is_number = number.iter().all(u8::is_ascii_digit);
        let value = std::str::from_utf8(number).ok().filter(|_| is_number)?.parse().ok()?;
        self.rest = rest;
        among.contains(&value).then_some(value)
    }
}

// === dates and times ===

/// A date as far as it is written.
struct Date {
    year: u32,
    month: Option<u32>,
    day: Option<u32>,
}

impl Date {
    fn read(scan: &mut Scan<'_>) -> Option<Date> {
        let mut date = Date { year: scan.number(4, 1..=9999)?, month: None, day: None };
        if scan.takes(b'-') {
            date.month = Some(scan.number(2, 1..=12)?);
            if scan.takes(b'-') {
                date.day = Some(scan.number(2, 1..=31)?);
            }
        }
        Some(date)
    }

    fn is_in_calendar(&self) -> bool {
        let is_leap = self.year.is_multiple_of(4) && !self.year.is_multiple_of(100) || self.year.is_multiple_of(400);
        let days = match self.month {
            Some(4 | 6 | 9 | 11) => 30,
            Some(2) if is_leap => 29,
            Some(2) => 28,
            Some(_) | None => 31,
        };
        self.day.is_none_or(|day| day <= days)
    }
}

/// Whether the day at the beginning exists.
pub(super) fn has_day_of_calendar(text: &str) -> bool {
    Date::read(&mut Scan::of(text)).is_some_and(|date| date.is_in_calendar())
}

/// `2026`, `2026-11`, `2026-11-05`
pub(super) fn is_date(text: &str) -> bool {
    let mut scan = Scan::of(text);
    Date::read(&mut scan).is_some() && scan.is_done()
}

/// As a date, or `2026-11-05T09:29:00+02:00`
pub(super) fn is_date_time(text: &str) -> bool {
    is_date(text) || is_instant(text)
}

/// `2026-11-05T09:29:00.120Z`
pub(super) fn is_instant(text: &str) -> bool {
    let mut scan = Scan::of(text);
    let is_day = Date::read(&mut scan).is_some_and(|date| date.day.is_some());
    is_day && scan.takes(b'T') && takes_time(&mut scan) && takes_zone(&mut scan) && scan.is_done()
}

/// `09:29:00.120`
pub(super) fn is_time(text: &str) -> bool {
    let mut scan = Scan::of(text);
    takes_time(&mut scan) && scan.is_done()
}

fn takes_time(scan: &mut Scan<'_>) -> bool {
    let is_time = scan.number(2, 0..=23).is_some()
        && scan.takes(b':')
        && scan.number(2, 0..=59).is_some()
        && scan.takes(b':')
        && scan.number(2, 0..=60).is_some();
    is_time && (!scan.takes(b'.') || scan.takes_digits())
}

/// `Z`, or an offset of at most 14 hours.
fn takes_zone(scan: &mut Scan<'_>) -> bool {
    if scan.takes(b'Z') {
        return true;
    }
    if !scan.takes_if(|byte| matches!(byte, b'+' | b'-')) {
        return false;
    }
    let Some(hours) = scan.number(2, 0..=14) else { return false };
    let minutes_max = if hours == 14 { 0 } else { 59 };
    scan.takes(b':') && scan.number(2, 0..=minutes_max).is_some()
}

// === numbers ===

/// `0`, or digits that do not begin with 0.
pub(super) fn is_integer(text: &str) -> bool {
    let mut scan = Scan::of(text);
    takes_integer(&mut scan) && scan.is_done()
}

fn takes_integer(scan: &mut Scan<'_>) -> bool {
    scan.takes(b'0') || scan.takes_digits()
}

/// `-1.50e3`
pub(super) fn is_decimal(text: &str) -> bool {
    let mut scan = Scan::of(text);
    scan.takes(b'-');
    let mut is_number = takes_integer(&mut scan);
    if scan.takes(b'.') {
        is_number &= scan.takes_digits();
    }
    if scan.takes_if(|byte| matches!(byte, b'e' | b'E')) {
        scan.takes_if(|byte| matches!(byte, b'+' | b'-'));
        is_number &= scan.takes_digits();
    }
    is_number && scan.is_done()
}

// === names ===

/// Words with one space between them, none before and none after.
pub(super) fn is_code(text: &str) -> bool {
    text.split(is_space).all(|word| !word.is_empty())
}

/// `urn:oid:2.16.840.1`: at least two numbers, the first from 0 to 2.
pub(super) fn is_oid(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("urn:oid:") else { return false };
    let mut numbers = numbers.split('.');
    let is_rooted = numbers.next().is_some_and(|root| matches!(root, "0" | "1" | "2"));
    let mut branches = numbers.peekable();
    is_rooted && branches.peek().is_some() && branches.all(is_integer)
}

/// `urn:uuid:` and five groups of hexadecimal digits.
pub(super) fn is_uuid(text: &str) -> bool {
    let Some(groups) = text.strip_prefix("urn:uuid:") else { return false };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    groups.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && groups.bytes().all(|byte| byte == b'-' || is_hex(byte))
}

/// Groups of four letters, with white space between groups only.
pub(super) fn is_base64(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let mut scan = Scan::of(text);
    let mut groups = 0_usize;
    loop {
        scan.takes_all(|byte| is_space(char::from(byte)));
        if scan.is_done() {
            return groups > 0;
        }
        let letters = scan.takes_all(is_letter);
        if letters == 0 || !letters.is_multiple_of(4) {
            return false;
        }
        groups = groups.saturating_add(1);
    }
}
