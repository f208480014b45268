//! Well-known providers as data: where they are, where the key goes, and what they take amiss.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::protocol::Protocol;

/// What a provider is, where its URLs, keys or settings have a form of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    #[serde(rename = "openai")]
    OpenAi,
    Anthropic,
    Google,
    #[serde(rename = "azure-openai")]
    AzureOpenAi,
    Bedrock,
    #[serde(rename = "openrouter")]
    OpenRouter,
    LlamaCpp,
    Custom,
    AgentSdk,
}

/// How a key is shown to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    Bearer,
    XApiKey,
    ApiKey,
    GoogApiKey,
    SigV4,
    Nowhere,
}

/// Which field bounds a chat answer's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxField {
    MaxTokens,
    MaxCompletionTokens,
}

/// One row of the table below.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    pub kind: Kind,
    pub protocol: Protocol,
    /// `None`: the operator must say where it is.
    pub base_url: Option<&'static str>,
    /// The variable that holds its key, and that an environment-only start looks for.
    pub variable: Option<&'static str>,
    pub key: KeyPlace,
    pub key_required: bool,
    /// Does it take `stream_options.include_usage`?
    pub stream_options: bool,
    pub max_field: MaxField,
    /// Does it speak `/responses` itself?
    pub responses: bool,
    /// Does it run where the operator does?
    pub local: bool,
}

const HOSTED: Preset = Preset {
    name: "custom",
    kind: Kind::Custom,
    protocol: Protocol::Chat,
    base_url: None,
    variable: None,
    key: KeyPlace::Bearer,
    key_required: true,
    stream_options: true,
    max_field: MaxField::MaxTokens,
    responses: false,
    local: false,
};
const LOCAL: Preset = Preset { key_required: false, local: true, ..HOSTED };

/// Every preset. Facts, not policy: a provider in the directory may say otherwise.
pub static PRESETS: &[Preset] = &[
    Preset {
        name: "openai",
        kind: Kind::OpenAi,
        base_url: Some("https://api.openai.com/v1"),
        variable: Some("OPENAI_API_KEY"),
        max_field: MaxField::MaxCompletionTokens,
        responses: true,
        ..HOSTED
    },
    Preset {
        name: "anthropic",
        kind: Kind::Anthropic,
        protocol: Protocol::Messages,
        base_url: Some("https://api.anthropic.com/v1"),
        variable: Some("ANTHROPIC_API_KEY"),
        key: KeyPlace::XApiKey,
        ..HOSTED
    },
    Preset {
        name: "google",
        kind: Kind::Google,
        protocol: Protocol::Gemini,
        base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
        variable: Some("GEMINI_API_KEY"),
        key: KeyPlace::GoogApiKey,
        ..HOSTED
    },
    Preset {
        name: "azure-openai",
        kind: Kind::AzureOpenAi,
        variable: Some("AZURE_OPENAI_API_KEY"),
        key: KeyPlace::ApiKey,
        max_field: MaxField::MaxCompletionTokens,
        responses: true,
        ..HOSTED
    },
    Preset {
        name: "bedrock",
        kind: Kind::Bedrock,
        protocol: Protocol::Bedrock,
        variable: Some("AWS_BEARER_TOKEN_BEDROCK"),
        key: KeyPlace::SigV4,
        ..HOSTED
    },
    Preset {
        name: "openrouter",
        kind: Kind::OpenRouter,
        base_url: Some("https://openrouter.ai/api/v1"),
        variable: Some("OPENROUTER_API_KEY"),
        responses: true,
        ..HOSTED
    },
    Preset { name: "xai", base_url: Some("https://api.x.ai/v1"), variable: Some("XAI_API_KEY"), ..HOSTED },
    Preset {
        name: "deepseek",
        base_url: Some("https://api.deepseek.com/v1"),
        variable: Some("DEEPSEEK_API_KEY"),
        ..HOSTED
    },
    Preset {
        name: "mistral",
        base_url: Some("https://api.mistral.ai/v1"),
        variable: Some("MISTRAL_API_KEY"),
        stream_options: false,
        ..HOSTED
    },
    Preset {
        name: "groq",
        base_url: Some("https://api.groq.com/openai/v1"),
        variable: Some("GROQ_API_KEY"),
        max_field: MaxField::MaxCompletionTokens,
        ..HOSTED
    },
    Preset {
        name: "together",
        base_url: Some("https://api.together.xyz/v1"),
        variable: Some("TOGETHER_API_KEY"),
        ..HOSTED
    },
    Preset {
        name: "fireworks",
        base_url: Some("https://api.fireworks.ai/inference/v1"),
        variable: Some("FIREWORKS_API_KEY"),
        ..HOSTED
    },
    Preset {
        name: "cerebras",
        base_url: Some("https://api.cerebras.ai/v1"),
        variable: Some("CEREBRAS_API_KEY"),
        max_field: MaxField::MaxCompletionTokens,
        ..HOSTED
    },
    Preset {
        name: "perplexity",
        base_url: Some("https://api.perplexity.ai"),
        variable: Some("PERPLEXITY_API_KEY"),
        stream_options: false,
        ..HOSTED
    },
    Preset {
        name: "cohere",
        base_url: Some("https://api.cohere.ai/compatibility/v1"),
        variable: Some("COHERE_API_KEY"),
        ..HOSTED
    },
    Preset { name: "ollama", base_url: Some("http://127.0.0.1:11434/v1"), ..LOCAL },
    Preset { name: "vllm", base_url: Some("http://127.0.0.1:8000/v1"), ..LOCAL },
    Preset { name: "llama-cpp", kind: Kind::LlamaCpp, base_url: Some("http://127.0.0.1:8080/v1"), ..LOCAL },
    Preset { name: "lm-studio", base_url: Some("http://127.0.0.1:1234/v1"), ..LOCAL },
    Preset { name: "custom", ..HOSTED },
    Preset {
        name: "agent-sdk",
        kind: Kind::AgentSdk,
        protocol: Protocol::Messages,
        key: KeyPlace::Nowhere,
        key_required: false,
        local: true,
        ..HOSTED
    },
];

/// The preset of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Google,
        Self::AzureOpenAi,
        Self::Bedrock,
        Self::OpenRouter,
        Self::LlamaCpp,
        Self::Custom,
        Self::AgentSdk,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Google => "google",
            Self::AzureOpenAi => "azure-openai",
            Self::Bedrock => "bedrock",
            Self::OpenRouter => "openrouter",
            Self::LlamaCpp => "llama-cpp",
            Self::Custom => "custom",
            Self::AgentSdk => "agent-sdk",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::BaseUrl;

    #[test]
    fn every_kind_has_a_preset_of_its_own_name_and_every_base_url_is_one() {
        for kind in Kind::ALL {
            assert_eq!(preset(kind.name()).map(|preset| preset.kind), Some(kind));
        }
        for preset in PRESETS {
            assert!(preset.base_url.is_none_or(|url| url.parse::<BaseUrl>().is_ok()), "{}", preset.name);
        }
    }

    #[test]
    fn no_two_presets_share_a_name_or_a_variable() {
        for (index, preset) in PRESETS.iter().enumerate() {
            let later = &PRESETS[index + 1..];
            assert!(later.iter().all(|other| other.name != preset.name), "{}", preset.name);
            assert!(preset.variable.is_none() || later.iter().all(|other| other.variable != preset.variable));
        }
    }
}
