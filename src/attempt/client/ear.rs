//! Who is woken when a connection moves: the task that drives it, and only while it waits.
//!
//! A body and its connection are polled by one task, so taking a frame would wake that task to poll itself again: a
//! second look at everything for nothing, once a chunk. Here such a wake-up is held back, and kept if it was a real one.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

const OPEN: u8 = 0;
const SHUT: u8 = 1;
/// Shut, and somebody called meanwhile.
const MISSED: u8 = 2;

pub(super) struct Ear {
    state: AtomicU8,
    driver: Mutex<Waker>,
}

impl Ear {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(SHUT), driver: Mutex::new(Waker::noop().clone()) })
    }

    /// From here on, wake-ups go to this task.
    pub(super) fn open(&self, cx: &Context<'_>) {
        self.driver().clone_from(cx.waker());
        self.state.store(OPEN, SeqCst);
    }

    /// From here on, nobody is woken: whoever comes back looks for itself first.
    pub(super) fn shut(&self) {
        self.state.store(SHUT, SeqCst);
    }

    /// Looks while shut. Found nothing: open again, and a call that came meanwhile is passed on.
    pub(super) fn look<T>(&self, look: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.shut();
        let seen = look();
        if seen.is_pending() && self.state.swap(OPEN, SeqCst) == MISSED {
            self.driver().wake_by_ref();
        }
        seen
    }

    fn driver(&self) -> MutexGuard<'_, Waker> {
        self.driver.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Wake for Ear {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let shut = self.state.compare_exchange(SHUT, MISSED, SeqCst, SeqCst);
        if shut == Err(OPEN) {
            self.driver().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_call_during_a_look_counts_only_if_the_look_found_nothing() {
        let (ear, woken) = (Ear::new(), Arc::new(Counting::default()));
        let calling = Waker::from(ear.clone());
        calling.wake_by_ref();
        let task = Waker::from(woken.clone());
        ear.open(&Context::from_waker(&task));
        assert_eq!(woken.0.load(Relaxed), 0, "nobody waited yet");
        for (seen, wakes) in [(Poll::Ready(()), 0), (Poll::Pending, 1)] {
            let looked = ear.look(|| {
                calling.wake_by_ref();
                seen
            });
            assert_eq!((looked, woken.0.load(Relaxed)), (seen, wakes));
        }
        calling.wake_by_ref();
        assert_eq!(woken.0.load(Relaxed), 2, "open again");
    }
}
