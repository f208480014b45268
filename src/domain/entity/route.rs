//! The ordered targets of a role or an alias.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Owner;
use super::provider::Provider;
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// One line: several lines of one name make its failover list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub id: Id<Route>,
    pub number: Option<u32>,
    pub owner: Owner,
    pub name: String,
    pub kind: RouteKind,
    pub target: RouteTarget,
    /// Lower first.
    pub priority: u32,
    pub weight: u32,
    pub notes: Option<String>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    #[serde(skip)]
    pub declared: bool,
}

impl Route {
    pub fn new(id: Id<Self>, owner: Owner, kind: RouteKind, name: &str, target: RouteTarget, now: Timestamp) -> Self {
        Self {
            id,
            number: None,
            owner,
            name: name.to_string(),
            kind,
            target,
            priority: 100,
            weight: 1,
            notes: None,
            created_at: now,
            deleted_at: None,
            declared: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    Role,
    Alias,
}

/// Without a model, the provider's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTarget {
    pub provider: Id<Provider>,
    pub model: Option<String>,
}
