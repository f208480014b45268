//! What the ledger keeps of an exchange, and what entries sum up to.
//!
//! An entry can hold no prompt, no answer and no secret: it has no field for them.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entity::{Credential, Org, Provider, Token, Workspace};
use super::id::Id;
use super::money::Nanodollars;
use super::time::Timestamp;
use super::usage::{Basis, Usage};

/// A word of a closed set of ours: written from the program, read from a file.
type Word = Cow<'static, str>;

const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// One exchange, settled and priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: Uuid,
    /// It counts for the hour and the day in which it began.
    pub began_at: Timestamp,
    pub org: Id<Org>,
    pub workspace: Id<Workspace>,
    pub token: Id<Token>,
    /// The token's user, or whom a trusted front end named instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_run: Option<Arc<str>>,
    pub protocol: Word,
    pub operation: Word,
    pub delivery: Word,
    /// Who answered; nobody where all attempts failed, or none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<From>,
    pub outcome: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Word>,
    pub usage: Usage,
    pub basis: Basis,
    /// `None` is unknown, which is not zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Nanodollars>,
    pub priced_by: PricedBy,
    /// What lost attempts cost. It counts against nobody's limit.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub overhead_cost: Nanodollars,
    pub attempts: Vec<Tried>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_event_us: Option<u64>,
    pub total_us: u64,
    pub own_us: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct From {
    pub provider: Arc<str>,
    pub provider_id: Id<Provider>,
    pub model: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Id<Credential>>,
}

/// One target as it was tried or skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub provider: Arc<str>,
    pub model: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Word>,
    /// `answered`, `skipped`, or a failure's name.
    pub end: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Word>,
    pub took_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Nanodollars>,
}

/// Whose word a cost is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PricedBy {
    /// The provider said what it charges.
    Provider,
    /// The model's stated prices.
    Stated,
    /// The list that comes with this version of Keyway.
    Listed,
    /// The dearest model of the same provider, for want of anything better.
    Sibling,
    /// Nobody knows.
    #[default]
    Nobody,
}

fn is_nothing(amount: &Nanodollars) -> bool {
    amount.0 == 0
}

impl Entry {
    /// The hour in which it began, counted from the epoch.
    pub fn hour(&self) -> i64 {
        self.began_at.0.div_euclid(HOUR_MS)
    }

    /// The day in which its id was drawn: the same whenever and wherever it is written, so that nothing is counted twice.
    pub fn day(&self) -> i64 {
        self.began_at.0.div_euclid(DAY_MS)
    }

    pub fn provider(&self) -> &str {
        self.from.as_ref().map_or("", |from| &from.provider)
    }

    pub fn model(&self) -> &str {
        self.from.as_ref().map_or("", |from| &from.model)
    }
}

/// What many entries come to. The order of the fields is that of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub exchanges: i64,
    pub served: i64,
    pub attempts: i64,
    pub input: i64,
    pub cache_read: i64,
    pub cache_write_5m: i64,
    pub cache_write_1h: i64,
    pub output: i64,
    pub reasoning: i64,
    pub audio_input: i64,
    pub audio_output: i64,
    pub cost: i64,
    pub overhead: i64,
    /// Exchanges by what their numbers rest on; the rest is `reported`.
    pub partial: i64,
    pub estimated: i64,
    pub unpriced: i64,
    pub total_ms: i64,
}

impl Sums {
    /// The columns' names.
    pub const NAMES: [&'static str; 17] = [
        "exchanges",
        "served",
        "attempts",
        "input",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "output",
        "reasoning",
        "audio_input",
        "audio_output",
        "cost",
        "overhead",
        "partial",
        "estimated",
        "unpriced",
        "total_ms",
    ];

    pub fn values(&self) -> [i64; 17] {
        [
            self.exchanges,
            self.served,
            self.attempts,
            self.input,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.output,
            self.reasoning,
            self.audio_input,
            self.audio_output,
            self.cost,
            self.overhead,
            self.partial,
            self.estimated,
            self.unpriced,
            self.total_ms,
        ]
    }

    pub fn of_values(values: [i64; 17]) -> Self {
        let [
            exchanges,
            served,
            attempts,
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            cost,
            overhead,
            partial,
            estimated,
            unpriced,
            total_ms,
        ] = values;
        Self {
            exchanges,
            served,
            attempts,
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            cost,
            overhead,
            partial,
            estimated,
            unpriced,
            total_ms,
        }
    }

    pub fn add(&mut self, other: &Self) {
        let (mut sums, more) = (self.values(), other.values());
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        *self = Self::of_values(sums);
    }
}

impl std::convert::From<&Entry> for Sums {
    fn from(entry: &Entry) -> Self {
        let count = |is: bool| i64::from(is);
        let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        let usage = &entry.usage;
        Self {
            exchanges: 1,
            served: count(entry.outcome == "served"),
            attempts: entry.attempts.iter().filter(|tried| tried.end != "skipped").count() as i64,
            input: units(usage.input),
            cache_read: units(usage.cache_read),
            cache_write_5m: units(usage.cache_write_5m),
            cache_write_1h: units(usage.cache_write_1h),
            output: units(usage.output),
            reasoning: units(usage.reasoning),
            audio_input: units(usage.audio_input),
            audio_output: units(usage.audio_output),
            cost: entry.cost.unwrap_or_default().0,
            overhead: entry.overhead_cost.0,
            partial: count(entry.basis == Basis::Partial),
            estimated: count(entry.basis == Basis::Estimated),
            unpriced: count(entry.basis == Basis::Unpriced),
            total_ms: units(entry.total_us / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_s_value_comes_back_in_its_place() {
        let mut values = [0; 17];
        (1..).zip(&mut values).for_each(|(number, value)| *value = number);
        let mut sums = Sums::of_values(values);
        assert_eq!((sums.values(), sums.cost, Sums::NAMES[11]), (values, 12, "cost"));
        sums.add(&Sums { cost: 5, ..Sums::default() });
        assert_eq!((sums.cost, sums.total_ms), (17, 17));
    }
}
