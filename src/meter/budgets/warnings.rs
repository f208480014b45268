//! Budgets of money of which so much is spent that somebody should know, before they refuse.
//!
//! Takes percentages, gives each budget that has reached one, once in its day, month or run: what was told stands in the ledger, so
//! that neither another replica nor a restart tells it again. Looked at once in a while, off every call's way.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Budgets;
use super::account::{Account, Period};
use super::guard::{MONEY, RunAccount};
use super::purse::Purse;
use crate::domain::money::Nanodollars;
use crate::domain::time::Timestamp;
use crate::store::ledger::{Away, Budget};

/// So much of a budget is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `workspace`, `token`, …, `run`.
    pub of: &'static str,
    /// Whose budget it is; of a run the workspace, in which its name means something.
    pub holder: Uuid,
    /// `day` or `month`, or the run's name.
    pub span: Over,
    pub percent: u32,
    pub limit: Nanodollars,
    pub spent: Nanodollars,
}

/// What a budget is spent in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    Period { name: &'static str, begins: Timestamp },
    Run(Arc<str>),
}

impl Warning {
    /// The same however often and by whomever it is told.
    pub fn id(&self) -> Uuid {
        let name = match &self.span {
            Over::Period { name, begins } => format!("{name}/{}/{}", begins.0, self.percent),
            Over::Run(run) => format!("run/{run}/{}", self.percent),
        };
        Uuid::new_v5(&self.holder, name.as_bytes())
    }
}

/// Whose money it is.
enum Whose {
    Holder(Arc<Account>, Period),
    Run(Arc<RunAccount>),
}

/// A budget that may have reached something.
struct Watched {
    budget: Budget,
    whose: Whose,
    spent: i64,
}

impl Watched {
    /// Looks at the purse, if it is still the same period's.
    fn look<T>(&self, look: impl FnOnce(&mut Purse) -> T) -> Option<T> {
        match &self.whose {
            Whose::Holder(account, period) => account.lock().purse_of(*period, self.budget.period).map(look),
            Whose::Run(account) => Some(look(account.lock().money())),
        }
    }

    fn warning(&self, percent: u32, limit: i64) -> Warning {
        let (limit, spent) = (Nanodollars(limit), Nanodollars(self.spent));
        let (of, holder, span) = match &self.whose {
            Whose::Holder(account, period) => {
                let begins = period.begins(self.budget.period);
                (account.of, self.budget.holder, Over::Period { name: period.name(), begins })
            }
            Whose::Run(account) => (MONEY, account.workspace.uuid(), Over::Run(account.name.clone())),
        };
        Warning { of, holder, span, percent, limit, spent }
    }
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
        let today = Timestamp::now().day();
        for one in &watched {
            let crossed = one.look(|purse| (purse.crossed(one.spent, percents), purse.limit));
            let Some((crossed, limit)) = crossed else { continue };
            for percent in crossed {
                let is_first = match self.past.get() {
                    Some(past) => past.ledger.tells_first(one.budget, percent, today).await?,
                    None => true,
                };
                one.look(|purse| purse.warned = purse.warned.max(percent));
                warnings.extend(is_first.then(|| one.warning(percent, limit)));
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
                    watched.push(Watched {
                        budget,
                        whose: Whose::Holder(account.clone(), period),
                        spent: purse.spent(),
                    });
                }
            }
        }
        for (holder, account) in self.runs.all() {
            let money = *account.lock().money();
            if money.limit > 0 && money.spent() > 0 {
                let budget = Budget { holder, span: MONEY, period: 0 };
                watched.push(Watched { budget, whose: Whose::Run(account), spent: money.spent() });
            }
        }
        watched
    }
}
