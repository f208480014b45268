//! Who a token stands for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::catalog::Catalog;
use super::{Platform, WorkspaceView};
use crate::domain::entity::{Token, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

/// A token with the user it stands for.
#[derive(Debug)]
pub struct TokenEntry {
    pub token: Token,
    pub user: Option<Arc<User>>,
    /// The user's own credentials; nobody else ever sees them.
    pub own: Option<Arc<Catalog>>,
    /// When its use is worth a word again.
    due_at: AtomicI64,
}

/// A token's use is told to the minute: it is for people who ask whether anybody still needs it.
const TOLD_EVERY_MS: i64 = 60_000;

impl TokenEntry {
    pub(super) fn new(token: Token, user: Option<Arc<User>>, own: Option<Arc<Catalog>>) -> Self {
        Self { token, user, own, due_at: AtomicI64::new(0) }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let is_due = now.0 >= self.due_at.load(Ordering::Relaxed);
        if is_due {
            self.due_at.store(now.0.saturating_add(TOLD_EVERY_MS), Ordering::Relaxed);
        }
        is_due
    }

    pub fn is_alive(&self, now: Timestamp) -> bool {
        let expired = self.token.expires_at.is_some_and(|at| at <= now);
        let disabled = self.user.as_ref().is_some_and(|user| user.disabled);
        self.token.revoked_at.is_none() && !expired && !disabled
    }
}

/// A token that was shown and is alive, with the one view of the world its call reads.
#[derive(Clone, Debug)]
pub struct Caller {
    view: Arc<WorkspaceView>,
    entry: Arc<TokenEntry>,
    /// The user whom a token with `may_assert_user` named: attribution and limits, never that user's credentials.
    asserted: Option<Arc<str>>,
}

impl Caller {
    /// Private to the step that proves it: only `World` and `authenticate` make callers.
    pub(crate) fn new(view: Arc<WorkspaceView>, entry: Arc<TokenEntry>) -> Self {
        Self { view, entry, asserted: None }
    }

    /// The same caller speaking for a user, if its token may.
    pub(crate) fn asserting(self, user: &str) -> Result<Self, Refusal> {
        if !self.entry.token.may_assert_user {
            return Err(Refusal::HeaderInvalid { header: "x-keyway-user", why: "this token may not speak for a user" });
        }
        Ok(Self { asserted: Some(user.into()), ..self })
    }

    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.entry.is_alive(now)
    }

    /// Is this its token's first use in a minute? Two cores may both say so.
    pub fn is_seen_again(&self, now: Timestamp) -> bool {
        self.entry.is_due(now)
    }

    pub fn view(&self) -> &Arc<WorkspaceView> {
        &self.view
    }

    pub fn platform(&self) -> &Platform {
        &self.view.platform
    }

    pub fn token(&self) -> &Token {
        &self.entry.token
    }

    pub fn user(&self) -> Option<&Arc<User>> {
        self.entry.user.as_ref()
    }

    /// The user whom a trusted front end named for this call.
    pub fn asserted_user(&self) -> Option<&Arc<str>> {
        self.asserted.as_ref()
    }

    pub fn workspace(&self) -> Id<Workspace> {
        self.view.workspace.id
    }

    pub fn holds(&self, permission: Permission) -> bool {
        self.entry.token.role.holds(permission)
    }

    /// The user's own credentials, if this call may spend them: the user made the token and is not merely asserted.
    pub fn own_credentials(&self) -> Option<&Catalog> {
        let may = self.entry.token.made_by_its_user && self.asserted.is_none() && self.view.org.features.byok;
        self.entry.own.as_deref().filter(|_| may)
    }
}
