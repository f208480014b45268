//! Puts entries into the ledger, each once, and what they add to its sums with them; forgets what is too old.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, QueryBuilder};
use uuid::Uuid;

use super::{Away, Ledger, answered};
use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::ledger::{Entry, Sums};
use crate::domain::time::DAY_MS;
use crate::store::state::{Db, on};

/// Exchanges of one transaction.
const AT_ONCE: usize = 4_096;

/// Rows of one statement, the most first. So few lengths, that both databases keep each statement as they have read it: reading
/// one takes SQLite longer than doing it. It takes 32,766 parameters, a row of sums has 25.
const ROWS: [usize; 3] = [128, 16, 1];

/// In pieces of these lengths.
fn rows<T>(mut all: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = ROWS.into_iter().find(|length| *length <= all.len())?;
        let (rows, rest) = all.split_at(length);
        all = rest;
        Some(rows)
    })
}

/// Days that have a table of their own in Postgres.
#[derive(Default)]
pub(super) struct Days(Mutex<BTreeSet<i64>>);

/// What sums are kept by. One order for all who write, so that two transactions never wait for each other in a circle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'e> {
    when: i32,
    org: Uuid,
    workspace: Uuid,
    person: &'e str,
    token: Uuid,
    provider: &'e str,
    model: &'e str,
    run: &'e str,
}

/// A table of sums, by its name and what it sums by beside the rest.
struct Rollup {
    table: &'static str,
    when: &'static str,
    has_runs: bool,
}

const ROLLUPS: [Rollup; 3] = [
    Rollup { table: "ledger_days", when: "day", has_runs: false },
    Rollup { table: "ledger_hours", when: "hour", has_runs: false },
    Rollup { table: "ledger_runs", when: "hour", has_runs: true },
];

impl Rollup {
    fn keys(&self) -> String {
        let run = if self.has_runs { ", run" } else { "" };
        format!("{}, org, workspace, person, token, provider, model{run}", self.when)
    }

    fn into(&self) -> String {
        format!("INSERT INTO {} ({}, {}) ", self.table, self.keys(), Sums::NAMES.join(", "))
    }

    fn or_add(&self) -> String {
        let add = Sums::NAMES.map(|name| format!("{name} = {}.{name} + excluded.{name}", self.table));
        format!(" ON CONFLICT ({}) DO UPDATE SET {}", self.keys(), add.join(", "))
    }

    fn sums<'e>(&self, entries: &[&'e Entry]) -> Vec<(Key<'e>, Sums)> {
        let mut sums: BTreeMap<Key<'e>, Sums> = BTreeMap::new();
        for entry in entries {
            let when = if self.when == "day" { entry.day() } else { entry.hour() };
            let key = Key {
                when: number(when),
                org: entry.org.uuid(),
                workspace: entry.workspace.uuid(),
                person: entry.user.as_deref().unwrap_or_default(),
                token: entry.token.uuid(),
                provider: entry.provider(),
                model: entry.model(),
                run: entry.run.as_deref().filter(|_| self.has_runs).unwrap_or_default(),
            };
            sums.entry(key).or_default().add(&Sums::from(*entry));
        }
        sums.into_iter().collect()
    }
}

/// Days and hours as the tables have them: they last until the year 246,000.
pub(super) fn number(when: i64) -> i32 {
    i32::try_from(when).unwrap_or(i32::MAX)
}

impl Ledger {
    /// Keeps entries; those that are there already change nothing.
    pub async fn keep(&self, entries: &[Entry]) -> Result<(), Away> {
        let db = self.db().await?;
        for entries in entries.chunks(AT_ONCE) {
            if let Db::Postgres(pool) = db {
                self.shared.days.prepare(pool, entries).await?;
            }
            answered(keep(db, entries)).await?;
        }
        Ok(())
    }

    /// Forgets the days before this one.
    pub async fn forget(&self, before_day: i64) -> Result<(), Away> {
        let db = self.db().await?;
        if let Db::Postgres(pool) = db {
            self.shared.days.drop_before(pool, before_day).await?;
        }
        answered(forget(db, number(before_day))).await
    }
}

