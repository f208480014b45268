//! A connection's place among the others, held by its bytes: it is given back when they are gone, be that after a
//! failed handshake, the last answer or the end of an upgraded socket.

use std::sync::Arc;

use super::counts::Counts;
use super::tasks::Running;
use super::turnstile::ConnectionSlot;

pub(super) struct Guest {
    pub(super) counts: Arc<Counts>,
    _slot: ConnectionSlot,
    _running: Running,
}

impl Guest {
    pub(super) fn new(counts: Arc<Counts>, slot: ConnectionSlot, running: Running) -> Self {
        counts.accepted.add();
        Self { counts, _slot: slot, _running: running }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.counts.closed.add();
    }
}
