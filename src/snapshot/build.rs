//! The stored directory and the declared one, compiled into a snapshot.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::catalog::{Catalog, CredentialEntry, ModelEntry, ProviderEntry};
use super::{Platform, Snapshot, TokenEntry, WorkspaceView};
use crate::config::Routing;
use crate::domain::directory::Directory;
use crate::domain::entity::{Credential, Identity, Model, Org, Owner, Provider, Route, User, Workspace};
use crate::domain::id::Id;
use crate::domain::map::Map;
use crate::domain::token::TokenHash;

/// Why a directory can't be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unbuildable {
    #[error("the {kind} `{name}` is both declared in gateway.toml and stored; remove one of the two")]
    DeclaredAndStored { kind: &'static str, name: String },
}

/// Compiles the whole world. The caller keeps the old one if this fails.
pub fn build(stored: &Directory, declared: &Directory, routing: &Routing) -> Result<Snapshot, Unbuildable> {
    let platform = Arc::new(platform(stored, declared, routing)?);
    let parts = Parts::of([stored, declared], Some(&platform));
    let users: Map<Id<User>, Arc<User>> =
        stored.users.iter().chain(&declared.users).map(|user| (user.id, Arc::new(user.clone()))).collect();
    let of_users = parts.of_users();
    let tokens = stored.tokens.iter().chain(&declared.tokens).filter(|token| token.revoked_at.is_none()).map(|token| {
        let user = token.user.and_then(|id| users.get(&id).cloned());
        let own = token.user.and_then(|id| of_users.get(&id).cloned());
        (token.hash, Arc::new(TokenEntry::new(token.clone(), user, own)))
    });
    Ok(Snapshot { views: views(stored, declared, &parts, &platform), tokens: tokens.collect(), platform })
}

/// Compiles what all workspaces share. `stored` holds everything of the platform's, and whatever could have the name of
/// something declared.
pub(super) fn platform(stored: &Directory, declared: &Directory, routing: &Routing) -> Result<Platform, Unbuildable> {
    no_name_twice(stored, declared)?;
    let parts = Parts::of([stored, declared], None);
    Ok(Platform {
        version: stored.version,
        catalog: parts.catalog(Owner::Platform, None),
        routing: routing.clone(),
        identities: parts
            .identities
            .into_iter()
            .filter_map(|(id, (owner, text))| (owner == Owner::Platform).then_some((id, text)))
            .collect(),
    })
}

/// One workspace's view out of the part of the directory that is its own.
pub(super) fn view(
    id: Id<Workspace>,
    stored: &Directory,
    declared: &Directory,
    platform: &Arc<Platform>,
) -> Option<WorkspaceView> {
    let mut all = stored.workspaces.iter().chain(&declared.workspaces);
    let workspace = all.find(|one| one.id == id && one.deleted_at.is_none())?;
    let mut orgs = stored.orgs.iter().chain(&declared.orgs);
    let org = Arc::new(orgs.find(|one| one.id == workspace.org)?.clone());
    Parts::of([stored], Some(platform)).view(workspace, org, platform)
}

/// A living token, out of the part of the directory that is its and its user's own.
pub(super) fn token(hash: &TokenHash, stored: &Directory, platform: &Platform) -> Option<TokenEntry> {
    let token = stored.tokens.iter().find(|token| token.hash == *hash && token.revoked_at.is_none())?.clone();
    let user = token.user.and_then(|id| stored.users.iter().find(|user| user.id == id));
    let own = token.user.map(|id| Parts::of([stored], Some(platform)).catalog(Owner::User(id), None));
    let own = own.filter(|own| own.all_credentials().next().is_some());
    Some(TokenEntry::new(token, user.cloned().map(Arc::new), own.map(Arc::new)))
}

