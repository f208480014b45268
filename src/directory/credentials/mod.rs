//! Credentials: what we show providers. Set, listed masked, deleted with their sealed bytes.
//!
//! A new key goes straight to the store's keyring; nothing here keeps or shows it. A user's own credentials are seen and
//! counted by that user alone.

mod lines;
mod rules;

use std::sync::Arc;

use serde::Serialize;

pub use self::lines::{CredentialLine, Unlocks};

use self::lines::{line, unlocks};
use self::rules::{checked, permitted};

use super::actor::Over;
use super::error::DirectoryError;
use super::known::Known;
use super::{Access, Turn, named};
use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, Grant, Overrides, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::store::{Need, Part, Previous};

/// Longest key: a provider takes it in one header line, and heads are bounded everywhere.
pub const KEY_MAX: usize = 8 * 1024;

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

/// Sets a credential: a new one, or a new key in the place of the old one. One provider has one credential of a user or
/// workspace, and one of the platform for each label.
pub async fn set(access: &Access, new: NewCredential) -> Result<Set, DirectoryError> {
    let part = part_for(&new);
    let stored = access.load(part.clone()).await?;
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
    let previous = if expected.is_some() { Previous::Forget } else { Previous::Keep };
    access.change(previous, "set", entity, part, rule).await
}

/// The providers it can be for, and the workspaces it unlocks something for.
fn part_for(new: &NewCredential) -> Part {
    let part = named::providers_for(new.owner);
    match (new.owner, &new.grant) {
        (Owner::Workspace(_), _) => part,
        (_, Grant::Workspaces(granted)) => part.and(granted.iter().copied().map(Need::Workspace)),
        (_, Grant::All) => part.and([named::some_workspaces()]),
    }
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

/// The credentials that the asker may manage, of one workspace if named: never another user's own.
pub async fn list(access: &Access, workspace: Option<Id<Workspace>>) -> Result<Vec<CredentialLine>, DirectoryError> {
    let part = match workspace {
        Some(workspace) => Part::of([Need::OwnedBy(Owner::Workspace(workspace))]),
        None => Part::everything(),
    };
    let stored = access.load(part).await?;
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
    let stored = access.load(Need::Credential(id)).await?;
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
    let stored = access.load(named::providers_for(owner)).await?;
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
    access.change(Previous::Forget, "delete", place.entity(known, id), Need::Credential(id), rule).await
}

fn unknown(id: Id<Credential>) -> DirectoryError {
    let hint = "; `keyway credential list` shows those there are".to_string();
    DirectoryError::NotFound { kind: "credential", name: id.to_string(), hint }
}
