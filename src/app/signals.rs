//! What the operating system and the clock tell a running server.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{Server, log};

/// How often the store is asked whether another process changed it: a change is in force within a second.
const POLL: Duration = Duration::from_millis(500);
/// How often settled exchanges are written down.
const WRITE: Duration = Duration::from_millis(100);

/// Serves the signals until SIGTERM or SIGINT. Reload and poll run one at a time.
pub(super) async fn until_terminated(server: &Arc<Server>) {
    let signals = (signal(SignalKind::hangup()), signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals can't be received; reload and drain will not work");
        return std::future::pending().await;
    };
    let (mut poll, mut write) = (ticks(POLL), ticks(WRITE));
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hangup.recv() => server.reload().await,
            _ = poll.tick() => server.refresh().await,
            _ = write.tick() => log::write_records(server),
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
