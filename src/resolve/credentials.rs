//! Whose credential a target gets: the first scope that has any wins, and no other is ever mixed in.

use std::sync::Arc;

use super::names::{Pick, Pinned};
use super::{Dropped, Hurdle, Question, Target};
use crate::domain::call::Past;
use crate::domain::entity::Provider;
use crate::domain::id::Id;
use crate::snapshot::{Caller, CredentialEntry};

/// Adds the targets that a pick becomes, or says why it becomes none.
pub(super) fn targets<'a>(
    caller: &'a Caller,
    question: &Question<'_>,
    past: &Past,
    pick: &Pick<'a>,
    targets: &mut Vec<Target<'a>>,
    dropped: &mut Vec<Dropped>,
) {
    // Even and odd: a workspace's own tier, and directly behind it the platform's that follows it.
    let tier = pick.tier.saturating_mul(2);
    let before = targets.len();
    match pick.pinned {
        Pinned::To(credential) => targets.push(target(pick, Some(credential), tier)),
        Pinned::ToNone => targets.push(target(pick, None, tier)),
        Pinned::No => add_scoped(caller, pick, tier, targets),
    }
    if before == targets.len() && !pick.provider.needs_key() {
        targets.push(target(pick, None, tier));
    }
    if before == targets.len() {
        dropped.push(Dropped::of(pick, Hurdle::Credential));
    }
    drop_unspoken(question, pick, before, targets, dropped);
    match past {
        Past::None | Past::Theirs { .. } => {}
        Past::Unrecorded => drop_shared(pick, Hurdle::Unrecorded, before, targets, dropped),
        Past::Unasked => drop_shared(pick, Hurdle::Unasked, before, targets, dropped),
        // One list is not another's: a workspace with a credential of its own gets that one's, or none.
        Past::Listing if targets[before..].iter().any(|target| !target.is_shared()) => {
            drop_shared(pick, Hurdle::Unrecorded, before, targets, dropped);
        }
        Past::Listing => {}
    }
}

fn add_scoped<'a>(caller: &'a Caller, pick: &Pick<'a>, tier: u32, targets: &mut Vec<Target<'a>>) {
    let provider = pick.provider.provider.id;
    let own = caller.own_credentials().map_or(&[][..], |catalog| catalog.credentials(provider));
    let workspace = caller.view().own.credentials(provider);
    let is_workspaces = own.is_empty() && !workspace.is_empty();
    // Unique per owner and provider, so the first is the only one.
    if let Some(credential) = own.first().or(workspace.first()) {
        targets.push(target(pick, Some(credential), tier));
    } else {
        add_platform(caller, pick, provider, tier, targets);
    }
    if is_workspaces && caller.view().workspace.fallback_to_platform {
        add_platform(caller, pick, provider, tier.saturating_add(1), targets);
    }
}

/// The platform's granted credentials of the best rank: a grant to this workspace beats a grant to all.
fn add_platform<'a>(
    caller: &'a Caller,
    pick: &Pick<'a>,
    provider: Id<Provider>,
    tier: u32,
    targets: &mut Vec<Target<'a>>,
) {
    let granted = caller.platform().catalog.credentials(provider);
    let ranked = || granted.iter().filter_map(|one| Some((one.grant_rank(caller.workspace())?, one)));
    let best = ranked().map(|(rank, _)| rank).max();
    let best = ranked().filter(|(rank, _)| Some(*rank) == best);
    targets.extend(best.map(|(_, one)| target(pick, Some(one), tier)));
}

fn target<'a>(pick: &Pick<'a>, credential: Option<&'a Arc<CredentialEntry>>, tier: u32) -> Target<'a> {
    let credential = credential.map(|entry| &**entry);
    let weight = pick.weight.saturating_mul(credential.map_or(1, |one| one.credential.weight));
    Target { provider: pick.provider, model: pick.model, model_id: pick.model_id, credential, tier, weight }
}

/// What only its own protocol has can't be put into other words.
fn drop_unspoken(
    question: &Question<'_>,
    pick: &Pick<'_>,
    from: usize,
    targets: &mut Vec<Target<'_>>,
    dropped: &mut Vec<Dropped>,
) {
    let speaks = |target: &Target<'_>| target.spoken(question.protocol, question.operation).is_some();
    if targets.len() > from && !retained(targets, from, speaks) {
        dropped.push(Dropped::of(pick, Hurdle::Protocol));
    }
}

/// On a shared credential, what is not on record is somebody else's: only the caller's own will do.
fn drop_shared(
    pick: &Pick<'_>,
    hurdle: Hurdle,
    from: usize,
    targets: &mut Vec<Target<'_>>,
    dropped: &mut Vec<Dropped>,
) {
    if targets.len() > from && !retained(targets, from, |target| !target.is_shared()) {
        dropped.push(Dropped::of(pick, hurdle));
    }
}

/// Keeps of the targets behind `from` what may stay, and says whether any did.
fn retained<'a>(targets: &mut Vec<Target<'a>>, from: usize, may_stay: impl Fn(&Target<'a>) -> bool) -> bool {
    let mut before = from;
    targets.retain(|target| match before.checked_sub(1) {
        Some(left) => {
            before = left;
            true
        }
        None => may_stay(target),
    });
    targets.len() > from
}
