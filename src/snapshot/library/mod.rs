//! Where callers are found when there are more workspaces than memory: on the thread's own lane, on a shelf that all
//! threads share, or by asking the store.
//!
//! The data plane never asks the store itself: it hands the question to the control plane and waits, not for long.

mod keeper;
mod lanes;
mod shelf;

pub use keeper::{Bounds, CatchUp, Keeper};

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::lanes::Lanes;
use self::shelf::{KeptToken, KeptWorkspace, Shelf};
use super::{Caller, Lookup, Platform};
use crate::domain::directory::Directory;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::store::changes::What;
use crate::store::mirror::Mirror;

/// Calls that wait for the store at one time. It answers within milliseconds, so this is thousands of new callers a second;
/// when it does not answer, the rest hear so at once.
const WAITING_MAX: usize = 64;
/// How long a call waits: a client would rather hear 503 and try again.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Questions to the store within a second that turn out to be guesses; then callers that are not at hand hear 503.
const GUESSES_MAX: u32 = 200;
const SECOND: Duration = Duration::from_secs(1);
/// What all lanes together may keep alive beyond the shelf: an eighth of its bytes.
const LANES_SHARE: usize = 8;

/// What callers are found in. Cores read it, the keeper writes it.
pub struct Library {
    lanes: Lanes,
    shelf: Shelf,
    /// Moves whenever anything that was found before might be different now. Calls only read it.
    counter: AtomicU64,
    /// Serves nothing: the store was away for longer than what is known may be trusted.
    is_closed: AtomicBool,
    common: ArcSwap<Common>,
    asks: mpsc::Sender<Ask>,
    waiting: Semaphore,
    guesses: Guesses,
}

/// What all workspaces share, and what the settings say of some.
struct Common {
    platform: Arc<Platform>,
    declared: Arc<Directory>,
}

/// Tokens that the store was asked for within this second, and that nobody has.
#[derive(Default)]
struct Guesses(Mutex<Option<(Instant, u32)>>);

impl Guesses {
    fn are_too_many(&self) -> bool {
        let guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guesses.is_some_and(|(since, count)| count >= GUESSES_MAX && since.elapsed() < SECOND)
    }

    fn count(&self) {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *guesses = match *guesses {
            Some((since, count)) if since.elapsed() < SECOND => Some((since, count + 1)),
            Some(_) | None => Some((Instant::now(), 1)),
        };
    }
}

/// A question to the store.
struct Ask {
    hash: TokenHash,
    answer: oneshot::Sender<Answer>,
}

#[derive(Clone)]
enum Answer {
    Found(Arc<KeptToken>, Arc<KeptWorkspace>),
    Nobody,
    Away,
}

impl Library {
    fn new(common: Common, bounds: Bounds, mirror: Option<Arc<Mirror>>, asks: mpsc::Sender<Ask>) -> Self {
        let Bounds { cache_bytes, threads, .. } = bounds;
        Self {
            lanes: Lanes::new(threads, cache_bytes / LANES_SHARE / threads.max(1)),
            shelf: Shelf::new(cache_bytes as u64, mirror),
            counter: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            common: ArcSwap::from_pointee(common),
            asks,
            waiting: Semaphore::new(WAITING_MAX),
            guesses: Guesses::default(),
        }
    }

    pub(super) fn platform(&self) -> Arc<Platform> {
        self.common.load().platform.clone()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    pub(super) async fn caller(&self, hash: &TokenHash, now: Timestamp) -> Lookup {
        // Read first: what is found from here on is remembered under it, and forgotten when it moves.
        let counter = self.counter.load(Ordering::Acquire);
        let found = match self.lanes.find(hash, counter) {
            Some(caller) => Lookup::Known(caller),
            // Boxed, so that what a warm call carries about stays small.
            None => Box::pin(self.look_further(hash, counter)).await,
        };
        match found {
            Lookup::Known(caller) if !caller.is_alive(now) => Lookup::Unknown,
            found => found,
        }
    }

    async fn look_further(&self, hash: &TokenHash, counter: u64) -> Lookup {
        if self.is_closed.load(Ordering::Acquire) {
            return Lookup::Away;
        }
        if let Some(token) = self.shelf.token(hash)
            && let Some(workspace) = self.shelf.workspace(token.workspace())
        {
            return self.found(hash, &token, &workspace, counter);
        }
        if self.shelf.is_nobodys(hash) {
            return Lookup::Unknown;
        }
        match self.ask(hash).await {
            Answer::Found(token, workspace) => self.found(hash, &token, &workspace, counter),
            Answer::Nobody => {
                self.guesses.count();
                Lookup::Unknown
            }
            Answer::Away => Lookup::Away,
        }
    }

    fn found(&self, hash: &TokenHash, token: &KeptToken, workspace: &KeptWorkspace, counter: u64) -> Lookup {
        let common = self.common.load();
        let entry = token.under(&common.platform);
        let view = workspace.under(&common.platform, &common.declared);
        let (Some(entry), Some(view)) = (entry, view) else { return Lookup::Unknown };
        let caller = Caller::new(view, entry);
        self.lanes.remember(*hash, caller.clone(), token.bytes() + workspace.bytes(), counter);
        Lookup::Known(caller)
    }

    async fn ask(&self, hash: &TokenHash) -> Answer {
        if self.guesses.are_too_many() {
            return Answer::Away;
        }
        let Ok(_waiting) = self.waiting.try_acquire() else { return Answer::Away };
        let (answer, answered) = oneshot::channel();
        if self.asks.try_send(Ask { hash: *hash, answer }).is_err() {
            return Answer::Away;
        }
        match timeout(WAIT_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Answer::Away,
        }
    }

    fn take_down(&self, what: &What, version: u64) {
        self.shelf.take_down(what, version);
        self.counter.fetch_add(1, Ordering::Release);
    }

    fn set_common(&self, common: Common) {
        self.common.store(Arc::new(common));
        self.counter.fetch_add(1, Ordering::Release);
    }

    fn set_closed(&self, is_closed: bool) {
        if self.is_closed.swap(is_closed, Ordering::AcqRel) != is_closed {
            self.counter.fetch_add(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
