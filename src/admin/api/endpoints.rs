//! `/workspaces/{id}/model-endpoints` and `/workspaces/{id}/model-config`: what a workspace's calls can name, and what they
//! use that name nothing.

use http::Method;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::{Created, Done, Shown};
use super::ask::Ask;
use super::body::Json;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::endpoints::{self, Binding, Chosen, EndpointLine, Purpose};
use crate::directory::model_config::{self, Configured};
use crate::directory::page::Paged;
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Workspace);
    let manage = Needs::Permission(Permission::CredentialManage, Place::Workspace);
    let (all, one) = ("/workspaces/{id}/model-endpoints", "/workspaces/{id}/model-endpoints/{endpointId}");
    let config = "/workspaces/{id}/model-config";
    let puts = "Bind the provider, key, address and model of calls that name none.";
    vec![
        row(Method::GET, all, view, "What calls can name as `endpoint:ID`: own keys, and the platform's.", list),
        row(Method::POST, all, manage, "Bind a provider, a key, an address and a model to a workspace.", bind),
        row(Method::GET, one, view, "One endpoint; it is changed as the credential with its id.", get),
        row(Method::DELETE, one, manage, "Delete an endpoint of the workspace's own; its key is destroyed.", delete),
        row(
            Method::GET,
            config,
            manage,
            "What calls use that name no model; `null`: the platform's default.",
            configured,
        ),
        row(Method::PUT, config, manage, puts, configure),
        row(Method::DELETE, config, manage, "Go back to the platform's default; the key is destroyed.", reset),
    ]
}

/// A provider, a key, an address and a model for a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ModelBinding, example = json!({
    "provider": "anthropic", "model": "claude-opus-4-6", "apiKey": "sk-ant-…", "baseUrl": null,
}))]
pub(super) struct NewBinding {
    /// The id, number or name of a provider that the workspace can see, else the name of a preset, of which the workspace
    /// then gets one of its own.
    #[schema(min_length = 1)]
    provider: String,
    /// Of calls that name none; without one the provider's default.
    pub(super) model: Option<String>,
    /// Left out, the one there is stays; what the platform granted, or what needs none, goes without.
    #[schema(value_type = Option<String>, write_only)]
    api_key: Option<Secret>,
    /// `null` is where the provider usually is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    base_url: Change<BaseUrl>,
    #[schema(inline)]
    protocol: Option<Protocol>,
    #[schema(max_length = 200)]
    label: Option<String>,
}

impl NewBinding {
    pub(super) fn to(self, workspace: Id<Workspace>) -> Binding {
        Binding {
            key: self.api_key,
            base_url: self.base_url,
            protocol: self.protocol,
            label: self.label,
            ..Binding::of(workspace, Chosen::Named(self.provider))
        }
    }
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Workspace>, Problem> {
    ask.id("id", "workspace")
}

async fn list(ask: Ask) -> Result<Paged<EndpointLine>, Problem> {
    let found = endpoints::list(&ask.access, id(&ask)?).await?;
    Ok(Paged::of(found.into_iter().map(|one| (one.id.uuid(), one)), ask.page, |one| one))
}

async fn bind(ask: Ask<Json<NewBinding>>) -> Result<Created<EndpointLine>, Problem> {
    let workspace = id(&ask)?;
    let model = ask.body.0.model.clone().map_or(Change::Keep, Change::Set);
    let binding = Binding { model, purpose: Purpose::NewEndpoint, ..ask.body.0.to(workspace) };
    let shown = endpoints::bind(&ask.access, ask.expected, binding).await?;
    let location = format!("/workspaces/{workspace}/model-endpoints/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Shown<EndpointLine>, Problem> {
    Ok(Shown(endpoints::get(&ask.access, id(&ask)?, ask.id("endpointId", "model endpoint")?).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let (workspace, endpoint) = (id(&ask)?, ask.id("endpointId", "model endpoint")?);
    endpoints::delete(&ask.access, workspace, endpoint, ask.expected).await?;
    Ok(Done)
}

async fn configured(ask: Ask) -> Result<Shown<Configured>, Problem> {
    Ok(Shown(model_config::get(&ask.access, id(&ask)?).await?))
}

async fn configure(ask: Ask<Json<NewBinding>>) -> Result<Shown<Configured>, Problem> {
    let workspace = id(&ask)?;
    let purpose = Purpose::Default(ask.body.0.model.clone());
    let binding = Binding { purpose, ..ask.body.0.to(workspace) };
    Ok(Shown(model_config::put(&ask.access, ask.expected, binding).await?))
}

async fn reset(ask: Ask) -> Result<Done, Problem> {
    let workspace = id(&ask)?;
    model_config::reset(&ask.access, workspace, ask.expected).await?;
    Ok(Done)
}
