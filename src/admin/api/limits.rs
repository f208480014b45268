//! `/limits`: what the calls of a token are held to. Each limit is changed where it stands: on the token, user, workspace
//! or org.

use http::Method;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Report;
use super::ask::Ask;
use super::problem::Problem;
use super::table::{Needs, Row, row};
use crate::directory::limits::LimitsLine;

pub(super) fn rows() -> Vec<Row> {
    vec![row(Method::GET, "/limits", Needs::Token, "The limits that calls with this token are held to.", get)]
}

/// All of them hold at once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"token": {"parallel": 4}, "user": null, "workspace": {}, "org": {"moneyPerDay": "25"}}))]
struct InForce {
    token: LimitsLine,
    #[schema(required)]
    user: Option<LimitsLine>,
    workspace: LimitsLine,
    org: LimitsLine,
}

async fn get(ask: Ask) -> Result<Report<InForce>, Problem> {
    let view = ask.caller.view();
    Ok(Report(InForce {
        token: LimitsLine::from(&ask.caller.token().limits),
        user: ask.caller.user().map(|user| LimitsLine::from(&user.limits)),
        workspace: LimitsLine::from(&view.workspace.limits),
        org: LimitsLine::from(&view.org.limits),
    }))
}
