//! What every user is held to, and who may change whom.

use crate::directory::Turn;
use crate::directory::actor::Over;
use crate::directory::error::{self, DirectoryError};
use crate::directory::known::Known;
use crate::domain::entity::User;
use crate::domain::id::Id;
use crate::domain::permission::{AccessRole, Permission};
use crate::store::part::Place;

/// Longest address that mail systems take.
const EMAIL_MAX: usize = 254;

/// May the asker give this role there?
pub(super) fn may_have(known: Known<'_>, place: Place, role: AccessRole) -> Result<(), DirectoryError> {
    known.actor.may(Permission::MemberManage, over(known, place)?)?;
    known.actor.may_give(role)?;
    let (most, of) = match place {
        Place::Org(_) => (AccessRole::OrgAdmin, "an org"),
        Place::Workspace(_) => (AccessRole::WorkspaceAdmin, "a workspace"),
    };
    match role <= most {
        true => Ok(()),
        false => {
            let why = format!("{role} is none that {of} has");
            Err(DirectoryError::invalid("the role", why, format!("give {most} or less")).at("role"))
        }
    }
}

/// A place that the asker can see.
pub(super) fn over(known: Known<'_>, place: Place) -> Result<Over, DirectoryError> {
    match place {
        Place::Org(org) => known.org_by_id(org).map(|org| Over::Org(org.id)),
        Place::Workspace(workspace) => known.workspace_by_id(workspace).map(Over::from),
    }
}

pub(super) fn named(name: &str) -> Result<(), DirectoryError> {
    error::label("the user's name", name).map_err(|error| error.at("name"))
}

/// An address that nobody else has, also of those the asker can't see: it is by its email that a person is known.
pub(super) fn addressed(turn: &Turn<'_>, id: Id<User>, email: &str) -> Result<(), DirectoryError> {
    let plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
    match email.split_once('@') {
        Some((local, domain)) if email.len() <= EMAIL_MAX && plain(local) && plain(domain) => {}
        _ => {
            let error = DirectoryError::invalid("the email", "is no address", "write for example ada@example.com");
            return Err(error.at("email"));
        }
    }
    let mut others = turn.stored.users.iter().chain(&turn.declared.users).filter(|one| one.id != id);
    match others.any(|user| user.email.eq_ignore_ascii_case(email)) {
        true => Err(DirectoryError::Exists { kind: "a user", name: email.to_string() }),
        false => Ok(()),
    }
}

/// A stored user whom the asker can see.
pub(super) fn stored<'a>(turn: &'a Turn<'_>, id: Id<User>) -> Result<&'a User, DirectoryError> {
    let user = turn.known().user_by_id(id)?;
    match turn.declared.users.iter().any(|one| one.id == id) {
        true => Err(DirectoryError::Declared { kind: "user", name: user.email.clone() }),
        false => Ok(user),
    }
}

pub(super) fn managed(turn: &Turn<'_>, user: &User) -> Result<(), DirectoryError> {
    if user.platform_admin || user.org_roles.is_empty() && user.workspace_roles.is_empty() {
        return turn.actor.may(Permission::MemberManage, Over::Platform);
    }
    for org in user.org_roles.keys() {
        turn.actor.may(Permission::MemberManage, Over::Org(*org))?;
    }
    for id in user.workspace_roles.keys() {
        let mut all = turn.stored.workspaces.iter().chain(&turn.declared.workspaces);
        // One that is declared no longer may be declared again.
        let over = all.find(|one| one.id == *id).map_or(Over::Platform, Over::from);
        turn.actor.may(Permission::MemberManage, over)?;
    }
    Ok(())
}
