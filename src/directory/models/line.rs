//! A model as it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::directory::known::Known;
use crate::directory::limits::LimitsLine;
use crate::directory::moment;
use crate::directory::providers::workspace_of;
use crate::domain::entity::{Identity, Model, Provider, Source, Workspace};
use crate::domain::id::Id;
use crate::domain::money::Nanodollars;
use crate::domain::permission::Permission;
use crate::domain::prices::{Prices, Tier};
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Model)]
pub struct ModelLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Model>,
    #[schema(required)]
    pub number: Option<u32>,
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    /// The provider's number, for those who go by numbers.
    #[serde(skip)]
    pub provider_number: Option<u32>,
    pub provider: String,
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub workspace_id: Option<Id<Workspace>>,
    /// What the provider calls it.
    pub model_id: String,
    /// `prefix:model_id`, which no other model of another prefix has.
    pub qualified_id: String,
    #[schema(required)]
    pub display_name: Option<String>,
    #[schema(required)]
    pub context_length: Option<u64>,
    #[schema(required)]
    pub max_completion_tokens: Option<u64>,
    #[schema(required)]
    pub timeout_ms: Option<u64>,
    pub limits: LimitsLine,
    pub local: bool,
    /// Shown to whoever may change it: it is a path on somebody's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
    /// A JSON number as written.
    #[serde(serialize_with = "as_written")]
    #[schema(required, value_type = Option<f64>)]
    pub temperature: Option<String>,
    #[schema(required)]
    pub max_tokens: Option<u64>,
    #[schema(required)]
    pub system_prompt: Option<String>,
    pub approved_for_agent: bool,
    pub approved_for_chat: bool,
    pub enable_hydration: bool,
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub hydration_identity_id: Option<Id<Identity>>,
    /// Dollars for a million units, as they are now.
    pub prices: PriceLine,
    pub capabilities: Vec<String>,
    pub enabled: bool,
    #[schema(inline)]
    pub source: Source,
    #[serde(with = "moment::maybe")]
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub discovered_at: Option<Timestamp>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    pub declared: bool,
}

/// Dollars for a million units as decimals; `None` is unknown, which is not zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Prices)]
pub struct PriceLine {
    #[schema(required, value_type = Option<String>)]
    pub input: Option<Nanodollars>,
    #[schema(required, value_type = Option<String>)]
    pub output: Option<Nanodollars>,
    #[schema(required, value_type = Option<String>)]
    pub cache_read: Option<Nanodollars>,
    #[serde(rename = "cacheWrite5m")]
    #[schema(required, value_type = Option<String>)]
    pub cache_write_5m: Option<Nanodollars>,
    #[serde(rename = "cacheWrite1h")]
    #[schema(required, value_type = Option<String>)]
    pub cache_write_1h: Option<Nanodollars>,
    #[schema(required, value_type = Option<String>)]
    pub reasoning: Option<Nanodollars>,
    #[schema(required, value_type = Option<String>)]
    pub audio_input: Option<Nanodollars>,
    #[schema(required, value_type = Option<String>)]
    pub audio_output: Option<Nanodollars>,
    /// Dollars for one call.
    #[schema(required, value_type = Option<String>)]
    pub per_request: Option<Nanodollars>,
    /// What longer calls cost instead, the shortest first.
    pub tiers: Vec<TierLine>,
}

/// Prices of a whole call whose input is longer than so many units; a price that is left out is the model's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PriceTier, example = json!({"above": 200_000, "input": "2.5", "output": "15"}))]
pub struct TierLine {
    #[schema(minimum = 1)]
    pub above: u64,
    #[schema(value_type = Option<String>)]
    pub input: Option<Nanodollars>,
    #[schema(value_type = Option<String>)]
    pub output: Option<Nanodollars>,
    #[schema(value_type = Option<String>)]
    pub cache_read: Option<Nanodollars>,
    #[serde(rename = "cacheWrite5m")]
    #[schema(value_type = Option<String>)]
    pub cache_write_5m: Option<Nanodollars>,
    #[serde(rename = "cacheWrite1h")]
    #[schema(value_type = Option<String>)]
    pub cache_write_1h: Option<Nanodollars>,
    #[schema(value_type = Option<String>)]
    pub reasoning: Option<Nanodollars>,
    #[schema(value_type = Option<String>)]
    pub audio_input: Option<Nanodollars>,
    #[schema(value_type = Option<String>)]
    pub audio_output: Option<Nanodollars>,
}

