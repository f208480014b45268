//! What a provider says that it has, taken into the directory: its models, and what they cost.
//!
//! Whoever asked the provider hands its answer in. Nothing that somebody registered by hand is changed but its price, a
//! model that the provider no longer names stays until somebody deletes it, and prices never change what earlier calls
//! cost. Each can be looked at before it is taken.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::error::DirectoryError;
use super::known::Known;
use super::models::{PriceLine, checked};
use super::providers::part_of;
use super::{Access, Turn, moment};
use crate::domain::entity::{Credential, Model, Owner, Provider, Source};
use crate::domain::found::FoundModel;
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::prices::{DatedPrices, Prices};
use crate::domain::time::Timestamp;
use crate::store::Previous;

/// Is what was found only looked at?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    Preview,
    Apply,
}

/// How a provider's models differ from those that it was found to have.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Discovered {
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    pub provider: String,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub discovered_at: Timestamp,
    /// Model ids that are new.
    pub added: Vec<String>,
    /// Those of which the provider now says something else than when they were discovered.
    pub changed: Vec<String>,
    /// Discovered once, and no longer named by the provider. They stay.
    pub gone: Vec<String>,
    /// Those that can't be taken, and why.
    pub refused: Vec<Unfit>,
    /// As many as the provider named.
    pub found: usize,
}

/// A model that the directory's rules keep out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unfit {
    pub model_id: String,
    pub why: String,
}

/// How models' prices differ from those that were found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repriced {
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    pub provider: String,
    pub changes: Vec<PriceDifference>,
    /// Models of which no price was found. They keep what they have.
    pub unpriced: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceDifference {
    pub model_id: String,
    pub from: PriceLine,
    pub to: PriceLine,
}

/// The provider, and the credential of its owner that it is asked with: the newest of several. Only whoever may manage its
/// models may have it asked.
pub async fn whom_to_ask(
    access: &Access,
    provider: Id<Provider>,
) -> Result<(Provider, Option<Arc<Credential>>), DirectoryError> {
    let stored = access.load(part_of(access, provider).await?).await?;
    let known = access.known(&stored);
    let provider = known.any_provider(provider)?;
    known.may(Permission::AIModelManage, provider.owner)?;
    let own =
        known.credentials().filter(|one| one.provider == provider.id && one.owner == provider.owner && one.active);
    let newest = own.max_by_key(|one| (one.updated_at, one.id));
    Ok((provider.clone(), newest.cloned().map(Arc::new)))
}

/// The providers of the platform, whose models a list may price, each with its preset's name.
pub async fn priced_providers(access: &Access) -> Result<Vec<(&'static str, Id<Provider>)>, DirectoryError> {
    let stored = access.load(access.catalogue(Owner::Platform)).await?;
    let known = access.known(&stored);
    known.may(Permission::AIModelManage, Owner::Platform)?;
    let of_platform = known.providers_for(Owner::Platform).filter(|one| one.owner == Owner::Platform);
    Ok(of_platform.map(|one| (one.facts().name, one.id)).collect())
}

/// Takes the models that a provider was found to have.
pub async fn discover(
    access: &Access,
    provider: Id<Provider>,
    found: Arc<[FoundModel]>,
    taking: Taking,
) -> Result<Discovered, DirectoryError> {
    let rule = move |turn: &mut Turn<'_>| taken(turn, provider, &found);
    run(access, provider, "discover", taking, rule).await
}

/// Takes the prices that were found of a provider's models.
pub async fn reprice(
    access: &Access,
    provider: Id<Provider>,
    found: Arc<[FoundModel]>,
    taking: Taking,
) -> Result<Repriced, DirectoryError> {
    let rule = move |turn: &mut Turn<'_>| repriced(turn, provider, &found);
    run(access, provider, "sync prices", taking, rule).await
}

