//! Models: what each provider has, as somebody registered it or as the provider said.
//!
//! Whoever manages a provider manages its models. Deleting one hides it and destroys nothing; its price history stays for
//! the calls that it priced.

mod line;
mod rules;

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

pub use self::line::{ModelLine, PriceLine, TierLine};

pub(super) use self::line::line;

pub(super) use self::rules::checked;
use super::credentials::assign;
use super::error::DirectoryError;
use super::known::Known;
use super::limits::LimitsChange;
use super::providers::part_of;
use super::tag::Expected;
use super::{Access, Turn, milliseconds, present};
use crate::domain::change::Change;
use crate::domain::entity::{Hydration, Identity, Model, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::money::Nanodollars;
use crate::domain::permission::Permission;
use crate::domain::prices::{DatedPrices, Prices, Tier};
use crate::domain::time::Timestamp;
use crate::store::{Need, Previous};

/// What is to be otherwise. What is not stated stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"contextLength": 32_768, "approvedForAgent": true, "prices": {"input": "0.15", "output": "0.6"}}))]
pub struct ModelChange {
    /// What the provider calls it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 512)]
    pub model_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub display_name: Change<String>,
    /// In tokens. A call that is surely longer is refused without asking the provider.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub context_length: Change<u64>,
    /// What an answer may have at most; a call is never cut to it.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub max_completion_tokens: Change<u64>,
    /// Instead of the provider's.
    #[serde(default, rename = "timeoutMs", deserialize_with = "milliseconds::change")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 86_400_000)]
    pub timeout: Change<Duration>,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    pub limits: Change<LimitsChange>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub local: Option<bool>,
    /// Where its weights lie; only for people to read.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 4_096)]
    pub local_path: Change<String>,
    /// Of a call that states none. A JSON number as written.
    #[serde(default, deserialize_with = "number_as_written")]
    #[schema(value_type = Option<f64>)]
    pub temperature: Change<String>,
    /// Of a call that states none.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub max_tokens: Change<u64>,
    /// Of a call that has none.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 65_536)]
    pub system_prompt: Change<String>,
    /// May tokens of kind `agent` call it?
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub approved_for_agent: Option<bool>,
    /// May tokens of kind `chat` call it?
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub approved_for_chat: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub enable_hydration: Option<bool>,
    /// Whose text is put before the system prompt.
    #[serde(default, rename = "hydrationIdentityId")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub hydration_identity: Change<Id<Identity>>,
    #[serde(default)]
    #[schema(value_type = Option<PriceChange>)]
    pub prices: Change<PriceChange>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 64)]
    pub capabilities: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
}

/// Prices that are to be otherwise from now on, in dollars for a million units. Earlier calls keep what they cost. `null` is
/// unknown, which is not zero.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceChange {
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub input: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub output: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub cache_read: Change<Nanodollars>,
    #[serde(default, rename = "cacheWrite5m")]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub cache_write_5m: Change<Nanodollars>,
    #[serde(default, rename = "cacheWrite1h")]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub cache_write_1h: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub reasoning: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub audio_input: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub audio_output: Change<Nanodollars>,
    /// Dollars for one call.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub per_request: Change<Nanodollars>,
    /// What longer calls cost instead: these stand for all that there were.
    #[serde(default)]
    #[schema(value_type = Option<Vec<TierLine>>, max_items = 16)]
    pub tiers: Change<Vec<TierLine>>,
}

/// As text, so that no arithmetic changes it.
fn number_as_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<String>, D::Error> {
    let number: Option<serde_json::Number> = Option::deserialize(deserializer)?;
    Ok(number.map_or(Change::Clear, |number| Change::Set(number.to_string())))
}