impl From<&Tier> for TierLine {
    fn from(Tier { above, prices }: &Tier) -> Self {
        Self {
            above: *above,
            input: prices.input,
            output: prices.output,
            cache_read: prices.cache_read,
            cache_write_5m: prices.cache_write_5m,
            cache_write_1h: prices.cache_write_1h,
            reasoning: prices.reasoning,
            audio_input: prices.audio_input,
            audio_output: prices.audio_output,
        }
    }
}

impl From<&TierLine> for Tier {
    fn from(line: &TierLine) -> Self {
        let prices = Prices {
            input: line.input,
            output: line.output,
            cache_read: line.cache_read,
            cache_write_5m: line.cache_write_5m,
            cache_write_1h: line.cache_write_1h,
            reasoning: line.reasoning,
            audio_input: line.audio_input,
            audio_output: line.audio_output,
            ..Prices::default()
        };
        Self { above: line.above, prices }
    }
}

impl From<&Prices> for PriceLine {
    fn from(prices: &Prices) -> Self {
        Self {
            input: prices.input,
            output: prices.output,
            cache_read: prices.cache_read,
            cache_write_5m: prices.cache_write_5m,
            cache_write_1h: prices.cache_write_1h,
            reasoning: prices.reasoning,
            audio_input: prices.audio_input,
            audio_output: prices.audio_output,
            per_request: prices.per_request,
            tiers: prices.tiers.iter().map(TierLine::from).collect(),
        }
    }
}

pub(in crate::directory) fn line(known: Known<'_>, model: &Model, provider: &Provider) -> ModelLine {
    let may_change = known.may(Permission::AIModelManage, provider.owner).is_ok();
    let prices = model.prices.at(Timestamp::now()).cloned().unwrap_or_default();
    ModelLine {
        id: model.id,
        number: model.number,
        provider_id: provider.id,
        provider_number: provider.number,
        provider: provider.name.clone(),
        workspace_id: workspace_of(provider.owner),
        model_id: model.model_id.clone(),
        qualified_id: format!("{}:{}", provider.prefix, model.model_id),
        display_name: model.display_name.clone(),
        context_length: model.context_length,
        max_completion_tokens: model.max_completion_tokens,
        timeout_ms: model.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        limits: LimitsLine::from(&model.limits),
        local: model.local,
        local_path: model.local_path.clone().filter(|_| may_change),
        temperature: model.defaults.temperature.clone(),
        max_tokens: model.defaults.max_tokens,
        system_prompt: model.defaults.system_prompt.clone(),
        approved_for_agent: model.approved_for_agent,
        approved_for_chat: model.approved_for_chat,
        enable_hydration: model.hydration.is_some_and(|hydration| hydration.enabled),
        hydration_identity_id: model.hydration.map(|hydration| hydration.identity),
        prices: PriceLine::from(&prices),
        capabilities: model.capabilities.clone(),
        enabled: model.enabled,
        source: model.source,
        discovered_at: model.discovered_at,
        created_at: model.created_at,
        updated_at: model.updated_at,
        declared: model.declared,
    }
}

#[expect(clippy::ref_option, reason = "serde hands the field itself")]
fn as_written<S: serde::Serializer>(number: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    // It was read as a JSON number where it was written.
    let number = number.as_ref().and_then(|text| serde_json::from_str::<serde_json::Number>(text).ok());
    number.serialize(serializer)
}
