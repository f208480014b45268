//! Bounds of runs: an agent that goes on and on ends here.
//!
//! Takes a call that is part of a run; gives what it holds of the run's bounds until it has ended, or the refusal. What a call
//! takes counts for its run and for every run above, so that a run's bounds hold for all that is below it. The tightest
//! bounds of whoever calls hold. What a run came to before this process saw it stands in the ledger, and which run is above it
//! too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;
use uuid::Uuid;

use super::account::{held, within};
use super::holder::{bounds, holders};
use super::leases::{More, Shortage};
use super::past::Past;
use super::purse::Purse;
use super::reservation::Totals;
use super::shelf::Kept;
use super::{Budgets, Length, dearest};
use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::limits::{RunBounds, Unknown};
use crate::domain::money::Nanodollars;
use crate::domain::refusal::Refusal;
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::meter::minute::Minute;
use crate::meter::pricing::Pricing;
use crate::meter::runs::Runs;
use crate::resolve::Plan;
use crate::snapshot::Caller;
use crate::store::ledger::{Away, Budget};

/// What ledger and metrics call the two things that run out.
pub(super) const MONEY: &str = "run";
const CALLS: &str = "run calls";

/// How often a call looks again after it leased more: twice for each purse of a run.
const TRIES_A_RUN: usize = 4;

/// Money of a minute is counted in millionths of a dollar, of which a count holds four thousand dollars.
const NANOS_A_UNIT: i64 = 1_000;

