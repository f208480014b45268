//! Providers: the platform's catalogue, and what workspaces bring of their own.
//!
//! Deleting one hides it and frees its name and prefix; it destroys nothing, so that records of old calls keep a name.

mod line;
mod rules;

use std::time::Duration;

use serde::Deserialize;
use utoipa::ToSchema;

pub use self::line::ProviderLine;

pub(super) use self::line::{line, workspace_of};
pub(super) use self::rules::{settings_fit, weight};

use self::rules::{NOWHERE, bedrock_url, checked, default_prefix};
use super::credentials::{self, CredentialChange, Keys, Place, assign};
use super::error::DirectoryError;
use super::known::Known;
use super::tag::Expected;
use super::{Access, Turn, milliseconds, present};
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::{Credential, Listing, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::{Kind, Preset};
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;
use crate::store::{Need, Part, Previous};

/// Whose provider is made, what it is, and what differs from what its preset says.
#[derive(Debug)]
pub struct NewProvider {
    pub owner: Owner,
    pub name: String,
    pub preset: &'static Preset,
    pub change: ProviderChange,
}

/// What is to be otherwise. What is not stated stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"priority": 2, "defaultModel": "gpt-4o-mini", "timeoutMs": 180_000}))]
pub struct ProviderChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, inline)]
    pub protocol: Option<Protocol>,
    /// What qualifies its model ids; the name in small letters unless stated. Several providers may share one.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub prefix: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub base_url: Option<BaseUrl>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub default_model: Change<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
    /// Lower first.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, maximum = 4_294_967_295_u32)]
    pub priority: Option<u32>,
    /// Of those of one priority, how often this one is first.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000)]
    pub weight: Option<u32>,
    #[serde(default, rename = "timeoutMs", deserialize_with = "milliseconds::present")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 1, maximum = 86_400_000)]
    pub timeout: Option<Duration>,
    /// Is the prefix taken off before the model's id is sent?
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub strip_prefix: Option<bool>,
    /// Does it take any model id, or only those listed?
    #[serde(default, rename = "listing", deserialize_with = "present")]
    #[schema(nullable = false, inline)]
    pub models: Option<Listing>,
    /// Calls in flight to it at once.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 4_294_967_295_u32)]
    pub max_parallel: Change<u32>,
    /// Azure: what a model that names none is deployed as.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub deployment: Change<String>,
    /// Azure: with it the classic form of its URLs is used.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub api_version: Change<String>,
    /// Bedrock.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub region: Change<String>,
    /// Becomes a credential of the provider's owner; the platform's own is granted to all.
    #[serde(default, rename = "apiKey", deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, write_only)]
    pub key: Option<Secret>,
}

/// Which providers to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// This workspace's own beside the platform's.
    pub workspace: Option<Id<Workspace>>,
    pub enabled_only: bool,
}

/// The platform's providers and a workspace's own, in the order in which calls prefer them.
pub async fn list(access: &Access, filter: Filter) -> Result<Vec<ProviderLine>, DirectoryError> {
    let owner = filter.workspace.map_or(Owner::Platform, Owner::Workspace);
    let stored = access.load(access.catalogue(owner)).await?;
    let known = access.known(&stored);
    known.may_see(Permission::AIProviderView, owner)?;
    let wanted = |one: &&Provider| one.enabled || !filter.enabled_only;
    let mut found: Vec<&Provider> = known.providers_for(owner).filter(wanted).collect();
    found.sort_by(|a, b| (a.priority, &a.name, a.id).cmp(&(b.priority, &b.name, b.id)));
    Ok(found.into_iter().map(|one| line(known, one)).collect())
}

pub async fn get(access: &Access, id: Id<Provider>) -> Result<ProviderLine, DirectoryError> {
    let stored = access.load(Need::Provider(id)).await?;
    let known = access.known(&stored);
    let found = known.any_provider(id)?;
    known.may_see(Permission::AIProviderView, found.owner)?;
    Ok(line(known, found))
}

