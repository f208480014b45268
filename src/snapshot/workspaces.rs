//! Where `authenticate` finds a token's caller: the newest snapshot, shared by all cores.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Caller, Snapshot};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;

/// The world as it stands, and its replacement as a whole.
pub struct World(ArcSwap<Snapshot>);

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
        Self(ArcSwap::from_pointee(snapshot))
    }

    pub fn replace(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }

    pub fn now(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Asks for the caller behind a token. Async because a store with more workspaces than memory has to be asked
    /// on a miss; the sealed file answers at once.
    pub async fn caller(&self, hash: &TokenHash, now: Timestamp) -> Lookup {
        let snapshot = self.0.load();
        let Some(entry) = snapshot.tokens.get(hash).filter(|entry| entry.is_alive(now)) else { return Lookup::Unknown };
        match snapshot.views.get(&entry.token.workspace) {
            Some(view) => Lookup::Known(Caller::new(view.clone(), entry.clone())),
            None => Lookup::Unknown,
        }
    }
}
