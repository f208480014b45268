//! The tables of the state, in SQLite or in Postgres. Each statement is written once: both read it the same.

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use super::board::{CredentialState, TROUBLED_MAX};
use super::notes::{Notes, Used};
use super::object::{DELETED_KEPT_DAYS, Object, ObjectKind, Order, Page, RESPONSES_KEPT_DAYS};
use crate::domain::entity::{SavedCredential, Workspace};
use crate::domain::id::Id;
use crate::domain::time::{DAY_MS, Timestamp};

/// Every table of the state, in words that both databases take.
pub const TABLES: &str = include_str!("tables.sql");

/// And those that came later.
pub const TRANSCRIPTS: &str = include_str!("transcripts.sql");

/// How long the last use of a token or credential, and a credential's trouble, are kept without anything new.
const NOTES_KEPT_DAYS: i64 = 400;

/// Rows of one statement. SQLite takes 32,766 parameters; more rows would save nothing.
const ROWS: usize = 500;

/// One of the two databases.
#[derive(Clone)]
pub(in crate::store) enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A row of an object, its description still sealed.
pub(super) struct ObjectRow {
    pub(super) object: Object,
    pub(super) sealed: Option<Vec<u8>>,
}

/// The same statements on either.
macro_rules! on {
    ($db:expr, |$pool:ident| $body:expr) => {
        match $db {
            Db::Sqlite($pool) => $body,
            Db::Postgres($pool) => $body,
        }
    };
}

pub(in crate::store) use on;

/// A row of `state_objects`; `None` for a kind that a newer version wrote.
macro_rules! object {
    ($row:expr) => {{
        let row = $row;
        let uuid = |at| row.try_get::<Uuid, usize>(at);
        let credential: Option<Uuid> = row.try_get(3)?;
        let object = |kind| -> Result<Object> {
            Ok(Object {
                workspace: Id::from_uuid(uuid(0)?),
                id: row.try_get(1)?,
                provider: Id::from_uuid(uuid(2)?),
                credential: credential.map(Id::from_uuid),
                kind,
                purpose: row.try_get(5)?,
                shown: None,
                created_at: Timestamp(row.try_get(7)?),
            })
        };
        let sealed: Option<Vec<u8>> = row.try_get(6)?;
        match ObjectKind::of_number(row.try_get(4)?) {
            Some(kind) => Some(ObjectRow { object: object(kind)?, sealed }),
            None => None,
        }
    }};
}

type Result<T> = std::result::Result<T, sqlx::Error>;

impl Db {
    pub(super) async fn troubled(&self) -> Result<Vec<(SavedCredential, CredentialState)>> {
        const SQL: &str = "SELECT credential, saved_at, state, at FROM state_credentials ORDER BY at DESC LIMIT $1";
        let limit = TROUBLED_MAX as i64;
        on!(self, |pool| {
            let rows = sqlx::query(SQL).bind(limit).fetch_all(pool).await?;
            let trouble = |id, saved_at, state: String, at| {
                let credential = SavedCredential { id: Id::from_uuid(id), at: Timestamp(saved_at) };
                (credential, CredentialState::read(&state, Timestamp(at)))
            };
            let read =
                rows.iter().map(|row| Ok(trouble(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)));
            read.filter(|read| !matches!(read, Ok((_, CredentialState::Ok)))).collect()
        })
    }

    /// Writes what was noted, all of it or nothing.
    pub(super) async fn write(&self, notes: &Notes) -> Result<()> {
        const TROUBLE: &str = "INSERT INTO state_credentials (credential, saved_at, state, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (credential) DO UPDATE SET saved_at = excluded.saved_at, state = excluded.state, \
             at = excluded.at WHERE excluded.saved_at >= state_credentials.saved_at";
        const WELL: &str = "DELETE FROM state_credentials WHERE credential = $1 AND saved_at <= $2";
        const NEWER: &str = " ON CONFLICT (kind, id) DO UPDATE SET at = excluded.at WHERE excluded.at > state_uses.at";
        let uses: Vec<_> = notes.uses().collect();
        on!(self, |pool| {
            let mut turn = pool.begin().await?;
            for (credential, state) in notes.credentials() {
                let query = match state.at() {
                    Some(_) => sqlx::query(TROUBLE),
                    None => sqlx::query(WELL),
                };
                let query = query.bind(credential.id.uuid()).bind(credential.at.0);
                let query = match state.at() {
                    Some(at) => query.bind(state.name()).bind(at.0),
                    None => query,
                };
                query.execute(&mut *turn).await?;
            }
            for uses in uses.chunks(ROWS) {
                let mut query = QueryBuilder::new("INSERT INTO state_uses (kind, id, at) ");
                query.push_values(uses, |mut row, (used, at)| {
                    row.push_bind(used.kind()).push_bind(used.uuid()).push_bind(at.0);
                });
                query.push(NEWER).build().persistent(false).execute(&mut *turn).await?;
            }
            turn.commit().await
        })
    }

