//! Encryption keys: re-sealing everything under the first.

use std::sync::Arc;

use super::actor::Over;
use super::error::DirectoryError;
use super::{Access, Turn};
use crate::domain::entity::Credential;
use crate::domain::id::Id;
use crate::domain::permission::Permission;
use crate::store::audit::Act;
use crate::store::part::Page;
use crate::store::seal::Resealing;
use crate::store::{Need, Previous};

/// Credentials that one transaction seals anew: it takes some milliseconds, and other changes wait no longer for their turn.
const AT_ONCE: u32 = 500;

/// Seals every credential under the first key, and the store itself with them, while everything goes on. A page of them is
/// one transaction; stopped half-way and done again, it goes on with what is left. What no key opens stays as it is and is
/// counted.
pub async fn rotate(access: &Access) -> Result<Resealing, DirectoryError> {
    access.actor.may(Permission::PlatformCredentialManage, Over::Platform)?;
    let keyring = access.store.keyring();
    let (mut count, mut after) = (Resealing::default(), None);
    loop {
        let page = page(access, after).await?;
        let Some(last) = page.last() else { break };
        let found = keyring.count_credentials(&page);
        let (resealed, last) = match found.resealed {
            0 => (found, last.id),
            _ => reseal(access, after).await?,
        };
        count = count.and(resealed);
        after = Some(last);
    }
    let act = Act::new(access.actor.by(), "rotate", format!("keys, to {}", keyring.current()));
    access.store.rekey(act).await?;
    Ok(count)
}

/// Gives how far it went, too: others may have come in between since somebody looked.
async fn reseal(access: &Access, after: Option<Id<Credential>>) -> Result<(Resealing, Id<Credential>), DirectoryError> {
    let keyring = Arc::clone(access.store.keyring());
    let entity = format!("credentials, to {}", keyring.current());
    let rule = move |turn: Turn<'_>| {
        let page = turn.stored.credentials.iter_mut().filter(|one| is_after(one, after));
        let mut last = after;
        let page = page.inspect(|one| last = last.max(Some(one.id)));
        let count = keyring.reseal_credentials(page).map_err(|_| DirectoryError::NoRandomness)?;
        last.map(|last| (count, last)).ok_or(DirectoryError::Raced { kind: "credential" })
    };
    // The generation before is under the old key, which its owner now wants to be rid of.
    access.change(Previous::Forget, "rotate", entity, Need::Credentials(Page { after, limit: AT_ONCE }), rule).await
}

/// How many credentials are under the first key, how many under an older one, and which none opens.
pub async fn count(access: &Access) -> Result<Resealing, DirectoryError> {
    access.actor.may(Permission::PlatformCredentialManage, Over::Platform)?;
    let (mut count, mut after) = (Resealing::default(), None);
    loop {
        let page = page(access, after).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.id);
        count = count.and(access.store.keyring().count_credentials(&page));
    }
}

/// The next credentials in the order of their ids. A store that gives everything gives them all at once.
async fn page(access: &Access, after: Option<Id<Credential>>) -> Result<Vec<Credential>, DirectoryError> {
    let mut page = access.load(Need::Credentials(Page { after, limit: AT_ONCE })).await?.credentials;
    page.retain(|one| is_after(one, after));
    page.sort_unstable_by_key(|one| one.id);
    Ok(page)
}

fn is_after(credential: &Credential, after: Option<Id<Credential>>) -> bool {
    after.is_none_or(|after| credential.id > after)
}
