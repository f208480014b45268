//! Model string → picks: the nine rules, of which the first that matches wins.

use std::sync::Arc;

use super::{Question, closest};
use crate::domain::call::Past;
use crate::domain::entity::{Credential, DefaultChoice, Listing, Provider, Route, RouteKind, TokenKind};
use crate::domain::id::Id;
use crate::domain::refusal::Refusal;
use crate::snapshot::{Caller, CredentialEntry, ModelEntry, ProviderEntry};

/// An id without its hyphens.
const SHORTEST_ID: usize = 32;

/// The rule that read the model string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The call is about an object at a provider and names no model.
    Object,
    Default,
    Role,
    Endpoint,
    Alias,
    Exact,
    Prefix,
    DefaultProvider,
    Fallback,
}

impl Rule {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Default => "default",
            Self::Role => "role",
            Self::Endpoint => "endpoint",
            Self::Alias => "alias",
            Self::Exact => "exact model id",
            Self::Prefix => "prefix",
            Self::DefaultProvider => "default provider",
            Self::Fallback => "fallback",
        }
    }
}

/// A provider and a model, before anyone asked whether this caller may use them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick<'a> {
    pub(super) provider: &'a ProviderEntry,
    pub(super) model: Option<&'a ModelEntry>,
    pub(super) model_id: &'a str,
    pub(super) tier: u32,
    pub(super) weight: u32,
    pub(super) pinned: Pinned<'a>,
}

/// Is it settled with whose credential a pick is called?
#[derive(Clone, Copy, Debug)]
pub(super) enum Pinned<'a> {
    No,
    /// The call named this very credential, or what was made with it.
    To(&'a Arc<CredentialEntry>),
    /// What the call names was made without one.
    ToNone,
}

pub(super) struct Named<'a> {
    pub(super) rule: Rule,
    pub(super) picks: Vec<Pick<'a>>,
}

/// The picks of a question; `Past::Theirs` leaves only those at the object's provider.
pub(super) fn picks<'a>(caller: &'a Caller, question: &Question<'a>, past: &Past) -> Result<Named<'a>, Refusal> {
    let mut named = match (question.operation.names_model(), question.model) {
        (false, _) => object_picks(caller, question, past)?,
        (true, None) => default_picks(caller, question).ok_or_else(|| closest::not_found(caller, "default"))?,
        (true, Some(model)) => model_picks(caller, question, model).ok_or_else(|| closest::not_found(caller, model))?,
    };
    if let Past::Theirs { provider, credential } = past {
        let pinned = match credential {
            Some(id) => Pinned::To(find_credential(caller, *id).ok_or(GONE)?),
            None => Pinned::ToNone,
        };
        named.picks.retain(|pick| pick.provider.provider.id == *provider);
        named.picks.iter_mut().for_each(|pick| pick.pinned = pinned);
        if named.picks.is_empty() {
            return Err(elsewhere(question));
        }
    }
    Ok(named)
}

/// The credential with which an object was made is no longer this caller's to use.
const GONE: Refusal = Refusal::ObjectNotFound("what an id in this call named");

/// What the call names lies at another provider than the one it is for.
fn elsewhere(question: &Question<'_>) -> Refusal {
    const WHY: &str = "the objects that the call names lie at another provider";
    match question.operation.names_model() {
        true => Refusal::FieldInvalid { field: "model", why: WHY },
        false => Refusal::HeaderInvalid { header: "x-keyway-provider", why: WHY },
    }
}