fn views(
    stored: &Directory,
    declared: &Directory,
    parts: &Parts<'_>,
    platform: &Arc<Platform>,
) -> Map<Id<Workspace>, Arc<WorkspaceView>> {
    let both = [stored, declared];
    let orgs: BTreeMap<Id<Org>, Arc<Org>> =
        both.iter().flat_map(|from| &from.orgs).map(|org| (org.id, Arc::new(org.clone()))).collect();
    let living = both.iter().flat_map(|from| &from.workspaces).filter(|one| one.deleted_at.is_none());
    let view = |workspace: &Workspace| parts.view(workspace, orgs.get(&workspace.org)?.clone(), platform);
    living.filter_map(|workspace| Some((workspace.id, Arc::new(view(workspace)?)))).collect()
}

/// Living entities, grouped by owner once, so that a thousand workspaces cost no thousand walks over everything.
struct Parts<'a> {
    providers: Map<Id<Provider>, Arc<ProviderEntry>>,
    providers_of: Map<Owner, Vec<Arc<ProviderEntry>>>,
    models_of: Map<Id<Provider>, Vec<&'a Model>>,
    routes_of: Map<Owner, Vec<&'a Route>>,
    credentials_of: Map<Owner, Vec<&'a Credential>>,
    identities: Map<Id<Identity>, (Owner, Arc<str>)>,
    platform: Option<&'a Platform>,
}

