//! Asks what an earlier object that the call names has to say about where the call may go.
//!
//! Objects at providers are not on record yet, so nothing binds a call; `resolve` keeps such calls to the workspace's
//! own credentials where there is more than one workspace.

use crate::domain::call::{Call, Past};
use crate::domain::refusal::Refusal;
use crate::snapshot::Caller;

/// What is on record of the objects that a call names. Async because the record is the state database's.
pub(super) async fn recall(caller: &Caller, call: &Call) -> Result<Past, Refusal> {
    if call.operation == crate::domain::protocol::Operation::Batches && !caller.token().may_batch {
        return Err(Refusal::BatchesDenied);
    }
    Ok(Past::None)
}
