//! What one holder of limits has spent and reserved this day and month, and asked and been told this minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::wants::Wants;
use crate::domain::limits::Limits;
use crate::domain::money::Nanodollars;
use crate::domain::time::Timestamp;
use crate::meter::minute::Minute;

#[derive(Debug)]
pub(super) struct Account {
    balance: Mutex<Balance>,
    /// Set once it is known what was spent before this process saw the holder.
    pub(super) known: OnceCell<()>,
    /// Whoever asks for a lease: one at a time, for the next may find enough.
    pub(super) asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Balance {
    day: Purse,
    month: Purse,
    input: Minute,
    output: Minute,
    used: Instant,
}

/// Money of one day or one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Purse {
    period: i64,
    spent: i64,
    reserved: i64,
    /// Where several replicas share the budget: what this one may spend of it.
    lease: Option<Lease>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lease {
    granted: i64,
    /// What was asked for last, beyond what was needed. So much is kept at hand.
    slice: i64,
    /// How much of what was spent the others know of.
    reported: i64,
}

/// What stands in a call's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    Money { period: Period, limit: Nanodollars, left: i64 },
    Text { direction: &'static str, limit: u64, until: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Day,
    Month,
}

/// What a call took of one account, so that it can be given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    day: i64,
    month: i64,
    input: (u64, u32),
    output: (u64, u32),
}

/// When something is asked, by the calendar and by the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) now: Instant,
}

impl Period {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    pub(super) fn of(self, at: Timestamp) -> i64 {
        match self {
            Self::Day => at.day(),
            Self::Month => at.month(),
        }
    }

    /// How long until the next one begins.
    pub(super) fn left(self, at: Timestamp) -> Duration {
        let next = match self {
            Self::Day => Timestamp::of_day(at.day() + 1),
            Self::Month => Timestamp::of_month(at.month() + 1),
        };
        Duration::from_millis(u64::try_from(next.0 - at.0).unwrap_or(0))
    }
}

impl Purse {
    /// The purse of a period; one that is over is left behind. Clocks may lie a little apart, but no period comes back.
    fn turn(&mut self, period: i64) {
        if period > self.period {
            *self = Self { period, spent: 0, reserved: 0, lease: self.lease.map(|_| Lease::default()) };
        }
    }

    fn left(&self, limit: Nanodollars) -> i64 {
        let whole = self.lease.map_or(limit.0, |lease| lease.granted);
        whole.saturating_sub(self.spent).saturating_sub(self.reserved)
    }

    /// The lease was taken away: what was reported of it is settled, and the rest of it is gone.
    fn loses_lease(&mut self) {
        if let Some(lease) = &mut self.lease {
            self.spent = self.spent.saturating_sub(lease.reported);
            *lease = Lease::default();
        }
    }

    fn gains(&mut self, amount: i64, slice: i64, is_new: bool) {
        if is_new {
            self.loses_lease();
        }
        if let Some(lease) = &mut self.lease {
            lease.granted = lease.granted.saturating_add(amount);
            lease.slice = slice;
        }
    }

    /// What was spent of the lease by now, and what of it is not needed: nobody asked for it in a while.
    fn reports(&mut self) -> Option<(i64, i64)> {
        let (spent, reserved) = (self.spent, self.reserved);
        let lease = self.lease.as_mut().filter(|lease| lease.granted > 0)?;
        let left = lease.granted.saturating_sub(spent).saturating_sub(reserved);
        let back = left.saturating_sub(lease.slice.saturating_mul(2)).max(0);
        lease.granted -= back;
        Some((spent, back))
    }

    fn give_back(&mut self, period: i64, reserved: i64, spent: i64) {
        if period == self.period {
            self.reserved = self.reserved.saturating_sub(reserved);
            self.spent = self.spent.saturating_add(spent);
        }
    }
}

