//! Budgets of money of which so much is spent that somebody should know, before they refuse.
//!
//! Takes percentages, gives each budget that has reached one, once in its day or month: what was told stands in the ledger, so
//! that neither another replica nor a restart tells it again. Looked at once in a while, off every call's way.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Budgets;
use super::account::{Account, Period};
use crate::domain::money::Nanodollars;
use crate::domain::time::Timestamp;
use crate::store::ledger::{Away, Budget};

/// So much of a budget is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `workspace`, `token`, ….
    pub of: &'static str,
    pub holder: Uuid,
    /// `day` or `month`.
    pub period: &'static str,
    pub begins: Timestamp,
    pub percent: u32,
    pub limit: Nanodollars,
    pub spent: Nanodollars,
}

impl Warning {
    /// The same however often and by whomever it is told.
    pub fn id(&self) -> Uuid {
        Uuid::new_v5(&self.holder, format!("{}/{}/{}", self.period, self.begins.0, self.percent).as_bytes())
    }
}

/// A budget that may have reached something.
struct Watched {
    budget: Budget,
    account: Arc<Account>,
    period: Period,
    spent: i64,
}

impl Budgets {
    /// Budgets that have reached one of these percentages and of which nobody was told.
    pub async fn warnings(&self, percents: &[u32]) -> Result<Vec<Warning>, Away> {
        let mut watched = self.watched();
        if watched.is_empty() || percents.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(past) = self.past.get().filter(|past| past.ledger.is_shared()) {
            let budgets: Vec<Budget> = watched.iter().map(|one| one.budget).collect();
            let all: HashMap<Budget, i64> = past.ledger.spent_by_all(&budgets).await?.into_iter().collect();
            for one in &mut watched {
                one.spent = all.get(&one.budget).copied().unwrap_or(0);
            }
        }
        let mut warnings = Vec::new();
        for one in &watched {
            let number = one.budget.period;
            let look = |account: &Account| {
                let mut balance = account.lock();
                let purse = balance.purse_of(one.period, number)?;
                Some((purse.crossed(one.spent, percents), purse.limit))
            };
            let Some((crossed, limit)) = look(&one.account) else { continue };
            for percent in crossed {
                let is_first = match self.past.get() {
                    Some(past) => past.ledger.tells_first(one.budget, percent).await?,
                    None => true,
                };
                if let Some(purse) = one.account.lock().purse_of(one.period, number) {
                    purse.warned = purse.warned.max(percent);
                }
                if is_first {
                    let begins = one.period.begins(number);
                    let (of, holder, period) = (one.account.of, one.budget.holder, one.period.name());
                    let (limit, spent) = (Nanodollars(limit), Nanodollars(one.spent));
                    warnings.push(Warning { of, holder, period, begins, percent, limit, spent });
                }
            }
        }
        Ok(warnings)
    }

    /// Those with a limit, and what this process has spent of them.
    fn watched(&self) -> Vec<Watched> {
        let mut watched = Vec::new();
        for (holder, account) in self.holders.all() {
            for (period, purse) in account.lock().purses() {
                if purse.limit > 0 && purse.spent() > 0 {
                    let budget = Budget { holder, span: period.name(), period: purse.period };
                    watched.push(Watched { budget, account: account.clone(), period, spent: purse.spent() });
                }
            }
        }
        watched
    }
}
