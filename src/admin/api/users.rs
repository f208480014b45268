//! `/users`.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Created, Done, Shown};
use super::ask::Ask;
use super::body::{Json, Merge, Nothing};
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::limits::LimitsChange;
use crate::directory::page::Paged;
use crate::directory::users::{self, NewUser, UserChange, UserLine};
use crate::domain::change::Change;
use crate::domain::entity::{Org, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::{AccessRole, Permission};

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::MemberManage, Place::Everywhere);
    let (all, one) = ("/users", "/users/{id}");
    let changes = "Change a user; the email and `platformAdmin` are a `platform_admin`'s to change.";
    let resets = "End all of a user's tokens and destroy their own keys, so that they can begin anew.";
    vec![
        row(Method::GET, all, manage, "The users that have a role where the token manages members.", list),
        row(Method::POST, all, manage, "Make a user, with roles in orgs and workspaces.", create),
        row(Method::GET, one, manage, "One user, with the roles that the token can see.", get),
        row(Method::PATCH, one, manage, changes, update),
        row(Method::DELETE, one, manage, "Delete a user, their tokens and their own keys.", delete),
        row(Method::POST, "/users/{id}/reset", manage, resets, reset),
    ]
}

/// A new user. One without a role is nobody's, so only a `platform_admin` makes one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "email": "ada@example.com", "name": "Ada",
    "workspaceRoles": {"1c5a3f0e-3d55-4b07-9c0a-90b1b7a3c9de": "member"},
}))]
struct CreateUser {
    /// Unique among all users, in any letter case.
    #[schema(max_length = 254, format = "email")]
    email: String,
    #[serde(default)]
    #[schema(max_length = 200)]
    name: String,
    #[serde(default)]
    platform_admin: bool,
    /// By org id.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, AccessRole>, required = false)]
    org_roles: BTreeMap<Id<Org>, AccessRole>,
    /// By workspace id.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, AccessRole>, required = false)]
    workspace_roles: BTreeMap<Id<Workspace>, AccessRole>,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    limits: Change<LimitsChange>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsersAsked {
    /// The one of this email, in any letter case.
    email: Option<String>,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<User>, Problem> {
    ask.id("id", "user")
}

async fn list(ask: Ask<Nothing, UsersAsked>) -> Result<Paged<UserLine>, Problem> {
    Ok(users::list(&ask.access, ask.query.email.as_deref(), ask.page).await?)
}

async fn create(ask: Ask<Json<CreateUser>>) -> Result<Created<UserLine>, Problem> {
    let CreateUser { email, name, platform_admin, org_roles, workspace_roles, limits } = ask.body.0;
    let new = NewUser { email, name, platform_admin, org_roles, workspace_roles, limits };
    let shown = users::create_shown(&ask.access, new).await?;
    let location = format!("/users/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Shown<UserLine>, Problem> {
    Ok(Shown(users::get(&ask.access, id(&ask)?).await?))
}

async fn update(ask: Ask<Merge<UserChange>>) -> Result<Shown<UserLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(users::update(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    users::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}

async fn reset(ask: Ask) -> Result<Shown<UserLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(users::reset(&ask.access, id, ask.expected).await?))
}
