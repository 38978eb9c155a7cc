//! Functions of dates and times (HL7 v2.5.1 section 2.A.22, FHIR R4 `dateTime`).
//!
//! A time without a zone is Egypt's: Africa/Cairo, with the summer time of that day. Precision is kept.

use std::borrow::Cow;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::text::{fold_digits, trimmed};
use super::{Example, Function, Kind, Takes, one};
use crate::mapping::error::Fault;
use crate::mapping::value::Val;

/// The zone of a time without one; compiled in, so that every machine gives the same bytes.
static CAIRO: TimeZone = jiff::tz::get!("Africa/Cairo");

/// Furthest offset of a zone from UTC, in minutes.
const OFFSET_MINUTES_MAX: i32 = 14 * 60;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "datetime",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "An HL7 v2 or ISO time as a FHIR dateTime, as precise as it was given. A time of day without a zone gets that of Africa/Cairo on that day; `00000000` is empty; an impossible time is refused.",
        example: Example {
            given: "ORC|NW||||||||202607050929",
            expression: "ORC-9 | datetime",
            gives: r#""2026-07-05T09:29:00+03:00""#,
        },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0) {
            Some(text) => Ok(Moment::read(text)?.map_or(Val::Absent, |moment| Val::from(moment.fhir()))),
            None => Ok(Val::Absent),
        },
    },
    Function {
        name: "date",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The day, month or year of a time as a FHIR date, as precise as it was given.",
        example: Example { given: "PID|||||||198001", expression: "PID-7 | date", gives: r#""1980-01""# },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0) {
            Some(text) => Ok(Moment::read(text)?.map_or(Val::Absent, |moment| Val::from(moment.date()))),
            None => Ok(Val::Absent),
        },
    },
    Function {
        name: "hl7_datetime",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "A FHIR or HL7 v2 time as an HL7 v2 time (TS.1, DTM), as precise as it was given.",
        example: Example {
            given: r#"{"authoredOn":"2026-11-05T09:29:00+02:00"}"#,
            expression: "authoredOn | hl7_datetime",
            gives: r#""20261105092900+0200""#,
        },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0) {
            Some(text) => Ok(Moment::read(text)?.map_or(Val::Absent, |moment| Val::from(moment.hl7()))),
            None => Ok(Val::Absent),
        },
    },
    Function {
        name: "hl7_date",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The day, month or year of a FHIR or HL7 v2 time as an HL7 v2 date (DT), as precise as it was given.",
        example: Example {
            given: r#"{"birthDate":"1980-01-01"}"#,
            expression: "birthDate | hl7_date",
            gives: r#""19800101""#,
        },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0) {
            Some(text) => Ok(Moment::read(text)?.map_or(Val::Absent, |moment| Val::from(moment.hl7_date()))),
            None => Ok(Val::Absent),
        },
    },
    Function {
        name: "time",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "The time of day as a FHIR time: from an HL7 v2 time of day (TM: two, four or six digits), a time with its day, or hours and minutes with a colon. A FHIR time has no zone: that of the value is dropped. A day alone gives nothing.",
        example: Example { given: "ZTM|0930", expression: "ZTM-1 | time", gives: r#""09:30:00""# },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0) {
            Some(text) => Ok(time_of_day(text)?.map_or(Val::Absent, Val::from)),
            None => Ok(Val::Absent),
        },
    },
    Function {
        name: "instant",
        parameters: &[one("value", Kind::Value)],
        returns: Kind::Text,
        doc: "A time with its day as a FHIR instant, which has seconds and a zone. Without a zone it is that of Africa/Cairo on that day. A day without a time of day is no instant and gives nothing.",
        example: Example {
            given: "ORC|NW||||||||202607050929",
            expression: "ORC-9 | instant",
            gives: r#""2026-07-05T09:29:00+03:00""#,
        },
        may_fail: true,
        takes: Takes::Each,
        run: |arguments| match arguments.text(0) {
            Some(text) => {
                let moment = Moment::read(text)?.filter(|moment| moment.time.is_some());
                Ok(moment.map_or(Val::Absent, |moment| Val::from(moment.fhir())))
            }
            None => Ok(Val::Absent),
        },
    },
];

const INVALID: Fault = Fault::Invalid("the value is no date or time");

/// Whether the text is a time as HL7 v2 writes it (DTM): digits without signs between them, and one that exists.
pub(in crate::mapping) fn is_hl7_time(text: &str) -> bool {
    Moment::of_digits(text).is_some()
}

/// A time as precise as it was written.
struct Moment {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<Time>,
}

struct Time {
    hour: i8,
    minute: i8,
    second: i8,
    /// Digits after the point, without it.
    fraction: String,
    offset_minutes: i32,
}

impl Moment {
    /// `None` for a time of zeros, which means nothing.
    fn read(text: Cow<'_, str>) -> Result<Option<Moment>, Fault> {
        let text = fold_digits(trimmed(text));
        if text.bytes().all(|byte| byte == b'0') {
            return Ok(None);
        }
        let plain = plain_digits(&text).ok_or(INVALID)?;
        Moment::of_digits(&plain).map(Some).ok_or(INVALID)
    }

