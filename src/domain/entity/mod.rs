//! The directory's entities, as people decided them and as the stores keep them.

mod credential;
mod provider;
mod route;
mod tenancy;

pub use credential::{Credential, Grant, KeyMaterial, Overrides, SavedCredential, Scope, SealedBytes};
pub use provider::{Hydration, Identity, Listing, Model, ModelDefaults, Provider, ProviderSettings, Source};
pub use route::{Route, RouteKind, RouteTarget};
pub use tenancy::{DefaultChoice, Features, Gate, Org, Token, TokenKind, User, Workspace};

use serde::{Deserialize, Serialize};

use super::id::Id;

/// Whose an entity is. What a workspace owns, no other workspace can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    Platform,
    Workspace(Id<Workspace>),
    User(Id<User>),
}
