//! Where exchanges are written down first: local files, appended to, a checksum each, so that neither a database that is
//! away nor a killed process loses one that was answered.
//!
//! Takes what the cores settle, a thread of its own writing all that waits in one write; lets answers go when their records
//! are written. Gives entries to the ledger, each until it has taken it. A power cut may cost what came since the disk was
//! last told to keep it, a hundredth of a second unless set otherwise.

mod drain;
mod frame;
mod pace;
mod segment;
mod writer;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::Notify;

use self::pace::Pace;
use self::segment::Place;
use self::writer::Writer;
use super::Meter;
use super::entry::{NOBODY, entry};

/// How often late answers are looked after, or a fifth of what they may wait. With it they lose no more than they may.
const LATE_TICK: Duration = Duration::from_millis(20);
/// For so many ticks without any answer that waits, it is looked after on.
const IDLE_TICKS: u32 = 50;

/// How often a disk that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What was settled at once is encoded into this much at most that is kept for the next time.
const KEPT_BUFFER: usize = 1 << 20;

/// Another process that still writes this journal is waited for so long: it may be about to end.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

pub struct Settings {
    pub folder: PathBuf,
    /// How often the disk is told to keep what is written; zero: each time, before an answer goes.
    pub sync: Duration,
    /// How long an answer's end waits for its record.
    pub wait: Duration,
    /// All files together.
    pub limit_bytes: u64,
}

/// The journal as everybody else sees it.
pub struct Journal {
    shared: Arc<Shared>,
    meter: Arc<Meter>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as this process writes.
    _lock: File,
}

struct Shared {
    folder: PathBuf,
    sync: Duration,
    wait: Duration,
    limit_bytes: u64,
    is_stopping: AtomicBool,
    has_stopped: AtomicBool,
    /// The first file that the ledger has not taken, the first one of this process, and up to where they are written.
    first: u64,
    begun: u64,
    end: Mutex<Place>,
    /// Written, but perhaps not on the disk itself.
    unsynced: Mutex<Vec<Arc<File>>>,
    syncer: Mutex<Option<Thread>>,
    kept_bytes: AtomicU64,
    written: AtomicU64,
    drained: AtomicU64,
    /// Somebody waits for the ledger to have what is written.
    is_wanted: Notify,
    /// What earlier processes wrote is in the ledger.
    has_passed_earlier: AtomicBool,
    lost: AtomicU64,
    trouble: ArcSwapOption<String>,
    /// Why the ledger takes nothing.
    ledger_trouble: ArcSwapOption<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    #[error("the journal in {} can't be opened: {source}; set [data] dir to a folder that can be written to", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("another process writes the journal in {}; end it, or give this one a [data] dir of its own", .0.display())]
    Taken(PathBuf),
}

impl Journal {
    /// Opens the journal and begins to take what the cores settle. Returns once nothing is settled past it.
    pub fn start(settings: Settings, meter: &Arc<Meter>) -> Result<Arc<Self>, Unopened> {
        let Settings { folder, sync, wait, limit_bytes } = settings;
        let failed = |source| Unopened::Folder { folder: folder.clone(), source };
        segment::make_folder(&folder).map_err(failed)?;
        let lock = locked(&folder)?;
        let segments = segment::segments(&folder).map_err(failed)?;
        let next = segments.last().map_or(1, |(last, _)| last + 1);
        let shared = Arc::new(Shared {
            sync,
            wait,
            limit_bytes,
            is_stopping: AtomicBool::new(false),
            has_stopped: AtomicBool::new(false),
            first: segments.first().map_or(next, |(first, _)| *first),
            begun: next,
            end: Mutex::new(Place::start_of(next)),
            unsynced: Mutex::default(),
            syncer: Mutex::default(),
            kept_bytes: segments.iter().map(|(_, bytes)| bytes).sum::<u64>().into(),
            written: 0.into(),
            drained: 0.into(),
            is_wanted: Notify::new(),
            has_passed_earlier: false.into(),
            lost: 0.into(),
            trouble: ArcSwapOption::empty(),
            ledger_trouble: ArcSwapOption::empty(),
            folder: folder.clone(),
        });
        let journal = Self { shared, meter: meter.clone(), threads: Mutex::default(), _lock: lock };
        journal.start_threads(next).map_err(failed)?;
        Ok(Arc::new(journal))
    }

    fn start_threads(&self, next: u64) -> io::Result<()> {
        let named = |name: &str| thread::Builder::new().name(name.into()).stack_size(STACK);
        let (shared, meter) = (self.shared.clone(), self.meter.clone());
        let syncs = named("journal-sync").spawn(move || sync(&shared))?;
        *held(&self.shared.syncer) = Some(syncs.thread().clone());
        let watches = named("journal-watch").spawn({
            let shared = self.shared.clone();
            move || watch(&shared, &meter)
        })?;
        let (shared, meter, watcher) = (self.shared.clone(), self.meter.clone(), watches.thread().clone());
        let (attached, is_attached) = mpsc::channel();
        let writes = named("journal").spawn(move || {
            meter.records.is_read_by(thread::current());
            let _ = attached.send(());
            write(&shared, &meter, &watcher, Writer::new(shared.clone(), next));
        })?;
        let _ = is_attached.recv();
        held(&self.threads).extend([writes, watches, syncs]);
        Ok(())
    }