/// Makes a provider, and its owner's credential for it if a key came along.
pub async fn create(access: &Access, new: NewProvider) -> Result<ProviderLine, DirectoryError> {
    let (id, keys, part) = (Id::random(), Keys::of(access), access.catalogue(new.owner));
    let rule = move |mut turn: Turn<'_>| {
        let id = make(&mut turn, &keys, id, new)?;
        let known = turn.known();
        known.any_provider(id).map(|one| line(known, one))
    };
    access.change(Previous::Keep, "create", format!("provider {id}"), part, rule).await
}

/// The part of making one that other changes share.
pub(super) fn make(
    turn: &mut Turn<'_>,
    keys: &Keys,
    id: Id<Provider>,
    new: NewProvider,
) -> Result<Id<Provider>, DirectoryError> {
    turn.known().may(Permission::AIProviderManage, new.owner)?;
    if new.preset.kind == Kind::AgentSdk {
        let remedy = "declare it in gateway.toml, where only the machine's operator writes";
        return Err(DirectoryError::invalid("the kind", "runs a program on this machine", remedy).at("kind"));
    }
    let base_url = first_url(new.preset, &new.change)?;
    let mut provider = Provider::new(id, new.owner, &new.name, new.preset, base_url, turn.now);
    provider.prefix = default_prefix(&new.name);
    let key = apply(&mut provider, new.change);
    checked(turn.known(), &keys.egress, &provider)?;
    provider.number = Some(turn.stored.number());
    let owner = provider.owner;
    turn.stored.providers.push(provider);
    if let Some(key) = key {
        set_key(turn, keys, owner, id, key)?;
    }
    Ok(id)
}

/// Where it is: as stated, else where its region or its preset says.
fn first_url(preset: &Preset, change: &ProviderChange) -> Result<BaseUrl, DirectoryError> {
    if let Some(stated) = &change.base_url {
        return Ok(stated.clone());
    }
    let usual = match (preset.kind, &change.region) {
        (Kind::AgentSdk, _) => Some(NOWHERE.to_string()),
        (Kind::Bedrock, Change::Set(region)) => Some(bedrock_url(region)),
        (Kind::Bedrock, _) => {
            let remedy = "write for example us-east-1";
            return Err(DirectoryError::invalid("the region", "is missing", remedy).at("region"));
        }
        _ => preset.base_url.map(str::to_string),
    };
    let remedy = "write for example https://host/v1";
    let missing = || DirectoryError::invalid("the base URL", "is missing", remedy).at("baseUrl");
    usual.and_then(|url| url.parse().ok()).ok_or_else(missing)
}

/// Gives back the key, which is not a field.
fn apply(provider: &mut Provider, change: ProviderChange) -> Option<Secret> {
    assign(&mut provider.name, change.name);
    assign(&mut provider.protocol, change.protocol);
    assign(&mut provider.prefix, change.prefix);
    change.default_model.apply(&mut provider.default_model);
    assign(&mut provider.enabled, change.enabled);
    assign(&mut provider.priority, change.priority);
    assign(&mut provider.weight, change.weight);
    assign(&mut provider.timeout, change.timeout);
    assign(&mut provider.strip_prefix, change.strip_prefix);
    assign(&mut provider.models, change.models);
    change.max_parallel.apply(&mut provider.max_parallel);
    let regions_url = provider.settings.region.as_deref().map(bedrock_url);
    change.deployment.apply(&mut provider.settings.deployment);
    change.api_version.apply(&mut provider.settings.api_version);
    change.region.apply(&mut provider.settings.region);
    // A region's own address follows the region; one that was stated stands.
    let is_regions_own = regions_url.is_some_and(|url| url == provider.base_url.to_string());
    let moved =
        provider.settings.region.as_deref().filter(|_| is_regions_own).and_then(|now| bedrock_url(now).parse().ok());
    assign(&mut provider.base_url, change.base_url.or(moved));
    change.key
}

