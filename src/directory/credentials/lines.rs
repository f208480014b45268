//! Credentials as they are shown: masked, with the names of whose and for what they are.

use serde::Serialize;
use utoipa::ToSchema;

use super::is_managed;
use crate::directory::known::Known;
use crate::directory::moment;
use crate::domain::address::{Address, BaseUrl};
use crate::domain::entity::{Credential, Grant, KeyMaterial, Listing, Model, Owner, Provider, Scope, Workspace};
use crate::domain::id::Id;
use crate::domain::protocol::Protocol;
use crate::domain::time::Timestamp;

/// What a list shows in place of a key, before its last four characters.
const MASK: &str = "***********";

/// What can be called with a credential that could not before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unlocks {
    pub provider: String,
    /// Registered models, qualified.
    pub models: Vec<String>,
    /// The prefix under which any other id is taken too, if one is.
    #[schema(required)]
    pub any_under: Option<String>,
    /// Workspaces whose calls may use it; `null`: all of them.
    #[schema(required)]
    pub workspaces: Option<Vec<String>>,
    /// Of those, the workspaces whose org has switched the provider off; where it is all of them, of the first few hundred.
    pub gated: Vec<String>,
}

/// A credential as lists show it. To those who do not hold it, a platform's shows its label and how it stands; the rest is
/// empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub struct CredentialLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Credential>,
    #[schema(required)]
    pub number: Option<u32>,
    #[schema(inline)]
    pub scope: Scope,
    /// The workspace's name or the user's email; `platform` for the platform's.
    pub owner: String,
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub workspace_id: Option<Id<Workspace>>,
    pub provider: String,
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    /// The provider's number, for those who go by numbers.
    #[serde(skip)]
    pub provider_number: Option<u32>,
    pub label: String,
    pub active: bool,
    /// Was it entered for an address that is no longer its provider's? Then it waits until its holder confirms.
    pub address_changed: bool,
    /// Was it sealed with an encryption key that is no longer held? Then it waits until that key is back, or it is set anew.
    pub undecryptable: bool,
    pub declared: bool,
    /// What only those see who manage it.
    #[serde(flatten)]
    #[schema(value_type = Held)]
    pub held: Option<Held>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// What a credential's holder sees of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Eleven `*` and the last four characters, where it is long enough to show them.
    pub api_key_masked: Option<String>,
    /// Where its key may go.
    #[schema(required = false)]
    pub entered_for: String,
    #[schema(required = false)]
    pub weight: u32,
    pub max_parallel: Option<u32>,
    /// The workspaces that may use a platform credential, by name; `null`: all.
    pub granted_to: Option<Vec<String>>,
    #[schema(value_type = Option<Vec<uuid::Uuid>>)]
    pub granted_ids: Option<Vec<Id<Workspace>>>,
    #[schema(inline)]
    pub protocol: Option<Protocol>,
    #[schema(value_type = Option<String>)]
    pub base_url: Option<BaseUrl>,
    pub default_model: Option<String>,
    pub deployment: Option<String>,
    pub api_version: Option<String>,
    pub region: Option<String>,
}

pub(super) fn unlocks(known: Known<'_>, credential: &Credential, provider: &Provider) -> Unlocks {
    let workspaces: Vec<&Workspace> = known.workspaces().filter(|one| serves(credential, one.id)).collect();
    let names = |all: &[&Workspace]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let gated: Vec<&Workspace> = workspaces.iter().copied().filter(|one| known.is_gated(one, provider.id)).collect();
    let to_all = matches!((credential.owner, &credential.grant), (Owner::Platform, Grant::All) | (Owner::User(_), _));
    Unlocks {
        provider: provider.name.clone(),
        models: models(known, provider).map(|model| format!("{}:{}", provider.prefix, model.model_id)).collect(),
        any_under: (provider.models == Listing::Any).then(|| provider.prefix.clone()),
        workspaces: (!to_all).then(|| names(&workspaces)),
        gated: names(&gated),
    }
}

/// May calls of this workspace use it?
pub(in crate::directory) fn serves(credential: &Credential, workspace: Id<Workspace>) -> bool {
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

pub(in crate::directory) fn line(known: Known<'_>, credential: &Credential) -> CredentialLine {
    CredentialLine {
        id: credential.id,
        number: credential.number,
        scope: credential.scope(),
        owner: owner_name(known, credential.owner),
        workspace_id: match credential.owner {
            Owner::Workspace(id) => Some(id),
            Owner::Platform | Owner::User(_) => None,
        },
        provider: known.provider_name(credential.provider),
        provider_id: credential.provider,
        provider_number: known.provider_by_id(credential.owner, credential.provider).ok().and_then(|one| one.number),
        label: credential.label.clone(),
        active: credential.active,
        address_changed: address(known, credential).is_some_and(|address| !credential.is_for(address)),
        undecryptable: known.keyring.has_lost_the_key_of(credential),
        declared: known.declared.credentials.iter().any(|one| one.id == credential.id),
        held: (is_managed(known, credential.owner) || has_provisioned(known, credential))
            .then(|| held(known, credential)),
        created_at: credential.created_at,
        updated_at: credential.updated_at,
    }
}

/// The operator's command line sees what it has just set for a user.
fn has_provisioned(known: Known<'_>, credential: &Credential) -> bool {
    known.actor.has_machine() && matches!(credential.owner, Owner::User(_))
}

fn held(known: Known<'_>, credential: &Credential) -> Held {
    let granted = match &credential.grant {
        Grant::Workspaces(granted) => Some(granted),
        Grant::All => None,
    };
    let (overrides, settings) = (&credential.overrides, &credential.overrides.settings);
    Held {
        api_key_masked: masked(credential),
        entered_for: credential.entered_for.clone(),
        weight: credential.weight,
        max_parallel: credential.max_parallel,
        granted_to: granted.map(|ids| ids.iter().map(|id| known.workspace_name(*id)).collect()),
        granted_ids: granted.cloned(),
        protocol: overrides.protocol,
        base_url: overrides.base_url.clone(),
        default_model: overrides.default_model.clone(),
        deployment: settings.deployment.clone(),
        api_version: settings.api_version.clone(),
        region: settings.region.clone(),
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
