//! An amount that may be spent once: money of a day, a month or a run, calls of a run.

/// Reports without a use after which nothing is kept at hand any more: ten seconds.
const QUIET: u8 = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Purse {
    pub(super) period: i64,
    spent: i64,
    reserved: i64,
    /// Where several replicas share the budget: what this one may spend of it.
    lease: Option<Lease>,
    /// What holds, as the last call had it; nothing where there is no limit.
    pub(super) limit: i64,
    /// The highest percentage of it that somebody knows was spent.
    pub(super) warned: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lease {
    granted: i64,
    /// What was asked for last, beyond what was needed. So much is kept at hand.
    slice: i64,
    /// How much of what was spent the others know of.
    reported: i64,
    /// For how many reports nobody has used it.
    quiet: u8,
}

impl Purse {
    pub(super) fn new(is_shared: bool) -> Self {
        Self { lease: is_shared.then(Lease::default), ..Self::default() }
    }

    /// The purse of a period; one that is over is left behind. Clocks may lie a little apart, but no period comes back.
    pub(super) fn turn(&mut self, period: i64) {
        if period > self.period {
            *self = Self { period, lease: self.lease.map(|_| Lease::default()), ..Self::default() };
        }
    }

    /// So much was spent before this process saw it.
    pub(super) fn begin(&mut self, spent: i64) {
        self.spent = self.spent.saturating_add(spent);
    }

    pub(super) fn left(&self, limit: i64) -> i64 {
        let whole = self.lease.map_or(limit, |lease| lease.granted);
        whole.saturating_sub(self.spent).saturating_sub(self.reserved)
    }

    pub(super) fn reserve(&mut self, amount: i64) {
        self.reserved = self.reserved.saturating_add(amount);
        if let Some(lease) = &mut self.lease {
            lease.quiet = 0;
        }
    }

    pub(super) fn settle(&mut self, reserved: i64, spent: i64) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.spent = self.spent.saturating_add(spent);
    }

    /// The lease was taken away: what was reported of it is settled, and the rest of it is gone.
    pub(super) fn loses_lease(&mut self) {
        if let Some(lease) = &mut self.lease {
            self.spent = self.spent.saturating_sub(lease.reported);
            *lease = Lease::default();
        }
    }

    pub(super) fn gains(&mut self, amount: i64, slice: i64, is_new: bool) {
        if is_new {
            self.loses_lease();
        }
        if let Some(lease) = &mut self.lease {
            lease.granted = lease.granted.saturating_add(amount);
            (lease.slice, lease.quiet) = (slice, 0);
        }
    }

    /// What was spent of the lease by now, and what of it is not needed: nobody asked for it in a while. Nothing is said of one
    /// that is spent and told.
    pub(super) fn reports(&mut self) -> Option<(i64, i64)> {
        let (spent, reserved) = (self.spent, self.reserved);
        let lease = self.lease.as_mut().filter(|lease| lease.granted > 0)?;
        lease.quiet = if reserved > 0 || spent > lease.reported { 0 } else { lease.quiet.saturating_add(1) };
        let left = lease.granted.saturating_sub(spent).saturating_sub(reserved);
        let kept = if lease.quiet < QUIET { lease.slice.saturating_mul(2) } else { 0 };
        let back = left.saturating_sub(kept).max(0);
        if lease.quiet > QUIET && left <= 0 {
            return None;
        }
        lease.granted -= back;
        Some((spent, back))
    }

    /// The others know that so much was spent.
    pub(super) fn has_reported(&mut self, spent: i64) {
        if let Some(lease) = &mut self.lease {
            lease.reported = spent;
        }
    }

    /// Which of these percentages of the limit are spent and not known yet.
    pub(super) fn crossed(&self, spent: i64, percents: &[u32]) -> Vec<u32> {
        let part = |percent: u32| i128::from(self.limit) * i128::from(percent);
        let is_new = |percent: &u32| *percent > self.warned && i128::from(spent) * 100 >= part(*percent);
        percents.iter().copied().filter(|percent| self.limit > 0 && is_new(percent)).collect()
    }

    pub(super) const fn spent(&self) -> i64 {
        self.spent
    }

    /// Leased, and not spent by now.
    pub(super) fn outstanding(&self) -> i64 {
        self.lease.map_or(0, |lease| lease.granted.saturating_sub(self.spent).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_percentage_is_crossed_once_in_a_period() {
        let mut purse = Purse { limit: 10, ..Purse::new(false) };
        assert!(purse.crossed(7, &[80, 100]).is_empty());
        assert_eq!(purse.crossed(10, &[80, 100]), [80, 100]);
        purse.warned = 80;
        assert_eq!(purse.crossed(10, &[80, 100]), [100]);
        purse.turn(1);
        assert!(purse.crossed(10, &[80]).is_empty(), "nobody has called, so no limit holds");
        purse.limit = 10;
        assert_eq!(purse.crossed(8, &[80, 100]), [80]);
    }

    #[test]
    fn what_nobody_uses_for_ten_reports_is_given_back_whole_and_then_nothing_is_said() {
        let mut purse = Purse::new(true);
        purse.gains(10, 2, true);
        purse.reserve(1);
        purse.settle(1, 1);
        assert_eq!(purse.reports(), Some((1, 5)), "two slices are kept at hand");
        purse.has_reported(1);
        let said: Vec<_> = (0..20).map_while(|_| purse.reports()).collect();
        assert_eq!(said.len(), usize::from(QUIET));
        assert_eq!(said.iter().map(|(_, back)| back).sum::<i64>(), 4);
        assert_eq!((purse.left(100), purse.outstanding()), (0, 0));
        // What was spent by then is known to the others, whether its row is still there or not.
        let mut same = purse;
        same.gains(3, 2, false);
        purse.gains(3, 2, true);
        assert_eq!((same.left(100), purse.left(100)), (3, 3));
    }
}
