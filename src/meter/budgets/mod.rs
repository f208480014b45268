//! How much money and text a caller may still use.
//!
//! Takes a call with its plan and whose limits hold; gives the plan, perhaps a cheaper one, and a reservation, or the refusal.
//! Reserved is the most that the call may cost at the plan's dearest target; settled is what it came to. All limits are
//! checked before anything is taken, under the locks of all, so no number of parallel calls gets past a limit. What was
//! spent before this process began is asked of the ledger once for each holder; until that is known nothing is spent.
//!
//! Where several replicas share the ledger, each spends from slices that it leases of a budget (`leases`): all slices and what
//! was spent are together never more than the limit.
//!
//! What is held of a run's bounds is held apart (`guard`), before all of this.
//!
//! Money counts for the day and the month in which a call begins, by UTC. Accounts stand in memory and are bounded.

mod account;
mod guard;
mod holder;
mod leases;
mod parts;
mod past;
mod purse;
mod reservation;
mod shelf;
mod wants;
mod warnings;

pub use guard::RunReservation;
pub(super) use parts::{Grown, Lacking};
pub use past::Past;
pub use reservation::Reservation;
pub use wants::{Length, Text, Wants};
pub use warnings::{Over, Warning};

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use uuid::Uuid;

use self::account::{Account, Direction, Moment, Period, Short, Taken};
use self::guard::RunAccount;
use self::holder::{HOLDERS, Holder, holders};
use self::leases::{More, Shortage};
use self::purse::Purse;
use self::reservation::Totals;
use self::shelf::Shelf;
use super::pricing::Pricing;
use super::share::{Growth, Share};
use crate::domain::limits::{Unknown, WhenShort};
use crate::domain::money::Nanodollars;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;
use crate::resolve::{Plan, Target};
use crate::snapshot::Caller;
use crate::store::ledger::Budget;

/// How often a call looks again after it leased more, or fell back to cheaper targets: twice for each of whose day and month
/// may be short, and as often because others were faster.
const TRIES: usize = 4 * HOLDERS;

/// What others hold of a minute's text may come back at any moment.
const A_MOMENT: Duration = Duration::from_secs(1);

/// What the operator may set about budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What an image, a sound or a document of a call is reckoned as, in units of text.
    pub units_a_part: u64,
    /// What becomes of calls while nobody knows what was spent.
    pub unknown: Unknown,
    /// What becomes of a call that could cost more than is left.
    pub short: WhenShort,
}

pub struct Budgets {
    holders: Shelf<Account>,
    runs: Shelf<RunAccount>,
    pub settings: ArcSwap<Settings>,
    past: OnceLock<Past>,
    totals: Arc<Totals>,
    /// This process among those that share budgets.
    replica: Uuid,
}

/// What a call may use and cost.
#[derive(Debug)]
pub struct Quote {
    /// At each target, the first one first. Nobody may know what it costs.
    pub costs: Vec<(Usage, Option<Nanodollars>)>,
    pub refusal: Option<Refusal>,
}

impl Budgets {
    pub fn new(settings: Settings) -> Self {
        Self {
            holders: Shelf::new("callers with budgets"),
            runs: Shelf::new("runs with bounds"),
            settings: ArcSwap::from_pointee(settings),
            past: OnceLock::new(),
            totals: Arc::default(),
            replica: Uuid::now_v7(),
        }
    }

    /// Of a process on its own, that remembers nothing.
    #[cfg(test)]
    pub(super) fn alone() -> Self {
        Self::new(Settings { units_a_part: 0, unknown: Unknown::Refuse, short: WhenShort::Refuse })
    }

    /// Where it stands what was spent before. Without one, it was nothing.
    pub fn learn_from(&self, past: Past) {
        let _ = self.past.set(past);
    }

    /// Held for calls in flight.
    pub fn reserved(&self) -> Nanodollars {
        Nanodollars(self.totals.reserved.load(Ordering::Relaxed))
    }

    /// By how much calls came to more than was held for them, since the start: no budget is overspent by more.
    pub fn overrun(&self) -> Nanodollars {
        Nanodollars(self.totals.overrun.load(Ordering::Relaxed))
    }

