//! Accounts by whose they are, in memory and bounded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::map::Map;
use crate::domain::refusal::Refusal;

/// Locks the accounts are spread over, so that cores seldom meet.
const SHARDS: usize = 16;
/// Accounts of one shard, 65,536 in all (about 45 MiB): whoever has bounds and called lately. Where all are in use, a new one is
/// refused, for forgetting what another spent would lift that one's bound.
const ACCOUNTS_PER_SHARD: usize = 4_096;
/// An account that nobody used for so long is forgotten when its place is needed: the ledger has all of it by then.
const UNUSED: Duration = Duration::from_secs(600);
/// How often a full shard is searched for unused accounts.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is kept of one holder of bounds.
pub(super) trait Kept {
    /// Nobody has asked for so long.
    fn is_unused(&self, now: Instant, since: Duration) -> bool;
}

pub(super) struct Shelf<A> {
    shards: [Mutex<Shard<A>>; SHARDS],
    /// What a new one is refused for where there is no room.
    full: &'static str,
}

struct Shard<A> {
    accounts: Map<Uuid, Arc<A>>,
    swept_at: Option<Instant>,
}

impl<A: Kept> Shelf<A> {
    pub(super) fn new(full: &'static str) -> Self {
        let shard = |_| Mutex::new(Shard { accounts: Map::default(), swept_at: None });
        Self { shards: std::array::from_fn(shard), full }
    }

    /// The account of an id, or a new one. What was forgotten must be found elsewhere, or nothing is forgotten.
    pub(super) fn account(
        &self,
        id: Uuid,
        now: Instant,
        may_forget: bool,
        make: impl FnOnce() -> A,
    ) -> Result<Arc<A>, Refusal> {
        // The lower half of an id is as good as random.
        let mut shard = lock(&self.shards[id.as_u64_pair().1 as usize % SHARDS]);
        if let Some(account) = shard.accounts.get(&id) {
            return Ok(account.clone());
        }
        if shard.accounts.len() >= ACCOUNTS_PER_SHARD && may_forget {
            shard.sweep(now);
        }
        if shard.accounts.len() >= ACCOUNTS_PER_SHARD {
            return Err(Refusal::AtCapacity(self.full));
        }
        let account = Arc::new(make());
        shard.accounts.insert(id, account.clone());
        Ok(account)
    }

    pub(super) fn all(&self) -> Vec<(Uuid, Arc<A>)> {
        let of = |shard: &Mutex<Shard<A>>| {
            lock(shard).accounts.iter().map(|(id, account)| (*id, account.clone())).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }
}

impl<A: Kept> Shard<A> {
    fn sweep(&mut self, now: Instant) {
        if self.swept_at.is_some_and(|last| now < last + SWEEP_EVERY) {
            return;
        }
        self.swept_at = Some(now);
        // An account that a call is about to use is held by that call too.
        self.accounts.retain(|_, account| Arc::strong_count(account) > 1 || !account.is_unused(now, UNUSED));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Old;

    impl Kept for Old {
        fn is_unused(&self, _: Instant, _: Duration) -> bool {
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_shelf_forgets_what_nobody_uses_if_it_may_and_else_takes_nothing_new() {
        let (shelf, now) = (Shelf::new("holders"), Instant::now());
        let id = |number: usize| Uuid::from_u64_pair(number as u64, 0);
        let held = shelf.account(id(0), now, false, || Old).unwrap();
        for number in 1..ACCOUNTS_PER_SHARD {
            drop(shelf.account(id(number), now, false, || Old).unwrap());
        }
        assert!(matches!(shelf.account(id(usize::MAX), now, false, || Old), Err(Refusal::AtCapacity("holders"))));
        drop(shelf.account(id(usize::MAX), now, true, || Old).unwrap());
        assert_eq!(shelf.all().len(), 2, "what a call holds stays");
        drop(held);
    }
}