/// The owner's own credential for it, whose label is the provider's name where labels matter.
fn set_key(
    turn: &mut Turn<'_>,
    keys: &Keys,
    owner: Owner,
    provider: Id<Provider>,
    key: Secret,
) -> Result<(), DirectoryError> {
    let place = Place::of(turn.known(), owner, provider, None);
    let id = place.find(&turn.stored.credentials).map_or_else(Id::<Credential>::random, |one| one.id);
    let change = CredentialChange { key: Some(key), active: Some(true), ..CredentialChange::default() };
    credentials::put(turn, keys, id, &place, change).map(|_| ())
}

/// Changes a provider. Where its address changes, its owner's keys move along, and other holders' wait until confirmed.
pub async fn change(
    access: &Access,
    id: Id<Provider>,
    expected: Expected,
    change: ProviderChange,
) -> Result<ProviderLine, DirectoryError> {
    let (keys, part) = (Keys::of(access), part_of(access, id).await?);
    // A key that was replaced was replaced for a reason: it is not to be found in the generation before.
    let previous = if change.key.is_some() { Previous::Forget } else { Previous::Keep };
    let rule = move |mut turn: Turn<'_>| {
        held(turn.known(), id, &expected)?;
        alter(&mut turn, &keys, id, change)?;
        let known = turn.known();
        known.any_provider(id).map(|one| line(known, one))
    };
    access.change(previous, "change", format!("provider {id}"), part, rule).await
}

/// What the rules for changing a provider look at: all that its owner has, and the platform.
pub(super) async fn part_of(access: &Access, id: Id<Provider>) -> Result<Part, DirectoryError> {
    let stored = access.load(Need::Provider(id)).await?;
    let owner = access.known(&stored).any_provider(id)?.owner;
    Ok(access.catalogue(owner))
}

/// The part of changing one that other changes share.
pub(super) fn alter(
    turn: &mut Turn<'_>,
    keys: &Keys,
    id: Id<Provider>,
    change: ProviderChange,
) -> Result<(), DirectoryError> {
    let old = managed(turn.known(), id)?;
    let mut provider = old.clone();
    let key = apply(&mut provider, change);
    checked(turn.known(), &keys.egress, &provider)?;
    let has_moved = provider.base_url.address != old.base_url.address;
    provider.updated_at = turn.now;
    turn.stored.providers.retain(|one| one.id != id);
    turn.stored.providers.push(provider.clone());
    if has_moved {
        credentials::follow(turn, keys, &provider);
    }
    match key {
        Some(key) => set_key(turn, keys, provider.owner, id, key),
        None => Ok(()),
    }
}

/// Hides a provider with its models. Nothing is destroyed: keys for it stay until their holders delete them.
pub async fn delete(access: &Access, id: Id<Provider>, expected: Expected) -> Result<(), DirectoryError> {
    let rule = move |turn: Turn<'_>| {
        managed(turn.known(), id)?;
        held(turn.known(), id, &expected)?;
        for one in turn.stored.providers.iter_mut().filter(|one| one.id == id) {
            one.deleted_at = Some(turn.now);
        }
        Ok(())
    };
    access.change(Previous::Keep, "delete", format!("provider {id}"), Need::Provider(id), rule).await
}

/// Is it still as the asker last saw it?
fn held(known: Known<'_>, id: Id<Provider>, expected: &Expected) -> Result<(), DirectoryError> {
    expected.hold("provider", Some(&line(known, known.any_provider(id)?)))
}

/// A provider that the asker may change.
fn managed<'a>(known: Known<'a>, id: Id<Provider>) -> Result<&'a Provider, DirectoryError> {
    let found = known.any_provider(id)?;
    known.may(Permission::AIProviderManage, found.owner)?;
    match found.declared {
        true => Err(DirectoryError::Declared { kind: "provider", name: found.name.clone() }),
        false => Ok(found),
    }
}
