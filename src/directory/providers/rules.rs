//! What must hold of a provider, whoever makes or changes it.

use std::time::Duration;

use crate::directory::error::{self, DirectoryError};
use crate::directory::known::Known;
use crate::domain::address::Egress;
use crate::domain::entity::{Owner, Provider, ProviderSettings};
use crate::domain::model_name;
use crate::domain::preset::Kind;

/// Longest name: it stands in headers, metrics and log lines.
const NAME_MAX: usize = 64;
/// Beyond it a weight is a mistake.
pub(in crate::directory) const WEIGHT_MAX: u32 = 1_000_000;
/// A call that takes longer is no call.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A process has no address; this name is reserved never to resolve.
pub(super) const NOWHERE: &str = "https://agent-sdk.invalid";

pub(super) fn bedrock_url(region: &str) -> String {
    format!("https://bedrock-runtime.{region}.amazonaws.com")
}

/// A name as a prefix: small letters, and a dash for what a prefix can't hold. `Local Kael` is `local-kael`.
pub(super) fn default_prefix(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    name.chars().map(|letter| if fits(letter) { letter.to_ascii_lowercase() } else { '-' }).collect()
}

/// Every rule about the provider as it is to be.
pub(super) fn checked(known: Known<'_>, egress: &Egress, provider: &Provider) -> Result<(), DirectoryError> {
    known.brings_its_own(provider.owner)?;
    name(&provider.name)?;
    unique(known, provider)?;
    prefix(known, provider)?;
    settings_fit(provider.kind, &provider.settings)?;
    egress.allows_address(&provider.base_url.address)?;
    if let Some(model) = &provider.default_model {
        error::model_id("the default model", model)?;
    }
    weight(provider.weight)?;
    if provider.max_parallel == Some(0) {
        return Err(DirectoryError::invalid("max_parallel", "is 0", "write at least 1, or leave it out"));
    }
    match provider.timeout.is_zero() || provider.timeout > TIMEOUT_MAX {
        true => Err(DirectoryError::invalid("the timeout", "is zero or longer than a day", "write for example 120 s")),
        false => Ok(()),
    }
}

pub(in crate::directory) fn weight(weight: u32) -> Result<(), DirectoryError> {
    match (1..=WEIGHT_MAX).contains(&weight) {
        true => Ok(()),
        false => {
            let remedy = format!("write 1 to {WEIGHT_MAX}");
            Err(DirectoryError::invalid("the weight", "is out of bounds", remedy))
        }
    }
}

/// A name for people, such as `Local Kael`, that headers can carry too.
fn name(text: &str) -> Result<(), DirectoryError> {
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    match !text.is_empty() && text.len() <= NAME_MAX && text.trim() == text && text.bytes().all(visible) {
        true => Ok(()),
        false => Err(DirectoryError::invalid(
            "the provider's name",
            "is no name",
            format!("use 1 to {NAME_MAX} ASCII letters, digits, signs and spaces, no space at its ends"),
        )),
    }
}

fn unique(known: Known<'_>, provider: &Provider) -> Result<(), DirectoryError> {
    let mut others = known.stored.providers.iter().chain(&known.declared.providers);
    let same = |one: &Provider| {
        one.deleted_at.is_none() && one.id != provider.id && one.name.eq_ignore_ascii_case(&provider.name)
    };
    match others.any(|one| one.owner == provider.owner && same(one)) {
        true => Err(DirectoryError::Exists { kind: "a provider", name: provider.name.clone() }),
        false => Ok(()),
    }
}

/// Several providers may share a prefix; none may have one that is read as something else.
fn prefix(known: Known<'_>, provider: &Provider) -> Result<(), DirectoryError> {
    error::name("the prefix", &provider.prefix)?;
    let mut routes = known.stored.routes.iter().chain(&known.declared.routes);
    let visible = |owner: Owner| owner == Owner::Platform || owner == provider.owner;
    let is_route = routes.any(|one| one.deleted_at.is_none() && visible(one.owner) && one.name == provider.prefix);
    match is_route || model_name::is_reserved(&provider.prefix) {
        true => Err(DirectoryError::invalid("the prefix", "has a meaning of its own", "choose another prefix")),
        false => Ok(()),
    }
}

/// What is written for another kind would be ignored, so it is refused.
pub(in crate::directory) fn settings_fit(kind: Kind, settings: &ProviderSettings) -> Result<(), DirectoryError> {
    let only = |what: &'static str, of: Kind| {
        let why = format!("is only for {of}, and this is {kind}");
        Err(DirectoryError::invalid(what, why, "leave it out"))
    };
    match settings {
        ProviderSettings { deployment: Some(_), .. } if kind != Kind::AzureOpenAi => {
            return only("the deployment", Kind::AzureOpenAi);
        }
        ProviderSettings { api_version: Some(_), .. } if kind != Kind::AzureOpenAi => {
            return only("the API version", Kind::AzureOpenAi);
        }
        ProviderSettings { region: Some(_), .. } if kind != Kind::Bedrock => {
            return only("the region", Kind::Bedrock);
        }
        _ => {}
    }
    // Each becomes part of a URL.
    let texts = [
        ("the deployment", &settings.deployment),
        ("the API version", &settings.api_version),
        ("the region", &settings.region),
    ];
    texts
        .into_iter()
        .filter_map(|(what, text)| Some((what, text.as_ref()?)))
        .try_for_each(|(what, text)| error::name(what, text))
}
