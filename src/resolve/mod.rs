//! Chooses where a call may go. Caller's view + call + past → plan.
//!
//! Pure: no clock, no sockets, no randomness (weights are drawn from the conversation or the call's id, so a plan can
//! be replayed). Knows nothing of breakers: a tripped provider is skipped by `attempt`, not left out here.

mod closest;
mod credentials;
mod explain;
mod hurdles;
mod listing;
mod names;
mod order;

pub use explain::{CredentialUsed, DroppedLine, Explanation, Reader, TargetLine};
pub use hurdles::{Dropped, Hurdle};
pub use listing::{Listed, listed};
pub use names::Rule;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::address::BaseUrl;
use crate::domain::call::{Call, Past};
use crate::domain::entity::{Owner, ProviderSettings, Scope, TokenKind};
use crate::domain::protocol::{Operation, Protocol, Purpose};
use crate::domain::refusal::Refusal;
use crate::domain::trail::{Answerer, Priced};
use crate::snapshot::{Caller, CredentialEntry, ModelEntry, ProviderEntry};

/// One line of a plan: provider, model id and credential. Points into the caller's view: counting references that all
/// cores share would have them wait for each other.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub provider: &'a ProviderEntry,
    /// The registered model, if it is one.
    pub model: Option<&'a ModelEntry>,
    /// What the provider calls it; empty for calls about objects, which name no model.
    pub model_id: &'a str,
    /// `None` where the provider needs no key.
    pub credential: Option<&'a CredentialEntry>,
    /// Targets of one tier are equals.
    pub tier: u32,
    weight: u32,
}

impl<'a> Target<'a> {
    pub fn base_url(&self) -> &'a BaseUrl {
        self.credential.map_or(&self.provider.provider.base_url, |credential| &credential.base_url)
    }

    pub fn protocol(&self) -> Protocol {
        self.credential.map_or(self.provider.provider.protocol, |credential| credential.protocol)
    }

    /// The protocol in which a call goes out to it: the call's own where it speaks that, else its own if the call can be
    /// put into its words.
    pub fn spoken(&self, call: Protocol, operation: Operation) -> Option<Protocol> {
        let own = self.protocol();
        // A program answers, and knows of nothing else.
        if !self.command().is_empty() && operation.purpose() != Purpose::Answer {
            return None;
        }
        let speaks_both = own == Protocol::Chat && self.provider.preset.responses && call == Protocol::Responses;
        if own == call || speaks_both {
            return Some(call);
        }
        operation.is_translated_to(own).then_some(own)
    }

    /// The settings in force: the credential's where it has any of its own.
    pub fn settings(&self) -> &'a ProviderSettings {
        let own = self.credential.map(|credential| &credential.credential.overrides.settings);
        own.filter(|settings| **settings != ProviderSettings::default()).unwrap_or(&self.provider.provider.settings)
    }

    /// The program that stands in for the provider, if one does. It is the operator's alone to say.
    pub fn command(&self) -> &'a [String] {
        &self.provider.provider.settings.command
    }

    /// What goes into the body's `model`.
    pub fn sent_model(&self) -> Cow<'a, str> {
        match self.model {
            Some(model) if !self.provider.provider.strip_prefix => Cow::Borrowed(&model.qualified),
            None if !self.provider.provider.strip_prefix => {
                Cow::Owned(format!("{}:{}", self.provider.provider.prefix, self.model_id))
            }
            _ => Cow::Borrowed(self.model_id),
        }
    }

    /// The model as breakers know it. An id that nobody registered counts against no breaker: clients could make up
    /// any number of them.
    pub fn counted_model(&self) -> Option<&'a Arc<str>> {
        self.model.map(|entry| &entry.model_id)
    }

    pub fn answerer(&self) -> Answerer {
        Answerer {
            provider: self.provider.name.clone(),
            provider_id: self.provider.provider.id,
            model: self.named_model(),
            is_registered: self.model.is_some(),
            scope: self.scope(),
            credential: self.credential.map(|one| one.id()),
            is_shared: self.is_shared(),
            priced: self.priced(),
        }
    }

    /// Where its prices stand. A credential with an address of its own leads to somebody else's prices.
    pub fn priced(&self) -> Priced {
        let is_elsewhere = self.credential.is_some_and(|one| one.credential.overrides.base_url.is_some());
        Priced {
            stated: self.model.and_then(|model| model.prices.clone()),
            listed: self.provider.listed.filter(|_| !is_elsewhere),
        }
    }

    /// Do other workspaces call with the same credential, or without one at the same provider? Objects made so are told
    /// apart by our record alone.
    pub fn is_shared(&self) -> bool {
        match self.credential {
            Some(credential) => credential.scope() == Scope::Platform,
            None => self.provider.provider.owner == Owner::Platform,
        }
    }

    /// The model id for what outlives the call.
    pub fn named_model(&self) -> Arc<str> {
        self.model.map_or_else(|| self.model_id.into(), |entry| entry.model_id.clone())
    }

    pub fn scope(&self) -> Option<Scope> {
        self.credential.map(CredentialEntry::scope)
    }

    pub fn timeout(&self) -> Duration {
        self.model.and_then(|model| model.model.timeout).unwrap_or(self.provider.provider.timeout)
    }

    pub fn context_length(&self) -> Option<u64> {
        self.model.and_then(|model| model.model.context_length)
    }
}

