//! `/members`: who has which role in an org or a workspace. The query names the place; without one it is the workspace
//! whose token is shown.

use http::Method;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Done, Shown};
use super::ask::Ask;
use super::body::{Body, Json, Nothing};
use super::problem::{Fault, Problem};
use super::table::{self, Needs, Row, row};
use crate::directory::page::Paged;
use crate::directory::users::members::{self, MemberLine};
use crate::domain::entity::{Org, User, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::{AccessRole, Permission};
use crate::store::part::Place;

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::MemberManage, table::Place::Member);
    let (all, one) = ("/members", "/members/{userId}");
    vec![
        row(Method::GET, all, manage, "Who has a role in an org or a workspace.", list),
        row(Method::GET, one, manage, "One member.", get),
        row(Method::PUT, one, manage, "Give a user a role there, in place of the one they had.", put),
        row(Method::DELETE, one, manage, "Take the role away; tokens that stand on it end.", remove),
    ]
}

/// What a member becomes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"role": "workspace_admin"}))]
struct NewRole {
    /// At most `org_admin` in an org, `workspace_admin` in a workspace, and never more than the asker's own.
    #[schema(inline)]
    role: AccessRole,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Where {
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    /// Instead of a workspace.
    #[param(value_type = Option<uuid::Uuid>)]
    org_id: Option<Id<Org>>,
}

fn place<B>(ask: &Ask<B, Where>) -> Result<Place, Problem> {
    match (ask.query.workspace_id, ask.query.org_id) {
        (Some(_), Some(_)) => {
            let problem = Problem::of(Fault::Query, "the query names a workspace and an org");
            Err(problem.with_field("orgId").with_remedy("name one of the two"))
        }
        (None, Some(org)) => Ok(Place::Org(org)),
        (workspace, None) => Ok(Place::Workspace(workspace.unwrap_or_else(|| ask.caller.workspace()))),
    }
}

fn user<B: Body>(ask: &Ask<B, Where>) -> Result<Id<User>, Problem> {
    ask.id("userId", "user")
}

async fn list(ask: Ask<Nothing, Where>) -> Result<Paged<MemberLine>, Problem> {
    Ok(members::list(&ask.access, place(&ask)?, ask.page).await?)
}

async fn get(ask: Ask<Nothing, Where>) -> Result<Shown<MemberLine>, Problem> {
    Ok(Shown(members::get(&ask.access, user(&ask)?, place(&ask)?).await?))
}

async fn put(ask: Ask<Json<NewRole>, Where>) -> Result<Shown<MemberLine>, Problem> {
    let (user, place) = (user(&ask)?, place(&ask)?);
    Ok(Shown(members::put(&ask.access, user, place, ask.expected, ask.body.0.role).await?))
}

async fn remove(ask: Ask<Nothing, Where>) -> Result<Done, Problem> {
    let (user, place) = (user(&ask)?, place(&ask)?);
    members::remove(&ask.access, user, place, ask.expected).await?;
    Ok(Done)
}
