//! Users: people, what they may do where, and nothing to sign in with but tokens.

mod line;
pub mod members;
mod rules;

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

pub use self::line::UserLine;

use self::line::line;
use self::rules::{addressed, managed, may_have, named, stored};
use super::actor::{Over, Reach};
use super::error::DirectoryError;
use super::limits::LimitsChange;
use super::page::{Page, Paged};
use super::tag::Expected;
use super::{Access, Turn, present, tokens};
use crate::domain::change::Change;
use crate::domain::entity::{Org, Owner, User, Workspace};
use crate::domain::id::Id;
use crate::domain::limits::Limits;
use crate::domain::permission::{AccessRole, Permission};
use crate::domain::time::Timestamp;
use crate::store::part::{self, Holder, Place};
use crate::store::{Need, Part, Previous};

#[derive(Clone, Debug, Default)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub platform_admin: bool,
    pub org_roles: BTreeMap<Id<Org>, AccessRole>,
    pub workspace_roles: BTreeMap<Id<Workspace>, AccessRole>,
    pub limits: Change<LimitsChange>,
}

/// What changes of a user. Who they are and whether they hold the platform is for its admins; the roles are `members`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"name": "Ada Lovelace", "disabled": false, "limits": {"moneyPerMonth": "50"}}))]
pub struct UserChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 254, format = "email")]
    pub email: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 200)]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    pub limits: Change<LimitsChange>,
    /// All tokens of a disabled user are dead until they are enabled again.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub disabled: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub platform_admin: Option<bool>,
}

/// Makes a user. Whoever makes one must hold, where the user is to hold it, at least what the user will.
pub async fn create(access: &Access, new: NewUser) -> Result<User, DirectoryError> {
    make(access, new).await.map(|(user, _)| user)
}

/// The same, for those who look on.
pub async fn create_shown(access: &Access, new: NewUser) -> Result<UserLine, DirectoryError> {
    make(access, new).await.map(|(_, line)| line)
}

async fn make(access: &Access, new: NewUser) -> Result<(User, UserLine), DirectoryError> {
    let id = Id::random();
    let part = Part::of([Need::UserEmailed(new.email.clone())])
        .and(new.org_roles.keys().copied().map(Need::Org))
        .and(new.workspace_roles.keys().copied().map(Need::Workspace));
    let rule = move |turn: Turn<'_>| {
        allowed(&turn, &new)?;
        named(&new.name)?;
        addressed(&turn, id, &new.email)?;
        let user = user(id, new, turn.now)?;
        turn.stored.users.push(user.clone());
        let line = line(turn.known(), &user);
        Ok((user, line))
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
        may_have(known, Place::Org(*org), *role)?;
    }
    for (workspace, role) in &new.workspace_roles {
        may_have(known, Place::Workspace(*workspace), *role)?;
    }
    Ok(())
}

fn user(id: Id<User>, new: NewUser, now: Timestamp) -> Result<User, DirectoryError> {
    let mut limits = Limits::default();
    LimitsChange::apply(new.limits, &mut limits)?;
    Ok(User {
        id,
        email: new.email,
        name: new.name,
        limits,
        platform_admin: new.platform_admin,
        disabled: false,
        org_roles: new.org_roles,
        workspace_roles: new.workspace_roles,
        created_at: now,
    })
}

/// The users that the asker manages: of a place, or the one of an email.
pub async fn list(access: &Access, email: Option<&str>, page: Page) -> Result<Paged<UserLine>, DirectoryError> {
    access.actor.may_anywhere(Permission::MemberManage)?;
    let place = match access.actor.reach() {
        Reach::Everything => None,
        Reach::Org(org) => Some(Place::Org(org)),
        Reach::Workspace(workspace) => Some(Place::Workspace(workspace)),
    };
    let need = match email {
        Some(email) => Need::UserEmailed(email.to_string()),
        None => Need::Users(place, page.rows()),
    };
    let around = place.map(|place| match place {
        Place::Org(org) => Need::Org(org),
        Place::Workspace(workspace) => Need::Workspace(workspace),
    });
    let stored = access.load(Part::from(need).and(around)).await?;
    let known = access.known(&stored);
    let is_wanted = |user: &&User| match email {
        Some(email) => user.email.eq_ignore_ascii_case(email),
        None => place.is_none_or(|place| members::is_in(known, user, place)),
    };
    Ok(Paged::of(known.users().filter(is_wanted).map(|user| (user.id.uuid(), user)), page, |user| line(known, user)))
}

