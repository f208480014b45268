//! Why a call would go where it would go, for people and for programs.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Considered, Dropped, Hurdle, Plan, Target};
use crate::domain::address::BaseUrl;
use crate::domain::entity::{Credential, Provider, Scope};
use crate::domain::id::Id;
use crate::domain::protocol::Protocol;

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Sees everything.
    Operator,
    /// Sees only what its own list of models could show.
    Caller,
}

/// A plan in words: the rule, each target with whose credential it uses, each dropped one and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Which of the rules read the model string.
    pub rule: &'static str,
    /// In the order in which a call would try them.
    pub targets: Vec<TargetLine>,
    pub dropped: Vec<DroppedLine>,
    /// Dropped ones that are not this reader's to see.
    pub hidden: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Target)]
pub struct TargetLine {
    pub provider: String,
    #[schema(value_type = uuid::Uuid)]
    pub provider_id: Id<Provider>,
    pub model: String,
    /// Has somebody registered or discovered it?
    pub registered: bool,
    /// Targets of one tier are equals.
    pub tier: u32,
    #[schema(inline)]
    pub protocol: Protocol,
    #[schema(value_type = String)]
    pub base_url: BaseUrl,
    /// `null` where the provider needs none.
    #[schema(required)]
    pub credential: Option<CredentialUsed>,
}

/// Which credential a target uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialUsed {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<Credential>,
    #[schema(inline)]
    pub scope: Scope,
    pub label: String,
    /// Was it entered for another address, so that it waits for its holder's word?
    pub address_changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DroppedTarget)]
pub struct DroppedLine {
    pub provider: String,
    pub model: String,
    pub why: &'static str,
}

impl Explanation {
    pub fn of(plan: &Plan<'_>, reader: Reader) -> Self {
        Self::from_parts(plan.rule.name(), plan.targets(), &plan.dropped, reader)
    }

    /// Also where no target is left.
    pub fn of_considered(considered: &Considered<'_>, reader: Reader) -> Self {
        Self::from_parts(considered.rule.name(), considered.targets.iter(), &considered.dropped, reader)
    }

    fn from_parts<'a, 'c: 'a>(
        rule: &'static str,
        targets: impl Iterator<Item = &'a Target<'c>>,
        dropped: &[Dropped],
        reader: Reader,
    ) -> Self {
        let shown = |one: &&Dropped| reader == Reader::Operator || is_open(one.hurdle);
        let shown: Vec<DroppedLine> = dropped.iter().filter(shown).map(dropped_line).collect();
        let hidden = dropped.len() - shown.len();
        Self { rule, targets: targets.map(target_line).collect(), dropped: shown, hidden }
    }
}

fn target_line(target: &Target<'_>) -> TargetLine {
    let used = |one: &crate::snapshot::CredentialEntry| CredentialUsed {
        id: one.id(),
        scope: one.scope(),
        label: one.credential.label.clone(),
        address_changed: !one.is_for_address,
    };
    TargetLine {
        provider: target.provider.name.to_string(),
        provider_id: target.provider.provider.id,
        model: target.model_id.to_string(),
        registered: target.model.is_some(),
        tier: target.tier,
        protocol: target.protocol(),
        base_url: target.base_url().clone(),
        credential: target.credential.map(used),
    }
}

fn dropped_line(dropped: &Dropped) -> DroppedLine {
    let provider = dropped.provider.to_string();
    DroppedLine { provider, model: dropped.model.clone(), why: dropped.hurdle.why() }
}

/// May a caller hear of a target that fell at this hurdle?
const fn is_open(hurdle: Hurdle) -> bool {
    matches!(hurdle, Hurdle::Length | Hurdle::Credential | Hurdle::Unrecorded | Hurdle::Unasked | Hurdle::Approval)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rule: {}", self.rule)?;
        for (index, target) in self.targets.iter().enumerate() {
            let whose = target.credential.as_ref().map_or("no key needed", |one| one.scope.name());
            let TargetLine { provider, model, tier, .. } = target;
            writeln!(f, "{}. {provider} {model} (tier {tier}, credential: {whose})", index + 1)?;
        }
        for one in &self.dropped {
            writeln!(f, "dropped: {} {}: {}", one.provider, one.model, one.why)?;
        }
        match self.hidden {
            0 => Ok(()),
            hidden => writeln!(f, "dropped: {hidden} other targets"),
        }
    }
}
