//! `/api/ai/sync-pricing`: what OpenRouter asks for its models now.

use http::Method;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::api::answer::Report;
use crate::admin::api::ask::Ask;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::admin::probing::{self, PriceSource};
use crate::directory::discovery::Taking;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::AIModelManage, Place::Platform);
    vec![row(Method::POST, "/api/ai/sync-pricing", manage, "Take OpenRouter's prices for its models.", sync)]
}

/// How many models' prices changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"success": true, "updated": 12}))]
struct AiSynced {
    success: bool,
    updated: usize,
}

async fn sync(ask: Ask) -> Result<Report<AiSynced>, Problem> {
    let found =
        probing::sync_prices(&ask.access, &ask.api.traffic.probe, &PriceSource::OpenRouter, Taking::Apply).await?;
    Ok(Report(AiSynced { success: true, updated: found.iter().map(|one| one.changes.len()).sum() }))
}
