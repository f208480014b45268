//! What a call holds of budgets until it has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::account::{Account, Taken};
use super::holder::HOLDERS;
use super::wants::Wants;
use crate::domain::money::Nanodollars;
use crate::domain::usage::Usage;

/// What metrics show, in nano-dollars.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) reserved: AtomicI64,
    pub(super) overrun: AtomicI64,
}

impl Totals {
    /// A call came to more than was held for it, if it did.
    pub(super) fn overran(&self, reserved: Nanodollars, fact: Nanodollars) {
        self.overrun.fetch_add(fact.0.saturating_sub(reserved.0).max(0), Ordering::Relaxed);
    }
}

/// What a call holds of its callers' budgets. Settled with the fact; dropped without, it gives everything back.
#[derive(Debug)]
#[must_use = "what is reserved is given back when it is dropped"]
pub struct Reservation {
    accounts: [Option<(Arc<Account>, Taken)>; HOLDERS],
    wants: Wants,
    totals: Arc<Totals>,
}

impl Reservation {
    pub(super) fn new(
        accounts: [Option<Arc<Account>>; HOLDERS],
        taken: [Option<Taken>; HOLDERS],
        wants: Wants,
        totals: Arc<Totals>,
    ) -> Self {
        totals.reserved.fetch_add(wants.money.0, Ordering::Relaxed);
        let mut held: [Option<(Arc<Account>, Taken)>; HOLDERS] = Default::default();
        for (place, (account, taken)) in held.iter_mut().zip(accounts.into_iter().zip(taken)) {
            *place = account.zip(taken);
        }
        Self { accounts: held, wants, totals }
    }

    /// The call has ended and came to this.
    pub fn settle(mut self, usage: &Usage, cost: Option<Nanodollars>) {
        let money = cost.unwrap_or_default();
        self.release(&Wants { money, input: usage.input_total(), output: usage.output_total() });
    }

    fn release(&mut self, fact: &Wants) {
        let accounts = std::mem::take(&mut self.accounts);
        if accounts.iter().all(Option::is_none) {
            return;
        }
        for (account, taken) in accounts.into_iter().flatten() {
            account.lock().settle(&taken, self.wants.money, fact);
        }
        self.totals.reserved.fetch_sub(self.wants.money.0, Ordering::Relaxed);
        self.totals.overran(self.wants.money, fact.money);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(&Wants::default());
    }
}
