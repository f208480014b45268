//! `/workspaces`.

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
use crate::directory::workspaces::{self, DefaultChange, WorkspaceChange, WorkspaceLine};
use crate::domain::change::Change;
use crate::domain::entity::{Org, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let manage = |place| Needs::Permission(Permission::WorkspaceManage, place);
    let change = Needs::Permission(Permission::CredentialManage, Place::Workspace);
    let (all, one) = ("/workspaces", "/workspaces/{id}");
    let changes = "Change a workspace; all but its default and projects takes `WorkspaceManage`.";
    vec![
        row(Method::GET, all, Needs::Token, "The workspaces that the token can see.", list),
        row(Method::POST, all, manage(Place::Org), "Make a workspace in an org.", create),
        row(Method::GET, one, Needs::Token, "One workspace.", get),
        row(Method::PATCH, one, change, changes, update),
        row(Method::DELETE, one, manage(Place::Workspace), "End a workspace, its tokens and its keys.", delete),
    ]
}

/// A new workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"orgId": "6f1c8c1e-6f0b-4b52-9d6c-4f7f6a1f2b11", "name": "research"}))]
struct NewWorkspace {
    #[schema(value_type = uuid::Uuid)]
    org_id: Id<Org>,
    /// Unique among all workspaces, in any letter case.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    name: String,
    #[serde(default)]
    #[schema(value_type = Option<DefaultChange>)]
    default: Change<DefaultChange>,
    /// By name.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, DefaultChange>, required = false)]
    projects: BTreeMap<String, DefaultChange>,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    limits: Change<LimitsChange>,
    #[serde(default)]
    fallback_to_platform: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WorkspacesAsked {
    /// Those of one org.
    #[param(value_type = Option<uuid::Uuid>)]
    org_id: Option<Id<Org>>,
    /// The one of this name, in any letter case.
    name: Option<String>,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Workspace>, Problem> {
    ask.id("id", "workspace")
}

async fn list(ask: Ask<Nothing, WorkspacesAsked>) -> Result<Paged<WorkspaceLine>, Problem> {
    Ok(workspaces::list(&ask.access, ask.query.org_id, ask.query.name.as_deref(), ask.page).await?)
}

async fn create(ask: Ask<Json<NewWorkspace>>) -> Result<Created<WorkspaceLine>, Problem> {
    let new = ask.body.0;
    let change = WorkspaceChange {
        name: None,
        default: new.default,
        projects: Change::Set(new.projects.into_iter().map(|(name, choice)| (name, Change::Set(choice))).collect()),
        limits: new.limits,
        fallback_to_platform: Some(new.fallback_to_platform),
    };
    let shown = workspaces::create_with(&ask.access, new.org_id, &new.name, change).await?;
    let location = format!("/workspaces/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Shown<WorkspaceLine>, Problem> {
    Ok(Shown(workspaces::get(&ask.access, id(&ask)?).await?))
}

async fn update(ask: Ask<Merge<WorkspaceChange>>) -> Result<Shown<WorkspaceLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(workspaces::update(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    workspaces::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