/// Rules 2 to 8 for a model string that says something.
fn model_picks<'a>(caller: &'a Caller, question: &Question<'a>, model: &'a str) -> Option<Named<'a>> {
    let named = |rule, picks: Vec<Pick<'a>>| (!picks.is_empty()).then_some(Named { rule, picks });
    let is_agent = caller.token().kind == TokenKind::Agent;
    if let Some(role) = model.strip_prefix("role:") {
        let routes = named(Rule::Role, route_picks(caller, RouteKind::Role, role));
        return routes.or_else(|| fallback(caller).filter(|_| is_agent));
    }
    if let Some(endpoint) = question.endpoint {
        return named(Rule::Endpoint, endpoint_picks(caller, endpoint, Some(model)));
    }
    let exact = exact_picks(caller, model);
    let role = if exact.is_empty() { route_picks(caller, RouteKind::Role, model) } else { Vec::new() };
    named(Rule::Role, role)
        .or_else(|| named(Rule::Endpoint, named_endpoint_picks(caller, model)))
        .or_else(|| named(Rule::Alias, route_picks(caller, RouteKind::Alias, model)))
        .or_else(|| named(Rule::Exact, exact))
        .or_else(|| named(Rule::Prefix, prefix_picks(caller, model)))
        .or_else(|| named(Rule::DefaultProvider, default_provider_picks(caller, model)))
        .or_else(|| fallback(caller).filter(|_| is_agent))
}

/// Rule 1, and the headers that speak only where the model says nothing.
fn default_picks<'a>(caller: &'a Caller, question: &Question<'a>) -> Option<Named<'a>> {
    if let Some(endpoint) = question.endpoint {
        let picks = endpoint_picks(caller, endpoint, None);
        return (!picks.is_empty()).then_some(Named { rule: Rule::Endpoint, picks });
    }
    if let Some(role) = question.role {
        let picks = route_picks(caller, RouteKind::Role, role);
        if !picks.is_empty() {
            return Some(Named { rule: Rule::Role, picks });
        }
        return fallback(caller).filter(|_| caller.token().kind == TokenKind::Agent);
    }
    let view = caller.view();
    let project =
        question.project.or(caller.token().project.as_deref()).and_then(|name| view.workspace.projects.get(name));
    let chosen = project.or(view.workspace.default.as_ref()).and_then(|choice| choice_pick(caller, choice));
    let pick = chosen.or_else(|| first_credential_pick(caller, view.own.all_credentials()));
    if let Some(pick) = pick {
        return Some(Named { rule: Rule::Default, picks: vec![pick] });
    }
    if let Some(default) = caller.platform().routing.default.as_deref() {
        let named = text_picks(caller, default)?;
        return Some(Named { rule: Rule::Default, picks: named });
    }
    let granted =
        caller.platform().catalog.all_credentials().filter(|one| one.grant_rank(caller.workspace()).is_some());
    first_credential_pick(caller, granted).map(|pick| Named { rule: Rule::Default, picks: vec![pick] })
}

/// A model string that the operator wrote: rules 2 and 4 to 6, so that no default leads to another default.
fn text_picks<'a>(caller: &'a Caller, text: &'a str) -> Option<Vec<Pick<'a>>> {
    let found = |picks: Vec<Pick<'a>>| (!picks.is_empty()).then_some(picks);
    let role = text.strip_prefix("role:").unwrap_or(text);
    found(exact_picks(caller, text))
        .or_else(|| found(route_picks(caller, RouteKind::Role, role)))
        .or_else(|| found(route_picks(caller, RouteKind::Alias, text)))
        .or_else(|| found(prefix_picks(caller, text)))
}

fn fallback(caller: &Caller) -> Option<Named<'_>> {
    let text = caller.platform().routing.fallback.as_deref()?;
    text_picks(caller, text).map(|picks| Named { rule: Rule::Fallback, picks })
}

/// A provider with a model, or with its default where none is named.
fn choice_pick<'a>(caller: &'a Caller, choice: &'a DefaultChoice) -> Option<Pick<'a>> {
    let provider = find_provider(caller, choice.provider)?;
    let model = choice.model.as_deref().or_else(|| default_model(caller, provider))?;
    Some(pick(caller, provider, model, provider.provider.priority, 1))
}

fn default_model<'a>(caller: &'a Caller, provider: &'a ProviderEntry) -> Option<&'a str> {
    provider
        .provider
        .default_model
        .as_deref()
        .or_else(|| caller.platform().routing.default_of(provider.provider.protocol))
}

