//! The journal's way into the ledger: in batches, in order, each until the ledger has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::segment::{self, Piece, Place};
use super::{Journal, Shared};
use crate::domain::ledger::Written;
use crate::store::ledger::{AT_ONCE, Ledger};

/// How long it rests between two looks, unless somebody wants to know what there is: what a view may be behind by. What calls
/// add to one sum meanwhile is written once.
const EVERY: Duration = Duration::from_secs(1);

/// After a failed try, and at most so long after several.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

impl Journal {
    /// Hands entries to the ledger until the journal has stopped and all of it is handed over. On the control runtime.
    pub async fn drain(self: Arc<Self>, ledger: Ledger) {
        let shared = &self.shared;
        let mut place = Place::start_of(shared.first);
        loop {
            // Asked before the end: what was written last is then among it.
            let has_stopped = shared.has_stopped.load(Ordering::Relaxed);
            let end = shared.end();
            if place.segment >= shared.begun {
                shared.has_passed_earlier.store(true, Ordering::Relaxed);
            }
            if place >= end {
                if has_stopped {
                    return;
                }
                rest(shared).await;
                continue;
            }
            let Some(piece) = read(shared, place, end).await else {
                sleep(PAUSE_MAX).await;
                continue;
            };
            let mut unread = piece.count();
            for entries in piece.entries(AT_ONCE) {
                unread -= entries.len();
                keep(shared, &ledger, &entries).await;
            }
            // What stood in earlier files was not counted as written by this process.
            if place.segment >= shared.begun {
                shared.drained.fetch_add(piece.count() as u64, Ordering::Relaxed);
            }
            if piece.lost_bytes > 0 {
                let (file, bytes) = (place.segment, piece.lost_bytes);
                tracing::warn!(
                    file,
                    bytes,
                    "the journal holds bytes that are no record: what wrote it was killed, or the disk damaged them"
                );
            }
            if unread > 0 {
                let file = place.segment;
                tracing::warn!(
                    file,
                    unread,
                    "the journal holds records that a later version wrote; the ledger lacks them"
                );
            }
            place = match piece.next {
                Some(bytes) => Place { bytes, ..place },
                None => passed(shared, place).await,
            };
            // What was written since is too little to be worth it, however fast it comes.
            if place == end && !has_stopped {
                rest(shared).await;
            }
        }
    }
}

/// Until it is time to look, or somebody wants it.
async fn rest(shared: &Shared) {
    let _ = timeout(EVERY, shared.is_wanted.notified()).await;
}

async fn read(shared: &Arc<Shared>, place: Place, end: Place) -> Option<Piece> {
    let within = (place.segment == end.segment).then_some(end.bytes);
    let of = shared.clone();
    let read = spawn_blocking(move || segment::read(&of.folder, place, within)).await;
    match read.map_err(std::io::Error::other).and_then(|read| read) {
        Ok(piece) => Some(piece),
        Err(error) => {
            is_away(shared, &format!("the journal can't be read: {error}"));
            None
        }
    }
}

/// Until the ledger has them.
async fn keep(shared: &Shared, ledger: &Ledger, entries: &[Written<'_>]) {
    let mut pause = PAUSE;
    while let Err(error) = ledger.keep(entries).await {
        is_away(shared, &error.to_string());
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        if shared.has_stopped.load(Ordering::Relaxed) {
            // Whoever ends the process does not wait for a database: the journal is read again at the next start.
            std::future::pending::<()>().await;
        }
    }
    if shared.ledger_trouble.swap(None).is_some() {
        tracing::info!("the ledger takes exchanges again");
    }
}

fn is_away(shared: &Shared, why: &str) {
    let text = format!("{why}; exchanges wait in the journal");
    if shared.ledger_trouble.swap(Some(Arc::new(text.clone()))).is_none() {
        tracing::warn!("{text}");
    }
}

/// A file is in the ledger as a whole.
async fn passed(shared: &Arc<Shared>, place: Place) -> Place {
    let (of, segment) = (shared.clone(), place.segment);
    match spawn_blocking(move || segment::remove(&of.folder, segment)).await {
        Ok(Ok(bytes)) => {
            let kept = shared.kept_bytes.load(Ordering::Relaxed);
            shared.kept_bytes.fetch_sub(bytes.min(kept), Ordering::Relaxed);
        }
        Ok(Err(error)) => tracing::warn!(%error, "a file of the journal can't be removed"),
        Err(_) => {}
    }
    Place::start_of(place.segment + 1)
}
