//! What traffic showed: opened at the start, and what breakers should know of it told to them.

use std::time::Duration;

use tokio::time::Instant;

use crate::attempt::breaker::Breakers;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::state::{CredentialState, State};

const FILE: &str = "state.sqlite";

/// Opens the state beside the directory and runs its keeper on this runtime until the state is closed.
pub(super) async fn open(config: &Config, store: &Store) -> State {
    let (state, mut keeper) = State::new(store.state(config.data.dir.join(FILE)), store.keyring().clone());
    keeper.open().await;
    tokio::spawn(keeper.run());
    state
}

/// A credential that was rejected before a restart is not shown to its provider again before its time.
pub(super) fn remind(breakers: &Breakers, state: &State) {
    let (now, wall) = (Instant::now(), Timestamp::now());
    for (credential, known) in state.troubled() {
        if let CredentialState::Rejected { at } = known {
            // A clock that was set back makes it longer ago than never.
            let ago = u64::try_from(wall.0 - at.0).unwrap_or_default();
            breakers.was_rejected(credential, Duration::from_millis(ago), now);
        }
    }
}
