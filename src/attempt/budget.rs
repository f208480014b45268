//! Keeps failover from multiplying an outage: retries are a small share of the calls of the last seconds.
//!
//! Pure: takes the moment, gives yes or no. Each core has one of its own, so nothing is shared; the floor is divided
//! among the cores. It must never know what is retried or where.

use std::time::Duration;

use tokio::time::Instant;

use super::window::{Counts, Window};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Retries per hundred calls.
    pub percent: u32,
    /// Retries a second that are always allowed, on all cores together: at a handful of calls a second a share
    /// alone would forbid every failover.
    pub floor_per_second: u32,
    /// The recent past that both are held against.
    pub window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { percent: 20, floor_per_second: 10, window: Duration::from_secs(10) }
    }
}

/// One core's budget.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    /// Retries in a whole window that are always allowed.
    floor: u64,
    window: Window,
}

impl RetryBudget {
    pub fn new(settings: Settings, cores: usize, now: Instant) -> Self {
        let floor = u64::from(settings.floor_per_second) * settings.window.as_secs().max(1);
        Self {
            percent: u64::from(settings.percent),
            floor: floor.div_ceil(cores.max(1) as u64),
            window: Window::new(settings.window, now),
        }
    }

    /// A call's first attempt.
    pub fn called(&mut self, now: Instant) {
        self.window.count(Counts { all: 1, marked: 0 }, now);
    }

    /// May a further attempt go out? A yes is spent.
    pub fn retry(&mut self, now: Instant) -> bool {
        let recent = self.window.sums(now);
        let allowed = (u64::from(recent.all) * self.percent / 100).max(self.floor);
        let within = u64::from(recent.marked) < allowed;
        if within {
            self.window.count(Counts { all: 0, marked: 1 }, now);
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries_allowed(budget: &mut RetryBudget, asked: usize, now: Instant) -> usize {
        (0..asked).filter(|_| budget.retry(now)).count()
    }

    #[test]
    fn an_outage_under_load_sees_at_most_a_fifth_more() {
        let start = Instant::now();
        let mut budget = RetryBudget::new(Settings::default(), 1, start);
        (0..10_000).for_each(|_| budget.called(start));
        assert_eq!(retries_allowed(&mut budget, 10_000, start), 2_000);
    }

    #[test]
    fn few_calls_may_always_fail_over() {
        let start = Instant::now();
        let mut budget = RetryBudget::new(Settings::default(), 1, start);
        budget.called(start);
        assert_eq!(retries_allowed(&mut budget, 1_000, start), 100, "ten a second over ten seconds");
    }

    #[test]
    fn the_floor_is_divided_among_the_cores_and_never_nothing() {
        let start = Instant::now();
        let mut one_of_four = RetryBudget::new(Settings::default(), 4, start);
        assert_eq!(retries_allowed(&mut one_of_four, 1_000, start), 25);
        let mut one_of_many = RetryBudget::new(Settings::default(), 1_000, start);
        assert!(one_of_many.retry(start));
    }

    #[test]
    fn what_was_spent_comes_back_when_the_window_has_passed() {
        let start = Instant::now();
        let mut budget = RetryBudget::new(Settings::default(), 1, start);
        assert_eq!(retries_allowed(&mut budget, 1_000, start), 100);
        assert!(!budget.retry(start + Duration::from_secs(9)));
        assert!(budget.retry(start + Duration::from_secs(10)));
    }

    proptest::proptest! {
        #[test]
        fn retries_in_a_window_never_exceed_the_larger_of_share_and_floor(steps in proptest::collection::vec((0u64..700, 0usize..40, 0usize..40), 1..80)) {
            let start = Instant::now();
            let settings = Settings { floor_per_second: 1, ..Settings::default() };
            let mut budget = RetryBudget::new(settings, 1, start);
            let (mut now, mut calls, mut retries) = (start, 0usize, 0usize);
            for (wait_ms, called, asked) in steps {
                now += Duration::from_millis(wait_ms);
                (0..called).for_each(|_| budget.called(now));
                calls += called;
                retries += retries_allowed(&mut budget, asked, now);
                let windows = (now - start).as_secs() as usize / 10 + 1;
                proptest::prop_assert!(retries <= calls / 5 + 10 * (windows + 1));
            }
        }
    }
}
