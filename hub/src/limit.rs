//! How fast a destination, a route or a source may go.
//!
//! In come names with rates; out go passes, each at its time and in the order asked for. Promised (H6):
//! in any time no more pass than the burst and the rate allow, and no one waits longer than it said it
//! would. A reload keeps what a limiter has seen if its rate stays, so that it cannot be used to pass
//! again. Refused is a pass that would come after the caller's deadline: it is told at once when that is
//! certain.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Nobody waits longer for a pass, whatever it asks for.
const WAIT_MAX: Duration = Duration::from_hours(24);

/// A rate and how many may pass at once after a pause. Timers have a grain of a millisecond: a rate above
/// 1,000 a second is reached only with a burst of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Passes in a second, evenly spread.
    pub per_second: NonZeroU32,
    /// Passes at once.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate, unless one of the two is zero.
    pub fn new(per_second: u32, burst: u32) -> Option<Rate> {
        Some(Rate { per_second: NonZeroU32::new(per_second)?, burst: NonZeroU32::new(burst)? })
    }
}

/// A pass could not be had in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit gives no pass within {} ms", waited.as_millis())]
pub struct Limited {
    /// How long the caller was ready to wait.
    pub waited: Duration,
}

/// Time as tokio has it, so that tests can pause it.
#[derive(Clone, Copy, Debug)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let elapsed = Instant::now().duration_since(self.start);
        Nanos::new(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>;

/// The limiter of one name.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    clock: TokioClock,
    bucket: Bucket,
    /// Whoever waits holds it, the others queue behind in the order in which they came.
    queue: Mutex<()>,
}

impl Limiter {
    /// A limiter that has seen nothing yet.
    pub fn new(rate: Rate) -> Limiter {
        let clock = TokioClock { start: Instant::now() };
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Limiter { rate, clock, bucket: RateLimiter::direct_with_clock(quota, clock), queue: Mutex::new(()) }
    }

