//! The audit log: who changed what, and whether the log itself was changed.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::actor::Over;
use super::error::DirectoryError;
use super::page::{Page, Paged};
use super::{Access, moment};
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;
use crate::store::audit::Record;

/// One change: who did what to what. Names and ids only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditRecord, example = json!({
    "seq": 12, "at": "2026-03-22T00:00:00.000Z", "by": "token 6f1c8c1e-6f0b-4b52-9d6c-4f7f6a1f2b11",
    "action": "create", "entity": "org 0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "version": 12,
    "link": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
}))]
pub struct AuditLine {
    pub seq: u64,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub by: String,
    pub action: String,
    pub entity: String,
    /// The directory's version that it made.
    pub version: u64,
    /// Its HMAC over itself and the record before: what a log line remembers of it.
    pub link: String,
}

/// The newest first.
pub async fn list(access: &Access, page: Page) -> Result<Paged<AuditLine>, DirectoryError> {
    access.actor.may(Permission::AuditView, Over::Platform)?;
    // Records have no ids; their numbers stand in for them.
    let before = page.after.map(|after| u64::try_from(after.as_u128()).unwrap_or(u64::MAX));
    let mut records = access.store.audit_records(before, page.limit.saturating_add(1)).await?;
    let is_last = records.len() <= page.limit as usize;
    records.truncate(page.limit as usize);
    let next = records.last().filter(|_| !is_last).map(|last| Uuid::from_u128(last.seq.into()));
    Ok(Paged { items: records.into_iter().map(line).collect(), next })
}

fn line(record: Record) -> AuditLine {
    AuditLine {
        seq: record.seq,
        at: record.at,
        by: record.by,
        action: record.action,
        entity: record.entity,
        version: record.version,
        link: record.link.to_string(),
    }
}

/// What an untouched chain says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditChecked, example = json!({
    "records": 12, "unknownKey": 0, "headSeq": 12, "head": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
    "holdsExpected": null,
}))]
pub struct Checked {
    pub records: usize,
    /// They name a key that is no longer held, so nothing can be said for them.
    pub unknown_key: usize,
    /// The number and link of the newest record: what logs and exports remember.
    pub head_seq: u64,
    pub head: String,
    /// Is the link that the asker remembered still in the chain? `None`: they named none.
    #[schema(required)]
    pub holds_expected: Option<bool>,
}

/// Walks the chain. `expected` is a link from a log line: a chain that lacks it was cut behind it.
pub async fn verify(access: &Access, expected: Option<&str>) -> Result<Checked, DirectoryError> {
    access.actor.may(Permission::AuditView, Over::Platform)?;
    let verified = access.store.verify_audit(expected).await??;
    Ok(Checked {
        records: verified.records,
        unknown_key: verified.unknown_key,
        head_seq: verified.head.seq,
        head: verified.head.link.to_string(),
        holds_expected: verified.holds_expected,
    })
}
