//! `/routes`: the ordered targets of roles and aliases.

use http::Method;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Created, Done, Shown};
use super::ask::Ask;
use super::body::{Merge, New, Nothing};
use super::owner;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::page::Paged;
use crate::directory::routes::{self, Filter, NewRoute, RouteChange, RouteLine};
use crate::domain::change::Change;
use crate::domain::entity::{Provider, Route, RouteKind, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIRouteView, Place::Owner);
    let manage = Needs::Permission(Permission::AIRouteManage, Place::Owner);
    let (all, one) = ("/routes", "/routes/{id}");
    vec![
        row(Method::GET, all, view, "The platform's routes and a workspace's own.", list),
        row(Method::POST, all, manage, "Add a target to a role or an alias.", create),
        row(Method::GET, one, view, "One line of a route.", get),
        row(Method::PATCH, one, manage, "Change a line of a route.", update),
        row(Method::DELETE, one, manage, "Take a line of a route away.", delete),
    ]
}

/// A new line of a role or an alias.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewRoute, example = json!({
    "name": "summariser", "providerId": "0b6e7f3a-0d0c-5f0e-8a54-5d1f6c1f9a10", "model": "qwen3-4b", "priority": 1,
}))]
struct Head {
    /// The role or alias that calls name.
    #[schema(min_length = 1, max_length = 512)]
    name: String,
    #[serde(default = "role")]
    #[schema(inline, default = "role")]
    kind: RouteKind,
    #[schema(value_type = uuid::Uuid)]
    provider_id: Id<Provider>,
    /// Whose it is; `null` is the platform. Unsaid: the platform's if its admin asks, else the token's workspace's.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    workspace_id: Change<Id<Workspace>>,
}

const fn role() -> RouteKind {
    RouteKind::Role
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RoutesAsked {
    /// The workspace whose own are shown; the one whose token is shown, unless said.
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    /// Those of one role.
    role: Option<String>,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Route>, Problem> {
    ask.id("id", "route")
}

async fn list(ask: Ask<Nothing, RoutesAsked>) -> Result<Paged<RouteLine>, Problem> {
    let workspace = ask.query.workspace_id.unwrap_or_else(|| ask.caller.workspace());
    let found = routes::list(&ask.access, Filter { workspace: Some(workspace), role: ask.query.role }).await?;
    Ok(Paged::of(found.into_iter().map(|one| (one.id.uuid(), one)), ask.page, |one| one))
}

async fn create(ask: Ask<New<Head, RouteChange>>) -> Result<Created<RouteLine>, Problem> {
    let New { head, change } = ask.body;
    let owner = owner::of_new(&ask.access.actor, head.workspace_id);
    let new = NewRoute { owner, kind: head.kind, name: head.name, provider: head.provider_id, change };
    let shown = routes::create(&ask.access, new).await?;
    let location = format!("/routes/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Shown<RouteLine>, Problem> {
    Ok(Shown(routes::get(&ask.access, id(&ask)?).await?))
}

async fn update(ask: Ask<Merge<RouteChange>>) -> Result<Shown<RouteLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(routes::change(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    routes::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
