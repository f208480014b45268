//! `/orgs/{id}/gates`.

use http::Method;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::{Done, Shown};
use super::ask::Ask;
use super::body::Json;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::gates::{self, GateLine};
use crate::directory::page::Paged;
use crate::domain::entity::{Gate, Org, Provider};
use crate::domain::id::Id;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let manage = Needs::Permission(Permission::GateManage, Place::Org);
    let (all, one) = ("/orgs/{id}/gates", "/orgs/{id}/gates/{providerId}");
    vec![
        row(Method::GET, all, Needs::Token, "What an org says of providers, where it differs from its default.", list),
        row(Method::GET, one, Needs::Token, "What an org says of one provider.", get),
        row(Method::PUT, one, manage, "Let an org's workspaces use a provider, or not.", put),
        row(Method::DELETE, one, manage, "Take a gate away: the org's default holds again.", remove),
    ]
}

/// A gate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"gate": "deny"}))]
struct NewGate {
    #[schema(inline)]
    gate: Gate,
}

fn ids<B, Q>(ask: &Ask<B, Q>) -> Result<(Id<Org>, Id<Provider>), Problem> {
    Ok((ask.id("id", "org")?, ask.id("providerId", "provider")?))
}

async fn list(ask: Ask) -> Result<Paged<GateLine>, Problem> {
    Ok(gates::list(&ask.access, ask.id("id", "org")?, ask.page).await?)
}

async fn get(ask: Ask) -> Result<Shown<GateLine>, Problem> {
    let (org, provider) = ids(&ask)?;
    Ok(Shown(gates::get(&ask.access, org, provider).await?))
}

async fn put(ask: Ask<Json<NewGate>>) -> Result<Shown<GateLine>, Problem> {
    let (org, provider) = ids(&ask)?;
    Ok(Shown(gates::put(&ask.access, org, provider, ask.expected, ask.body.0.gate).await?))
}

async fn remove(ask: Ask) -> Result<Done, Problem> {
    let (org, provider) = ids(&ask)?;
    gates::remove(&ask.access, org, provider, ask.expected).await?;
    Ok(Done)
}
