//! How long a prescription may be dispensed.
//!
//! In come the order, the date it bears and the table of validities; out go its first and last day and the
//! instant at which it is over. Days are civil days of Egypt, the last one to its end: a day may have 23 or
//! 25 hours. The date an order bears can shorten its validity, never lengthen it. Refused is a validity
//! period that is no FHIR Period.

use std::collections::BTreeMap;

use adapters::clock::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::domain::command::Moment;
use crate::domain::resource::{Resource, UnreadableElement};

/// Days of validity of an order that no row of the table speaks of.
const DEFAULT_DAYS: u16 = 30;

/// The extension that says which schedule of controlled substances a medicine is in.
const SCHEDULE_EXTENSION: &str = "http://ndp.egypt.gov.eg/fhir/StructureDefinition/controlled-schedule";

/// The rules that the regulator may change.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whose civil days count.
    pub zone: TimeZone,
    /// Days of validity where no code has a row.
    pub default_days: u16,
    /// Days of validity by `system|code` of the order's category, course of therapy or schedule. Of several
    /// that apply, the shortest.
    pub days_by_code: BTreeMap<String, u16>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { zone: jiff::tz::get!("Africa/Cairo"), default_days: DEFAULT_DAYS, days_by_code: BTreeMap::new() }
    }
}

/// From when to when an order is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first civil day.
    pub first_day: Date,
    /// The last civil day.
    pub last_day: Date,
    /// The first instant at which it is over.
    pub expires_at: Timestamp,
    /// Whether the sender's own end came before the one by rule.
    pub ended_by_sender: bool,
}

#[derive(Deserialize)]
struct PeriodHolder {
    #[serde(rename = "validityPeriod")]
    period: Option<Period>,
}

#[derive(Deserialize)]
struct Period {
    end: Option<String>,
}

#[derive(Deserialize)]
struct Concept {
    #[serde(default)]
    coding: Vec<Coding>,
}

#[derive(Deserialize)]
struct Coding {
    system: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Extension {
    url: Option<String>,
    #[serde(rename = "valueCodeableConcept")]
    concept: Option<Concept>,
}

impl Rules {
    /// The civil day in Egypt at `now`.
    pub fn day_of(&self, now: Timestamp) -> Date {
        let instant = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
        self.zone.to_datetime(instant).date()
    }

    /// The validity of an order that bears the date `authored`, or today's if it bears none.
    pub fn validity(
        &self,
        order: &Resource,
        authored: Option<Moment>,
        now: Timestamp,
    ) -> Result<Validity, UnreadableElement> {
        let today = self.day_of(now);
        let first_day = match authored {
            Some(Moment::Day(day)) => day.min(today),
            Some(Moment::Instant(instant)) => self.day_of(instant).min(today),
            None => today,
        };
        let unreadable = UnreadableElement { element: "authoredOn" };
        let by_rule = first_day.checked_add(i64::from(self.days(order)?).days()).map_err(|_| unreadable)?;
        let by_sender = sender_end(order)?;
        let last_day = match by_sender {
            Some(Moment::Day(day)) => day.min(by_rule),
            Some(Moment::Instant(instant)) => self.day_of(instant).min(by_rule),
            None => by_rule,
        };
        let end_of_day = self.end_of(last_day).ok_or(unreadable)?;
        let expires_at = match by_sender {
            Some(Moment::Instant(instant)) => end_of_day.min(instant),
            Some(Moment::Day(_)) | None => end_of_day,
        };
        let ended_by_sender = self.end_of(by_rule).is_some_and(|end| expires_at < end);
        Ok(Validity { first_day, last_day, expires_at, ended_by_sender })
    }

    /// The first instant of the day after `day`. Where clocks go forward at midnight, that is 01:00.
    fn end_of(&self, day: Date) -> Option<Timestamp> {
        let next = day.tomorrow().ok()?.at(0, 0, 0, 0);
        Some(Timestamp(self.zone.to_timestamp(next).ok()?.as_microsecond()))
    }

