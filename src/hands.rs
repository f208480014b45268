//! A few threads for work that would hold a core too long: scanning, translating and hashing large bodies.
//!
//! Takes a closure, gives a future of its result. The queue is bounded and full means no: a call that waits for a thread
//! behind 64 others is better refused. It must never know what the work is.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Work waiting for a thread. Scanning a body of 32 MiB takes 5 ms where it is text and 130 ms where it is token ids, so
/// 64 are between a sixth of a second's and four seconds' work of two threads.
const QUEUE: usize = 64;
/// Fewer threads would let one large body wait for another.
const FEWEST_THREADS: usize = 2;
/// Bodies up to this size are worked on where the call runs: at 1 GB/s a quarter of a millisecond. Work that knows its
/// own speed better decides for itself.
pub const IN_PLACE_BYTES: usize = 256 * 1024;

/// The pool. Dropping the last one ends its threads when they have finished what they are at.
#[derive(Debug)]
pub struct Hands {
    bench: Arc<Bench>,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    #[error("all threads for large bodies are busy and {QUEUE} wait")]
    Busy,
    /// It was caught: the thread lives on, and only this call is lost.
    #[error("the work panicked")]
    Panicked,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Bench {
    state: Mutex<State>,
    work_came: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bench({} waiting)", self.state().jobs.len())
    }
}

impl Hands {
    /// Starts a thread per core. Fails where the system gives none.
    pub fn start(cores: usize) -> io::Result<Self> {
        let hands = Self { bench: Arc::default() };
        for number in 0..cores.max(FEWEST_THREADS) {
            let bench = Arc::clone(&hands.bench);
            std::thread::Builder::new().name(format!("hands-{number}")).spawn(move || bench.work())?;
        }
        Ok(hands)
    }

    /// In place where the bytes are few, else on a thread of the pool.
    pub async fn over<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        if bytes <= IN_PLACE_BYTES { Ok(work()) } else { self.blocking(work).await }
    }

    /// On a thread of the pool. Work that nobody waits for any more when its turn comes is not done.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Undone> {
        let (sender, done) = oneshot::channel();
        let job = move || {
            if !sender.is_closed() {
                // Whoever asked may have left meanwhile.
                let _ = sender.send(work());
            }
        };
        self.bench.put(Box::new(job))?;
        done.await.map_err(|_| Undone::Panicked)
    }

    /// Work that waits for a thread, for metrics.
    pub fn waiting(&self) -> usize {
        self.bench.state().jobs.len()
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.bench.state().is_closed = true;
        self.bench.work_came.notify_all();
    }
}

impl Bench {
    fn put(&self, job: Job) -> Result<(), Undone> {
        let mut state = self.state();
        if state.jobs.len() >= QUEUE {
            return Err(Undone::Busy);
        }
        state.jobs.push_back(job);
        drop(state);
        self.work_came.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // The job's sender goes with it, so a panic is heard as a lost answer. What it touched is its own.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// What is queued when the pool is dropped is still done.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            match state.jobs.pop_front() {
                Some(job) => return Some(job),
                None if state.is_closed => return None,
                None => state = self.work_came.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Holds every thread of a pool until the returned sender is dropped.
    fn occupy(hands: &Arc<Hands>, threads: usize) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let (started, has_started) = mpsc::channel();
        for _ in 0..threads {
            let (hands, released, started) = (Arc::clone(hands), Arc::clone(&released), started.clone());
            tokio::spawn(async move {
                let held = move || {
                    started.send(()).unwrap();
                    let _ = released.lock().unwrap().recv();
                };
                hands.blocking(held).await
            });
        }
        tokio::task::block_in_place(|| (0..threads).for_each(|_| has_started.recv().unwrap()));
        release
    }

    #[tokio::test]
    async fn large_work_runs_on_another_thread_and_small_work_in_place() {
        let hands = Hands::start(1).unwrap();
        let here = std::thread::current().id();
        let place = || std::thread::current().id();
        assert_eq!(hands.over(IN_PLACE_BYTES, place).await.unwrap(), here);
        assert_ne!(hands.over(IN_PLACE_BYTES + 1, place).await.unwrap(), here);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_refuses_at_once_and_what_waits_is_done_later() {
        let hands = Arc::new(Hands::start(2).unwrap());
        let release = occupy(&hands, 2);
        let waiting: Vec<_> = (0..QUEUE)
            .map(|number| {
                let hands = Arc::clone(&hands);
                tokio::spawn(async move { hands.blocking(move || number).await })
            })
            .collect();
        for _ in 0..1_000 {
            if hands.waiting() == QUEUE {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(hands.blocking(|| ()).await, Err(Undone::Busy));
        drop(release);
        for (number, done) in waiting.into_iter().enumerate() {
            assert_eq!(done.await.unwrap(), Ok(number));
        }
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_call_and_no_thread() {
        let hands = Hands::start(1).unwrap();
        for _ in 0..10 {
            let panics = || -> u32 { std::panic::resume_unwind(Box::new("on purpose")) };
            assert_eq!(hands.blocking(panics).await, Err(Undone::Panicked));
        }
        assert_eq!(hands.blocking(|| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_nobody_waits_for_any_more_is_not_done() {
        let hands = Arc::new(Hands::start(2).unwrap());
        let release = occupy(&hands, 2);
        let was_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&was_done);
        let abandoned = hands.blocking(move || done.store(true, Ordering::SeqCst));
        assert!(tokio::time::timeout(Duration::from_millis(10), abandoned).await.is_err());
        drop(release);
        hands.blocking(|| ()).await.unwrap();
        hands.blocking(|| ()).await.unwrap();
        assert!(!was_done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn dropping_the_pool_finishes_what_is_queued_and_ends_the_threads() {
        let hands = Hands::start(2).unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let count = Arc::clone(&count);
            hands.blocking(move || count.fetch_add(1, Ordering::SeqCst)).await.unwrap();
        }
        let bench = Arc::clone(&hands.bench);
        drop(hands);
        for _ in 0..1_000 {
            if Arc::strong_count(&bench) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(Arc::strong_count(&bench), 1, "no thread holds the bench any more");
        assert_eq!(count.load(Ordering::SeqCst), 10);
    }
}