impl Account {
    pub(super) fn new(now: Instant, is_shared: bool) -> Self {
        let purse = Purse { lease: is_shared.then(Lease::default), ..Purse::default() };
        let (input, output) = (Minute::new(now), Minute::new(now));
        Self {
            balance: Mutex::new(Balance { day: purse, month: purse, input, output, used: now }),
            known: OnceCell::new(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Balance {
    /// What was spent before this process saw the holder, in the day and the month of this moment.
    pub(super) fn begin(&mut self, at: Timestamp, day: i64, month: i64) {
        self.turn(at);
        self.day.spent = self.day.spent.saturating_add(day);
        self.month.spent = self.month.spent.saturating_add(month);
    }

    /// Nobody has asked for so long.
    pub(super) fn is_unused(&self, now: Instant, since: Duration) -> bool {
        now.saturating_duration_since(self.used) >= since
    }

    pub(super) fn money_left(&mut self, period: Period, limit: Nanodollars, at: Timestamp) -> i64 {
        self.turn(at);
        self.purse(period).left(limit)
    }

    /// A lease of so much, if its day or month is not over.
    pub(super) fn gains(&mut self, (period, number): (Period, i64), amount: i64, slice: i64, is_new: bool) {
        let purse = self.purse(period);
        if purse.period == number {
            purse.gains(amount, slice, is_new);
        }
    }

    pub(super) fn loses_lease(&mut self, (period, number): (Period, i64)) {
        let purse = self.purse(period);
        if purse.period == number {
            purse.loses_lease();
        }
    }

    /// The others know that so much was spent of its lease.
    pub(super) fn has_reported(&mut self, (period, number): (Period, i64), spent: i64) {
        let purse = self.purse(period);
        if purse.period == number
            && let Some(lease) = &mut purse.lease
        {
            lease.reported = spent;
        }
    }

    /// What is to be said of its leases: which, spent, given back.
    pub(super) fn reports(&mut self) -> impl Iterator<Item = (Period, i64, i64, i64)> {
        let of = |period: Period, purse: &mut Purse| {
            let (spent, back) = purse.reports()?;
            Some((period, purse.period, spent, back))
        };
        [of(Period::Day, &mut self.day), of(Period::Month, &mut self.month)].into_iter().flatten()
    }

    /// Leased, and not spent by now.
    pub(super) fn outstanding(&self) -> i64 {
        let of = |purse: &Purse| purse.lease.map_or(0, |lease| lease.granted.saturating_sub(purse.spent).max(0));
        of(&self.day).max(of(&self.month))
    }

    fn purse(&mut self, period: Period) -> &mut Purse {
        match period {
            Period::Day => &mut self.day,
            Period::Month => &mut self.month,
        }
    }

    pub(super) fn check(&mut self, limits: &Limits, wants: &Wants, moment: Moment) -> Result<(), Short> {
        self.turn(moment.at);
        for (period, limit, purse) in
            [(Period::Day, limits.money_per_day, &self.day), (Period::Month, limits.money_per_month, &self.month)]
        {
            if let Some(limit) = limit
                && wants.money.0 > 0
                && purse.left(limit) < wants.money.0
            {
                return Err(Short::Money { period, limit, left: purse.left(limit) });
            }
        }
        for (direction, limit, wanted, minute) in [
            ("input", limits.input_tokens_per_minute, wants.input, &mut self.input),
            ("output", limits.output_tokens_per_minute, wants.output, &mut self.output),
        ] {
            if let Some(limit) = limit
                && let room = held(limit)
                && let wanted = within(wanted, limit)
                && minute.count(moment.now) > room - wanted
            {
                let until = minute.until_below((room - wanted).saturating_add(1), moment.now);
                return Err(Short::Text { direction, limit, until });
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, limits: &Limits, wants: &Wants, moment: Moment) -> Taken {
        self.used = moment.now;
        self.turn(moment.at);
        for purse in [&mut self.day, &mut self.month] {
            purse.reserved = purse.reserved.saturating_add(wants.money.0);
        }
        let text = |minute: &mut Minute, limit: Option<u64>, wanted| {
            let amount = limit.map_or(0, |limit| within(wanted, limit));
            minute.add(amount, moment.now);
            (minute.newest(), amount)
        };
        let input = text(&mut self.input, limits.input_tokens_per_minute, wants.input);
        let output = text(&mut self.output, limits.output_tokens_per_minute, wants.output);
        Taken { day: self.day.period, month: self.month.period, input, output }
    }

    /// The call has ended, and this is what it came to in place of what was reserved.
    pub(super) fn settle(&mut self, taken: &Taken, reserved: Nanodollars, fact: &Wants) {
        self.day.give_back(taken.day, reserved.0, fact.money.0);
        self.month.give_back(taken.month, reserved.0, fact.money.0);
        for (minute, (second, guessed), truly) in
            [(&mut self.input, taken.input, fact.input), (&mut self.output, taken.output, fact.output)]
        {
            minute.correct(second, guessed, held(truly));
        }
    }

    fn turn(&mut self, at: Timestamp) {
        self.day.turn(Period::Day.of(at));
        self.month.turn(Period::Month.of(at));
    }
}

/// More than four thousand million units a minute are no limit.
fn held(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// A guess is no reason to refuse for ever what would fit into an empty minute.
fn within(guess: u64, limit: u64) -> u32 {
    held(guess.min(limit))
}
