//! The ledger: every exchange once, and what they sum up to, in SQLite where Keyway is embedded, in Postgres otherwise.
//!
//! Takes entries in batches, each of which is kept as a whole or not at all; one that comes twice counts once. Gives sums
//! by any of their dimensions, single exchanges, runs with all that is below them. Sums are written in the same transaction
//! as what they sum, so that all views agree.
//!
//! Every question names whose exchanges it is about. It knows no prices and no clock but for what is too old.

mod ask;
mod find;
mod keep;
mod lease;
mod warn;

pub use self::ask::{Cell, Dimension, Grouped, Query, Scope, Span};
pub use self::find::{Found, Listing, RunSums};
pub use self::keep::AT_ONCE;
pub use self::lease::{Budget, Leased, Report, Wanted};

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::state::{Db, Keeping, Tables, Unopened};

/// Every table of the ledger as SQLite takes them: an exchange lies in the tree of its key, so that it is written once. And as
/// Postgres does: there a day's exchanges are a table of their own, which is dropped as a whole when it is too old, and where
/// there are many orgs, each finds its own.
const SQLITE_TABLES: &str = concat!(include_str!("exchanges.sql"), " WITHOUT ROWID;\n", include_str!("sums.sql"));
pub const POSTGRES_TABLES: &str = concat!(
    include_str!("exchanges.sql"),
    " PARTITION BY RANGE (day);\n",
    "CREATE TABLE ledger_exchanges_rest PARTITION OF ledger_exchanges DEFAULT;\n",
    "CREATE INDEX ledger_exchanges_of_org ON ledger_exchanges (org, day, id);\n",
    include_str!("sums.sql")
);

/// How replicas share budgets, in Postgres.
pub const LEASE_TABLES: &str = include_str!("leases.sql");
pub const LEASES_KEPT: &str = include_str!("leases_kept.sql");

/// Who was told what of budgets, in either.
pub const WARNING_TABLES: &str = include_str!("warnings.sql");
pub const WARNINGS_DATED: &str = include_str!("warnings_dated.sql");

/// What finds sums and runs, in either.
pub const INDEXES: &str = include_str!("indexes.sql");

/// One connection writes while another one reads. Of pages it keeps more than the state does, for sums look
/// at many; and they are larger, so that an exchange fits into one.
const TABLES: Tables = Tables {
    name: "ledger",
    statements: &[SQLITE_TABLES, WARNING_TABLES, INDEXES, WARNINGS_DATED],
    connections: 2,
    cache: "-2048",
    // Written over about once a second under load: the same blocks of the disk again.
    log: "16777216",
    page: 8_192,
};

/// How long a question may take. Who asks waits in front of a screen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ledger did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the ledger can't be asked: {0}")]
pub struct Away(String);

impl Away {
    /// It has not taken yet what is asked about.
    pub fn behind() -> Self {
        Self("exchanges are still on their way to it".into())
    }
}

impl From<sqlx::Error> for Away {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Unopened> for Away {
    fn from(fault: Unopened) -> Self {
        Self(fault.to_string())
    }
}

/// Clones share it. Opened when it is first asked: a database that is away at the start is no hindrance.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    keeping: Keeping,
    db: OnceCell<Db>,
    /// Days for which there is a table of their own already.
    days: keep::Days,
}

impl Ledger {
    pub fn new(keeping: Keeping) -> Self {
        Self { shared: Arc::new(Shared { keeping, db: OnceCell::new(), days: keep::Days::default() }) }
    }

    /// Nobody keeps anything.
    pub fn is_nowhere(&self) -> bool {
        matches!(self.shared.keeping, Keeping::Nowhere)
    }

    /// Whether there is anything to look at. Whoever only looks makes no file.
    pub fn is_there(&self) -> bool {
        match &self.shared.keeping {
            Keeping::File(path) => path.exists(),
            Keeping::Nowhere => false,
            Keeping::Memory | Keeping::Postgres(_) => true,
        }
    }

    async fn db(&self) -> Result<&Db, Away> {
        Ok(self.shared.db.get_or_try_init(|| self.shared.keeping.open(&TABLES)).await?)
    }

    /// Closes what it opened.
    pub async fn close(&self) {
        if let Some(db) = self.shared.db.get() {
            db.close().await;
        }
    }
}

/// An answer in time.
async fn answered<T>(asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Away> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Away("it does not answer".into())),
    }
}

#[cfg(test)]
mod tests;