/// One rule, run on the directory or on a copy of it that nobody keeps.
async fn run<T: Send + 'static>(
    access: &Access,
    provider: Id<Provider>,
    action: &'static str,
    taking: Taking,
    rule: impl FnOnce(&mut Turn<'_>) -> Result<T, DirectoryError> + Send + 'static,
) -> Result<T, DirectoryError> {
    let part = part_of(access, provider).await?;
    match taking {
        Taking::Apply => {
            let entity = format!("models of provider {provider}");
            access.change(Previous::Keep, action, entity, part, move |mut turn: Turn<'_>| rule(&mut turn)).await
        }
        Taking::Preview => {
            let mut copy = access.load(part).await?;
            let (declared, actor, keyring) = (&*access.declared, &access.actor, &**access.store.keyring());
            rule(&mut Turn { stored: &mut copy, declared, actor, keyring, now: Timestamp::now() })
        }
    }
}

fn managed(known: Known<'_>, id: Id<Provider>) -> Result<&Provider, DirectoryError> {
    let provider = known.any_provider(id)?;
    known.may(Permission::AIModelManage, provider.owner).map(|()| provider)
}

fn taken(turn: &mut Turn<'_>, id: Id<Provider>, found: &[FoundModel]) -> Result<Discovered, DirectoryError> {
    let provider = managed(turn.known(), id)?.clone();
    let now = turn.now;
    let known: HashMap<String, Model> =
        turn.known().models_of(id).map(|one| (one.model_id.clone(), one.clone())).collect();
    let mut discovered = Discovered {
        provider_id: id,
        provider: provider.name.clone(),
        discovered_at: now,
        added: Vec::new(),
        changed: Vec::new(),
        gone: Vec::new(),
        refused: Vec::new(),
        found: found.len(),
    };
    for one in found {
        match known.get(&one.model_id) {
            None => match new(turn, &provider, one) {
                Ok(()) => discovered.added.push(one.model_id.clone()),
                Err(why) => discovered.refused.push(Unfit { model_id: one.model_id.clone(), why: why.to_string() }),
            },
            Some(old) if old.source == Source::Discovered && says(old, one) != *old => {
                let model = Model { updated_at: now, ..says(old, one) };
                turn.stored.models.retain(|one| one.id != model.id);
                turn.stored.models.push(model);
                discovered.changed.push(one.model_id.clone());
            }
            Some(_) => {}
        }
    }
    let is_found = |model: &Model| found.iter().any(|one| one.model_id == model.model_id);
    let gone = known.values().filter(|one| one.source == Source::Discovered && !is_found(one));
    discovered.gone = gone.map(|one| one.model_id.clone()).collect();
    discovered.gone.sort_unstable();
    // What gateway.toml declares is not ours to write into.
    for one in turn.stored.providers.iter_mut().filter(|one| one.id == id) {
        one.discovered_at = Some(now);
    }
    Ok(discovered)
}

fn new(turn: &mut Turn<'_>, provider: &Provider, found: &FoundModel) -> Result<(), DirectoryError> {
    let model = Model::new(Id::random(), provider.id, &found.model_id, turn.now);
    let mut model = Model { source: Source::Discovered, discovered_at: Some(turn.now), ..says(&model, found) };
    if let Some(prices) = &found.prices {
        model.prices.change(DatedPrices { from: turn.now, prices: prices.clone() });
    }
    checked(turn.known(), &model, provider)?;
    model.number = Some(turn.stored.number());
    turn.stored.models.push(model);
    Ok(())
}

/// A model with what the provider says of it; what it does not say stays as it is.
fn says(model: &Model, found: &FoundModel) -> Model {
    Model {
        display_name: found.display_name.clone().or_else(|| model.display_name.clone()),
        context_length: found.context_length.or(model.context_length),
        max_completion_tokens: found.max_completion_tokens.or(model.max_completion_tokens),
        ..model.clone()
    }
}

fn repriced(turn: &mut Turn<'_>, id: Id<Provider>, found: &[FoundModel]) -> Result<Repriced, DirectoryError> {
    let provider = managed(turn.known(), id)?;
    let mut repriced =
        Repriced { provider_id: id, provider: provider.name.clone(), changes: Vec::new(), unpriced: Vec::new() };
    let prices: HashMap<&str, &Prices> =
        found.iter().filter_map(|one| Some((one.model_id.as_str(), one.prices.as_ref()?))).collect();
    let now = turn.now;
    let living = |one: &&mut Model| one.provider == id && one.deleted_at.is_none();
    for model in turn.stored.models.iter_mut().filter(living) {
        let Some(listed) = prices.get(model.model_id.as_str()) else {
            repriced.unpriced.push(model.model_id.clone());
            continue;
        };
        let old = model.prices.at(now).cloned().unwrap_or_default();
        let new = over(&old, listed);
        if new != old {
            let (from, to) = (PriceLine::from(&old), PriceLine::from(&new));
            repriced.changes.push(PriceDifference { model_id: model.model_id.clone(), from, to });
            model.prices.change(DatedPrices { from: now, prices: new });
            model.updated_at = now;
        }
    }
    repriced.changes.sort_by(|a, b| a.model_id.cmp(&b.model_id));
    repriced.unpriced.sort_unstable();
    Ok(repriced)
}

/// Listed prices over the old ones. A bucket that a list says nothing of keeps its price.
fn over(old: &Prices, listed: &Prices) -> Prices {
    Prices {
        input: listed.input.or(old.input),
        output: listed.output.or(old.output),
        cache_read: listed.cache_read.or(old.cache_read),
        cache_write_5m: listed.cache_write_5m.or(old.cache_write_5m),
        cache_write_1h: listed.cache_write_1h.or(old.cache_write_1h),
        reasoning: listed.reasoning.or(old.reasoning),
        audio_input: listed.audio_input.or(old.audio_input),
        audio_output: listed.audio_output.or(old.audio_output),
        per_request: listed.per_request.or(old.per_request),
        tiers: old.tiers.clone(),
    }
}
