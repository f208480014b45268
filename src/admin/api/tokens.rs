//! `/tokens`.

use http::Method;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{CreatedOnce, Done, Shown};
use super::ask::Ask;
use super::body::{Json, Merge, Nothing};
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::limits::LimitsChange;
use crate::directory::moment;
use crate::directory::page::Paged;
use crate::directory::tokens::{self, NewToken, TokenChange, TokenLine};
use crate::domain::entity::{Token, TokenKind, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::{AccessRole, Permission};
use crate::domain::time::Timestamp;

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::TokenManage, Place::Workspace);
    let (all, one) = ("/tokens", "/tokens/{id}");
    vec![
        row(Method::GET, all, manage, "A workspace's tokens, also those that have ended.", list),
        row(Method::POST, all, manage, "Make a token; it is shown this once.", create),
        row(Method::GET, one, manage, "One token, without what it is.", get),
        row(Method::PATCH, one, manage, "Change a token that holds no more than the asker's own.", update),
        row(Method::DELETE, one, manage, "Revoke a token for good; it is still listed.", revoke),
    ]
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"label": "ci", "role": "member", "expiresAt": "2027-01-01T00:00:00.000Z"}))]
struct CreateToken {
    /// That of the shown token unless stated.
    #[schema(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    /// The user it stands for: attribution and limits. Only a token that the user made is also for their own keys.
    #[schema(value_type = Option<uuid::Uuid>)]
    user_id: Option<Id<User>>,
    /// One of the workspace's: its default then is the token's.
    project: Option<String>,
    /// `member` unless stated.
    #[schema(inline)]
    role: Option<AccessRole>,
    /// Which of a model's approvals it is held against: `chat` unless stated.
    #[schema(inline)]
    kind: Option<TokenKind>,
    /// Ids, aliases or `prefix:*`; none allows every model.
    #[serde(default)]
    #[schema(max_items = 256)]
    models: Vec<String>,
    #[serde(default, deserialize_with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    limits: Option<LimitsChange>,
    #[serde(default)]
    #[schema(max_length = 200)]
    label: String,
    /// May it make batches?
    #[serde(default)]
    may_batch: bool,
    /// May it say, with `X-Keyway-User`, for which user a call is?
    #[serde(default)]
    may_assert_user: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TokensAsked {
    /// That of the shown token unless stated.
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Token>, Problem> {
    ask.id("id", "token")
}

async fn list(ask: Ask<Nothing, TokensAsked>) -> Result<Paged<TokenLine>, Problem> {
    let workspace = ask.query.workspace_id.unwrap_or_else(|| ask.caller.workspace());
    Ok(tokens::page(&ask.access, workspace, ask.page).await?)
}

async fn create(ask: Ask<Json<CreateToken>>) -> Result<CreatedOnce<TokenLine>, Problem> {
    let new = ask.body.0;
    let plain = NewToken::of(new.workspace_id.unwrap_or_else(|| ask.caller.workspace()));
    let new = NewToken {
        user: new.user_id,
        project: new.project,
        role: new.role.unwrap_or(plain.role),
        kind: new.kind.unwrap_or(plain.kind),
        models: new.models,
        expires_at: new.expires_at,
        limits: new.limits.unwrap_or_default().of_new()?,
        label: new.label,
        may_batch: new.may_batch,
        may_assert_user: new.may_assert_user,
        ..plain
    };
    let minted = tokens::create(&ask.access, new).await?;
    let location = format!("/tokens/{}", minted.line.id);
    Ok(CreatedOnce { shown: minted.line, location, token: minted.text })
}

async fn get(ask: Ask) -> Result<Shown<TokenLine>, Problem> {
    Ok(Shown(tokens::get(&ask.access, id(&ask)?).await?))
}

async fn update(ask: Ask<Merge<TokenChange>>) -> Result<Shown<TokenLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(tokens::update(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn revoke(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    tokens::revoke_seen(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
