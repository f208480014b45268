//! Slices of budgets, leased to replicas, so that many of them share a budget without a question for each call.
//!
//! What is granted to all replicas together and what was spent before is never more than the limit. A replica that reports
//! no more loses its lease: what it had not spent by its last word is there for the others. Postgres alone has leases; one
//! process on its own needs none.

use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::keep::number;
use super::{Away, Ledger};
use crate::store::state::{Db, Keeping};

/// A call waits for a slice, so the database has not long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Without a word for so long a replica is taken for dead.
const LEASE_SECONDS: f64 = 10.0;

/// One budget in one day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    pub holder: Uuid,
    /// `day`, `month`, or what is not bound to one: of a run, of a minute, of calls in flight.
    pub span: &'static str,
    pub period: i64,
}

/// What a replica asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// In all, by everybody.
    pub limit: i64,
    /// Less is of no use.
    pub least: i64,
    /// What it would like, so that it need not ask again soon.
    pub slice: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased {
    /// So much more. `is_new`: there was no lease, be it that none was given yet or that it was taken away.
    Granted { amount: i64, is_new: bool },
    /// So little is left for everybody.
    Short { left: i64 },
    /// Nobody has said yet what was spent of it before.
    Unbegun,
}

/// What a replica says of a lease.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub budget: Budget,
    pub spent: i64,
    /// What it has no use for.
    pub back: i64,
}

impl Ledger {
    /// Do several processes write it?
    pub fn is_shared(&self) -> bool {
        matches!(self.shared.keeping, Keeping::Postgres(_))
    }

    async fn pool(&self) -> Result<&PgPool, Away> {
        match self.db().await? {
            Db::Postgres(pool) => Ok(pool),
            Db::Sqlite(_) => Err(Away("it is not shared, so it leases nothing".into())),
        }
    }

    /// Says what was spent of a budget before anybody leased any of it. What was said first stands.
    pub async fn begin(&self, budget: Budget, spent: i64) -> Result<(), Away> {
        const BEGIN: &str =
            "INSERT INTO ledger_budgets (holder, span, period, spent) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let pool = self.pool().await?;
        let query = sqlx::query(BEGIN).bind(budget.holder).bind(budget.span).bind(number(budget.period)).bind(spent);
        soon(query.execute(pool)).await?;
        Ok(())
    }

    pub async fn lease(&self, replica: Uuid, budget: Budget, wanted: Wanted) -> Result<Leased, Away> {
        let pool = self.pool().await?;
        soon(async {
            let mut turn = pool.begin().await?;
            let leased = lease(&mut turn, replica, budget, wanted).await?;
            turn.commit().await?;
            Ok(leased)
        })
        .await
    }

    /// Renews leases, and gives those that are there no more.
    pub async fn renew(&self, replica: Uuid, reports: &[Report]) -> Result<Vec<Budget>, Away> {
        const RENEW: &str = "UPDATE ledger_leases l SET spent = r.spent, granted = l.granted - r.back, \
                 until = now() + make_interval(secs => $7) \
             FROM UNNEST($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::bigint[]) r (holder, span, period, spent, back) \
             WHERE l.holder = r.holder AND l.span = r.span AND l.period = r.period AND l.replica = $6 \
             RETURNING l.holder, l.span, l.period";
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let pool = self.pool().await?;
        let column = |of: fn(&Report) -> i64| reports.iter().map(of).collect::<Vec<i64>>();
        let holders: Vec<Uuid> = reports.iter().map(|report| report.budget.holder).collect();
        let spans: Vec<String> = reports.iter().map(|report| report.budget.span.to_string()).collect();
        let periods: Vec<i32> = reports.iter().map(|report| number(report.budget.period)).collect();
        let query = sqlx::query(RENEW).bind(holders).bind(spans).bind(periods);
        let query = query.bind(column(|report| report.spent)).bind(column(|report| report.back));
        let rows = soon(query.bind(replica).bind(LEASE_SECONDS).fetch_all(pool)).await?;
        let mut there = Vec::with_capacity(rows.len());
        for row in &rows {
            there.push((row.try_get::<Uuid, _>(0)?, row.try_get::<String, _>(1)?, row.try_get::<i32, _>(2)?));
        }
        let is_there = |budget: &Budget| {
            there.iter().any(|(holder, span, period)| {
                *holder == budget.holder && span == budget.span && *period == number(budget.period)
            })
        };
        Ok(reports.iter().map(|report| report.budget).filter(|budget| !is_there(budget)).collect())
    }

