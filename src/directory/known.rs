//! Looks things up by id or name, in what is stored and what is declared, as far as the asker can see.

use uuid::Uuid;

use super::actor::{Actor, Over};
use super::error::DirectoryError;
use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, Gate, Model, Org, Owner, Provider, Route, User, Workspace};
use crate::domain::id::Id;
use crate::domain::nearest::nearest;
use crate::domain::permission::Permission;
use crate::domain::preset;
use crate::store::seal::Keyring;

/// More names than this in one message help nobody.
const NAMES_SHOWN: usize = 5;

/// The directory as one actor sees it.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub(super) stored: &'a Directory,
    pub(super) declared: &'a Directory,
    pub(super) actor: &'a Actor,
    pub(super) keyring: &'a Keyring,
}

/// What has a kind, an id and a name.
trait Named {
    const KIND: &'static str;
    fn uuid(&self) -> Uuid;
    fn called(&self) -> &str;
}

impl Named for Org {
    const KIND: &'static str = "org";
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
    fn called(&self) -> &str {
        &self.name
    }
}

impl Named for Workspace {
    const KIND: &'static str = "workspace";
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
    fn called(&self) -> &str {
        &self.name
    }
}

impl Named for User {
    const KIND: &'static str = "user";
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
    fn called(&self) -> &str {
        &self.email
    }
}

impl Named for Provider {
    const KIND: &'static str = "provider";
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
    fn called(&self) -> &str {
        &self.name
    }
}

/// By name; by id, also the short one under which gateway.toml declares it; by name in other letter case.
fn find<'a, T: Named>(text: &str, all: Vec<&'a T>) -> Result<&'a T, DirectoryError> {
    let declared = Id::<T>::declared(T::KIND, text).uuid();
    let id = Uuid::parse_str(text).unwrap_or(declared);
    let by_name = all.iter().find(|one| one.called() == text);
    let by_id = || all.iter().find(|one| one.uuid() == id || one.uuid() == declared);
    let by_sound = || all.iter().find(|one| one.called().eq_ignore_ascii_case(text));
    match by_name.or_else(by_id).or_else(by_sound) {
        Some(found) => Ok(found),
        None => Err(DirectoryError::NotFound { kind: T::KIND, name: text.to_string(), hint: hint(text, &all) }),
    }
}

fn hint<T: Named>(text: &str, all: &[&T]) -> String {
    if let Some(near) = nearest(text, all.iter().map(|one| one.called())) {
        return format!("; did you mean `{near}`?");
    }
    match all {
        [] => format!("; there is no {} at all yet", T::KIND),
        all if all.len() > NAMES_SHOWN => format!("; there are {} others", all.len()),
        all => {
            format!("; there is {}", all.iter().map(|one| format!("`{}`", one.called())).collect::<Vec<_>>().join(", "))
        }
    }
}

fn by_id<'a, T: Named>(id: Id<T>, mut all: impl Iterator<Item = &'a T>) -> Result<&'a T, DirectoryError> {
    let gone = || DirectoryError::NotFound { kind: T::KIND, name: id.to_string(), hint: String::new() };
    all.find(|one| one.uuid() == id.uuid()).ok_or_else(gone)
}

impl<'a> Known<'a> {
    fn both(&self) -> impl Iterator<Item = &'a Directory> + use<'a> {
        [self.stored, self.declared].into_iter()
    }

