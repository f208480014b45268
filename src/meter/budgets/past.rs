//! What was spent before this process saw a holder of limits: the ledger knows, once the journal is through to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::meter::journal::Journal;
use crate::store::ledger::{Away, Cell, Dimension, Ledger, Query, Scope, Span};

/// How long a call waits for exchanges to arrive in the ledger that were written before.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// A month has no more days.
const DAYS_MAX: u32 = 31;

pub struct Past {
    pub ledger: Ledger,
    pub journal: Option<Arc<Journal>>,
}

/// Nano-dollars of the day and the month of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) day: i64,
    pub(super) month: i64,
}

impl Past {
    pub(super) async fn spent(&self, scope: Scope, only: &[(Dimension, Cell)], at: Timestamp) -> Result<Spent, Away> {
        self.level().await?;
        let span = Span::around(Timestamp::of_month(at.month()), Timestamp::of_month(at.month() + 1));
        let query = Query { scope, span, by: vec![Dimension::Day], only: only.to_vec(), after: None, limit: DAYS_MAX };
        let days = self.ledger.sums(&query).await?;
        let is_today = |cell: &Cell| cell.moment(Dimension::Day) == Some(Timestamp::of_day(at.day()));
        let day = days.iter().filter(|group| group.cells.first().is_some_and(is_today));
        Ok(Spent { day: day.map(|group| group.sums.cost).sum(), month: days.iter().map(|group| group.sums.cost).sum() })
    }

    /// Nano-dollars and calls of a run with all that is below it.
    pub(super) async fn spent_of_run(&self, workspace: Id<Workspace>, run: &str) -> Result<(i64, i64), Away> {
        self.level().await?;
        let Some(found) = self.ledger.run(workspace, run).await? else { return Ok((0, 0)) };
        let all = || found.below.iter().chain([&found.own]).map(|run| &run.sums);
        // A call that was refused has no attempt, and one that was served may have several.
        let calls = all().map(|sums| sums.exchanges.min(sums.attempts)).sum();
        Ok((all().map(|sums| sums.cost).sum(), calls))
    }

    /// The runs above one, as far as earlier processes heard: what this one hears it knows without asking.
    pub(super) async fn above(&self, workspace: Id<Workspace>, run: &str) -> Result<Vec<String>, Away> {
        self.reaches(|_| 0).await?;
        self.ledger.above(workspace, run).await
    }

    /// What was written until now is in the ledger.
    async fn level(&self) -> Result<(), Away> {
        self.reaches(Journal::goal).await
    }

    /// So many of what this process wrote are in the ledger, and all that earlier ones did.
    async fn reaches(&self, goal: impl FnOnce(&Journal) -> u64) -> Result<(), Away> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let (goal, until) = (goal(journal), Instant::now() + PATIENCE);
        while !journal.has_handed_over(goal) {
            if Instant::now() >= until {
                return Err(Away::behind());
            }
            sleep(LOOKS_EVERY).await;
        }
        Ok(())
    }
}
