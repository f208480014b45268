//! Reads a list of many providers' prices by model, as the community keeps one: an object of models by name, each with its
//! provider and its costs in dollars a unit.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::per_million;
use super::models::{count, text};
use crate::domain::found::{FoundModel, ListedPrice};
use crate::domain::prices::Prices;
use crate::protocol::scan::fault_of_model;

/// Their word for a provider, our preset, and whether it stands before their model ids.
const PROVIDERS: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("gemini", "google"),
    ("azure", "azure-openai"),
    ("bedrock", "bedrock"),
    ("bedrock_converse", "bedrock"),
    ("openrouter", "openrouter"),
    ("xai", "xai"),
    ("deepseek", "deepseek"),
    ("mistral", "mistral"),
    ("groq", "groq"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("cerebras", "cerebras"),
    ("perplexity", "perplexity"),
    ("cohere_chat", "cohere"),
];

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    litellm_provider: Option<&'a RawValue>,
    input_cost_per_token: Option<&'a RawValue>,
    output_cost_per_token: Option<&'a RawValue>,
    cache_read_input_token_cost: Option<&'a RawValue>,
    cache_creation_input_token_cost: Option<&'a RawValue>,
    cache_creation_input_token_cost_above_1hr: Option<&'a RawValue>,
    output_cost_per_reasoning_token: Option<&'a RawValue>,
    input_cost_per_audio_token: Option<&'a RawValue>,
    output_cost_per_audio_token: Option<&'a RawValue>,
    max_input_tokens: Option<&'a RawValue>,
    max_output_tokens: Option<&'a RawValue>,
}

/// Reads such a list; `None` if it is none. Models of providers without a preset, and those without a price for their
/// input, are left out.
pub fn prices(body: &[u8]) -> Option<Vec<ListedPrice>> {
    let lines: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    Some(lines.iter().filter_map(|(name, raw)| listed(name, raw)).collect())
}

fn listed(name: &str, raw: &RawValue) -> Option<ListedPrice> {
    let line: Line<'_> = serde_json::from_str(raw.get()).ok()?;
    let provider = text(line.litellm_provider)?;
    let (word, preset) = PROVIDERS.iter().find(|(word, _)| *word == provider)?;
    let id = name.strip_prefix(word).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
    if id.is_empty() || fault_of_model(id).is_some() {
        return None;
    }
    let priced = |raw| per_million(&text(raw)?);
    let prices = Prices {
        input: Some(priced(line.input_cost_per_token)?),
        output: priced(line.output_cost_per_token),
        cache_read: priced(line.cache_read_input_token_cost),
        cache_write_5m: priced(line.cache_creation_input_token_cost),
        cache_write_1h: priced(line.cache_creation_input_token_cost_above_1hr),
        reasoning: priced(line.output_cost_per_reasoning_token),
        audio_input: priced(line.input_cost_per_audio_token),
        audio_output: priced(line.output_cost_per_audio_token),
        ..Prices::default()
    };
    let model = FoundModel {
        model_id: id.to_string(),
        display_name: None,
        context_length: count(line.max_input_tokens),
        max_completion_tokens: count(line.max_output_tokens),
        prices: Some(prices),
    };
    Some(ListedPrice { preset, model })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_providers_model_with_its_prices_a_million() {
        let list = br#"{"sample_spec":{"litellm_provider":"one of those above","input_cost_per_token":0.0},
            "gpt-x":{"litellm_provider":"openai","input_cost_per_token":2.5e-06,"output_cost_per_token":1e-05,"cache_read_input_token_cost":1.25e-06,
              "max_input_tokens":128000,"max_output_tokens":16384,"mode":"chat"},
            "groq/llama":{"litellm_provider":"groq","input_cost_per_token":5.9e-7,"max_input_tokens":"8k"},
            "image-x":{"litellm_provider":"openai","output_cost_per_image":0.04},
            "far/model":{"litellm_provider":"somebody","input_cost_per_token":1}}"#;
        let read = prices(list).unwrap();
        let said: Vec<_> = read.iter().map(|line| (line.preset, line.model.model_id.as_str())).collect();
        assert_eq!(said, [("openai", "gpt-x"), ("groq", "llama")]);
        let money = |text: &str| text.parse().ok();
        let expected =
            Prices { input: money("2.5"), output: money("10"), cache_read: money("1.25"), ..Prices::default() };
        assert_eq!((&read[0].model.prices, read[0].model.context_length), (&Some(expected), Some(128_000)));
        assert_eq!(read[1].model.prices, Some(Prices { input: money("0.59"), ..Prices::default() }));
        assert_eq!(prices(b"[]"), None);
    }
}
