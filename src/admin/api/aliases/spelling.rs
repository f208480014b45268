//! What other products call kinds of providers and protocols.

use crate::admin::api::problem::Problem;
use crate::domain::nearest::nearest;
use crate::domain::preset::{Kind, Preset, preset};
use crate::domain::protocol::Protocol;

/// Names that are none of ours, in small letters without signs and blanks.
const SPELT: [(&str, &str); 10] = [
    ("localllamacpp", "llama-cpp"),
    ("llamacpp", "llama-cpp"),
    ("anthropicagentsdk", "agent-sdk"),
    ("azureopenai", "azure-openai"),
    ("azure", "azure-openai"),
    ("googleaistudio", "google"),
    ("gemini", "google"),
    ("awsbedrock", "bedrock"),
    ("openaicompatible", "custom"),
    ("lmstudio", "lm-studio"),
];

/// A kind of provider as any of these products spells it: `LocalLlamaCpp`, `Google AI Studio`, `azure-openai`.
pub(super) fn preset_called(text: &str) -> Option<&'static Preset> {
    let bare: String = text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_ascii_lowercase();
    let ours = SPELT.iter().find(|(theirs, _)| *theirs == bare).map(|(_, ours)| *ours);
    preset(text).or_else(|| preset(ours.unwrap_or(&bare)))
}

pub(super) fn kind(field: &'static str, text: &str) -> Result<&'static Preset, Problem> {
    let known = ["OpenRouter", "LocalLlamaCpp", "Anthropic", "OpenAI", "Custom", "Google", "AzureOpenAI", "Bedrock"];
    preset_called(text).ok_or_else(|| {
        let remedy = match nearest(text, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.join(", ")),
        };
        Problem::field(field, format!("`{text}` is no kind of provider")).with_remedy(remedy)
    })
}

pub(super) const fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::OpenAi => "OpenAI",
        Kind::Anthropic => "Anthropic",
        Kind::Google => "Google",
        Kind::AzureOpenAi => "AzureOpenAI",
        Kind::Bedrock => "Bedrock",
        Kind::OpenRouter => "OpenRouter",
        Kind::LlamaCpp => "LocalLlamaCpp",
        Kind::Custom => "Custom",
        Kind::AgentSdk => "AnthropicAgentSdk",
    }
}

/// A protocol by the name of who made it.
pub(super) const fn adapter(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Chat | Protocol::Responses => "openai",
        Protocol::Messages => "anthropic",
        Protocol::Gemini => "gemini",
        Protocol::Bedrock => "bedrock",
    }
}

/// The protocol of such a name, and the preset that a provider has of which nothing else is known.
pub(super) fn protocol(field: &'static str, text: &str) -> Result<(Protocol, &'static Preset), Problem> {
    let (protocol, of) = match text.to_ascii_lowercase().as_str() {
        "openai" | "openai-compatible" | "custom" => (Protocol::Chat, "custom"),
        "anthropic" => (Protocol::Messages, "anthropic"),
        "gemini" | "google" => (Protocol::Gemini, "google"),
        _ => {
            let problem = Problem::field(field, format!("`{text}` is no protocol"));
            return Err(problem.with_remedy("there are openai, anthropic and gemini"));
        }
    };
    let missing = || Problem::field(field, format!("`{text}` has no preset"));
    Ok((protocol, preset(of).ok_or_else(missing)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_in_the_documents_is_one_of_our_presets() {
        for (theirs, ours) in [
            ("anthropic", "anthropic"),
            ("Azure OpenAI", "azure-openai"),
            ("azure-openai", "azure-openai"),
            ("custom", "custom"),
            ("google", "google"),
            ("Google AI Studio", "google"),
            ("xai", "xai"),
            ("deepseek", "deepseek"),
            ("AWS Bedrock", "bedrock"),
            ("OpenRouter", "openrouter"),
            ("LocalLlamaCpp", "llama-cpp"),
            ("OpenAI", "openai"),
            ("Custom", "custom"),
            ("AnthropicAgentSdk", "agent-sdk"),
        ] {
            assert_eq!(preset_called(theirs).map(|preset| preset.name), Some(ours), "{theirs}");
        }
        assert!(SPELT.iter().all(|(_, ours)| preset(ours).is_some()));
        assert_eq!(kind("type", "OpenRoute").unwrap_err().remedy.as_deref(), Some("did you mean `OpenRouter`?"));
    }

    #[test]
    fn every_type_that_is_shown_is_read_back() {
        for kind in Kind::ALL {
            assert_eq!(preset_called(type_name(kind)).map(|preset| preset.kind), Some(kind));
        }
    }
}
