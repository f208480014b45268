//! A token as lists show it: everything but what it is.

use serde::Serialize;
use utoipa::ToSchema;

use crate::directory::known::Known;
use crate::directory::limits::LimitsLine;
use crate::directory::moment;
use crate::domain::entity::{Token, TokenKind, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::AccessRole;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token, example = json!({
    "id": "6f1c8c1e-6f0b-4b52-9d6c-4f7f6a1f2b11", "workspace": "research",
    "workspaceId": "1c5a3f0e-3d55-4b07-9c0a-90b1b7a3c9de", "user": "ada@example.com",
    "userId": "9a1b7f0e-1d11-4a4f-8d4b-2f4c9d0b8a77", "project": null, "role": "member", "kind": "chat", "models": [],
    "limits": {}, "label": "ci", "mayBatch": false, "mayAssertUser": false, "madeBy": "cli:ada",
    "madeByItsUser": false, "state": "active", "createdAt": "2026-03-22T00:00:00.000Z", "expiresAt": null,
    "revokedAt": null, "declared": false,
}))]
pub struct TokenLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Token>,
    pub workspace: String,
    #[schema(value_type = uuid::Uuid)]
    pub workspace_id: Id<Workspace>,
    /// The user's email.
    #[schema(required)]
    pub user: Option<String>,
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub user_id: Option<Id<User>>,
    #[schema(required)]
    pub project: Option<String>,
    #[schema(inline)]
    pub role: AccessRole,
    #[schema(inline)]
    pub kind: TokenKind,
    /// Empty allows every model.
    pub models: Vec<String>,
    pub limits: LimitsLine,
    pub label: String,
    pub may_batch: bool,
    pub may_assert_user: bool,
    pub made_by: String,
    /// Only then may it spend and change that user's own credentials.
    pub made_by_its_user: bool,
    #[schema(inline)]
    pub state: TokenState,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(with = "moment::maybe")]
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    #[serde(with = "moment::maybe")]
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    pub declared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    Active,
    Expired,
    Revoked,
    /// Its user is.
    Disabled,
}

impl TokenState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
        }
    }
}

pub(super) fn state(known: Known<'_>, token: &Token, now: Timestamp) -> TokenState {
    let mut users = known.stored.users.iter().chain(&known.declared.users);
    let disabled = token.user.is_some_and(|id| users.any(|user| user.id == id && user.disabled));
    match token {
        Token { revoked_at: Some(_), .. } => TokenState::Revoked,
        Token { expires_at: Some(at), .. } if *at <= now => TokenState::Expired,
        _ if disabled => TokenState::Disabled,
        _ => TokenState::Active,
    }
}

pub(super) fn line(known: Known<'_>, token: &Token, now: Timestamp) -> TokenLine {
    TokenLine {
        id: token.id,
        workspace: known.workspace_name(token.workspace),
        workspace_id: token.workspace,
        user: token.user.map(|user| known.user_name(user)),
        user_id: token.user,
        project: token.project.clone(),
        role: token.role,
        kind: token.kind,
        models: token.models.clone(),
        limits: LimitsLine::from(&token.limits),
        label: token.label.clone(),
        may_batch: token.may_batch,
        may_assert_user: token.may_assert_user,
        made_by: token.made_by.clone(),
        made_by_its_user: token.made_by_its_user,
        state: state(known, token, now),
        created_at: token.created_at,
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
        declared: known.declared.tokens.iter().any(|one| one.id == token.id),
    }
}
