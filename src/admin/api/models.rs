//! `/models`: what each provider has.

use http::Method;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Created, Done, Shown};
use super::ask::Ask;
use super::body::{Merge, New, Nothing};
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::models::{self, Filter, ModelChange, ModelLine};
use crate::directory::page::Paged;
use crate::domain::entity::{Model, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Owner);
    let manage = Needs::Permission(Permission::AIModelManage, Place::Owner);
    let (all, one) = ("/models", "/models/{id}");
    vec![
        row(Method::GET, all, view, "The models of the platform's providers and of a workspace's own.", list),
        row(Method::POST, all, manage, "Register a model of a provider.", create),
        row(Method::GET, one, view, "One model.", get),
        row(Method::PATCH, one, manage, "Change a model; a new price holds from now on.", update),
        row(Method::DELETE, one, manage, "Hide a model; its id is free again.", delete),
    ]
}

/// A new model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewModel, example = json!({
    "providerId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "modelId": "qwen3-30b-a3b", "contextLength": 32_768,
    "local": true, "approvedForAgent": true, "prices": {"input": "0", "output": "0"},
}))]
struct Head {
    #[schema(value_type = uuid::Uuid)]
    provider_id: Id<Provider>,
    /// What the provider calls it; unique among its living ones.
    #[schema(min_length = 1, max_length = 512)]
    model_id: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ModelsAsked {
    /// The workspace whose own are shown; the one whose token is shown, unless said.
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    /// Those of one provider.
    #[param(value_type = Option<uuid::Uuid>)]
    provider_id: Option<Id<Provider>>,
    /// Only those that are enabled, of providers that are.
    #[serde(default)]
    enabled_only: bool,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Model>, Problem> {
    ask.id("id", "model")
}

async fn list(ask: Ask<Nothing, ModelsAsked>) -> Result<Paged<ModelLine>, Problem> {
    let ModelsAsked { workspace_id, provider_id, enabled_only } = ask.query;
    let workspace = workspace_id.unwrap_or_else(|| ask.caller.workspace());
    let filter = Filter { workspace: Some(workspace), provider: provider_id, enabled_only };
    let found = models::list(&ask.access, filter).await?;
    Ok(Paged::of(found.into_iter().map(|one| (one.id.uuid(), one)), ask.page, |one| one))
}

async fn create(ask: Ask<New<Head, ModelChange>>) -> Result<Created<ModelLine>, Problem> {
    let New { head, change } = ask.body;
    let shown = models::create(&ask.access, head.provider_id, head.model_id, change).await?;
    let location = format!("/models/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Shown<ModelLine>, Problem> {
    Ok(Shown(models::get(&ask.access, id(&ask)?).await?))
}

async fn update(ask: Ask<Merge<ModelChange>>) -> Result<Shown<ModelLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(models::change(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    models::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
