//! Providers, their models, and the texts that models are hydrated with.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Owner;
use crate::domain::address::BaseUrl;
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::preset::{Kind, PRESETS, Preset, preset};
use crate::domain::prices::PriceHistory;
use crate::domain::protocol::Protocol;
use crate::domain::time::Timestamp;

/// A catalogued LLM service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    pub id: Id<Provider>,
    /// A small number beside the id, unique and never reused.
    pub number: Option<u32>,
    pub owner: Owner,
    pub name: String,
    pub kind: Kind,
    /// Names the preset whose quirks hold; the kind's own unless stated.
    pub preset: String,
    pub protocol: Protocol,
    pub prefix: String,
    pub base_url: BaseUrl,
    pub default_model: Option<String>,
    pub enabled: bool,
    /// Lower first.
    pub priority: u32,
    pub weight: u32,
    pub timeout: Duration,
    pub strip_prefix: bool,
    pub models: Listing,
    pub max_parallel: Option<u32>,
    pub settings: ProviderSettings,
    pub discovered_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// Stated in `gateway.toml`: read-only everywhere else.
    #[serde(skip)]
    pub declared: bool,
}

/// Design's defaults for what a provider leaves out.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
const DEFAULT_PRIORITY: u32 = 100;

impl Provider {
    /// A provider of a preset with everything else as it is when nobody says otherwise.
    pub fn new(id: Id<Self>, owner: Owner, name: &str, preset: &Preset, base_url: BaseUrl, now: Timestamp) -> Self {
        Self {
            id,
            number: None,
            owner,
            name: name.to_string(),
            kind: preset.kind,
            preset: preset.name.to_string(),
            protocol: preset.protocol,
            prefix: name.to_string(),
            base_url,
            default_model: None,
            enabled: true,
            priority: DEFAULT_PRIORITY,
            weight: 1,
            timeout: DEFAULT_TIMEOUT,
            strip_prefix: true,
            models: Listing::Any,
            max_parallel: None,
            settings: ProviderSettings::default(),
            discovered_at: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            declared: false,
        }
    }
}

impl Provider {
    /// The preset whose quirks hold. One that a newer build knew and this one doesn't falls back to its kind's own, which
    /// always exists.
    pub fn facts(&self) -> &'static Preset {
        preset(&self.preset).or_else(|| preset(self.kind.name())).unwrap_or(&PRESETS[0])
    }
}

/// Which model ids a provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Listing {
    /// Only registered or discovered ones.
    Listed,
    Any,
}

/// What only some kinds know. Checked against the kind where it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSettings {
    /// `azure-openai`: the deployment called where the model names none.
    pub deployment: Option<String>,
    /// `azure-openai`: with it the classic URL form is used, without it the v1 form.
    pub api_version: Option<String>,
    /// `bedrock`.
    pub region: Option<String>,
    /// `agent-sdk`: the command and its arguments.
    pub command: Vec<String>,
}

/// One model of one provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub id: Id<Model>,
    pub number: Option<u32>,
    pub provider: Id<Provider>,
    /// What the provider calls it.
    pub model_id: String,
    pub display_name: Option<String>,
    pub context_length: Option<u64>,
    pub max_completion_tokens: Option<u64>,
    pub timeout: Option<Duration>,
    pub limits: Limits,
    pub local: bool,
    pub local_path: Option<String>,
    pub defaults: ModelDefaults,
    pub approved_for_agent: bool,
    pub approved_for_chat: bool,
    pub hydration: Option<Hydration>,
    pub prices: PriceHistory,
    pub capabilities: Vec<String>,
    pub enabled: bool,
    pub source: Source,
    pub discovered_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    #[serde(skip)]
    pub declared: bool,
}

impl Model {
    /// A registered model with everything else as it is when nobody says otherwise.
    pub fn new(id: Id<Self>, provider: Id<Provider>, model_id: &str, now: Timestamp) -> Self {
        Self {
            id,
            number: None,
            provider,
            model_id: model_id.to_string(),
            display_name: None,
            context_length: None,
            max_completion_tokens: None,
            timeout: None,
            limits: Limits::default(),
            local: false,
            local_path: None,
            defaults: ModelDefaults::default(),
            approved_for_agent: false,
            approved_for_chat: true,
            hydration: None,
            prices: PriceHistory::default(),
            capabilities: Vec::new(),
            enabled: true,
            source: Source::Registered,
            discovered_at: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            declared: false,
        }
    }
}

/// What fills in what a call leaves out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelDefaults {
    /// A JSON number as written, so that no float changes it.
    pub temperature: Option<String>,
    pub max_tokens: Option<u64>,
    pub system_prompt: Option<String>,
}

impl ModelDefaults {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A stored text put before the system prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hydration {
    pub enabled: bool,
    pub identity: Id<Identity>,
}

/// A text that a model's hydration names; nothing to do with users or sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub id: Id<Identity>,
    pub owner: Owner,
    pub name: String,
    pub text: String,
}

/// How we came to know a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Registered,
    Discovered,
}
