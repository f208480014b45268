//! `/resolve/{model}`: where a call with this token would go, what breakers hold of it, and why nowhere else. Asks no provider.

use http::Method;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::answer::Report;
use super::ask::Ask;
use super::body::Nothing;
use super::problem::{Problem, Said};
use super::table::{Needs, Place, Row, row};
use crate::attempt::breaker::{Key, Phase, Standing};
use crate::domain::call::Past;
use crate::domain::permission::{AccessRole, Permission};
use crate::domain::time::Timestamp;
use crate::resolve::{DroppedLine, Explanation, Question, Reader, Target, TargetLine, consider};

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
#[serde(rename_all = "camelCase")]
pub(super) struct Resolved {
    model: String,
    /// Which of the rules read the model string.
    pub(super) rule: &'static str,
    /// In the order in which a call would try them.
    pub(super) targets: Vec<ResolvedTarget>,
    dropped: Vec<DroppedLine>,
    /// Dropped ones that are not this reader's to see.
    hidden: usize,
    /// What a call would hear, where no target is left.
    #[schema(required)]
    refusal: Option<Said>,
}

/// A target, and what is held against it right now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResolvedTarget {
    #[serde(flatten)]
    pub(super) line: TargetLine,
    /// `closed`: it is called; `half_open`: one call tries it; `open`: it is passed over; `held`: its key waits as long as the
    /// provider said.
    breaker: &'static str,
    /// Until when, where it is passed over.
    #[schema(required, format = DateTime)]
    until: Option<String>,
}

impl Resolved {
    /// The same, where a call would have a target.
    pub(super) fn plan(self) -> Result<Self, Problem> {
        match self.refusal {
            None => Ok(self),
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
    let now = Instant::now();
    let mut standings = ask.api.traffic.breakers.standings(now);
    standings.retain(|one| one.workspace.is_none_or(|workspace| workspace == ask.caller.workspace()));
    let breakers: Vec<_> = considered.targets.iter().map(|target| against(target, &standings, now)).collect();
    let Explanation { rule, targets, dropped, hidden } = Explanation::of_considered(&considered, reader);
    let both = targets.into_iter().zip(breakers);
    let targets = both.map(|(line, (breaker, until))| ResolvedTarget { line, breaker, until }).collect();
    let refusal = considered.plan(&ask.caller, &question).err().map(|refusal| Problem::from(refusal).said());
    Ok(Resolved { model: model.to_string(), rule, targets, dropped, hidden, refusal })
}

/// The worst that is held against a target, and until when.
fn against(target: &Target, standings: &[Standing], now: Instant) -> (&'static str, Option<String>) {
    let address = &target.base_url().address;
    let (credential, model) = (target.credential.as_ref().map(|one| one.credential.saved()), target.counted_model());
    let is_about = |key: &Key| match key {
        Key::Address(of) => *of == **address,
        Key::AddressAndModel(of, which) => *of == **address && model.is_some_and(|model| **model == **which),
        Key::Credential(of) => Some(*of) == credential,
        Key::CredentialAndModel(of, which) => {
            Some(*of) == credential && which.as_deref() == model.map(|model| &**model)
        }
    };
    let rank = |one: &&Standing| match one.phase {
        _ if one.held => 3,
        Phase::Open => 2,
        Phase::HalfOpen => 1,
        Phase::Closed => 0,
    };
    match standings.iter().filter(|one| is_about(&one.key)).max_by_key(rank) {
        None => (Phase::Closed.name(), None),
        Some(worst) => {
            let name = if worst.held { "held" } else { worst.phase.name() };
            let left = worst.until.map(|until| until.saturating_duration_since(now).as_millis());
            let until = left.map(|ms| Timestamp(Timestamp::now().0 + i64::try_from(ms).unwrap_or_default()));
            (name, until.map(Timestamp::iso8601))
        }
    }
}

async fn get(ask: Ask<Nothing, Asked>) -> Result<Report<Resolved>, Problem> {
    resolved(&ask, ask.path("model"), ask.query.project.as_deref()).map(Report)
}
