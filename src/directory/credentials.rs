//! Credentials: what we show providers. Set, listed masked, deleted with their sealed bytes.
//!
//! A new key goes straight to the store's keyring; nothing here keeps or shows it. A user's own credentials are seen and
//! counted by that user alone.

use std::sync::Arc;

use serde::Serialize;

use super::actor::Over;
use super::error::{self, DirectoryError};
use super::known::Known;
use super::{Access, Before, Turn, moment};
use crate::domain::address::{Address, Egress};
use crate::domain::directory::Directory;
use crate::domain::entity::{
    Credential, Gate, Grant, KeyMaterial, Listing, Model, Overrides, Owner, Provider, Scope, Workspace,
};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::preset::{KeyPlace, Preset, preset};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::token;

/// Longest key: a provider takes it in one header line, and heads are bounded everywhere.
pub const KEY_MAX: usize = 8 * 1024;
/// What a list shows in place of a key, before its last four characters.
const MASK: &str = "***********";
/// Workspaces that one grant names: more want a grant to all.
const GRANT_MAX: usize = 1_000;

/// What a credential is to be.
#[derive(Debug)]
pub struct NewCredential {
    pub owner: Owner,
    pub provider: Id<Provider>,
    /// Absent for providers that need none.
    pub key: Option<Secret>,
    /// Tells platform credentials of one provider apart.
    pub label: String,
    pub weight: u32,
    pub max_parallel: Option<u32>,
    pub overrides: Overrides,
    /// Platform scope only.
    pub grant: Grant,
}

impl NewCredential {
    pub fn of(owner: Owner, provider: Id<Provider>, key: Option<Secret>) -> Self {
        let (label, overrides, grant) = (String::new(), Overrides::default(), Grant::All);
        Self { owner, provider, key, label, weight: 1, max_parallel: None, overrides, grant }
    }
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Set {
    pub credential: CredentialLine,
    /// Was there one in its place, whose key is now gone?
    pub replaced: bool,
    pub unlocks: Unlocks,
}

/// What can be called with a credential that could not before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlocks {
    pub provider: String,
    /// Registered models, qualified.
    pub models: Vec<String>,
    /// The prefix under which any other id is taken too, if one is.
    pub any_under: Option<String>,
    /// Workspaces whose calls may use it; `None`: all of them.
    pub workspaces: Option<Vec<String>>,
    /// Of those, the workspaces whose org has switched the provider off.
    pub gated: Vec<String>,
}

/// A credential as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialLine {
    pub id: Id<Credential>,
    pub number: Option<u32>,
    pub scope: Scope,
    /// The workspace's name or the user's email; `platform` for the platform's.
    pub owner: String,
    pub provider: String,
    /// Eleven `*` and the last four characters, where it is long enough to show them.
    pub api_key_masked: Option<String>,
    pub label: String,
    pub active: bool,
    pub weight: u32,
    pub max_parallel: Option<u32>,
    /// The workspaces that may use a platform credential; `None`: all.
    pub granted_to: Option<Vec<String>>,
    /// Was it entered for an address that is no longer its provider's? Then it waits until it is set again.
    pub address_changed: bool,
    #[serde(with = "moment")]
    pub created_at: Timestamp,
    #[serde(with = "moment")]
    pub updated_at: Timestamp,
    pub declared: bool,
}