    fn days(&self, order: &Resource) -> Result<u16, UnreadableElement> {
        if self.days_by_code.is_empty() {
            return Ok(self.default_days);
        }
        let codings = codings(order)?;
        let rows = codings.iter().filter_map(|coding| {
            let system = coding.system.as_deref().unwrap_or_default();
            let code = coding.code.as_deref().unwrap_or_default();
            self.days_by_code.get(&format!("{system}|{code}")).copied()
        });
        Ok(rows.min().unwrap_or(self.default_days))
    }
}

fn sender_end(order: &Resource) -> Result<Option<Moment>, UnreadableElement> {
    let holder: Option<PeriodHolder> = order.element("dispenseRequest")?;
    let Some(end) = holder.and_then(|holder| holder.period).and_then(|period| period.end) else { return Ok(None) };
    Moment::parse(&end).ok_or(UnreadableElement { element: "dispenseRequest" })
}

fn codings(order: &Resource) -> Result<Vec<Coding>, UnreadableElement> {
    let course: Option<Concept> = order.element("courseOfTherapyType")?;
    let categories: Vec<Concept> = order.element("category")?.unwrap_or_default();
    let extensions: Vec<Extension> = order.element("extension")?.unwrap_or_default();
    let schedules = extensions
        .into_iter()
        .filter(|extension| extension.url.as_deref() == Some(SCHEDULE_EXTENSION))
        .filter_map(|extension| extension.concept);
    let concepts = course.into_iter().chain(categories).chain(schedules);
    Ok(concepts.flat_map(|concept| concept.coding).collect())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn validity(order: &str, authored: &str, now: &str, rules: &Rules) -> Validity {
        let resource = Resource::read(order.as_bytes()).unwrap();
        rules.validity(&resource, Moment::parse(authored).unwrap(), at(now)).unwrap()
    }

    fn expiry(authored: &str, now: &str, days: u16) -> String {
        let rules = Rules { default_days: days, ..Rules::default() };
        let over = validity("{}", authored, now, &rules).expires_at.to_rfc3339();
        over.trim_end_matches(".000000Z").to_owned()
    }

    #[test]
    fn validity_ends_at_midnight_in_cairo_after_the_last_day() {
        let winter = expiry("2026-11-05T09:29:55+02:00", "2026-11-05T07:30:00Z", 30);
        assert_eq!(winter, "2026-12-05T22:00:00");
        let summer = expiry("2026-06-01", "2026-06-01T07:30:00Z", 30);
        assert_eq!(summer, "2026-07-01T21:00:00");
    }

    #[test]
    fn an_order_written_after_midnight_in_cairo_is_of_the_new_day_whatever_utc_says() {
        assert_eq!(expiry("2026-11-04T22:30:00Z", "2026-11-05T07:00:00Z", 0), "2026-11-05T22:00:00");
        assert_eq!(expiry("2026-11-04T21:30:00Z", "2026-11-05T07:00:00Z", 0), "2026-11-04T22:00:00");
    }

    #[test]
    fn the_days_on_which_clocks_change_are_whole_days() {
        // 2026-04-24 begins at 01:00, for at 00:00 clocks go forward: the day before ends at that instant.
        assert_eq!(expiry("2026-04-23", "2026-04-23T08:00:00Z", 0), "2026-04-23T22:00:00");
        assert_eq!(expiry("2026-04-24", "2026-04-24T08:00:00Z", 0), "2026-04-24T21:00:00");
        // At the end of 2026-10-29 clocks go back: 23:00 to 24:00 comes twice, the day has 25 hours.
        assert_eq!(expiry("2026-10-28", "2026-10-28T08:00:00Z", 0), "2026-10-28T21:00:00");
        assert_eq!(expiry("2026-10-29", "2026-10-29T08:00:00Z", 0), "2026-10-29T22:00:00");
        // Thirty days across the change are thirty civil days.
        assert_eq!(expiry("2026-10-15", "2026-10-15T08:00:00Z", 30), "2026-11-14T22:00:00");
    }

    #[test]
    fn a_date_in_the_future_does_not_lengthen_the_validity_and_one_in_the_past_shortens_it() {
        assert_eq!(expiry("2027-01-01", "2026-11-05T08:00:00Z", 30), "2026-12-05T22:00:00");
        assert_eq!(expiry("2026-09-01", "2026-11-05T08:00:00Z", 30), "2026-10-01T21:00:00");
    }

    #[test]
    fn an_order_without_a_date_or_with_a_coarse_one_is_of_today() {
        let rules = Rules::default();
        let order = Resource::read(b"{}").unwrap();
        let now = at("2026-11-05T08:00:00Z");
        assert_eq!(rules.validity(&order, None, now).unwrap().first_day, date(2026, 11, 5));
        assert_eq!(Moment::parse("2026"), Some(None));
        assert_eq!(Moment::parse("2026-11"), Some(None));
        for wrong in ["", "26", "2o26", "2026-13", "2026-11-31", "2026-11-05T25:00:00Z", "2026-11-05T09:00:00"] {
            assert_eq!(Moment::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_sender_may_shorten_the_validity_and_not_lengthen_it() {
        let now = "2026-11-05T08:00:00Z";
        let rules = Rules::default();
        let with_end = |end: &str| {
            let order = format!(r#"{{"dispenseRequest":{{"validityPeriod":{{"end":"{end}"}}}}}}"#);
            validity(&order, "2026-11-05", now, &rules)
        };
        assert_eq!(with_end("2026-11-08").expires_at, at("2026-11-08T22:00:00Z"));
        assert_eq!(with_end("2026-11-08T12:00:00+02:00").expires_at, at("2026-11-08T10:00:00Z"));
        assert_eq!(with_end("2026-11-08T12:00:00+02:00").last_day, date(2026, 11, 8));
        assert_eq!(with_end("2027-11-08").last_day, date(2026, 12, 5));
        assert_eq!(with_end("2027-11-08T12:00:00Z").expires_at, at("2026-12-05T22:00:00Z"));
        assert_eq!(with_end("2027").last_day, date(2026, 12, 5));
        let broken = Resource::read(br#"{"dispenseRequest":{"validityPeriod":{"end":"soon"}}}"#).unwrap();
        assert!(rules.validity(&broken, None, at(now)).is_err());
    }

    #[test]
    fn the_table_is_read_by_schedule_course_and_category_and_the_shortest_row_wins() {
        let rows = [("s|narcotic", 5), ("c|continuous", 180), ("k|acute", 14)];
        let rules = Rules { days_by_code: rows.map(|(code, days)| (code.to_owned(), days)).into(), ..Rules::default() };
        let last_day = |order: &str| validity(order, "2026-11-01", "2026-11-01T08:00:00Z", &rules).last_day;
        let narcotic = format!(
            r#"{{"extension":[{{"url":"{SCHEDULE_EXTENSION}","valueCodeableConcept":
            {{"coding":[{{"system":"s","code":"narcotic"}}]}}}}],
            "courseOfTherapyType":{{"coding":[{{"system":"c","code":"continuous"}}]}}}}"#
        );
        assert_eq!(last_day(&narcotic), date(2026, 11, 6));
        let chronic = r#"{"courseOfTherapyType":{"coding":[{"system":"c","code":"continuous"}]}}"#;
        assert_eq!(last_day(chronic), date(2027, 4, 30));
        assert_eq!(last_day(r#"{"category":[{"coding":[{"system":"k","code":"acute"}]}]}"#), date(2026, 11, 15));
        assert_eq!(last_day(r#"{"category":[{"coding":[{"system":"x","code":"acute"}]}]}"#), date(2026, 12, 1));
    }
}
