//! Models: what each provider has, as somebody registered it or as the provider said.
//!
//! Whoever manages a provider manages its models. Deleting one hides it and destroys nothing; its price history stays for
//! the calls that it priced.

mod line;
mod rules;

use std::time::Duration;

pub use self::line::{ModelLine, PriceLine};

pub(super) use self::line::line;

use self::rules::checked;
use super::credentials::assign;
use super::error::DirectoryError;
use super::known::Known;
use super::providers::part_of;
use super::{Access, Turn};
use crate::domain::entity::{Hydration, Identity, Model, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::money::Nanodollars;
use crate::domain::permission::Permission;
use crate::domain::prices::{DatedPrices, Prices};
use crate::domain::time::Timestamp;
use crate::store::{Need, Previous};

/// What is to be otherwise. `None` leaves a thing as it is; `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct ModelChange {
    pub model_id: Option<String>,
    pub display_name: Option<Option<String>>,
    pub context_length: Option<Option<u64>>,
    pub max_completion_tokens: Option<Option<u64>>,
    pub timeout: Option<Option<Duration>>,
    pub limits: Option<Limits>,
    pub local: Option<bool>,
    pub local_path: Option<Option<String>>,
    /// A JSON number as written.
    pub temperature: Option<Option<String>>,
    pub max_tokens: Option<Option<u64>>,
    pub system_prompt: Option<Option<String>>,
    pub approved_for_agent: Option<bool>,
    pub approved_for_chat: Option<bool>,
    pub enable_hydration: Option<bool>,
    pub hydration_identity: Option<Option<Id<Identity>>>,
    pub prices: PriceChange,
    pub capabilities: Option<Vec<String>>,
    pub enabled: Option<bool>,
}

/// Prices that are to be otherwise from now on. Earlier calls keep what they cost.
#[derive(Clone, Debug, Default)]
pub struct PriceChange {
    pub input: Option<Option<Nanodollars>>,
    pub output: Option<Option<Nanodollars>>,
    pub cache_read: Option<Option<Nanodollars>>,
    pub cache_write_5m: Option<Option<Nanodollars>>,
    pub cache_write_1h: Option<Option<Nanodollars>>,
    pub reasoning: Option<Option<Nanodollars>>,
    pub audio_input: Option<Option<Nanodollars>>,
    pub audio_output: Option<Option<Nanodollars>>,
    pub per_request: Option<Option<Nanodollars>>,
}

impl PriceChange {
    fn apply(self, prices: &mut Prices) {
        assign(&mut prices.input, self.input);
        assign(&mut prices.output, self.output);
        assign(&mut prices.cache_read, self.cache_read);
        assign(&mut prices.cache_write_5m, self.cache_write_5m);
        assign(&mut prices.cache_write_1h, self.cache_write_1h);
        assign(&mut prices.reasoning, self.reasoning);
        assign(&mut prices.audio_input, self.audio_input);
        assign(&mut prices.audio_output, self.audio_output);
        assign(&mut prices.per_request, self.per_request);
    }
}

/// Which models to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// This workspace's own beside the platform's.
    pub workspace: Option<Id<Workspace>>,
    pub provider: Option<Id<Provider>>,
    /// Only those that are enabled, of providers that are.
    pub enabled_only: bool,
}

/// The models of the platform's providers and of a workspace's own, by provider as calls prefer them, then by id.
pub async fn list(access: &Access, filter: Filter) -> Result<Vec<ModelLine>, DirectoryError> {
    let owner = filter.workspace.map_or(Owner::Platform, Owner::Workspace);
    let part = filter.provider.map_or_else(|| access.catalogue(owner), |id| Need::Provider(id).into());
    let stored = access.load(part).await?;
    let known = access.known(&stored);
    let mut providers: Vec<&Provider> = match filter.provider {
        Some(id) => {
            let found = known.any_provider(id)?;
            known.may_see(Permission::AIModelView, found.owner)?;
            vec![found]
        }
        None => {
            known.may_see(Permission::AIModelView, owner)?;
            known.providers_for(owner).collect()
        }
    };
    providers.retain(|one| one.enabled || !filter.enabled_only);
    providers.sort_by_key(|one| (one.priority, one.id));
    let lines = providers.into_iter().flat_map(|provider| {
        let mut models: Vec<&Model> = known.models_of(provider.id).collect();
        models.retain(|one| one.enabled || !filter.enabled_only);
        models.sort_by(|a, b| (&a.model_id, a.id).cmp(&(&b.model_id, b.id)));
        models.into_iter().map(move |one| line(known, one, provider))
    });
    Ok(lines.collect())
}

pub async fn get(access: &Access, id: Id<Model>) -> Result<ModelLine, DirectoryError> {
    let stored = access.load(Need::Model(id)).await?;
    let known = access.known(&stored);
    let (model, provider) = found(known, id)?;
    known.may_see(Permission::AIModelView, provider.owner)?;
    Ok(line(known, model, provider))
}