/// Sets a credential: a new one, or a new key in the place of the old one. One provider has one credential of a user or
/// workspace, and one of the platform for each label.
pub async fn set(access: &Access, new: NewCredential) -> Result<Set, DirectoryError> {
    let stored = access.load().await?;
    permitted(access.known(&stored), new.owner)?;
    let new = labelled(access.known(&stored), new);
    let place = Place { owner: new.owner, provider: new.provider, label: new.label.clone() };
    let expected = place.find(&stored.credentials).map(|one| one.id);
    let id = expected.unwrap_or_else(Id::random);
    let entity = place.entity(access.known(&stored), id);
    let (keyring, egress) = (Arc::clone(access.store.keyring()), Arc::clone(&access.egress));
    let rule = move |turn: Turn<'_>| {
        permitted(turn.known(), new.owner)?;
        let provider = checked(turn.known(), &egress, &new)?.clone();
        let old = place.find(&turn.stored.credentials).cloned();
        if old.as_ref().map(|one| one.id) != expected {
            return Err(DirectoryError::Raced { kind: "credential" });
        }
        let number = old.as_ref().and_then(|one| one.number).unwrap_or_else(|| turn.stored.number());
        let (mut credential, key) = credential(id, new, &provider, turn.now);
        credential.number = Some(number);
        credential.created_at = old.as_ref().map_or(turn.now, |one| one.created_at);
        if let Some(key) = key {
            keyring.seal_credential(&mut credential, key).map_err(|_| DirectoryError::NoRandomness)?;
        }
        turn.stored.credentials.retain(|one| one.id != id);
        turn.stored.credentials.push(credential.clone());
        let known = turn.known();
        let unlocks = unlocks(known, &credential, &provider);
        Ok(Set { credential: line(known, &credential), replaced: old.is_some(), unlocks })
    };
    // A key that was replaced was replaced for a reason: it is not to be found in the generation before.
    let before = if expected.is_some() { Before::Forget } else { Before::Keep };
    access.change(before, "set", entity, rule).await
}

/// A platform credential without a label has its provider's name, as one that gateway.toml declares does.
fn labelled(known: Known<'_>, new: NewCredential) -> NewCredential {
    match new.owner {
        Owner::Platform if new.label.is_empty() => NewCredential { label: known.provider_name(new.provider), ..new },
        _ => new,
    }
}

/// What makes a credential unique.
struct Place {
    owner: Owner,
    provider: Id<Provider>,
    label: String,
}

impl Place {
    fn find<'a>(&self, credentials: &'a [Credential]) -> Option<&'a Credential> {
        let here = |one: &Credential| one.owner == self.owner && one.provider == self.provider;
        let labelled = |one: &Credential| self.owner != Owner::Platform || one.label == self.label;
        credentials.iter().find(|one| one.deleted_at.is_none() && here(one) && labelled(one))
    }

    /// As the audit log names it. Of a user's own it says nothing but the id: others read the log.
    fn entity(&self, known: Known<'_>, id: Id<Credential>) -> String {
        let provider = || known.provider_name(self.provider);
        match self.owner {
            Owner::User(_) => format!("credential {id}"),
            Owner::Platform => format!("credential {id} (platform, {})", provider()),
            Owner::Workspace(workspace) => format!("credential {id} (workspace {workspace}, {})", provider()),
        }
    }
}

/// May the asker set and delete credentials of this owner?
fn permitted(known: Known<'_>, owner: Owner) -> Result<(), DirectoryError> {
    match owner {
        Owner::Platform => known.actor.may(Permission::PlatformCredentialManage, Over::Platform),
        Owner::Workspace(id) => known.actor.may(Permission::CredentialManage, Over::from(known.workspace_by_id(id)?)),
        // The operator's command line can provision one; no admin's token can.
        Owner::User(user) if known.actor.is(user) || known.actor.has_machine() => known.user_by_id(user).map(|_| ()),
        Owner::User(_) => Err(DirectoryError::Denied {
            by: known.actor.by().to_string(),
            permission: Permission::PlatformCredentialManage,
        }),
    }
}

/// Every rule about the credential itself; gives its provider.
fn checked<'a>(known: Known<'a>, egress: &Egress, new: &NewCredential) -> Result<&'a Provider, DirectoryError> {
    let provider = known.provider_by_id(new.owner, new.provider)?;
    brings_its_own(known, new.owner)?;
    not_declared(known, new, provider)?;
    error::label("the label", &new.label)?;
    key(new.key.as_ref(), provider)?;
    if new.weight == 0 || new.max_parallel == Some(0) {
        return Err(DirectoryError::invalid("weight or max_parallel", "is 0", "write at least 1"));
    }
    overrides(new, egress)?;
    grant(known, new)?;
    Ok(provider)
}