/// The targets one call will try, best first. Never empty, and nobody has to check.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    first: Target<'a>,
    rest: Vec<Target<'a>>,
    /// Which of the nine rules read the model string.
    pub rule: Rule,
    pub dropped: Vec<Dropped>,
}

impl<'a> Plan<'a> {
    pub fn targets(&self) -> impl Iterator<Item = &Target<'a>> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// What is left of it without some of its targets.
    pub fn retain(self, keep: impl FnMut(&Target<'a>) -> bool) -> Option<Self> {
        let mut targets = vec![self.first];
        targets.extend(self.rest);
        targets.retain(keep);
        let mut targets = targets.into_iter();
        let first = targets.next()?;
        Some(Self { first, rest: targets.collect(), rule: self.rule, dropped: self.dropped })
    }

    pub fn first(&self) -> &Target<'a> {
        &self.first
    }

    pub fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// Always false; here because `len` is.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// What of a call bears on where it may go. `keyway resolve` asks without a body.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub model: Option<&'a str>,
    pub role: Option<&'a str>,
    pub endpoint: Option<&'a str>,
    pub project: Option<&'a str>,
    pub provider: Option<&'a str>,
    pub protocol: Protocol,
    pub operation: Operation,
    pub least_input_tokens: u64,
    pub seed: u64,
}

impl<'a> From<&'a Call> for Question<'a> {
    fn from(call: &'a Call) -> Self {
        Self {
            model: call.model.as_deref().filter(|model| !model.is_empty() && *model != "default"),
            role: call.role.as_deref(),
            endpoint: call.endpoint.as_deref(),
            project: call.project.as_deref(),
            provider: call.provider.as_deref(),
            protocol: call.protocol,
            operation: call.operation,
            least_input_tokens: call.least_input_tokens(),
            seed: call.seed(),
        }
    }
}

impl<'a> Question<'a> {
    /// What a model string alone asks, as the command line and the admin API put it.
    pub fn of_model(model: &'a str, project: Option<&'a str>) -> Self {
        let model = Some(model).filter(|model| !model.is_empty() && *model != "default");
        Self {
            model,
            role: None,
            endpoint: None,
            project,
            provider: None,
            protocol: Protocol::Chat,
            operation: Operation::ChatCompletions,
            least_input_tokens: 0,
            seed: 0,
        }
    }
}

/// The targets that a model string leads to, which may be none, and what fell out on the way.
#[derive(Debug)]
pub struct Considered<'a> {
    pub rule: Rule,
    /// In the order in which a call would try them.
    pub targets: Vec<Target<'a>>,
    pub dropped: Vec<Dropped>,
}

/// The plan, or the refusal of the last hurdle that any target reached.
pub fn resolve<'a>(caller: &'a Caller, question: &Question<'a>, past: &Past) -> Result<Plan<'a>, Refusal> {
    let considered = consider(caller, question, past)?;
    considered.plan(caller, question)
}

/// Everything that a call's model string leads to; a refusal only where no rule reads it.
pub fn consider<'a>(caller: &'a Caller, question: &Question<'a>, past: &Past) -> Result<Considered<'a>, Refusal> {
    let named = names::picks(caller, question, past)?;
    let mut dropped = Vec::new();
    let mut targets = Vec::with_capacity(named.picks.len());
    for pick in &named.picks {
        match hurdles::clear(caller, question, pick) {
            Ok(()) => credentials::targets(caller, question, past, pick, &mut targets, &mut dropped),
            Err(hurdle) => dropped.push(Dropped::of(pick, hurdle)),
        }
    }
    order::order(&mut targets, question.seed);
    Ok(Considered { rule: named.rule, targets, dropped })
}

impl<'a> Considered<'a> {
    /// What a call would do with it.
    pub fn plan(mut self, caller: &Caller, question: &Question<'_>) -> Result<Plan<'a>, Refusal> {
        if self.targets.is_empty() {
            return Err(hurdles::refusal(caller, question, &self.dropped));
        }
        Ok(Plan { first: self.targets.remove(0), rest: self.targets, rule: self.rule, dropped: self.dropped })
    }
}

/// The word for a token's kind, as refusals say it.
const fn kind_name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Chat => "chat",
        TokenKind::Agent => "agent",
    }
}

#[cfg(test)]
mod tests;
