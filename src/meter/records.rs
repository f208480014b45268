//! Settled exchanges on their way from the cores to the journal, and from there to the log. Bounded; a call waits for the
//! journal's write at most as long as it is late.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::record::Record;
use crate::domain::refusal::Refusal;

/// Exchanges that are open or wait to be written. At 2,000 calls a second this is half a minute of a stalled disk; at 500
/// bytes each it is 32 MiB. With a journal there is none without a place; for the log alone, what finds none is dropped and
/// counted.
const WAITING_LIMIT: usize = 65_536;

/// A record moves through the queues by its pointer, not by its 400 bytes.
pub type Settled = Vec<Box<Record>>;

/// The queues between the cores and the writer. One lock a core settles under and the writer swaps under: both for
/// nanoseconds.
#[derive(Default)]
pub struct Records {
    cores: Vec<Core>,
    /// The log has a reader.
    is_logged: AtomicBool,
    /// The journal's thread, if there is a journal.
    journal: OnceLock<Thread>,
    /// It takes by itself what comes, a little later.
    is_resting: AtomicBool,
    /// What the journal has written and the log has not.
    written: Mutex<Settled>,
    dropped: AtomicU64,
    late: AtomicU64,
    /// The disk hangs: until it does no more, nobody waits for it.
    is_stalled: AtomicBool,
}

/// On cache lines of its own, for each core writes to its own all the time.
#[derive(Default)]
#[repr(align(128))]
struct Core {
    /// Places that are taken: exchanges that are open, or settled and not written yet.
    taken: AtomicU32,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    records: Settled,
    wakers: Vec<(Ticket, Waker)>,
    /// Those that may go, for the core's own crier to wake.
    go: Vec<Waker>,
    crier: Option<Waker>,
    /// Since when the oldest of them has been waiting.
    since: Option<Instant>,
    pushed: u64,
    /// How many may go: their records are written, or late.
    free: u64,
}

/// Whose record is written: the how-manieth of its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// What the writer took of all cores at one moment.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Settled,
    /// Up to which record of each core, and how many of them.
    marks: Vec<(u64, u32)>,
}

impl Records {
    pub fn new(cores: usize, is_logged: bool) -> Self {
        let cores = (0..cores.max(1)).map(|_| Core::default()).collect();
        Self { cores, is_logged: is_logged.into(), ..Self::default() }
    }

    /// Does the log want them?
    pub fn set_logged(&self, is_logged: bool) {
        self.is_logged.store(is_logged, Ordering::Relaxed);
    }

    /// Records that the log never saw.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Answers that went out before their records were written.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    pub fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    /// Takes what the log has not written down yet.
    pub fn take(&self) -> Settled {
        match self.journal.get() {
            Some(_) => std::mem::take(&mut *locked(&self.written)),
            None => self.swapped(|_, _| {}).records,
        }
    }

    /// From now on this thread reads them all.
    pub(super) fn is_read_by(&self, journal: Thread) {
        let _ = self.journal.set(journal);
    }

