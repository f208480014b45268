//! The memory that request bodies may take, in all and each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::refusal::Refusal;

/// The largest bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// What is held.
    pub body_bytes: usize,
    /// A form that is sent on as it comes.
    pub upload_bytes: u64,
}

/// The bytes of all bodies in flight, so that many large ones can't take all memory.
#[derive(Debug)]
pub struct BodyBudget {
    limit_bytes: AtomicUsize,
    taken_bytes: AtomicUsize,
}

impl BodyBudget {
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { limit_bytes: limit_bytes.into(), taken_bytes: 0.into() })
    }

    pub fn set_limit(&self, limit_bytes: usize) {
        self.limit_bytes.store(limit_bytes, Ordering::Relaxed);
    }

    pub fn taken_bytes(&self) -> usize {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.limit_bytes.load(Ordering::Relaxed);
        if !fits {
            self.taken_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// A body's share of the budget, given back when the call is over.
#[derive(Debug)]
pub(super) struct BodyShare {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

impl BodyShare {
    pub(super) fn none_of(budget: &Arc<BodyBudget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        if !self.budget.take(bytes) {
            return Err(Refusal::AtCapacity("bytes of bodies in flight"));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives some of it back.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.taken_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.budget.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
