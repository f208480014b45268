//! Encryption keys: re-sealing everything under the first.

use std::sync::Arc;

use super::actor::Over;
use super::error::DirectoryError;
use super::{Access, Turn};
use crate::domain::permission::Permission;
use crate::store::seal::Resealing;
use crate::store::{Part, Previous};

/// Seals every credential under the first key, and the store itself with them. It is one transaction: stopped half-way it
/// did nothing, and done again it finds nothing to do. What no key opens stays as it is and is counted.
pub async fn rotate(access: &Access) -> Result<Resealing, DirectoryError> {
    let keyring = Arc::clone(access.store.keyring());
    let entity = format!("keys, to {}", keyring.current());
    let rule = move |turn: Turn<'_>| {
        turn.actor.may(Permission::PlatformCredentialManage, Over::Platform)?;
        keyring.reseal_credentials(turn.stored).map_err(|_| DirectoryError::NoRandomness)
    };
    // The generation before is under the old key, which its owner now wants to be rid of.
    access.change(Previous::Forget, "rotate", entity, Part::everything(), rule).await
}

/// How many credentials are under the first key, how many under an older one, and which none opens.
pub async fn count(access: &Access) -> Result<Resealing, DirectoryError> {
    access.actor.may(Permission::PlatformCredentialManage, Over::Platform)?;
    // Done on a copy that nobody keeps: only a key that opens a value is the key it is under.
    let mut copy = access.load(Part::everything()).await?;
    access.store.keyring().reseal_credentials(&mut copy).map_err(|_| DirectoryError::NoRandomness)
}
