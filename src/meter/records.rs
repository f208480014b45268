//! Settled exchanges on their way to whoever keeps them. Bounded; nobody on the data plane ever waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::record::Record;

/// Records waiting to be written. At 2,000 calls a second this is half a minute of a stalled disk; at 500 bytes each
/// it is 32 MiB. Then we count what we drop.
const WAITING_LIMIT: usize = 65_536;

/// The queue between the cores and the writer. One lock a core settles under and the writer swaps under: both for
/// nanoseconds, and nobody is woken, for the writer comes by itself.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "a record moves into the queue by its pointer, not by its 400 bytes")]
pub struct Records {
    waiting: Vec<Mutex<Vec<Box<Record>>>>,
    is_wanted: AtomicBool,
    dropped: AtomicU64,
}

impl Records {
    pub fn new(cores: usize, is_wanted: bool) -> Self {
        let waiting = (0..cores.max(1)).map(|_| Mutex::default()).collect();
        Self { waiting, is_wanted: is_wanted.into(), dropped: 0.into() }
    }

    /// Is there a reader at all? If not, nothing is kept.
    pub fn set_wanted(&self, is_wanted: bool) {
        self.is_wanted.store(is_wanted, Ordering::Relaxed);
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn push(&self, core: usize, record: Box<Record>) {
        if !self.is_wanted.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting[core % self.waiting.len()].lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_LIMIT / self.waiting.len() {
            waiting.push(record);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all that waits, core by core.
    pub fn take(&self) -> Vec<Box<Record>> {
        let mut all = Vec::new();
        for waiting in &self.waiting {
            all.append(&mut waiting.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all
    }
}
