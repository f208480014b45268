//! Where `authenticate` finds a token's caller: the newest snapshot, or a library where there are more workspaces than
//! memory. Shared by all cores.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::library::Library;
use super::{Caller, Platform, Snapshot};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;

/// The world as it stands.
pub struct World(Kept);

enum Kept {
    /// All of it, replaced as a whole.
    Whole(ArcSwap<Snapshot>),
    /// What was asked for of it.
    Parts(Arc<Library>),
}

/// What asking for a token gives.
#[derive(Debug)]
pub enum Lookup {
    Known(Caller),
    Unknown,
    /// The store that would know can't be asked. Never said by the sealed file, whose views are all at hand.
    Away,
}

impl World {
    pub fn new(snapshot: Snapshot) -> Self {
        Self(Kept::Whole(ArcSwap::from_pointee(snapshot)))
    }

    pub const fn of_library(library: Arc<Library>) -> Self {
        Self(Kept::Parts(library))
    }

    /// A library is changed by its keeper, and takes no snapshot.
    pub fn replace(&self, snapshot: Snapshot) {
        if let Kept::Whole(whole) = &self.0 {
            whole.store(Arc::new(snapshot));
        }
    }

    pub fn platform(&self) -> Arc<Platform> {
        match &self.0 {
            Kept::Whole(whole) => whole.load().platform.clone(),
            Kept::Parts(library) => library.platform(),
        }
    }

    /// What is kept of workspaces, in bytes; none where all of them are.
    pub fn cached_bytes(&self) -> u64 {
        match &self.0 {
            Kept::Whole(_) => 0,
            Kept::Parts(library) => library.bytes(),
        }
    }

    /// Asks for the caller behind a token. Async because a store with more workspaces than memory has to be asked
    /// on a miss; the sealed file answers at once.
    pub async fn caller(&self, hash: &TokenHash, now: Timestamp) -> Lookup {
        let snapshot = match &self.0 {
            Kept::Whole(whole) => whole.load(),
            Kept::Parts(library) => return library.caller(hash, now).await,
        };
        let Some(entry) = snapshot.tokens.get(hash).filter(|entry| entry.is_alive(now)) else { return Lookup::Unknown };
        match snapshot.views.get(&entry.token.workspace) {
            Some(view) => Lookup::Known(Caller::new(view.clone(), entry.clone())),
            None => Lookup::Unknown,
        }
    }
}
