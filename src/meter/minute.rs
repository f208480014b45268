//! How many within the last sixty seconds: calls, or units of text.
//!
//! Pure: the moment is an argument. A second that lies partly within the last sixty counts whole, so the count is never
//! too low.

use std::time::Duration;

use tokio::time::Instant;

/// Sixty whole seconds and the one that has begun.
const SECONDS: usize = 61;

#[derive(Debug)]
pub(super) struct Minute {
    began: Instant,
    /// The second, counted from `began`, that `now` fell in last.
    newest: u64,
    sum: u32,
    counts: [u32; SECONDS],
}

impl Minute {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, newest: 0, sum: 0, counts: [0; SECONDS] }
    }

    /// Counts so many more. How many there are now, and how long until all are forgotten if none is added.
    pub(super) fn add(&mut self, amount: u32, now: Instant) -> (u32, Duration) {
        self.forget(now);
        self.counts[slot(self.newest)] = self.counts[slot(self.newest)].saturating_add(amount);
        self.sum = self.sum.saturating_add(amount);
        (self.sum, self.gone_at(self.newest).saturating_duration_since(now))
    }

    /// The second that what was added last is counted in.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// What was counted in a second was guessed; in truth it was another amount. Nothing, if it is forgotten already.
    pub(super) fn correct(&mut self, second: u64, guessed: u32, truly: u32) {
        if self.newest.saturating_sub(second) < SECONDS as u64 {
            let count = &mut self.counts[slot(second)];
            *count = count.saturating_sub(guessed).saturating_add(truly);
            self.sum = self.sum.saturating_sub(guessed).saturating_add(truly);
        }
    }

    pub(super) fn count(&mut self, now: Instant) -> u32 {
        self.forget(now);
        self.sum
    }

    /// How long until the count is below the limit, if nothing is added. For a limit of nothing: a minute.
    pub(super) fn until_below(&mut self, limit: u32, now: Instant) -> Duration {
        self.forget(now);
        let mut left = self.sum;
        let oldest = self.newest.saturating_sub(SECONDS as u64 - 1);
        for second in oldest..=self.newest {
            if left < limit {
                break;
            }
            let count = self.counts[slot(second)];
            left = left.saturating_sub(count);
            if count > 0 && left < limit {
                return self.gone_at(second).saturating_duration_since(now);
            }
        }
        if left < limit { Duration::ZERO } else { Duration::from_secs(60) }
    }

    /// When what was counted in a second is forgotten.
    fn gone_at(&self, second: u64) -> Instant {
        self.began + Duration::from_secs(second + SECONDS as u64)
    }

    /// Cores read their clocks apart, so `now` may lie a little behind: then it counts as the newest second.
    fn forget(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.began).as_secs();
        let passed = second.saturating_sub(self.newest);
        for step in 1..=passed.min(SECONDS as u64) {
            let gone = std::mem::take(&mut self.counts[slot(self.newest + step)]);
            self.sum = self.sum.saturating_sub(gone);
        }
        self.newest = self.newest.max(second);
    }
}

fn slot(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_forgotten_a_minute_later_and_not_before() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut minute = Minute::new(start);
        minute.add(1, at(0.9));
        minute.add(1, at(30.0));
        assert_eq!(minute.count(at(60.85)), 2);
        assert_eq!(minute.count(at(61.0)), 1);
        assert_eq!(minute.count(at(91.0)), 0);
        minute.add(1, at(1_000_000.0));
        assert_eq!(minute.count(at(1_000_000.0)), 1);
    }

    #[test]
    fn the_wait_ends_when_enough_of_the_oldest_are_forgotten() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut minute = Minute::new(start);
        let added = [0, 0, 10, 20].map(|second| minute.add(1, at(second)));
        assert_eq!(added[3], (4, Duration::from_secs(61)));
        assert_eq!(minute.until_below(5, at(20)), Duration::ZERO);
        assert_eq!(minute.until_below(4, at(20)), Duration::from_secs(41));
        assert_eq!(minute.until_below(2, at(20)), Duration::from_secs(51));
        assert_eq!(minute.until_below(1, at(20)), Duration::from_secs(61));
        assert_eq!(minute.until_below(0, at(20)), Duration::from_secs(60));
    }
}
