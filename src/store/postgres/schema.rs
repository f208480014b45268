//! The tables, as a list of migrations that only grows: each adds, none takes away, so that an older version of Keyway
//! runs on a newer schema while replicas are exchanged one by one.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, Executor, PgConnection, SqlSafeStr};

use super::link;
use crate::domain::secret::Secret;
use crate::store::error::StoreError;
use crate::store::{ledger, state};

/// Number, name, statements. One that was released is never changed.
const MIGRATIONS: [(i64, &str, &str); 9] = [
    (1, "directory", include_str!("migrations/0001_directory.sql")),
    (2, "state", state::TABLES),
    (3, "ledger", ledger::POSTGRES_TABLES),
    (4, "leases", ledger::LEASE_TABLES),
    (5, "transcripts", state::TRANSCRIPTS),
    (6, "leases kept", ledger::LEASES_KEPT),
    (7, "warnings", ledger::WARNING_TABLES),
    (8, "ledger indexes", ledger::INDEXES),
    (9, "warnings dated", ledger::WARNINGS_DATED),
];

/// Where the database keeps which ones it has had.
const APPLIED: &str = "keyway.migrations";

/// Two processes that make the schema at the same moment would stumble over each other, so they take turns: a lock, by a number
/// drawn once for Keyway, that lives as long as this one transaction.
const MAKE: &str =
    "select pg_advisory_xact_lock(7738725088349454338); create schema if not exists keyway; set search_path = keyway";

/// How a database stands to this version of Keyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// It has had none at all.
    pub is_empty: bool,
    /// Migrations that the database has not had yet.
    pub pending: usize,
    /// Migrations that only a newer version of Keyway knows.
    pub newer: usize,
}

/// What a database would need; changes nothing.
pub(in crate::store) async fn look(url: &Secret) -> Result<Schema, StoreError> {
    let mut connection = link::single(url).await?;
    let schema = schema(&mut connection).await?;
    connection.close().await.map_err(StoreError::from)?;
    Ok(schema)
}

/// Brings a database up to date, one process at a time; gives what was pending.
pub(in crate::store) async fn migrate(url: &Secret) -> Result<Schema, StoreError> {
    let mut connection = link::single(url).await?;
    let schema = schema(&mut connection).await?;
    // Asked first: a role that may not create anything can run on a schema that is complete.
    if schema.pending > 0 {
        link::answered(connection.execute(MAKE)).await?;
        // The lock goes with the connection, whatever happens.
        migrator().run_direct(None, &mut connection, false).await.map_err(refused)?;
    }
    connection.close().await.map_err(StoreError::from)?;
    Ok(schema)
}

async fn schema(connection: &mut PgConnection) -> Result<Schema, StoreError> {
    let there = sqlx::query_scalar::<_, bool>("select to_regclass($1) is not null").bind(APPLIED);
    if !link::answered(there.fetch_one(&mut *connection)).await? {
        return Ok(Schema { is_empty: true, pending: MIGRATIONS.len(), newer: 0 });
    }
    let applied = sqlx::query_scalar::<_, i64>("select version from keyway.migrations where success");
    let applied = link::answered(applied.fetch_all(connection)).await?;
    let known = |version: &i64| MIGRATIONS.iter().any(|(known, ..)| known == version);
    Ok(Schema {
        is_empty: applied.is_empty(),
        pending: MIGRATIONS.iter().filter(|(version, ..)| !applied.contains(version)).count(),
        newer: applied.iter().filter(|version| !known(version)).count(),
    })
}

fn migrator() -> Migrator {
    let migration = |(version, name, statements): (i64, &'static str, &'static str)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, statements.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.map(migration).into());
    migrator.set_ignore_missing(true).dangerous_set_table_name(APPLIED);
    migrator
}

fn refused(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Schema(other.to_string()),
    }
}
