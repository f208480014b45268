//! Sums by any of their dimensions, from the coarsest tables that can say them.

use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::keep::number;
use super::{Away, Ledger, answered};
use crate::domain::entity::{Org, Workspace};
use crate::domain::id::Id;
use crate::domain::ledger::Sums;
use crate::domain::time::{self, HOUR_MS, Timestamp};
use crate::store::state::{Db, on};

const HOURS_A_DAY: i64 = time::HOURS_A_DAY as i64;

/// Whose exchanges a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Platform,
    Org(Id<Org>),
    Workspace(Id<Workspace>),
}

impl Scope {
    /// The column that holds it, with its value.
    pub(super) const fn column(self) -> Option<(&'static str, Uuid)> {
        match self {
            Self::Platform => None,
            Self::Org(org) => Some(("org", org.uuid())),
            Self::Workspace(workspace) => Some(("workspace", workspace.uuid())),
        }
    }
}

/// What sums can be asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    Org,
    Workspace,
    User,
    Token,
    Provider,
    Model,
    Run,
    Hour,
    Day,
}

impl Dimension {
    pub const ALL: [Self; 9] = [
        Self::Org,
        Self::Workspace,
        Self::User,
        Self::Token,
        Self::Provider,
        Self::Model,
        Self::Run,
        Self::Hour,
        Self::Day,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Workspace => "workspace",
            Self::User => "user",
            Self::Token => "token",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Run => "run",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// As the tables have it; `user` is a word of SQL's own.
    const fn column(self) -> &'static str {
        match self {
            Self::User => "person",
            other => other.name(),
        }
    }

    const fn is_id(self) -> bool {
        matches!(self, Self::Org | Self::Workspace | Self::Token)
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Hour | Self::Day)
    }
}

/// From one hour up to another, which is no more part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: i64,
    to: i64,
}

impl Span {
    /// The whole hours that hold all of this time.
    pub fn around(from: Timestamp, to: Timestamp) -> Self {
        Self { from: from.0.div_euclid(HOUR_MS), to: (to.0.saturating_add(HOUR_MS - 1)).div_euclid(HOUR_MS) }
    }

    pub const fn from(self) -> Timestamp {
        Timestamp(self.from * HOUR_MS)
    }

    pub const fn to(self) -> Timestamp {
        Timestamp(self.to * HOUR_MS)
    }

    /// Whole days within it, if there are any.
    const fn days(self) -> Option<(i64, i64)> {
        let (first, end) = ((self.from + HOURS_A_DAY - 1).div_euclid(HOURS_A_DAY), self.to.div_euclid(HOURS_A_DAY));
        if first < end { Some((first, end)) } else { None }
    }
}

/// A value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Id(Uuid),
    Text(String),
    Number(i32),
}

impl Cell {
    /// Reads what a client wrote for a dimension; hours and days are numbers since the epoch.
    pub fn of(dimension: Dimension, text: &str) -> Option<Self> {
        if dimension.is_id() {
            return text.parse().ok().map(Self::Id);
        }
        if dimension.is_time() {
            return text.parse().ok().map(Self::Number);
        }
        Some(Self::Text(text.to_string()))
    }

    /// As it is read by `of`.
    pub fn text(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }

    /// A time's beginning.
    pub fn moment(&self, dimension: Dimension) -> Option<Timestamp> {
        let hours = if dimension == Dimension::Day { HOURS_A_DAY } else { 1 };
        match self {
            Self::Number(number) if dimension.is_time() => Some(Timestamp(i64::from(*number) * hours * HOUR_MS)),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Query {
    pub scope: Scope,
    pub span: Span,
    /// None: one sum of all.
    pub by: Vec<Dimension>,
    /// Only what has this value there.
    pub only: Vec<(Dimension, Cell)>,
    /// Behind the group with these values.
    pub after: Option<Vec<Cell>>,
    pub limit: u32,
}

/// One group with its sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouped {
    pub cells: Vec<Cell>,
    pub sums: Sums,
}

impl Query {
    fn concerns(&self, dimension: Dimension) -> bool {
        self.by.contains(&dimension) || self.only.iter().any(|(of, _)| *of == dimension)
    }

    /// The coarsest tables that can say it: most questions begin or end within a day, and a day has many hours.
    fn parts(&self) -> Vec<Rows> {
        let Span { from, to } = self.span;
        let rows = |table, when, from, to| Rows { table, when, from, to };
        if self.concerns(Dimension::Run) {
            return vec![rows("ledger_runs", "hour", from, to)];
        }
        match self.span.days().filter(|_| !self.concerns(Dimension::Hour)) {
            None => vec![rows("ledger_hours", "hour", from, to)],
            Some((first, end)) => {
                let (morning, evening) = ((from, first * HOURS_A_DAY), (end * HOURS_A_DAY, to));
                let edges = [morning, evening].into_iter().filter(|(from, to)| from < to);
                let edges = edges.map(|(from, to)| rows("ledger_hours", "hour", from, to));
                std::iter::once(rows("ledger_days", "day", first, end)).chain(edges).collect()
            }
        }
    }
}

/// Some rows of one table, by what it calls its time.
struct Rows {
    table: &'static str,
    when: &'static str,
    from: i64,
    to: i64,
}

impl Rows {
    fn expression(&self, dimension: Dimension) -> &'static str {
        match (dimension, self.when) {
            (Dimension::Day, "hour") => "hour / 24",
            (dimension, _) => dimension.column(),
        }
    }
}

/// Behind what was asked so far comes one more condition.
macro_rules! equals {
    ($query:ident, $cell:expr) => {
        match $cell {
            Cell::Id(id) => $query.push_bind(*id),
            Cell::Text(text) => $query.push_bind(text.clone()),
            Cell::Number(number) => $query.push_bind(*number),
        }
    };
}

impl Ledger {
    /// Groups in the order of their values.
    pub async fn sums(&self, query: &Query) -> Result<Vec<Grouped>, Away> {
        let db = self.db().await?;
        answered(sums(db, query)).await
    }

