//! `/credentials`: the keys that calls show providers. What is written is never read back.

use std::collections::HashMap;

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Detail, Done, Made, Shown};
use super::ask::Ask;
use super::body::{Merge, New, Nothing};
use super::problem::Problem;
use super::table::{Needs, Row, row};
use crate::directory::Tag;
use crate::directory::credentials::{self, CredentialChange, CredentialLine, NewCredential, Set, Which, Whose};
use crate::directory::page::Paged;
use crate::domain::entity::{Credential, Provider, SavedCredential, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::store::state::{State, Used};

pub(super) fn rows() -> Vec<Row> {
    let (all, one) = ("/credentials", "/credentials/{id}");
    // Everybody may have credentials of their own, so the rest is for the directory to say.
    let any = Needs::Token;
    vec![
        row(
            Method::GET,
            all,
            any,
            "Credentials, masked: a workspace's, one's own, or the platform's that are granted.",
            list,
        ),
        row(Method::POST, all, any, "Set a credential; a new key takes the old one's place.", set),
        row(Method::GET, one, any, "One credential, masked.", get),
        row(Method::PATCH, one, any, "Change a credential: its key, its label, its grant.", update),
        row(Method::DELETE, one, any, "Delete a credential; its sealed bytes are destroyed at once.", delete),
        row(
            Method::POST,
            "/credentials/{id}/confirm",
            any,
            "Say that a key may go to its provider's new address.",
            confirm,
        ),
    ]
}

/// A new credential, or a new key in the place of the old one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCredential, example = json!({
    "providerId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "apiKey": "sk-…", "label": "org account", "scope": "platform",
    "grantedIds": null,
}))]
struct Head {
    #[schema(value_type = uuid::Uuid)]
    provider_id: Id<Provider>,
    /// Unsaid: the workspace's if the asker may set those, else the asker's own.
    #[schema(inline)]
    scope: Option<Scope>,
    /// Of scope `workspace`; the one whose token is shown, unless said.
    #[schema(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CredentialsAsked {
    /// Unsaid: the workspace's if the asker may set those, else the asker's own.
    #[param(inline)]
    scope: Option<Scope>,
    /// Of scope `workspace`; the one whose token is shown, unless said.
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
}

/// A credential with what traffic shows of it, which is no part of its tag.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialSeen)]
struct Seen {
    #[serde(flatten)]
    line: CredentialLine,
    /// `ok`, `rejected`, `quota_exhausted`, `undecryptable` or `address_changed`.
    state: &'static str,
    #[schema(required, format = DateTime)]
    state_since: Option<String>,
    /// `null`: never, or nobody can say right now.
    #[schema(required, format = DateTime)]
    last_used_at: Option<String>,
}

impl Seen {
    fn new(state: &State, line: CredentialLine, last_used: Option<Timestamp>) -> Self {
        let noted = state.credential(SavedCredential { id: line.id, at: line.updated_at });
        let (state, since) = match &line {
            CredentialLine { undecryptable: true, .. } => ("undecryptable", None),
            CredentialLine { address_changed: true, .. } => ("address_changed", None),
            _ => (noted.name(), noted.at()),
        };
        let (state_since, last_used_at) = (since.map(Timestamp::iso8601), last_used.map(Timestamp::iso8601));
        Self { line, state, state_since, last_used_at }
    }

    async fn one(state: &State, line: CredentialLine) -> Self {
        let used = last_uses(state, std::slice::from_ref(&line)).await;
        let last_used = used.first().map(|(_, at)| *at);
        Self::new(state, line, last_used)
    }
}

async fn last_uses(state: &State, of: &[CredentialLine]) -> Vec<(Used, Timestamp)> {
    state.last_uses(of.iter().map(|one| Used::Credential(one.id)).collect()).await.unwrap_or_default()
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Credential>, Problem> {
    ask.id("id", "credential")
}

async fn list(ask: Ask<Nothing, CredentialsAsked>) -> Result<Paged<Seen>, Problem> {
    let whose = Whose { scope: ask.query.scope, workspace: ask.query.workspace_id };
    let found = credentials::list(&ask.access, Which::Of(whose.owner(&ask.access.actor)?)).await?;
    let page = Paged::of(found.into_iter().map(|one| (one.id.uuid(), one)), ask.page, |one| one);
    let used: HashMap<Used, Timestamp> = last_uses(&ask.api.traffic.state, &page.items).await.into_iter().collect();
    let seen = |one: CredentialLine| {
        let last_used = used.get(&Used::Credential(one.id)).copied();
        Seen::new(&ask.api.traffic.state, one, last_used)
    };
    Ok(Paged { items: page.items.into_iter().map(seen).collect(), next: page.next })
}

async fn set(ask: Ask<New<Head, CredentialChange>>) -> Result<Made<Set>, Problem> {
    let New { head, change } = ask.body;
    let whose = Whose { scope: head.scope, workspace: head.workspace_id };
    let owner = whose.owner(&ask.access.actor)?;
    let report = credentials::set(&ask.access, NewCredential { owner, provider: head.provider_id, change }).await?;
    let location = format!("/credentials/{}", report.credential.id);
    Ok(Made { report, location })
}

async fn get(ask: Ask) -> Result<Detail<Seen>, Problem> {
    let line = credentials::get(&ask.access, id(&ask)?).await?;
    Ok(Detail { tag: Tag::of(&line), shown: Seen::one(&ask.api.traffic.state, line).await })
}

async fn update(ask: Ask<Merge<CredentialChange>>) -> Result<Shown<CredentialLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(credentials::change(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    credentials::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}

async fn confirm(ask: Ask) -> Result<Shown<CredentialLine>, Problem> {
    Ok(Shown(credentials::confirm(&ask.access, id(&ask)?).await?))
}
