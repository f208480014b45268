//! What a change does to a credential: one function for a new one, a new key in its place, and any other change.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::rules::{checked, granted};
use super::{Access, DirectoryError, Known, Place, Turn};
use crate::directory::present;
use crate::domain::address::{Address, BaseUrl, Egress};
use crate::domain::change::Change;
use crate::domain::entity::{Credential, Grant, KeyMaterial, Owner, Provider, Workspace};
use crate::domain::id::Id;
use crate::domain::protocol::Protocol;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::store::seal::{Keyring, NotMoved};

/// What is to be otherwise. What is not stated stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"label": "org account", "grantedIds": null}))]
pub struct CredentialChange {
    #[serde(default, rename = "apiKey", deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, write_only)]
    pub key: Option<Secret>,
    /// Tells platform credentials of one provider apart.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 200)]
    pub label: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub active: Option<bool>,
    /// Of several platform credentials, how often this one is first.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1, maximum = 4_294_967_295_u32)]
    pub weight: Option<u32>,
    /// Calls in flight with it at once.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 4_294_967_295_u32)]
    pub max_parallel: Change<u32>,
    /// Where it differs from the provider's, as the rest does; `null` is the provider's again.
    #[serde(default)]
    #[schema(value_type = Option<Protocol>, inline)]
    pub protocol: Change<Protocol>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub base_url: Change<BaseUrl>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub default_model: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub deployment: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub api_version: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub region: Change<String>,
    /// Platform scope only: the workspaces that may use it; `null`: all of them.
    #[serde(default, rename = "grantedIds", deserialize_with = "all_or_some")]
    #[schema(value_type = Option<Vec<uuid::Uuid>>, min_items = 1, max_items = 1_000)]
    pub grant: Option<Grant>,
}

fn all_or_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Grant>, D::Error> {
    let some: Option<Vec<Id<Workspace>>> = Option::deserialize(deserializer)?;
    Ok(Some(some.map_or(Grant::All, Grant::Workspaces)))
}

/// Puts a value where there is one to put.
pub(in crate::directory) fn assign<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// What seals keys, and where they may go.
#[derive(Clone)]
pub(in crate::directory) struct Keys {
    keyring: Arc<Keyring>,
    pub(in crate::directory) egress: Arc<Egress>,
}

impl Keys {
    pub(in crate::directory) fn of(access: &Access) -> Self {
        Self { keyring: Arc::clone(access.store.keyring()), egress: Arc::clone(&access.egress) }
    }
}

/// Changes the credential with this id; if there is none yet, it comes to stand in this place.
pub(in crate::directory) fn put(
    turn: &mut Turn<'_>,
    keys: &Keys,
    id: Id<Credential>,
    place: &Place,
    change: CredentialChange,
) -> Result<Credential, DirectoryError> {
    let known = turn.known();
    let provider = known.provider_by_id(place.owner, place.provider)?;
    let old = known.stored.credentials.iter().find(|one| one.id == id);
    let new = || Credential {
        label: place.label.clone(),
        ..Credential::new(id, place.owner, provider.id, &provider.base_url.address, turn.now)
    };
    let mut credential = old.cloned().unwrap_or_else(new);
    let states_address = !change.base_url.is_keep();
    if let Some(grant) = &change.grant {
        granted(known, place.owner, grant)?;
    }
    let key = apply(&mut credential, change);
    checked(known, &keys.egress, &credential, key.as_ref(), provider)?;
    if let Some(key) = key {
        credential.entered_for = address(&credential, provider).to_string();
        keys.keyring.seal_credential(&mut credential, key).map_err(|_| DirectoryError::NoRandomness)?;
    } else if states_address || matches!(credential.key, KeyMaterial::None) {
        readdress(known, &keys.keyring, &mut credential)?;
    }
    touch(&mut credential, turn.now);
    let number = credential.number.unwrap_or_else(|| turn.stored.number());
    credential.number = Some(number);
    turn.stored.credentials.retain(|one| one.id != id);
    turn.stored.credentials.push(credential.clone());
    Ok(credential)
}

/// Gives back the key, which is not a field.
fn apply(credential: &mut Credential, change: CredentialChange) -> Option<Secret> {
    // The platform's are told apart by their labels, so one without keeps what it has.
    assign(&mut credential.label, change.label.filter(|one| credential.owner != Owner::Platform || !one.is_empty()));
    assign(&mut credential.active, change.active);
    assign(&mut credential.weight, change.weight);
    change.max_parallel.apply(&mut credential.max_parallel);
    change.protocol.apply(&mut credential.overrides.protocol);
    change.base_url.apply(&mut credential.overrides.base_url);
    change.default_model.apply(&mut credential.overrides.default_model);
    assign(&mut credential.grant, change.grant);
    change.deployment.apply(&mut credential.overrides.settings.deployment);
    change.api_version.apply(&mut credential.overrides.settings.api_version);
    change.region.apply(&mut credential.overrides.settings.region);
    change.key
}

/// Where a key would be sent now.
fn address<'a>(credential: &'a Credential, provider: &'a Provider) -> &'a Address {
    let own = credential.overrides.base_url.as_ref().filter(|_| credential.owner != Owner::Platform);
    &own.unwrap_or(&provider.base_url).address
}

pub(super) fn readdress(
    known: Known<'_>,
    keyring: &Keyring,
    credential: &mut Credential,
) -> Result<(), DirectoryError> {
    let provider = known.provider_by_id(credential.owner, credential.provider)?;
    let address = address(credential, provider).clone();
    if credential.is_for(&address) {
        return Ok(());
    }
    keyring.readdress_credential(credential, &address).map_err(|error| match error {
        NotMoved::NoRandomness(_) => DirectoryError::NoRandomness,
        NotMoved::Unopenable(_) => {
            DirectoryError::invalid("the key", "does not open any more", "enter it again").at("apiKey")
        }
    })
}

/// A provider's own holder moved it, and their keys move along. One that does not open stays behind, to be entered again;
/// other holders' wait until they say that theirs may go there too.
pub(in crate::directory) fn follow(turn: &mut Turn<'_>, keys: &Keys, provider: &Provider) {
    for credential in &mut turn.stored.credentials {
        let theirs = credential.owner == provider.owner && credential.provider == provider.id;
        if theirs && credential.overrides.base_url.is_none() {
            let moved = keys.keyring.readdress_credential(credential, &provider.base_url.address);
            if moved.is_ok() {
                touch(credential, turn.now);
            }
        }
    }
}

/// Ready-made headers are kept by this moment, so no two changes may share one.
pub(super) fn touch(credential: &mut Credential, now: Timestamp) {
    credential.updated_at = now.max(Timestamp(credential.updated_at.0 + 1));
}
