//! A call's places among the parallel calls to its provider, with its credential and to its address.

use std::sync::Arc;

use super::parallel::{Busy, Key, Parallel, Permit};
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

/// The places of one attempt. Provider and credential are waited for in turn; an address at its limit is not.
pub(super) async fn take(parallel: &Arc<Parallel>, target: &Target, per_address: u32) -> Result<Places, Failure> {
    let address = parallel.take_at_once(Key::Address(target.base_url().address.clone()), per_address)?;
    let provider = match target.provider.provider.max_parallel {
        Some(limit) => Some(parallel.take(Key::Provider(target.provider.provider.id), limit).await?),
        None => None,
    };
    let limited = target.credential.as_ref().and_then(|one| Some((one.id(), one.credential.max_parallel?)));
    let credential = match limited {
        Some((id, limit)) => Some(parallel.take(Key::Credential(id), limit).await?),
        None => None,
    };
    Ok(Places { _address: address, _provider: provider, _credential: credential })
}