    /// Living orgs that the asker can see.
    pub fn orgs(self) -> impl Iterator<Item = &'a Org> {
        let living = self.both().flat_map(|from| &from.orgs).filter(|org| org.deleted_at.is_none());
        living.filter(move |org| self.actor.reaches(Over::Org(org.id)))
    }

    pub fn org(self, text: &str) -> Result<&'a Org, DirectoryError> {
        find(text, self.orgs().collect())
    }

    pub fn org_by_id(self, id: Id<Org>) -> Result<&'a Org, DirectoryError> {
        by_id(id, self.orgs())
    }

    /// Living workspaces that the asker can see.
    pub fn workspaces(self) -> impl Iterator<Item = &'a Workspace> {
        let living = self.both().flat_map(|from| &from.workspaces).filter(|one| one.deleted_at.is_none());
        living.filter(move |workspace| self.actor.reaches(Over::from(*workspace)))
    }

    pub fn workspace(self, text: &str) -> Result<&'a Workspace, DirectoryError> {
        find(text, self.workspaces().collect())
    }

    pub fn workspace_by_id(self, id: Id<Workspace>) -> Result<&'a Workspace, DirectoryError> {
        by_id(id, self.workspaces())
    }

    /// Users that the asker shares an org or a workspace with, as far as the asker's role reaches, and the asker.
    pub fn users(self) -> impl Iterator<Item = &'a User> {
        self.both().flat_map(|from| &from.users).filter(move |user| self.sees(user))
    }

    fn sees(self, user: &User) -> bool {
        let everyone = self.actor.reaches(Over::Platform);
        let in_org = user.org_roles.keys().any(|org| self.actor.reaches(Over::Org(*org)));
        let in_workspace = || self.workspaces().any(|workspace| user.workspace_roles.contains_key(&workspace.id));
        everyone || self.actor.stands_for(user.id) || in_org || in_workspace()
    }

    pub fn user(self, text: &str) -> Result<&'a User, DirectoryError> {
        find(text, self.users().collect())
    }

    pub fn user_by_id(self, id: Id<User>) -> Result<&'a User, DirectoryError> {
        by_id(id, self.users())
    }

    /// The providers that an owner's credential can be for: the platform's, and a workspace's own, which come first.
    pub fn providers_for(self, owner: Owner) -> impl Iterator<Item = &'a Provider> {
        let living = move || self.both().flat_map(|from| &from.providers).filter(|one| one.deleted_at.is_none());
        let own = living().filter(move |one| owner != Owner::Platform && one.owner == owner);
        own.chain(living().filter(|one| one.owner == Owner::Platform))
    }

    pub fn provider_for(self, owner: Owner, text: &str) -> Result<&'a Provider, DirectoryError> {
        find(text, self.providers_for(owner).collect()).map_err(|error| match error {
            DirectoryError::NotFound { kind, name, .. } if preset::preset(&name).is_some() => {
                let hint = format!("; declare it in gateway.toml with [[provider]] id = \"{name}\", kind = \"{name}\"");
                DirectoryError::NotFound { kind, name, hint }
            }
            error => error,
        })
    }

    pub fn provider_by_id(self, owner: Owner, id: Id<Provider>) -> Result<&'a Provider, DirectoryError> {
        by_id(id, self.providers_for(owner))
    }

    /// A living provider of the platform, or of a workspace that the asker sees.
    pub fn any_provider(self, id: Id<Provider>) -> Result<&'a Provider, DirectoryError> {
        let living = self.both().flat_map(|from| &from.providers).filter(|one| one.deleted_at.is_none());
        by_id(id, living.filter(move |one| self.sees_owner(one.owner)))
    }

    /// Living models, also of providers that are not.
    pub(super) fn models(self) -> impl Iterator<Item = &'a Model> {
        self.both().flat_map(|from| &from.models).filter(|one| one.deleted_at.is_none())
    }

    pub(super) fn models_of(self, provider: Id<Provider>) -> impl Iterator<Item = &'a Model> {
        self.models().filter(move |one| one.provider == provider)
    }

    /// Living credentials of all owners: who may see which is for `credentials` to say.
    pub(super) fn credentials(self) -> impl Iterator<Item = &'a Credential> {
        self.both().flat_map(|from| &from.credentials).filter(|one| one.deleted_at.is_none())
    }

    /// Has the workspace's org switched the provider off?
    pub(super) fn is_gated(self, workspace: &Workspace, provider: Id<Provider>) -> bool {
        let org = self.both().flat_map(|from| &from.orgs).find(|org| org.id == workspace.org);
        org.is_some_and(|org| *org.gates.get(&provider).unwrap_or(&org.default_gate) == Gate::Deny)
    }

    /// Living routes of all owners.
    pub(super) fn routes(self) -> impl Iterator<Item = &'a Route> {
        self.both().flat_map(|from| &from.routes).filter(|one| one.deleted_at.is_none())
    }

    /// What the platform owns is everybody's to see; what a workspace or user owns, its own people's.
    pub(super) fn sees_owner(self, owner: Owner) -> bool {
        match owner {
            Owner::Platform => true,
            Owner::Workspace(id) => self.workspace_by_id(id).is_ok(),
            Owner::User(user) => self.actor.is(user),
        }
    }

    /// May the asker do this to things of this owner? No user owns any of the things that this is asked about.
    pub(super) fn may(self, permission: Permission, owner: Owner) -> Result<(), DirectoryError> {
        match owner {
            Owner::Workspace(id) => self.actor.may(permission, Over::from(self.workspace_by_id(id)?)),
            Owner::Platform | Owner::User(_) => self.actor.may(permission, Over::Platform),
        }
    }

    /// May the asker look at things of this owner? The platform's are everybody's to look at whose role allows looking.
    pub(super) fn may_see(self, permission: Permission, owner: Owner) -> Result<(), DirectoryError> {
        match owner {
            Owner::Workspace(_) => self.may(permission, owner),
            Owner::Platform | Owner::User(_) => self.actor.may_anywhere(permission),
        }
    }

    /// A workspace has providers and keys of its own only if its org's plan includes that.
    pub(super) fn brings_its_own(self, owner: Owner) -> Result<(), DirectoryError> {
        let Owner::Workspace(workspace) = owner else { return Ok(()) };
        let org = self.workspace_by_id(workspace)?.org;
        match self.both().flat_map(|from| &from.orgs).find(|one| one.id == org) {
            Some(org) if !org.features.byok => Err(DirectoryError::EnterpriseRequired { org: org.name.clone() }),
            _ => Ok(()),
        }
    }

    /// A name for a list; the id where the thing itself is gone.
    pub(super) fn provider_name(self, id: Id<Provider>) -> String {
        let mut all = self.both().flat_map(|from| &from.providers);
        all.find(|one| one.id == id).map_or_else(|| id.to_string(), |one| one.name.clone())
    }

    pub(super) fn workspace_name(self, id: Id<Workspace>) -> String {
        let mut all = self.both().flat_map(|from| &from.workspaces);
        all.find(|one| one.id == id).map_or_else(|| id.to_string(), |one| one.name.clone())
    }

    pub(super) fn user_name(self, id: Id<User>) -> String {
        let mut all = self.both().flat_map(|from| &from.users);
        all.find(|one| one.id == id).map_or_else(|| id.to_string(), |one| one.email.clone())
    }
}
