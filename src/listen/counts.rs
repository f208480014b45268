//! What one core's listening adds up to, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Written by one core only, read by whoever scrapes: plain loads and stores, never a locked instruction.
#[derive(Debug, Default)]
pub struct Counts {
    pub accepted: Count,
    pub closed: Count,
    /// Closed straight after accept: all connections were in use.
    pub refused_full: Count,
    /// Closed straight after accept: the address held too many without a token.
    pub refused_address: Count,
    /// `accept` failed, mostly for want of file descriptors.
    pub accept_failures: Count,
    pub handshake_failures: Count,
    pub handshake_timeouts: Count,
    pub proxy_line_failures: Count,
    pub head_timeouts: Count,
    pub body_timeouts: Count,
    pub write_timeouts: Count,
    /// HTTP/2 connections closed for floods.
    pub floods: Count,
    pub requests: Count,
    /// Requests refused here, before the service saw them.
    pub requests_refused: Count,
    pub requests_finished: Count,
    pub panics: Count,
}

impl Counts {
    pub fn connections_open(&self) -> u64 {
        self.accepted.read().saturating_sub(self.closed.read())
    }

    pub fn requests_in_flight(&self) -> u64 {
        self.requests.read().saturating_sub(self.requests_finished.read())
    }
}

#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Two writers at once could lose one: each core has its own, and a core is one thread.
    pub(super) fn add(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
