//! Providers, models, routes and credentials of one owner, indexed by the names that calls use.

use std::sync::Arc;

use crate::domain::address::BaseUrl;
use crate::domain::entity::{Credential, Grant, Listing, Model, Provider, Route, RouteKind, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::map::Map;
use crate::domain::preset::Preset;
use crate::domain::prices::PriceHistory;
use crate::domain::protocol::Protocol;

/// A provider with its preset. Deleted ones are not here; switched-off ones are, so that a refusal can say so.
#[derive(Debug)]
pub struct ProviderEntry {
    pub provider: Provider,
    pub preset: &'static Preset,
    /// The name as metrics, logs and answers show it.
    pub name: Arc<str>,
    /// Where the provider is at the preset's own address: the preset whose listed prices hold.
    pub listed: Option<&'static str>,
}

/// A model with the provider that has it.
#[derive(Debug)]
pub struct ModelEntry {
    pub model: Model,
    pub provider: Arc<ProviderEntry>,
    pub model_id: Arc<str>,
    /// `prefix:model_id`.
    pub qualified: Arc<str>,
    /// The text put before the system prompt, if hydration is on.
    pub hydration: Option<Arc<str>>,
    /// Its stated prices, if it ever had any; shared with the records of its exchanges.
    pub prices: Option<Arc<PriceHistory>>,
}

/// A credential with the address it is for.
#[derive(Debug)]
pub struct CredentialEntry {
    pub credential: Credential,
    pub base_url: BaseUrl,
    pub protocol: Protocol,
    /// Was the key entered for where it would now be sent? If not, its holder must confirm.
    pub is_for_address: bool,
}

impl CredentialEntry {
    pub fn id(&self) -> Id<Credential> {
        self.credential.id
    }

    pub fn scope(&self) -> Scope {
        self.credential.scope()
    }

    /// How well a platform credential's grant fits a workspace: `None` not at all, higher better.
    pub fn grant_rank(&self, workspace: Id<Workspace>) -> Option<u8> {
        match &self.credential.grant {
            Grant::All => Some(0),
            Grant::Workspaces(granted) => granted.contains(&workspace).then_some(1),
        }
    }
}

/// One owner's things, by name.
#[derive(Debug, Default)]
pub struct Catalog {
    pub(crate) providers: Map<Id<Provider>, Arc<ProviderEntry>>,
    by_name: Map<String, Arc<ProviderEntry>>,
    by_prefix: Map<String, Vec<Arc<ProviderEntry>>>,
    /// Under the bare and under the qualified id, by provider priority.
    models: Map<String, Vec<Arc<ModelEntry>>>,
    /// Names of roles and aliases with their lines, by priority.
    routes: Map<(RouteKind, String), Vec<Arc<Route>>>,
    credentials: Map<Id<Provider>, Vec<Arc<CredentialEntry>>>,
    credentials_by_id: Map<Id<Credential>, Arc<CredentialEntry>>,
}

impl Catalog {
    pub fn provider(&self, id: Id<Provider>) -> Option<&Arc<ProviderEntry>> {
        self.providers.get(&id)
    }

    pub fn provider_named(&self, name: &str) -> Option<&Arc<ProviderEntry>> {
        self.by_name.get(name)
    }

    pub fn providers(&self) -> impl Iterator<Item = &Arc<ProviderEntry>> {
        self.providers.values()
    }

    pub fn providers_with_prefix(&self, prefix: &str) -> &[Arc<ProviderEntry>] {
        self.by_prefix.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// The models of a bare or qualified id.
    pub fn models_named(&self, name: &str) -> &[Arc<ModelEntry>] {
        self.models.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every model once.
    pub fn models(&self) -> impl Iterator<Item = &Arc<ModelEntry>> {
        self.models.iter().flat_map(|(name, entries)| entries.iter().filter(move |entry| *entry.qualified == **name))
    }

    pub fn model_of(&self, provider: Id<Provider>, model_id: &str) -> Option<&Arc<ModelEntry>> {
        self.models_named(model_id)
            .iter()
            .find(|entry| entry.provider.provider.id == provider && *entry.model_id == *model_id)
    }

    pub fn routes(&self, kind: RouteKind, name: &str) -> &[Arc<Route>] {
        // The key's `String` is needed for a lookup; empty maps, which are the rule, skip it.
        if self.routes.is_empty() {
            return &[];
        }
        self.routes.get(&(kind, name.to_string())).map_or(&[], Vec::as_slice)
    }

    pub fn route_names(&self, kind: RouteKind) -> impl Iterator<Item = &str> {
        self.routes.keys().filter(move |(of, _)| *of == kind).map(|(_, name)| name.as_str())
    }

    pub fn credentials(&self, provider: Id<Provider>) -> &[Arc<CredentialEntry>] {
        self.credentials.get(&provider).map_or(&[], Vec::as_slice)
    }

    pub fn credential(&self, id: Id<Credential>) -> Option<&Arc<CredentialEntry>> {
        self.credentials_by_id.get(&id)
    }

    /// Every active credential.
    pub fn all_credentials(&self) -> impl Iterator<Item = &Arc<CredentialEntry>> {
        self.credentials_by_id.values()
    }

    pub(crate) fn add_provider(&mut self, entry: Arc<ProviderEntry>) {
        self.by_name.insert(entry.provider.name.clone(), entry.clone());
        self.by_prefix.entry(entry.provider.prefix.clone()).or_default().push(entry.clone());
        self.providers.insert(entry.provider.id, entry);
    }

    pub(crate) fn add_model(&mut self, entry: Arc<ModelEntry>) {
        self.models.entry(entry.qualified.to_string()).or_default().push(entry.clone());
        if *entry.qualified != *entry.model_id {
            self.models.entry(entry.model_id.to_string()).or_default().push(entry);
        }
    }

    pub(crate) fn add_route(&mut self, route: Route) {
        self.routes.entry((route.kind, route.name.clone())).or_default().push(Arc::new(route));
    }

    pub(crate) fn add_credential(&mut self, entry: Arc<CredentialEntry>) {
        self.credentials_by_id.insert(entry.id(), entry.clone());
        self.credentials.entry(entry.credential.provider).or_default().push(entry);
    }

    /// Puts every list into the order in which calls look at it.
    pub(crate) fn sort(&mut self) {
        for models in self.models.values_mut() {
            models.sort_by_key(|entry| (entry.provider.provider.priority, entry.provider.provider.id));
        }
        for providers in self.by_prefix.values_mut() {
            providers.sort_by_key(|entry| (entry.provider.priority, entry.provider.id));
        }
        for routes in self.routes.values_mut() {
            routes.sort_by_key(|route| (route.priority, route.id));
        }
        for credentials in self.credentials.values_mut() {
            credentials.sort_by_key(|entry| (std::cmp::Reverse(entry.credential.created_at), entry.id()));
        }
    }
}

impl ProviderEntry {
    /// May an id that nobody registered be sent to it?
    pub fn takes_any(&self) -> bool {
        self.provider.models == Listing::Any
    }

    pub fn needs_key(&self) -> bool {
        self.preset.key_required
    }
}
