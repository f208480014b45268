//! A user as they are shown: with the roles that the reader can see, and no others.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::directory::actor::Over;
use crate::directory::known::Known;
use crate::directory::limits::LimitsLine;
use crate::directory::moment;
use crate::domain::entity::{Org, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::AccessRole;
use crate::domain::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User, example = json!({
    "id": "9a1b7f0e-1d11-4a4f-8d4b-2f4c9d0b8a77", "email": "ada@example.com", "name": "Ada", "limits": {},
    "platformAdmin": false, "disabled": false, "orgRoles": {},
    "workspaceRoles": {"1c5a3f0e-3d55-4b07-9c0a-90b1b7a3c9de": "member"},
    "createdAt": "2026-03-22T00:00:00.000Z", "declared": false,
}))]
pub struct UserLine {
    #[schema(value_type = uuid::Uuid)]
    pub id: Id<User>,
    pub email: String,
    pub name: String,
    pub limits: LimitsLine,
    pub platform_admin: bool,
    pub disabled: bool,
    /// By org id, as far as the reader sees orgs.
    #[schema(value_type = BTreeMap<String, String>)]
    pub org_roles: BTreeMap<Id<Org>, AccessRole>,
    /// By workspace id, likewise.
    #[schema(value_type = BTreeMap<String, String>)]
    pub workspace_roles: BTreeMap<Id<Workspace>, AccessRole>,
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub declared: bool,
}

pub(super) fn line(known: Known<'_>, user: &User) -> UserLine {
    let orgs = user.org_roles.iter().filter(|(org, _)| known.actor.reaches(Over::Org(**org)));
    let workspaces = user.workspace_roles.iter().filter(|(id, _)| known.workspace_by_id(**id).is_ok());
    UserLine {
        id: user.id,
        email: user.email.clone(),
        name: user.name.clone(),
        limits: LimitsLine::from(&user.limits),
        platform_admin: user.platform_admin,
        disabled: user.disabled,
        org_roles: orgs.map(|(org, role)| (*org, *role)).collect(),
        workspace_roles: workspaces.map(|(id, role)| (*id, *role)).collect(),
        created_at: user.created_at,
        declared: known.declared.users.iter().any(|one| one.id == user.id),
    }
}