    /// Holds what the plan may cost. None where nobody's money or text is limited.
    pub async fn reserve<'a>(
        &self,
        caller: &Caller,
        length: &Length,
        plan: Plan<'a>,
        pricing: &Pricing,
        (at, now): (Timestamp, Instant),
    ) -> Result<(Plan<'a>, Option<Reservation>), Refusal> {
        let holders = holders(caller, plan.first());
        if holders.iter().all(Option::is_none) {
            return Ok((plan, None));
        }
        let (settings, moment) = (**self.settings.load(), Moment { at, now });
        let mut accounts: [Option<Arc<Account>>; HOLDERS] = Default::default();
        for (account, holder) in accounts.iter_mut().zip(&holders) {
            if let Some(holder) = holder {
                *account = Some(self.known(holder, settings.unknown, moment).await?);
            }
        }
        let (mut plan, mut wanted) = (plan, None);
        for _ in 0..TRIES {
            let wants = *wanted.get_or_insert_with(|| dearest(length, &plan, pricing, at, settings.units_a_part));
            let (short, holder, account) = match take(&holders, &accounts, &wants, moment) {
                Ok(taken) => return Ok((plan, Some(Reservation::new(accounts, taken, wants, self.totals.clone())))),
                Err((short, at)) => match (&holders[at], &accounts[at]) {
                    (Some(holder), Some(account)) => (short, holder, account),
                    _ => return Err(Refusal::Internal),
                },
            };
            let left = match short {
                Short::Text { direction, limit, until } => {
                    return Err(Refusal::TextLimited { of: holder.of, direction, limit, retry_after: until });
                }
                // Whatever asks a database is boxed: it is rare and many times as large as all the rest of a call.
                Short::Part(direction, limit) => {
                    Box::pin(self.grow_text(holder, account, (direction, limit), &wants, now)).await?;
                    continue;
                }
                Short::Money { period, limit, left } => {
                    match Box::pin(self.lease(holder, account, (period, limit), wants.money, moment)).await? {
                        More::Granted => continue,
                        More::Sole => left,
                        More::Short { left } => left,
                    }
                }
            };
            let refused = || too_dear(holder.of, short, left, wants.money, at);
            if settings.short == WhenShort::Refuse {
                return Err(refused());
            }
            let is_cheap =
                |target: &Target<'_>| self::wants(length, target, pricing, at, settings.units_a_part).money.0 <= left;
            plan = plan.retain(is_cheap).ok_or_else(refused)?;
            wanted = None;
        }
        Err(Refusal::AtCapacity("calls that want of one budget"))
    }

    /// What a call may cost at each target of a plan, and whether it would be let through now. Holds what it would hold for a
    /// moment, and gives it back.
    pub async fn quote(
        &self,
        caller: &Caller,
        length: &Length,
        plan: Plan<'_>,
        pricing: &Pricing,
        (at, now): (Timestamp, Instant),
    ) -> Quote {
        let units = self.settings.load().units_a_part;
        let of = |target: &Target<'_>| {
            let usage = wants::usage(length, target, units);
            (usage, pricing.cost(&target.priced(), (target.provider.provider.id, target.model_id), at, &usage).0)
        };
        let costs = plan.targets().map(of).collect();
        Quote { costs, refusal: self.reserve(caller, length, plan, pricing, (at, now)).await.err() }
    }

    /// A holder's account, once it is known what was spent before.
    async fn known(&self, holder: &Holder<'_>, unknown: Unknown, moment: Moment) -> Result<Arc<Account>, Refusal> {
        let may_forget = self.past.get().is_some();
        let make = || Account::new(holder.of, moment.now, self.is_shared());
        let account = self.holders.account(holder.id, moment.now, may_forget, make)?;
        let has_money = holder.limits.money_per_day.or(holder.limits.money_per_month).is_some();
        // Where a budget is shared, that stands with the leases.
        let is_asked = |past: &&Past| has_money && !past.ledger.is_shared() && !account.known.initialized();
        let Some(past) = self.past.get().filter(is_asked) else {
            return Ok(account);
        };
        let learned = account.known.get_or_try_init(async || {
            let spent = Box::pin(past.spent(holder.scope, &holder.only, moment.at)).await?;
            account.lock().begin(moment.at, spent.day, spent.month);
            Ok::<(), crate::store::ledger::Away>(())
        });
        match (learned.await, unknown) {
            (Ok(()), _) | (Err(_), Unknown::Allow) => Ok(account),
            (Err(_), Unknown::Refuse) => Err(Refusal::BudgetUnknown { of: holder.of }),
        }
    }

    /// A larger part of a holder's text of a minute.
    async fn grow_text(
        &self,
        holder: &Holder<'_>,
        account: &Account,
        (direction, limit): (Direction, u64),
        wants: &Wants,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (of, span) = (holder.of, direction.name());
        let limit_of_all = i64::from(account::held(limit));
        let lacking = Lacking { of, holder: holder.id, span, limit: limit_of_all, now };
        let lacks = |open: &mut dyn FnMut(&mut Share, Option<Growth>)| {
            let mut balance = account.lock();
            let growth = balance.lacks(direction, limit, wants, now);
            balance.share(direction).into_iter().for_each(|share| open(share, growth));
        };
        match self.grow(&lacking, &account.asking, &lacks).await? {
            Grown::Enough => Ok(()),
            Grown::Short => Err(Refusal::TextLimited { of, direction: span, limit, retry_after: A_MOMENT }),
        }
    }

    /// More of a holder's day or month.
    async fn lease(
        &self,
        holder: &Holder<'_>,
        account: &Account,
        (period, limit): (Period, Nanodollars),
        wanted: Nanodollars,
        moment: Moment,
    ) -> Result<More, Refusal> {
        let number = period.of(moment.at);
        let short = Shortage {
            of: holder.of,
            budget: Budget { holder: holder.id, span: period.name(), period: number },
            limit: limit.0,
            wanted: wanted.0,
            unknown: self.settings.load().unknown,
            asking: &account.asking,
        };
        let opens = |open: &mut dyn FnMut(&mut Purse)| {
            if let Some(purse) = account.lock().purse_of(period, number) {
                open(purse);
            }
        };
        let before = async |past: &Past| {
            let spent = past.spent(holder.scope, &holder.only, moment.at).await?;
            Ok(if period == Period::Day { spent.day } else { spent.month })
        };
        self.more(short, &opens, before).await
    }

    /// Do several processes share the ledger, and so the limits?
    pub(super) fn is_shared(&self) -> bool {
        self.past.get().is_some_and(|past| past.ledger.is_shared())
    }
}