/// What one run has spent, with all below it.
#[derive(Debug)]
pub(super) struct RunAccount {
    pub(super) workspace: Id<Workspace>,
    pub(super) name: Arc<str>,
    balance: Mutex<RunBalance>,
    /// Set once the runs above it are known.
    above: OnceCell<()>,
    /// Set once it is known what was spent before.
    before: OnceCell<()>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
pub(super) struct RunBalance {
    money: Purse,
    calls: Purse,
    minute: Option<Box<Minute>>,
    used: Instant,
}

/// One run of a call's, from its own up.
struct Level {
    id: Uuid,
    account: Arc<RunAccount>,
}

/// What a call took of a minute, where that is bounded.
#[derive(Clone, Copy, Debug)]
struct OfMinute(Option<InSecond>);

#[derive(Clone, Copy, Debug)]
struct InSecond {
    second: u64,
    units: u32,
}

/// What stands in a call's way.
enum Short {
    Money(Nanodollars),
    Calls(u32),
    Pace(Nanodollars, Duration),
}

/// What a call holds of its runs. Settled with the fact; dropped without, it gives everything back.
#[must_use = "what is held is given back when it is dropped"]
pub struct RunReservation {
    runs: Vec<(Arc<RunAccount>, OfMinute)>,
    money: Nanodollars,
    /// Counts what the call costs beyond its reserve, where no budget does.
    overrun: Option<Arc<Totals>>,
}

impl RunAccount {
    fn new((workspace, name): (Id<Workspace>, Arc<str>), now: Instant, is_shared: bool) -> Self {
        let purse = Purse::new(is_shared);
        Self {
            workspace,
            name,
            balance: Mutex::new(RunBalance { money: purse, calls: purse, minute: None, used: now }),
            above: OnceCell::new(),
            before: OnceCell::new(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, RunBalance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for RunAccount {
    fn is_unused(&self, now: Instant, since: Duration) -> bool {
        now.saturating_duration_since(self.lock().used) >= since
    }
}

impl RunBalance {
    pub(super) const fn money(&mut self) -> &mut Purse {
        &mut self.money
    }

    pub(super) const fn purses(&mut self) -> [(&'static str, &mut Purse); 2] {
        [(MONEY, &mut self.money), (CALLS, &mut self.calls)]
    }

    /// Money that is leased and not spent by now.
    pub(super) fn outstanding(&self) -> i64 {
        self.money.outstanding()
    }

    fn check(&mut self, bounds: &RunBounds, money: Nanodollars, now: Instant) -> Result<(), Short> {
        if let Some(limit) = bounds.calls
            && self.calls.left(i64::from(limit)) < 1
        {
            return Err(Short::Calls(limit));
        }
        if let Some(limit) = bounds.money
            && money.0 > 0
            && self.money.left(limit.0) < money.0
        {
            return Err(Short::Money(limit));
        }
        if let Some(limit) = bounds.money_per_minute
            && money.0 > 0
        {
            let (room, wanted) = (held(units(limit)), within(units(money), units(limit)));
            let minute = self.minute.get_or_insert_with(|| Box::new(Minute::new(now)));
            if minute.count(now) > room - wanted {
                let until = minute.until_below((room - wanted).saturating_add(1), now);
                return Err(Short::Pace(limit, until));
            }
        }
        Ok(())
    }

    fn take(&mut self, bounds: &RunBounds, money: Nanodollars, now: Instant) -> OfMinute {
        self.used = now;
        self.money.limit = bounds.money.map_or(0, |limit| limit.0);
        self.money.reserve(money.0);
        self.calls.reserve(1);
        OfMinute(bounds.money_per_minute.zip(self.minute.as_mut()).map(|(limit, minute)| {
            let units = within(units(money), units(limit));
            minute.add(units, now);
            InSecond { second: minute.newest(), units }
        }))
    }

    fn settle(&mut self, reserved: Nanodollars, of_minute: OfMinute, fact: Nanodollars, calls: i64) {
        self.money.settle(reserved.0, fact.0);
        self.calls.settle(1, calls);
        if let (Some(taken), Some(minute)) = (of_minute.0, &mut self.minute) {
            minute.correct(taken.second, taken.units, held(units(fact)));
        }
    }
}

fn units(money: Nanodollars) -> u64 {
    u64::try_from(money.0).unwrap_or(0).div_ceil(NANOS_A_UNIT as u64)
}

/// The id of a run: its name means something within its workspace only.
fn id_of(workspace: Id<Workspace>, name: &str) -> Uuid {
    Uuid::new_v5(&workspace.uuid(), name.as_bytes())
}

impl RunReservation {
    /// The call has ended and came to this.
    pub fn settle(mut self, cost: Option<Nanodollars>) {
        let fact = cost.unwrap_or_default();
        if let Some(totals) = self.overrun.take() {
            totals.overran(self.money, fact);
        }
        self.release(fact, 1);
    }

    fn release(&mut self, fact: Nanodollars, calls: i64) {
        for (account, of_minute) in std::mem::take(&mut self.runs) {
            account.lock().settle(self.money, of_minute, fact, calls);
        }
    }
}

impl Drop for RunReservation {
    fn drop(&mut self) {
        self.release(Nanodollars(0), 0);
    }
}

impl Budgets {
    /// Holds what the plan may cost of the call's runs. None where nobody's runs are bounded.
    pub async fn guard(
        &self,
        (caller, run, runs): (&Caller, &Run, &Runs),
        length: &Length,
        plan: &Plan<'_>,
        pricing: &Pricing,
        (at, now): (Timestamp, Instant),
    ) -> Result<Option<RunReservation>, Refusal> {
        let bounds = bounds(caller, plan.first());
        if bounds == RunBounds::default() {
            return Ok(None);
        }
        let workspace = caller.workspace();
        let settings = **self.settings.load();
        let levels = self.levels(workspace, run, (runs, &bounds), settings.unknown, now).await?;
        let money = dearest(length, plan, pricing, at, settings.units_a_part).money;
        for _ in 0..TRIES_A_RUN * levels.len() {
            let (short, level) = match take(&levels, &bounds, money, now) {
                Ok(taken) => {
                    let runs = levels.into_iter().map(|level| level.account).zip(taken).collect();
                    let is_alone = holders(caller, plan.first()).iter().all(Option::is_none);
                    let overrun = is_alone.then(|| self.totals.clone());
                    return Ok(Some(RunReservation { runs, money, overrun }));
                }
                Err((short, at)) => (short, &levels[at]),
            };
            let run = || level.account.name.to_string();
            match short {
                Short::Pace(limit, retry_after) => {
                    return Err(Refusal::RunTooFast { run: run(), limit, retry_after });
                }
                Short::Calls(limit) => {
                    let (limit, wanted) = (i64::from(limit), 1);
                    if let Err(_left) = self.lease_of_run(level, workspace, (CALLS, limit, wanted)).await? {
                        return Err(Refusal::RunOutOfCalls { run: run(), limit });
                    }
                }
                Short::Money(limit) => {
                    if let Err(left) = self.lease_of_run(level, workspace, (MONEY, limit.0, money.0)).await? {
                        let left = Nanodollars(left.max(0));
                        return Err(Refusal::RunBudgetExceeded { run: run(), limit, left, wanted: money });
                    }
                }
            }
        }
        Err(Refusal::AtCapacity("calls that want of one run"))
    }

    /// A call's run and all above it, each known.
    async fn levels(
        &self,
        workspace: Id<Workspace>,
        run: &Run,
        (runs, bounds): (&Runs, &RunBounds),
        unknown: Unknown,
        now: Instant,
    ) -> Result<Vec<Level>, Refusal> {
        let may_forget = self.past.get().is_some();
        let level = |name: Arc<str>| {
            let id = id_of(workspace, &name);
            let make = || RunAccount::new((workspace, name), now, self.is_shared());
            Ok::<Level, Refusal>(Level { id, account: self.runs.account(id, now, may_forget, make)? })
        };
        let is_known = |asked: Result<&(), Away>| match (asked, unknown) {
            (Ok(()), _) | (Err(_), Unknown::Allow) => Ok(()),
            (Err(_), Unknown::Refuse) => Err(Refusal::BudgetUnknown { of: "run" }),
        };
        let own = level(run.name.clone())?;
        let learned = own.account.above.get_or_try_init(async || {
            let Some(past) = self.past.get() else { return Ok(()) };
            runs.learn(workspace, &run.name, past.above(workspace, &run.name).await?);
            Ok(())
        });
        is_known(learned.await)?;
        let above = runs.above(workspace, &run.name);
        if let Some(limit) = bounds.depth
            && above.len() > limit as usize
        {
            return Err(Refusal::RunTooDeep { run: run.name.to_string(), limit });
        }
        let mut levels = vec![own];
        for name in above {
            levels.push(level(name)?);
        }
        for level in &levels {
            // Where the ledger is shared, it stands with the leases.
            let learned = level.account.before.get_or_try_init(async || {
                let Some(past) = self.past.get().filter(|past| !past.ledger.is_shared()) else { return Ok(()) };
                let (money, calls) = past.spent_of_run(workspace, &level.account.name).await?;
                let mut balance = level.account.lock();
                balance.money.begin(money);
                balance.calls.begin(calls);
                Ok(())
            });
            is_known(learned.await)?;
        }
        // By their ids, so that two calls never wait for each other.
        levels.sort_unstable_by_key(|level| level.id);
        levels.dedup_by_key(|level| level.id);
        Ok(levels)
    }

    /// More of a run's money or calls, or what is left.
    async fn lease_of_run(
        &self,
        level: &Level,
        workspace: Id<Workspace>,
        (span, limit, wanted): (&'static str, i64, i64),
    ) -> Result<Result<(), i64>, Refusal> {
        let short = Shortage {
            of: "run",
            budget: Budget { holder: level.id, span, period: 0 },
            limit,
            wanted,
            unknown: self.settings.load().unknown,
            asking: &level.account.asking,
        };
        let opens = |open: &mut dyn FnMut(&mut Purse)| {
            let mut balance = level.account.lock();
            balance.purses().into_iter().filter(|(of, _)| *of == span).for_each(|(_, purse)| open(purse));
        };
        let before = async |past: &Past| {
            let (money, calls) = past.spent_of_run(workspace, &level.account.name).await?;
            Ok(if span == MONEY { money } else { calls })
        };
        Ok(match self.more(short, &opens, before).await? {
            More::Granted => Ok(()),
            More::Short { left } => Err(left),
            More::Sole => {
                let mut left = 0;
                opens(&mut |purse| left = purse.left(limit));
                Err(left)
            }
        })
    }
}

/// Takes from all of them or from none. Else: what stands in the way, and of which of them.
fn take(
    levels: &[Level],
    bounds: &RunBounds,
    money: Nanodollars,
    now: Instant,
) -> Result<Vec<OfMinute>, (Short, usize)> {
    let mut balances: Vec<_> = levels.iter().map(|level| level.account.lock()).collect();
    for (at, balance) in balances.iter_mut().enumerate() {
        balance.check(bounds, money, now).map_err(|short| (short, at))?;
    }
    Ok(balances.iter_mut().map(|balance| balance.take(bounds, money, now)).collect())
}
