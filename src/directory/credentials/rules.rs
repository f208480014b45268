//! What must hold of a credential: who may change it, for which provider, and whether the key can be one.

use super::{KEY_MAX, Place};
use crate::directory::actor::Over;
use crate::directory::error::{self, DirectoryError};
use crate::directory::known::Known;
use crate::directory::providers;
use crate::domain::address::Egress;
use crate::domain::entity::{Credential, Grant, KeyMaterial, Owner, Provider};
use crate::domain::permission::Permission;
use crate::domain::preset::{KeyPlace, Preset, preset};
use crate::domain::secret::Secret;
use crate::domain::token;

/// Workspaces that one grant names: more want a grant to all.
const GRANT_MAX: usize = 1_000;

/// May the asker set and delete credentials of this owner?
pub(super) fn permitted(known: Known<'_>, owner: Owner) -> Result<(), DirectoryError> {
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

/// Every rule about the credential as it is to be, with the key that it is to have if it gets one.
pub(super) fn checked(
    known: Known<'_>,
    egress: &Egress,
    credential: &Credential,
    key: Option<&Secret>,
    provider: &Provider,
) -> Result<(), DirectoryError> {
    known.brings_its_own(credential.owner)?;
    alone_in_its_place(known, credential, provider)?;
    error::label("the label", &credential.label).map_err(|error| error.at("label"))?;
    has_a_key(credential, key, provider)?;
    if credential.weight == 0 {
        return Err(DirectoryError::invalid("the weight", "is 0", "write at least 1").at("weight"));
    }
    if credential.max_parallel == Some(0) {
        let remedy = "write at least 1, or leave it out";
        return Err(DirectoryError::invalid("the number of calls in flight", "is 0", remedy).at("maxParallel"));
    }
    overrides(credential, egress, provider)
}

/// Which of two would hold must never be a matter of order.
fn alone_in_its_place(known: Known<'_>, credential: &Credential, provider: &Provider) -> Result<(), DirectoryError> {
    let place = Place::at(credential);
    if place.find(&known.declared.credentials).is_some() {
        return Err(DirectoryError::Declared { kind: "credential for provider", name: provider.name.clone() });
    }
    match place.find(&known.stored.credentials) {
        Some(other) if other.id != credential.id => {
            Err(DirectoryError::Exists { kind: "a credential labelled", name: credential.label.clone() })
        }
        _ => Ok(()),
    }
}

fn preset_of(provider: &Provider) -> Option<&'static Preset> {
    preset(&provider.preset).or_else(|| preset(provider.kind.name()))
}

fn has_a_key(credential: &Credential, key: Option<&Secret>, provider: &Provider) -> Result<(), DirectoryError> {
    let wrong = |why: &str, remedy: &str| Err(DirectoryError::invalid("the key", why, remedy).at("apiKey"));
    let preset = preset_of(provider);
    let Some(key) = key else {
        let is_missing = matches!(credential.key, KeyMaterial::None) && preset.is_none_or(|preset| preset.key_required);
        return match is_missing {
            true => wrong("is missing, and this provider needs one", "give it"),
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

fn overrides(credential: &Credential, egress: &Egress, provider: &Provider) -> Result<(), DirectoryError> {
    let overrides = &credential.overrides;
    if let Some(model) = &overrides.default_model {
        error::model_id("the default model", model).map_err(|error| error.at("defaultModel"))?;
    }
    providers::settings_fit(provider.kind, &overrides.settings)?;
    let Some(base_url) = &overrides.base_url else { return Ok(()) };
    if credential.owner == Owner::Platform {
        let remedy = "change the provider's base URL, or register another provider";
        let why = "can't differ for the platform's own";
        return Err(DirectoryError::invalid("the base URL", why, remedy).at("baseUrl"));
    }
    Ok(egress.allows_address(&base_url.address)?)
}

/// Asked when a grant is written, not of one that stands: a workspace that it names may be gone by now.
pub(super) fn granted(known: Known<'_>, owner: Owner, grant: &Grant) -> Result<(), DirectoryError> {
    let Grant::Workspaces(granted) = grant else { return Ok(()) };
    if owner != Owner::Platform {
        let why = "is for platform credentials only";
        return Err(DirectoryError::invalid("a grant", why, "leave it out").at("grantedIds"));
    }
    if granted.is_empty() || granted.len() > GRANT_MAX {
        let remedy = format!("name 1 to {GRANT_MAX} workspaces, or grant to all");
        return Err(DirectoryError::invalid("the grant", "names no workspace or too many", remedy).at("grantedIds"));
    }
    granted.iter().try_for_each(|workspace| known.workspace_by_id(*workspace).map(|_| ()))
}
