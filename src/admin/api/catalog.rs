//! `/catalog`: the platform's providers as a workspace sees them, and who holds the key.

use http::Method;

use super::answer::Report;
use super::ask::Ask;
use super::body::Nothing;
use super::owner::InWorkspace;
use super::problem::Problem;
use super::table::{Needs, Place, Row, row};
use crate::directory::catalog::{self, CatalogEntry, CatalogLine};
use crate::directory::page::Paged;
use crate::domain::permission::Permission;

pub(super) fn rows() -> Vec<Row> {
    let view = Needs::Permission(Permission::AIProviderView, Place::Workspace);
    let says = "The platform's enabled providers, and whose key a workspace's calls use.";
    vec![
        row(Method::GET, "/catalog", Needs::Token, says, list),
        row(Method::GET, "/catalog/{id}", view, "One of them, with its enabled models.", get),
    ]
}

async fn list(ask: Ask<Nothing, InWorkspace>) -> Result<Paged<CatalogLine>, Problem> {
    let found = catalog::list(&ask.access, InWorkspace::of(&ask)).await?;
    Ok(Paged::of(found.into_iter().map(|one| (one.provider.id.uuid(), one)), ask.page, |one| one))
}

async fn get(ask: Ask<Nothing, InWorkspace>) -> Result<Report<CatalogEntry>, Problem> {
    let id = ask.id("id", "provider")?;
    Ok(Report(catalog::get(&ask.access, InWorkspace::of(&ask), id).await?))
}
