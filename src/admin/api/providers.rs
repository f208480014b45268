//! `/providers`: the platform's catalogue, and what workspaces bring of their own.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Created, Detail, Done, Shown};
use super::ask::Ask;
use super::body::{Merge, New, Nothing};
use super::owner;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::Tag;
use crate::directory::models::{self, ModelLine};
use crate::directory::page::Paged;
use crate::directory::providers::{self, Filter, NewProvider, ProviderChange, ProviderLine};
use crate::domain::change::Change;
use crate::domain::entity::{Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::nearest::nearest;
use crate::domain::permission::Permission;
use crate::domain::preset::{PRESETS, Preset, preset};

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIProviderView, Place::Owner);
    let manage = Needs::Permission(Permission::AIProviderManage, Place::Owner);
    let models = Needs::Permission(Permission::AIModelView, Place::Owner);
    let (all, one) = ("/providers", "/providers/{id}");
    vec![
        row(Method::GET, all, view, "The platform's providers and a workspace's own.", list),
        row(Method::POST, all, manage, "Register a provider, with its owner's key if one comes along.", create),
        row(Method::GET, one, view, "One provider, with its models.", get),
        row(Method::PATCH, one, manage, "Change a provider.", update),
        row(
            Method::DELETE,
            one,
            manage,
            "Hide a provider and its models; keys for it stay with their holders.",
            delete,
        ),
        row(Method::GET, "/providers/{id}/models", models, "The models of a provider.", list_models),
    ]
}

/// A new provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewProvider, example = json!({
    "name": "Local Kael", "kind": "llama-cpp", "prefix": "ai-02", "baseUrl": "http://127.0.0.1:8000/v1",
    "priority": 1, "timeoutMs": 180_000,
}))]
struct Head {
    /// Unique among its owner's, in any letter case.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// The name of a preset: `openai`, `anthropic`, `google`, `azure-openai`, `bedrock`, `openrouter`, `llama-cpp`, `custom`
    /// and others.
    #[schema(min_length = 1)]
    kind: String,
    /// Whose it is; `null` is the platform. Unsaid: the platform's if its admin asks, else the token's workspace's.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    workspace_id: Change<Id<Workspace>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProvidersAsked {
    /// The workspace whose own are shown; the one whose token is shown, unless said.
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    #[serde(default)]
    enabled_only: bool,
}

/// A provider with its models.
#[derive(Debug, Serialize, ToSchema)]
struct ProviderDetail {
    #[serde(flatten)]
    provider: ProviderLine,
    models: Vec<ModelLine>,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Provider>, Problem> {
    ask.id("id", "provider")
}

pub(super) fn kind(text: &str) -> Result<&'static Preset, Problem> {
    preset(text).ok_or_else(|| {
        let names = PRESETS.iter().map(|preset| preset.name);
        let remedy = match nearest(text, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
        };
        Problem::field("kind", format!("`{text}` is no kind of provider")).with_remedy(remedy)
    })
}

async fn list(ask: Ask<Nothing, ProvidersAsked>) -> Result<Paged<ProviderLine>, Problem> {
    let workspace = ask.query.workspace_id.unwrap_or_else(|| ask.caller.workspace());
    let filter = Filter { workspace: Some(workspace), enabled_only: ask.query.enabled_only };
    let found = providers::list(&ask.access, filter).await?;
    Ok(Paged::of(found.into_iter().map(|one| (one.id.uuid(), one)), ask.page, |one| one))
}

async fn create(ask: Ask<New<Head, ProviderChange>>) -> Result<Created<ProviderLine>, Problem> {
    let New { head, change } = ask.body;
    let owner = owner::of_new(&ask.access.actor, head.workspace_id);
    let new = NewProvider { owner, name: head.name, preset: kind(&head.kind)?, change };
    let shown = providers::create(&ask.access, new).await?;
    let location = format!("/providers/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Detail<ProviderDetail>, Problem> {
    let id = id(&ask)?;
    let provider = providers::get(&ask.access, id).await?;
    let models = models::list(&ask.access, models::Filter::of(id)).await?;
    Ok(Detail { tag: Tag::of(&provider), shown: ProviderDetail { provider, models } })
}

async fn update(ask: Ask<Merge<ProviderChange>>) -> Result<Shown<ProviderLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(providers::change(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    providers::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}

async fn list_models(ask: Ask) -> Result<Paged<ModelLine>, Problem> {
    let found = models::list(&ask.access, models::Filter::of(id(&ask)?)).await?;
    Ok(Paged::of(found.into_iter().map(|one| (one.id.uuid(), one)), ask.page, |one| one))
}
