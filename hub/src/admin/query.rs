//! Parameters of a request, read strictly: one that is unknown, given twice or not possible is an error
//! that says which, not a filter that silently does nothing.

use std::str::FromStr;

use actix_web::web;
use adapters::clock::Timestamp;

use super::problem::Problem;

/// Parameters of one request at most.
const PARAMETERS_MAX: usize = 32;

/// The parameters of one request.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the part of an address after `?`. Only `known` may be there, each once.
    pub fn read(query: &str, known: &[&str]) -> Result<Parameters, Problem> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|_| Problem::parameter("the parameters are not URL encoded"))?
            .into_inner();
        if pairs.len() > PARAMETERS_MAX {
            return Err(Problem::parameter("there are too many parameters"));
        }
        for (place, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let detail = format!("there is a parameter that is not known here; known are {}", known.join(", "));
                return Err(Problem::parameter(detail));
            }
            if pairs.iter().skip(place.saturating_add(1)).any(|(other, _)| other == name) {
                return Err(Problem::parameter(format!("{name} is given twice")));
            }
        }
        Ok(Parameters(pairs))
    }

    /// One value, if it is given; an empty one counts as not given.
    pub fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// One value as `read` understands it. `expected` says what it should be.
    pub fn read_by<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|value| read(value).ok_or_else(|| Problem::parameter(format!("{name} must be {expected}"))))
            .transpose()
    }

    /// One value that has a text form of its own.
    pub fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        self.read_by(name, expected, |value| value.parse().ok())
    }

    /// A time with its zone.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.read_by(name, "a time with its zone, such as 2026-11-05T09:30:00+02:00", |value| {
            // A plus sign that was not encoded arrives as a blank.
            let time: jiff::Timestamp = value.replace(' ', "+").parse().ok()?;
            Some(Timestamp(time.as_microsecond()))
        })
    }

    /// `true` or `false`; `false` if it is not given.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.parsed(name, "true or false")?.unwrap_or(false))
    }

    /// How many are wanted: from 1 to `max`.
    pub fn limit(&self, standard: usize, max: usize) -> Result<usize, Problem> {
        let expected = format!("a number from 1 to {max}");
        let limit =
            self.read_by("limit", &expected, |value| value.parse().ok().filter(|limit| (1..=max).contains(limit)))?;
        Ok(limit.unwrap_or(standard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_are_unknown_repeated_or_impossible_are_errors() {
        let known = ["limit", "since", "reveal"];
        for query in ["limt=5", "limit=5&limit=6", "since=1&x=2"] {
            assert!(Parameters::read(query, &known).is_err(), "{query}");
        }
        for query in ["limit=0", "limit=11", "limit=-1", "limit=x"] {
            assert!(Parameters::read(query, &known).unwrap().limit(5, 10).is_err(), "{query}");
        }
        for query in ["since=yesterday", "since=2026-11-05T09:30:00", "since=2026-13-05T09:30:00Z"] {
            assert!(Parameters::read(query, &known).unwrap().time("since").is_err(), "{query}");
        }
        assert!(Parameters::read("reveal=yes", &known).unwrap().flag("reveal").is_err());
    }

    #[test]
    fn an_unknown_parameter_is_not_repeated_in_the_error() {
        let problem = Parameters::read("CANARY=29912310199876", &["limit"]).map(|_| ()).unwrap_err();
        assert!(!problem.to_json().contains("CANARY"), "{}", problem.to_json());
    }

    #[test]
    fn a_time_is_read_with_its_zone_even_if_its_plus_sign_was_not_encoded() {
        let at = Some(Timestamp(1_793_863_800_000_000));
        for query in
            ["since=2026-11-05T07:30:00Z", "since=2026-11-05T09:30:00%2B02:00", "since=2026-11-05T09:30:00+02:00"]
        {
            assert_eq!(Parameters::read(query, &["since"]).unwrap().time("since"), Ok(at), "{query}");
        }
        assert_eq!(Parameters::read("since=", &["since"]).unwrap().time("since"), Ok(None));
    }
}
