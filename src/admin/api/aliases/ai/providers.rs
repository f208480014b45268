//! `/api/ai/providers`.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::provider;
use super::super::spelling;
use super::models::AiModel;
use crate::admin::api::answer::{Detail, Done, Listed, Made};
use crate::admin::api::ask::Ask;
use crate::admin::api::body::{Merge, New, Nothing};
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::directory::Tag;
use crate::directory::models;
use crate::directory::providers::{self, Filter, NewProvider, ProviderChange, ProviderLine};
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::{Owner, Provider};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::secret::Secret;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIProviderView, Place::Owner);
    let manage = Needs::Permission(Permission::AIProviderManage, Place::Owner);
    let (all, one) = ("/api/ai/providers", "/api/ai/providers/{id}");
    vec![
        row(Method::GET, all, view, "The platform's providers and the workspace's own.", list),
        row(Method::POST, all, manage, "Register a provider.", create),
        row(Method::GET, one, view, "One provider, with its models.", get),
        row(Method::PATCH, one, manage, "Change a provider.", update),
        row(Method::DELETE, one, manage, "Hide a provider.", delete),
    ]
}

/// A provider with its number as id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AiProvider {
    #[schema(required)]
    id: Option<u32>,
    #[schema(value_type = uuid::Uuid)]
    uuid: Id<Provider>,
    name: String,
    /// `OpenRouter`, `LocalLlamaCpp`, `Anthropic`, `OpenAI`, `Custom`, `AnthropicAgentSdk` and others.
    #[serde(rename = "type")]
    kind: &'static str,
    prefix: String,
    #[schema(value_type = String)]
    base_url: BaseUrl,
    #[schema(required)]
    default_model: Option<String>,
    enabled: bool,
    /// Lower first.
    priority: u32,
    /// Rounded up.
    timeout_seconds: u64,
    strip_prefix_in_requests: bool,
    is_global: bool,
    /// What only some kinds know, as JSON in text.
    #[schema(required)]
    config_json: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<ProviderLine> for AiProvider {
    fn from(line: ProviderLine) -> Self {
        Self {
            id: line.number,
            uuid: line.id,
            kind: spelling::type_name(line.kind),
            prefix: line.prefix,
            base_url: line.base_url,
            default_model: line.default_model,
            enabled: line.enabled,
            priority: line.priority,
            timeout_seconds: line.timeout_ms.div_ceil(1_000),
            strip_prefix_in_requests: line.strip_prefix,
            is_global: line.workspace_id.is_none(),
            config_json: config(&[
                ("deployment", line.deployment),
                ("apiVersion", line.api_version),
                ("region", line.region),
            ]),
            created_at: line.created_at.iso8601(),
            updated_at: line.updated_at.iso8601(),
            name: line.name,
        }
    }
}

fn config(all: &[(&str, Option<String>)]) -> Option<String> {
    let stated = all.iter().filter_map(|(name, value)| Some((name.to_string(), json!(value.as_ref()?))));
    let stated: serde_json::Map<_, _> = stated.collect();
    (!stated.is_empty()).then(|| Value::Object(stated).to_string())
}

#[derive(Debug, Serialize, ToSchema)]
struct AiProviderDetail {
    #[serde(flatten)]
    provider: AiProvider,
    models: Vec<AiModel>,
}

/// A new provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewAiProvider, example = json!({
    "name": "Local Kael", "type": "LocalLlamaCpp", "prefix": "ai-02", "baseUrl": "http://127.0.0.1:8000/v1",
    "priority": 1, "timeoutSeconds": 180,
}))]
struct Head {
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    #[serde(rename = "type")]
    kind: String,
    /// In the platform's catalogue; else it is the workspace's own.
    #[serde(default)]
    is_global: bool,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AiProviderChange)]
struct AiChange {
    name: Option<String>,
    prefix: Option<String>,
    #[schema(value_type = Option<String>)]
    base_url: Option<BaseUrl>,
    #[schema(value_type = Option<String>, write_only)]
    api_key: Option<Secret>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    default_model: Change<String>,
    enabled: Option<bool>,
    #[schema(maximum = 4_294_967_295_u32)]
    priority: Option<u32>,
    #[serde(default, deserialize_with = "seconds")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 86_400)]
    timeout_seconds: Option<Duration>,
    strip_prefix_in_requests: Option<bool>,
    /// An object with `deployment`, `apiVersion`, `region`, or the same as JSON in text.
    #[serde(default, deserialize_with = "in_text_or_not")]
    #[schema(value_type = Option<String>)]
    config_json: Change<Settings>,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(Duration::from_secs))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    deployment: Option<String>,
    #[serde(alias = "api_version")]
    api_version: Option<String>,
    region: Option<String>,
}

fn in_text_or_not<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<Settings>, D::Error> {
    let read = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(Change::Clear),
        Value::String(text) => serde_json::from_str(&text),
        value => serde_json::from_value(value),
    };
    read.map(Change::Set).map_err(serde::de::Error::custom)
}

impl From<AiChange> for ProviderChange {
    fn from(change: AiChange) -> Self {
        let settings = match change.config_json {
            Change::Keep => None,
            Change::Clear => Some(Settings::default()),
            Change::Set(settings) => Some(settings),
        };
        let [deployment, api_version, region] = match settings {
            None => [Change::Keep, Change::Keep, Change::Keep],
            // The text is one field: what it does not hold is gone.
            Some(all) => {
                [all.deployment, all.api_version, all.region].map(|one| one.map_or(Change::Clear, Change::Set))
            }
        };
        Self {
            name: change.name,
            prefix: change.prefix,
            base_url: change.base_url,
            key: change.api_key,
            default_model: change.default_model,
            enabled: change.enabled,
            priority: change.priority,
            timeout: change.timeout_seconds,
            strip_prefix: change.strip_prefix_in_requests,
            deployment,
            api_version,
            region,
            ..Self::default()
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    #[serde(default)]
    enabled_only: bool,
}

async fn list(ask: Ask<Nothing, Asked>) -> Result<Listed<AiProvider>, Problem> {
    let filter = Filter { workspace: Some(ask.caller.workspace()), enabled_only: ask.query.enabled_only };
    let found = providers::list(&ask.access, filter).await?;
    Ok(Listed(found.into_iter().map(AiProvider::from).collect()))
}

async fn create(ask: Ask<New<Head, AiChange>>) -> Result<Made<AiProvider>, Problem> {
    let New { head, change } = ask.body;
    let owner = if head.is_global { Owner::Platform } else { Owner::Workspace(ask.caller.workspace()) };
    let preset = spelling::kind("type", &head.kind)?;
    let line = providers::create(&ask.access, NewProvider { owner, name: head.name, preset, change: change.into() });
    let line = line.await?;
    let location = format!("/providers/{}", line.id);
    Ok(Made { report: line.into(), location })
}

async fn get(ask: Ask) -> Result<Detail<AiProviderDetail>, Problem> {
    let id = provider(&ask).await?;
    let line = providers::get(&ask.access, id).await?;
    let found = models::list(&ask.access, models::Filter::of(id)).await?;
    let models = found.into_iter().map(AiModel::from).collect();
    Ok(Detail { tag: Tag::of(&line), shown: AiProviderDetail { provider: line.into(), models } })
}

async fn update(ask: Ask<Merge<AiChange>>) -> Result<Detail<AiProvider>, Problem> {
    let id = provider(&ask).await?;
    let line = providers::change(&ask.access, id, ask.expected, ask.body.0.into()).await?;
    Ok(Detail { tag: Tag::of(&line), shown: line.into() })
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = provider(&ask).await?;
    providers::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
