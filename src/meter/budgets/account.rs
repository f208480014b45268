//! What one holder of limits has spent and reserved this day and month, and asked and been told this minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::purse::Purse;
use super::shelf::Kept;
use super::wants::Wants;
use crate::domain::limits::Limits;
use crate::domain::money::Nanodollars;
use crate::domain::time::Timestamp;
use crate::meter::minute::Minute;
use crate::meter::share::{Growth, Share};

#[derive(Debug)]
pub(super) struct Account {
    /// What kind of holder it is of.
    pub(super) of: &'static str,
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
    /// This replica's parts of both, where several share them.
    shares: Option<[Share; 2]>,
    used: Instant,
}

/// What stands in a call's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    Money {
        period: Period,
        limit: Nanodollars,
        left: i64,
    },
    Text {
        direction: &'static str,
        limit: u64,
        until: Duration,
    },
    /// This replica's part of it is too small.
    Part(Direction, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Input,
    Output,
}

impl Direction {
    pub(super) const ALL: [Self; 2] = [Self::Input, Self::Output];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
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

    pub(super) fn begins(self, number: i64) -> Timestamp {
        match self {
            Self::Day => Timestamp::of_day(number),
            Self::Month => Timestamp::of_month(number),
        }
    }

    /// How long until the next one begins.
    pub(super) fn left(self, at: Timestamp) -> Duration {
        let next = self.begins(self.of(at) + 1);
        Duration::from_millis(u64::try_from(next.0 - at.0).unwrap_or(0))
    }
}

impl Account {
    pub(super) fn new(of: &'static str, now: Instant, is_shared: bool) -> Self {
        let purse = Purse::new(is_shared);
        let (input, output) = (Minute::new(now), Minute::new(now));
        Self {
            of,
            balance: Mutex::new(Balance {
                day: purse,
                month: purse,
                input,
                output,
                shares: is_shared.then(Default::default),
                used: now,
            }),
            known: OnceCell::new(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for Account {
    fn is_unused(&self, now: Instant, since: Duration) -> bool {
        now.saturating_duration_since(self.lock().used) >= since
    }
}

impl Balance {
    /// What was spent before this process saw the holder, in the day and the month of this moment.
    pub(super) fn begin(&mut self, at: Timestamp, day: i64, month: i64) {
        self.turn(at);
        self.day.begin(day);
        self.month.begin(month);
    }

    /// The purse of a period that is not over.
    pub(super) fn purse_of(&mut self, period: Period, number: i64) -> Option<&mut Purse> {
        let purse = match period {
            Period::Day => &mut self.day,
            Period::Month => &mut self.month,
        };
        (purse.period == number).then_some(purse)
    }

    /// Leased, and not spent by now.
    pub(super) fn outstanding(&self) -> i64 {
        self.day.outstanding().max(self.month.outstanding())
    }

    pub(super) const fn purses(&mut self) -> [(Period, &mut Purse); 2] {
        [(Period::Day, &mut self.day), (Period::Month, &mut self.month)]
    }

    pub(super) fn check(&mut self, limits: &Limits, wants: &Wants, moment: Moment) -> Result<(), Short> {
        self.turn(moment.at);
        for (period, limit, purse) in
            [(Period::Day, limits.money_per_day, &self.day), (Period::Month, limits.money_per_month, &self.month)]
        {
            if let Some(limit) = limit
                && wants.money.0 > 0
                && purse.left(limit.0) < wants.money.0
            {
                return Err(Short::Money { period, limit, left: purse.left(limit.0) });
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
        for direction in Direction::ALL {
            if let Some(limit) = text_limit(direction, limits)
                && self.lacks(direction, limit, wants, moment.now).is_some()
            {
                return Err(Short::Part(direction, limit));
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, limits: &Limits, wants: &Wants, moment: Moment) -> Taken {
        self.used = moment.now;
        self.turn(moment.at);
        for (limit, purse) in [(limits.money_per_day, &mut self.day), (limits.money_per_month, &mut self.month)] {
            purse.limit = limit.map_or(0, |limit| limit.0);
            purse.reserve(wants.money.0);
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
        for (period, number) in [(Period::Day, taken.day), (Period::Month, taken.month)] {
            if let Some(purse) = self.purse_of(period, number) {
                purse.settle(reserved.0, fact.money.0);
            }
        }
        for (minute, (second, guessed), truly) in
            [(&mut self.input, taken.input, fact.input), (&mut self.output, taken.output, fact.output)]
        {
            minute.correct(second, guessed, held(truly));
        }
    }

    pub(super) fn share(&mut self, direction: Direction) -> Option<&mut Share> {
        self.shares.as_mut().map(|shares| &mut shares[direction as usize])
    }

    /// What was counted within the last minute.
    pub(super) fn in_use(&mut self, direction: Direction, now: Instant) -> i64 {
        i64::from(match direction {
            Direction::Input => self.input.count(now),
            Direction::Output => self.output.count(now),
        })
    }

    /// What this replica's part of a minute's text is too small by for a call.
    pub(super) fn lacks(&mut self, direction: Direction, limit: u64, wants: &Wants, now: Instant) -> Option<Growth> {
        let in_use = self.in_use(direction, now);
        let wanted = match direction {
            Direction::Input => wants.input,
            Direction::Output => wants.output,
        };
        self.share(direction)?.lacks(i64::from(held(limit)), in_use, i64::from(within(wanted, limit)))
    }

    fn turn(&mut self, at: Timestamp) {
        self.day.turn(Period::Day.of(at));
        self.month.turn(Period::Month.of(at));
    }
}

const fn text_limit(direction: Direction, limits: &Limits) -> Option<u64> {
    match direction {
        Direction::Input => limits.input_tokens_per_minute,
        Direction::Output => limits.output_tokens_per_minute,
    }
}

/// More than four thousand million units a minute are no limit.
pub(super) fn held(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// A guess is no reason to refuse for ever what would fit into an empty minute.
pub(super) fn within(guess: u64, limit: u64) -> u32 {
    held(guess.min(limit))
}
