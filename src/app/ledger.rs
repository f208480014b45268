//! What exchanges leave behind: journal and ledger, opened at the start, drained, swept and closed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::Trouble;
use super::running::Server;
use super::signals::ticks;
use crate::config::Config;
use crate::domain::time::{DAY_MS, Timestamp};
use crate::meter::Meter;
use crate::meter::budgets::Past;
use crate::meter::journal::{Journal, Settings};
use crate::store::Store;
use crate::store::ledger::Ledger;

const FILE: &str = "ledger.sqlite";
const JOURNAL: &str = "journal";

/// How often other replicas hear what was spent of leases.
const REPORTED_EVERY: Duration = Duration::from_secs(1);

/// Budgets of days and months are looked at no more once they are over; clocks may lie apart.
const PERIODS_KEPT: i64 = 2;

/// How often days that are too old are looked for.
const SWEPT_EVERY: Duration = Duration::from_secs(3_600);

/// How long the end waits for the ledger: what it has not taken by then is taken at the next start.
const LAST: Duration = Duration::from_secs(5);

/// The ledger of a configuration, beside the directory.
pub fn open(config: &Config, store: &Store) -> Ledger {
    Ledger::new(store.ledger(config.data.dir.join(FILE)))
}

/// Journal and ledger of a server.
pub(super) struct Books {
    pub(super) ledger: Ledger,
    /// None where nothing can be kept.
    pub(super) journal: Option<Arc<Journal>>,
    draining: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Books {
    /// Before anything can be settled.
    pub(super) async fn open(config: &Config, store: &Store, meter: &Arc<Meter>) -> Result<Self, Trouble> {
        let ledger = open(config, store);
        if ledger.is_nowhere() {
            return Ok(Self { ledger, journal: None, draining: std::sync::Mutex::default() });
        }
        let settings = settings(config, config.data.dir.join(JOURNAL));
        let of = meter.clone();
        let started = spawn_blocking(move || Journal::start(settings, &of)).await;
        let journal = started.map_err(|error| Trouble::Runtime(std::io::Error::other(error)))??;
        meter.budgets.learn_from(Past { ledger: ledger.clone(), journal: Some(journal.clone()) });
        let draining = tokio::spawn(journal.clone().drain(ledger.clone()));
        Ok(Self { ledger, journal: Some(journal), draining: Some(draining).into() })
    }

    /// After the last exchange was settled.
    pub(super) async fn close(&self, meter: &Meter) {
        if let Some(journal) = self.journal.clone() {
            let _ = spawn_blocking(move || journal.stop()).await;
        }
        let draining = self.draining.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(mut draining) = draining
            && timeout(LAST, &mut draining).await.is_err()
        {
            draining.abort();
            tracing::warn!("the ledger did not take all exchanges; they wait in the journal for the next start");
        }
        if let Err(error) = meter.end_leases().await {
            tracing::warn!("{error}; what is left of this replica's leases is there for the others once they are over");
        }
        self.ledger.close().await;
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        self.journal.as_ref().map(|journal| journal.troubles()).unwrap_or_default()
    }
}

fn settings(config: &Config, folder: PathBuf) -> Settings {
    let journal = &config.journal;
    Settings { folder, sync: journal.sync, wait: journal.wait, limit_bytes: journal.limit as u64 }
}

/// Never ends by itself: forgets what is too old.
pub(super) async fn sweep(server: Arc<Server>) {
    let mut ticks = ticks(SWEPT_EVERY);
    loop {
        ticks.tick().await;
        if server.books.ledger.is_nowhere() {
            continue;
        }
        let kept = i64::try_from(server.config.load().ledger.retention.as_millis()).unwrap_or(i64::MAX);
        let oldest = Timestamp::now().0.saturating_sub(kept).div_euclid(DAY_MS);
        if let Err(error) = server.books.ledger.forget(oldest).await {
            tracing::warn!("{error}; days that are too old stay until the next hour");
        }
        let now = Timestamp::now();
        let (day, month) = (now.day() - PERIODS_KEPT, now.month() - PERIODS_KEPT);
        if let Err(error) = server.books.ledger.forget_warnings(day, month, oldest).await {
            tracing::debug!("{error}; what was told of budgets that are over stays until the next hour");
        }
        if server.books.ledger.is_shared()
            && let Err(error) = server.books.ledger.forget_budgets(day, month).await
        {
            tracing::debug!("{error}; budgets that are over stay until the next hour");
        }
    }
}

/// Never ends by itself: tells other replicas what was spent of leases.
pub(super) async fn report(server: Arc<Server>) {
    let mut ticks = ticks(REPORTED_EVERY);
    loop {
        ticks.tick().await;
        // That the database is away is said elsewhere; leases go on as far as they reach.
        if let Err(error) = server.gateway.meter.report_leases().await {
            tracing::debug!("{error}; what was spent of leases is told a second later");
        }
    }
}
