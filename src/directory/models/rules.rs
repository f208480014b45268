//! What must hold of a model, whoever registers or changes it.

use std::time::Duration;

use crate::directory::error::{self, DirectoryError};
use crate::directory::known::Known;
use crate::domain::entity::{Model, Owner, Provider, Route, RouteKind};
use crate::domain::money::Nanodollars;
use crate::domain::prices::Prices;
use crate::domain::time::Timestamp;

/// A system prompt is sent with every call that has none of its own.
const PROMPT_MAX: usize = 64 * 1024;
/// As long as a file's path may be.
const PATH_MAX: usize = 4_096;
/// Words about what it can do; more is a document.
const CAPABILITIES_MAX: usize = 64;

/// Lengths at which a model's prices change; the longest list that a provider has holds two.
const TIERS_MAX: usize = 16;
/// A call that takes longer is no call.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Every rule about the model as it is to be.
pub(in crate::directory) fn checked(
    known: Known<'_>,
    model: &Model,
    provider: &Provider,
) -> Result<(), DirectoryError> {
    error::model_id("the model id", &model.model_id).map_err(|error| error.at("modelId"))?;
    unique(known, model)?;
    shadows_no_role(known, model, provider)?;
    if let Some(name) = &model.display_name {
        error::label("the display name", name).map_err(|error| error.at("displayName"))?;
    }
    at_least_one("the context length", "contextLength", model.context_length)?;
    at_least_one("the most completion tokens", "maxCompletionTokens", model.max_completion_tokens)?;
    at_least_one("the default of max tokens", "maxTokens", model.defaults.max_tokens)?;
    if model.timeout.is_some_and(|timeout| timeout.is_zero() || timeout > TIMEOUT_MAX) {
        let remedy = "write for example 120 s";
        return Err(DirectoryError::invalid("the timeout", "is zero or longer than a day", remedy).at("timeoutMs"));
    }
    bounded("the local path", "localPath", model.local_path.as_deref(), PATH_MAX)?;
    bounded("the system prompt", "systemPrompt", model.defaults.system_prompt.as_deref(), PROMPT_MAX)?;
    temperature(model.defaults.temperature.as_deref())?;
    capabilities(&model.capabilities)?;
    prices_are_sound(model)?;
    identity(known, model, provider.owner)
}

fn unique(known: Known<'_>, model: &Model) -> Result<(), DirectoryError> {
    match known.models_of(model.provider).any(|one| one.id != model.id && one.model_id == model.model_id) {
        true => Err(DirectoryError::Exists { kind: "a model", name: model.model_id.clone() }),
        false => Ok(()),
    }
}

/// An exact model id comes before a role of its name, so a new model would take the role's calls.
fn shadows_no_role(known: Known<'_>, model: &Model, provider: &Provider) -> Result<(), DirectoryError> {
    let qualified = format!("{}:{}", provider.prefix, model.model_id);
    let mut routes = known.stored.routes.iter().chain(&known.declared.routes);
    let visible = |owner: Owner| owner == Owner::Platform || owner == provider.owner;
    let is_role = |one: &Route| one.kind == RouteKind::Role && one.deleted_at.is_none() && visible(one.owner);
    match routes.any(|one| is_role(one) && (one.name == model.model_id || one.name == qualified)) {
        true => Err(DirectoryError::invalid(
            "the model id",
            "is the name of a role, whose calls it would take",
            "rename the role's routes first",
        )
        .at("modelId")),
        false => Ok(()),
    }
}

fn at_least_one(what: &'static str, field: &'static str, number: Option<u64>) -> Result<(), DirectoryError> {
    match number {
        Some(0) => Err(DirectoryError::invalid(what, "is 0", "write at least 1, or leave it out").at(field)),
        _ => Ok(()),
    }
}

fn bounded(what: &'static str, field: &'static str, text: Option<&str>, most: usize) -> Result<(), DirectoryError> {
    match text.is_some_and(|text| text.len() > most || text.contains('\0')) {
        true => {
            let remedy = format!("use at most {most} bytes and no NUL");
            Err(DirectoryError::invalid(what, "is too long", remedy).at(field))
        }
        false => Ok(()),
    }
}

fn temperature(number: Option<&str>) -> Result<(), DirectoryError> {
    match number.is_none_or(|text| serde_json::from_str::<serde_json::Number>(text).is_ok()) {
        true => Ok(()),
        false => {
            Err(DirectoryError::invalid("the temperature", "is no number", "write for example 0.7").at("temperature"))
        }
    }
}

fn capabilities(words: &[String]) -> Result<(), DirectoryError> {
    if words.len() > CAPABILITIES_MAX {
        let remedy = format!("name at most {CAPABILITIES_MAX}");
        return Err(DirectoryError::invalid("the list of capabilities", "is too long", remedy).at("capabilities"));
    }
    words.iter().try_for_each(|word| error::name("a capability", word)).map_err(|error| error.at("capabilities"))
}

fn prices_are_sound(model: &Model) -> Result<(), DirectoryError> {
    // Those written just now hold from now on, so they are the last.
    let Some(prices) = model.prices.at(Timestamp(i64::MAX)) else { return Ok(()) };
    let wrong = |what, why, remedy: String| Err(DirectoryError::invalid(what, why, remedy).at("prices"));
    if std::iter::once(prices).chain(prices.tiers.iter().map(|tier| &tier.prices)).any(has_a_negative) {
        return wrong("a price", "is negative", "write 0 or more".into());
    }
    if prices.tiers.len() > TIERS_MAX {
        return wrong("the list of tiers", "is too long", format!("name at most {TIERS_MAX}"));
    }
    if prices.tiers.iter().any(|tier| tier.above == 0)
        || prices.tiers.windows(2).any(|pair| pair[0].above == pair[1].above)
    {
        let remedy = "let each begin above another length, of 1 or more";
        return wrong("the list of tiers", "names a length twice, or none", remedy.into());
    }
    Ok(())
}

fn has_a_negative(prices: &Prices) -> bool {
    let Prices {
        input,
        output,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        reasoning,
        audio_input,
        audio_output,
        per_request,
        // Each is looked at by itself.
        tiers: _,
    } = prices;
    let all =
        [input, output, cache_read, cache_write_5m, cache_write_1h, reasoning, audio_input, audio_output, per_request];
    all.into_iter().flatten().any(|price| *price < Nanodollars(0))
}

/// Its text is the platform's or the same owner's.
fn identity(known: Known<'_>, model: &Model, owner: Owner) -> Result<(), DirectoryError> {
    let Some(hydration) = &model.hydration else { return Ok(()) };
    let mut all = known.stored.identities.iter().chain(&known.declared.identities);
    let fits = |of: Owner| of == owner || of == Owner::Platform;
    match all.any(|one| one.id == hydration.identity && fits(one.owner)) {
        true => Ok(()),
        false => {
            let name = hydration.identity.to_string();
            Err(DirectoryError::NotFound { kind: "identity", name, hint: String::new() })
        }
    }
}
