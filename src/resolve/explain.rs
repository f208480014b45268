//! Why a call would go where it would go, in words.

use std::fmt::Write;

use super::{Dropped, Hurdle, Plan};

/// The plan as lines of text: the rule, each target with whose credential it uses, each dropped one and why.
/// `all` is for operators; a caller sees only what its own list of models could show.
pub fn explain(plan: &Plan, all: bool) -> String {
    let mut text = format!("rule: {}\n", plan.rule.name());
    for (index, target) in plan.targets().enumerate() {
        let whose = target.credential.as_ref().map_or("no key needed", |one| one.scope().name());
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "{}. {} {} (tier {}, credential: {whose})",
            index + 1,
            target.provider.name,
            target.model_id,
            target.tier
        );
    }
    let (shown, hidden): (Vec<&Dropped>, Vec<&Dropped>) =
        plan.dropped.iter().partition(|one| all || is_open(one.hurdle));
    for one in shown {
        let _ = writeln!(text, "dropped: {} {}: {}", one.provider, one.model, one.hurdle.why());
    }
    if !hidden.is_empty() {
        let _ = writeln!(text, "dropped: {} other targets", hidden.len());
    }
    text
}

/// May a caller hear of a target that fell at this hurdle?
const fn is_open(hurdle: Hurdle) -> bool {
    matches!(hurdle, Hurdle::Length | Hurdle::Credential | Hurdle::Shared | Hurdle::Approval)
}
