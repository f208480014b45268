//! What happened to a call: each target tried or skipped, in order, with the time it took.

use std::sync::Arc;
use std::time::Duration;

use super::entity::{Credential, Provider, Scope};
use super::failure::Failure;
use super::id::Id;
use super::prices::PriceHistory;
use super::usage::Usage;

/// More lines than a plan can need; what would come after is not kept.
pub const TRAIL_LIMIT: usize = 32;

#[derive(Clone, Debug)]
pub struct Attempt {
    pub provider: Arc<str>,
    pub model: Arc<str>,
    pub scope: Option<Scope>,
    pub end: End,
    pub took: Duration,
    /// What a lost attempt had used already, where its provider said so.
    pub spent: Option<Box<Spent>>,
}

/// Paid for and of no use to the client.
#[derive(Clone, Debug)]
pub struct Spent {
    pub provider: Id<Provider>,
    pub usage: Usage,
    pub priced: Priced,
}

#[derive(Clone, Debug)]
pub enum End {
    Answered {
        status: u16,
    },
    Failed(Failure),
    /// Not tried at all, and why.
    Skipped(&'static str),
}

impl End {
    const fn went_out(&self) -> bool {
        match self {
            Self::Answered { .. } => true,
            Self::Failed(failure) => failure.went_out(),
            Self::Skipped(_) => false,
        }
    }
}

/// Who answered: the target of the last attempt, as records and answers name it.
#[derive(Clone, Debug)]
pub struct Answerer {
    pub provider: Arc<str>,
    pub provider_id: Id<Provider>,
    pub model: Arc<str>,
    /// Only registered models are named in metrics; a client could make up any number of others.
    pub is_registered: bool,
    pub scope: Option<Scope>,
    pub credential: Option<Id<Credential>>,
    /// Do other workspaces call with the same credential, or without one at the same provider?
    pub is_shared: bool,
    pub priced: Priced,
}

/// Where the prices of a target stand: looked up only once there is something to price.
#[derive(Clone, Debug, Default)]
pub struct Priced {
    /// Those that somebody stated for the model.
    pub stated: Option<Arc<PriceHistory>>,
    /// The preset whose list holds where none are stated.
    pub listed: Option<&'static str>,
}

/// The attempts of one exchange.
#[derive(Clone, Debug, Default)]
pub struct Trail(Vec<Attempt>);

impl Trail {
    pub fn push(&mut self, attempt: Attempt) {
        if self.0.len() < TRAIL_LIMIT {
            // Most calls have one attempt; a stream keeps its trail for as long as it lasts.
            self.0.reserve_exact(usize::from(self.0.is_empty()));
            self.0.push(attempt);
        }
    }

    pub fn attempts(&self) -> &[Attempt] {
        &self.0
    }

    /// Requests that really went out.
    pub fn tried(&self) -> usize {
        self.0.iter().filter(|attempt| attempt.end.went_out()).count()
    }

    pub fn last_failure(&self) -> Option<&Failure> {
        self.0.iter().rev().find_map(|attempt| match &attempt.end {
            End::Failed(failure) => Some(failure),
            _ => None,
        })
    }
}