    /// A place for an exchange that begins. It is given back when its record is written.
    pub(super) fn admit(&self, core: usize) -> Result<(), Refusal> {
        if self.journal.get().is_none() {
            return Ok(());
        }
        let core = self.core(core);
        if core.taken.fetch_add(1, Ordering::Relaxed) as usize >= self.places() {
            core.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::AtCapacity("exchanges to be written down"));
        }
        Ok(())
    }

    fn places(&self) -> usize {
        WAITING_LIMIT / self.cores.len()
    }

    fn core(&self, core: usize) -> &Core {
        &self.cores[core % self.cores.len()]
    }

    /// Hands a record over. `waits` is told when it is written.
    pub(super) fn push(&self, core: usize, record: Box<Record>, waits: Option<&Waker>) -> Option<Ticket> {
        let Some(journal) = self.journal.get() else {
            self.push_for_log(core, record);
            return None;
        };
        let waits = waits.filter(|_| {
            // Whoever would have to wait in vain goes at once.
            let is_stalled = self.is_stalled();
            self.late.fetch_add(u64::from(is_stalled), Ordering::Relaxed);
            !is_stalled
        });
        let mut waiting = locked(&self.core(core).waiting);
        // Whoever pushed before has woken the journal.
        let is_first = waiting.records.is_empty();
        waiting.records.push(record);
        let are_all = waiting.records.len() >= self.core(core).taken.load(Ordering::Relaxed) as usize;
        waiting.pushed += 1;
        let ticket = Ticket(waiting.pushed);
        if let Some(waker) = waits {
            waiting.wakers.push((ticket, waker.clone()));
        }
        drop(waiting);
        let is_awaited = if self.is_resting.load(Ordering::Relaxed) { are_all } else { is_first };
        if is_awaited {
            journal.unpark();
        }
        waits.map(|_| ticket)
    }

    fn push_for_log(&self, core: usize, record: Box<Record>) {
        if !self.is_logged.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = locked(&self.core(core).waiting);
        if waiting.records.len() < self.places() {
            waiting.records.push(record);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ready when a record is written, or late.
    pub(super) fn poll_written(&self, core: usize, ticket: Ticket, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = locked(&self.core(core).waiting);
        if waiting.free >= ticket.0 {
            return Poll::Ready(());
        }
        if !waiting.wakers.iter().any(|(of, waker)| *of == ticket && waker.will_wake(cx.waker())) {
            waiting.wakers.push((ticket, cx.waker().clone()));
        }
        Poll::Pending
    }

    /// Never ends by itself: on a core's own thread, wakes those whose records are written. To wake a task from another thread
    /// takes a system call each.
    pub(super) async fn cry(&self, core: usize) {
        let mut going = Vec::new();
        poll_fn(|cx| {
            let mut waiting = locked(&self.core(core).waiting);
            if !waiting.crier.as_ref().is_some_and(|crier| crier.will_wake(cx.waker())) {
                waiting.crier = Some(cx.waker().clone());
            }
            std::mem::swap(&mut waiting.go, &mut going);
            drop(waiting);
            going.drain(..).for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }

    /// From now on whoever pushes need not wake the journal, unless a core has nothing else to do. Did it rest before?
    pub(super) fn rests(&self, rests: bool) -> bool {
        self.is_resting.swap(rests, Ordering::Relaxed)
    }

    /// Is there a core on which every open exchange waits to be written?
    pub(super) fn are_all_waiting(&self) -> bool {
        self.cores.iter().any(|core| {
            let waiting = locked(&core.waiting).records.len();
            waiting > 0 && waiting >= core.taken.load(Ordering::Relaxed) as usize
        })
    }

    /// All that waits, with whoever waits for it left where they are.
    pub(super) fn batch(&self) -> Batch {
        let now = Instant::now();
        self.swapped(|waiting, batch| {
            waiting.since = (!waiting.records.is_empty()).then_some(now);
            batch.marks.push((waiting.pushed, u32::try_from(waiting.records.len()).unwrap_or(u32::MAX)));
        })
    }

    fn swapped(&self, mut note: impl FnMut(&mut Waiting, &mut Batch)) -> Batch {
        let mut batch = Batch::default();
        for core in &self.cores {
            let mut waiting = locked(&core.waiting);
            note(&mut waiting, &mut batch);
            match batch.records.is_empty() {
                true => batch.records = std::mem::take(&mut waiting.records),
                false => batch.records.append(&mut waiting.records),
            }
        }
        batch
    }

    /// A batch is safe, or as safe as it gets: its places are free, and whoever waited goes.
    pub(super) fn wrote(&self, batch: Batch) {
        for (core, (mark, count)) in self.cores.iter().zip(&batch.marks).filter(|(_, (_, count))| *count > 0) {
            core.taken.fetch_sub(*count, Ordering::Relaxed);
            let mut waiting = locked(&core.waiting);
            waiting.since = None;
            release(waiting, *mark);
        }
        self.is_stalled.store(false, Ordering::Relaxed);
        if self.is_logged.load(Ordering::Relaxed) {
            let mut written = locked(&self.written);
            if written.len() + batch.records.len() <= WAITING_LIMIT {
                written.extend(batch.records);
            } else {
                self.dropped.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
            }
        }
    }

    /// Lets those go whose records have been with the writer for so long. Is anybody left who waits?
    pub(super) fn release_late(&self, after: Duration) -> bool {
        let (now, mut is_awaited) = (Instant::now(), false);
        for core in &self.cores {
            let mut waiting = locked(&core.waiting);
            if !waiting.records.is_empty() {
                waiting.since.get_or_insert(now);
            }
            let is_late = waiting.since.is_some_and(|since| now.duration_since(since) >= after);
            is_awaited |= waiting.since.is_some();
            if is_late {
                self.is_stalled.store(true, Ordering::Relaxed);
                self.late.fetch_add(waiting.wakers.len() as u64, Ordering::Relaxed);
                let all = waiting.pushed;
                release(waiting, all);
            }
        }
        is_awaited
    }
}

/// Lets go who waits for a record up to this one; whoever is woken is so outside of the lock.
fn release(mut waiting: MutexGuard<'_, Waiting>, mark: u64) {
    let Waiting { wakers, go, free, .. } = &mut *waiting;
    *free = mark.max(*free);
    go.extend(wakers.extract_if(.., |(ticket, _)| ticket.0 <= mark).map(|(_, waker)| waker));
    if waiting.go.is_empty() {
        return;
    }
    match waiting.crier.clone() {
        Some(crier) => {
            drop(waiting);
            crier.wake();
        }
        None => {
            let go = std::mem::take(&mut waiting.go);
            drop(waiting);
            go.into_iter().for_each(Waker::wake);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::super::record::tests::record;
    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Waits {
        woken: Arc<Woken>,
        waker: Waker,
    }

    impl Waits {
        fn new() -> Self {
            let woken = Arc::<Woken>::default();
            Self { waker: Waker::from(woken.clone()), woken }
        }

        fn times(&self) -> usize {
            self.woken.0.load(Ordering::Relaxed)
        }

        fn goes(&self, records: &Records, ticket: Ticket) -> bool {
            records.poll_written(0, ticket, &Context::from_waker(&self.waker)).is_ready()
        }
    }

    fn journalled() -> Records {
        let records = Records::new(2, true);
        records.is_read_by(std::thread::current());
        records
    }

    #[test]
    fn an_answer_goes_when_its_record_is_written_and_not_before() {
        let (records, first, second) = (journalled(), Waits::new(), Waits::new());
        let one = records.push(0, Box::new(record()), Some(&first.waker)).unwrap();
        let batch = records.batch();
        // Settled while the first one is being written.
        let other = records.push(0, Box::new(record()), Some(&second.waker)).unwrap();
        assert!(!first.goes(&records, one));
        records.wrote(batch);
        assert!(first.times() >= 1 && first.goes(&records, one));
        assert!(second.times() == 0 && !second.goes(&records, other));
        let batch = records.batch();
        records.wrote(batch);
        assert!(second.goes(&records, other));
        assert_eq!((records.take().len(), records.late()), (2, 0), "the log gets what is written");
    }

    #[test]
    fn a_core_has_nothing_else_to_do_once_all_its_exchanges_wait() {
        let records = journalled();
        (0..2).for_each(|_| records.admit(0).unwrap());
        assert!(!records.are_all_waiting());
        records.push(0, Box::new(record()), None);
        assert!(!records.are_all_waiting(), "another one is open");
        records.push(0, Box::new(record()), None);
        assert!(records.are_all_waiting());
        let batch = records.batch();
        records.wrote(batch);
        assert!(!records.are_all_waiting());
    }

    #[test]
    fn a_hanging_disk_holds_nobody_up_for_long_and_then_nobody_at_all() {
        let (records, waits) = (journalled(), Waits::new());
        let ticket = records.push(0, Box::new(record()), Some(&waits.waker)).unwrap();
        let batch = records.batch();
        assert!(records.release_late(Duration::from_secs(60)), "somebody waits");
        assert!(!waits.goes(&records, ticket));
        records.release_late(Duration::ZERO);
        assert!(waits.goes(&records, ticket) && records.is_stalled());
        assert!(records.push(0, Box::new(record()), Some(&waits.waker)).is_none(), "it goes at once");
        assert_eq!(records.late(), 2);
        records.wrote(batch);
        assert!(!records.is_stalled());
        assert!(records.push(0, Box::new(record()), Some(&waits.waker)).is_some());
    }

    #[test]
    fn a_place_is_taken_by_an_exchange_and_given_back_when_it_is_written() {
        let records = journalled();
        for _ in 0..records.places() {
            records.admit(0).unwrap();
        }
        assert!(matches!(records.admit(0), Err(Refusal::AtCapacity(_))));
        records.admit(1).unwrap();
        records.push(0, Box::new(record()), None);
        assert!(records.admit(0).is_err(), "settled is not written");
        let batch = records.batch();
        records.wrote(batch);
        records.admit(0).unwrap();
        assert!(records.admit(0).is_err());
    }

    #[test]
    fn without_a_journal_the_log_alone_is_bounded() {
        let records = Records::new(1, true);
        for _ in 0..WAITING_LIMIT + 3 {
            records.admit(0).unwrap();
            assert!(records.push(0, Box::new(record()), None).is_none());
        }
        assert_eq!((records.take().len(), records.dropped()), (WAITING_LIMIT, 3));
        records.set_logged(false);
        records.push(0, Box::new(record()), None);
        assert!(records.take().is_empty());
    }
}