    /// Writes what is settled, and ends. Nothing may be settled afterwards.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut *held(&self.threads));
        for thread in threads {
            // The first writes and tells the last one to sync; whoever has panicked has ended too.
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.shared.has_stopped.store(true, Ordering::Relaxed);
        self.shared.is_wanted.notify_one();
    }

    /// Written, and not in the ledger yet.
    pub fn waiting(&self) -> u64 {
        let shared = &self.shared;
        shared.written.load(Ordering::Relaxed).saturating_sub(shared.drained.load(Ordering::Relaxed))
    }

    /// How many this process has written. Whoever asks wants to see them in the ledger.
    pub fn goal(&self) -> u64 {
        self.shared.is_wanted.notify_one();
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Has the ledger so many of them, and all that earlier processes wrote?
    pub fn has_handed_over(&self, goal: u64) -> bool {
        let shared = &self.shared;
        shared.has_passed_earlier.load(Ordering::Relaxed) && shared.drained.load(Ordering::Relaxed) >= goal
    }

    /// Exchanges that neither disk nor memory had room for.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    pub fn kept_bytes(&self) -> u64 {
        self.shared.kept_bytes.load(Ordering::Relaxed)
    }

    /// What somebody should look at.
    pub fn troubles(&self) -> Vec<String> {
        let shared = &self.shared;
        let said = [&shared.trouble, &shared.ledger_trouble].map(|trouble| Some(trouble.load().as_ref()?.to_string()));
        let stalled = self.meter.records.is_stalled().then(|| {
            format!("the disk under {} hangs; answers go out before they are written down", shared.folder.display())
        });
        said.into_iter().chain([stalled]).flatten().collect()
    }
}

/// These threads call little: a tenth of what a thread gets otherwise.
const STACK: usize = 256 << 10;

/// One process writes a folder.
fn locked(folder: &Path) -> Result<File, Unopened> {
    let failed = |source| Unopened::Folder { folder: folder.to_path_buf(), source };
    let mut options = OpenOptions::new();
    let lock =
        options.write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock")).map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(failed(error.into())),
        }
    }
    Err(Unopened::Taken(folder.to_path_buf()))
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn end(&self) -> Place {
        *held(&self.end)
    }

    fn written(&self, end: Place, count: u64) {
        *held(&self.end) = end;
        self.written.fetch_add(count, Ordering::Relaxed);
    }

    fn is_unsynced(&self, file: &Arc<File>) {
        let mut unsynced = held(&self.unsynced);
        if unsynced.last().is_some_and(|last| Arc::ptr_eq(last, file)) {
            return;
        }
        let is_first = unsynced.is_empty();
        unsynced.push(file.clone());
        drop(unsynced);
        if is_first && let Some(syncer) = &*held(&self.syncer) {
            syncer.unpark();
        }
    }
}

/// The writer's life: all that waits in one write, then everybody who waited for it goes.
fn write(shared: &Shared, meter: &Meter, watcher: &Thread, mut writer: Writer) {
    let (mut frames, mut user, mut pace) = (Vec::new(), NOBODY, Pace::new(Instant::now()));
    loop {
        if let Some(rest) = pace.rest(Instant::now())
            && !meter.records.are_all_waiting()
        {
            thread::park_timeout(rest);
        }
        let batch = meter.records.batch();
        if batch.records.is_empty() {
            if meter.records.rests(false) {
                // Once more, now that whoever pushes wakes us.
                continue;
            }
            match (writer.has_backlog(), shared.is_stopping()) {
                (true, true) => {
                    writer.retry();
                    return;
                }
                (false, true) => return,
                (true, false) => {
                    thread::park_timeout(RETRY);
                    writer.retry();
                }
                (false, false) => thread::park(),
            }
            continue;
        }
        pace.begins(Instant::now(), batch.records.len());
        meter.records.rests(pace.is_pausing());
        // A token for one that watches already; else it must see that this write is late.
        watcher.unpark();
        frames.clear();
        for record in &batch.records {
            frame::encode(&entry(record, &meter.pricing, &mut user), &mut frames);
        }
        writer.write(&frames, batch.records.len() as u64);
        meter.records.wrote(batch);
        frames.shrink_to(KEPT_BUFFER);
    }
}

/// The syncer's life: what is written is brought to the disk itself, some of it at a time.
fn sync(shared: &Shared) {
    loop {
        let is_stopping = shared.is_stopping();
        if held(&shared.unsynced).is_empty() {
            if is_stopping {
                return;
            }
            thread::park();
            continue;
        }
        if !is_stopping {
            thread::sleep(shared.sync);
        }
        let files = std::mem::take(&mut *held(&shared.unsynced));
        for file in files {
            if let Err(error) = file.sync_data() {
                tracing::error!(%error, "the disk does not keep the journal; a power cut now would cost exchanges");
            }
        }
    }
}

/// The watch's life: answers whose records are late go.
fn watch(shared: &Shared, meter: &Meter) {
    let tick = LATE_TICK.min(shared.wait / 5).max(Duration::from_millis(1));
    let late = shared.wait.saturating_sub(tick * 2);
    let mut idle = 0;
    while !shared.is_stopping() {
        idle = if meter.records.release_late(late) { 0 } else { idle + 1 };
        if idle < IDLE_TICKS {
            thread::sleep(tick);
        } else {
            thread::park();
            idle = 0;
        }
    }
}
