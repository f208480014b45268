//! Members: which role a user has in an org or a workspace.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::rules::{may_have, over, stored};
use super::{keep, tokens_of};
use crate::directory::error::DirectoryError;
use crate::directory::known::Known;
use crate::directory::page::{Page, Paged};
use crate::directory::tag::Expected;
use crate::directory::{Access, Turn};
use crate::domain::entity::User;
use crate::domain::id::Id;
use crate::domain::permission::{AccessRole, Permission};
use crate::store::part::Place;
use crate::store::{Need, Part, Previous};

/// A user in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Member, example = json!({
    "userId": "9a1b7f0e-1d11-4a4f-8d4b-2f4c9d0b8a77", "email": "ada@example.com", "name": "Ada", "disabled": false,
    "role": "workspace_admin",
}))]
pub struct MemberLine {
    #[schema(value_type = uuid::Uuid)]
    pub user_id: Id<User>,
    pub email: String,
    pub name: String,
    pub disabled: bool,
    /// There; `null`: only in some of the org's workspaces.
    #[schema(required, inline)]
    pub role: Option<AccessRole>,
}

fn line(user: &User, place: Place) -> MemberLine {
    MemberLine {
        user_id: user.id,
        email: user.email.clone(),
        name: user.name.clone(),
        disabled: user.disabled,
        role: role(user, place),
    }
}

fn role(user: &User, place: Place) -> Option<AccessRole> {
    match place {
        Place::Org(org) => user.org_roles.get(&org).copied(),
        Place::Workspace(workspace) => user.workspace_roles.get(&workspace).copied(),
    }
}

fn set(user: &mut User, place: Place, role: Option<AccessRole>) {
    fn put<K: Ord>(roles: &mut BTreeMap<K, AccessRole>, place: K, role: Option<AccessRole>) {
        match role {
            Some(role) => drop(roles.insert(place, role)),
            None => drop(roles.remove(&place)),
        }
    }
    match place {
        Place::Org(org) => put(&mut user.org_roles, org, role),
        Place::Workspace(workspace) => put(&mut user.workspace_roles, workspace, role),
    }
}

fn at(place: Place) -> Need {
    match place {
        Place::Org(org) => Need::Org(org),
        Place::Workspace(workspace) => Need::Workspace(workspace),
    }
}

/// Who has a role in the place; of an org also those who have one in its workspaces alone.
pub async fn list(access: &Access, place: Place, page: Page) -> Result<Paged<MemberLine>, DirectoryError> {
    let stored = access.load(Part::of([at(place), Need::Users(Some(place), page.rows())])).await?;
    let known = access.known(&stored);
    access.actor.may(Permission::MemberManage, over(known, place)?)?;
    let users = known.users().filter(|user| is_in(known, user, place));
    Ok(Paged::of(users.map(|user| (user.id.uuid(), user)), page, |user| line(user, place)))
}

pub(super) fn is_in(known: Known<'_>, user: &User, place: Place) -> bool {
    let Place::Org(org) = place else { return role(user, place).is_some() };
    let of_org = |id| known.workspace_by_id(id).is_ok_and(|workspace| workspace.org == org);
    user.org_roles.contains_key(&org) || user.workspace_roles.keys().any(|id| of_org(*id))
}

pub async fn get(access: &Access, user: Id<User>, place: Place) -> Result<MemberLine, DirectoryError> {
    let stored = access.load(Part::of([at(place), Need::User(user)])).await?;
    let known = access.known(&stored);
    access.actor.may(Permission::MemberManage, over(known, place)?)?;
    let found = known.user_by_id(user)?;
    if is_in(known, found, place) { Ok(line(found, place)) } else { Err(no_member(user)) }
}

fn no_member(user: Id<User>) -> DirectoryError {
    DirectoryError::NotFound { kind: "member", name: user.to_string(), hint: String::new() }
}

/// Gives a user that the asker can see a role there, in place of the one they had.
pub async fn put(
    access: &Access,
    user: Id<User>,
    place: Place,
    expected: Expected,
    role: AccessRole,
) -> Result<MemberLine, DirectoryError> {
    change(access, user, place, expected, Some(role)).await
}

/// Takes the role away; tokens that stand on it end.
pub async fn remove(access: &Access, user: Id<User>, place: Place, expected: Expected) -> Result<(), DirectoryError> {
    change(access, user, place, expected, None).await.map(drop)
}

async fn change(
    access: &Access,
    id: Id<User>,
    place: Place,
    expected: Expected,
    new: Option<AccessRole>,
) -> Result<MemberLine, DirectoryError> {
    let rule = move |mut turn: Turn<'_>| {
        let known = turn.known();
        turn.actor.may(Permission::MemberManage, over(known, place)?)?;
        let mut user = stored(&turn, id)?.clone();
        let old = role(&user, place);
        // Whoever takes a role away must hold it too.
        for role in [old, new].into_iter().flatten() {
            may_have(known, place, role)?;
        }
        if old.is_none() && new.is_none() {
            return Err(no_member(id));
        }
        expected.hold("member", is_in(known, &user, place).then(|| line(&user, place)).as_ref())?;
        set(&mut user, place, new);
        let shown = line(&user, place);
        keep(&mut turn, user);
        Ok(shown)
    };
    let (action, entity) = (if new.is_some() { "give" } else { "take" }, entity(id, place));
    access.change(Previous::Keep, action, entity, Part::of([at(place), Need::User(id), tokens_of(id)]), rule).await
}

fn entity(user: Id<User>, place: Place) -> String {
    match place {
        Place::Org(org) => format!("role of user {user} in org {org}"),
        Place::Workspace(workspace) => format!("role of user {user} in workspace {workspace}"),
    }
}
