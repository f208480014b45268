//! What must hold before a credential is set: who may, for which provider, and whether the key can be one.

use super::{KEY_MAX, NewCredential, Place};
use crate::directory::actor::Over;
use crate::directory::error::{self, DirectoryError};
use crate::directory::known::Known;
use crate::domain::address::Egress;
use crate::domain::entity::{Grant, Owner, Provider};
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

/// Every rule about the credential itself; gives its provider.
pub(super) fn checked<'a>(
    known: Known<'a>,
    egress: &Egress,
    new: &NewCredential,
) -> Result<&'a Provider, DirectoryError> {
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
