//! `/api/ai/models`.

use http::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::super::{called, called_in_query};
use crate::admin::api::answer::{Detail, Done, Listed, Made};
use crate::admin::api::ask::Ask;
use crate::admin::api::body::{Merge, New, Nothing};
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::directory::Tag;
use crate::directory::models::{self, Filter, ModelChange, ModelLine, PriceChange};
use crate::directory::numbered::{self, Called};
use crate::domain::change::Change;
use crate::domain::entity::{Identity, Model};
use crate::domain::id::Id;
use crate::domain::money::Nanodollars;
use crate::domain::permission::Permission;

/// What these clients take a model for of which nobody said how much fits.
const CONTEXT_LENGTH: u64 = 32_768;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Owner);
    let manage = Needs::Permission(Permission::AIModelManage, Place::Owner);
    let (all, one) = ("/api/ai/models", "/api/ai/models/{id}");
    vec![
        row(Method::GET, all, view, "The models of the platform's providers and of the workspace's own.", list),
        row(Method::POST, all, manage, "Register a model.", create),
        row(Method::GET, one, view, "One model.", get),
        row(Method::PATCH, one, manage, "Change a model.", update),
        row(Method::DELETE, one, manage, "Hide a model.", delete),
    ]
}

/// A model with its number as id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AiModel {
    #[schema(required)]
    id: Option<u32>,
    #[schema(value_type = uuid::Uuid)]
    uuid: Id<Model>,
    #[schema(required)]
    provider_id: Option<u32>,
    model_id: String,
    /// `prefix:modelId`.
    qualified_id: String,
    #[schema(required)]
    display_name: Option<String>,
    /// 32768 where nobody stated one.
    context_length: u64,
    context_length_stated: bool,
    #[schema(required)]
    max_completion_tokens: Option<u64>,
    is_local: bool,
    /// Shown to whoever may change it.
    #[schema(required)]
    local_model_path: Option<String>,
    #[schema(required, value_type = Option<f64>)]
    temperature: Option<Box<RawValue>>,
    #[schema(required)]
    max_tokens: Option<u64>,
    #[schema(required)]
    system_prompt: Option<String>,
    approved_for_agent: bool,
    approved_for_chat: bool,
    enable_hydration: bool,
    #[schema(required, value_type = Option<uuid::Uuid>)]
    hydration_identity_id: Option<Id<Identity>>,
    /// Dollars.
    #[serde(rename = "inputCostPer1M")]
    #[schema(required, value_type = Option<f64>)]
    input_cost: Option<Box<RawValue>>,
    #[serde(rename = "outputCostPer1M")]
    #[schema(required, value_type = Option<f64>)]
    output_cost: Option<Box<RawValue>>,
    enabled: bool,
}

impl From<ModelLine> for AiModel {
    fn from(line: ModelLine) -> Self {
        Self {
            id: line.number,
            uuid: line.id,
            provider_id: line.provider_number,
            model_id: line.model_id,
            qualified_id: line.qualified_id,
            display_name: line.display_name,
            context_length: line.context_length.unwrap_or(CONTEXT_LENGTH),
            context_length_stated: line.context_length.is_some(),
            max_completion_tokens: line.max_completion_tokens,
            is_local: line.local,
            local_model_path: line.local_path,
            temperature: line.temperature.and_then(number),
            max_tokens: line.max_tokens,
            system_prompt: line.system_prompt,
            approved_for_agent: line.approved_for_agent,
            approved_for_chat: line.approved_for_chat,
            enable_hydration: line.enable_hydration,
            hydration_identity_id: line.hydration_identity_id,
            input_cost: line.prices.input.and_then(|price| number(price.to_string())),
            output_cost: line.prices.output.and_then(|price| number(price.to_string())),
            enabled: line.enabled,
        }
    }
}

/// A number as it is written, which no float has touched.
fn number(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

/// A new model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewAiModel, example = json!({
    "providerId": 1, "modelId": "qwen3-30b-a3b", "displayName": "Qwen3 30B (A3B)", "contextLength": 32_768,
    "isLocal": true, "approvedForAgent": true, "temperature": 0.3, "inputCostPer1M": 0.0, "outputCostPer1M": 0.0,
}))]
struct Head {
    #[schema(value_type = u32)]
    provider_id: Called,
    #[schema(min_length = 1, max_length = 512)]
    model_id: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AiModelChange)]
