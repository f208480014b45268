//! This replica's slices of budgets that it shares with others.
//!
//! Takes a budget that falls short and asks for more of it; tells the ledger time and again what was spent, gives back what is
//! not needed, and hears which leases were taken away because it was silent. What it holds and has not spent by its last
//! word is what others may spend once more if it dies: `outstanding` says how much that is.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::account::Direction;
use super::past::Past;
use super::purse::Purse;
use super::{Budgets, Unknown};
use crate::domain::money::Nanodollars;
use crate::domain::refusal::Refusal;
use crate::meter::limit::Limiter;
use crate::meter::share::Share;
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

/// A budget that falls short of what a call wants.
pub(super) struct Shortage<'a> {
    pub(super) of: &'static str,
    pub(super) budget: Budget,
    pub(super) limit: i64,
    pub(super) wanted: i64,
    pub(super) unknown: Unknown,
    /// Whoever asks for a lease: one at a time, for the next may find enough.
    pub(super) asking: &'a tokio::sync::Mutex<()>,
}

/// Lets somebody at a purse, if there still is one: a day may be over meanwhile.
pub(super) type Opens<'a> = &'a (dyn Fn(&mut dyn FnMut(&mut Purse)) + Sync);

/// What is in a purse, for a limit.
fn left(opens: Opens<'_>, limit: i64) -> i64 {
    let mut left = i64::MAX;
    opens(&mut |purse| left = purse.left(limit));
    left
}

impl Budgets {
    /// Asks for so much of a budget as a call wants, and some for the next calls.
    pub(super) async fn more(
        &self,
        short: Shortage<'_>,
        opens: Opens<'_>,
        spent_before: impl AsyncFnOnce(&Past) -> Result<i64, Away>,
    ) -> Result<More, Refusal> {
        let Some(past) = self.past.get().filter(|past| past.ledger.is_shared()) else { return Ok(More::Sole) };
        let _turn = short.asking.lock().await;
        let left = left(opens, short.limit);
        if left >= short.wanted {
            return Ok(More::Granted);
        }
        let slice = short.limit / SLICES;
        let wanted = Wanted { limit: short.limit, least: short.wanted.saturating_sub(left), slice };
        let leased = async {
            let mut leased = past.ledger.lease(self.replica, short.budget, wanted).await?;
            if leased == Leased::Unbegun {
                past.ledger.begin(short.budget, spent_before(past).await?).await?;
                leased = past.ledger.lease(self.replica, short.budget, wanted).await?;
            }
            Ok::<Leased, Away>(leased)
        };
        match (leased.await, short.unknown) {
            (Ok(Leased::Granted { amount, is_new }), _) => {
                opens(&mut |purse| purse.gains(amount, slice, is_new));
                Ok(More::Granted)
            }
            (Ok(Leased::Short { left: of_all }), _) => Ok(More::Short { left: left.saturating_add(of_all).max(left) }),
            // Counted from nothing, as if it had been leased.
            (Err(_), Unknown::Allow) => {
                opens(&mut |purse| purse.gains(wanted.least, slice, false));
                Ok(More::Granted)
            }
            (Ok(Leased::Unbegun) | Err(_), _) => Err(Refusal::BudgetUnknown { of: short.of }),
        }
    }

    /// Says what was spent of all leases.
    pub(in crate::meter) async fn report(&self, limiter: &Limiter) -> Result<(), Away> {
        let Some(past) = self.past.get().filter(|past| past.ledger.is_shared()) else { return Ok(()) };
        let mut reports = Vec::new();
        self.each_purse(&mut |budget, purse| {
            reports.extend(purse.reports().map(|(spent, back)| Report { budget, spent, back }));
        });
        // What comes back is never spent.
        self.each_part(limiter, &mut |budget, share, in_use| {
            reports.extend(share.gives_back(in_use).map(|back| Report { budget, spent: 0, back }));
        });
        let gone = past.ledger.renew(self.replica, &reports).await?;
        let said: std::collections::HashMap<Budget, i64> =
            reports.iter().map(|report| (report.budget, report.spent)).collect();
        self.each_purse(&mut |budget, purse| match said.get(&budget) {
            Some(_) if gone.contains(&budget) => purse.loses_lease(),
            Some(spent) => purse.has_reported(*spent),
            None => {}
        });
        if !gone.is_empty() {
            self.each_part(limiter, &mut |budget, share, _| {
                if gone.contains(&budget) {
                    share.is_lost();
                }
            });
        }
        Ok(())
    }

    /// Gives all leases back, once no call can settle any more.
    pub(in crate::meter) async fn end_leases(&self, limiter: &Limiter) -> Result<(), Away> {
        let Some(past) = self.past.get().filter(|past| past.ledger.is_shared()) else { return Ok(()) };
        self.report(limiter).await?;
        past.ledger.end_leases(self.replica).await
    }

    /// What this replica may spend without asking: by so much at most would a budget be overspent if it died now.
    pub fn outstanding(&self) -> Nanodollars {
        let holders = self.holders.all().iter().map(|(_, account)| account.lock().outstanding()).sum::<i64>();
        let runs = self.runs.all().iter().map(|(_, account)| account.lock().outstanding()).sum::<i64>();
        Nanodollars(holders.saturating_add(runs))
    }

    /// What this replica holds of each kind of shared limit that comes back: by so much at most would one be exceeded if it
    /// died now.
    pub fn parts(&self, limiter: &Limiter) -> BTreeMap<&'static str, i64> {
        let names = Limiter::PARTS.into_iter().chain(Direction::ALL.map(Direction::name));
        let mut parts: BTreeMap<_, _> = names.map(|name| (name, 0)).collect();
        self.each_part(limiter, &mut |budget, share, _| *parts.entry(budget.span).or_default() += share.granted());
        parts
    }

    fn each_part(&self, limiter: &Limiter, visit: &mut dyn FnMut(Budget, &mut Share, i64)) {
        if !self.is_shared() {
            return;
        }
        let now = Instant::now();
        limiter.each_share(now, &mut |holder, span, share, in_use| {
            visit(Budget { holder, span, period: 0 }, share, in_use);
        });
        for (holder, account) in self.holders.all() {
            let mut balance = account.lock();
            for direction in Direction::ALL {
                let in_use = balance.in_use(direction, now);
                let budget = Budget { holder, span: direction.name(), period: 0 };
                balance.share(direction).into_iter().for_each(|share| visit(budget, share, in_use));
            }
        }
    }

    fn each_purse(&self, visit: &mut dyn FnMut(Budget, &mut Purse)) {
        for (holder, account) in self.holders.all() {
            for (period, purse) in account.lock().purses() {
                visit(Budget { holder, span: period.name(), period: purse.period }, purse);
            }
        }
        for (holder, account) in self.runs.all() {
            for (span, purse) in account.lock().purses() {
                visit(Budget { holder, span, period: 0 }, purse);
            }
        }
    }
}
