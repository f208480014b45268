//! Tests, discovery and price lists: what is asked of providers on somebody's behalf, and what becomes of the answers.
//!
//! The directory says who may ask, with which key, and takes what was found; the probe asks. Both the API and the command
//! line come through here. A test changes nothing, and saving a key never needs one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::attempt::probe::{Key, Probe, ProbeError, Subject};
use crate::directory::discovery::{self, Discovered, Repriced, Taking};
use crate::directory::endpoints::{self, Binding};
use crate::directory::{Access, DirectoryError, credentials};
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Credential, Owner, Provider};
use crate::domain::found::FoundModel;
use crate::domain::id::Id;
use crate::domain::preset::Kind;
use crate::domain::secret::Secret;

/// How thoroughly a key is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The provider lists its models. Costs nothing.
    List,
    /// A model answers, this one or the credential's default. Costs a few units.
    Ping(Option<String>),
}

/// How a test went. That it failed is an answer too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    pub success: bool,
    /// Why it failed, as one of a bounded set of words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    pub message: String,
    /// The model that answered, or did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    /// How many the provider lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// Where prices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceSource {
    /// What OpenRouter says of its own models.
    OpenRouter,
    /// A list of many providers' models at a URL.
    List(BaseUrl),
}

/// Why nothing could be asked, or nothing be taken.
#[derive(Debug, thiserror::Error)]
pub enum ProbingError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// Tests a stored credential.
pub async fn test_stored(
    access: &Access,
    probe: &Probe,
    id: Id<Credential>,
    depth: Depth,
) -> Result<Tested, ProbingError> {
    let (provider, credential) = credentials::to_try(access, id).await?;
    let default = credential.overrides.default_model.clone().or_else(|| provider.default_model.clone());
    Ok(test(probe, &Subject::stored(&provider, Some(credential)), depth, default).await)
}

/// Tests a key that is kept nowhere, or a stored one. What is asked of it must be checked already: who may ask, and that
/// the base URL is one that may be saved.
pub async fn test(probe: &Probe, subject: &Subject, depth: Depth, default_model: Option<String>) -> Tested {
    match depth {
        Depth::List => match probe.list(subject).await {
            Ok(models) => Tested { models: Some(models), ..works() },
            Err(error) => fails(&error),
        },
        Depth::Ping(model) => {
            let Some(model) = model.or(default_model) else {
                let message = "name a model: neither the credential nor its provider has a default one";
                return Tested {
                    code: Some("model_missing"),
                    message: message.into(),
                    ..fails(&ProbeError::Unreadable)
                };
            };
            let tested = match probe.ping(subject, &model).await {
                Ok(took) => Tested { latency_ms: Some(millis(took)), ..works() },
                Err(error) => fails(&error),
            };
            Tested { model_name: Some(model), ..tested }
        }
    }
}

fn works() -> Tested {
    let message = "Connection successful.".to_string();
    Tested { success: true, code: None, message, model_name: None, models: None, latency_ms: None }
}

fn fails(error: &ProbeError) -> Tested {
    Tested { success: false, code: Some(error.code()), message: error.to_string(), ..works() }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tests what a workspace would bind, with a model, before anything is saved.
pub async fn test_binding(
    access: &Access,
    probe: &Probe,
    binding: Binding,
    model: &str,
) -> Result<Tested, ProbingError> {
    let key = binding.key.as_ref().map(|key| Secret::new(key.expose().to_vec()));
    let (provider, credential) = endpoints::preview(access, binding).await?;
    let subject = Subject::stored(&provider, Some(Arc::new(credential)));
    // What was entered is kept nowhere, so nothing is noted of it.
    let subject = Subject { key: key.map_or(subject.key, |key| Key::Entered(Arc::new(key))), ..subject };
    Ok(test(probe, &subject, Depth::Ping(Some(model.to_string())), None).await)
}

/// Asks a provider for its models and takes them. What was just previewed is what is taken.
pub async fn discover(
    access: &Access,
    probe: &Probe,
    provider: Id<Provider>,
    taking: Taking,
) -> Result<Discovered, ProbingError> {
    let found = ask(access, probe, provider, taking).await?;
    Ok(discovery::discover(access, provider, found, taking).await?)
}

/// Takes prices for the platform's models, provider by provider. Each provider's change is one of its own.
pub async fn sync_prices(
    access: &Access,
    probe: &Probe,
    source: &PriceSource,
    taking: Taking,
) -> Result<Vec<Repriced>, ProbingError> {
    // Who may not change prices has nothing fetched.
    let providers = discovery::priced_providers(access).await?;
    let mut repriced = Vec::new();
    match source {
        PriceSource::OpenRouter => {
            let asked = providers.into_iter().filter(|(preset, _)| *preset == Kind::OpenRouter.name());
            for (_, provider) in asked {
                let found = ask(access, probe, provider, taking).await?;
                repriced.push(discovery::reprice(access, provider, found, taking).await?);
            }
        }
        PriceSource::List(at) => {
            let mut by_preset: HashMap<&'static str, Vec<FoundModel>> = HashMap::new();
            for line in probe.price_list(at).await? {
                by_preset.entry(line.preset).or_default().push(line.model);
            }
            let by_preset: HashMap<_, Arc<[FoundModel]>> =
                by_preset.into_iter().map(|(key, found)| (key, found.into())).collect();
            for (preset, provider) in providers {
                let Some(found) = by_preset.get(preset) else { continue };
                repriced.push(discovery::reprice(access, provider, found.clone(), taking).await?);
            }
            repriced.sort_by(|a: &Repriced, b| a.provider.cmp(&b.provider));
        }
    }
    Ok(repriced)
}

async fn ask(
    access: &Access,
    probe: &Probe,
    provider: Id<Provider>,
    taking: Taking,
) -> Result<Arc<[FoundModel]>, ProbingError> {
    let (provider, credential) = discovery::whom_to_ask(access, provider).await?;
    let subject = Subject::stored(&provider, credential);
    Ok(match taking {
        Taking::Preview => probe.models(&subject).await?,
        Taking::Apply => probe.models_as_shown(&subject).await?,
    })
}

/// A key that somebody tries for a provider before saving it, at the provider's own place.
pub fn entered(provider: &Provider, owner: Owner, key: Secret) -> Subject {
    Subject { owner, key: Key::Entered(Arc::new(key)), ..Subject::stored(provider, None) }
}
