//! Which provider a workspace means when it names one: one that it can see, else one of its own that is to be made.

use crate::directory::Turn;
use crate::directory::credentials::Keys;
use crate::directory::error::DirectoryError;
use crate::directory::known::Known;
use crate::directory::providers::{self, NewProvider, ProviderChange};
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Owner, Provider};
use crate::domain::id::Id;
use crate::domain::nearest::nearest;
use crate::domain::preset::{PRESETS, Preset, preset};
use crate::domain::protocol::Protocol;

/// How a provider is named.
#[derive(Clone, Debug)]
pub enum Chosen {
    Id(Id<Provider>),
    /// By the id, number or name of one that the workspace can see, else by a preset's name.
    Named(String),
    /// Likewise; if neither is there, it is a new one of this preset, under this name.
    OfPreset(String, &'static Preset),
}

/// A provider that is there, or one that is to be made.
pub(super) enum Choice<'a> {
    There(&'a Provider),
    New(String, &'static Preset),
}

/// A workspace's own comes before the platform's, and a name before a preset.
pub(super) fn choose<'a>(known: Known<'a>, owner: Owner, chosen: &Chosen) -> Result<Choice<'a>, DirectoryError> {
    let (name, fallback) = match chosen {
        Chosen::Id(id) => return known.provider_by_id(owner, *id).map(Choice::There),
        Chosen::Named(name) => (name, preset(name)),
        Chosen::OfPreset(name, of) => (name, preset(name).or(Some(*of))),
    };
    let number = name.parse::<u32>().ok();
    let numbered = |one: &&Provider| number.is_some() && one.number == number;
    let found = known.providers_for(owner).find(numbered);
    if let Some(found) = found.or_else(|| known.provider_for(owner, name).ok()) {
        return Ok(Choice::There(found));
    }
    // The platform may have it under another name.
    let of_preset = |one: &&Provider| one.owner == Owner::Platform && one.enabled && one.preset == *name;
    let same = known.providers_for(owner).filter(of_preset).min_by_key(|one| (one.priority, one.id));
    match (same, fallback) {
        (Some(found), _) => Ok(Choice::There(found)),
        (None, Some(preset)) => Ok(Choice::New(name.clone(), preset)),
        (None, None) => Err(unknown(known, owner, name)),
    }
}

fn unknown(known: Known<'_>, owner: Owner, name: &str) -> DirectoryError {
    let names: Vec<&str> =
        known.providers_for(owner).map(|one| one.name.as_str()).chain(PRESETS.iter().map(|one| one.name)).collect();
    let hint = nearest(name, names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    DirectoryError::NotFound { kind: "provider", name: name.to_string(), hint }
}

/// Makes the workspace's own, where it says if it has no usual place.
pub(super) fn make(
    turn: &mut Turn<'_>,
    keys: &Keys,
    owner: Owner,
    (name, preset): (String, &'static Preset),
    base_url: Option<BaseUrl>,
    protocol: Option<Protocol>,
) -> Result<Id<Provider>, DirectoryError> {
    let change = ProviderChange { base_url, protocol, ..ProviderChange::default() };
    providers::make(turn, keys, Id::random(), NewProvider { owner, name, preset, change })
}
