//! Workspaces: who owns credentials, defaults, routes, tokens and limits.

use super::actor::Over;
use super::error::{self, DirectoryError};
use super::{Access, Turn};
use crate::domain::entity::{DefaultChoice, Org, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::store::{Need, Part, Previous};

/// Makes a workspace in an org, which may be a declared one. Its name is unique among all workspaces: commands, logs and
/// metrics name it alone.
pub async fn create(
    access: &Access,
    org: Id<Org>,
    name: &str,
    default: Option<DefaultChoice>,
) -> Result<Workspace, DirectoryError> {
    let (id, name) = (Id::random(), name.to_string());
    let part = Part::of([Need::Org(org), Need::WorkspaceNamed(name.clone())]);
    let rule = move |turn: Turn<'_>| {
        let known = turn.known();
        let org = known.org_by_id(org)?.id;
        turn.actor.may(Permission::WorkspaceManage, Over::Org(org))?;
        error::name("the workspace's name", &name)?;
        // Asked of all workspaces, also of those the asker can't see: two of one name could not be told apart.
        let mut all = turn.stored.workspaces.iter().chain(&turn.declared.workspaces);
        if all.any(|one| one.deleted_at.is_none() && one.name.eq_ignore_ascii_case(&name)) {
            return Err(DirectoryError::Exists { kind: "a workspace", name });
        }
        let workspace = Workspace { default, ..Workspace::new(id, org, &name, turn.now) };
        turn.stored.workspaces.push(workspace.clone());
        Ok(workspace)
    };
    access.change(Previous::Keep, "create", format!("workspace {id}"), part, rule).await
}
