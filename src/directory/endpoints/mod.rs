//! Model endpoints: what a workspace can pick from, and how it binds a provider, a key, an address and a model in one
//! transaction.
//!
//! An endpoint is a credential seen from the workspace: its own, its people's, and the platform's that it was granted. One
//! of its own may be for a provider of the platform's catalogue or for one that it brings.

mod choice;
mod line;

pub use self::choice::Chosen;
pub use self::line::EndpointLine;

use self::choice::{Choice, choose, make};
use self::line::line;
use super::credentials::{self, CredentialChange, Keys, Place};
use super::error::{self, DirectoryError};
use super::known::Known;
use super::providers::{self, ProviderChange};
use super::tag::Expected;
use super::{Access, Turn};
use crate::domain::address::BaseUrl;
use crate::domain::change::Change;
use crate::domain::entity::{Credential, DefaultChoice, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::preset;
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::store::{Need, Previous};

/// What a workspace binds to a provider. What is not stated stays as it is.
#[derive(Debug)]
pub struct Binding {
    pub workspace: Id<Workspace>,
    pub provider: Chosen,
    /// `None` keeps the one there is; what the platform granted, or what needs none, goes without.
    pub key: Option<Secret>,
    /// The platform's provider is called there with this key; a provider of the workspace's own moves there.
    pub base_url: Change<BaseUrl>,
    pub protocol: Option<Protocol>,
    /// The model of a call that names the endpoint and no model.
    pub model: Change<String>,
    pub label: Option<String>,
    pub active: Option<bool>,
    pub purpose: Purpose,
}

impl Binding {
    pub fn of(workspace: Id<Workspace>, provider: Chosen) -> Self {
        Self {
            workspace,
            provider,
            key: None,
            base_url: Change::Keep,
            protocol: None,
            model: Change::Keep,
            label: None,
            active: None,
            purpose: Purpose::Endpoint,
        }
    }
}

/// What it is bound for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be picked, beside those there are.
    Endpoint,
    /// Likewise, but there must be none yet.
    NewEndpoint,
    /// What the workspace's calls use that name no model; with this model, else the provider's own default.
    Default(Option<String>),
}

/// The endpoints that the asker's calls in a workspace can name: its own, the asker's, the platform's that are granted.
pub async fn list(access: &Access, workspace: Id<Workspace>) -> Result<Vec<EndpointLine>, DirectoryError> {
    let owner = Owner::Workspace(workspace);
    let user = access.actor.user().map(Owner::User);
    let stored = access.load(access.catalogue(owner).and(user.map(Need::OwnedBy))).await?;
    let known = access.known(&stored);
    known.may(Permission::AIModelView, owner)?;
    let workspace = known.workspace_by_id(workspace)?;
    let mut found: Vec<_> = known
        .credentials()
        .filter(|one| one.owner == owner || Some(one.owner) == user || is_granted(one, workspace))
        .filter_map(|one| Some((one, known.provider_by_id(one.owner, one.provider).ok()?)))
        .filter(|(one, provider)| one.owner != Owner::Platform || is_open(known, provider, workspace))
        .collect();
    found.sort_by_key(|(one, provider)| (one.owner == Owner::Platform, provider.priority, &provider.name, one.id));
    Ok(found.into_iter().map(|(one, provider)| line(known, workspace, one, provider)).collect())
}

pub(super) fn is_granted(credential: &Credential, workspace: &Workspace) -> bool {
    let is_platforms = credential.owner == Owner::Platform && credential.active;
    is_platforms && credentials::serves(credential, workspace.id)
}

/// Is it enabled, and not switched off by the workspace's org?
pub(super) fn is_open(known: Known<'_>, provider: &Provider, workspace: &Workspace) -> bool {
    provider.enabled && !known.is_gated(workspace, provider.id)
}

/// One of the workspace's own.
pub async fn get(
    access: &Access,
    workspace: Id<Workspace>,
    id: Id<Credential>,
) -> Result<EndpointLine, DirectoryError> {
    let found = list(access, workspace).await?.into_iter().find(|one| one.id == id);
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: Id<Credential>) -> DirectoryError {
    DirectoryError::NotFound { kind: "model endpoint", name: id.to_string(), hint: String::new() }
}

