//! A call's places among the parallel calls to its provider, with its credential and to its address.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::parallel::{Busy, Key, Parallel, Permit};
use super::round::Deadline;
use crate::domain::failure::Failure;
use crate::resolve::Target;

/// Held until the answer has ended.
#[derive(Debug)]
pub(super) struct Places {
    _address: Permit,
    _provider: Option<Permit>,
    _credential: Option<Permit>,
}

impl From<Busy> for Failure {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// The places of one attempt, and the moment when it had them. Provider and credential are waited for in turn; an
/// address at its limit is not.
pub(super) async fn take(
    parallel: &Arc<Parallel>,
    target: &Target<'_>,
    per_address: u32,
    deadline: Deadline,
    now: Instant,
) -> Result<(Places, Instant), Failure> {
    let address = parallel.take_at_once(Key::Address(target.base_url().address.clone()), per_address)?;
    let of_provider = target.provider.provider.max_parallel.map(|limit| (target.provider.provider.id, limit));
    let of_credential = target.credential.and_then(|one| Some((one.id(), one.credential.max_parallel?)));
    if of_provider.is_none() && of_credential.is_none() {
        return Ok((Places { _address: address, _provider: None, _credential: None }, now));
    }
    let in_turn = async {
        let provider = match of_provider {
            Some((id, limit)) => Some(parallel.take(Key::Provider(id), limit).await?),
            None => None,
        };
        let credential = match of_credential {
            Some((id, limit)) => Some(parallel.take(Key::Credential(id), limit).await?),
            None => None,
        };
        Ok(Places { _address: address, _provider: provider, _credential: credential })
    };
    // Boxed, so that calls without such limits do not keep its room.
    let places = Box::pin(timeout_at(deadline.at, in_turn)).await;
    Ok((places.unwrap_or_else(|_| Err(deadline.failure_in_line()))?, Instant::now()))
}
