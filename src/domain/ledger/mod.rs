//! What the ledger keeps of an exchange, and what entries sum up to.
//!
//! An entry can hold no prompt, no answer and no secret: it has no field for them. Journal and ledger hold it in the bytes
//! that `Entry::write` makes. Its texts lie elsewhere: in the settled exchange that it is made of, or in such bytes.

mod bytes;
mod sums;

pub use self::bytes::{Kept, Written};
pub use self::sums::Sums;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entity::{Credential, Org, Provider, Token, Workspace};
use super::id::Id;
use super::money::Nanodollars;
use super::time::{DAY_MS, HOUR_MS, Timestamp};
use super::usage::{Basis, Usage};

/// One exchange, settled and priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'e> {
    pub id: Uuid,
    /// It counts for the hour and the day in which it began.
    pub began_at: Timestamp,
    pub org: Id<Org>,
    pub workspace: Id<Workspace>,
    pub token: Id<Token>,
    /// The token's user, or whom a trusted front end named instead.
    #[serde(borrow)]
    pub user: Option<&'e str>,
    #[serde(borrow)]
    pub run: Option<&'e str>,
    #[serde(borrow)]
    pub parent_run: Option<&'e str>,
    pub protocol: &'e str,
    pub operation: &'e str,
    pub delivery: &'e str,
    /// Who answered; nobody where all attempts failed, or none was made.
    #[serde(borrow)]
    pub from: Option<From<'e>>,
    pub outcome: &'e str,
    #[serde(borrow)]
    pub refusal: Option<&'e str>,
    pub usage: Usage,
    pub basis: Basis,
    /// `None` is unknown, which is not zero.
    pub cost: Option<Nanodollars>,
    pub priced_by: PricedBy,
    /// What lost attempts cost. It counts against nobody's limit.
    pub overhead_cost: Nanodollars,
    #[serde(borrow)]
    pub attempts: Vec<Tried<'e>>,
    pub first_event_us: Option<u64>,
    pub total_us: u64,
    pub own_us: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct From<'e> {
    pub provider: &'e str,
    pub provider_id: Id<Provider>,
    pub model: &'e str,
    #[serde(borrow)]
    pub scope: Option<&'e str>,
    pub credential: Option<Id<Credential>>,
}

/// One target as it was tried or skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried<'e> {
    pub provider: &'e str,
    pub model: &'e str,
    #[serde(borrow)]
    pub scope: Option<&'e str>,
    /// `answered`, `skipped`, or a failure's name.
    pub end: &'e str,
    pub status: Option<u16>,
    /// Why it was skipped.
    #[serde(borrow)]
    pub why: Option<&'e str>,
    pub took_us: u64,
    pub usage: Option<Usage>,
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

impl<'e> Entry<'e> {
    /// The hour in which it began, counted from the epoch.
    pub fn hour(&self) -> i64 {
        self.began_at.0.div_euclid(HOUR_MS)
    }

    /// The day in which its id was drawn: the same whenever and wherever it is written, so that nothing is counted twice.
    pub fn day(&self) -> i64 {
        self.began_at.0.div_euclid(DAY_MS)
    }

    pub fn provider(&self) -> &'e str {
        self.from.as_ref().map_or("", |from| from.provider)
    }

    pub fn model(&self) -> &'e str {
        self.from.as_ref().map_or("", |from| from.model)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A served call with all that such a call commonly has.
    pub(crate) fn entry() -> Entry<'static> {
        let tried = Tried {
            provider: "openai",
            model: "gpt-4o",
            scope: Some("platform"),
            end: "answered",
            status: Some(200),
            why: None,
            took_us: 1_234,
            usage: None,
            cost: None,
        };
        Entry {
            id: Uuid::now_v7(),
            began_at: Timestamp(1_774_137_600_000),
            org: Id::random(),
            workspace: Id::random(),
            token: Id::random(),
            user: Some("ada"),
            run: Some("nightly"),
            parent_run: None,
            protocol: "chat",
            operation: "chat_completions",
            delivery: "streamed",
            from: Some(From {
                provider: "openai",
                provider_id: Id::random(),
                model: "gpt-4o",
                scope: Some("platform"),
                credential: None,
            }),
            outcome: "served",
            refusal: None,
            usage: Usage { input: 7, output: 2, cost: Some(Nanodollars(5)), ..Usage::default() },
            basis: Basis::Reported,
            cost: Some(Nanodollars(5)),
            priced_by: PricedBy::Provider,
            overhead_cost: Nanodollars(0),
            attempts: vec![tried],
            first_event_us: Some(900),
            total_us: 1_500,
            own_us: 60,
        }
    }
}
