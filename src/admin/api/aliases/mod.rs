//! The paths and JSON shapes that clients of other products know, as aliases: each calls the same function of `directory` as
//! the API's own path does, and only the spelling differs. One file per product.
//!
//! Ids are taken as numbers, where a product has numbers, and as our own ids. Lists are plain arrays: these clients know no
//! pages. Changes can be bound to an ETag, which is that of the thing under its own path.

mod ai;
mod bridge;
mod endpoints;
mod model_config;
mod settings;
mod spelling;

use super::ask::Ask;
use super::problem::{Fault, Problem};
use super::table::Row;
use crate::directory::numbered::{self, Called};
use crate::directory::{DirectoryError, named};
use crate::domain::entity::{Provider, Workspace};
use crate::domain::id::Id;

pub(super) fn rows() -> Vec<Row> {
    let all = [
        (model_config::rows(), &[("defaultModel", "model")][..]),
        (endpoints::rows(), &[("defaultModel", "modelName"), ("name", "providerId")]),
        (settings::rows(), &settings::FIELDS),
        (bridge::rows(), &[]),
        (ai::rows(), &ai::FIELDS),
    ];
    all.into_iter().flat_map(|(rows, fields)| rows.into_iter().map(|row| row.spelt(fields))).collect()
}

/// The workspace in the path, by id or name.
async fn workspace<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Workspace>, Problem> {
    let text = ask.path("workspaceId");
    let stored = ask.access.load(named::workspace(text)).await?;
    let found = ask.access.known(&stored).workspace(text).map(|one| one.id);
    // Its neighbours are for those to hear who type commands.
    found.map_err(|_| missing("workspace", text))
}

fn missing(kind: &'static str, text: &str) -> Problem {
    DirectoryError::NotFound { kind, name: text.to_string(), hint: String::new() }.into()
}

/// What the path calls the thing at `{id}`. What is neither a number nor an id is what nobody has.
fn called<B, Q>(ask: &Ask<B, Q>, kind: &'static str) -> Result<Called, Problem> {
    Called::read(ask.path("id")).ok_or_else(|| missing(kind, ask.path("id")))
}

async fn provider<B, Q>(ask: &Ask<B, Q>) -> Result<Id<Provider>, Problem> {
    Ok(numbered::provider(&ask.access, &called(ask, "provider")?).await?)
}

/// The same in a query.
fn called_in_query(name: &'static str, text: &str) -> Result<Called, Problem> {
    let wrong = || Problem::of(Fault::Query, format!("`{text}` is neither a number nor an id")).with_field(name);
    Called::read(text).ok_or_else(wrong)
}
