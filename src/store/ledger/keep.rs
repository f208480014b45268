//! Puts entries into the ledger, each once, and what they add to its sums with them; forgets what is too old.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::{Away, Ledger, answered};
use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::ledger::{Sums, Written};
use crate::domain::time::{DAY_MS, HOURS_A_DAY};
use crate::store::state::{Db, on};

/// Exchanges of one transaction. The more there are, the more of them add to one sum and lie on one page of an index, either
/// of which is written once.
pub const AT_ONCE: usize = 8_192;

/// Exchanges that are looked up, one after the other, before the next transaction: a far database takes milliseconds for each,
/// and what it was asked must be over in time.
const LOOKED_UP: usize = 1_024;

/// Rows of one statement, the most first. So few lengths, that both databases keep each statement as they have read it: reading
/// one takes SQLite longer than doing it. It takes 32,766 parameters, a row of sums has 25.
const ROWS: [usize; 4] = [1_024, 128, 16, 1];

/// In pieces of these lengths.
fn pieces<T>(mut all: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = ROWS.into_iter().find(|length| *length <= all.len())?;
        let (piece, rest) = all.split_at(length);
        all = rest;
        Some(piece)
    })
}

/// One statement for each number of rows it may have, as either database reads it fastest: SQLite looks a numbered place up in
/// a list of all of them. Each is written when it is first needed: the longest ones have 200 KB.
struct Statement {
    /// How SQLite is to insert.
    insert: &'static str,
    into: String,
    /// Of each row.
    values: usize,
    behind: String,
    sqlite: [OnceLock<String>; ROWS.len()],
    postgres: [OnceLock<String>; ROWS.len()],
}

impl Statement {
    fn new(insert: &'static str, into: String, values: usize, behind: String) -> Self {
        Self { insert, into, values, behind, sqlite: Default::default(), postgres: Default::default() }
    }

    /// Its text for so many rows, one of [`ROWS`].
    fn of(&self, db: &Db, rows: usize) -> &str {
        let Some(length) = ROWS.iter().position(|length| *length == rows) else { return "" };
        match db {
            Db::Sqlite(_) => self.sqlite[length].get_or_init(|| self.text(self.insert, rows, |_| "?".into())),
            Db::Postgres(_) => {
                self.postgres[length].get_or_init(|| self.text("INSERT", rows, |place| format!("${place}")))
            }
        }
    }

    fn text(&self, insert: &str, rows: usize, place: fn(usize) -> String) -> String {
        let row = |row: usize| {
            let places = (1..=self.values).map(|value| place(row * self.values + value));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let rows = (0..rows).map(row).collect::<Vec<_>>().join(", ");
        format!("{insert} INTO {} VALUES {rows} {}", self.into, self.behind)
    }
}

static EXCHANGES: LazyLock<Statement> = LazyLock::new(|| {
    // Told to ignore whatever is wrong with a row, SQLite need not be able to take some rows back, for which it would copy each
    // page before it changes it. How many rows were kept is looked at afterwards.
    let into = "ledger_exchanges (day, id, at, org, workspace, run, detail)";
    Statement::new("INSERT OR IGNORE", into.into(), 7, "ON CONFLICT (day, id) DO NOTHING".into())
});

static SUMS: LazyLock<[Statement; ROLLUPS.len()]> = LazyLock::new(|| ROLLUPS.each_ref().map(Rollup::statement));

/// Days that have a table of their own in Postgres.
#[derive(Default)]
pub(super) struct Days(Mutex<BTreeSet<i64>>);

/// What sums are kept by. One order for all who write, so that two transactions never wait for each other in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    fn statement(&self) -> Statement {
        let (table, run) = (self.table, if self.has_runs { ", run" } else { "" });
        let keys = format!("{}, org, workspace, person, token, provider, model{run}", self.when);
        let into = format!("{table} ({keys}, {})", Sums::NAMES.join(", "));
        let add = Sums::NAMES.map(|name| format!("{name} = {table}.{name} + excluded.{name}"));
        let behind = format!("ON CONFLICT ({keys}) DO UPDATE SET {}", add.join(", "));
        Statement::new("INSERT", into, 7 + usize::from(self.has_runs) + Sums::NAMES.len(), behind)
    }

    /// Its rows, out of the finest ones.
    fn sums<'e>(&self, finest: &BTreeMap<Key<'e>, Sums>) -> Vec<(Key<'e>, Sums)> {
        let mut sums: BTreeMap<Key<'e>, Sums> = BTreeMap::new();
        for (key, more) in finest {
            let when = if self.when == "day" { key.when.div_euclid(HOURS_A_DAY) } else { key.when };
            let run = if self.has_runs { key.run } else { "" };
            sums.entry(Key { when, run, ..*key }).or_default().add(more);
        }
        sums.into_iter().collect()
    }
}

/// By hour and run: what all tables are summed from.
fn finest<'e>(entries: &[&Written<'e>]) -> BTreeMap<Key<'e>, Sums> {
    let mut sums: BTreeMap<Key<'e>, Sums> = BTreeMap::new();
    for Written { entry, .. } in entries.iter().copied() {
        let key = Key {
            when: number(entry.hour()),
            org: entry.org.uuid(),
            workspace: entry.workspace.uuid(),
            person: entry.user.unwrap_or_default(),
            token: entry.token.uuid(),
            provider: entry.provider(),
            model: entry.model(),
            run: entry.run.unwrap_or_default(),
        };
        sums.entry(key).or_default().add(&Sums::from(entry));
    }
    sums
}