/// Rule 1 (c) and (e): the credential whose provider comes first, with its own default model before the provider's.
fn first_credential_pick<'a>(
    caller: &'a Caller,
    credentials: impl Iterator<Item = &'a Arc<CredentialEntry>>,
) -> Option<Pick<'a>> {
    let with_provider = credentials.filter_map(|one| Some((one, find_provider(caller, one.credential.provider)?)));
    let mut usable: Vec<_> = with_provider.filter(|(_, provider)| provider.provider.enabled).collect();
    usable.sort_by_key(|(credential, provider)| (provider.provider.priority, provider.provider.id, credential.id()));
    usable.into_iter().find_map(|(credential, provider)| {
        let own = credential.credential.overrides.default_model.as_deref();
        let model = own.or_else(|| default_model(caller, provider))?;
        Some(pick(caller, provider, model, provider.provider.priority, 1))
    })
}

/// The workspace's lines for a role or an alias, else the platform's.
fn route_picks<'a>(caller: &'a Caller, kind: RouteKind, name: &str) -> Vec<Pick<'a>> {
    let lines =
        caller.view().catalogs().map(|catalog| catalog.routes(kind, name)).into_iter().find(|lines| !lines.is_empty());
    lines.into_iter().flatten().filter_map(|route| route_pick(caller, route)).collect()
}

fn route_pick<'a>(caller: &'a Caller, route: &'a Route) -> Option<Pick<'a>> {
    let provider = find_provider(caller, route.target.provider)?;
    let model = route.target.model.as_deref().or_else(|| default_model(caller, provider))?;
    Some(pick(caller, provider, model, route.priority, route.weight))
}

/// `endpoint:ID`, `endpoint:ID:model` or a bare id.
fn named_endpoint_picks<'a>(caller: &'a Caller, model: &'a str) -> Vec<Pick<'a>> {
    let named = model.strip_prefix("endpoint:").unwrap_or(model);
    let (id, beside) = named.split_once(':').map_or((named, None), |(id, beside)| (id, Some(beside)));
    endpoint_picks(caller, id, beside)
}

/// A credential named outright: its own model, else the one passed beside it, else the provider's default.
fn endpoint_picks<'a>(caller: &'a Caller, id: &str, beside: Option<&'a str>) -> Vec<Pick<'a>> {
    let id = id.strip_prefix("endpoint:").unwrap_or(id);
    // Most names of models are too short to be an id, and need not be read as one.
    let found = Some(id)
        .filter(|id| id.len() >= SHORTEST_ID)
        .and_then(|id| id.parse().ok())
        .and_then(|id| find_credential(caller, id));
    let Some(credential) = found else { return Vec::new() };
    let Some(provider) = find_provider(caller, credential.credential.provider) else { return Vec::new() };
    let own = credential.credential.overrides.default_model.as_deref();
    let Some(model) = own.or(beside).or_else(|| default_model(caller, provider)) else { return Vec::new() };
    vec![Pick { pinned: Pinned::To(credential), ..pick(caller, provider, model, provider.provider.priority, 1) }]
}

/// Every provider that lists exactly this id, bare or qualified: a failover list by provider priority.
fn exact_picks<'a>(caller: &'a Caller, model: &str) -> Vec<Pick<'a>> {
    let entries = caller.view().catalogs().into_iter().flat_map(|catalog| catalog.models_named(model));
    entries.map(|entry| listed_pick(entry)).collect()
}

fn listed_pick(entry: &ModelEntry) -> Pick<'_> {
    Pick {
        provider: &entry.provider,
        model: Some(entry),
        model_id: &entry.model_id,
        tier: entry.provider.provider.priority,
        weight: entry.provider.provider.weight,
        pinned: Pinned::No,
    }
}

/// `prefix:rest`, else `prefix/rest`, where the left part is a known prefix.
fn prefix_picks<'a>(caller: &'a Caller, model: &'a str) -> Vec<Pick<'a>> {
    for separator in [':', '/'] {
        let Some((prefix, rest)) = model.split_once(separator) else { continue };
        let picks = split_picks(caller, prefix, rest);
        if !picks.is_empty() {
            return picks;
        }
    }
    Vec::new()
}

