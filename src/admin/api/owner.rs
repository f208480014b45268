//! Whose a thing is, as bodies and queries say it.

use serde::Deserialize;
use utoipa::IntoParams;

use super::ask::Ask;
use crate::directory::Actor;
use crate::domain::change::Change;
use crate::domain::entity::{Owner, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::AccessRole;

/// A query about what a workspace sees.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InWorkspace {
    /// The one whose token is shown, unless said.
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
}

impl InWorkspace {
    pub(super) fn of<B>(ask: &Ask<B, Self>) -> Id<Workspace> {
        ask.query.workspace_id.unwrap_or_else(|| ask.caller.workspace())
    }
}

/// Of a new thing: the workspace that is named, or the platform where that is `null`. Unsaid, it is the platform's if an
/// admin of the platform makes it, else that of the workspace whose token is shown.
pub(super) fn of_new(actor: &Actor, named: Change<Id<Workspace>>) -> Owner {
    match (named, actor.workspace()) {
        (Change::Set(workspace), _) => Owner::Workspace(workspace),
        (Change::Keep, Some(workspace)) if actor.role() != AccessRole::PlatformAdmin => Owner::Workspace(workspace),
        (Change::Keep | Change::Clear, _) => Owner::Platform,
    }
}
