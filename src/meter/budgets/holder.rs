//! Those whose limits hold for a call: everybody it is made for, and the model that it goes to.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::entity::User;
use crate::domain::limits::{Limits, RunBounds};
use crate::resolve::Target;
use crate::snapshot::Caller;
use crate::store::ledger::{Cell, Dimension, Scope};

/// Token, user, workspace, org and model.
pub(super) const HOLDERS: usize = 5;

/// One whose limits hold for a call.
pub(super) struct Holder<'a> {
    pub(super) of: &'static str,
    pub(super) id: Uuid,
    pub(super) limits: &'a Limits,
    pub(super) scope: Scope,
    pub(super) only: Vec<(Dimension, Cell)>,
}

/// Everybody whose money or text is limited, from the narrowest to the widest.
pub(super) fn holders<'a>(caller: &'a Caller, target: &Target<'a>) -> [Option<Holder<'a>>; HOLDERS] {
    let (view, token) = (caller.view(), caller.token());
    let workspace = Scope::Workspace(view.workspace.id);
    let user = own_user(caller);
    let text = |text: &str| Cell::Text(text.to_string());
    [
        holder("token", token.id.uuid(), &token.limits, workspace, |id| vec![(Dimension::Token, Cell::Id(id))]),
        user.and_then(|user| {
            holder("user", user.id.uuid(), &user.limits, Scope::Platform, |id| {
                vec![(Dimension::User, text(&id.to_string()))]
            })
        }),
        holder("workspace", view.workspace.id.uuid(), &view.workspace.limits, workspace, |_| Vec::new()),
        holder("organisation", view.org.id.uuid(), &view.org.limits, Scope::Org(view.org.id), |_| Vec::new()),
        target.model.and_then(|entry| {
            holder("model", entry.model.id.uuid(), &entry.model.limits, Scope::Platform, |_| {
                vec![(Dimension::Provider, text(&target.provider.name)), (Dimension::Model, text(&entry.model_id))]
            })
        }),
    ]
}

/// What is done for somebody else is not the token's user's own.
fn own_user(caller: &Caller) -> Option<&User> {
    caller.user().map(Arc::as_ref).filter(|_| caller.asserted_user().is_none())
}

/// The bounds of a run that hold for a call: of each the tightest.
pub(super) fn bounds(caller: &Caller, target: &Target<'_>) -> RunBounds {
    let (view, user) = (caller.view(), own_user(caller));
    let of_users = [Some(&caller.token().limits), user.map(|user| &user.limits)];
    let of_all = [Some(&view.workspace.limits), Some(&view.org.limits), target.model.map(|entry| &entry.model.limits)];
    let bounds = of_users.into_iter().chain(of_all).flatten().map(Limits::of_a_run);
    bounds.fold(RunBounds::default(), RunBounds::tightest)
}

fn holder<'a>(
    of: &'static str,
    id: Uuid,
    limits: &'a Limits,
    scope: Scope,
    only: impl FnOnce(Uuid) -> Vec<(Dimension, Cell)>,
) -> Option<Holder<'a>> {
    limits.are_of_use().then(|| Holder { of, id, limits, scope, only: only(id) })
}