/// Registers a model of a provider.
pub async fn create(
    access: &Access,
    provider: Id<Provider>,
    model_id: String,
    change: ModelChange,
) -> Result<ModelLine, DirectoryError> {
    let (id, part) = (Id::random(), part_of(access, provider).await?);
    let rule = move |turn: Turn<'_>| {
        let known = turn.known();
        let provider = known.any_provider(provider)?;
        known.may(Permission::AIModelManage, provider.owner)?;
        let mut model = Model::new(id, provider.id, &model_id, turn.now);
        apply(&mut model, change, turn.now)?;
        checked(known, &model, provider)?;
        model.number = Some(turn.stored.number());
        turn.stored.models.push(model);
        shown(turn.known(), id)
    };
    access.change(Previous::Keep, "create", format_args!("model {id}"), part, rule).await
}

fn apply(model: &mut Model, change: ModelChange, now: Timestamp) -> Result<(), DirectoryError> {
    assign(&mut model.model_id, change.model_id);
    assign(&mut model.display_name, change.display_name);
    assign(&mut model.context_length, change.context_length);
    assign(&mut model.max_completion_tokens, change.max_completion_tokens);
    assign(&mut model.timeout, change.timeout);
    assign(&mut model.limits, change.limits);
    assign(&mut model.local, change.local);
    assign(&mut model.local_path, change.local_path);
    assign(&mut model.defaults.temperature, change.temperature);
    assign(&mut model.defaults.max_tokens, change.max_tokens);
    assign(&mut model.defaults.system_prompt, change.system_prompt);
    assign(&mut model.approved_for_agent, change.approved_for_agent);
    assign(&mut model.approved_for_chat, change.approved_for_chat);
    assign(&mut model.capabilities, change.capabilities);
    assign(&mut model.enabled, change.enabled);
    hydrate(model, change.hydration_identity, change.enable_hydration)?;
    let old = model.prices.at(now).cloned().unwrap_or_default();
    let mut prices = old.clone();
    change.prices.apply(&mut prices);
    if prices != old {
        model.prices.change(DatedPrices { from: now, prices });
    }
    Ok(())
}

fn hydrate(
    model: &mut Model,
    identity: Option<Option<Id<Identity>>>,
    enabled: Option<bool>,
) -> Result<(), DirectoryError> {
    match identity {
        Some(None) => model.hydration = None,
        Some(Some(identity)) => {
            let was_enabled = model.hydration.is_none_or(|hydration| hydration.enabled);
            model.hydration = Some(Hydration { enabled: was_enabled, identity });
        }
        None => {}
    }
    match (enabled, &mut model.hydration) {
        (Some(enabled), Some(hydration)) => hydration.enabled = enabled,
        (Some(true), None) => {
            let remedy = "name one as hydrationIdentityId";
            return Err(DirectoryError::invalid("the hydration", "is switched on without an identity", remedy));
        }
        (Some(false) | None, _) => {}
    }
    Ok(())
}

pub async fn change(access: &Access, id: Id<Model>, change: ModelChange) -> Result<ModelLine, DirectoryError> {
    let part = part_of(access, get(access, id).await?.provider_id).await?;
    let rule = move |turn: Turn<'_>| {
        let (old, provider) = managed(turn.known(), id)?;
        let mut model = old.clone();
        apply(&mut model, change, turn.now)?;
        checked(turn.known(), &model, provider)?;
        model.updated_at = turn.now;
        turn.stored.models.retain(|one| one.id != id);
        turn.stored.models.push(model);
        shown(turn.known(), id)
    };
    access.change(Previous::Keep, "change", format_args!("model {id}"), part, rule).await
}

/// Hides a model; its id is free for another.
pub async fn delete(access: &Access, id: Id<Model>) -> Result<(), DirectoryError> {
    let rule = move |turn: Turn<'_>| {
        managed(turn.known(), id)?;
        for one in turn.stored.models.iter_mut().filter(|one| one.id == id) {
            one.deleted_at = Some(turn.now);
        }
        Ok(())
    };
    access.change(Previous::Keep, "delete", format_args!("model {id}"), Need::Model(id), rule).await
}

fn shown(known: Known<'_>, id: Id<Model>) -> Result<ModelLine, DirectoryError> {
    found(known, id).map(|(model, provider)| line(known, model, provider))
}

/// A living model of a living provider that the asker sees.
fn found<'a>(known: Known<'a>, id: Id<Model>) -> Result<(&'a Model, &'a Provider), DirectoryError> {
    let unknown = || DirectoryError::NotFound { kind: "model", name: id.to_string(), hint: String::new() };
    let model = known.models().find(|one| one.id == id).ok_or_else(unknown)?;
    let provider = known.any_provider(model.provider).map_err(|_| unknown())?;
    Ok((model, provider))
}

fn managed<'a>(known: Known<'a>, id: Id<Model>) -> Result<(&'a Model, &'a Provider), DirectoryError> {
    let (model, provider) = found(known, id)?;
    known.may(Permission::AIModelManage, provider.owner)?;
    match model.declared {
        true => Err(DirectoryError::Declared { kind: "model", name: model.model_id.clone() }),
        false => Ok((model, provider)),
    }
}
