//! What a target must clear before its credential is looked at, and the refusal when none does.

use std::sync::Arc;

use super::names::Pick;
use super::{Question, closest, kind_name};
use crate::domain::entity::{Gate, TokenKind};
use crate::domain::refusal::Refusal;
use crate::snapshot::Caller;

/// In the order in which they stand; the last one any target reached is what the client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hurdle {
    Disabled,
    Gate,
    AllowList,
    Approval,
    Length,
    /// It speaks a protocol into which this call is not translated.
    Protocol,
    Credential,
    /// There is a shared credential, and what the call names is not on record as the caller's.
    Unrecorded,
    /// Likewise, as far as can be told without the record.
    Unasked,
}

impl Hurdle {
    pub const fn why(self) -> &'static str {
        match self {
            Self::Disabled => "switched off",
            Self::Gate => "switched off by the organisation",
            Self::AllowList => "not on the token's list of models",
            Self::Approval => "not approved for this kind of token",
            Self::Length => "the call is longer than its context",
            Self::Protocol => "speaks another protocol",
            Self::Credential => "no active credential",
            Self::Unrecorded => "its shared credential's objects are not the caller's",
            Self::Unasked => "the record of its shared credential's objects can't be asked",
        }
    }
}

/// A target that fell out, and where.
#[derive(Clone, Debug)]
pub struct Dropped {
    pub provider: Arc<str>,
    pub model: String,
    pub hurdle: Hurdle,
    limit: u64,
}

impl Dropped {
    pub(super) fn of(pick: &Pick<'_>, hurdle: Hurdle) -> Self {
        let limit = pick.model.and_then(|entry| entry.model.context_length).unwrap_or_default();
        let model = pick.model.map_or_else(|| pick.model_id.to_string(), |entry| entry.qualified.to_string());
        Self { provider: pick.provider.name.clone(), model, hurdle, limit }
    }
}

/// Every hurdle before the credential.
pub(super) fn clear(caller: &Caller, question: &Question<'_>, pick: &Pick<'_>) -> Result<(), Hurdle> {
    let provider = &pick.provider.provider;
    let model = pick.model.map(|entry| &entry.model);
    if !provider.enabled || model.is_some_and(|model| !model.enabled) {
        return Err(Hurdle::Disabled);
    }
    let org = &caller.view().org;
    if *org.gates.get(&provider.id).unwrap_or(&org.default_gate) == Gate::Deny {
        return Err(Hurdle::Gate);
    }
    if !is_on_list(caller, question, pick) {
        return Err(Hurdle::AllowList);
    }
    if question.operation.names_model() && !is_approved(caller.token().kind, pick) {
        return Err(Hurdle::Approval);
    }
    let stated = model.and_then(|model| model.context_length);
    if stated.is_some_and(|length| question.least_input_tokens > length) {
        return Err(Hurdle::Length);
    }
    Ok(())
}

/// A token's list names models by bare or qualified id, routes by name, or whole prefixes as `prefix:*`.
fn is_on_list(caller: &Caller, question: &Question<'_>, pick: &Pick<'_>) -> bool {
    let list = &caller.token().models;
    if list.is_empty() || !question.operation.names_model() {
        return true;
    }
    let prefix = &pick.provider.provider.prefix;
    let is_qualified =
        |name: &str| name.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix(':')) == Some(pick.model_id);
    list.iter().any(|name| match name.strip_suffix('*') {
        Some(start) => format!("{prefix}:{}", pick.model_id).starts_with(start),
        None => {
            name == pick.model_id || is_qualified(name) || question.model == Some(name) || question.role == Some(name)
        }
    })
}

/// Nobody approved an id that nobody registered: people may chat with it, agents may not.
fn is_approved(kind: TokenKind, pick: &Pick<'_>) -> bool {
    match (kind, pick.model) {
        (TokenKind::Chat, Some(entry)) => entry.model.approved_for_chat,
        (TokenKind::Agent, Some(entry)) => entry.model.approved_for_agent,
        (TokenKind::Chat, None) => true,
        (TokenKind::Agent, None) => false,
    }
}

/// What the client hears when nothing is left.
pub(super) fn refusal(caller: &Caller, question: &Question<'_>, dropped: &[Dropped]) -> Refusal {
    let asked = question.model.unwrap_or("default");
    let Some(last) = dropped.iter().max_by_key(|one| one.hurdle) else { return closest::not_found(caller, asked) };
    let provider = last.provider.to_string();
    match last.hurdle {
        Hurdle::Disabled | Hurdle::AllowList => closest::not_found(caller, asked),
        Hurdle::Gate => Refusal::ProviderDisabled { provider },
        Hurdle::Approval => not_approved(caller.token().kind, last),
        Hurdle::Length => Refusal::ContextTooLong { model: last.model.clone(), limit: last.limit },
        Hurdle::Protocol => {
            Refusal::UnsupportedByTarget { provider, remedy: "name a model of a provider that speaks the call's own" }
        }
        Hurdle::Credential => Refusal::NoCredential { remedy: set_credential(caller, &provider), provider },
        Hurdle::Unrecorded => Refusal::ObjectNotFound("what an id in this call names"),
        Hurdle::Unasked => Refusal::StateAway,
    }
}

fn not_approved(kind: TokenKind, dropped: &Dropped) -> Refusal {
    let flag = match kind {
        TokenKind::Chat => "approved_for_chat",
        TokenKind::Agent => "approved_for_agent",
    };
    let remedy = format!("have an administrator register it with {flag} = true");
    Refusal::ModelNotApproved { model: dropped.model.clone(), kind: kind_name(kind), remedy }
}

fn set_credential(caller: &Caller, provider: &str) -> String {
    format!("set one with `keyway credential set --provider {provider} --workspace {}`", caller.view().workspace.name)
}
