//! Every task that listening starts, counted, so that a drain can wait for the last and end the rest.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Where a listener is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// No new connections; answers in progress are finished.
    Draining,
    /// The drain's time is up: what is left is dropped.
    Over,
}

#[derive(Clone, Debug)]
pub(super) struct Tasks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    running: AtomicUsize,
    last_one_left: Notify,
    stage: AtomicU8,
    stage_changed: Arc<Notify>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self(Arc::new(Inner {
            running: AtomicUsize::new(0),
            last_one_left: Notify::new(),
            stage: AtomicU8::new(Stage::Open as u8),
            stage_changed: Arc::default(),
        }))
    }
}

impl Tasks {
    /// Dropped, wherever it stands, once the drain's time is up.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (running, mut stage, mut work) = (self.hold(), StageWatch::new(self.clone()), Box::pin(work));
        tokio::spawn(async move {
            std::future::poll_fn(|cx| match stage.poll(cx) {
                Stage::Over => Poll::Ready(()),
                Stage::Open | Stage::Draining => work.as_mut().poll(cx),
            })
            .await;
            drop((work, running));
        });
    }

    pub(super) fn hold(&self) -> Running {
        self.0.running.fetch_add(1, AcqRel);
        Running(self.0.clone())
    }

    pub(super) fn stage(&self) -> Stage {
        match self.0.stage.load(Acquire) {
            0 => Stage::Open,
            1 => Stage::Draining,
            _ => Stage::Over,
        }
    }

    pub(super) fn advance(&self, stage: Stage) {
        self.0.stage.fetch_max(stage as u8, Release);
        self.0.stage_changed.notify_waiters();
    }

    pub(super) async fn draining(&self) {
        loop {
            let changed = self.0.stage_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.stage() >= Stage::Draining {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn running(&self) -> usize {
        self.0.running.load(Acquire)
    }

    pub(super) async fn all_gone(&self) {
        loop {
            let gone = self.0.last_one_left.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            gone.await;
        }
    }
}

#[derive(Debug)]
pub(super) struct Running(Arc<Inner>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, AcqRel) == 1 {
            self.0.last_one_left.notify_waiters();
        }
    }
}

/// The stage, and a wake-up when it changes. A task keeps its waker for life, so registering once is enough:
/// each later look is one load, not a lock.
pub(super) struct StageWatch {
    tasks: Tasks,
    registered: Option<(Stage, Pin<Box<OwnedNotified>>)>,
}

impl StageWatch {
    pub(super) const fn new(tasks: Tasks) -> Self {
        Self { tasks, registered: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Stage {
        let now = self.tasks.stage();
        if self.registered.as_ref().is_none_or(|(seen, _)| *seen != now) {
            let mut changed = Box::pin(self.tasks.0.stage_changed.clone().notified_owned());
            let _ = changed.as_mut().poll(cx);
            self.registered = Some((self.tasks.stage(), changed));
        }
        self.registered.as_ref().map_or(now, |(seen, _)| *seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_the_last_task_and_ends_what_will_not_end() {
        let tasks = Tasks::default();
        let draining = tasks.clone();
        tasks.spawn(async move { draining.draining().await });
        tasks.spawn(std::future::pending());
        tokio::task::yield_now().await;
        tasks.advance(Stage::Draining);
        while tasks.running() == 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks.running(), 1);
        tasks.advance(Stage::Over);
        tasks.all_gone().await;
        assert_eq!(tasks.stage(), Stage::Over);
    }
}
