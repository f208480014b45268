//! Writes a difference: three statements a kind, each over arrays of rows.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::{Json, Uuid};

use super::link::answered;
use crate::domain::entity::{Credential, Identity, Model, Org, Provider, Route, Token, User, Workspace};
use crate::store::difference::{Difference, Rows};
use crate::store::error::StoreError;
use crate::store::rows::Row;

/// Rows in one statement: an import's statements stay well below what one may take.
const BATCH: usize = 1_000;

pub(super) async fn write(connection: &mut PgConnection, difference: &Difference) -> Result<(), StoreError> {
    rows(connection, &difference.orgs).await?;
    rows(connection, &difference.workspaces).await?;
    rows(connection, &difference.users).await?;
    rows(connection, &difference.tokens).await?;
    rows(connection, &difference.providers).await?;
    rows(connection, &difference.models).await?;
    rows(connection, &difference.credentials).await?;
    rows(connection, &difference.routes).await?;
    rows(connection, &difference.identities).await
}

/// What goes first, so that what comes may take its place.
async fn rows<T: Table>(connection: &mut PgConnection, rows: &Rows<T>) -> Result<(), StoreError> {
    for batch in rows.removed.chunks(BATCH) {
        let ids: Vec<Uuid> = batch.iter().map(Row::uuid).collect();
        answered(sqlx::query(T::DELETE).bind(ids).execute(&mut *connection)).await?;
    }
    let changed: Vec<&T> = rows.changed.iter().map(|changed| &changed.new).collect();
    for batch in changed.chunks(BATCH) {
        entities(connection, T::UPDATE, batch).await?;
    }
    let added: Vec<&T> = rows.added.iter().collect();
    for batch in added.chunks(BATCH) {
        entities(connection, T::INSERT, batch).await?;
    }
    Ok(())
}

async fn entities<T: Table>(
    connection: &mut PgConnection,
    statement: &'static str,
    batch: &[&T],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = batch.iter().map(|row| row.uuid()).collect();
    let entities: Vec<Json<&T>> = batch.iter().map(|row| Json(*row)).collect();
    let written = answered(sqlx::query(statement).bind(ids).bind(entities).execute(connection)).await?;
    // Under the lock nothing moves between reading and writing, so a missing row is a fault of somebody else's.
    match written.rows_affected() == batch.len() as u64 {
        true => Ok(()),
        false => Err(StoreError::Database(format!("a {} that was read is gone", T::KIND))),
    }
}

/// Where rows of a kind are kept, and the statements on it.
trait Table: Row + Serialize {
    const INSERT: &'static str;
    const UPDATE: &'static str;
    const DELETE: &'static str;
}

macro_rules! tables {
    ($($kind:ident in $table:literal),*) => {$(
        impl Table for $kind {
            const INSERT: &'static str =
                concat!("insert into ", $table, " (id, entity) select * from unnest($1::uuid[], $2::jsonb[])");
            const UPDATE: &'static str = concat!(
                "update ", $table, " set entity = new.entity ",
                "from unnest($1::uuid[], $2::jsonb[]) as new (id, entity) where ", $table, ".id = new.id"
            );
            const DELETE: &'static str = concat!("delete from ", $table, " where id = any ($1::uuid[])");
        }
    )*};
}

tables! {
    Org in "orgs",
    Workspace in "workspaces",
    User in "users",
    Token in "tokens",
    Provider in "providers",
    Model in "models",
    Credential in "credentials",
    Route in "routes",
    Identity in "identities"
}
