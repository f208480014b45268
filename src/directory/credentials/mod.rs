//! Credentials: what we show providers. Set, changed, listed masked, deleted with their sealed bytes.
//!
//! A new key goes straight to the store's keyring; nothing here keeps or shows it. A user's own credentials are seen and
//! counted by that user alone.

mod change;
mod lines;
mod rules;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

pub use self::change::CredentialChange;
pub use self::lines::{CredentialLine, Unlocks};

pub(super) use self::change::{Keys, assign, follow, put};
use self::lines::unlocks;
pub(super) use self::lines::{line, serves};
use self::rules::permitted;

use super::actor::{Actor, Over};
use super::error::DirectoryError;
use super::known::Known;
use super::tag::Expected;
use super::{Access, Turn, named};
use crate::domain::entity::{Credential, Grant, Owner, Provider, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::domain::secret::Secret;
use crate::store::{Need, Part, Previous};

/// Longest key: a provider takes it in one header line, and heads are bounded everywhere.
pub const KEY_MAX: usize = 8 * 1024;

/// Whose credential is set, for which provider, and what it is to be. What is left unsaid stays as it is where there is
/// one in its place, so that a new key widens no grant.
#[derive(Debug)]
pub struct NewCredential {
    pub owner: Owner,
    pub provider: Id<Provider>,
    pub change: CredentialChange,
}

impl NewCredential {
    /// A key, which providers that need none go without.
    pub fn of(owner: Owner, provider: Id<Provider>, key: Option<Secret>) -> Self {
        Self { owner, provider, change: CredentialChange { key, ..CredentialChange::default() } }
    }
}

/// What became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialSet)]
pub struct Set {
    pub credential: CredentialLine,
    /// Was there one in its place?
    pub replaced: bool,
    pub unlocks: Unlocks,
}

/// Sets a credential: a new one, or a new key in the place of the old one. One provider has one credential of a user or
/// workspace, and one of the platform for each label.
pub async fn set(access: &Access, new: NewCredential) -> Result<Set, DirectoryError> {
    let part = part_for(access, &new);
    let stored = access.load(part.clone()).await?;
    permitted(access.known(&stored), new.owner)?;
    let place = Place::of(access.known(&stored), new.owner, new.provider, new.change.label.as_deref());
    let expected = place.find(&stored.credentials).map(|one| one.id);
    let id = expected.unwrap_or_else(Id::random);
    let entity = place.entity(access.known(&stored), id);
    let keys = Keys::of(access);
    let rule = move |mut turn: Turn<'_>| {
        permitted(turn.known(), new.owner)?;
        if place.find(&turn.stored.credentials).map(|one| one.id) != expected {
            return Err(DirectoryError::Raced { kind: "credential" });
        }
        let change = CredentialChange { active: new.change.active.or(Some(true)), ..new.change };
        let credential = put(&mut turn, &keys, id, &place, change)?;
        let known = turn.known();
        let provider = known.provider_by_id(credential.owner, credential.provider)?;
        let unlocks = unlocks(known, &credential, provider);
        Ok(Set { credential: line(known, &credential), replaced: expected.is_some(), unlocks })
    };
    // A key that was replaced was replaced for a reason: it is not to be found in the generation before.
    let previous = if expected.is_some() { Previous::Forget } else { Previous::Keep };
    access.change(previous, "set", entity, part, rule).await
}

/// The providers it can be for, and the workspaces it unlocks something for.
fn part_for(access: &Access, new: &NewCredential) -> Part {
    let part = access.catalogue(new.owner);
    let granted = granted_in(&new.change);
    match (new.owner, granted.is_empty()) {
        (Owner::Workspace(_), _) => part,
        (_, false) => part.and(granted.into_iter().map(Need::Workspace)),
        (_, true) => part.and([named::some_workspaces()]),
    }
}

fn granted_in(change: &CredentialChange) -> Vec<Id<Workspace>> {
    match &change.grant {
        Some(Grant::Workspaces(granted)) => granted.clone(),
        Some(Grant::All) | None => Vec::new(),
    }
}

/// Changes a credential: its key, its label, whether it is used, by whom and how.
pub async fn change(
    access: &Access,
    id: Id<Credential>,
    expected: Expected,
    change: CredentialChange,
) -> Result<CredentialLine, DirectoryError> {
    let (entity, part) = about(access, id).await?;
    let part = part.and(granted_in(&change).into_iter().map(Need::Workspace));
    let keys = Keys::of(access);
    let previous = if change.key.is_some() { Previous::Forget } else { Previous::Keep };
    let rule = move |mut turn: Turn<'_>| {
        let found = managed(turn.known(), id)?;
        expected.hold("credential", Some(&line(turn.known(), found)))?;
        let place = Place::at(found);
        let credential = put(&mut turn, &keys, id, &place, change)?;
        Ok(line(turn.known(), &credential))
    };
    access.change(previous, "change", entity, part, rule).await
}

