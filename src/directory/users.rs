//! Users: people, what they may do where, and nothing to sign in with but tokens.

use std::collections::BTreeMap;

use super::actor::Over;
use super::error::{self, DirectoryError};
use super::{Access, Turn};
use crate::domain::entity::{Org, User, Workspace};
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::permission::{AccessRole, Permission};
use crate::store::{Need, Part, Previous};

/// Longest address that mail systems take.
const EMAIL_MAX: usize = 254;

#[derive(Clone, Debug, Default)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub platform_admin: bool,
    pub org_roles: BTreeMap<Id<Org>, AccessRole>,
    pub workspace_roles: BTreeMap<Id<Workspace>, AccessRole>,
}

/// Makes a user. Whoever makes one must hold, where the user is to hold it, at least what the user will.
pub async fn create(access: &Access, new: NewUser) -> Result<User, DirectoryError> {
    let id = Id::random();
    let part = Part::of([Need::UserEmailed(new.email.clone())])
        .and(new.org_roles.keys().copied().map(Need::Org))
        .and(new.workspace_roles.keys().copied().map(Need::Workspace));
    let rule = move |turn: Turn<'_>| {
        allowed(&turn, &new)?;
        email(&new.email)?;
        error::label("the user's name", &new.name)?;
        let mut all = turn.stored.users.iter().chain(&turn.declared.users);
        if all.any(|user| user.email.eq_ignore_ascii_case(&new.email)) {
            return Err(DirectoryError::Exists { kind: "a user", name: new.email });
        }
        let user = user(id, new, turn.now);
        turn.stored.users.push(user.clone());
        Ok(user)
    };
    access.change(Previous::Keep, "create", format!("user {id}"), part, rule).await
}

fn allowed(turn: &Turn<'_>, new: &NewUser) -> Result<(), DirectoryError> {
    let (actor, known) = (turn.actor, turn.known());
    if new.platform_admin {
        actor.may_give(AccessRole::PlatformAdmin)?;
    }
    // A user without any role is nobody's, so only the platform's operators make one.
    if new.org_roles.is_empty() && new.workspace_roles.is_empty() {
        actor.may(Permission::OrgManage, Over::Platform)?;
    }
    for (org, role) in &new.org_roles {
        // Reaching one workspace of an org is not holding the org.
        actor.may_give((*role).max(AccessRole::OrgAdmin))?;
        actor.may(Permission::MemberManage, Over::Org(known.org_by_id(*org)?.id))?;
        at_most(*role, AccessRole::OrgAdmin, "an org")?;
    }
    for (workspace, role) in &new.workspace_roles {
        actor.may_give(*role)?;
        actor.may(Permission::MemberManage, Over::from(known.workspace_by_id(*workspace)?))?;
        at_most(*role, AccessRole::WorkspaceAdmin, "a workspace")?;
    }
    Ok(())
}

fn at_most(role: AccessRole, most: AccessRole, of: &str) -> Result<(), DirectoryError> {
    match role <= most {
        true => Ok(()),
        false => {
            Err(DirectoryError::invalid("the role", format!("{role} is none that {of} has"), format!("give {most}")))
        }
    }
}

fn email(text: &str) -> Result<(), DirectoryError> {
    let plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
    match text.split_once('@') {
        Some((local, domain)) if text.len() <= EMAIL_MAX && plain(local) && plain(domain) => Ok(()),
        _ => Err(DirectoryError::invalid("the email", "is no address", "write for example ada@example.com")),
    }
}

fn user(id: Id<User>, new: NewUser, now: crate::domain::time::Timestamp) -> User {
    User {
        id,
        email: new.email,
        name: new.name,
        limits: Limits::default(),
        platform_admin: new.platform_admin,
        disabled: false,
        org_roles: new.org_roles,
        workspace_roles: new.workspace_roles,
        created_at: now,
    }
}

/// The most a user holds in a workspace; `None`: they have no part in it.
pub fn role_in(user: &User, workspace: &Workspace) -> Option<AccessRole> {
    if user.platform_admin {
        return Some(AccessRole::PlatformAdmin);
    }
    let by_org = user.org_roles.get(&workspace.org).copied();
    let by_workspace = user.workspace_roles.get(&workspace.id).copied();
    by_org.max(by_workspace)
}