    pub(super) async fn last_uses(&self, of: &[Used]) -> Result<Vec<(Used, Timestamp)>> {
        const SQL: &str = "SELECT at FROM state_uses WHERE kind = $1 AND id = $2";
        let mut found = Vec::new();
        for used in of {
            let at: Option<i64> = on!(self, |pool| {
                sqlx::query_scalar(SQL).bind(used.kind()).bind(used.uuid()).fetch_optional(pool).await?
            });
            found.extend(at.map(|at| (*used, Timestamp(at))));
        }
        Ok(found)
    }

    /// Puts objects on record, each once in the list. What is there already keeps its moments.
    pub(super) async fn record(&self, rows: &[ObjectRow]) -> Result<()> {
        const INTO: &str = "INSERT INTO state_objects \
             (workspace, id, provider, credential, kind, purpose, shown, created_at) ";
        const AGAIN: &str = " ON CONFLICT (workspace, id, provider) DO UPDATE SET shown = excluded.shown, \
             purpose = coalesce(excluded.purpose, state_objects.purpose) WHERE excluded.shown IS NOT NULL";
        on!(self, |pool| {
            let mut turn = pool.begin().await?;
            for rows in rows.chunks(ROWS) {
                let mut query = QueryBuilder::new(INTO);
                query.push_values(rows, |mut row, ObjectRow { object, sealed }| {
                    row.push_bind(object.workspace.uuid())
                        .push_bind(&object.id)
                        .push_bind(object.provider.uuid())
                        .push_bind(object.credential.map(Id::uuid))
                        .push_bind(object.kind.number())
                        .push_bind(&object.purpose)
                        .push_bind(sealed)
                        .push_bind(object.created_at.0);
                });
                query.push(AGAIN).build().persistent(false).execute(&mut *turn).await?;
            }
            turn.commit().await
        })
    }

    /// Those of a workspace's living objects that have one of these ids.
    pub(super) async fn find(&self, workspace: Id<Workspace>, ids: &[String]) -> Result<Vec<ObjectRow>> {
        let mut found = Vec::new();
        for ids in ids.chunks(ROWS) {
            on!(self, |pool| {
                // Descriptions are for lists.
                let mut query = QueryBuilder::new(
                    "SELECT workspace, id, provider, credential, kind, purpose, CAST(NULL AS BYTEA), created_at \
                     FROM state_objects WHERE deleted_at IS NULL AND workspace = ",
                );
                query.push_bind(workspace.uuid()).push(" AND id IN (");
                let mut listed = query.separated(", ");
                for id in ids {
                    listed.push_bind(id);
                }
                query.push(") ORDER BY created_at DESC");
                for row in query.build().persistent(false).fetch_all(pool).await? {
                    found.extend(object!(row));
                }
            });
        }
        Ok(found)
    }

