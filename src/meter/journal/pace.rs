//! How far apart writes begin. Each wakes a thread here and one on every core, and what is settled meanwhile goes with the
//! next; so the more is settled, the longer a write waits for it, as long as the cores have something else to do.

use std::time::{Duration, Instant};

/// For each exchange that is settled in a millisecond: at 20,000 a second those of two milliseconds share a write.
const SHARE: Duration = Duration::from_micros(100);
const PAUSE_MAX: Duration = Duration::from_millis(2);
/// A shorter one is not worth the timer: below 4,000 a second nobody waits.
const PAUSE_MIN: Duration = Duration::from_micros(400);

/// What was settled is counted for so long at least.
const COUNTED: Duration = Duration::from_millis(10);

pub(super) struct Pace {
    counted_since: Instant,
    settled: u32,
    pause: Duration,
    began: Option<Instant>,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { counted_since: now, settled: 0, pause: Duration::ZERO, began: None }
    }

    /// A write of so many begins.
    pub(super) fn begins(&mut self, now: Instant, settled: usize) {
        self.began = Some(now);
        self.settled = self.settled.saturating_add(u32::try_from(settled).unwrap_or(u32::MAX));
        let counted = now.saturating_duration_since(self.counted_since);
        if counted >= COUNTED {
            let in_a_millisecond = f64::from(self.settled) / (counted.as_secs_f64() * 1e3);
            let pause = SHARE.mul_f64(in_a_millisecond).min(PAUSE_MAX);
            self.pause = if pause < PAUSE_MIN { Duration::ZERO } else { pause };
            (self.counted_since, self.settled) = (now, 0);
        }
    }

    pub(super) const fn is_pausing(&self) -> bool {
        !self.pause.is_zero()
    }

    /// How long the next one waits.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        let rest = self.pause.checked_sub(now.saturating_duration_since(self.began?))?;
        (!rest.is_zero()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pause after a second in which so many were settled, one write for each millisecond.
    fn pause(in_a_millisecond: usize) -> Duration {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        (1..=1_000).for_each(|at| pace.begins(start + Duration::from_millis(at), in_a_millisecond));
        pace.rest(start + Duration::from_secs(1)).unwrap_or_default()
    }

    #[test]
    fn a_write_waits_the_longer_the_more_is_settled_and_never_more_than_two_milliseconds() {
        assert_eq!([0, 1, 4, 10, 20, 500].map(pause), [0, 0, 400, 1_000, 2_000, 2_000].map(Duration::from_micros));
    }

    #[test]
    fn the_first_write_after_a_quiet_time_waits_for_nothing() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.rest(start), None);
        (1..=100).for_each(|at| pace.begins(start + Duration::from_millis(at), 20));
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.rest(later), None);
        pace.begins(later, 1);
        assert_eq!(pace.rest(later), None);
    }
}
