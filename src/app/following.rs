//! How the world keeps up with its store: as a whole where all of it fits into memory, else in parts.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::running::Server;
use super::signals::ticks;
use super::{Trouble, open};
use crate::config::{self, Config};
use crate::snapshot::{Bounds, CatchUp, Keeper, World, build};
use crate::store::mirror::Mirror;
use crate::store::{Bell, Store};

/// How often the store is asked whether another process changed it: a change is in force within a second.
pub(super) const POLL: Duration = Duration::from_millis(500);

pub(super) enum Following {
    Whole,
    Parts { keeper: Arc<Keeper>, answering: JoinHandle<()> },
}

impl Following {
    /// `threads` are those that look callers up.
    pub(super) async fn start(store: &Store, config: &Config, threads: usize) -> Result<(World, Self), Trouble> {
        if !matches!(config.store, config::Store::Postgres(_)) {
            let snapshot = build(&store.take_up().await?, &config.declared, &config.routing)?;
            return Ok((World::new(snapshot), Self::Whole));
        }
        let bounds = Bounds { cache_bytes: config.cache.bytes, serve_without: config.cache.serve_without, threads };
        // As large as the cache: sealed text takes a quarter of what it takes in memory, so it remembers four times as much.
        let mirror = Mirror::open(&open::mirror(config), store.keyring().clone(), config.cache.bytes as u64).await;
        let mirror =
            mirror.inspect_err(|error| tracing::warn!(%error, "a restart without the database will serve nothing"));
        let (declared, routing) = (config.declared.clone(), config.routing.clone());
        let (keeper, answering) = Keeper::start(store.clone(), mirror.ok(), declared, routing, bounds).await?;
        let world = World::of_library(keeper.library().clone());
        Ok((world, Self::Parts { keeper, answering: tokio::spawn(answering) }))
    }

    /// Before the end: what is known now is known after a restart.
    pub(super) async fn settle(&self) {
        if let Self::Parts { keeper, .. } = self {
            keeper.settle().await;
        }
    }

    /// The version that is in force.
    pub(super) fn version(&self, world: &World) -> u64 {
        match self {
            Self::Whole => world.platform().version,
            Self::Parts { keeper, .. } => keeper.version(),
        }
    }

    pub(super) async fn redeclare(&self, server: &Server, config: &Config) -> Result<(), Trouble> {
        match self {
            Self::Whole => {
                let directory = server.store.take_up().await?;
                server.gateway.world.replace(build(&directory, &config.declared, &config.routing)?);
            }
            Self::Parts { keeper, .. } => {
                keeper.redeclare(config.declared.clone(), config.routing.clone()).await?;
            }
        }
        Ok(())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Self::Parts { answering, .. } = self {
            answering.abort();
        }
    }
}

impl From<CatchUp> for Trouble {
    fn from(error: CatchUp) -> Self {
        match error {
            CatchUp::Store(error) => error.into(),
            CatchUp::Unbuildable(error) => error.into(),
        }
    }
}

/// Never ends by itself. The poll is what is promised; the bell, which rings at each change, only makes it faster.
pub(super) async fn follow(server: Arc<Server>) {
    let mut poll = ticks(POLL);
    let mut bell: Option<Bell> = None;
    loop {
        tokio::select! {
            _ = poll.tick() => {}
            () = rung(&mut bell) => {}
        }
        server.refresh().await;
        if bell.is_none() && matches!(server.following, Following::Parts { .. }) {
            // Where it can't be had the poll goes on alone, and says what is wrong.
            bell = server.store.bell().await.ok().flatten();
        }
    }
}

/// A bell that is lost may have rung unheard, so losing it counts as ringing.
async fn rung(bell: &mut Option<Bell>) {
    match bell {
        None => std::future::pending().await,
        Some(heard) => {
            if heard.rings().await.is_err() {
                *bell = None;
            }
        }
    }
}
