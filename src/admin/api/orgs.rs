//! `/orgs`.

use http::Method;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Created, Done, Shown};
use super::ask::{Ask, Plain};
use super::body::{Json, Merge, Nothing};
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::limits::LimitsChange;
use crate::directory::orgs::{self, FeaturesChange, OrgChange, OrgLine};
use crate::directory::page::Paged;
use crate::domain::change::Change;
use crate::domain::entity::{Gate, Org};
use crate::domain::id::Id;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::OrgManage, Place::Platform);
    let change = Needs::Permission(Permission::GateManage, Place::Org);
    vec![
        row(Method::GET, "/orgs", Needs::Token, "The orgs that the token can see.", list),
        row(Method::POST, "/orgs", manage, "Make an org.", create),
        row(Method::GET, "/orgs/{id}", Needs::Token, "One org.", get),
        row(Method::PATCH, "/orgs/{id}", change, "Change an org; all but its gates takes `OrgManage`.", update),
        row(Method::DELETE, "/orgs/{id}", manage, "Delete an org that has no workspaces.", delete),
    ]
}

/// A new org.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"name": "acme", "limits": {"requestsPerMinute": 600}}))]
struct NewOrg {
    /// Unique among all orgs, in any letter case.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    name: String,
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    limits: Change<LimitsChange>,
    #[serde(default)]
    #[schema(value_type = Option<FeaturesChange>)]
    features: Change<FeaturesChange>,
    #[serde(default)]
    #[schema(value_type = Option<Gate>, inline)]
    default_gate: Change<Gate>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrgsAsked {
    /// The one of this name, in any letter case.
    name: Option<String>,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Org>, Problem> {
    ask.id("id", "org")
}

async fn list(ask: Ask<Nothing, OrgsAsked>) -> Result<Paged<OrgLine>, Problem> {
    Ok(orgs::list(&ask.access, ask.query.name.as_deref(), ask.page).await?)
}

async fn create(ask: Ask<Json<NewOrg>>) -> Result<Created<OrgLine>, Problem> {
    let NewOrg { name, limits, features, default_gate } = ask.body.0;
    let shown = orgs::create_with(&ask.access, &name, OrgChange { name: None, limits, features, default_gate }).await?;
    let location = format!("/orgs/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Shown<OrgLine>, Problem> {
    Ok(Shown(orgs::get(&ask.access, id(&ask)?).await?))
}

async fn update(ask: Ask<Merge<OrgChange>>) -> Result<Shown<OrgLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(orgs::update(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask<Nothing, Plain>) -> Result<Done, Problem> {
    let id = id(&ask)?;
    orgs::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
