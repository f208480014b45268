//! A part of a limit that several replicas share: what this one may use of it at any moment.
//!
//! Pure. What is in use is the caller's to know: calls in flight, or what was counted within a minute. A part that is in use is
//! never given back, so all parts together, and with them all that is in use, are never more than the limit.

use std::time::Duration;

use tokio::time::Instant;

/// A part grows by this much of the limit, at the least by one. So much is kept at hand beyond what is in use; of a limit that
/// is smaller nothing is, so that none is idle in one place while another has none.
const SLICES: i64 = 50;
/// Reports without a call after which nothing is kept at hand: ten seconds.
const QUIET: u8 = 10;
/// Who was told that nothing is left does not ask again for so long: a limit that is reached must not cost a question a call.
const TOLD: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    granted: i64,
    at_hand: i64,
    quiet: u8,
    told: Option<Instant>,
}

/// What a share is to be grown by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) least: i64,
    pub(super) slice: i64,
}

impl Share {
    /// What is missing for so much more; nothing where there is enough.
    pub(super) fn lacks(&mut self, limit: i64, in_use: i64, wanted: i64) -> Option<Growth> {
        (self.at_hand, self.quiet) = (limit / SLICES, 0);
        let least = in_use.saturating_add(wanted).saturating_sub(self.granted);
        (least > 0).then_some(Growth { least, slice: self.at_hand.max(1) })
    }

    /// Has it been said just now that nothing is left?
    pub(super) fn is_told(&self, now: Instant) -> bool {
        self.told.is_some_and(|told| now.saturating_duration_since(told) < TOLD)
    }

    pub(super) fn is_refused(&mut self, now: Instant) {
        self.told = Some(now);
    }

    pub(super) fn gains(&mut self, amount: i64, is_new: bool) {
        let before = if is_new { 0 } else { self.granted };
        (self.granted, self.told) = (before.saturating_add(amount), None);
    }

    pub(super) fn is_lost(&mut self) {
        *self = Self::default();
    }

    /// What of it is not needed, if there is any of it. Called once a second.
    pub(super) fn gives_back(&mut self, in_use: i64) -> Option<i64> {
        if self.granted <= 0 {
            return None;
        }
        self.quiet = self.quiet.saturating_add(1);
        let kept = match self.quiet {
            // Somebody may be about to use what was leased for them.
            1 => self.at_hand.max(1),
            ..QUIET => self.at_hand,
            _ => 0,
        };
        let back = self.granted.saturating_sub(in_use).saturating_sub(kept).max(0);
        self.granted -= back;
        Some(back)
    }

    pub(super) const fn granted(&self) -> i64 {
        self.granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_never_given_back_and_what_is_idle_is() {
        let mut share = Share::default();
        assert_eq!(share.lacks(1_000, 0, 1), Some(Growth { least: 1, slice: 20 }));
        share.gains(20, true);
        assert_eq!(share.lacks(1_000, 19, 1), None);
        assert_eq!(share.lacks(1_000, 20, 3), Some(Growth { least: 3, slice: 20 }));
        share.gains(80, false);
        assert_eq!(share.gives_back(30), Some(50), "a fiftieth is kept at hand");
        assert_eq!(share.gives_back(60), Some(0));
        let back: i64 = (0..QUIET).filter_map(|_| share.gives_back(7)).sum();
        assert_eq!((back, share.granted()), (43, 7));
        assert_eq!((share.gives_back(0), share.gives_back(0)), (Some(7), None));
    }

    #[test]
    fn whoever_was_told_that_nothing_is_left_asks_again_a_moment_later() {
        let (mut share, now) = (Share::default(), Instant::now());
        share.is_refused(now);
        assert!(share.is_told(now) && !share.is_told(now + TOLD));
        share.gains(1, false);
        assert!(!share.is_told(now));
    }

    #[test]
    fn one_that_was_taken_away_is_asked_for_again_with_all_that_is_in_use() {
        let mut share = Share::default();
        share.gains(10, true);
        share.is_lost();
        assert_eq!(share.lacks(100, 6, 1), Some(Growth { least: 7, slice: 2 }));
    }
}
