//! The silences of a reply: when to bridge one, and when one has been too long.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::super::Settings;
use crate::listen::Alarm;

/// One timer for both silences. It is set again only when it has rung, so a busy stream pays for reading a clock.
pub(super) struct Clock {
    keep_alive: Duration,
    idle: Duration,
    /// When the provider last said anything.
    heard: Instant,
    /// When the client was last told anything.
    told: Instant,
    alarm: Alarm,
}

/// What a silence has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Bridge,
    TooLong,
}

impl Clock {
    pub(super) fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        let (keep_alive, idle) = (settings.keep_alive, settings.idle);
        Self { keep_alive, idle, heard: now, told: now, alarm: Alarm::new(now + keep_alive.min(idle)) }
    }

    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
        self.told = self.heard;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Silence> {
        while self.alarm.poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.heard + self.idle {
                return Poll::Ready(Silence::TooLong);
            }
            let due = now >= self.told + self.keep_alive;
            if due {
                self.told = now;
            }
            self.alarm.set((self.told + self.keep_alive).min(self.heard + self.idle));
            if due {
                return Poll::Ready(Silence::Bridge);
            }
        }
        Poll::Pending
    }
}
