//! What the two ends of a connection, its bytes and its requests, tell each other.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::body::Rest;
use super::ear::Ear;
use super::peer::Peer;
use super::scan::FramingFault;
use super::{Counts, Limits, Setup};

#[derive(Debug)]
pub(super) struct Wire {
    pub(super) setup: Arc<Setup>,
    pub(super) peer: Arc<Peer>,
    pub(super) http: Http,
    /// From a request's head to its answer's end. HTTP/1.1 only.
    pub(super) answering: AtomicBool,
    /// The request's body has not ended and is still wanted. HTTP/1.1 only.
    pub(super) body_open: AtomicBool,
    /// The body stood still for too long. HTTP/1.1 only.
    pub(super) body_late: AtomicBool,
    /// The peer may still be sending what nobody will read.
    pub(super) unread: AtomicBool,
    /// The socket has taken all that hyper had for it. HTTP/1.1 only.
    pub(super) flushed: AtomicBool,
    /// HTTP is over: the bytes belong to the protocol after an upgrade.
    pub(super) upgraded: AtomicBool,
    /// Heads that came to the service, to be held against the faulty one.
    pub(super) heads: AtomicU64,
    pub(super) faulty: OnceLock<(u64, FramingFault)>,
    /// Moves with each request, body frame and answer frame: the opposite of chatter.
    pub(super) progress: AtomicU32,
    /// Requests given up by a peer without a valid token.
    pub(super) abandoned: AtomicU32,
    pub(super) rest: Rest,
    /// Through which hyper's connection wakes the task that drives it.
    pub(super) ear: Arc<Ear>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Http {
    One,
    Two,
}

impl Wire {
    pub(super) fn new(setup: Arc<Setup>, peer: Arc<Peer>, http: Http) -> Arc<Self> {
        Arc::new(Self {
            setup,
            peer,
            http,
            answering: AtomicBool::new(false),
            body_open: AtomicBool::new(false),
            body_late: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            flushed: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            heads: AtomicU64::new(0),
            faulty: OnceLock::new(),
            progress: AtomicU32::new(0),
            abandoned: AtomicU32::new(0),
            rest: Rest::default(),
            ear: Ear::new(),
        })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.setup.limits
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.setup.counts
    }

    pub(super) fn moved(&self) {
        self.progress.fetch_add(1, Relaxed);
    }
}