    /// `YYYY[MM[DD[HH[MM[SS[.F]]]]]][zone]`
    fn of_digits(text: &str) -> Option<Moment> {
        let length = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at_checked(length)?;
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(rest) => {
                rest.split_at_checked(rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len()))?
            }
            None => ("", rest),
        };
        let part = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<i8>().ok());
        let is_length = matches!(length, 4 | 6 | 8 | 10 | 12 | 14);
        let year = digits.get(..4).and_then(|year| year.parse::<i16>().ok()).filter(|_| is_length)?;
        let (month, day) = (part(4, 6), part(6, 8));
        let date = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
        if !fraction.is_empty() && length != 14 {
            return None;
        }
        let time = match part(8, 10) {
            None => None,
            Some(hour) => {
                let (minute, second) = (part(10, 12).unwrap_or(0), part(12, 14).unwrap_or(0));
                let local = date.at(0, 0, 0, 0).with().hour(hour).minute(minute).second(second).build().ok()?;
                let offset_minutes = offset(zone).unwrap_or_else(|| cairo_offset(local));
                Some(Time { hour, minute, second, fraction: fraction.to_owned(), offset_minutes })
            }
        };
        Some(Moment { year, month, day, time })
    }

    fn date(&self) -> String {
        match (self.month, self.day) {
            (Some(month), Some(day)) => format!("{:04}-{month:02}-{day:02}", self.year),
            (Some(month), None) => format!("{:04}-{month:02}", self.year),
            (None, _) => format!("{:04}", self.year),
        }
    }

    fn fhir(&self) -> String {
        let Some(time) = &self.time else { return self.date() };
        let (sign, hours, minutes) = time.zone();
        format!("{}T{}{sign}{hours:02}:{minutes:02}", self.date(), time.clock())
    }

    fn hl7_date(&self) -> String {
        self.date().replace('-', "")
    }

    fn hl7(&self) -> String {
        let date = self.hl7_date();
        let Some(time) = &self.time else { return date };
        // DTM has at most four digits after the point.
        let fraction = time.fraction.get(..4).unwrap_or(&time.fraction);
        let point = if fraction.is_empty() { "" } else { "." };
        let (sign, hours, minutes) = time.zone();
        format!(
            "{date}{:02}{:02}{:02}{point}{fraction}{sign}{hours:02}{minutes:02}",
            time.hour, time.minute, time.second
        )
    }
}

/// The day of a time as a FHIR date; nothing for a time of zeros.
pub(super) fn fhir_date(text: Cow<'_, str>) -> Result<Option<String>, Fault> {
    Ok(Moment::read(text)?.map(|moment| moment.date()))
}

/// The time of day of an HL7 v2 TM or DTM, or of an ISO time; nothing for a day alone.
fn time_of_day(text: Cow<'_, str>) -> Result<Option<String>, Fault> {
    let text = fold_digits(trimmed(text));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let has_day = digits >= 8 || text.as_bytes().get(4) == Some(&b'-') || text.contains('/');
    let moment = if has_day {
        Moment::read(text)?
    } else {
        // On any day: only the time counts.
        let clock = text.replace(':', "");
        let length = clock.bytes().take_while(u8::is_ascii_digit).count();
        let is_clock = matches!(length, 2 | 4 | 6);
        Some(Moment::of_digits(&format!("20000101{clock}")).filter(|_| is_clock).ok_or(INVALID)?)
    };
    Ok(moment.and_then(|moment| moment.time).map(|time| time.clock()))
}

impl Time {
    /// `HH:MM:SS`, and the fraction if there is one.
    fn clock(&self) -> String {
        let point = if self.fraction.is_empty() { "" } else { "." };
        format!("{:02}:{:02}:{:02}{point}{}", self.hour, self.minute, self.second, self.fraction)
    }

    fn zone(&self) -> (char, i32, i32) {
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let size = self.offset_minutes.saturating_abs();
        (sign, size.checked_div(60).unwrap_or(0), size.checked_rem(60).unwrap_or(0))
    }
}

/// `YYYY-MM-DD`, `YYYY-MM-DD HH:MM:SS`, `DD/MM/YYYY` and HL7's own form, all without signs between digits.
fn plain_digits(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    if let [d1, d2, b'/', m1, m2, b'/', y1, y2, y3, y4] = bytes {
        let digits: String = [y1, y2, y3, y4, m1, m2, d1, d2].into_iter().map(|byte| char::from(*byte)).collect();
        return Some(Cow::Owned(digits));
    }
    if bytes.get(4) != Some(&b'-') || bytes.get(..4)?.iter().any(|byte| !byte.is_ascii_digit()) || is_zone_at_4(bytes) {
        return Some(Cow::Borrowed(text));
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at_checked(at)?,
        None => (time, ""),
    };
    Some(Cow::Owned(format!("{}{}{}", date.replace('-', ""), clock.replace(':', ""), zone.replace(':', ""))))
}

