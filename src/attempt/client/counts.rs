//! What the pool counts for metrics: single-writer cells of one core, merged by whoever scrapes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One core's cells. `open` and `idle` go up and down, the others only up.
#[derive(Debug, Default)]
pub struct Counts {
    /// Upstream connections that exist.
    pub open: AtomicU64,
    /// HTTP/1.1 connections that wait for a call.
    pub idle: AtomicU64,
    /// Connections made.
    pub opened: AtomicU64,
    /// Calls that went out on a connection that had served before.
    pub reused: AtomicU64,
    /// Calls that went out on a connection made for them.
    pub fresh: AtomicU64,
    /// Calls that went to a second connection: the first was dead before a byte of an answer, or refused the stream.
    pub resent: AtomicU64,
}

impl Counts {
    pub(super) fn add(cell: &AtomicU64) {
        cell.fetch_add(1, Relaxed);
    }
}

/// Counts a connection as open for as long as it is held.
pub(super) struct Gauge(Arc<Counts>);

impl Gauge {
    pub(super) fn opened(counts: &Arc<Counts>) -> Self {
        Counts::add(&counts.open);
        Counts::add(&counts.opened);
        Self(counts.clone())
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
