//! Who is woken when a connection moves: the task that drives it, and only while it waits.
//!
//! A body and its connection are polled by one task, so taking a frame would wake that task to poll itself again: a
//! second look at everything for nothing, once a call or a chunk. Here such a wake-up is not heard.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Wake, Waker};

thread_local! {
    static LOOK: Cell<Look> = const { Cell::new(Look::None) };
}

/// Whether a look goes on. Whatever calls on this thread meanwhile is the look itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    None,
    Silent,
    /// It called, and was not heard.
    Called,
}

#[derive(Debug)]
pub(super) struct Ear {
    called: AtomicBool,
    driver: Mutex<Waker>,
}

impl Ear {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { called: AtomicBool::new(true), driver: Mutex::new(Waker::noop().clone()) })
    }

    /// From here on, calls go to this task. To be followed by a poll of the connection: what came before is forgotten.
    pub(super) fn open(&self, cx: &Context<'_>) {
        self.driver().clone_from(cx.waker());
        self.called.store(false, SeqCst);
    }

    /// Looks for what a connection has brought, without hearing itself. Beside it: whether it called, for then the
    /// connection has something to do, unless what was found was the last.
    pub(super) fn look<T>(look: impl FnOnce() -> T) -> (T, bool) {
        struct Looking;
        impl Drop for Looking {
            fn drop(&mut self) {
                LOOK.set(Look::None);
            }
        }
        LOOK.set(Look::Silent);
        let _looking = Looking;
        (look(), LOOK.get() == Look::Called)
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
        if LOOK.get() != Look::None {
            LOOK.set(Look::Called);
        } else if !self.called.swap(true, SeqCst) {
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
    fn a_call_wakes_the_task_that_waits_and_once_until_it_comes_back() {
        let (ear, woken) = (Ear::new(), Arc::new(Counting::default()));
        let calling = Waker::from(ear.clone());
        calling.wake_by_ref();
        let task = Waker::from(woken.clone());
        let cx = Context::from_waker(&task);
        for times in 1..3 {
            ear.open(&cx);
            calling.wake_by_ref();
            calling.wake_by_ref();
            assert_eq!(woken.0.load(Relaxed), times, "nobody waited before");
        }
    }

    #[test]
    fn a_look_does_not_hear_itself_but_other_threads() {
        let (ear, woken) = (Ear::new(), Arc::new(Counting::default()));
        let (calling, task) = (Waker::from(ear.clone()), Waker::from(woken.clone()));
        let cx = Context::from_waker(&task);
        ear.open(&cx);
        assert!(!Ear::look(|| ()).1 && Ear::look(|| calling.wake_by_ref()).1);
        assert_eq!(woken.0.load(Relaxed), 0);
        let (elsewhere, called) = Ear::look(|| std::thread::spawn(move || calling.wake()).join());
        assert!(elsewhere.is_ok() && !called);
        assert_eq!(woken.0.load(Relaxed), 1);
    }
}