    pub(super) async fn page(&self, page: &Page) -> Result<Vec<ObjectRow>> {
        let after = match &page.after {
            None => None,
            Some(id) => match self.created_at(page, id).await? {
                Some(at) => Some((at, id)),
                // Not on record, so nothing is behind it.
                None => return Ok(Vec::new()),
            },
        };
        let (beyond, order) = match page.order {
            Order::OldestFirst => (">", "ASC"),
            Order::NewestFirst => ("<", "DESC"),
        };
        on!(self, |pool| {
            let mut query = QueryBuilder::new(
                "SELECT workspace, id, provider, credential, kind, purpose, shown, created_at FROM state_objects WHERE ",
            );
            query.push("workspace = ").push_bind(page.workspace.uuid());
            query.push(" AND kind = ").push_bind(page.kind.number());
            query.push(" AND provider = ").push_bind(page.provider.uuid()).push(" AND deleted_at IS NULL");
            if let Some(purpose) = &page.purpose {
                query.push(" AND purpose = ").push_bind(purpose);
            }
            if let Some((at, id)) = after {
                query
                    .push(format_args!(" AND (created_at, id) {beyond} ("))
                    .push_bind(at)
                    .push(", ")
                    .push_bind(id)
                    .push(")");
            }
            query
                .push(format_args!(" ORDER BY created_at {order}, id {order} LIMIT "))
                .push_bind(i64::from(page.limit));
            let rows = query.build().persistent(false).fetch_all(pool).await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in rows {
                found.extend(object!(row));
            }
            Ok(found)
        })
    }

    /// Deleted ones are asked too: a list goes on behind an object that was deleted meanwhile.
    async fn created_at(&self, page: &Page, id: &str) -> Result<Option<i64>> {
        const SQL: &str = "SELECT created_at FROM state_objects WHERE workspace = $1 AND id = $2 AND provider = $3";
        on!(self, |pool| {
            let query = sqlx::query_scalar(SQL).bind(page.workspace.uuid()).bind(id).bind(page.provider.uuid());
            query.fetch_optional(pool).await
        })
    }

    /// Marks an object as deleted; its description goes at once.
    pub(super) async fn delete(&self, workspace: Id<Workspace>, id: &str, provider: Uuid, at: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE state_objects SET deleted_at = $4, shown = NULL \
             WHERE workspace = $1 AND id = $2 AND provider = $3 AND deleted_at IS NULL";
        on!(self, |pool| {
            sqlx::query(SQL).bind(workspace.uuid()).bind(id).bind(provider).bind(at.0).execute(pool).await?;
        });
        Ok(())
    }

    /// Forgets what is older than its time.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<()> {
        const OLD_RESPONSES: &str = "DELETE FROM state_objects WHERE kind IN ($2, $3) AND created_at < $1";
        const DELETED: &str = "DELETE FROM state_objects WHERE deleted_at < $1";
        const UNUSED: &str = "DELETE FROM state_uses WHERE at < $1";
        const UNTROUBLED: &str = "DELETE FROM state_credentials WHERE at < $1";
        let before = |days: i64| now.0 - days * DAY_MS;
        on!(self, |pool| {
            let responses = sqlx::query(OLD_RESPONSES).bind(before(RESPONSES_KEPT_DAYS));
            let kinds = [ObjectKind::Response, ObjectKind::Item].map(ObjectKind::number);
            responses.bind(kinds[0]).bind(kinds[1]).execute(pool).await?;
            sqlx::query(DELETED).bind(before(DELETED_KEPT_DAYS)).execute(pool).await?;
            sqlx::query(UNUSED).bind(before(NOTES_KEPT_DAYS)).execute(pool).await?;
            sqlx::query(UNTROUBLED).bind(before(NOTES_KEPT_DAYS)).execute(pool).await?;
        });
        Ok(())
    }

    /// Holds a workspace to what it may have on record of a kind: the oldest go.
    pub(super) async fn trim(&self, workspace: Id<Workspace>, kind: ObjectKind, keep: u32) -> Result<()> {
        const FIRST_TOO_MANY: &str = "SELECT created_at FROM state_objects WHERE workspace = $1 AND kind = $2 \
             ORDER BY created_at DESC LIMIT 1 OFFSET $3";
        const OLDER: &str = "DELETE FROM state_objects WHERE workspace = $1 AND kind = $2 AND created_at <= $3";
        let (workspace, kind) = (workspace.uuid(), kind.number());
        on!(self, |pool| {
            let query = sqlx::query_scalar(FIRST_TOO_MANY).bind(workspace).bind(kind).bind(i64::from(keep));
            let too_many: Option<i64> = query.fetch_optional(pool).await?;
            if let Some(at) = too_many {
                sqlx::query(OLDER).bind(workspace).bind(kind).bind(at).execute(pool).await?;
            }
        });
        Ok(())
    }

    pub(in crate::store) async fn close(&self) {
        on!(self, |pool| pool.close().await);
    }
}
