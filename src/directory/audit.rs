//! The audit log: who changed what, and whether the log itself was changed.

use serde::Serialize;

use super::Access;
use super::actor::Over;
use super::error::DirectoryError;
use crate::domain::permission::Permission;

/// What an untouched chain says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub records: usize,
    /// They name a key that is no longer held, so nothing can be said for them.
    pub unknown_key: usize,
    /// The number and link of the newest record: what logs and exports remember.
    pub head_seq: u64,
    pub head: String,
    /// Is the link that the asker remembered still in the chain? `None`: they named none.
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
