//! `/resolve/{model}`: where a call with this token would go, and why nowhere else. Asks no provider.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::Report;
use super::ask::Ask;
use super::body::Nothing;
use super::problem::{Problem, Said};
use super::table::{Needs, Place, Row, row};
use crate::domain::call::Past;
use crate::domain::permission::{AccessRole, Permission};
use crate::resolve::{Explanation, Question, Reader, consider};

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Workspace);
    vec![row(Method::GET, "/resolve/{*model}", view, "Where a call of this token would go, and why nowhere else.", get)]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The project that calls; the token's, unless said.
    project: Option<String>,
}

/// A plan, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Resolved {
    model: String,
    #[serde(flatten)]
    explanation: Explanation,
    /// What a call would hear, where no target is left.
    #[schema(required)]
    refusal: Option<Said>,
}

impl Resolved {
    /// The plan, where a call would have one.
    pub(super) fn plan(self) -> Result<Explanation, Problem> {
        match self.refusal {
            None => Ok(self.explanation),
            Some(said) => Err(said.into()),
        }
    }
}

/// What a call of this asker would do. A model that no rule reads is a problem itself.
pub(super) fn resolved<B, Q>(ask: &Ask<B, Q>, model: &str, project: Option<&str>) -> Result<Resolved, Problem> {
    let question = Question::of_model(model, project);
    let considered = consider(&ask.caller, &question, &Past::None)?;
    let reader = match ask.access.actor.role() {
        AccessRole::PlatformAdmin => Reader::Operator,
        AccessRole::Member | AccessRole::WorkspaceAdmin | AccessRole::OrgAdmin => Reader::Caller,
    };
    let explanation = Explanation::of_considered(&considered, reader);
    let refusal = considered.plan(&ask.caller, &question).err();
    Ok(Resolved {
        model: model.to_string(),
        explanation,
        refusal: refusal.map(|refusal| Problem::from(refusal).said()),
    })
}

async fn get(ask: Ask<Nothing, Asked>) -> Result<Report<Resolved>, Problem> {
    resolved(&ask, ask.path("model"), ask.query.project.as_deref()).map(Report)
}