/// Says that a key may go where its provider is now, though it was entered for another address.
pub async fn confirm(access: &Access, id: Id<Credential>) -> Result<CredentialLine, DirectoryError> {
    let (entity, part) = about(access, id).await?;
    let keyring = Arc::clone(access.store.keyring());
    let rule = move |turn: Turn<'_>| {
        let mut credential = managed(turn.known(), id)?.clone();
        change::readdress(turn.known(), &keyring, &mut credential)?;
        change::touch(&mut credential, turn.now);
        let line = line(turn.known(), &credential);
        turn.stored.credentials.retain(|one| one.id != id);
        turn.stored.credentials.push(credential);
        Ok(line)
    };
    access.change(Previous::Keep, "confirm", entity, part, rule).await
}

/// What the audit log calls a credential that the asker may change, and what its rules look at.
async fn about(access: &Access, id: Id<Credential>) -> Result<(String, Part), DirectoryError> {
    let stored = access.load(part_to_see(access, id)).await?;
    let known = access.known(&stored);
    let found = managed(known, id)?;
    let part = named::providers_for(found.owner).and(part_to_see(access, id));
    Ok((Place::at(found).entity(known, id), part))
}

/// A credential, and where the asker stands: whether it is shown to them depends on both.
fn part_to_see(access: &Access, id: Id<Credential>) -> Part {
    Part::of([Need::Credential(id)]).and(access.actor.workspace().map(Need::Workspace))
}

/// What makes a credential unique.
#[derive(Clone)]
pub(super) struct Place {
    owner: Owner,
    provider: Id<Provider>,
    label: String,
}

impl Place {
    /// A platform credential without a label has its provider's name, as one that gateway.toml declares does.
    pub(super) fn of(known: Known<'_>, owner: Owner, provider: Id<Provider>, label: Option<&str>) -> Self {
        let label = match (label.filter(|label| !label.is_empty()), owner) {
            (Some(label), _) => label.to_string(),
            (None, Owner::Platform) => known.provider_name(provider),
            (None, Owner::Workspace(_) | Owner::User(_)) => String::new(),
        };
        Self { owner, provider, label }
    }

    fn at(credential: &Credential) -> Self {
        Self { owner: credential.owner, provider: credential.provider, label: credential.label.clone() }
    }

    pub(super) fn find<'a>(&self, credentials: &'a [Credential]) -> Option<&'a Credential> {
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

/// Which credentials to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All that the asker manages.
    Managed,
    /// One owner's. Of the platform's, others than its admins see those granted to them, without any of the key.
    Of(Owner),
}

/// Whose credentials are meant, as somebody with a token says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whose {
    /// Unsaid: those of the workspace whose token is shown, if its holder manages them, else the holder's own.
    pub scope: Option<Scope>,
    /// Of scope `workspace`; the one whose token is shown, unless said.
    pub workspace: Option<Id<Workspace>>,
}

impl Whose {
    pub fn owner(self, actor: &Actor) -> Result<Owner, DirectoryError> {
        let workspace = || self.workspace.or(actor.workspace()).map(Owner::Workspace);
        let own = || actor.user().map(Owner::User);
        let found = match self.scope {
            Some(scope) if scope != Scope::Workspace && self.workspace.is_some() => {
                let why = format!("is named beside the scope {}", scope.name());
                return Err(DirectoryError::invalid("a workspace", why, "leave one of them out").at("workspaceId"));
            }
            Some(Scope::Platform) => Some(Owner::Platform),
            Some(Scope::Workspace) => workspace(),
            Some(Scope::User) => own(),
            None if self.workspace.is_some() || actor.role().holds(Permission::CredentialManage) => workspace(),
            // Somebody who is nobody has none; asking for the workspace's says why.
            None => own().or_else(workspace),
        };
        found.ok_or_else(|| {
            let remedy = "show a token that a user made for themself, or name another scope";
            DirectoryError::invalid("the scope", "is that of a user, and this token is nobody's own", remedy)
                .at("scope")
        })
    }
}

