//! At most so many calls at once to one provider, with one credential, or to one address.
//!
//! Takes a key and its limit as the snapshot has it now, gives a permit that frees its place when it is dropped.
//! `take` waits its turn, first come first served; `take_at_once` never waits. Shared by all cores. It must never know
//! what the call does.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use crate::domain::address::Address;
use crate::domain::entity::{Credential, Provider};
use crate::domain::id::Id;
use crate::domain::map::Map;

/// Calls waiting for one key, unless set otherwise. What a wait of a second can hope to serve; more would only time out.
const WAITERS: usize = 64;
/// How long a call waits for its turn before the next target is the better choice, unless set otherwise.
const WAIT: Duration = Duration::from_secs(1);
/// Locks the keys are spread over, so that cores seldom meet.
const SHARDS: usize = 16;

/// What a limit is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Provider(Id<Provider>),
    Credential(Id<Credential>),
    Address(Arc<Address>),
}

/// Every place is taken, and waiting did not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The places of every key that is in use. A key in no use takes no room, so calls in flight bound the whole.
#[derive(Debug)]
pub struct Parallel {
    shards: [Mutex<Map<Key, Lane>>; SHARDS],
    hasher: RandomState,
    patience: ArcSwap<Patience>,
}

/// How calls wait for their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Calls waiting for one key; one more is turned away at once.
    pub waiters: usize,
    pub wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { waiters: WAITERS, wait: WAIT }
    }
}