/// Those that list `rest`; if none does, those that take anything. Nothing after the colon means the default model.
fn split_picks<'a>(caller: &'a Caller, prefix: &str, rest: &'a str) -> Vec<Pick<'a>> {
    let providers = caller.view().catalogs().into_iter().flat_map(|catalog| catalog.providers_with_prefix(prefix));
    let candidates = providers.filter_map(|provider| {
        let model = if rest.is_empty() { default_model(caller, provider)? } else { rest };
        let provider_row = &provider.provider;
        Some(pick(caller, provider, model, provider_row.priority, provider_row.weight))
    });
    let (listed, others): (Vec<Pick<'a>>, Vec<Pick<'a>>) = candidates.partition(|pick| pick.model.is_some());
    if !listed.is_empty() {
        return listed;
    }
    others.into_iter().filter(|pick| pick.provider.takes_any()).collect()
}

fn default_provider_picks<'a>(caller: &'a Caller, model: &'a str) -> Vec<Pick<'a>> {
    let provider = caller.view().workspace.default.as_ref().and_then(|choice| find_provider(caller, choice.provider));
    let any = provider.filter(|provider| provider.provider.models == Listing::Any);
    any.map(|provider| pick(caller, provider, model, 0, 1)).into_iter().collect()
}

/// A call about an object: the provider it names, else the one on record, else the workspace's default.
fn object_picks<'a>(caller: &'a Caller, question: &Question<'a>, past: &Past) -> Result<Named<'a>, Refusal> {
    let view = caller.view();
    let provider = match (question.provider, past) {
        (Some(name), _) => provider_called(caller, name),
        (None, Past::Theirs { provider, .. }) => find_provider(caller, *provider),
        (None, Past::None | Past::Unrecorded | Past::Unasked | Past::Listing) => {
            let default = view.workspace.default.as_ref().and_then(|choice| find_provider(caller, choice.provider));
            default.or_else(|| {
                default_picks(caller, question).and_then(|named| {
                    let first = named.picks.first()?.provider.provider.id;
                    find_provider(caller, first)
                })
            })
        }
    };
    let provider = provider.ok_or(Refusal::HeaderInvalid {
        header: "x-keyway-provider",
        why: "this call names no model, so say which provider it is for",
    })?;
    let pick = Pick { provider, model: None, model_id: "", tier: 0, weight: 1, pinned: Pinned::No };
    Ok(Named { rule: Rule::Object, picks: vec![pick] })
}

fn provider_called<'a>(caller: &'a Caller, name: &str) -> Option<&'a Arc<ProviderEntry>> {
    let catalogs = caller.view().catalogs();
    let by_name = catalogs.iter().find_map(|catalog| catalog.provider_named(name));
    by_name.or_else(|| catalogs.iter().find_map(|catalog| catalog.providers_with_prefix(name).first()))
}

fn find_provider(caller: &Caller, id: Id<Provider>) -> Option<&Arc<ProviderEntry>> {
    caller.view().catalogs().into_iter().find_map(|catalog| catalog.provider(id))
}

/// A credential this caller may name: its user's own, its workspace's, or a granted one of the platform.
fn find_credential(caller: &Caller, id: Id<Credential>) -> Option<&Arc<CredentialEntry>> {
    let own = caller.own_credentials().and_then(|catalog| catalog.credential(id));
    let granted =
        || caller.platform().catalog.credential(id).filter(|one| one.grant_rank(caller.workspace()).is_some());
    own.or_else(|| caller.view().own.credential(id)).or_else(granted)
}

fn pick<'a>(caller: &'a Caller, provider: &'a ProviderEntry, model: &'a str, tier: u32, weight: u32) -> Pick<'a> {
    let id = provider.provider.id;
    let entry = caller.view().catalogs().into_iter().find_map(|catalog| catalog.model_of(id, model));
    let model_entry = entry.map(|entry| &**entry);
    Pick { provider, model_id: model, model: model_entry, tier, weight, pinned: Pinned::No }
}
