//! The sealed file: the whole directory in one file, replaced whole.
//!
//! Writers of all processes take turns by a lock beside it: lock, read again, apply, write to a temporary file, sync,
//! rename, sync the folder. Readers take no lock, for a name always leads to one whole generation. At every moment the
//! file is either the old generation or the new one; no step leaves neither. What cannot be read is never overwritten.
//!
//! What is destroyed is destroyed as far as names go: blocks of an unlinked file stay on the disk until they are used
//! again, and what stands there is ciphertext.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use tokio::sync::OwnedMutexGuard;

use super::Previous;
use super::audit::{Act, Record};
use super::contents::Contents;
use super::error::{ChangeError, Fault, StoreError, Unreadable};
use super::image::{self, IMAGE_MAX};
use super::replace::{self, Temporary};
use super::seal::{Keyring, MasterKey, Salt};
use crate::domain::directory::Directory;
use crate::domain::time::Timestamp;

/// A write takes milliseconds; who holds the lock for ten seconds hangs, and an admin call should say so and end.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

pub(super) struct SealedFile {
    names: Names,
    keyring: Arc<Keyring>,
    /// What stood there when `take_up` last looked; the inner `None` is no file at all.
    seen: Mutex<Option<Option<Stamp>>>,
    /// This process's writers wait here without a thread; only one at a time waits for the lock.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The file and what lies beside it.
pub(super) struct Names {
    pub(super) folder: PathBuf,
    pub(super) file: PathBuf,
    pub(super) previous: PathBuf,
    lock: PathBuf,
}

impl Names {
    fn new(file: PathBuf) -> Self {
        let beside = |suffix: &str| {
            let mut name = file.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Self { previous: beside(".previous"), lock: beside(".lock"), folder, file }
    }

    fn unreadable(&self, fault: impl Into<Fault>) -> StoreError {
        let previous = self.previous.exists().then(|| self.previous.clone());
        Unreadable { path: self.file.clone(), previous, fault: fault.into() }.into()
    }
}

/// Which generation a name leads to. Each write makes a new inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.size(),
        }
    }
}

impl SealedFile {
    pub(super) fn open(path: PathBuf, keys: &[MasterKey]) -> Result<Self, StoreError> {
        let names = Names::new(path);
        let keyring = match read(&names.file) {
            Err(Fault::Missing) => create(&names, keys)?,
            image => keyring_of(&names, image, keys)?,
        };
        let file = Self { names, keyring: Arc::new(keyring), seen: Mutex::default(), turn: Arc::default() };
        // Wrong keys and damage are to show at the start, not at the first call.
        file.read()?;
        Ok(file)
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    pub(super) fn read(&self) -> Result<Contents, StoreError> {
        self.read_both().map(|(_, contents)| contents)
    }

    /// Reads, and remembers what stood there, damaged or gone as it may be, so that the poll reports it once. What the
    /// system could not read is not remembered: the next poll tries again.
    pub(super) fn take_up(&self) -> Result<Contents, StoreError> {
        // Taken before reading: a generation that comes in between is read twice rather than missed.
        let stamp = self.stamp()?;
        let contents = self.read();
        let again = matches!(&contents, Err(StoreError::Unreadable(Unreadable { fault: Fault::Io(_), .. })));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (!again).then_some(stamp);
        contents
    }

    pub(super) fn changed(&self) -> Result<bool, StoreError> {
        let now = self.stamp()?;
        Ok(*self.seen.lock().unwrap_or_else(PoisonError::into_inner) != Some(now))
    }

    fn stamp(&self) -> Result<Option<Stamp>, StoreError> {
        match fs::symlink_metadata(&self.names.file) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.names.unreadable(error)),
        }
    }

    pub(super) fn change<T, E>(
        &self,
        act: &Act,
        previous: Previous,
        rule: impl FnOnce(&mut Directory) -> Result<T, E>,
    ) -> Result<T, ChangeError<E>> {
        let _lock = Lock::take(&self.names)?;
        replace::sweep(&self.names);
        let (old, contents) = self.read_both()?;
        let (next, value) = contents
            .change(act, Timestamp::now(), &self.keyring, |directory| rule(directory).map_err(ChangeError::Refused))?;
        let new = image::encode(&next, &self.keyring)?;
        match previous {
            Previous::Keep => replace::keep_previous(&self.names, &old, &new)?,
            Previous::Forget => replace::forget_previous(&self.names, &new)?,
        }
        next.audit.newest().into_iter().for_each(Record::log);
        Ok(value)
    }

    /// The bytes as they stand there, and what they say.
    fn read_both(&self) -> Result<(Vec<u8>, Contents), StoreError> {
        let both = read(&self.names.file).and_then(|image| {
            let contents = image::decode(&image, &self.keyring)?;
            Ok((image, contents))
        });
        both.map_err(|fault| self.names.unreadable(fault))
    }
}

fn keyring_of(names: &Names, image: Result<Vec<u8>, Fault>, keys: &[MasterKey]) -> Result<Keyring, StoreError> {
    let salt = image.and_then(|image| image::salt(&image)).map_err(|fault| names.unreadable(fault))?;
    Ok(Keyring::new(keys, salt)?)
}

/// The first generation: an empty directory at version 0.
fn create(names: &Names, keys: &[MasterKey]) -> Result<Keyring, StoreError> {
    let mut folder = DirBuilder::new();
    let made = folder.recursive(true).mode(0o700).create(&names.folder);
    made.map_err(|error| StoreError::writing("making the folder", &names.folder, error))?;
    let _lock = Lock::take(names)?;
    replace::sweep(names);
    match read(&names.file) {
        // A previous generation without a file is no beginning: somebody took the file away.
        Err(Fault::Missing) if names.previous.exists() => return Err(names.unreadable(Fault::Missing)),
        Err(Fault::Missing) => {}
        // Another process was faster.
        image => return keyring_of(names, image, keys),
    }
    let keyring = Keyring::new(keys, Salt::random()?)?;
    let image = image::encode(&Contents::default(), &keyring)?;
    Temporary::write(names, &image)?.rename(&names.file)?;
    replace::sync_folder(names)?;
    Ok(keyring)
}

/// Follows no link, waits for no pipe, and reads no more than the limit.
fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        // What opening a link without following it gives.
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Fault::NotAFile,
        _ => Fault::Io(error),
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Fault::NotAFile);
    }
    if metadata.len() > IMAGE_MAX as u64 {
        return Err(Fault::TooLarge { size_bytes: metadata.len() });
    }
    let mut image = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // A writer that is not ours may make it grow meanwhile; the checksum then says so.
    file.take(IMAGE_MAX as u64).read_to_end(&mut image)?;
    Ok(image)
}

/// Held by one writer of all processes; the system lets it go when its holder dies. The lock file stays: removing it
/// would let two writers each lock their own.
struct Lock {
    _file: File,
}

impl Lock {
    fn take(names: &Names) -> Result<Self, StoreError> {
        let failed = |error| StoreError::writing("locking", &names.lock, error);
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&names.lock);
        let file = file.map_err(failed)?;
        replace::give_to_folders_owner(&file, names).map_err(failed)?;
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(failed(error.into())),
            }
        }
        let waited_seconds = (LOCK_PAUSE * LOCK_TRIES).as_secs();
        Err(StoreError::Locked { lock: names.lock.clone(), waited_seconds })
    }
}