impl<'a> Parts<'a> {
    /// With a platform, what is the platform's is taken from it and not compiled again.
    fn of<const N: usize>(from: [&'a Directory; N], platform: Option<&'a Platform>) -> Self {
        let mut providers = Map::default();
        let mut providers_of: Map<Owner, Vec<Arc<ProviderEntry>>> = Map::default();
        let is_ours = |owner: Owner| (owner == Owner::Platform) == platform.is_none();
        let living = from.iter().flat_map(|from| &from.providers).filter(|one| one.deleted_at.is_none());
        for provider in living.filter(|one| is_ours(one.owner)) {
            let entry = Arc::new(provider_entry(provider));
            providers.insert(provider.id, entry.clone());
            providers_of.entry(provider.owner).or_default().push(entry);
        }
        let models = from.iter().flat_map(|from| &from.models).filter(|model| model.deleted_at.is_none());
        let routes = from.iter().flat_map(|from| &from.routes).filter(|route| route.deleted_at.is_none());
        let credentials =
            from.iter().flat_map(|from| &from.credentials).filter(|one| one.deleted_at.is_none() && one.active);
        let identities = from.iter().flat_map(|from| &from.identities);
        Self {
            providers,
            providers_of,
            models_of: grouped(models, |model| model.provider),
            routes_of: grouped(routes, |route| route.owner),
            credentials_of: grouped(credentials, |credential| credential.owner),
            identities: identities.map(|one| (one.id, (one.owner, one.text.as_str().into()))).collect(),
            platform,
        }
    }

    /// One owner's catalog. A workspace without the feature to bring its own has an empty one.
    fn catalog(&self, owner: Owner, org: Option<&Org>) -> Catalog {
        let mut catalog = Catalog::default();
        if org.is_some_and(|org| !org.features.byok) {
            return catalog;
        }
        for provider in self.providers_of.get(&owner).into_iter().flatten() {
            catalog.add_provider(provider.clone());
            for model in self.models_of.get(&provider.provider.id).into_iter().flatten() {
                catalog.add_model(Arc::new(self.model_entry(model, provider)));
            }
        }
        for route in self.routes_of.get(&owner).into_iter().flatten() {
            catalog.add_route((*route).clone());
        }
        for credential in self.credentials_of.get(&owner).into_iter().flatten() {
            if let Some(provider) = self.provider(credential.provider) {
                catalog.add_credential(Arc::new(credential_entry(credential, provider)));
            }
        }
        catalog.sort();
        catalog
    }

    fn view(&self, workspace: &Workspace, org: Arc<Org>, platform: &Arc<Platform>) -> Option<WorkspaceView> {
        (org.deleted_at.is_none()).then(|| WorkspaceView {
            platform: platform.clone(),
            name: workspace.name.as_str().into(),
            own: self.catalog(Owner::Workspace(workspace.id), Some(&org)),
            workspace: workspace.clone(),
            org,
        })
    }

    fn of_users(&self) -> Map<Id<User>, Arc<Catalog>> {
        let owners = self.credentials_of.keys().filter_map(|owner| match owner {
            Owner::User(user) => Some((*user, Arc::new(self.catalog(*owner, None)))),
            Owner::Platform | Owner::Workspace(_) => None,
        });
        owners.collect()
    }

    fn provider(&self, id: Id<Provider>) -> Option<&Arc<ProviderEntry>> {
        self.providers.get(&id).or_else(|| self.platform?.catalog.provider(id))
    }

    fn identity(&self, id: Id<Identity>) -> Option<&Arc<str>> {
        self.identities.get(&id).map(|(_, text)| text).or_else(|| self.platform?.identities.get(&id))
    }

    fn model_entry(&self, model: &Model, provider: &Arc<ProviderEntry>) -> ModelEntry {
        let hydration = model.hydration.filter(|hydration| hydration.enabled);
        ModelEntry {
            model_id: model.model_id.as_str().into(),
            qualified: format!("{}:{}", provider.provider.prefix, model.model_id).into(),
            hydration: hydration.and_then(|hydration| self.identity(hydration.identity).cloned()),
            provider: provider.clone(),
            prices: (!model.prices.is_empty()).then(|| Arc::new(model.prices.clone())),
            model: model.clone(),
        }
    }
}

fn grouped<T: Copy, K: std::hash::Hash + Eq>(items: impl Iterator<Item = T>, key: impl Fn(T) -> K) -> Map<K, Vec<T>> {
    let mut groups: Map<K, Vec<T>> = Map::default();
    for item in items {
        groups.entry(key(item)).or_default().push(item);
    }
    groups
}

fn provider_entry(provider: &Provider) -> ProviderEntry {
    let preset = provider.facts();
    let is_at_home = preset.base_url.is_some_and(|home| home == provider.base_url.to_string());
    ProviderEntry {
        name: provider.name.as_str().into(),
        preset,
        listed: is_at_home.then_some(preset.name),
        provider: provider.clone(),
    }
}

fn credential_entry(credential: &Credential, provider: &ProviderEntry) -> CredentialEntry {
    let base_url = credential.base_url(&provider.provider);
    CredentialEntry {
        is_for_address: credential.is_for(&base_url.address),
        protocol: credential.protocol(&provider.provider),
        base_url: base_url.clone(),
        credential: credential.clone(),
    }
}

/// A name is either declared or stored; which of the two holds must never be a matter of order.
fn no_name_twice(stored: &Directory, declared: &Directory) -> Result<(), Unbuildable> {
    let declared: HashSet<(&str, Owner, &str)> = names(declared).collect();
    match names(stored).find(|name| declared.contains(name)) {
        Some((kind, _, name)) => Err(Unbuildable::DeclaredAndStored { kind, name: name.to_string() }),
        None => Ok(()),
    }
}

/// What is known by name: its kind, its owner, the name.
fn names(directory: &Directory) -> impl Iterator<Item = (&'static str, Owner, &str)> {
    let providers = directory.providers.iter().filter(|one| one.deleted_at.is_none());
    let orgs = directory.orgs.iter().filter(|one| one.deleted_at.is_none());
    let workspaces = directory.workspaces.iter().filter(|one| one.deleted_at.is_none());
    (providers.map(|one| ("provider", one.owner, one.name.as_str())))
        .chain(orgs.map(|one| ("org", Owner::Platform, one.name.as_str())))
        .chain(workspaces.map(|one| ("workspace", Owner::Platform, one.name.as_str())))
}
