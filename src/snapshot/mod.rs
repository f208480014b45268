//! What one call reads from first byte to last: the platform's part and the caller's workspace view.
//!
//! Takes the directory and the settings, gives immutable values that calls share. Both parts are taken once, by
//! `authenticate`, and a view names the platform it was compiled against, so no call ever sees two worlds.
//! It must never know a socket. Only `library`, which finds callers where there are more workspaces than memory, knows a
//! store and a clock.

mod build;
mod caller;
mod catalog;
mod library;
mod workspaces;

pub use build::{Unbuildable, build};
pub use caller::{Caller, TokenEntry};
pub use catalog::{Catalog, CredentialEntry, ModelEntry, ProviderEntry};
pub use library::{Bounds, CatchUp, Keeper, Library};
pub use workspaces::{Lookup, World};

use std::sync::Arc;

use crate::config::Routing;
use crate::domain::entity::{Identity, Org, Workspace};
use crate::domain::id::Id;
use crate::domain::map::Map;
use crate::domain::token::TokenHash;

/// Everything at one moment. Swapped whole.
#[derive(Debug)]
pub struct Snapshot {
    pub platform: Arc<Platform>,
    pub(crate) views: Map<Id<Workspace>, Arc<WorkspaceView>>,
    pub(crate) tokens: Map<TokenHash, Arc<TokenEntry>>,
}

impl Snapshot {
    pub fn view(&self, workspace: Id<Workspace>) -> Option<&Arc<WorkspaceView>> {
        self.views.get(&workspace)
    }

    pub fn views(&self) -> impl Iterator<Item = &Arc<WorkspaceView>> {
        self.views.values()
    }

    pub fn token_count(&self) -> usize {
        self.tokens.len()
    }
}

/// What all workspaces share.
#[derive(Debug)]
pub struct Platform {
    pub version: u64,
    pub catalog: Catalog,
    pub routing: Routing,
    /// What any workspace's models may be hydrated with.
    pub(crate) identities: Map<Id<Identity>, Arc<str>>,
}

/// A workspace with everything of its own, compiled against one platform.
#[derive(Debug)]
pub struct WorkspaceView {
    pub platform: Arc<Platform>,
    pub workspace: Workspace,
    /// The workspace's name as records carry it.
    pub name: Arc<str>,
    pub org: Arc<Org>,
    /// The workspace's own providers, models, routes and credentials.
    pub own: Catalog,
}

impl WorkspaceView {
    /// The catalogs a call of this workspace looks into, its own first.
    pub fn catalogs(&self) -> [&Catalog; 2] {
        [&self.own, &self.platform.catalog]
    }
}