    /// The newest moment of which the ledger knows.
    pub async fn newest(&self) -> Result<Option<Timestamp>, Away> {
        // Ids sort by time.
        const NEWEST: &str = "SELECT at FROM ledger_exchanges ORDER BY day DESC, id DESC LIMIT 1";
        let db = self.db().await?;
        let newest: Option<i64> =
            answered(async { on!(db, |pool| sqlx::query_scalar(NEWEST).fetch_optional(pool).await) }).await?;
        Ok(newest.map(Timestamp))
    }
}

async fn sums(db: &Db, query: &Query) -> Result<Vec<Grouped>, sqlx::Error> {
    let keys: Vec<&str> = query.by.iter().map(|dimension| dimension.column()).collect();
    let sums = Sums::NAMES.map(|name| format!("CAST(COALESCE(SUM({name}), 0) AS BIGINT)")).join(", ");
    let selected = keys.iter().map(|key| format!("{key}, ")).collect::<String>();
    on!(db, |pool| {
        let mut turn = pool.begin().await?;
        if matches!(db, Db::Postgres(_)) {
            for statement in LOOKS_AT_MUCH {
                sqlx::query(statement).execute(&mut *turn).await?;
            }
        }
        let mut asked = QueryBuilder::new(format!("SELECT {selected}{sums} FROM ("));
        for (place, rows) in query.parts().iter().enumerate() {
            asked.push(if place > 0 { " UNION ALL SELECT " } else { "SELECT " });
            for dimension in &query.by {
                asked.push(format_args!("{} AS {}, ", rows.expression(*dimension), dimension.column()));
            }
            asked.push(format_args!("{} FROM {} WHERE {} >= ", Sums::NAMES.join(", "), rows.table, rows.when));
            asked.push_bind(number(rows.from)).push(format_args!(" AND {} < ", rows.when)).push_bind(number(rows.to));
            if let Some((column, value)) = query.scope.column() {
                asked.push(format_args!(" AND {column} = ")).push_bind(value);
            }
            for (dimension, cell) in &query.only {
                asked.push(format_args!(" AND {} = ", rows.expression(*dimension)));
                equals!(asked, cell);
            }
        }
        asked.push(") AS parts");
        if let Some(after) = &query.after {
            asked.push(format_args!(" WHERE ({}) > (", keys.join(", ")));
            for (place, cell) in after.iter().enumerate() {
                asked.push(if place > 0 { ", " } else { "" });
                equals!(asked, cell);
            }
            asked.push(")");
        }
        if !keys.is_empty() {
            asked.push(format_args!(" GROUP BY {0} ORDER BY {0} LIMIT ", keys.join(", ")));
            asked.push_bind(i64::from(query.limit));
        }
        let rows = asked.build().persistent(false).fetch_all(&mut *turn).await?;
        let mut groups = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut cells = Vec::with_capacity(query.by.len());
            for (at, dimension) in query.by.iter().enumerate() {
                cells.push(match dimension {
                    one if one.is_id() => Cell::Id(row.try_get(at)?),
                    one if one.is_time() => Cell::Number(row.try_get(at)?),
                    _ => Cell::Text(row.try_get(at)?),
                });
            }
            let mut values = [0; Sums::NAMES.len()];
            for (at, value) in values.iter_mut().enumerate() {
                *value = row.try_get(query.by.len() + at)?;
            }
            groups.push(Grouped { cells, sums: Sums::of_values(values) });
        }
        turn.commit().await?;
        Ok(groups)
    })
}

/// A connection of ours is set up for looking up few rows; these look at many.
const LOOKS_AT_MUCH: [&str; 4] = [
    "SET LOCAL statement_timeout = '30s'",
    "SET LOCAL enable_seqscan = on",
    "SET LOCAL enable_hashjoin = on",
    "SET LOCAL plan_cache_mode = force_custom_plan",
];
