//! Credentials as they are shown: masked, with the names of whose and for what they are.

use serde::Serialize;

use crate::directory::known::Known;
use crate::directory::moment;
use crate::domain::address::Address;
use crate::domain::entity::{Credential, Gate, Grant, KeyMaterial, Listing, Model, Owner, Provider, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// What a list shows in place of a key, before its last four characters.
const MASK: &str = "***********";
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
    /// Of those, the workspaces whose org has switched the provider off; where it is all of them, of the first few hundred.
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

pub(super) fn unlocks(known: Known<'_>, credential: &Credential, provider: &Provider) -> Unlocks {
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

pub(super) fn line(known: Known<'_>, credential: &Credential) -> CredentialLine {
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
