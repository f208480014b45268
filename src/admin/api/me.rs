//! `/me`: whose token this is, and what it may do.

use http::Method;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Report;
use super::ask::Ask;
use super::problem::Problem;
use super::table::{Needs, Row, row};
use crate::domain::entity::{Org, Token, TokenKind, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::{AccessRole, Permission};

pub(super) fn rows() -> Vec<Row> {
    vec![row(Method::GET, "/me", Needs::Token, "Whose token this is, and what it may do.", get)]
}

/// A caller, to themself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "tokenId": "6f1c8c1e-6f0b-4b52-9d6c-4f7f6a1f2b11", "label": "ci", "kind": "chat", "role": "member",
    "orgId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "org": "acme",
    "workspaceId": "1c5a3f0e-3d55-4b07-9c0a-90b1b7a3c9de", "workspace": "research",
    "userId": null, "user": null, "madeByItsUser": false, "permissions": ["ChatSessionCreate", "AIProviderView"], "expiresAt": null,
}))]
struct Me {
    #[schema(value_type = uuid::Uuid)]
    token_id: Id<Token>,
    label: String,
    #[schema(inline)]
    kind: TokenKind,
    #[schema(inline)]
    role: AccessRole,
    #[schema(value_type = uuid::Uuid)]
    org_id: Id<Org>,
    org: String,
    #[schema(value_type = uuid::Uuid)]
    workspace_id: Id<Workspace>,
    workspace: String,
    #[schema(required, value_type = Option<uuid::Uuid>)]
    user_id: Option<Id<User>>,
    /// The user's email.
    #[schema(required)]
    user: Option<String>,
    /// Is it a token of the user's own, which can set and spend their own keys?
    made_by_its_user: bool,
    /// Wherever the role counts.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
}

async fn get(ask: Ask) -> Result<Report<Me>, Problem> {
    let (token, view, role) = (ask.caller.token(), ask.caller.view(), ask.access.actor.role());
    Ok(Report(Me {
        token_id: token.id,
        label: token.label.clone(),
        kind: token.kind,
        role,
        org_id: view.org.id,
        org: view.org.name.clone(),
        workspace_id: view.workspace.id,
        workspace: view.workspace.name.clone(),
        user_id: token.user,
        user: ask.caller.user().map(|user| user.email.clone()),
        made_by_its_user: token.made_by_its_user,
        permissions: Permission::ALL.into_iter().filter(|permission| role.holds(*permission)).collect(),
        expires_at: token.expires_at.map(|at| at.iso8601()),
    }))
}
