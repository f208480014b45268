//! `/api/ai/resolve/{modelId}`: what a model id, `prefix:modelId` or role leads to.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::missing;
use crate::admin::api::answer::Report;
use crate::admin::api::ask::Ask;
use crate::admin::api::body::Nothing;
use crate::admin::api::problem::Problem;
use crate::admin::api::resolve::{Resolved, resolved};
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::directory::providers;
use crate::domain::address::BaseUrl;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Workspace);
    vec![row(
        Method::GET,
        "/api/ai/resolve/{*modelId}",
        view,
        "Where a call that names this model would go first.",
        get,
    )]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// `1` or `true` adds the whole plan, and why nothing else was taken.
    explain: Option<String>,
}

/// The first target of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AiResolved {
    model_id: String,
    #[schema(required)]
    provider_id: Option<u32>,
    provider_name: String,
    #[schema(value_type = String)]
    base_url: BaseUrl,
    /// Which rule read the name.
    rule: &'static str,
    /// How many more there are to fail over to.
    fallbacks: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Resolved>,
}

async fn get(ask: Ask<Nothing, Asked>) -> Result<Report<AiResolved>, Problem> {
    let model = ask.path("modelId");
    let plan = resolved(&ask, model, None)?.plan()?;
    let first = plan.targets.first().map(|one| one.line.clone()).ok_or_else(|| missing("model", model))?;
    let wanted = ask.query.explain.as_deref().is_some_and(|text| matches!(text, "" | "1" | "true"));
    Ok(Report(AiResolved {
        model_id: first.model,
        provider_id: providers::get(&ask.access, first.provider_id).await?.number,
        provider_name: first.provider,
        base_url: first.base_url,
        rule: plan.rule,
        fallbacks: plan.targets.len() - 1,
        explain: wanted.then_some(plan),
    }))
}
