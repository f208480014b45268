//! Things by their small numbers, for those who go by numbers. A number that the asker may not see behind is one that
//! nobody has, and says nothing of what has it.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::DirectoryError;
use super::known::Known;
use super::{Access, credentials, models, routes};
use crate::domain::entity::{Credential, Model, Provider, Route};
use crate::domain::id::Id;
use crate::store::{Need, Part};

/// How a thing is called: by its number, or by its id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(example = 1)]
pub enum Called {
    Number(u32),
    Id(Uuid),
}

impl Called {
    /// As it stands in a path or a query.
    pub fn read(text: &str) -> Option<Self> {
        let number = || text.parse().ok().map(Self::Number);
        Uuid::parse_str(text).ok().map(Self::Id).or_else(number)
    }
}

pub async fn provider(access: &Access, called: &Called) -> Result<Id<Provider>, DirectoryError> {
    let all = |known: Known<'_>, number| {
        let mut all = known.stored.providers.iter().chain(&known.declared.providers);
        all.find(|one| one.number == Some(number)).map(|one| one.id).filter(|id| known.any_provider(*id).is_ok())
    };
    find(access, "provider", called, all).await
}

pub async fn model(access: &Access, called: &Called) -> Result<Id<Model>, DirectoryError> {
    let all = |known: Known<'_>, number| {
        let found = known.models().find(|one| one.number == Some(number)).map(|one| one.id);
        found.filter(|id| models::found(known, *id).is_ok())
    };
    find(access, "model", called, all).await
}

pub async fn route(access: &Access, called: &Called) -> Result<Id<Route>, DirectoryError> {
    let all = |known: Known<'_>, number| {
        let found = known.routes().find(|one| one.number == Some(number)).map(|one| one.id);
        found.filter(|id| routes::found(known, *id).is_ok())
    };
    find(access, "route", called, all).await
}

pub async fn credential(access: &Access, called: &Called) -> Result<Id<Credential>, DirectoryError> {
    let all = |known: Known<'_>, number| {
        let found = known.credentials().find(|one| one.number == Some(number)).map(|one| one.id);
        found.filter(|id| credentials::shown(known, *id).is_ok())
    };
    find(access, "credential", called, all).await
}

async fn find<T>(
    access: &Access,
    kind: &'static str,
    called: &Called,
    seen: impl Fn(Known<'_>, u32) -> Option<Id<T>>,
) -> Result<Id<T>, DirectoryError> {
    let number = match called {
        Called::Id(id) => return Ok(Id::from_uuid(*id)),
        Called::Number(number) => *number,
    };
    // Whether a credential is shown depends on where the asker stands.
    let part = Part::of([Need::Numbered(number)]).and(access.actor.workspace().map(Need::Workspace));
    let stored = access.load(part).await?;
    let missing = || DirectoryError::NotFound { kind, name: number.to_string(), hint: String::new() };
    seen(access.known(&stored), number).ok_or_else(missing)
}