impl PriceChange {
    fn apply(self, prices: &mut Prices) {
        self.input.apply(&mut prices.input);
        self.output.apply(&mut prices.output);
        self.cache_read.apply(&mut prices.cache_read);
        self.cache_write_5m.apply(&mut prices.cache_write_5m);
        self.cache_write_1h.apply(&mut prices.cache_write_1h);
        self.reasoning.apply(&mut prices.reasoning);
        self.audio_input.apply(&mut prices.audio_input);
        self.audio_output.apply(&mut prices.audio_output);
        self.per_request.apply(&mut prices.per_request);
        match self.tiers {
            Change::Keep => {}
            Change::Clear => prices.tiers.clear(),
            Change::Set(tiers) => {
                prices.tiers = tiers.iter().map(Tier::from).collect();
                prices.tiers.sort_by_key(|tier| tier.above);
            }
        }
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

impl Filter {
    /// All of one provider.
    pub fn of(provider: Id<Provider>) -> Self {
        Self { provider: Some(provider), ..Self::default() }
    }
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
    access.change(Previous::Keep, "create", format!("model {id}"), part, rule).await
}

fn apply(model: &mut Model, change: ModelChange, now: Timestamp) -> Result<(), DirectoryError> {
    assign(&mut model.model_id, change.model_id);
    change.display_name.apply(&mut model.display_name);
    change.context_length.apply(&mut model.context_length);
    change.max_completion_tokens.apply(&mut model.max_completion_tokens);
    change.timeout.apply(&mut model.timeout);
    LimitsChange::apply(change.limits, &mut model.limits)?;
    assign(&mut model.local, change.local);
    change.local_path.apply(&mut model.local_path);
    change.temperature.apply(&mut model.defaults.temperature);
    change.max_tokens.apply(&mut model.defaults.max_tokens);
    change.system_prompt.apply(&mut model.defaults.system_prompt);
    assign(&mut model.approved_for_agent, change.approved_for_agent);
    assign(&mut model.approved_for_chat, change.approved_for_chat);
    assign(&mut model.capabilities, change.capabilities);
    assign(&mut model.enabled, change.enabled);
    hydrate(model, change.hydration_identity, change.enable_hydration)?;
    let old = model.prices.at(now).cloned().unwrap_or_default();
    let mut prices = old.clone();
    match change.prices {
        Change::Keep => {}
        Change::Clear => prices = Prices::default(),
        Change::Set(change) => change.apply(&mut prices),
    }
    if prices != old {
        model.prices.change(DatedPrices { from: now, prices });
    }
    Ok(())
}

fn hydrate(model: &mut Model, identity: Change<Id<Identity>>, enabled: Option<bool>) -> Result<(), DirectoryError> {
    match identity {
        Change::Clear => model.hydration = None,
        Change::Set(identity) => {
            let was_enabled = model.hydration.is_none_or(|hydration| hydration.enabled);
            model.hydration = Some(Hydration { enabled: was_enabled, identity });
        }
        Change::Keep => {}
    }
    match (enabled, &mut model.hydration) {
        (Some(enabled), Some(hydration)) => hydration.enabled = enabled,
        (Some(true), None) => {
            let remedy = "name one as hydrationIdentityId";
            let why = "is switched on without an identity";
            return Err(DirectoryError::invalid("the hydration", why, remedy).at("hydrationIdentityId"));
        }
        (Some(false) | None, _) => {}
    }
    Ok(())
}

pub async fn change(
    access: &Access,
    id: Id<Model>,
    expected: Expected,
    change: ModelChange,
) -> Result<ModelLine, DirectoryError> {
    let part = part_of(access, get(access, id).await?.provider_id).await?;
    let rule = move |turn: Turn<'_>| {
        let (old, provider) = managed(turn.known(), id)?;
        expected.hold("model", Some(&line(turn.known(), old, provider)))?;
        let mut model = old.clone();
        apply(&mut model, change, turn.now)?;
        checked(turn.known(), &model, provider)?;
        model.updated_at = turn.now;
        turn.stored.models.retain(|one| one.id != id);
        turn.stored.models.push(model);
        shown(turn.known(), id)
    };
    access.change(Previous::Keep, "change", format!("model {id}"), part, rule).await
}

/// Hides a model; its id is free for another.
pub async fn delete(access: &Access, id: Id<Model>, expected: Expected) -> Result<(), DirectoryError> {
    let rule = move |turn: Turn<'_>| {
        let (model, provider) = managed(turn.known(), id)?;
        expected.hold("model", Some(&line(turn.known(), model, provider)))?;
        for one in turn.stored.models.iter_mut().filter(|one| one.id == id) {
            one.deleted_at = Some(turn.now);
        }
        Ok(())
    };
    access.change(Previous::Keep, "delete", format!("model {id}"), Need::Model(id), rule).await
}

fn shown(known: Known<'_>, id: Id<Model>) -> Result<ModelLine, DirectoryError> {
    found(known, id).map(|(model, provider)| line(known, model, provider))
}

/// A living model of a living provider that the asker sees.
pub(super) fn found<'a>(known: Known<'a>, id: Id<Model>) -> Result<(&'a Model, &'a Provider), DirectoryError> {
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