#[derive(Debug, Default)]
struct Lane {
    limit: usize,
    taken: usize,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// One place. Dropping it gives the place to whoever waits longest.
#[derive(Debug)]
#[must_use = "the place is freed when the permit is dropped"]
pub struct Permit {
    parallel: Arc<Parallel>,
    key: Key,
}

impl Parallel {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { shards: Default::default(), hasher: RandomState::default(), patience: ArcSwap::default() })
    }

    /// From now on calls wait like this; those who wait already go on as they began.
    pub fn set(&self, patience: Patience) {
        self.patience.store(patience.into());
    }

    /// A place, at once or in turn within the wait that is set.
    pub async fn take(self: &Arc<Self>, key: Key, limit: u32) -> Result<Permit, Busy> {
        let turn = match self.line_up(key, limit) {
            Place::Taken(permit) => return Ok(permit),
            Place::Full => return Err(Busy),
            Place::Turn(turn) => turn,
        };
        // A permit that was handed over in the moment of the time-out is dropped with the channel: no place is lost.
        match tokio::time::timeout(self.patience.load().wait, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }

    /// A place at once, or none.
    pub fn take_at_once(self: &Arc<Self>, key: Key, limit: u32) -> Result<Permit, Busy> {
        if limit == 0 {
            return Err(Busy);
        }
        let mut lanes = self.lanes(&key);
        let lane = match lanes.get_mut(&key) {
            Some(lane) => lane,
            // A copy of the key is made only where it is new: it counts on what all cores share.
            None => lanes.entry(key.clone()).or_default(),
        };
        lane.limit = limit as usize;
        if lane.taken >= lane.limit {
            return Err(Busy);
        }
        lane.taken += 1;
        drop(lanes);
        Ok(Permit { parallel: Arc::clone(self), key })
    }

    fn line_up(self: &Arc<Self>, key: Key, limit: u32) -> Place {
        if limit == 0 {
            return Place::Full;
        }
        let freed;
        let place = {
            let mut lanes = self.lanes(&key);
            let lane = lanes.entry(key.clone()).or_default();
            lane.limit = limit as usize;
            // A raised limit lets those in who came before.
            freed = self.hand_over(lane, &key);
            lane.waiting.retain(|waiter| !waiter.is_closed());
            if lane.waiting.is_empty() && lane.taken < lane.limit {
                lane.taken += 1;
                Place::Taken(Permit { parallel: Arc::clone(self), key })
            } else if lane.waiting.len() >= self.patience.load().waiters {
                Place::Full
            } else {
                let (sender, turn) = oneshot::channel();
                lane.waiting.push_back(sender);
                Place::Turn(turn)
            }
        };
        // Never dropped under the lock, for dropping a permit takes it.
        drop(freed);
        place
    }

    /// Gives free places to those who wait. Returned are the permits of waiters who left in that very moment.
    fn hand_over(self: &Arc<Self>, lane: &mut Lane, key: &Key) -> Vec<Permit> {
        let mut refused = Vec::new();
        while lane.taken < lane.limit {
            let Some(waiter) = lane.waiting.pop_front() else { break };
            if waiter.is_closed() {
                continue;
            }
            lane.taken += 1;
            refused.extend(waiter.send(Permit { parallel: Arc::clone(self), key: key.clone() }).err());
        }
        refused
    }

    fn free(self: &Arc<Self>, key: &Key) {
        let refused = {
            let mut lanes = self.lanes(key);
            let Some(lane) = lanes.get_mut(key) else { return };
            lane.taken = lane.taken.saturating_sub(1);
            let refused = self.hand_over(lane, key);
            if lane.taken == 0 && lane.waiting.is_empty() {
                lanes.remove(key);
            }
            refused
        };
        drop(refused);
    }

    fn lanes(&self, key: &Key) -> MutexGuard<'_, Map<Key, Lane>> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Place {
    Taken(Permit),
    Turn(oneshot::Receiver<Permit>),
    Full,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.parallel.free(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::Provider(Id::declared("provider", "busy"))
    }

    fn keys_in_use(parallel: &Parallel) -> usize {
        parallel.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn a_free_place_is_taken_at_once_and_a_dropped_permit_frees_it() {
        let parallel = Parallel::new();
        let first = parallel.take(key(), 1).await.unwrap();
        assert_eq!(parallel.take_at_once(key(), 1).unwrap_err(), Busy);
        drop(first);
        drop(parallel.take_at_once(key(), 1).unwrap());
        assert_eq!(keys_in_use(&parallel), 0, "a key in no use takes no room");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_a_second_and_no_longer() {
        let parallel = Parallel::new();
        let _held = parallel.take(key(), 1).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(parallel.take(key(), 1).await.unwrap_err(), Busy);
        assert_eq!(began.elapsed(), WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_served_in_the_order_they_came() {
        let parallel = Parallel::new();
        let held = parallel.take(key(), 1).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..5)
            .map(|number| {
                let (parallel, order) = (Arc::clone(&parallel), Arc::clone(&order));
                tokio::spawn(async move {
                    let _permit = parallel.take(key(), 1).await.unwrap();
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(held);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(keys_in_use(&parallel), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_sixty_fifth_waiter_is_turned_away_at_once() {
        let parallel = Parallel::new();
        let _held = parallel.take(key(), 1).await.unwrap();
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| {
                let parallel = Arc::clone(&parallel);
                tokio::spawn(async move { parallel.take(key(), 1).await.map(drop) })
            })
            .collect();
        // One turn of the runtime runs about sixty tasks.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        let began = tokio::time::Instant::now();
        assert_eq!(parallel.take(key(), 1).await.unwrap_err(), Busy);
        assert!(began.elapsed().is_zero());
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), Err(Busy));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_no_place_behind() {
        let parallel = Parallel::new();
        let held = parallel.take(key(), 1).await.unwrap();
        for _ in 0..WAITERS * 2 {
            let gone = tokio::time::timeout(Duration::from_millis(1), parallel.take(key(), 1)).await;
            assert!(gone.is_err(), "still waiting, so the queue was not full of those who left");
        }
        drop(held);
        drop(parallel.take_at_once(key(), 1).unwrap());
        assert_eq!(keys_in_use(&parallel), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_limit_lets_waiting_calls_in_and_a_lowered_one_ends_none() {
        let parallel = Parallel::new();
        let first = parallel.take(key(), 1).await.unwrap();
        let waiting = tokio::spawn({
            let parallel = Arc::clone(&parallel);
            async move { parallel.take(key(), 1).await }
        });
        tokio::task::yield_now().await;
        let third = parallel.take(key(), 3).await.unwrap();
        let second = waiting.await.unwrap().unwrap();

        assert_eq!(parallel.take_at_once(key(), 1).unwrap_err(), Busy);
        drop((first, second));
        assert_eq!(parallel.take_at_once(key(), 1).unwrap_err(), Busy, "one is still in flight");
        drop(third);
        assert!(parallel.take_at_once(key(), 1).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_set_about_waiting_holds_for_the_next_call() {
        let parallel = Parallel::new();
        let _held = parallel.take(key(), 1).await.unwrap();
        let began = tokio::time::Instant::now();
        parallel.set(Patience { waiters: 1, wait: Duration::from_secs(3) });
        let (first, second) = tokio::join!(parallel.take(key(), 1), parallel.take(key(), 1));
        assert_eq!((first.unwrap_err(), second.unwrap_err()), (Busy, Busy));
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }

    #[test]
    fn keys_do_not_take_each_others_places() {
        let parallel = Parallel::new();
        let _one = parallel.take_at_once(key(), 1).unwrap();
        let other = Key::Credential(Id::declared("credential", "busy"));
        assert!(parallel.take_at_once(other, 1).is_ok());
        assert_eq!(parallel.take_at_once(Key::Credential(Id::random()), 0).unwrap_err(), Busy);
    }
}