/// `2026-0200` is a year with a zone, and `2026-02` a month.
fn is_zone_at_4(bytes: &[u8]) -> bool {
    bytes.len() == 9 && bytes.iter().skip(5).all(u8::is_ascii_digit)
}

/// `+0200`, `-0530` or `Z` in minutes. `None` for a zone that is missing or impossible.
fn offset(zone: &str) -> Option<i32> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, digits) = match zone.as_bytes().first()? {
        b'+' => (1, zone.get(1..)?),
        b'-' => (-1, zone.get(1..)?),
        _ => return None,
    };
    if digits.len() != 4 {
        return None;
    }
    let (hours, minutes) = (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..)?.parse::<i32>().ok()?);
    let total = hours.checked_mul(60)?.checked_add(minutes)?;
    let is_possible = minutes < 60 && total <= OFFSET_MINUTES_MAX && total.checked_rem(15) == Some(0);
    is_possible.then(|| total.saturating_mul(sign))
}

/// The zone of a time without one: Egypt's on that day.
fn cairo_offset(local: jiff::civil::DateTime) -> i32 {
    let zoned = CAIRO.to_ambiguous_timestamp(local).compatible().map(|time| CAIRO.to_offset(time));
    zoned.map_or(0, |offset| offset.seconds().checked_div(60).unwrap_or(0))
}

/// A time of the clock as a FHIR dateTime in Egypt's zone, in milliseconds.
pub(in crate::mapping) fn egyptian_time(at: adapters::clock::Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(time) => time.to_zoned_datetime(CAIRO.clone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string(),
        Err(_) => at.to_rfc3339(),
    }
}

/// The same as an HL7 v2 time.
pub(in crate::mapping) fn egyptian_hl7_time(at: adapters::clock::Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(time) => time.to_zoned_datetime(CAIRO.clone()).strftime("%Y%m%d%H%M%S.%3f%z").to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fhir(text: &str) -> Option<String> {
        Moment::read(Cow::Borrowed(text)).ok()?.map(|moment| moment.fhir())
    }

    #[test]
    fn times_keep_their_precision_and_get_a_zone_only_with_a_time_of_day() {
        let table = [
            ("2026", "2026"),
            ("202611", "2026-11"),
            ("20261105", "2026-11-05"),
            ("2026110509", "2026-11-05T09:00:00+02:00"),
            ("202611050929", "2026-11-05T09:29:00+02:00"),
            ("20261105092955", "2026-11-05T09:29:55+02:00"),
            ("20261105092955.1230", "2026-11-05T09:29:55.1230+02:00"),
            ("20261105092955+0530", "2026-11-05T09:29:55+05:30"),
            ("20261105092955-0000", "2026-11-05T09:29:55+00:00"),
            ("2026-11-05", "2026-11-05"),
            ("2026-11", "2026-11"),
            ("2026-11-05 09:29:55", "2026-11-05T09:29:55+02:00"),
            ("2026-11-05T09:29:55.5Z", "2026-11-05T09:29:55.5+00:00"),
            ("05/11/2026", "2026-11-05"),
            ("٢٠٢٦١١٠٥", "2026-11-05"),
            ("20261105+0200", "2026-11-05"),
        ];
        for (text, expected) in table {
            assert_eq!(fhir(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn summer_time_in_cairo_is_that_of_the_day() {
        assert_eq!(fhir("202607050929").as_deref(), Some("2026-07-05T09:29:00+03:00"));
        assert_eq!(fhir("201807050929").as_deref(), Some("2018-07-05T09:29:00+02:00"), "Egypt had none in 2018");
    }

    #[test]
    fn an_impossible_zone_is_dropped_for_that_of_egypt() {
        for zone in ["+0215x", "+2500", "+0207", "0200"] {
            let found = fhir(&format!("20261105092955{zone}"));
            assert!(found.is_none_or(|time| time.ends_with("+02:00")), "{zone}");
        }
    }

    #[test]
    fn impossible_times_are_refused_and_zeros_are_empty() {
        for text in [
            "20261305",
            "20260230",
            "2026110525",
            "202611050960",
            "20261",
            "abcd",
            "2026110509295560",
            "202611.5",
            "1/1/26",
        ] {
            assert!(Moment::read(Cow::Borrowed(text)).is_err(), "{text}");
        }
        assert!(matches!(Moment::read(Cow::Borrowed("00000000")), Ok(None)));
    }

    #[test]
    fn a_time_goes_to_hl7_and_back() {
        for text in ["2026", "20261105", "20261105092955.1234+0530"] {
            let there = Moment::read(Cow::Borrowed(text)).unwrap().unwrap().fhir();
            assert_eq!(Moment::read(Cow::Borrowed(&there)).unwrap().unwrap().hl7(), text);
        }
    }
}
