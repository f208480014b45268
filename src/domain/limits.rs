//! What a token, user, workspace, org or model may use.

use serde::{Deserialize, Serialize};

use super::money::Nanodollars;

/// Absent is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub requests_per_minute: Option<u32>,
    pub input_tokens_per_minute: Option<u64>,
    pub output_tokens_per_minute: Option<u64>,
    pub parallel: Option<u32>,
    pub money_per_day: Option<Nanodollars>,
    pub money_per_month: Option<Nanodollars>,
    /// Of one run with all below it.
    pub run_money: Option<Nanodollars>,
    pub run_money_per_minute: Option<Nanodollars>,
    pub run_calls: Option<u32>,
    /// Runs above a run.
    pub run_depth: Option<u32>,
}

/// What one run may come to, with all below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunBounds {
    pub money: Option<Nanodollars>,
    pub money_per_minute: Option<Nanodollars>,
    pub calls: Option<u32>,
    pub depth: Option<u32>,
}

impl RunBounds {
    /// Of each the one that allows less.
    #[must_use]
    pub fn tightest(self, other: Self) -> Self {
        fn less<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            money: less(self.money, other.money),
            money_per_minute: less(self.money_per_minute, other.money_per_minute),
            calls: less(self.calls, other.calls),
            depth: less(self.depth, other.depth),
        }
    }
}

impl Limits {
    /// Those of each run.
    pub const fn of_a_run(&self) -> RunBounds {
        RunBounds {
            money: self.run_money,
            money_per_minute: self.run_money_per_minute,
            calls: self.run_calls,
            depth: self.run_depth,
        }
    }

    /// Do they limit money or text, which only a call's plan can tell?
    pub const fn are_of_use(&self) -> bool {
        self.money_per_day.is_some()
            || self.money_per_month.is_some()
            || self.input_tokens_per_minute.is_some()
            || self.output_tokens_per_minute.is_some()
    }
}

/// What becomes of a call while nobody knows what was spent before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    #[default]
    Refuse,
    /// Counted from nothing.
    Allow,
}

impl Unknown {
    pub const ALL: [(&'static str, Self); 2] = [("refuse", Self::Refuse), ("allow", Self::Allow)];
}

/// What becomes of a call that could cost more than is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenShort {
    #[default]
    Refuse,
    /// It goes to those of its targets that the rest still pays for.
    Cheaper,
}

impl WhenShort {
    pub const ALL: [(&'static str, Self); 2] = [("refuse", Self::Refuse), ("cheaper", Self::Cheaper)];
}
