//! Exchanges in flight that the gateway takes, in all and of one workspace. What is too much is refused at once.
//!
//! Takes a workspace, gives a place that is freed when it is dropped. There is no queue: a call that waits here would
//! cost memory just when there is none to spare.

use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::map::Map;
use crate::domain::refusal::Refusal;

/// Locks the workspaces are spread over, so that cores seldom meet.
const SHARDS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Exchanges in flight; each may hold a body and two connections.
    pub in_all: u32,
    /// So that one workspace leaves room for the others.
    pub of_one_workspace: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { in_all: 4_096, of_one_workspace: 512 }
    }
}

/// What is in flight. A workspace with nothing in flight takes no room, so `in_all` bounds the whole.
#[derive(Debug)]
pub struct Capacity {
    in_all: AtomicU32,
    of_one_workspace: AtomicU32,
    in_flight: AtomicU32,
    shards: [Mutex<Map<Id<Workspace>, u32>>; SHARDS],
}

/// One exchange's place.
#[derive(Debug)]
#[must_use = "the place is freed when it is dropped"]
pub struct Place {
    capacity: Arc<Capacity>,
    workspace: Id<Workspace>,
}

impl Capacity {
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            in_all: AtomicU32::new(settings.in_all),
            of_one_workspace: AtomicU32::new(settings.of_one_workspace),
            in_flight: AtomicU32::new(0),
            shards: Default::default(),
        })
    }

    /// From the next exchange on; those in flight go on.
    pub fn set(&self, settings: Settings) {
        self.in_all.store(settings.in_all, Ordering::Relaxed);
        self.of_one_workspace.store(settings.of_one_workspace, Ordering::Relaxed);
    }

    pub fn enter(self: &Arc<Self>, workspace: Id<Workspace>) -> Result<Place, Refusal> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= self.in_all.load(Ordering::Relaxed) {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::AtCapacity("requests in flight"));
        }
        if !self.enter_workspace(workspace) {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::AtCapacity("requests of one workspace in flight"));
        }
        Ok(Place { capacity: Arc::clone(self), workspace })
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn enter_workspace(&self, workspace: Id<Workspace>) -> bool {
        let limit = self.of_one_workspace.load(Ordering::Relaxed);
        let mut shard = self.shard(workspace);
        let count = shard.entry(workspace).or_default();
        let has_room = *count < limit;
        if has_room {
            *count += 1;
        } else if *count == 0 {
            shard.remove(&workspace);
        }
        has_room
    }

    fn shard(&self, workspace: Id<Workspace>) -> MutexGuard<'_, Map<Id<Workspace>, u32>> {
        // The lower half of an id is as good as random.
        let shard = workspace.uuid().as_u64_pair().1 as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.capacity.shard(self.workspace).entry(self.workspace) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.capacity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_full(result: Result<Place, Refusal>) -> bool {
        matches!(result, Err(Refusal::AtCapacity(_)))
    }

    #[test]
    fn one_workspace_cannot_take_every_place() {
        let capacity = Capacity::new(Settings { in_all: 10, of_one_workspace: 4 });
        let (greedy, other) = (Id::random(), Id::random());
        let held: Vec<_> = (0..4).map(|_| capacity.enter(greedy).unwrap()).collect();
        assert!(is_full(capacity.enter(greedy)));
        assert_eq!(capacity.in_flight(), 4, "a refusal takes no place");
        drop(capacity.enter(other).unwrap());
        drop(held);
        drop(capacity.enter(greedy).unwrap());
    }

    #[test]
    fn all_places_are_bounded_and_freed_ones_leave_nothing_behind() {
        let capacity = Capacity::new(Settings { in_all: 10, of_one_workspace: 4 });
        let held: Vec<_> = (0..10).map(|_| capacity.enter(Id::random()).unwrap()).collect();
        assert!(is_full(capacity.enter(Id::random())));
        drop(held);
        assert_eq!(capacity.in_flight(), 0);
        assert!(capacity.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn a_reload_changes_the_limits_for_what_comes_next() {
        let capacity = Capacity::new(Settings { in_all: 1, of_one_workspace: 1 });
        let workspace = Id::random();
        let held = capacity.enter(workspace).unwrap();
        capacity.set(Settings { in_all: 2, of_one_workspace: 2 });
        drop(capacity.enter(workspace).unwrap());
        capacity.set(Settings { in_all: 2, of_one_workspace: 0 });
        assert!(is_full(capacity.enter(Id::random())));
        drop(held);
        assert_eq!(capacity.in_flight(), 0);
    }

    #[test]
    fn threads_that_come_and_go_leave_the_counts_at_nothing() {
        let capacity = Capacity::new(Settings { in_all: 3, of_one_workspace: 2 });
        let workspace = Id::random();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let capacity = Arc::clone(&capacity);
                std::thread::spawn(move || (0..5_000).for_each(|_| drop(capacity.enter(workspace))))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(capacity.in_flight(), 0);
    }
}
