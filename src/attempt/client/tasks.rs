//! The pool's own tasks: HTTP/2 connections and the sweep. Dropping it ends them all.

use std::future::Future;
use std::sync::{Mutex, MutexGuard};

use tokio::task::JoinSet;

#[derive(Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.all();
        // What has ended is let go here, so the set holds no more than what runs and what ended since the last start.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    pub(super) fn count(&self) -> usize {
        let mut tasks = self.all();
        while tasks.try_join_next().is_some() {}
        tasks.len()
    }

    pub(super) fn abort(&self) {
        self.all().abort_all();
    }

    fn all(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