    /// Its rate.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Waits for a pass, at most `within` and at most a day.
    pub async fn pass(&self, within: Duration) -> Result<(), Limited> {
        let limited = Limited { waited: within };
        let deadline = Instant::now() + within.min(WAIT_MAX);
        let Ok(_turn) = tokio::time::timeout_at(deadline, self.queue.lock()).await else { return Err(limited) };
        while let Err(wait) = self.try_pass() {
            if Instant::now() + wait > deadline {
                return Err(limited);
            }
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Takes a pass if there is one now, else says how long it will be until the next.
    fn try_pass(&self) -> Result<(), Duration> {
        self.bucket.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// The limiters of one configuration, by name.
#[derive(Debug, Default)]
pub struct Limits {
    by_name: HashMap<String, Arc<Limiter>>,
}

impl Limits {
    /// The limiters for `rates`. A name whose rate is that of `before` keeps its limiter.
    pub fn new(rates: impl IntoIterator<Item = (String, Rate)>, before: &Limits) -> Limits {
        let limiter = |(name, rate): (String, Rate)| {
            let kept = before.by_name.get(&name).filter(|limiter| limiter.rate == rate).cloned();
            let limiter = kept.unwrap_or_else(|| Arc::new(Limiter::new(rate)));
            (name, limiter)
        };
        Limits { by_name: rates.into_iter().map(limiter).collect() }
    }

    /// The limiter of `name`. None: no limit.
    pub fn get(&self, name: &str) -> Option<&Arc<Limiter>> {
        self.by_name.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate::new(per_second, burst).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_passes_at_once_and_the_rest_evenly() {
        let limiter = Limiter::new(rate(10, 5));
        let start = Instant::now();
        let mut passed = Vec::new();
        for _ in 0..25 {
            limiter.pass(LONG).await.unwrap();
            passed.push(start.elapsed().as_millis());
        }
        assert!(passed[..5].iter().all(|at| *at == 0), "{passed:?}");
        let gaps: Vec<u128> = passed[4..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (99..=101).contains(gap)), "{gaps:?}");
        let elapsed = start.elapsed().as_millis();
        assert!((1_999..=2_021).contains(&elapsed), "{elapsed}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_without_end_is_cut_to_a_day_and_a_rate_of_nothing_is_no_rate() {
        let limiter = Limiter::new(rate(1, 1));
        limiter.pass(Duration::MAX).await.unwrap();
        limiter.pass(Duration::MAX).await.unwrap();
        assert_eq!(Rate::new(0, 1), None);
        assert_eq!(Rate::new(1, 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_rate_is_reached_with_a_burst_and_never_passed() {
        let limiter = Limiter::new(rate(5_000, 50));
        let start = Instant::now();
        for _ in 0..10_050 {
            limiter.pass(LONG).await.unwrap();
        }
        let elapsed = start.elapsed().as_millis();
        assert!((1_999..=2_100).contains(&elapsed), "{elapsed}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_fills_up_to_the_burst_and_no_further() {
        let limiter = Limiter::new(rate(10, 5));
        for _ in 0..5 {
            limiter.pass(LONG).await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..6 {
            limiter.pass(LONG).await.unwrap();
        }
        assert!(start.elapsed() >= Duration::from_millis(99));
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_so_long_is_told_at_once() {
        let limiter = Limiter::new(rate(1, 1));
        limiter.pass(Duration::ZERO).await.unwrap();
        let start = Instant::now();
        let within = Duration::from_millis(500);
        assert_eq!(limiter.pass(within).await, Err(Limited { waited: within }));
        assert_eq!(start.elapsed(), Duration::ZERO);
        limiter.pass(Duration::from_secs(2)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_in_the_queue_that_is_left_costs_no_pass_and_no_one_waits_past_its_deadline() {
        let limiter = Arc::new(Limiter::new(rate(1, 1)));
        limiter.pass(LONG).await.unwrap();
        let start = Instant::now();
        let ask = |within| {
            let asked = Arc::clone(&limiter);
            tokio::spawn(async move { (asked.pass(within).await.is_ok(), Instant::now()) })
        };
        let first = ask(LONG);
        tokio::task::yield_now().await;
        let impatient = ask(Duration::from_millis(400));
        tokio::task::yield_now().await;
        let patient = ask(LONG);
        let (first, impatient, patient) = (first.await.unwrap(), impatient.await.unwrap(), patient.await.unwrap());
        assert!(first.0 && !impatient.0 && patient.0);
        let after = |at: Instant| (at - start).as_millis();
        assert!((399..=402).contains(&after(impatient.1)), "{}", after(impatient.1));
        assert!((999..=1_002).contains(&after(first.1)), "{}", after(first.1));
        assert!((1_999..=2_004).contains(&after(patient.1)), "{}", after(patient.1));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_pass_in_the_order_in_which_they_came() {
        let limiter = Arc::new(Limiter::new(rate(100, 1)));
        let passed = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in 0..20 {
            let (limiter, passed) = (Arc::clone(&limiter), Arc::clone(&passed));
            tasks.push(tokio::spawn(async move {
                limiter.pass(LONG).await.unwrap();
                passed.lock().unwrap().push(number);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*passed.lock().unwrap(), (0..20).collect::<Vec<i32>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_keeps_what_was_seen_unless_the_rate_changed() {
        let named = |name: &str, rate| (name.to_owned(), rate);
        let first = Limits::new([named("eda", rate(1, 1)), named("insurer", rate(1, 1))], &Limits::default());
        for name in ["eda", "insurer"] {
            first.get(name).unwrap().pass(LONG).await.unwrap();
        }
        let second = Limits::new([named("eda", rate(1, 1)), named("insurer", rate(2, 2))], &first);
        assert!(second.get("eda").unwrap().pass(Duration::ZERO).await.is_err());
        assert!(second.get("insurer").unwrap().pass(Duration::ZERO).await.is_ok());
        assert!(second.get("unknown").is_none());
    }
}
