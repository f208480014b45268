//! Two counts over the recent past: how many, and how many of a kind.
//!
//! Pure: time is an argument. Breakers count calls and failures with it, the retry budget calls and retries.
//! It knows neither; it only forgets what is older than its span.

use std::time::Duration;

use tokio::time::Instant;

/// Slices a span is counted in. The oldest goes as a whole, so the span is exact to a tenth.
const SLICES: usize = 10;

#[derive(Debug)]
pub(super) struct Window {
    slice: Duration,
    began: Instant,
    /// The number of the slice that `now` fell in last.
    newest: u64,
    counts: [Counts; SLICES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: u32,
    /// Those among `all` (failures), or beside it (retries), that are looked for.
    pub(super) marked: u32,
}

impl Window {
    pub(super) fn new(span: Duration, now: Instant) -> Self {
        let slice = (span / SLICES as u32).max(Duration::from_millis(1));
        Self { slice, began: now, newest: 0, counts: [Counts::default(); SLICES] }
    }

    pub(super) fn count(&mut self, counts: Counts, now: Instant) {
        self.forget(now);
        let slot = &mut self.counts[slot(self.newest)];
        slot.all = slot.all.saturating_add(counts.all);
        slot.marked = slot.marked.saturating_add(counts.marked);
    }

    pub(super) fn sums(&mut self, now: Instant) -> Counts {
        self.forget(now);
        self.counts.iter().fold(Counts::default(), |sum, slice| Counts {
            all: sum.all.saturating_add(slice.all),
            marked: sum.marked.saturating_add(slice.marked),
        })
    }

    /// Cores read their clocks apart, so `now` may lie a little behind: then it counts as the newest slice.
    fn forget(&mut self, now: Instant) {
        let number = nanos(now.saturating_duration_since(self.began)) / nanos(self.slice);
        let passed = number.saturating_sub(self.newest);
        for step in 1..=passed.min(SLICES as u64) {
            self.counts[slot(self.newest.wrapping_add(step))] = Counts::default();
        }
        self.newest = self.newest.max(number);
    }
}

/// Enough for five centuries, and divided in one step.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn slot(number: u64) -> usize {
    (number % SLICES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Counts = Counts { all: 1, marked: 0 };

    #[test]
    fn what_is_older_than_the_span_is_forgotten_slice_by_slice() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(10), start);
        for second in 0..10 {
            window.count(ONE, start + Duration::from_secs(second));
        }
        assert_eq!(window.sums(start + Duration::from_millis(9_999)).all, 10);
        assert_eq!(window.sums(start + Duration::from_secs(10)).all, 9);
        assert_eq!(window.sums(start + Duration::from_secs(14)).all, 5);
        assert_eq!(window.sums(start + Duration::from_secs(3_600)).all, 0);
    }

    #[test]
    fn a_clock_that_lies_behind_counts_into_the_newest_slice() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(10), start);
        window.count(ONE, start + Duration::from_secs(5));
        window.count(Counts { all: 1, marked: 1 }, start);
        assert_eq!(window.sums(start + Duration::from_secs(5)), Counts { all: 2, marked: 1 });
    }
}
