//! `/identities`.

use http::Method;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Created, Done, Shown};
use super::ask::Ask;
use super::body::{Json, Merge, Nothing};
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::identities::{self, IdentityChange, IdentityLine};
use crate::directory::page::Paged;
use crate::domain::entity::{Identity, Owner, Workspace};
use crate::domain::id::Id;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIModelView, Place::Owner);
    let manage = Needs::Permission(Permission::AIModelManage, Place::Owner);
    let (all, one) = ("/identities", "/identities/{id}");
    vec![
        row(Method::GET, all, view, "The platform's identities, and beside them those of a workspace.", list),
        row(Method::POST, all, manage, "Make an identity: a text that models are hydrated with.", create),
        row(Method::GET, one, view, "One identity.", get),
        row(Method::PATCH, one, manage, "Change an identity.", update),
        row(Method::DELETE, one, manage, "Delete an identity that none of its owner's models names.", delete),
    ]
}

/// A new identity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"name": "house-style", "text": "You answer for ACME, in plain words."}))]
struct NewIdentity {
    /// Whose it is; the platform's unless stated.
    #[schema(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
    /// Unique among its owner's, in any letter case.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    name: String,
    #[schema(max_length = 32_768)]
    text: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IdentitiesAsked {
    #[param(value_type = Option<uuid::Uuid>)]
    workspace_id: Option<Id<Workspace>>,
}

fn id<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Identity>, Problem> {
    ask.id("id", "identity")
}

async fn list(ask: Ask<Nothing, IdentitiesAsked>) -> Result<Paged<IdentityLine>, Problem> {
    Ok(identities::list(&ask.access, ask.query.workspace_id, ask.page).await?)
}

async fn create(ask: Ask<Json<NewIdentity>>) -> Result<Created<IdentityLine>, Problem> {
    let NewIdentity { workspace_id, name, text } = ask.body.0;
    let owner = workspace_id.map_or(Owner::Platform, Owner::Workspace);
    let shown = identities::create(&ask.access, owner, name, text).await?;
    let location = format!("/identities/{}", shown.id);
    Ok(Created { shown, location })
}

async fn get(ask: Ask) -> Result<Shown<IdentityLine>, Problem> {
    Ok(Shown(identities::get(&ask.access, id(&ask)?).await?))
}

async fn update(ask: Ask<Merge<IdentityChange>>) -> Result<Shown<IdentityLine>, Problem> {
    let id = id(&ask)?;
    Ok(Shown(identities::update(&ask.access, id, ask.expected, ask.body.0).await?))
}

async fn delete(ask: Ask) -> Result<Done, Problem> {
    let id = id(&ask)?;
    identities::delete(&ask.access, id, ask.expected).await?;
    Ok(Done)
}
