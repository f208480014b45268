//! `/api/ai/routes`: which models serve a role.

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::called;
use crate::admin::api::answer::{Done, Listed, Made};
use crate::admin::api::ask::Ask;
use crate::admin::api::body::{Json, Nothing};
use crate::admin::api::owner;
use crate::admin::api::problem::Problem;
use crate::admin::api::table::{Needs, Place, Row, row};
use crate::directory::models;
use crate::directory::numbered::{self, Called};
use crate::directory::routes::{self, Filter, NewRoute, RouteChange, RouteLine};
use crate::domain::change::Change;
use crate::domain::entity::{Route, RouteKind};
use crate::domain::id::Id;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIRouteView, Place::Owner);
    let manage = Needs::Permission(Permission::AIRouteManage, Place::Owner);
    let (all, one) = ("/api/ai/routes", "/api/ai/routes/{id}");
    vec![
        row(Method::GET, all, view, "The platform's and the workspace's targets of roles.", list),
        row(Method::POST, all, manage, "Add a target to a role.", create),
        row(Method::DELETE, one, manage, "Take a target away.", delete),
    ]
}

/// A target of a role, by numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AiRoute {
    #[schema(required)]
    id: Option<u32>,
    #[schema(value_type = uuid::Uuid)]
    uuid: Id<Route>,
    #[schema(required)]
    provider_id: Option<u32>,
    /// `null`: the provider's default, or a model that nobody registered.
    #[schema(required)]
    model_id: Option<u32>,
    #[schema(required)]
    model_name: Option<String>,
    role: String,
    /// Lower first.
    priority: u32,
    #[schema(required)]
    notes: Option<String>,
    is_global: bool,
}

impl From<RouteLine> for AiRoute {
    fn from(line: RouteLine) -> Self {
        Self {
            id: line.number,
            uuid: line.id,
            provider_id: line.provider_number,
            model_id: line.model_number,
            model_name: line.model,
            role: line.name,
            priority: line.priority,
            notes: line.notes,
            is_global: line.workspace_id.is_none(),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewAiRoute, example = json!({
    "providerId": 1, "modelId": 3, "role": "summariser", "priority": 1, "notes": "for utility tasks",
}))]
struct Post {
    #[schema(value_type = u32)]
    provider_id: Called,
    /// Left out, the provider's default.
    #[schema(value_type = Option<u32>)]
    model_id: Option<Called>,
    #[schema(min_length = 1, max_length = 512)]
    role: String,
    #[schema(maximum = 4_294_967_295_u32)]
    priority: Option<u32>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    notes: Change<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    role: Option<String>,
}

async fn list(ask: Ask<Nothing, Asked>) -> Result<Listed<AiRoute>, Problem> {
    let filter = Filter { workspace: Some(ask.caller.workspace()), role: ask.query.role };
    let found = routes::list(&ask.access, filter).await?;
    let is_role = |one: &RouteLine| one.kind == RouteKind::Role;
    Ok(Listed(found.into_iter().filter(is_role).map(AiRoute::from).collect()))
}

async fn create(ask: Ask<Json<Post>>) -> Result<Made<AiRoute>, Problem> {
    let post = ask.body.0;
    let provider = numbered::provider(&ask.access, &post.provider_id).await?;
    let model = match &post.model_id {
        None => Change::Keep,
        Some(called) => {
            let model = models::get(&ask.access, numbered::model(&ask.access, called).await?).await?;
            if model.provider_id != provider {
                let detail = format!("the model is one of the provider `{}`", model.provider);
                return Err(Problem::field("modelId", detail).with_remedy("name both of one provider"));
            }
            Change::Set(model.model_id)
        }
    };
    let new = NewRoute {
        owner: owner::of_new(&ask.access.actor, Change::Keep),
        kind: RouteKind::Role,
        name: post.role,
        provider,
        change: RouteChange { model, priority: post.priority, notes: post.notes, ..RouteChange::default() },
    };
    let line = routes::create(&ask.access, new).await?;
    let location = format!("/routes/{}", line.id);
    Ok(Made { report: line.into(), location })
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = numbered::route(&ask.access, &called(&ask, "route")?).await?;
    routes::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
