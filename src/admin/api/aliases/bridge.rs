//! `/{workspaceId}/ai-settings/providers`, as Doable's Provider Bridge has it: what a workspace's people pick from, with the
//! platform's in a group of their own. Models are shown, keys never.

use http::Method;
use serde::Serialize;
use utoipa::ToSchema;

use super::{provider, workspace};
use crate::admin::api::answer::{Listed, Report};
use crate::admin::api::ask::Ask;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::admin::probing;
use crate::directory::catalog::{self, CatalogLine};
use crate::directory::discovery::Taking;
use crate::directory::models::{self, ModelLine};
use crate::directory::providers;
use crate::domain::entity::{Provider, Scope, Source, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::time::Timestamp;

/// What such clients write over the platform's own.
const PLATFORM_MANAGED: &str = "Platform-managed";

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Workspace);
    let manage = Needs::Permission(Permission::AIModelManage, Place::Owner);
    let (all, models) = ("/{workspaceId}/ai-settings/providers", "/{workspaceId}/ai-settings/providers/{id}/models");
    let discover = "/{workspaceId}/ai-settings/providers/{id}/discover-models";
    vec![
        row(Method::GET, all, view, "The providers that a workspace's people pick from.", list),
        row(Method::GET, models, view, "The models of one of them, as last discovered or registered.", list_models),
        row(Method::POST, discover, manage, "Ask one of them for its models, and take those that are new.", discovered),
    ]
}

/// A provider in the picker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PickableProvider)]
struct Pickable {
    #[schema(value_type = uuid::Uuid)]
    id: Id<Provider>,
    name: String,
    /// What the holder of the key calls it.
    #[schema(required)]
    label: Option<String>,
    provider_type: String,
    /// Whose key its calls use; `null`: somebody has to set one first.
    #[schema(required, inline)]
    managed_by: Option<Scope>,
    /// `Platform-managed` over those that need no key of the workspace's.
    #[schema(required)]
    badge: Option<&'static str>,
    available: bool,
    model_count: usize,
    #[schema(required, format = DateTime)]
    discovered_at: Option<String>,
}

impl From<CatalogLine> for Pickable {
    fn from(line: CatalogLine) -> Self {
        Self {
            id: line.provider.id,
            name: line.provider.name,
            label: line.label.filter(|label| !label.is_empty()),
            provider_type: line.provider.preset,
            managed_by: line.managed_by,
            badge: (line.managed_by == Some(Scope::Platform)).then_some(PLATFORM_MANAGED),
            available: line.available,
            model_count: line.model_count,
            discovered_at: line.provider.discovered_at.map(Timestamp::iso8601),
        }
    }
}

/// A provider's models, without any of its key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PickableModels)]
struct Pickables {
    #[schema(value_type = uuid::Uuid)]
    provider_id: Id<Provider>,
    /// When the provider was last asked.
    #[schema(required, format = DateTime)]
    discovered_at: Option<String>,
    models: Vec<PickableModel>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PickableModel {
    /// As a call names it.
    id: String,
    /// As the provider calls it.
    model_id: String,
    #[schema(required)]
    display_name: Option<String>,
    #[schema(required)]
    context_length: Option<u64>,
    #[schema(inline)]
    source: Source,
}

impl From<ModelLine> for PickableModel {
    fn from(line: ModelLine) -> Self {
        Self {
            id: line.qualified_id,
            model_id: line.model_id,
            display_name: line.display_name,
            context_length: line.context_length,
            source: line.source,
        }
    }
}

async fn list(ask: Ask) -> Result<Listed<Pickable>, Problem> {
    let workspace = workspace(&ask).await?;
    let found = catalog::visible(&ask.access, workspace).await?;
    Ok(Listed(found.into_iter().map(Pickable::from).collect()))
}

async fn discovered(ask: Ask) -> Result<Report<Pickables>, Problem> {
    let (workspace, provider) = (workspace(&ask).await?, provider(&ask).await?);
    // A provider that this workspace can't see is not asked.
    pickables(&ask, workspace, provider).await?;
    probing::discover(&ask.access, &ask.api.traffic.probe, provider, Taking::Apply).await?;
    Ok(Report(pickables(&ask, workspace, provider).await?))
}

async fn list_models(ask: Ask) -> Result<Report<Pickables>, Problem> {
    let (workspace, provider) = (workspace(&ask).await?, provider(&ask).await?);
    Ok(Report(pickables(&ask, workspace, provider).await?))
}

async fn pickables<B, Q>(
    ask: &Ask<B, Q>,
    workspace: Id<Workspace>,
    provider: Id<Provider>,
) -> Result<Pickables, Problem> {
    let found = providers::get(&ask.access, provider).await?;
    if found.workspace_id.is_some_and(|owner| owner != workspace) {
        return Err(super::missing("provider", ask.path("id")));
    }
    let filter = models::Filter { enabled_only: true, ..models::Filter::of(provider) };
    let models = models::list(&ask.access, filter).await?;
    Ok(Pickables {
        provider_id: provider,
        discovered_at: found.discovered_at.map(Timestamp::iso8601),
        models: models.into_iter().map(PickableModel::from).collect(),
    })
}
