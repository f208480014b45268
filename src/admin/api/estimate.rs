//! `/estimate`: what a call with this token may cost, target by target, and whether it would be let through now. Asks no
//! provider and makes no exchange.

use http::Method;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answer::Report;
use super::ask::Ask;
use super::body::Json;
use super::problem::{Problem, Said};
use super::table::{Needs, Row, row};
use crate::domain::call::Past;
use crate::domain::money::Nanodollars;
use crate::domain::protocol::Metered;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::meter::budgets::{Length, Text};
use crate::resolve::{Question, resolve};

pub(super) fn rows() -> Vec<Row> {
    let what = "What a call with this token may cost, and whether it would be let through now.";
    vec![row(Method::POST, "/estimate", Needs::Token, what, estimate)]
}

/// A call as far as it bears on its cost. Where neither text nor its length is said, there is none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"model": "openai:gpt-4o-mini", "inputTokens": 1200, "maxTokens": 500}))]
struct Planned {
    /// The default, unless said.
    model: Option<String>,
    project: Option<String>,
    /// The input's length in tokens, where somebody counted them; else it is reckoned from `text`.
    input_tokens: Option<u64>,
    text: Option<String>,
    /// Images, sounds and documents.
    #[serde(default)]
    media_parts: u64,
    /// The most that the answer may have; unless said, the model's own limit, or 4,096.
    max_tokens: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Estimate {
    /// In the order in which a call would try them.
    targets: Vec<EstimatedTarget>,
    /// The most that it may cost: this is held of budgets until the call has ended. `null`: no price is known.
    #[schema(required, value_type = Option<String>)]
    most: Option<Nanodollars>,
    admitted: bool,
    /// What a call would hear.
    #[schema(required)]
    refusal: Option<Said>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EstimatedTarget {
    provider: String,
    model: String,
    input_tokens: u64,
    output_tokens: u64,
    /// `null`: its price is not known.
    #[schema(required, value_type = Option<String>)]
    cost: Option<Nanodollars>,
}

impl Estimate {
    fn of(targets: Vec<EstimatedTarget>, most: Option<Nanodollars>, refusal: Option<Refusal>) -> Self {
        let refusal = refusal.map(|refusal| Problem::from(refusal).said());
        Self { targets, most, admitted: refusal.is_none(), refusal }
    }
}

async fn estimate(ask: Ask<Json<Planned>>) -> Result<Report<Estimate>, Problem> {
    let Planned { model, project, input_tokens, text, media_parts, max_tokens } = &ask.body.0;
    let question = Question::of_model(model.as_deref().unwrap_or("default"), project.as_deref());
    let plan = match resolve(&ask.caller, &question, &Past::None) {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Report(Estimate::of(Vec::new(), None, Some(refusal)))),
    };
    let bytes = text.as_ref().map_or(0, |text| text.len() as u64);
    let length = Length {
        metered: Metered::Text,
        writes_text: true,
        text: input_tokens.map_or(Text::Bytes(bytes), Text::Units),
        parts: *media_parts,
        output: *max_tokens,
        answers: 1,
    };
    let (meter, now) = (&ask.api.traffic.meter, Instant::now());
    let names: Vec<_> = plan.targets().map(|one| (one.provider.name.to_string(), one.model_id.to_string())).collect();
    let quote = meter.budgets.quote(&ask.caller, &length, plan, &meter.pricing, (Timestamp::now(), now)).await;
    let refusal = meter.admits(&ask.caller, now).err().or(quote.refusal);
    let targets = names.into_iter().zip(&quote.costs).map(|((provider, model), (usage, cost))| EstimatedTarget {
        provider,
        model,
        input_tokens: usage.input,
        output_tokens: usage.output,
        cost: *cost,
    });
    let most = quote.costs.iter().filter_map(|(_, cost)| *cost).max();
    Ok(Report(Estimate::of(targets.collect(), most, refusal)))
}