    /// Forgets budgets of days and months that are over, and those without a period that nobody has used for a day: what a run
    /// came to is asked of the exchanges if it does go on.
    pub async fn forget_budgets(&self, day: i64, month: i64) -> Result<(), Away> {
        const FORGET: [&str; 2] = [
            "DELETE FROM ledger_budgets WHERE span = 'day' AND period < $1 OR span = 'month' AND period < $2",
            "DELETE FROM ledger_leases WHERE span = 'day' AND period < $1 OR span = 'month' AND period < $2",
        ];
        let pool = self.pool().await?;
        const WITHOUT_PERIOD: [&str; 2] = [
            "WITH gone AS (DELETE FROM ledger_leases WHERE period = 0 AND until < now() - INTERVAL '1 hour' \
                 RETURNING holder, span, period, spent), \
             ended AS (SELECT holder, span, period, SUM(spent)::bigint AS spent FROM gone GROUP BY holder, span, period) \
             UPDATE ledger_budgets b SET spent = b.spent + ended.spent FROM ended \
             WHERE b.holder = ended.holder AND b.span = ended.span AND b.period = ended.period",
            "DELETE FROM ledger_budgets b WHERE period = 0 AND used_at < now() - INTERVAL '1 day' AND NOT EXISTS \
                 (SELECT FROM ledger_leases l WHERE l.holder = b.holder AND l.span = b.span AND l.period = b.period)",
        ];
        for statement in FORGET {
            soon(sqlx::query(statement).bind(number(day)).bind(number(month)).execute(pool)).await?;
        }
        for statement in WITHOUT_PERIOD {
            soon(sqlx::query(statement).execute(pool)).await?;
        }
        Ok(())
    }

    /// Gives leases back whole: what was spent of them is spent, the rest is there for others.
    pub async fn end_leases(&self, replica: Uuid) -> Result<(), Away> {
        let pool = self.pool().await?;
        soon(sqlx::query(END).bind(replica).execute(pool)).await?;
        Ok(())
    }
}

const END: &str = "WITH gone AS (DELETE FROM ledger_leases WHERE replica = $1 RETURNING holder, span, period, spent) \
     UPDATE ledger_budgets b SET spent = b.spent + gone.spent FROM gone \
     WHERE b.holder = gone.holder AND b.span = gone.span AND b.period = gone.period";

async fn lease(
    turn: &mut Transaction<'_, Postgres>,
    replica: Uuid,
    budget: Budget,
    wanted: Wanted,
) -> Result<Leased, sqlx::Error> {
    const SPENT: &str = "SELECT spent FROM ledger_budgets WHERE holder = $1 AND span = $2 AND period = $3 FOR UPDATE";
    const GONE: &str = "WITH gone AS (DELETE FROM ledger_leases WHERE holder = $1 AND span = $2 AND period = $3 \
             AND until < now() RETURNING spent) \
         UPDATE ledger_budgets SET spent = spent + (SELECT COALESCE(SUM(spent), 0) FROM gone)::bigint, used_at = now() \
         WHERE holder = $1 AND span = $2 AND period = $3 RETURNING spent";
    const GRANTED: &str = "SELECT COALESCE(SUM(granted), 0)::bigint FROM ledger_leases \
         WHERE holder = $1 AND span = $2 AND period = $3";
    const GRANT: &str = "INSERT INTO ledger_leases AS l (holder, span, period, replica, granted, spent, until) \
         VALUES ($1, $2, $3, $4, $5, 0, now() + make_interval(secs => $6)) \
         ON CONFLICT (holder, span, period, replica) DO UPDATE SET granted = l.granted + excluded.granted, \
             until = excluded.until \
         RETURNING (xmax = 0)";
    let Budget { holder, span, period } = budget;
    let period = number(period);
    macro_rules! of_budget {
        ($statement:expr) => {
            sqlx::query_scalar($statement).bind(holder).bind(span).bind(period)
        };
    }
    let known: Option<i64> = of_budget!(SPENT).fetch_optional(&mut **turn).await?;
    if known.is_none() {
        return Ok(Leased::Unbegun);
    }
    let spent: i64 = of_budget!(GONE).fetch_one(&mut **turn).await?;
    let granted: i64 = of_budget!(GRANTED).fetch_one(&mut **turn).await?;
    let left = wanted.limit.saturating_sub(spent).saturating_sub(granted);
    if left < wanted.least {
        return Ok(Leased::Short { left });
    }
    let amount = wanted.slice.max(wanted.least).min(left);
    let is_new = of_budget!(GRANT).bind(replica).bind(amount).bind(LEASE_SECONDS).fetch_one(&mut **turn).await?;
    Ok(Leased::Granted { amount, is_new })
}

/// An answer while a call waits for it.
pub(super) async fn soon<T>(asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Away> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Away("it does not answer".into())),
    }
}
