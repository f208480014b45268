//! The way to the database: a bounded pool, deadlines on everything, and errors that say what to do.
//!
//! A database that is dead, hangs or restarts costs each caller at most a deadline, and most of them nothing: after a
//! failed try nobody tries again for a moment.

use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection, Postgres};
use tokio::time::Instant;

use crate::domain::secret::Secret;
use crate::store::error::StoreError;
use crate::store::seal::master;

/// Connections of one process. Changes take turns anyway, and a lookup takes a millisecond; many replicas share the
/// database's own limit, which is 100 unless somebody raised it.
const CONNECTIONS_MAX: u32 = 8;
/// How long a caller waits for a connection: a healthy database answers within milliseconds.
const ACQUIRE: Duration = Duration::from_secs(2);
/// How long one statement's answer may take: a little longer than the database lets a statement run.
const ANSWER: Duration = Duration::from_secs(6);
/// After a failed try, and as much again at most, drawn at random so that replicas don't come back all at once.
const PAUSE: Duration = Duration::from_millis(250);

/// Where changes are told.
pub(super) const CHANNEL: &str = "keyway";

/// What each connection begins with. Everything is in a schema of its own, so that a database can be shared. No statement
/// of ours takes seconds; one that does is stopped by the database too, or it would go on for nobody.
///
/// All of ours look up few rows by index. Planned once, for arguments that nobody has seen yet, the database would expect
/// thousands and choose to read whole tables, and to compile itself a program for it.
const BEGIN: &str = "set search_path = keyway; set statement_timeout = '5s'; set lock_timeout = '3s'; \
                     set idle_in_transaction_session_timeout = '30s'; set plan_cache_mode = force_generic_plan; \
                     set jit = off; set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off";

pub(in crate::store) struct Link {
    pool: PgPool,
    /// Until when the database is taken to be away without asking it; none while it answers.
    away_until: Mutex<Option<Instant>>,
}

impl Link {
    /// Connects to nothing yet.
    pub(in crate::store) fn new(url: &Secret) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(BEGIN).await.map(drop) }))
            .connect_lazy_with(options(url)?);
        Ok(Self { pool, away_until: Mutex::default() })
    }

    /// For the state, which has deadlines of its own. Its keeper takes one connection at a time.
    pub(super) fn pool(&self) -> PgPool {
        self.pool.clone()
    }

    /// A connection for a few statements; given back only if all of them were answered.
    pub(in crate::store) async fn lease(&self) -> Result<Lease, StoreError> {
        if !self.may_try() {
            return Err(StoreError::away("it did not answer a moment ago"));
        }
        match self.pool.acquire().await {
            Ok(connection) => {
                self.set_away_until(None);
                Ok(Lease(Some(connection)))
            }
            Err(error) => {
                self.set_away_until(Some(Instant::now() + PAUSE + jitter()));
                Err(error.into())
            }
        }
    }

    /// A connection that hears of each change when it is committed.
    pub(in crate::store) async fn bell(&self) -> Result<PgListener, StoreError> {
        self.lease().await?.give_back();
        let mut listener = within(ACQUIRE, PgListener::connect_with(&self.pool)).await?;
        within(ACQUIRE, listener.listen(CHANNEL)).await?;
        Ok(listener)
    }

    /// While the database is away one caller at a time tries, and all others hear so at once.
    fn may_try(&self) -> bool {
        let mut away_until = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *away_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // As long as this try may take.
                *away_until = Some(now + ACQUIRE + PAUSE);
                true
            }
        }
    }

    fn set_away_until(&self, until: Option<Instant>) {
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// A connection outside of any pool and without time-outs, for migrations.
pub(super) async fn single(url: &Secret) -> Result<PgConnection, StoreError> {
    within(ACQUIRE, options(url)?.connect()).await
}

fn options(url: &Secret) -> Result<PgConnectOptions, StoreError> {
    let text = std::str::from_utf8(url.expose()).map_err(|_| StoreError::DatabaseUrl("is no text".into()))?;
    let options = PgConnectOptions::from_str(text).map_err(|error| StoreError::DatabaseUrl(error.to_string()))?;
    Ok(options.application_name("keyway").disable_statement_logging())
}

fn jitter() -> Duration {
    let mut random = [0; 1];
    // Without randomness they come back together, which is only slower.
    let _ = master::fill(&mut random);
    PAUSE * u32::from(random[0]) / u32::from(u8::MAX)
}

/// A connection that is closed unless it is given back: one that was left in the middle of something, by a deadline or by
/// a caller who went away, might not answer for long.
pub(in crate::store) struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    pub(in crate::store) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("a lease holds its connection until it is given back, which consumes it")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("a lease holds its connection until it is given back, which consumes it")
    }
}

/// One statement's answer.
pub(in crate::store) async fn answered<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    within(ANSWER, statement).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(StoreError::away(format!("it did not answer within {} s", limit.as_secs()))),
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Tls};
        match error {
            Database(refused) => refusal(&*refused),
            PoolTimedOut => Self::away("no connection could be made in time"),
            Io(error) => Self::away(format!("the connection failed: {error}")),
            Tls(error) => Self::away(format!("TLS failed: {error}")),
            PoolClosed => Self::Stopped,
            other => Self::Database(other.to_string()),
        }
    }
}

/// By SQLSTATE; a message of the database's names tables and users, never a value of ours.
fn refusal(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    match &*code {
        "23505" => StoreError::Taken { kind: kind(error.table().unwrap_or_default()) },
        "55P03" | "40001" | "40P01" => StoreError::Busy,
        "57014" => StoreError::away("it took too long over a statement"),
        "25006" => StoreError::away("it takes no writes: it is a standby, or set to read only"),
        // Connections, resources, an operator's shutdown, the system below: what may be well again in a moment.
        _ if ["08", "53", "57", "58"].contains(&code.get(..2).unwrap_or_default()) => {
            StoreError::away(error.message().to_string())
        }
        _ => StoreError::Database(format!("{} ({code})", error.message())),
    }
}

/// What a table's rows are called.
fn kind(table: &str) -> &'static str {
    match table {
        "orgs" => "org",
        "workspaces" => "workspace",
        "users" => "user",
        "tokens" => "token",
        "providers" => "provider",
        "models" => "model",
        "credentials" => "credential",
        "routes" => "route",
        _ => "row",
    }
}
