//! Whose exchanges somebody may see: those of the org or workspace that they name, or all that they reach.

use crate::directory::{Access, DirectoryError, Over, orgs, workspaces};
use crate::domain::entity::{Org, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::store::ledger::Scope;

/// What is named must be seen, and its usage too; a workspace is narrower than its org.
pub async fn scope(
    access: &Access,
    org: Option<Id<Org>>,
    workspace: Option<Id<Workspace>>,
) -> Result<Scope, DirectoryError> {
    if let Some(workspace) = workspace {
        let line = workspaces::get(access, workspace).await?;
        access.actor.may(Permission::UsageView, Over::Workspace(workspace, line.org_id))?;
        return Ok(Scope::Workspace(workspace));
    }
    if let Some(org) = org {
        orgs::get(access, org).await?;
        access.actor.may(Permission::UsageView, Over::Org(org))?;
        return Ok(Scope::Org(org));
    }
    widest(access)
}

/// All that an actor reaches.
pub fn widest(access: &Access) -> Result<Scope, DirectoryError> {
    let actor = &access.actor;
    if actor.may(Permission::UsageView, Over::Platform).is_ok() {
        return Ok(Scope::Platform);
    }
    actor.may_anywhere(Permission::UsageView)?;
    match actor.home() {
        Some((_, org)) if actor.may(Permission::UsageView, Over::Org(org)).is_ok() => Ok(Scope::Org(org)),
        Some((workspace, org)) => {
            actor.may(Permission::UsageView, Over::Workspace(workspace, org))?;
            Ok(Scope::Workspace(workspace))
        }
        None => Err(DirectoryError::Denied { by: actor.by().to_string(), permission: Permission::UsageView }),
    }
}