fn brings_its_own(known: Known<'_>, owner: Owner) -> Result<(), DirectoryError> {
    let Owner::Workspace(workspace) = owner else { return Ok(()) };
    let org = known.workspace_by_id(workspace)?.org;
    let mut orgs = known.stored.orgs.iter().chain(&known.declared.orgs);
    match orgs.find(|one| one.id == org) {
        Some(org) if !org.features.byok => Err(DirectoryError::EnterpriseRequired { org: org.name.clone() }),
        _ => Ok(()),
    }
}

/// Which of two would hold must never be a matter of order.
fn not_declared(known: Known<'_>, new: &NewCredential, provider: &Provider) -> Result<(), DirectoryError> {
    let place = Place { owner: new.owner, provider: new.provider, label: new.label.clone() };
    match place.find(&known.declared.credentials) {
        Some(_) => Err(DirectoryError::Declared { kind: "credential for provider", name: provider.name.clone() }),
        None => Ok(()),
    }
}

fn preset_of(provider: &Provider) -> Option<&'static Preset> {
    preset(&provider.preset).or_else(|| preset(provider.kind.name()))
}

fn key(key: Option<&Secret>, provider: &Provider) -> Result<(), DirectoryError> {
    let wrong = |why: &str, remedy: &str| Err(DirectoryError::invalid("the key", why, remedy));
    let preset = preset_of(provider);
    let Some(key) = key else {
        return match preset.is_none_or(|preset| preset.key_required) {
            true => wrong("is missing, and this provider needs one", "give it on standard input"),
            false => Ok(()),
        };
    };
    if preset.is_some_and(|preset| preset.key == KeyPlace::Nowhere) {
        return wrong("has no place with this provider, which takes none", "leave it out");
    }
    let bytes = key.expose();
    if bytes.is_empty() || bytes.len() > KEY_MAX || !bytes.iter().all(u8::is_ascii_graphic) {
        return wrong(
            "is empty, too long, or holds spaces, line ends or other characters that no key has",
            "copy it again",
        );
    }
    match token::is_well_formed(bytes) {
        true => wrong("is one of our own tokens", "give the key that the provider issued"),
        false => Ok(()),
    }
}

fn overrides(new: &NewCredential, egress: &Egress) -> Result<(), DirectoryError> {
    let Some(base_url) = &new.overrides.base_url else { return Ok(()) };
    if new.owner == Owner::Platform {
        let remedy = "change the provider's base URL, or register another provider";
        return Err(DirectoryError::invalid("the base URL", "can't differ for the platform's own", remedy));
    }
    Ok(egress.allows_address(&base_url.address)?)
}

fn grant(known: Known<'_>, new: &NewCredential) -> Result<(), DirectoryError> {
    let Grant::Workspaces(granted) = &new.grant else { return Ok(()) };
    if new.owner != Owner::Platform {
        return Err(DirectoryError::invalid("a grant", "is for platform credentials only", "leave it out"));
    }
    if granted.is_empty() || granted.len() > GRANT_MAX {
        let remedy = format!("name 1 to {GRANT_MAX} workspaces, or grant to all");
        return Err(DirectoryError::invalid("the grant", "names no workspace or too many", remedy));
    }
    granted.iter().try_for_each(|workspace| known.workspace_by_id(*workspace).map(|_| ()))
}

/// The credential with everything but its key, and the key.
fn credential(
    id: Id<Credential>,
    new: NewCredential,
    provider: &Provider,
    now: Timestamp,
) -> (Credential, Option<Secret>) {
    let base_url = new.overrides.base_url.as_ref().unwrap_or(&provider.base_url);
    let bare = Credential::new(id, new.owner, provider.id, &base_url.address, now);
    let credential = Credential {
        label: new.label,
        weight: new.weight,
        max_parallel: new.max_parallel,
        overrides: new.overrides,
        grant: new.grant,
        ..bare
    };
    (credential, new.key)
}

