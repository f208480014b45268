//! Where the state is kept, and how its database is opened.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::oneshot;

use super::sql::{Db, TABLES, TRANSCRIPTS};
use crate::domain::time::Timestamp;

/// Where the state lives.
#[derive(Clone, Debug)]
pub enum Keeping {
    /// Nowhere: what was noted is known as long as the process, and nothing can be put on record.
    Nowhere,
    /// In a database that goes with the process.
    Memory,
    /// In this file, with two more of SQLite's own beside it.
    File(PathBuf),
    /// With the directory. Its tables are among that database's migrations.
    Postgres(PgPool),
}

/// The state's: one connection, for the keeper asks one thing at a time. Of pages, in KiB, it keeps the tables' upper
/// levels; more would be memory for nothing while idle.
pub(super) const STATE: Tables = Tables {
    name: "state",
    statements: &[TABLES, TRANSCRIPTS],
    connections: 1,
    cache: "-256",
    log: "1048576",
    page: 4_096,
};

/// Prepared statements kept. The state has about ten, the ledger's batches twenty.
const STATEMENTS: usize = 24;

/// Another process that writes, such as a backup, is waited for so long.
const BUSY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum Unopened {
    #[error("there is none")]
    Nowhere,
    #[error("the database {} can't be made: {source}", path.display())]
    Unmakeable { path: PathBuf, source: io::Error },
    #[error("the database {} can't be opened: {source}", path.display())]
    File { path: PathBuf, source: sqlx::Error },
    #[error("the database {} can't be brought up to date: {source}", path.display())]
    Tables { path: PathBuf, source: sqlx::migrate::MigrateError },
}

impl Keeping {
    /// Do other processes write there too?
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(in crate::store) async fn open(&self, tables: &Tables) -> Result<Db, Unopened> {
        match self {
            Self::Nowhere => Err(Unopened::Nowhere),
            Self::Memory => sqlite(Path::new(":memory:"), SqliteConnectOptions::new().in_memory(true), tables).await,
            Self::File(path) => file(path, tables).await,
            Self::Postgres(pool) => Ok(Db::Postgres(pool.clone())),
        }
    }
}

/// What a file of SQLite's is made with.
pub(in crate::store) struct Tables {
    pub(in crate::store) name: &'static str,
    /// Those that came later are further down: what was released is never changed.
    pub(in crate::store) statements: &'static [&'static str],
    /// A second connection reads while the first one writes. A database in memory has one only.
    pub(in crate::store) connections: u32,
    pub(in crate::store) cache: &'static str,
    /// To so many bytes the log in front of the database is cut back once it was written over.
    pub(in crate::store) log: &'static str,
    /// Bytes of a page.
    pub(in crate::store) page: u32,
}

/// What it holds is worth less than a start: one that can't be read is put aside, and a new one begins.
async fn file(path: &Path, tables: &Tables) -> Result<Db, Unopened> {
    make_private(path).await?;
    let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal);
    match sqlite(path, options.clone(), tables).await {
        Err(fault) if is_damage(&fault) => {
            let aside = put_aside(path).map_err(|source| Unopened::Unmakeable { path: path.into(), source })?;
            tracing::warn!("{fault}; it was put aside as {} and a new one begins", aside.display());
            make_private(path).await?;
            sqlite(path, options, tables).await
        }
        opened => opened,
    }
}

/// SQLite gives its other two files the mode of this one. On a thread of its own, which nobody waits for at the end: a
/// disk may hang.
async fn make_private(path: &Path) -> Result<(), Unopened> {
    let (path, (done, made)) = (path.to_path_buf(), oneshot::channel());
    let of = path.clone();
    std::thread::spawn(move || {
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(of);
        // Whoever waits may have given up.
        let _ = done.send(opened.map(drop));
    });
    let made = made.await.unwrap_or_else(|_| Err(io::Error::other("the thread that makes it is gone")));
    made.map_err(|source| Unopened::Unmakeable { path, source })
}

async fn sqlite(path: &Path, options: SqliteConnectOptions, tables: &Tables) -> Result<Db, Unopened> {
    let options = options
        // A power cut may cost the last notes; a file that is torn it can't cost.
        .synchronous(SqliteSynchronous::Normal)
        .page_size(tables.page)
        .pragma("cache_size", tables.cache)
        // What one transaction changes is written once, at its end, however much it is.
        .pragma("cache_spill", "off")
        .pragma("journal_size_limit", tables.log)
        .pragma("temp_store", "memory")
        .statement_cache_capacity(STATEMENTS)
        .busy_timeout(BUSY)
        .thread_name({
            let name = tables.name;
            move |_| name.into()
        });
    let connections = if path == Path::new(":memory:") { 1 } else { tables.connections };
    let pool = SqlitePoolOptions::new().max_connections(connections).idle_timeout(None).max_lifetime(None);
    let opened: Result<SqlitePool, _> = pool.connect_with(options).await;
    let pool = opened.map_err(|source| Unopened::File { path: path.into(), source })?;
    let migrations = tables.statements.iter().zip(1..).map(|(statements, number)| {
        Migration::new(number, tables.name.into(), MigrationType::Simple, statements.into_sql_str(), false)
    });
    let migrated = Migrator::with_migrations(migrations.collect()).run(&pool).await;
    migrated.map_err(|source| Unopened::Tables { path: path.into(), source })?;
    Ok(Db::Sqlite(pool))
}

/// SQLite's words for a file that is none of its own (26) or is torn (11).
fn is_damage(fault: &Unopened) -> bool {
    let source = match fault {
        Unopened::File { source, .. } => source,
        Unopened::Tables { source: sqlx::migrate::MigrateError::Execute(source), .. } => source,
        Unopened::Tables { source: sqlx::migrate::MigrateError::ExecuteMigration(source, _), .. } => source,
        Unopened::Tables { .. } | Unopened::Unmakeable { .. } | Unopened::Nowhere => return false,
    };
    let code = source.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "11" | "26"))
}

fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let named = |ending: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = named(&format!(".damaged-{}", Timestamp::now().0));
    std::fs::rename(path, &aside)?;
    for beside in ["-wal", "-shm"].map(named) {
        match std::fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}