/// Binds a provider to a workspace, to be picked: makes the provider if it is to be the workspace's own, and puts the key.
pub async fn bind(access: &Access, expected: Expected, binding: Binding) -> Result<EndpointLine, DirectoryError> {
    debug_assert!(!matches!(binding.purpose, Purpose::Default(_)), "`model_config` sets the default");
    let (keys, owner) = (Keys::of(access), Owner::Workspace(binding.workspace));
    let previous = if binding.key.is_some() { Previous::Forget } else { Previous::Keep };
    let entity = format!("endpoint of workspace {}", binding.workspace);
    let rule = move |mut turn: Turn<'_>| {
        let workspace = binding.workspace;
        held(turn.known(), &binding, &expected)?;
        // Only a default goes without a credential of the workspace's own.
        let id = bound(&mut turn, &keys, binding)?.ok_or(DirectoryError::Raced { kind: "model endpoint" })?;
        shown(turn.known(), workspace, id)
    };
    access.change(previous, "bind", entity, access.catalogue(owner), rule).await
}

/// The provider and the credential as they would be: everything is asked and checked, and nothing kept.
pub async fn preview(access: &Access, binding: Binding) -> Result<(Provider, Credential), DirectoryError> {
    let (keys, owner) = (Keys::of(access), Owner::Workspace(binding.workspace));
    let mut copy = access.load(access.catalogue(owner)).await?;
    let mut turn = Turn {
        stored: &mut copy,
        declared: &access.declared,
        actor: &access.actor,
        keyring: access.store.keyring(),
        now: Timestamp::now(),
    };
    let id = bound(&mut turn, &keys, binding)?.ok_or(DirectoryError::Raced { kind: "model endpoint" })?;
    let known = turn.known();
    let credential = known.credentials().find(|one| one.id == id).ok_or_else(|| unknown(id))?;
    Ok((known.provider_by_id(owner, credential.provider)?.clone(), credential.clone()))
}

/// Is the endpoint for that provider still as the asker last saw it?
fn held(known: Known<'_>, binding: &Binding, expected: &Expected) -> Result<(), DirectoryError> {
    if *expected == Expected::Anything {
        return Ok(());
    }
    let owner = Owner::Workspace(binding.workspace);
    let there = match choose(known, owner, &binding.provider)? {
        Choice::There(provider) => Place::of(known, owner, provider.id, None).find(&known.stored.credentials),
        Choice::New(..) => None,
    };
    let line = there.map(|one| shown(known, binding.workspace, one.id)).transpose()?;
    expected.hold("model endpoint", line.as_ref())
}

/// Deletes one of the workspace's own, with its key. What the platform granted is not the workspace's to delete.
pub async fn delete(
    access: &Access,
    workspace: Id<Workspace>,
    id: Id<Credential>,
    expected: Expected,
) -> Result<(), DirectoryError> {
    let owner = Owner::Workspace(workspace);
    let rule = move |turn: Turn<'_>| {
        let known = turn.known();
        known.may(Permission::CredentialManage, owner)?;
        let own = known.credentials().find(|one| one.id == id && one.owner == owner).ok_or_else(|| unknown(id))?;
        let line = shown(known, workspace, own.id)?;
        if line.declared {
            return Err(DirectoryError::Declared { kind: "model endpoint", name: line.provider });
        }
        expected.hold("model endpoint", Some(&line))?;
        turn.stored.credentials.retain(|one| one.id != id);
        Ok(())
    };
    let entity = format!("endpoint {id} of workspace {workspace}");
    access.change(Previous::Forget, "delete", entity, access.catalogue(owner), rule).await
}

/// The part of binding that other changes share: the endpoint's credential, if it has one.
pub(super) fn bound(
    turn: &mut Turn<'_>,
    keys: &Keys,
    binding: Binding,
) -> Result<Option<Id<Credential>>, DirectoryError> {
    let owner = Owner::Workspace(binding.workspace);
    turn.known().may(Permission::CredentialManage, owner)?;
    turn.known().brings_its_own(owner)?;
    let (provider, change) = settle_provider(turn, keys, owner, &binding)?;
    let change = CredentialChange {
        key: binding.key,
        default_model: binding.model,
        label: binding.label,
        active: binding.active,
        ..change
    };
    let id = put_key(turn, keys, binding.workspace, provider, change, &binding.purpose)?;
    if let Purpose::Default(model) = binding.purpose {
        set_default(turn, binding.workspace, Some(DefaultChoice { provider, model }))?;
    }
    Ok(id)
}

