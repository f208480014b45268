//! What was answered under an idempotency key, so that a request that comes twice is done once.
//!
//! Takes the key with whose it is and a digest of the request; gives the answer of the first time, or the word that this is
//! the first time. It must never be handed a secret: what is shown once is not here to be shown again.

use std::pin::Pin;
use std::time::Duration;

use crate::domain::entity::Token;
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::store::StoreError;

/// How long an answer is kept: a day outlives every client's retries.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// A request that began and never ended, for its process died, is forgotten after this: no request takes as long.
pub const BEGUN_FOR: Duration = Duration::from_secs(120);

/// A key as its client wrote it; each token has keys of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplayKey {
    pub token: Id<Token>,
    pub key: String,
}

/// The SHA-256 of method, path and body: the same key under another one is a mistake.
pub type RequestDigest = [u8; 32];

/// An answer as it went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: u16,
    pub etag: Option<String>,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

/// What a key says of the request that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first: do it, then say how it ended.
    First,
    /// It was done: this was the answer.
    Done(KeptAnswer),
    /// The first is still being done.
    Underway,
    /// The key belongs to another request.
    OtherRequest,
}

pub type Promised<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where they are kept.
pub trait Replays: Send + Sync {
    /// Claims a key for a request, unless it is taken.
    fn begin<'a>(&'a self, key: &'a ReplayKey, request: RequestDigest, now: Timestamp) -> Promised<'a, Begun>;

    /// Keeps the answer; without one the key is free again.
    fn end<'a>(&'a self, key: &'a ReplayKey, answer: Option<KeptAnswer>) -> Promised<'a, ()>;
}