/// Days and hours as the tables have them: they last until the year 246,000.
pub(super) fn number(when: i64) -> i32 {
    i32::try_from(when).unwrap_or(i32::MAX)
}

impl Ledger {
    /// Keeps entries; those that are there already change nothing.
    pub async fn keep(&self, entries: &[Written<'_>]) -> Result<(), Away> {
        let db = self.db().await?;
        for entries in entries.chunks(AT_ONCE) {
            if let Db::Postgres(pool) = db {
                self.shared.days.prepare(pool, entries).await?;
            }
            // Nearly always all of them are new, so which are not is looked up when some are not.
            let all: Vec<&Written<'_>> = entries.iter().collect();
            if !answered(keep_new(db, &all)).await? {
                for entries in entries.chunks(LOOKED_UP) {
                    answered(keep_unknown(db, entries)).await?;
                }
            }
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

/// Those of them that are not there.
async fn keep_unknown(db: &Db, entries: &[Written<'_>]) -> Result<(), sqlx::Error> {
    let mut there = known(db, entries).await?;
    let new: Vec<&Written<'_>> = entries.iter().filter(|written| there.insert(written.entry.id)).collect();
    match keep_new(db, &new).await? {
        true => Ok(()),
        // What was given up for lost a moment ago went through after all. The next try sees it.
        false => Err(sqlx::Error::Protocol("exchanges were kept by another hand meanwhile".into())),
    }
}

async fn known(db: &Db, entries: &[Written<'_>]) -> Result<HashSet<Uuid>, sqlx::Error> {
    const IS_THERE: &str = "SELECT id FROM ledger_exchanges WHERE day = $1 AND id = $2";
    let mut found = HashSet::new();
    for Written { entry, .. } in entries {
        let id: Option<Uuid> = on!(db, |pool| {
            sqlx::query_scalar(IS_THERE).bind(number(entry.day())).bind(entry.id).fetch_optional(pool).await?
        });
        found.extend(id);
    }
    Ok(found)
}

/// Says false, and changes nothing, where not all of them are new.
async fn keep_new(db: &Db, entries: &[&Written<'_>]) -> Result<bool, sqlx::Error> {
    const EDGE: &str = "INSERT INTO ledger_lineage (workspace, run, parent, at) SELECT $1, $2, $3, $4 WHERE NOT EXISTS (\
         WITH RECURSIVE above (run) AS (SELECT $3 UNION SELECT upper.parent FROM ledger_lineage upper \
         JOIN above ON upper.run = above.run WHERE upper.workspace = $1) SELECT 1 FROM above WHERE above.run = $2) \
         ON CONFLICT (workspace, run) DO NOTHING";
    on!(db, |pool| {
        let mut turn = pool.begin().await?;
        for entries in pieces(entries) {
            let mut query = sqlx::query(EXCHANGES.of(db, entries.len()));
            for Written { entry, bytes } in entries.iter().copied() {
                query = query
                    .bind(number(entry.day()))
                    .bind(entry.id)
                    .bind(entry.began_at.0)
                    .bind(entry.org.uuid())
                    .bind(entry.workspace.uuid())
                    .bind(entry.run.unwrap_or_default())
                    .bind(*bytes);
            }
            if query.execute(&mut *turn).await?.rows_affected() < entries.len() as u64 {
                return Ok(false);
            }
        }
        let finest = finest(entries);
        for (rollup, statement) in ROLLUPS.iter().zip(&*SUMS) {
            for sums in pieces(&rollup.sums(&finest)) {
                let mut query = sqlx::query(statement.of(db, sums.len()));
                for (key, sums) in sums {
                    query = query
                        .bind(key.when)
                        .bind(key.org)
                        .bind(key.workspace)
                        .bind(key.person)
                        .bind(key.token)
                        .bind(key.provider)
                        .bind(key.model);
                    if rollup.has_runs {
                        query = query.bind(key.run);
                    }
                    for value in sums.values() {
                        query = query.bind(value);
                    }
                }
                query.execute(&mut *turn).await?;
            }
        }
        for (workspace, run, parent, at) in edges(entries) {
            sqlx::query(EDGE).bind(workspace.uuid()).bind(run).bind(parent).bind(at).execute(&mut *turn).await?;
        }
        turn.commit().await?;
        Ok(true)
    })
}

/// Which runs were said to be parts of which, each once, in the order in which it was said.
fn edges<'e>(entries: &[&Written<'e>]) -> Vec<(Id<Workspace>, &'e str, &'e str, i64)> {
    let (mut seen, mut edges) = (HashSet::new(), Vec::new());
    for Written { entry, .. } in entries.iter().copied() {
        if let (Some(run), Some(parent)) = (entry.run, entry.parent_run)
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
            sqlx::query(statement).bind(before.saturating_mul(HOURS_A_DAY)).execute(pool).await?;
        }
        sqlx::query(RUNS).bind(i64::from(before) * DAY_MS).execute(pool).await?;
        Ok(())
    })
}

impl Days {
    /// Makes the tables of days that have none. Where that is not allowed, their exchanges lie with the rest.
    async fn prepare(&self, pool: &PgPool, entries: &[Written<'_>]) -> Result<(), Away> {
        let days: BTreeSet<i64> = entries.iter().map(|written| written.entry.day()).collect();
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