struct AiChange {
    model_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    display_name: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    context_length: Change<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_completion_tokens: Change<u64>,
    is_local: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    local_model_path: Change<String>,
    #[serde(default, deserialize_with = "as_written")]
    #[schema(value_type = Option<f64>)]
    temperature: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_tokens: Change<u64>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    system_prompt: Change<String>,
    approved_for_agent: Option<bool>,
    approved_for_chat: Option<bool>,
    enable_hydration: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    hydration_identity_id: Change<Id<Identity>>,
    /// Dollars.
    #[serde(default, rename = "inputCostPer1M", deserialize_with = "dollars")]
    #[schema(value_type = Option<f64>)]
    input_cost: Change<Nanodollars>,
    #[serde(default, rename = "outputCostPer1M", deserialize_with = "dollars")]
    #[schema(value_type = Option<f64>)]
    output_cost: Change<Nanodollars>,
    enabled: Option<bool>,
}

fn as_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<String>, D::Error> {
    let number: Option<serde_json::Number> = Option::deserialize(deserializer)?;
    Ok(number.map_or(Change::Clear, |number| Change::Set(number.to_string())))
}

fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<Nanodollars>, D::Error> {
    match as_written(deserializer)? {
        Change::Keep => Ok(Change::Keep),
        Change::Clear => Ok(Change::Clear),
        Change::Set(text) => text.parse().map(Change::Set).map_err(serde::de::Error::custom),
    }
}

impl From<AiChange> for ModelChange {
    fn from(change: AiChange) -> Self {
        let prices = PriceChange { input: change.input_cost, output: change.output_cost, ..PriceChange::default() };
        Self {
            model_id: change.model_id,
            display_name: change.display_name,
            context_length: change.context_length,
            max_completion_tokens: change.max_completion_tokens,
            local: change.is_local,
            local_path: change.local_model_path,
            temperature: change.temperature,
            max_tokens: change.max_tokens,
            system_prompt: change.system_prompt,
            approved_for_agent: change.approved_for_agent,
            approved_for_chat: change.approved_for_chat,
            enable_hydration: change.enable_hydration,
            hydration_identity: change.hydration_identity_id,
            prices: Change::Set(prices),
            enabled: change.enabled,
            ..Self::default()
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// A number or an id.
    provider_id: Option<String>,
    #[serde(default)]
    enabled_only: bool,
}

async fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Model>, Problem> {
    Ok(numbered::model(&ask.access, &called(ask, "model")?).await?)
}

async fn list(ask: Ask<Nothing, Asked>) -> Result<Listed<AiModel>, Problem> {
    let provider = match &ask.query.provider_id {
        Some(text) => Some(numbered::provider(&ask.access, &called_in_query("providerId", text)?).await?),
        None => None,
    };
    let (workspace, enabled_only) = (Some(ask.caller.workspace()), ask.query.enabled_only);
    let found = models::list(&ask.access, Filter { workspace, provider, enabled_only }).await?;
    Ok(Listed(found.into_iter().map(AiModel::from).collect()))
}

async fn create(ask: Ask<New<Head, AiChange>>) -> Result<Made<AiModel>, Problem> {
    let New { head, change } = ask.body;
    let provider = numbered::provider(&ask.access, &head.provider_id).await?;
    let line = models::create(&ask.access, provider, head.model_id, change.into()).await?;
    let location = format!("/models/{}", line.id);
    Ok(Made { report: line.into(), location })
}

async fn get(ask: Ask) -> Result<Detail<AiModel>, Problem> {
    let line = models::get(&ask.access, id(&ask).await?).await?;
    Ok(Detail { tag: Tag::of(&line), shown: line.into() })
}

async fn update(ask: Ask<Merge<AiChange>>) -> Result<Detail<AiModel>, Problem> {
    let id = id(&ask).await?;
    let line = models::change(&ask.access, id, ask.expected, ask.body.0.into()).await?;
    Ok(Detail { tag: Tag::of(&line), shown: line.into() })
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask).await?;
    models::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
