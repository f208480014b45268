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
        error::model_id("the default model", model).map_err(|error| error.at("defaultModel"))?;
    }
    weight(provider.weight)?;
    if provider.max_parallel == Some(0) {
        let remedy = "write at least 1, or leave it out";
        return Err(DirectoryError::invalid("the number of calls in flight", "is 0", remedy).at("maxParallel"));
    }
    match provider.timeout.is_zero() || provider.timeout > TIMEOUT_MAX {
        true => {
            let remedy = "write for example 120 s";
            Err(DirectoryError::invalid("the timeout", "is zero or longer than a day", remedy).at("timeoutMs"))
        }
        false => Ok(()),
    }
}

pub(in crate::directory) fn weight(weight: u32) -> Result<(), DirectoryError> {
    match (1..=WEIGHT_MAX).contains(&weight) {
        true => Ok(()),
        false => {
            let remedy = format!("write 1 to {WEIGHT_MAX}");
            Err(DirectoryError::invalid("the weight", "is out of bounds", remedy).at("weight"))
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
        )
        .at("name")),
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
    error::name("the prefix", &provider.prefix).map_err(|error| error.at("prefix"))?;
    let mut routes = known.stored.routes.iter().chain(&known.declared.routes);
    let visible = |owner: Owner| owner == Owner::Platform || owner == provider.owner;
    let is_route = routes.any(|one| one.deleted_at.is_none() && visible(one.owner) && one.name == provider.prefix);
    match is_route || model_name::is_reserved(&provider.prefix) {
        true => {
            let remedy = "choose another prefix";
            Err(DirectoryError::invalid("the prefix", "has a meaning of its own", remedy).at("prefix"))
        }
        false => Ok(()),
    }
}

/// What is written for another kind would be ignored, so it is refused.
pub(in crate::directory) fn settings_fit(kind: Kind, settings: &ProviderSettings) -> Result<(), DirectoryError> {
    let all = [
        ("the deployment", "deployment", Kind::AzureOpenAi, &settings.deployment),
        ("the API version", "apiVersion", Kind::AzureOpenAi, &settings.api_version),
        ("the region", "region", Kind::Bedrock, &settings.region),
    ];
    for (what, field, of, text) in all {
        let Some(text) = text else { continue };
        if kind != of {
            let why = format!("is only for {of}, and this is {kind}");
            return Err(DirectoryError::invalid(what, why, "leave it out").at(field));
        }
        // Each becomes part of a URL.
        error::name(what, text).map_err(|error| error.at(field))?;
    }
    Ok(())
}