/// Takes from all of them or from none. Else: what stands in the way, and of which of them.
fn take(
    holders: &[Option<Holder<'_>>; HOLDERS],
    accounts: &[Option<Arc<Account>>; HOLDERS],
    wants: &Wants,
    moment: Moment,
) -> Result<[Option<Taken>; HOLDERS], (Short, usize)> {
    // Always in this order, from token to model, so that two calls never wait for each other.
    let mut balances = accounts.each_ref().map(|account| account.as_ref().map(|account| account.lock()));
    for (at, (holder, balance)) in holders.iter().zip(&mut balances).enumerate() {
        if let (Some(holder), Some(balance)) = (holder, balance) {
            balance.check(holder.limits, wants, moment).map_err(|short| (short, at))?;
        }
    }
    let mut taken = [None; HOLDERS];
    for (place, (holder, balance)) in taken.iter_mut().zip(holders.iter().zip(&mut balances)) {
        if let (Some(holder), Some(balance)) = (holder, balance) {
            *place = Some(balance.take(holder.limits, wants, moment));
        }
    }
    Ok(taken)
}

/// The most that a call may use of one target. A price that nobody knows holds nothing back: what becomes of such calls is
/// set elsewhere.
fn wants(length: &Length, target: &Target<'_>, pricing: &Pricing, at: Timestamp, units_a_part: u64) -> Wants {
    let usage = wants::usage(length, target, units_a_part);
    let subject = (target.provider.provider.id, target.model_id);
    let money = pricing.cost(&target.priced(), subject, at, &usage).0.unwrap_or_default();
    Wants { money, input: usage.input, output: usage.output }
}

/// The most that a call may use of any of a plan's targets.
fn dearest(length: &Length, plan: &Plan<'_>, pricing: &Pricing, at: Timestamp, units_a_part: u64) -> Wants {
    plan.targets().map(|target| wants(length, target, pricing, at, units_a_part)).reduce(most).unwrap_or_default()
}

/// As much as either.
fn most(one: Wants, other: Wants) -> Wants {
    Wants { money: one.money.max(other.money), input: one.input.max(other.input), output: one.output.max(other.output) }
}

fn too_dear(of: &'static str, short: Short, left: i64, wanted: Nanodollars, at: Timestamp) -> Refusal {
    let Short::Money { period, limit, .. } = short else { return Refusal::Internal };
    let (period, retry_after) = (period.name(), period.left(at));
    Refusal::BudgetExceeded { of, period, limit, left: Nanodollars(left.max(0)), wanted, retry_after }
}
