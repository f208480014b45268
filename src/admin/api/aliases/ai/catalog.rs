//! `/api/ai/catalog`: the platform's providers as a workspace sees them.

use http::Method;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::provider;
use super::models::AiModel;
use super::providers::AiProvider;
use crate::admin::api::answer::{Listed, Report};
use crate::admin::api::ask::Ask;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::directory::catalog::{self, CatalogLine};
use crate::domain::entity::Scope;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIProviderView, Place::Workspace);
    vec![
        row(Method::GET, "/api/ai/catalog", Needs::Token, "The platform's enabled providers.", list),
        row(Method::GET, "/api/ai/catalog/{id}", view, "One of them, with its models.", get),
    ]
}

/// A provider of the platform's, and who holds the key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AiCatalogProvider {
    #[serde(flatten)]
    provider: AiProvider,
    /// Whose key its calls use; `null`: somebody has to set one first.
    #[schema(required, inline)]
    managed_by: Option<Scope>,
    available: bool,
}

impl From<CatalogLine> for AiCatalogProvider {
    fn from(line: CatalogLine) -> Self {
        Self { managed_by: line.managed_by, available: line.available, provider: line.provider.into() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct AiCatalogEntry {
    #[serde(flatten)]
    line: AiCatalogProvider,
    models: Vec<AiModel>,
}

async fn list(ask: Ask) -> Result<Listed<AiCatalogProvider>, Problem> {
    let found = catalog::list(&ask.access, ask.caller.workspace()).await?;
    Ok(Listed(found.into_iter().map(AiCatalogProvider::from).collect()))
}

async fn get(ask: Ask) -> Result<Report<AiCatalogEntry>, Problem> {
    let found = catalog::get(&ask.access, ask.caller.workspace(), provider(&ask).await?).await?;
    let models = found.models.into_iter().map(AiModel::from).collect();
    Ok(Report(AiCatalogEntry { line: found.line.into(), models }))
}