pub async fn get(access: &Access, id: Id<User>) -> Result<UserLine, DirectoryError> {
    access.actor.may_anywhere(Permission::MemberManage)?;
    let stored = access.load(Need::User(id)).await?;
    let known = access.known(&stored);
    known.user_by_id(id).map(|user| line(known, user))
}

/// Changes what the change names. A user is changed by those who manage every place in which the user has a role.
pub async fn update(
    access: &Access,
    id: Id<User>,
    expected: Expected,
    change: UserChange,
) -> Result<UserLine, DirectoryError> {
    let part = Part::of([Need::User(id), tokens_of(id)]).and(change.email.clone().map(Need::UserEmailed));
    let rule = move |mut turn: Turn<'_>| {
        let mut user = changed(&turn, id, &expected)?;
        if change.email.is_some() || change.platform_admin.is_some() {
            turn.actor.may(Permission::MemberManage, Over::Platform)?;
        }
        if let Some(email) = change.email {
            addressed(&turn, id, &email)?;
            user.email = email;
        }
        user.name = change.name.unwrap_or(user.name);
        named(&user.name)?;
        LimitsChange::apply(change.limits, &mut user.limits)?;
        user.disabled = change.disabled.unwrap_or(user.disabled);
        user.platform_admin = change.platform_admin.unwrap_or(user.platform_admin);
        Ok(keep(&mut turn, user))
    };
    access.change(Previous::Keep, "update", format!("user {id}"), part, rule).await
}

/// All of a user's tokens: what a rule looks at that changes what the user holds.
fn tokens_of(id: Id<User>) -> Need {
    Need::Tokens(Holder::User(id), part::Page::first(u32::MAX))
}

/// A stored user whom the asker manages, as the asker last saw them.
fn changed(turn: &Turn<'_>, id: Id<User>, expected: &Expected) -> Result<User, DirectoryError> {
    let user = stored(turn, id)?;
    managed(turn, user)?;
    expected.hold("user", Some(&line(turn.known(), user)))?;
    Ok(user.clone())
}

fn keep(turn: &mut Turn<'_>, user: User) -> UserLine {
    tokens::fit(turn, &user);
    let shown = line(turn.known(), &user);
    if let Some(slot) = turn.stored.users.iter_mut().find(|one| one.id == user.id) {
        *slot = user;
    }
    shown
}

/// Takes a user away, with their tokens and keys.
pub async fn delete(access: &Access, id: Id<User>, expected: Expected) -> Result<(), DirectoryError> {
    let rule = move |mut turn: Turn<'_>| {
        changed(&turn, id, &expected)?;
        disarm(&mut turn, id);
        turn.stored.users.retain(|one| one.id != id);
        Ok(())
    };
    access.change(Previous::Forget, "delete", format!("user {id}"), armed(id), rule).await
}

/// For who lost their token, or suspects that somebody else has it: ends all of a user's tokens and destroys their own
/// keys, so that the next token made for them can begin anew.
pub async fn reset(access: &Access, id: Id<User>, expected: Expected) -> Result<UserLine, DirectoryError> {
    let rule = move |mut turn: Turn<'_>| {
        let user = changed(&turn, id, &expected)?;
        disarm(&mut turn, id);
        Ok(line(turn.known(), &user))
    };
    access.change(Previous::Forget, "reset", format!("user {id}"), armed(id), rule).await
}

fn armed(id: Id<User>) -> Part {
    Part::of([Need::User(id), tokens_of(id), Need::OwnedBy(Owner::User(id))])
}

fn disarm(turn: &mut Turn<'_>, id: Id<User>) {
    turn.stored.credentials.retain(|one| one.owner != Owner::User(id));
    for token in turn.stored.tokens.iter_mut().filter(|one| one.user == Some(id)) {
        token.revoked_at = token.revoked_at.or(Some(turn.now));
    }
}

/// The most a user holds in a workspace; `None`: they have no part in it.
pub fn role_in(user: &User, workspace: &Workspace) -> Option<AccessRole> {
    role_at(user, workspace.id, workspace.org)
}

/// The same, of a workspace that is known by its id and its org's.
pub(super) fn role_at(user: &User, workspace: Id<Workspace>, org: Id<Org>) -> Option<AccessRole> {
    if user.platform_admin {
        return Some(AccessRole::PlatformAdmin);
    }
    user.org_roles.get(&org).copied().max(user.workspace_roles.get(&workspace).copied())
}