fn unlocks(known: Known<'_>, credential: &Credential, provider: &Provider) -> Unlocks {
    let workspaces: Vec<&Workspace> = known.workspaces().filter(|one| serves(credential, one.id)).collect();
    let names = |all: &[&Workspace]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let gated: Vec<&Workspace> = workspaces.iter().copied().filter(|one| is_gated(known, one, provider.id)).collect();
    let to_all = matches!((credential.owner, &credential.grant), (Owner::Platform, Grant::All) | (Owner::User(_), _));
    Unlocks {
        provider: provider.name.clone(),
        models: models(known, provider).map(|model| format!("{}:{}", provider.prefix, model.model_id)).collect(),
        any_under: (provider.models == Listing::Any).then(|| provider.prefix.clone()),
        workspaces: (!to_all).then(|| names(&workspaces)),
        gated: names(&gated),
    }
}

fn serves(credential: &Credential, workspace: Id<Workspace>) -> bool {
    match (credential.owner, &credential.grant) {
        (Owner::Workspace(owner), _) => owner == workspace,
        (Owner::Platform, Grant::Workspaces(granted)) => granted.contains(&workspace),
        (Owner::Platform, Grant::All) | (Owner::User(_), _) => true,
    }
}

fn models<'a>(known: Known<'a>, provider: &Provider) -> impl Iterator<Item = &'a Model> {
    let id = provider.id;
    let all = [known.stored, known.declared].into_iter().flat_map(|from| &from.models);
    all.filter(move |model| model.provider == id && model.enabled && model.deleted_at.is_none())
}

fn is_gated(known: Known<'_>, workspace: &Workspace, provider: Id<Provider>) -> bool {
    let mut orgs = known.stored.orgs.iter().chain(&known.declared.orgs);
    let org = orgs.find(|org| org.id == workspace.org);
    org.is_some_and(|org| *org.gates.get(&provider).unwrap_or(&org.default_gate) == Gate::Deny)
}

/// The credentials that the asker may manage, of one workspace if named: never another user's own.
pub async fn list(access: &Access, workspace: Option<Id<Workspace>>) -> Result<Vec<CredentialLine>, DirectoryError> {
    let stored = access.load().await?;
    let known = access.known(&stored);
    if let Some(workspace) = workspace {
        access.actor.may(Permission::CredentialManage, Over::from(known.workspace_by_id(workspace)?))?;
    }
    let wanted = |one: &&Credential| match workspace {
        Some(workspace) => one.owner == Owner::Workspace(workspace),
        None => true,
    };
    let living = all(&stored, &access.declared).filter(|one| one.deleted_at.is_none());
    let seen = living.filter(wanted).filter(|one| is_shown(known, one.owner));
    let mut lines: Vec<_> = seen.map(|one| line(known, one)).collect();
    lines.sort_by(|a, b| (&a.provider, &a.owner, a.id).cmp(&(&b.provider, &b.owner, b.id)));
    Ok(lines)
}

fn all<'a>(stored: &'a Directory, declared: &'a Directory) -> impl Iterator<Item = &'a Credential> {
    stored.credentials.iter().chain(&declared.credentials)
}

fn is_shown(known: Known<'_>, owner: Owner) -> bool {
    match owner {
        Owner::User(user) => known.actor.is(user),
        Owner::Platform => permitted(known, owner).is_ok(),
        // One whose workspace is gone is the platform's to clear away.
        Owner::Workspace(id) => permitted(known, owner).is_ok() || is_orphan(known, id),
    }
}

fn is_orphan(known: Known<'_>, workspace: Id<Workspace>) -> bool {
    let mut all = known.stored.workspaces.iter().chain(&known.declared.workspaces);
    known.actor.reaches(Over::Platform) && !all.any(|one| one.id == workspace && one.deleted_at.is_none())
}

