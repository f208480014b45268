//! Appends frames to the newest file, and keeps what can't be appended until it can.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::segment::{self, Place, SEGMENT_BYTES};

/// What waits in memory while the disk takes nothing: about a minute of 2,000 exchanges a second. More is lost, and counted.
const BACKLOG_BYTES: usize = 64 << 20;

pub(super) struct Writer {
    shared: Arc<Shared>,
    file: Option<Arc<File>>,
    end: Place,
    /// Frames that the disk did not take, and how many.
    backlog: Vec<u8>,
    waiting: u64,
}

impl Writer {
    /// Writes to new files from this number on.
    pub(super) const fn new(shared: Arc<Shared>, next: u64) -> Self {
        Self { shared, file: None, end: Place::start_of(next), backlog: Vec::new(), waiting: 0 }
    }

    /// Appends frames. What the disk does not take is kept, and tried again with the next ones.
    pub(super) fn write(&mut self, frames: &[u8], count: u64) {
        if self.waiting == 0 {
            match self.append(frames, count) {
                Ok(()) => return,
                Err(error) => self.is_in_trouble(&error),
            }
        }
        if self.backlog.len() + frames.len() <= BACKLOG_BYTES {
            self.backlog.extend_from_slice(frames);
            self.waiting += count;
        } else {
            self.shared.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) const fn has_backlog(&self) -> bool {
        self.waiting > 0
    }

    /// Tries again what the disk did not take.
    pub(super) fn retry(&mut self) {
        let (backlog, waiting) = (mem::take(&mut self.backlog), mem::take(&mut self.waiting));
        match self.append(&backlog, waiting) {
            Ok(()) => {
                tracing::info!(exchanges = waiting, "the journal can be written again");
                self.shared.trouble.store(None);
            }
            Err(error) => {
                (self.backlog, self.waiting) = (backlog, waiting);
                self.is_in_trouble(&error);
            }
        }
    }

    fn is_in_trouble(&self, error: &io::Error) {
        let text = format!(
            "the journal in {} can't be written: {error}; calls are served, and their records wait in memory",
            self.shared.folder.display()
        );
        if self.shared.trouble.swap(Some(Arc::new(text.clone()))).is_none() {
            tracing::error!("{text}; make room on the disk, or bring the ledger back so that it is emptied");
        }
    }

    fn append(&mut self, frames: &[u8], count: u64) -> io::Result<()> {
        if self.end.bytes >= SEGMENT_BYTES {
            self.begin_next();
        }
        let kept = self.shared.kept_bytes.load(Ordering::Relaxed);
        // What is larger by itself than the limit goes in once there is nothing else.
        if kept > 0 && kept + frames.len() as u64 > self.shared.limit_bytes {
            // A file goes when another one follows and the ledger has all of it.
            if self.file.is_some() {
                self.begin_next();
                self.shared.written(self.end, 0);
            }
            return Err(io::Error::other("it is as large as [journal] limit lets it be"));
        }
        let file = self.file()?;
        let mut out: &File = &file;
        if let Err(error) = out.write_all(frames) {
            // Half a frame must not stand before a whole one. Where it can't be cut off, another file follows.
            if file.set_len(self.end.bytes).is_err() {
                self.begin_next();
            }
            return Err(error);
        }
        self.end.bytes += frames.len() as u64;
        self.shared.kept_bytes.fetch_add(frames.len() as u64, Ordering::Relaxed);
        if self.shared.sync.is_zero() {
            file.sync_data()?;
        } else {
            self.shared.is_unsynced(&file);
        }
        self.shared.written(self.end, count);
        Ok(())
    }

    fn begin_next(&mut self) {
        self.file = None;
        self.end = Place::start_of(self.end.segment + 1);
    }

    /// The newest file, begun when there is something to write.
    fn file(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        match segment::begin(&self.shared.folder, self.end.segment) {
            Ok(file) => Ok(self.file.insert(Arc::new(file)).clone()),
            Err(error) => {
                // The name may be taken already, by a file that stayed empty.
                self.begin_next();
                Err(error)
            }
        }
    }
}
