//! Single exchanges, lists of them, and runs with all that is below them.

use std::collections::HashMap;

use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::ask::{Scope, Span};
use super::keep::number;
use super::{Away, Ledger, answered};
use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::ledger::{Kept, Sums};
use crate::domain::time::DAY_MS;
use crate::store::state::{Db, on};

/// Runs below one that are shown; more are an agent gone wild, and their sums would be no shorter to read.
const BELOW_MAX: u32 = 10_000;

/// Runs above one that are looked at; none lies deeper.
const ABOVE_MAX: i32 = 64;

/// Exchanges, the newest first.
#[derive(Clone, Debug)]
pub struct Listing {
    pub scope: Scope,
    pub span: Span,
    pub run: Option<String>,
    /// Those before this one.
    pub before: Option<Uuid>,
    pub limit: u32,
}

/// A run and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSums {
    pub run: String,
    pub parent: Option<String>,
    pub sums: Sums,
}

/// A run, then all that is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub own: RunSums,
    pub below: Vec<RunSums>,
}

/// The day in which an id was drawn; an exchange's id says it.
fn day_of(id: Uuid) -> Option<i64> {
    let (seconds, _) = id.get_timestamp()?.to_unix();
    Some(i64::try_from(seconds).ok()? * 1_000 / DAY_MS)
}

impl Ledger {
    pub async fn exchange(&self, scope: Scope, id: Uuid) -> Result<Option<Kept>, Away> {
        let Some(day) = day_of(id) else { return Ok(None) };
        let db = self.db().await?;
        let bytes: Option<Vec<u8>> = answered(async {
            on!(db, |pool| {
                let mut query = QueryBuilder::new("SELECT detail FROM ledger_exchanges WHERE day = ");
                query.push_bind(number(day)).push(" AND id = ").push_bind(id);
                if let Some((column, value)) = scope.column() {
                    query.push(format_args!(" AND {column} = ")).push_bind(value);
                }
                query.build_query_scalar().persistent(false).fetch_optional(pool).await
            })
        })
        .await?;
        Ok(bytes.map(|bytes| Kept { id, bytes }))
    }

    pub async fn list(&self, listing: &Listing) -> Result<Vec<Kept>, Away> {
        let db = self.db().await?;
        let found = answered(list(db, listing)).await?;
        Ok(found.into_iter().map(|(id, bytes)| Kept { id, bytes }).collect())
    }

    /// The runs above one, the nearest first.
    pub async fn above(&self, workspace: Id<Workspace>, run: &str) -> Result<Vec<String>, Away> {
        const ABOVE: &str = "WITH RECURSIVE above (run, height) AS (SELECT parent, 1 FROM ledger_lineage \
             WHERE workspace = $1 AND run = $2 UNION ALL SELECT upper.parent, above.height + 1 FROM ledger_lineage upper \
             JOIN above ON upper.run = above.run WHERE upper.workspace = $1 AND above.height < $3) \
             SELECT run FROM above ORDER BY height";
        let db = self.db().await?;
        answered(async {
            on!(db, |pool| {
                let query = sqlx::query_scalar(ABOVE).bind(workspace.uuid()).bind(run).bind(ABOVE_MAX);
                query.fetch_all(pool).await
            })
        })
        .await
    }

    /// `None` where the workspace had no such run.
    pub async fn run(&self, workspace: Id<Workspace>, run: &str) -> Result<Option<Found>, Away> {
        let db = self.db().await?;
        let mut all = answered(runs(db, workspace, run)).await?;
        let is_known = all.len() > 1 || all.iter().any(|one| one.sums.exchanges > 0 || one.parent.is_some());
        let Some(place) = all.iter().position(|one| one.run == run).filter(|_| is_known) else { return Ok(None) };
        let own = all.remove(place);
        Ok(Some(Found { own, below: all }))
    }
}

async fn list(db: &Db, listing: &Listing) -> Result<Vec<(Uuid, Vec<u8>)>, sqlx::Error> {
    let (from, to) = (listing.span.from().0, listing.span.to().0);
    let days = [number(from.div_euclid(DAY_MS)), number((to - 1).div_euclid(DAY_MS))];
    on!(db, |pool| {
        let mut query = QueryBuilder::new("SELECT id, detail FROM ledger_exchanges WHERE day BETWEEN ");
        query.push_bind(days[0]).push(" AND ").push_bind(days[1]);
        query.push(" AND at >= ").push_bind(from).push(" AND at < ").push_bind(to);
        if let Some((column, value)) = listing.scope.column() {
            query.push(format_args!(" AND {column} = ")).push_bind(value);
        }
        if let Some(run) = &listing.run {
            // The index leaves out what belongs to no run, and is only taken where the question does too.
            query.push(if run.is_empty() { "" } else { " AND run <> ''" });
            query.push(" AND run = ").push_bind(run.clone());
        }
        if let Some((before, day)) = listing.before.and_then(|before| Some((before, day_of(before)?))) {
            query.push(" AND (day, id) < (").push_bind(number(day)).push(", ").push_bind(before).push(")");
        }
        query.push(" ORDER BY day DESC, id DESC LIMIT ").push_bind(i64::from(listing.limit));
        query.build_query_as().persistent(false).fetch_all(pool).await
    })
}

/// A run and those below it, each with its own sums, in the order of their names.
async fn runs(db: &Db, workspace: Id<Workspace>, run: &str) -> Result<Vec<RunSums>, sqlx::Error> {
    const BELOW: &str = "WITH RECURSIVE below (run) AS (SELECT $2 UNION SELECT lower.run FROM ledger_lineage lower \
         JOIN below ON lower.parent = below.run WHERE lower.workspace = $1) \
         SELECT below.run, lineage.parent FROM below LEFT JOIN ledger_lineage lineage \
         ON lineage.workspace = $1 AND lineage.run = below.run ORDER BY below.run LIMIT $3";
    let sums = Sums::NAMES.map(|name| format!("CAST(SUM({name}) AS BIGINT)")).join(", ");
    on!(db, |pool| {
        let rows =
            sqlx::query(BELOW).bind(workspace.uuid()).bind(run).bind(i64::from(BELOW_MAX)).fetch_all(pool).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(RunSums { run: row.try_get(0)?, parent: row.try_get(1)?, sums: Sums::default() });
        }
        let mut of: HashMap<String, Sums> = HashMap::new();
        for some in found.chunks(500) {
            let mut query = QueryBuilder::new(format!("SELECT run, {sums} FROM ledger_runs WHERE workspace = "));
            query.push_bind(workspace.uuid()).push(" AND run IN (");
            let mut listed = query.separated(", ");
            for one in some {
                listed.push_bind(one.run.clone());
            }
            query.push(") GROUP BY run");
            for row in query.build().persistent(false).fetch_all(pool).await? {
                let mut values = [0; Sums::NAMES.len()];
                for (at, value) in values.iter_mut().enumerate() {
                    *value = row.try_get(1 + at)?;
                }
                of.insert(row.try_get(0)?, Sums::of_values(values));
            }
        }
        for one in &mut found {
            one.sums = of.remove(&one.run).unwrap_or_default();
        }
        Ok(found)
    })
}
