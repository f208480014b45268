//! What each thread found last, so that a warm call touches nothing that other threads write.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::map::Map;
use crate::domain::token::TokenHash;
use crate::snapshot::Caller;

/// Callers that one thread remembers: more than are active on one core within a second or two, and a few hundred KiB.
const CALLERS_MAX: usize = 4_096;

/// One lane for each thread that serves. Its lock is there for the compiler and for guests: no two cores share one.
pub(super) struct Lanes {
    lanes: Box<[Mutex<Lane>]>,
    /// What one lane may keep alive beyond the shelf's own bound.
    bytes_max: usize,
}

#[derive(Default)]
struct Lane {
    /// What it holds was found under this change counter.
    counter: u64,
    callers: Map<TokenHash, Caller>,
    bytes: usize,
}

impl Lanes {
    pub(super) fn new(threads: usize, bytes_max: usize) -> Self {
        let lanes = (0..threads.max(1)).map(|_| Mutex::default()).collect();
        Self { lanes, bytes_max }
    }

    /// Whom this thread found under this very counter.
    pub(super) fn find(&self, hash: &TokenHash, counter: u64) -> Option<Caller> {
        let lane = self.own();
        lane.callers.get(hash).filter(|_| lane.counter == counter).cloned()
    }

    /// `counter` was read before anything was looked up, so what changed meanwhile makes this caller an old one.
    pub(super) fn remember(&self, hash: TokenHash, caller: Caller, bytes: usize, counter: u64) {
        let mut lane = self.own();
        if lane.counter != counter || lane.callers.len() >= CALLERS_MAX || lane.bytes + bytes > self.bytes_max {
            lane.counter = counter;
            lane.callers.clear();
            lane.bytes = 0;
        }
        if bytes <= self.bytes_max {
            lane.bytes += bytes;
            lane.callers.insert(hash, caller);
        }
    }

    fn own(&self) -> MutexGuard<'_, Lane> {
        self.lanes[thread() % self.lanes.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads are numbered in the order in which they first ask.
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