/// The provider, which is there or is made, and what the workspace's credential says differently from it.
fn settle_provider(
    turn: &mut Turn<'_>,
    keys: &Keys,
    owner: Owner,
    binding: &Binding,
) -> Result<(Id<Provider>, CredentialChange), DirectoryError> {
    let stated = match &binding.base_url {
        Change::Set(url) => Some(url.clone()),
        Change::Clear | Change::Keep => None,
    };
    let there = match choose(turn.known(), owner, &binding.provider)? {
        Choice::There(provider) => provider.clone(),
        Choice::New(name, preset) => {
            let id = make(turn, keys, owner, (name, preset), stated, binding.protocol)?;
            return Ok((id, CredentialChange::default()));
        }
    };
    if there.owner != owner {
        let protocol = match binding.protocol {
            Some(protocol) if protocol != there.protocol => Change::Set(protocol),
            Some(_) => Change::Clear,
            None => Change::Keep,
        };
        let change = CredentialChange { base_url: binding.base_url.clone(), protocol, ..CredentialChange::default() };
        return Ok((there.id, change));
    }
    let usual = || preset(&there.preset).and_then(|preset| preset.base_url?.parse().ok());
    let base_url = if binding.base_url == Change::Clear { usual() } else { stated };
    let base_url = base_url.filter(|url| *url != there.base_url);
    let protocol = binding.protocol.filter(|protocol| *protocol != there.protocol);
    if base_url.is_some() || protocol.is_some() {
        let change = ProviderChange { base_url, protocol, ..ProviderChange::default() };
        providers::alter(turn, keys, there.id, change)?;
    }
    Ok((there.id, CredentialChange::default()))
}

/// The workspace's credential for the provider. A default goes without where the platform pays or nobody needs to.
fn put_key(
    turn: &mut Turn<'_>,
    keys: &Keys,
    workspace: Id<Workspace>,
    provider: Id<Provider>,
    change: CredentialChange,
    purpose: &Purpose,
) -> Result<Option<Id<Credential>>, DirectoryError> {
    let (known, owner) = (turn.known(), Owner::Workspace(workspace));
    let place = Place::of(known, owner, provider, change.label.as_deref());
    let existing = place.find(&turn.stored.credentials).map(|one| one.id);
    match (existing, purpose) {
        (Some(_), Purpose::NewEndpoint) => {
            let name = known.provider_name(provider);
            return Err(DirectoryError::Exists { kind: "an endpoint of this workspace for", name });
        }
        (None, Purpose::Default(_)) if change.key.is_none() && needs_none(known, workspace, provider)? => {
            return Ok(None);
        }
        _ => {}
    }
    let id = existing.unwrap_or_else(Id::random);
    let change = CredentialChange { active: change.active.or(Some(true)), ..change };
    credentials::put(turn, keys, id, &place, change).map(|_| Some(id))
}

/// Is the platform's provider served to this workspace without a key of its own?
fn needs_none(known: Known<'_>, workspace: Id<Workspace>, provider: Id<Provider>) -> Result<bool, DirectoryError> {
    let workspace = known.workspace_by_id(workspace)?;
    let found = known.provider_by_id(Owner::Workspace(workspace.id), provider)?;
    let takes_none = preset(&found.preset).is_some_and(|preset| !preset.key_required);
    let granted = known.credentials().any(|one| one.provider == provider && is_granted(one, workspace));
    Ok(granted || takes_none && found.owner == Owner::Platform)
}

/// What the workspace's calls use that name no model.
pub(super) fn set_default(
    turn: &mut Turn<'_>,
    workspace: Id<Workspace>,
    default: Option<DefaultChoice>,
) -> Result<(), DirectoryError> {
    if let Some(model) = default.as_ref().and_then(|default| default.model.as_ref()) {
        error::model_id("the model", model).map_err(|error| error.at("model"))?;
    }
    let found = turn.known().workspace_by_id(workspace)?;
    if found.declared {
        return Err(DirectoryError::Declared { kind: "workspace", name: found.name.clone() });
    }
    for one in turn.stored.workspaces.iter_mut().filter(|one| one.id == workspace) {
        one.default = default.clone();
    }
    Ok(())
}

fn shown(known: Known<'_>, workspace: Id<Workspace>, id: Id<Credential>) -> Result<EndpointLine, DirectoryError> {
    let workspace = known.workspace_by_id(workspace)?;
    let credential = known.credentials().find(|one| one.id == id).ok_or_else(|| unknown(id))?;
    let provider = known.provider_by_id(credential.owner, credential.provider)?;
    Ok(line(known, workspace, credential, provider))
}
