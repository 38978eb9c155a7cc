//! The versions of HL7 v2 whose grammar is known.

use std::fmt;

/// A version of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    V2_3,
    V2_3_1,
    V2_4,
    V2_5,
    V2_5_1,
    V2_6,
    V2_7,
    V2_8,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Version; 8] = [
        Version::V2_3,
        Version::V2_3_1,
        Version::V2_4,
        Version::V2_5,
        Version::V2_5_1,
        Version::V2_6,
        Version::V2_7,
        Version::V2_8,
    ];

    /// What is meant where no version is said: the version of the hub's own messages.
    pub const USUAL: Version = Version::V2_5_1;

    /// As MSH-12 writes it: `2.5.1`.
    pub fn name(self) -> &'static str {
        match self {
            Version::V2_3 => "2.3",
            Version::V2_3_1 => "2.3.1",
            Version::V2_4 => "2.4",
            Version::V2_5 => "2.5",
            Version::V2_5_1 => "2.5.1",
            Version::V2_6 => "2.6",
            Version::V2_7 => "2.7",
            Version::V2_8 => "2.8",
        }
    }

    /// The version of exactly this name.
    pub fn named(name: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.name() == name)
    }

    /// The version to read a message by that says `name` in MSH-12.1: that version, else the newest that is
    /// not newer (2.7.1 by 2.7, 2.9 by 2.8), else the oldest (2.2 by 2.3). What is no version of HL7 v2 is
    /// read by [`Version::USUAL`]. Newer versions keep the places of older ones (HL7 v2.5.1 section 2.8).
    pub fn for_message(name: &str) -> Version {
        let Some(said) = numbers(name.trim()) else { return Version::USUAL };
        let not_newer = |version: &Version| numbers(version.name()).is_some_and(|known| known <= said);
        Version::ALL.into_iter().rev().find(not_newer).unwrap_or(Version::V2_3)
    }

    /// This version, then the others from the nearest on; of two that are as near, the newer first.
    pub fn by_nearness(self) -> impl Iterator<Item = Version> {
        let place = |version: Version| Version::ALL.iter().take_while(|other| **other < version).count();
        let mut all = Version::ALL;
        all.sort_by_key(|version| (place(*version).abs_diff(place(self)), *version < self));
        all.into_iter()
    }
}

/// The numbers after the 2 of HL7 v2: `2.5.1` is 5 and 1.
fn numbers(name: &str) -> Option<(u16, u16)> {
    let after = name.strip_prefix("2.")?;
    let (minor, patch) = after.split_once('.').unwrap_or((after, "0"));
    Some((minor.parse().ok()?, patch.parse().ok()?))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_by_its_version_or_the_newest_that_is_not_newer() {
        for (said, expected) in [
            ("2.3", Version::V2_3),
            ("2.3.1", Version::V2_3_1),
            ("2.5.1", Version::V2_5_1),
            (" 2.5.1 ", Version::V2_5_1),
            ("2.7.1", Version::V2_7),
            ("2.8.2", Version::V2_8),
            ("2.9", Version::V2_8),
            ("2.10", Version::V2_8),
            ("2.2", Version::V2_3),
            ("2.1", Version::V2_3),
            ("", Version::V2_5_1),
            ("3.0", Version::V2_5_1),
            ("2.x", Version::V2_5_1),
            ("V2.5", Version::V2_5_1),
        ] {
            assert_eq!(Version::for_message(said), expected, "{said}");
        }
    }

    #[test]
    fn versions_are_ordered_by_age_and_found_by_their_names() {
        assert!(Version::ALL.is_sorted());
        for version in Version::ALL {
            assert_eq!(Version::named(version.name()), Some(version));
        }
        assert_eq!(Version::named("2.5.2"), None);
    }

    #[test]
    fn the_nearest_version_comes_first_and_the_newer_before_the_older() {
        let names = |version: Version| version.by_nearness().map(Version::name).collect::<Vec<_>>();
        assert_eq!(names(Version::V2_5), ["2.5", "2.5.1", "2.4", "2.6", "2.3.1", "2.7", "2.3", "2.8"]);
        assert_eq!(names(Version::V2_3), ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"]);
    }
}
