//! Budgets of which so much is spent that somebody should know, and whether somebody was told.

use sqlx::Row;

use super::keep::number;
use super::lease::{Budget, soon};
use super::{Away, Ledger, answered};
use crate::store::state::{Db, on};

impl Ledger {
    /// Is it to be told now? Of all who ask, in all processes and after all restarts, one hears yes.
    pub async fn tells_first(&self, budget: Budget, percent: u32, today: i64) -> Result<bool, Away> {
        const TOLD: &str = "INSERT INTO ledger_warnings (holder, span, period, percent, told) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let (period, percent, today) = (number(budget.period), number(i64::from(percent)), number(today));
        let db = self.db().await?;
        let told = async {
            on!(db, |pool| {
                let query =
                    sqlx::query(TOLD).bind(budget.holder).bind(budget.span).bind(period).bind(percent).bind(today);
                Ok(query.execute(pool).await?.rows_affected())
            })
        };
        Ok(soon(told).await? > 0)
    }

    /// What all replicas together have spent of budgets, as far as they have said so; of those that somebody leases.
    pub async fn spent_by_all(&self, budgets: &[Budget]) -> Result<Vec<(Budget, i64)>, Away> {
        const SPENT: &str = "SELECT r.at, (b.spent + COALESCE((SELECT SUM(l.spent) FROM ledger_leases l \
                 WHERE l.holder = b.holder AND l.span = b.span AND l.period = b.period), 0))::bigint \
             FROM UNNEST($1::uuid[], $2::text[], $3::int[]) WITH ORDINALITY r (holder, span, period, at) \
             JOIN ledger_budgets b ON b.holder = r.holder AND b.span = r.span AND b.period = r.period";
        let Db::Postgres(pool) = self.db().await? else { return Ok(Vec::new()) };
        let holders: Vec<_> = budgets.iter().map(|budget| budget.holder).collect();
        let spans: Vec<_> = budgets.iter().map(|budget| budget.span.to_string()).collect();
        let periods: Vec<_> = budgets.iter().map(|budget| number(budget.period)).collect();
        let rows = soon(sqlx::query(SPENT).bind(holders).bind(spans).bind(periods).fetch_all(pool)).await?;
        let mut spent = Vec::with_capacity(rows.len());
        for row in &rows {
            let at = usize::try_from(row.try_get::<i64, _>(0)? - 1).ok();
            if let Some(budget) = at.and_then(|at| budgets.get(at)) {
                spent.push((*budget, row.try_get(1)?));
            }
        }
        Ok(spent)
    }

    /// Forgets what was told of days and months that are over, and of runs before the day from which exchanges are kept.
    pub async fn forget_warnings(&self, day: i64, month: i64, kept_since: i64) -> Result<(), Away> {
        const FORGET: &str = "DELETE FROM ledger_warnings WHERE span = 'day' AND period < $1 \
             OR span = 'month' AND period < $2 OR span = 'run' AND told < $3";
        let db = self.db().await?;
        answered(async {
            on!(db, |pool| {
                let (day, month, kept_since) = (number(day), number(month), number(kept_since));
                sqlx::query(FORGET).bind(day).bind(month).bind(kept_since).execute(pool).await?;
                Ok(())
            })
        })
        .await
    }
}
