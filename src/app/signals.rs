//! What the operating system and the clock tell a running server.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::log;
use super::running::Running;

/// How often settled exchanges are written down.
const WRITE: Duration = Duration::from_millis(100);

/// Received from the moment this is made: before, SIGHUP would end the process.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn termination(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves the signals until SIGTERM or SIGINT.
pub(super) async fn until_terminated(running: &Running, signals: &mut Signals) {
    let mut write = ticks(WRITE);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hangup.recv() => running.reload().await,
            _ = write.tick() => log::write_records(&running.server),
        }
    }
}

/// Writes down what is settled, as long as it is polled.
pub(super) async fn write_records(running: &Running) {
    let mut write = ticks(WRITE);
    loop {
        write.tick().await;
        log::write_records(&running.server);
    }
}

pub(super) fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
