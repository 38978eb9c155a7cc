//! Chance from a seed that is printed, so that a failure can be played again.

use std::time::{Duration, SystemTime};

use crate::Fallible;

/// A generator of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn from_seed(seed: u64) -> Random {
        Random(seed)
    }

    /// A generator of its own for part `part`, so that threads do not disturb each other's numbers.
    pub fn part(&self, part: u64) -> Random {
        Random(mix(self.0 ^ mix(part.wrapping_add(1))))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// True `percent` times of 100.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A duration from `least` up to, not including, `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.below(span))
    }
}

/// Spreads a number over all 64 bits; a function, so that payloads can be recomputed.
pub fn mix(number: u64) -> u64 {
    let first = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ (first >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ (second >> 31)
}

/// The seed from `HUB_SEED`, or one from the clock. The caller prints it.
pub fn seed() -> Fallible<u64> {
    if let Ok(text) = std::env::var("HUB_SEED") {
        return Ok(text.parse()?);
    }
    #[expect(clippy::disallowed_methods, reason = "the seed itself has to come from somewhere; it is printed")]
    let now = SystemTime::now();
    Ok(u64::try_from(now.duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())?)
}
