//! This replica's slices of budgets that it shares with others.
//!
//! Takes a budget that falls short and asks for more of it; tells the ledger time and again what was spent, gives back what is
//! not needed, and hears which leases were taken away because it was silent. What it holds and has not spent by its last
//! word is what others may spend once more if it dies: `outstanding` says how much that is.

use std::sync::Arc;

use super::account::{Account, Moment, Period};
use super::holder::Holder;
use super::{Budgets, lock};
use crate::domain::limits::Unknown;
use crate::domain::money::Nanodollars;
use crate::domain::refusal::Refusal;
use crate::store::ledger::{Away, Budget, Leased, Report, Wanted};

/// A slice is this part of the whole: fifty questions spend a budget, and a replica that dies holds two hundredths of it.
const SLICES: i64 = 50;

/// What came of asking for more.
pub(super) enum More {
    Granted,
    /// Nobody else spends of it, so there is no more than what is left.
    Sole,
    Short {
        left: i64,
    },
}

impl Budgets {
    /// Asks for so much of a budget as a call wants, and some for the next calls.
    pub(super) async fn more(
        &self,
        holder: &Holder<'_>,
        account: &Account,
        (period, limit): (Period, Nanodollars),
        wanted: Nanodollars,
        (unknown, moment): (Unknown, Moment),
    ) -> Result<More, Refusal> {
        let Some(past) = self.past.get().filter(|past| past.ledger.is_shared()) else { return Ok(More::Sole) };
        let _turn = account.asking.lock().await;
        let left = account.lock().money_left(period, limit, moment.at);
        if left >= wanted.0 {
            return Ok(More::Granted);
        }
        let number = period.of(moment.at);
        let budget = Budget { holder: holder.id, span: period.name(), period: number };
        let slice = limit.0 / SLICES;
        let wanted = Wanted { limit: limit.0, least: wanted.0.saturating_sub(left), slice };
        let leased = async {
            let mut leased = past.ledger.lease(self.replica, budget, wanted).await?;
            if leased == Leased::Unbegun {
                let spent = past.spent(holder.scope, &holder.only, moment.at).await?;
                past.ledger.begin(budget, if period == Period::Day { spent.day } else { spent.month }).await?;
                leased = past.ledger.lease(self.replica, budget, wanted).await?;
            }
            Ok::<Leased, Away>(leased)
        };
        match (leased.await, unknown) {
            (Ok(Leased::Granted { amount, is_new }), _) => {
                account.lock().gains((period, number), amount, slice, is_new);
                Ok(More::Granted)
            }
            (Ok(Leased::Short { left: of_all }), _) => Ok(More::Short { left: left.saturating_add(of_all).max(left) }),
            // Counted from nothing, as if it had been leased.
            (Err(_), Unknown::Allow) => {
                account.lock().gains((period, number), wanted.least, slice, false);
                Ok(More::Granted)
            }
            (Ok(Leased::Unbegun) | Err(_), _) => Err(Refusal::BudgetUnknown { of: holder.of }),
        }
    }

    /// Says what was spent of all leases.
    pub async fn report(&self) -> Result<(), Away> {
        let Some(past) = self.past.get().filter(|past| past.ledger.is_shared()) else { return Ok(()) };
        let accounts = self.accounts();
        let mut reports = Vec::new();
        let mut of = Vec::new();
        for (id, account) in &accounts {
            for (period, number, spent, back) in account.lock().reports() {
                let budget = Budget { holder: *id, span: period.name(), period: number };
                reports.push(Report { budget, spent, back });
                of.push((account, period));
            }
        }
        let gone = past.ledger.renew(self.replica, &reports).await?;
        for (report, (account, period)) in reports.iter().zip(of) {
            let (mut balance, of) = (account.lock(), (period, report.budget.period));
            match gone.contains(&report.budget) {
                true => balance.loses_lease(of),
                false => balance.has_reported(of, report.spent),
            }
        }
        Ok(())
    }

    /// Gives all leases back, once no call can settle any more.
    pub async fn end_leases(&self) -> Result<(), Away> {
        let Some(past) = self.past.get().filter(|past| past.ledger.is_shared()) else { return Ok(()) };
        self.report().await?;
        past.ledger.end_leases(self.replica).await
    }

    /// What this replica may spend without asking: by so much at most would a budget be overspent if it died now.
    pub fn outstanding(&self) -> Nanodollars {
        Nanodollars(self.accounts().iter().map(|(_, account)| account.lock().outstanding()).sum())
    }

    fn accounts(&self) -> Vec<(uuid::Uuid, Arc<Account>)> {
        let all = self.shards.iter().flat_map(|shard| {
            lock(shard).accounts.iter().map(|(id, account)| (*id, account.clone())).collect::<Vec<_>>()
        });
        all.collect()
    }
}