/// Deletes a credential. Its sealed bytes are gone at once, from the previous generation too.
pub async fn delete(access: &Access, id: Id<Credential>) -> Result<CredentialLine, DirectoryError> {
    let stored = access.load().await?;
    let known = access.known(&stored);
    let shown = all(&stored, &access.declared).find(|one| one.id == id && is_shown(known, one.owner));
    remove(access, &stored, shown.ok_or_else(|| unknown(id))?).await
}

/// Deletes an owner's credential for a provider; of the platform's, the one with this label, or the unlabelled one.
pub async fn delete_of(
    access: &Access,
    owner: Owner,
    provider: Id<Provider>,
    label: &str,
) -> Result<CredentialLine, DirectoryError> {
    let stored = access.load().await?;
    let known = access.known(&stored);
    permitted(known, owner)?;
    let label = if label.is_empty() { known.provider_name(provider) } else { label.to_string() };
    let place = Place { owner, provider, label };
    let found = place.find(&stored.credentials).or_else(|| place.find(&access.declared.credentials));
    let missing = || DirectoryError::NotFound {
        kind: "credential for provider",
        name: known.provider_name(provider),
        hint: "; `keyway credential list` shows those there are".to_string(),
    };
    remove(access, &stored, found.ok_or_else(missing)?).await
}

async fn remove(access: &Access, stored: &Directory, found: &Credential) -> Result<CredentialLine, DirectoryError> {
    let (known, id) = (access.known(stored), found.id);
    let gone = line(known, found);
    if gone.declared {
        return Err(DirectoryError::Declared { kind: "credential for provider", name: gone.provider });
    }
    let place = Place { owner: found.owner, provider: found.provider, label: found.label.clone() };
    let rule = move |turn: Turn<'_>| {
        let before = turn.stored.credentials.len();
        turn.stored.credentials.retain(|one| one.id != id);
        match turn.stored.credentials.len() < before {
            true => Ok(gone),
            false => Err(unknown(id)),
        }
    };
    access.change(Before::Forget, "delete", place.entity(known, id), rule).await
}

fn unknown(id: Id<Credential>) -> DirectoryError {
    let hint = "; `keyway credential list` shows those there are".to_string();
    DirectoryError::NotFound { kind: "credential", name: id.to_string(), hint }
}

fn line(known: Known<'_>, credential: &Credential) -> CredentialLine {
    let names = |granted: &Vec<_>| granted.iter().map(|id| known.workspace_name(*id)).collect();
    CredentialLine {
        id: credential.id,
        number: credential.number,
        scope: credential.scope(),
        owner: owner_name(known, credential.owner),
        provider: known.provider_name(credential.provider),
        api_key_masked: masked(credential),
        label: credential.label.clone(),
        active: credential.active,
        weight: credential.weight,
        max_parallel: credential.max_parallel,
        granted_to: match &credential.grant {
            Grant::Workspaces(granted) => Some(names(granted)),
            Grant::All => None,
        },
        address_changed: address(known, credential).is_some_and(|address| !credential.is_for(address)),
        created_at: credential.created_at,
        updated_at: credential.updated_at,
        declared: known.declared.credentials.iter().any(|one| one.id == credential.id),
    }
}

fn owner_name(known: Known<'_>, owner: Owner) -> String {
    match owner {
        Owner::Platform => "platform".to_string(),
        Owner::Workspace(id) => known.workspace_name(id),
        Owner::User(id) => known.user_name(id),
    }
}

fn masked(credential: &Credential) -> Option<String> {
    match &credential.key {
        KeyMaterial::None => None,
        KeyMaterial::Sealed(_) => Some(format!("{MASK}{}", credential.last4)),
        KeyMaterial::Declared(key) => Some(format!("{MASK}{}", key.last4())),
    }
}

/// Where its key would be sent now.
fn address<'a>(known: Known<'a>, credential: &'a Credential) -> Option<&'a Address> {
    let own = credential.overrides.base_url.as_ref().filter(|_| credential.owner != Owner::Platform);
    let provider = known.provider_by_id(credential.owner, credential.provider).ok();
    own.or(provider.map(|provider| &provider.base_url)).map(|base_url| &*base_url.address)
}