async fn keep(db: &Db, entries: &[Entry]) -> Result<(), sqlx::Error> {
    const INTO: &str = "INSERT INTO ledger_exchanges (day, id, at, org, workspace, run, detail) ";
    const EDGE: &str = "INSERT INTO ledger_lineage (workspace, run, parent, at) SELECT $1, $2, $3, $4 WHERE NOT EXISTS (\
         WITH RECURSIVE above (run) AS (SELECT $3 UNION SELECT upper.parent FROM ledger_lineage upper \
         JOIN above ON upper.run = above.run WHERE upper.workspace = $1) SELECT 1 FROM above WHERE above.run = $2) \
         ON CONFLICT (workspace, run) DO NOTHING";
    on!(db, |pool| {
        let mut turn = pool.begin().await?;
        let mut fresh: HashSet<Uuid> = HashSet::new();
        for entries in rows(entries) {
            let mut query = QueryBuilder::new(INTO);
            query.push_values(entries, |mut row, entry| {
                let mut detail = Vec::new();
                entry.write(&mut detail);
                row.push_bind(number(entry.day()))
                    .push_bind(entry.id)
                    .push_bind(entry.began_at.0)
                    .push_bind(entry.org.uuid())
                    .push_bind(entry.workspace.uuid())
                    .push_bind(entry.run.as_deref().unwrap_or_default())
                    .push_bind(detail);
            });
            query.push(" ON CONFLICT (day, id) DO NOTHING RETURNING id");
            fresh.extend(query.build_query_scalar::<Uuid>().fetch_all(&mut *turn).await?);
        }
        // Taken out, so that one that comes twice in a batch is summed once.
        let new: Vec<&Entry> = entries.iter().filter(|entry| fresh.remove(&entry.id)).collect();
        for rollup in &ROLLUPS {
            for sums in rows(&rollup.sums(&new)) {
                let mut query = QueryBuilder::new(rollup.into());
                query.push_values(sums, |mut row, (key, sums)| {
                    row.push_bind(key.when)
                        .push_bind(key.org)
                        .push_bind(key.workspace)
                        .push_bind(key.person)
                        .push_bind(key.token)
                        .push_bind(key.provider)
                        .push_bind(key.model);
                    if rollup.has_runs {
                        row.push_bind(key.run);
                    }
                    for value in sums.values() {
                        row.push_bind(value);
                    }
                });
                query.push(rollup.or_add()).build().execute(&mut *turn).await?;
            }
        }
        for (workspace, run, parent, at) in edges(&new) {
            sqlx::query(EDGE).bind(workspace.uuid()).bind(run).bind(parent).bind(at).execute(&mut *turn).await?;
        }
        turn.commit().await
    })
}

/// Which runs were said to be parts of which, each once, in the order in which it was said.
fn edges<'e>(entries: &[&'e Entry]) -> Vec<(Id<Workspace>, &'e str, &'e str, i64)> {
    let (mut seen, mut edges) = (HashSet::new(), Vec::new());
    for entry in entries {
        if let (Some(run), Some(parent)) = (entry.run.as_deref(), entry.parent_run.as_deref())
            && seen.insert((entry.workspace, run))
        {
            edges.push((entry.workspace, run, parent, entry.began_at.0));
        }
    }
    edges
}

async fn forget(db: &Db, before: i32) -> Result<(), sqlx::Error> {
    const DAYS: [&str; 2] = ["DELETE FROM ledger_exchanges WHERE day < $1", "DELETE FROM ledger_days WHERE day < $1"];
    const HOURS: [&str; 2] = ["DELETE FROM ledger_hours WHERE hour < $1", "DELETE FROM ledger_runs WHERE hour < $1"];
    const RUNS: &str = "DELETE FROM ledger_lineage WHERE at < $1";
    on!(db, |pool| {
        for statement in DAYS {
            sqlx::query(statement).bind(before).execute(pool).await?;
        }
        for statement in HOURS {
            sqlx::query(statement).bind(before.saturating_mul(24)).execute(pool).await?;
        }
        sqlx::query(RUNS).bind(i64::from(before) * DAY_MS).execute(pool).await?;
        Ok(())
    })
}

impl Days {
    /// Makes the tables of days that have none. Where that is not allowed, their exchanges lie with the rest.
    async fn prepare(&self, pool: &PgPool, entries: &[Entry]) -> Result<(), Away> {
        let days: BTreeSet<i64> = entries.iter().map(Entry::day).collect();
        for day in days {
            if self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&day) {
                continue;
            }
            let make = format!(
                "CREATE TABLE IF NOT EXISTS ledger_exchanges_{day} PARTITION OF ledger_exchanges FOR VALUES FROM ({day}) TO ({})",
                day + 1
            );
            match sqlx::raw_sql(AssertSqlSafe(make)).execute(pool).await {
                Ok(_) => {}
                // Another replica was faster, or it lacks the right: either way there is a place for them.
                Err(error) if error.as_database_error().is_some() => {
                    tracing::debug!(%error, day, "a day of the ledger has no table of its own");
                }
                Err(error) => return Err(error.into()),
            }
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(day);
        }
        Ok(())
    }

    async fn drop_before(&self, pool: &PgPool, before: i64) -> Result<(), Away> {
        const NAMES: &str = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE i.inhparent = 'ledger_exchanges'::regclass";
        let names: Vec<String> = answered(sqlx::query_scalar(NAMES).fetch_all(pool)).await?;
        for name in names {
            let day = name.strip_prefix("ledger_exchanges_").and_then(|day| day.parse::<i64>().ok());
            if let Some(day) = day.filter(|day| *day < before) {
                let drop = format!("DROP TABLE IF EXISTS ledger_exchanges_{day}");
                answered(sqlx::raw_sql(AssertSqlSafe(drop)).execute(pool)).await?;
                self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&day);
            }
        }
        Ok(())
    }
}
