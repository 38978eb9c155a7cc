//! How long to wait before the next attempt, and when to give up.
//!
//! In come a policy, how many attempts were made and how long ago the first one was, what the far system
//! asked for, and a seeded generator; out goes a delay, or the end. Promised (H6): no delay is longer than
//! the policy's `max` unless the far system asked for more, and there is an end. No delay is shorter than
//! the far system asked for. Refused is nothing: a policy of zeros gives delays of zero and one attempt.
//! The crate `backoff` computes the growth and nothing else: its own clock and chance are not used.

use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// Each delay is this many times the one before.
const GROWTH: f64 = 2.0;

/// After so many doublings any first delay has reached any `max` (2^64 ns are 584 years).
const DOUBLINGS_MAX: u32 = 64;

const PERCENT: u128 = 100;

/// How much chance takes away where nobody says.
pub const JITTER_PERCENT: u8 = 20;

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The delay after the first attempt. Each later one is twice the one before.
    pub first: Duration,
    /// No delay grows beyond this.
    pub max: Duration,
    /// No attempt is made later than this after the first one.
    pub give_up: Duration,
    /// Up to how much of a delay chance takes away, in percent, so that many that failed together do not
    /// come back together. At most 100.
    pub jitter_percent: u8,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after this time.
    After(Duration),
    /// There is no further attempt.
    GiveUp,
}

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How long after the start of the first attempt this is.
    pub since_first: Duration,
    /// The far system's Retry-After.
    pub retry_after: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            first: Duration::from_millis(250),
            max: Duration::from_mins(5),
            give_up: Duration::from_hours(24),
            jitter_percent: JITTER_PERCENT,
        }
    }
}

impl RetryPolicy {
    /// What follows `failed`. The last attempt is made when the time to give up has come, unless the far
    /// system asked for a time after it.
    pub fn next(&self, failed: Failed, chance: &mut fastrand::Rng) -> Next {
        let remaining = self.give_up.saturating_sub(failed.since_first);
        if remaining.is_zero() {
            return Next::GiveUp;
        }
        let asked_for = failed.retry_after.unwrap_or_default();
        if asked_for > remaining {
            return Next::GiveUp;
        }
        let own = self.shorten(self.delay(failed.attempt), chance);
        Next::After(own.max(asked_for).min(remaining))
    }

    /// The delay after the attempt `attempt` without chance.
    fn delay(&self, attempt: u32) -> Duration {
        let mut growth: ExponentialBackoff = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first.min(self.max))
            .with_max_interval(self.max)
            .with_multiplier(GROWTH)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        for _ in 1..attempt.min(DOUBLINGS_MAX) {
            growth.next_backoff();
        }
        growth.current_interval.min(self.max)
    }

    fn shorten(&self, delay: Duration, chance: &mut fastrand::Rng) -> Duration {
        let most = delay.as_nanos() * u128::from(self.jitter_percent).min(PERCENT) / PERCENT;
        let taken = chance.u64(0..=u64::try_from(most).unwrap_or(u64::MAX));
        delay.saturating_sub(Duration::from_nanos(taken))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(jitter_percent: u8) -> RetryPolicy {
        RetryPolicy { first: SECOND, max: SECOND * 10, give_up: SECOND * 100, jitter_percent }
    }

    fn failed(attempt: u32, since_first: Duration) -> Failed {
        Failed { attempt, since_first, retry_after: None }
    }

    fn chance() -> fastrand::Rng {
        fastrand::Rng::with_seed(7)
    }

    #[test]
    fn delays_double_from_the_first_to_the_longest() {
        let delays: Vec<Next> =
            (1..=7).map(|attempt| policy(0).next(failed(attempt, Duration::ZERO), &mut chance())).collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10, 10].map(|seconds| Next::After(SECOND * seconds)));
    }

    #[test]
    fn the_default_reaches_its_longest_delay_exactly_and_stays_there() {
        let policy = RetryPolicy { jitter_percent: 0, ..RetryPolicy::default() };
        assert_eq!(policy.delay(1), Duration::from_millis(250));
        assert_eq!(policy.delay(11), Duration::from_millis(256_000));
        assert_eq!(policy.delay(12), Duration::from_mins(5));
        assert_eq!(policy.delay(u32::MAX), Duration::from_mins(5));
    }

    #[test]
    fn the_last_attempt_comes_when_it_is_time_to_give_up_and_none_after() {
        let policy = policy(0);
        assert_eq!(policy.next(failed(20, SECOND * 95), &mut chance()), Next::After(SECOND * 5));
        assert_eq!(policy.next(failed(20, SECOND * 100), &mut chance()), Next::GiveUp);
        assert_eq!(policy.next(failed(1, SECOND * 500), &mut chance()), Next::GiveUp);
    }

    #[test]
    fn a_far_system_is_never_tried_before_the_time_it_asked_for() {
        let asked = |seconds| Failed { retry_after: Some(SECOND * seconds), ..failed(1, SECOND * 40) };
        assert_eq!(policy(0).next(asked(30), &mut chance()), Next::After(SECOND * 30));
        assert_eq!(policy(0).next(asked(60), &mut chance()), Next::After(SECOND * 60));
        assert_eq!(policy(0).next(asked(61), &mut chance()), Next::GiveUp);
        assert_eq!(policy(0).next(asked(0), &mut chance()), Next::After(SECOND));
    }

    #[test]
    fn the_same_seed_gives_the_same_delays_and_another_seed_others() {
        let delays = |seed| {
            let mut chance = fastrand::Rng::with_seed(seed);
            let next = |attempt| policy(50).next(failed(attempt, Duration::ZERO), &mut chance);
            (1..=10).map(next).collect::<Vec<Next>>()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }

    #[test]
    fn many_that_fail_together_come_back_apart() {
        let mut chance = chance();
        let delays: std::collections::HashSet<Duration> = (0..1_000)
            .filter_map(|_| match policy(20).next(failed(9, Duration::ZERO), &mut chance) {
                Next::After(delay) => Some(delay),
                Next::GiveUp => None,
            })
            .collect();
        assert!(delays.len() > 990, "{}", delays.len());
        assert!(delays.iter().all(|delay| (SECOND * 8..=SECOND * 10).contains(delay)));
        let middle = delays.iter().filter(|delay| **delay < SECOND * 9).count();
        assert!((400..600).contains(&middle), "{middle}");
    }

    proptest! {
        #[test]
        fn every_policy_keeps_its_bounds(
            first in 0..100_000_u64, max in 0..1_000_000_u64, give_up in 0..10_000_000_u64, jitter in any::<u8>(),
            attempt in any::<u32>(), since in 0..20_000_000_u64,
            asked in proptest::option::of(0..2_000_000_u64), seed in any::<u64>(),
        ) {
            let millis = Duration::from_millis;
            let policy = RetryPolicy {
                first: millis(first), max: millis(max), give_up: millis(give_up), jitter_percent: jitter,
            };
            let failed = Failed { attempt, since_first: millis(since), retry_after: asked.map(millis) };
            match policy.next(failed, &mut fastrand::Rng::with_seed(seed)) {
                Next::After(delay) => {
                    prop_assert!(since < give_up);
                    prop_assert!(delay <= policy.max.max(millis(asked.unwrap_or(0))));
                    prop_assert!(delay >= millis(asked.unwrap_or(0)));
                    prop_assert!(millis(since) + delay <= policy.give_up);
                }
                Next::GiveUp => prop_assert!(since >= give_up || since + asked.unwrap_or(0) > give_up),
            }
        }
    }
}
