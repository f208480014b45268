//! What was answered under an idempotency key, so that a request that comes twice is done once.
//!
//! Takes the key with whose it is and a digest of the request; gives the answer of the first time, or the word that this is
//! the first time. It must never be handed a secret: what is shown once is not here to be shown again.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::entity::Token;
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::store::StoreError;

/// How long an answer is kept: a day outlives every client's retries.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// A request that began and never ended, for its process died, is forgotten after this: no request takes as long.
pub const BEGUN_FOR: Duration = Duration::from_secs(120);

/// Answers held by one process, at most some 64 KiB each and mostly below one. Beyond it the oldest go.
const HELD_MAX: usize = 10_000;

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

/// Answers that live as long as the process.
#[derive(Debug, Default)]
pub struct MemoryReplays(Mutex<HashMap<ReplayKey, Entry>>);

#[derive(Debug)]
struct Entry {
    request: RequestDigest,
    begun_at: Timestamp,
    answer: Option<KeptAnswer>,
}

impl Entry {
    fn is_over(&self, now: Timestamp) -> bool {
        let kept = if self.answer.is_some() { KEPT_FOR } else { BEGUN_FOR };
        now.0.saturating_sub(self.begun_at.0) > i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)
    }
}

impl MemoryReplays {
    fn claim(&self, key: &ReplayKey, request: RequestDigest, now: Timestamp) -> Begun {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get(key).filter(|entry| !entry.is_over(now)) {
            Some(entry) if entry.request != request => return Begun::OtherRequest,
            Some(Entry { answer: Some(answer), .. }) => return Begun::Done(answer.clone()),
            Some(_) => return Begun::Underway,
            None => {}
        }
        if held.len() >= HELD_MAX {
            held.retain(|_, entry| !entry.is_over(now));
        }
        if held.len() >= HELD_MAX
            && let Some(oldest) = held.iter().min_by_key(|(_, entry)| entry.begun_at).map(|(key, _)| key.clone())
        {
            held.remove(&oldest);
        }
        held.insert(key.clone(), Entry { request, begun_at: now, answer: None });
        Begun::First
    }

    fn keep(&self, key: &ReplayKey, answer: Option<KeptAnswer>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (answer, held.get_mut(key)) {
            (Some(answer), Some(entry)) => entry.answer = Some(answer),
            (None, _) => drop(held.remove(key)),
            (Some(_), None) => {}
        }
    }
}

impl Replays for MemoryReplays {
    fn begin<'a>(&'a self, key: &'a ReplayKey, request: RequestDigest, now: Timestamp) -> Promised<'a, Begun> {
        Box::pin(std::future::ready(Ok(self.claim(key, request, now))))
    }

    fn end<'a>(&'a self, key: &'a ReplayKey, answer: Option<KeptAnswer>) -> Promised<'a, ()> {
        self.keep(key, answer);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_000_000_000);

    fn key(text: &str) -> ReplayKey {
        ReplayKey { token: Id::from_uuid(uuid::Uuid::nil()), key: text.to_string() }
    }

    fn answer(body: &str) -> KeptAnswer {
        KeptAnswer { status: 201, etag: None, location: None, body: body.into() }
    }

    fn after(duration: Duration) -> Timestamp {
        Timestamp(NOON.0 + i64::try_from(duration.as_millis()).unwrap() + 1)
    }

    #[test]
    fn a_request_is_done_once_and_its_answer_is_given_again() {
        let replays = MemoryReplays::default();
        assert_eq!(replays.claim(&key("a"), [1; 32], NOON), Begun::First);
        assert_eq!(replays.claim(&key("a"), [1; 32], NOON), Begun::Underway);
        replays.keep(&key("a"), Some(answer("made")));
        assert_eq!(replays.claim(&key("a"), [1; 32], NOON), Begun::Done(answer("made")));
        assert_eq!(replays.claim(&key("a"), [2; 32], NOON), Begun::OtherRequest);
        let others = ReplayKey { token: Id::random(), ..key("a") };
        assert_eq!(replays.claim(&others, [2; 32], NOON), Begun::First);
    }

    #[test]
    fn a_request_that_failed_or_never_ended_may_come_again_and_answers_go_after_a_day() {
        let replays = MemoryReplays::default();
        replays.claim(&key("failed"), [1; 32], NOON);
        replays.keep(&key("failed"), None);
        assert_eq!(replays.claim(&key("failed"), [2; 32], NOON), Begun::First);
        assert_eq!(replays.claim(&key("failed"), [2; 32], after(BEGUN_FOR)), Begun::First);
        replays.keep(&key("failed"), Some(answer("made")));
        assert_eq!(replays.claim(&key("failed"), [3; 32], after(KEPT_FOR + BEGUN_FOR)), Begun::First);
    }

    #[test]
    fn beyond_its_bound_the_oldest_goes() {
        let replays = MemoryReplays::default();
        for number in 0..=HELD_MAX as i64 {
            replays.claim(&key(&number.to_string()), [1; 32], Timestamp(NOON.0 + number));
        }
        assert_eq!(replays.0.lock().unwrap().len(), HELD_MAX);
        assert_eq!(replays.claim(&key("0"), [1; 32], after(Duration::from_secs(11))), Begun::First);
    }
}
