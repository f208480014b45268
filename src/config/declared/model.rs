//! Declared models and their prices.

use super::{AT_LEAST_ONE, Declaring, limits};
use crate::config::read::Value;
use crate::config::table::{Table, Written};
use crate::domain::entity::{Hydration, Model, ModelDefaults, Source};
use crate::domain::id::Id;
use crate::domain::model_name;
use crate::domain::prices::{PriceHistory, Prices, Tier};

pub(super) fn model(table: &mut Table<'_>, declaring: &mut Declaring<'_>) -> Option<()> {
    let provider = table.required("provider", "\"openai\"", |value| declaring.providers.find(value));
    let model_id = table.required("id", "\"gpt-4o-mini\"", model_name);
    let display_name = table.get("display_name", Value::text);
    let context_length = table.get("context_length", |value| value.number(AT_LEAST_ONE));
    let max_completion_tokens = table.get("max_completion_tokens", |value| value.number(AT_LEAST_ONE));
    let timeout = table.get("timeout", Value::duration);
    let (local, local_path) = (table.flag("local", false), table.get("local_path", Value::text));
    let approved_for_agent = table.flag("approved_for_agent", false);
    let approved_for_chat = table.flag("approved_for_chat", true);
    let (defaults, hydration) = (defaults(table), hydration(table, declaring));
    let prices = prices(table);
    let capabilities = table.list("capabilities", Value::text);
    let enabled = table.flag("enabled", true);
    let limits = limits(table);
    let (provider, model_id) = (provider?, model_id?);
    let id = Id::declared("model", &format!("{provider}/{}", model_id.value));
    if declaring.directory.models.iter().any(|model| model.id == id) {
        let what = format!("there are two [[model]] with the id `{}` for one provider", model_id.value);
        table.reader.problem(model_id.at, what, "remove one of them".into());
    }
    declaring.directory.models.push(Model {
        id,
        number: None,
        provider,
        model_id: model_id.value,
        display_name,
        context_length,
        max_completion_tokens,
        timeout,
        limits,
        local,
        local_path,
        defaults,
        approved_for_agent,
        approved_for_chat,
        hydration,
        prices,
        capabilities,
        enabled,
        source: Source::Registered,
        discovered_at: None,
        created_at: declaring.now,
        updated_at: declaring.now,
        deleted_at: None,
        declared: true,
    });
    Some(())
}

/// What a client may name as a model: the same bounds as for a call's `model`.
pub(super) fn model_name(value: &Value<'_>) -> Option<Written<String>> {
    let name = value.written()?;
    if !model_name::is_one(&name.value) {
        return value.wrong("can't be a model's name", "use 1 to 512 bytes without control characters and `..`");
    }
    Some(name)
}

fn defaults(table: &mut Table<'_>) -> ModelDefaults {
    ModelDefaults {
        temperature: table.get("temperature", Value::decimal),
        max_tokens: table.get("max_tokens", |value| value.number(AT_LEAST_ONE)),
        system_prompt: table.get("system_prompt", Value::text_or_file),
    }
}

fn hydration(table: &mut Table<'_>, declaring: &Declaring<'_>) -> Option<Hydration> {
    let enabled = table.flag("enable_hydration", true);
    let identity = table.get("hydration_identity", |value| declaring.identities.find(value))?;
    Some(Hydration { enabled, identity })
}

/// Without any price stated the history is empty: unknown is not zero.
fn prices(table: &mut Table<'_>) -> PriceHistory {
    let mut prices = buckets(table);
    prices.per_request = table.get("request_cost", Value::money);
    prices.tiers = table.each("tiers", tier).into_iter().flatten().collect();
    prices.tiers.sort_by_key(|tier| tier.above);
    if prices == Prices::default() { PriceHistory::default() } else { PriceHistory::always(prices) }
}

fn tier(table: &mut Table<'_>) -> Option<Tier> {
    let above = table.required("above", "200000", |value| value.number(AT_LEAST_ONE));
    let prices = buckets(table);
    Some(Tier { above: above?, prices })
}

fn buckets(table: &mut Table<'_>) -> Prices {
    Prices {
        input: table.get("input_cost", Value::money),
        output: table.get("output_cost", Value::money),
        cache_read: table.get("cache_read_cost", Value::money),
        cache_write_5m: table.get("cache_write_5m_cost", Value::money),
        cache_write_1h: table.get("cache_write_1h_cost", Value::money),
        reasoning: table.get("reasoning_cost", Value::money),
        audio_input: table.get("audio_input_cost", Value::money),
        audio_output: table.get("audio_output_cost", Value::money),
        ..Prices::default()
    }
}
