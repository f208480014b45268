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
}

impl Limits {
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
