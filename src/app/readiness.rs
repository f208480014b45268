//! What `/readyz` says.

use std::sync::atomic::Ordering;

use super::running::Server;
use crate::admin::{Readiness, Ready};

impl Readiness for Server {
    fn now(&self) -> Ready {
        let mut troubles = self.troubles.all();
        troubles.extend(self.state.trouble());
        troubles.extend(self.books.troubles());
        let status = match (self.is_draining.load(Ordering::Relaxed), troubles.is_empty()) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "degraded",
        };
        let directory_version = self.following.version(&self.gateway.world);
        Ready { status, directory_version, config: self.config.load().hash.clone(), troubles }
    }
}