/// The credentials that the asker may see: never another user's own.
pub async fn list(access: &Access, which: Which) -> Result<Vec<CredentialLine>, DirectoryError> {
    let part = match which {
        Which::Managed => Part::everything(),
        Which::Of(owner) => Part::of([Need::OwnedBy(owner)]).and(access.actor.workspace().map(Need::Workspace)),
    };
    let stored = access.load(part).await?;
    let known = access.known(&stored);
    match which {
        Which::Managed | Which::Of(Owner::Platform) => {}
        Which::Of(owner) => permitted(known, owner)?,
    }
    let wanted = |one: &&Credential| match which {
        Which::Managed => is_managed(known, one.owner),
        Which::Of(owner) => one.owner == owner && is_shown(known, one),
    };
    let mut lines: Vec<_> = known.credentials().filter(wanted).map(|one| line(known, one)).collect();
    lines.sort_by(|a, b| (&a.provider, &a.owner, a.id).cmp(&(&b.provider, &b.owner, b.id)));
    Ok(lines)
}

/// One credential, as far as the asker may see it.
pub async fn get(access: &Access, id: Id<Credential>) -> Result<CredentialLine, DirectoryError> {
    let stored = access.load(part_to_see(access, id)).await?;
    let known = access.known(&stored);
    shown(known, id).map(|one| line(known, one))
}

/// A credential that the asker may have tried, with the provider that it is for: whoever may change it, and a declared one
/// whoever could change it if it were not.
pub async fn to_try(access: &Access, id: Id<Credential>) -> Result<(Provider, Arc<Credential>), DirectoryError> {
    let owner = {
        let stored = access.load(part_to_see(access, id)).await?;
        shown(access.known(&stored), id)?.owner
    };
    let stored = access.load(named::providers_for(owner).and(part_to_see(access, id))).await?;
    let known = access.known(&stored);
    let found = shown(known, id)?;
    if !is_managed(known, found.owner) {
        permitted(known, found.owner)?;
    }
    Ok((known.any_provider(found.provider)?.clone(), Arc::new(found.clone())))
}

pub(super) fn shown<'a>(known: Known<'a>, id: Id<Credential>) -> Result<&'a Credential, DirectoryError> {
    let found = known.credentials().find(|one| one.id == id);
    found.filter(|one| is_shown(known, one)).ok_or_else(|| unknown(id))
}

/// A credential that the asker sees and may change.
fn managed<'a>(known: Known<'a>, id: Id<Credential>) -> Result<&'a Credential, DirectoryError> {
    let found = shown(known, id)?;
    if !is_managed(known, found.owner) {
        permitted(known, found.owner)?;
    }
    match known.declared.credentials.iter().any(|one| one.id == id) {
        true => {
            let name = known.provider_name(found.provider);
            Err(DirectoryError::Declared { kind: "credential for provider", name })
        }
        false => Ok(found),
    }
}

fn is_shown(known: Known<'_>, credential: &Credential) -> bool {
    let granted = || known.workspaces().any(|one| lines::serves(credential, one.id));
    is_managed(known, credential.owner) || credential.owner == Owner::Platform && granted()
}

fn is_managed(known: Known<'_>, owner: Owner) -> bool {
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
pub async fn delete(access: &Access, id: Id<Credential>, expected: Expected) -> Result<CredentialLine, DirectoryError> {
    let stored = access.load(part_to_see(access, id)).await?;
    let known = access.known(&stored);
    remove(access, known, managed(known, id)?, expected).await
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
    let place = Place::of(known, owner, provider, Some(label));
    let found = place.find(&stored.credentials).or_else(|| place.find(&access.declared.credentials));
    let missing = || DirectoryError::NotFound {
        kind: "credential for provider",
        name: known.provider_name(provider),
        hint: "; `keyway credential list` shows those there are".to_string(),
    };
    remove(access, known, found.ok_or_else(missing)?, Expected::Anything).await
}

async fn remove(
    access: &Access,
    known: Known<'_>,
    found: &Credential,
    expected: Expected,
) -> Result<CredentialLine, DirectoryError> {
    let (id, gone) = (found.id, line(known, found));
    if gone.declared {
        return Err(DirectoryError::Declared { kind: "credential for provider", name: gone.provider });
    }
    let entity = Place::at(found).entity(known, id);
    let rule = move |turn: Turn<'_>| {
        let known = turn.known();
        let found = known.credentials().find(|one| one.id == id).ok_or_else(|| unknown(id))?;
        expected.hold("credential", Some(&line(known, found)))?;
        turn.stored.credentials.retain(|one| one.id != id);
        Ok(gone)
    };
    access.change(Previous::Forget, "delete", entity, Need::Credential(id), rule).await
}

fn unknown(id: Id<Credential>) -> DirectoryError {
    let hint = "; `keyway credential list` shows those there are".to_string();
    DirectoryError::NotFound { kind: "credential", name: id.to_string(), hint }
}
