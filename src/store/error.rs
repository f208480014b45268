//! What can go wrong with a store, each with what to do about it.

use std::io;
use std::path::PathBuf;

use super::image::IMAGE_MAX;
use super::seal::{KeyringError, NoRandomness, WrongKey};

/// A change that did not happen: either the rule said no, or the store could not.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    #[error("{0}")]
    Refused(E),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(
        "the change was refused: another process has held the lock {} for {waited_seconds} s; \
         if a command hangs, end it and try again", lock.display()
    )]
    Locked { lock: PathBuf, waited_seconds: u64 },
    #[error(
        "the change was refused: there is no space left for {}; what was there is untouched. Free space and try again",
        path.display()
    )]
    NoSpace { path: PathBuf },
    #[error("the change was refused: {step} {} failed: {source}", path.display())]
    Unwritable { step: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the change is in place, but the folder {} could not be synced, so a power cut may undo it: {source}. \
         Look at the disk", folder.display()
    )]
    NotDurable { folder: PathBuf, source: io::Error },
    #[error(
        "the change was refused: the sealed file would take {size_bytes} bytes, and {IMAGE_MAX} are its limit; \
         move to [store] kind = \"postgres\" with `keyway export` and `keyway import`"
    )]
    TooLarge { size_bytes: usize },
    #[error("the change was refused: it would store what gateway.toml declares; change it there")]
    Declared,
    #[error(
        "the change was refused: another {kind} already has the same id, name, number or place; look again, and try again"
    )]
    Taken { kind: &'static str },
    #[error("the change was refused: the directory can't be written down: {0}")]
    Unencodable(String),
    #[error(
        "the database is away: {why}; it is tried again by itself. If this lasts, look at [store] url and at the database"
    )]
    Away { why: String },
    #[error(
        "the database went away at the moment of the change, so it may be in place or not: {why}; \
         look before trying again"
    )]
    Unsure { why: String },
    #[error("the change was refused: others change the directory right now, and its turn did not come; try again")]
    Busy,
    #[error("the database refused: {0}")]
    Database(String),
    #[error("the database's schema can't be brought up to date: {0}; nothing was changed")]
    Schema(String),
    #[error(
        "the database's {kind} rows hold one that this version of Keyway can't read (column {column}); \
         run the version that wrote it"
    )]
    UnreadableRow { kind: String, column: usize },
    #[error("[store] url {0}; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    DatabaseUrl(String),
    #[error("the database does not open with these encryption keys: {0}")]
    WrongKey(#[from] WrongKey),
    #[error("the store is closed, for Keyway is stopping")]
    Stopped,
}

impl StoreError {
    pub(super) fn away(why: impl Into<String>) -> Self {
        Self::Away { why: why.into() }
    }

    /// A failed step of writing, with a full disk told from the rest.
    pub(super) fn writing(step: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_path_buf();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::NoSpace { path },
            _ => Self::Unwritable { step, path, source },
        }
    }
}

/// A sealed file that gives nothing. It is never overwritten.
#[derive(Debug, thiserror::Error)]
#[error("the sealed file {} {fault}{}", path.display(), self.remedy())]
pub struct Unreadable {
    pub path: PathBuf,
    /// Where the previous generation lies, if there is one.
    pub previous: Option<PathBuf>,
    pub fault: Fault,
}

impl Unreadable {
    fn remedy(&self) -> String {
        match (&self.previous, self.fault.is_damage()) {
            (Some(previous), true) => format!(
                ". It was left as it is. The previous generation lies at {}: move it to {} to go back to it",
                previous.display(),
                self.path.display()
            ),
            (None, true) => {
                ". It was left as it is, and no previous generation lies beside it: restore a backup".into()
            }
            (_, false) => String::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("is gone; while it is, nothing can be changed")]
    Missing,
    #[error("is not a regular file")]
    NotAFile,
    #[error("has {size_bytes} bytes, and {IMAGE_MAX} are the limit: Keyway did not write it")]
    TooLarge { size_bytes: u64 },
    #[error("was not written by Keyway: it does not begin as a sealed file does; check [data] dir")]
    NotOurs,
    #[error("has format {format}, and this version of Keyway reads up to {known}; run the version that wrote it", known = super::image::FORMAT)]
    TooNew { format: u16 },
    #[error("is cut short: {size_bytes} bytes are left of {expected_bytes}")]
    Truncated { size_bytes: usize, expected_bytes: u64 },
    #[error("is damaged: its checksum does not fit its contents")]
    Torn,
    #[error("does not open with these encryption keys: {0}")]
    WrongKey(#[from] WrongKey),
    #[error("was tampered with: its checksum fits, but its seal does not")]
    Tampered,
    #[error("is another one than Keyway started with; restart Keyway to use it, or put the old one back")]
    Exchanged,
    #[error(
        "opens, but this version of Keyway can't read the directory in it (column {column}); run the version that wrote it"
    )]
    Contents { column: usize },
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
}

impl Fault {
    /// Would another copy of the file help?
    fn is_damage(&self) -> bool {
        match self {
            Self::Missing | Self::Truncated { .. } | Self::Torn | Self::Tampered => true,
            Self::NotAFile | Self::TooLarge { .. } | Self::NotOurs => true,
            Self::TooNew { .. } | Self::WrongKey(_) | Self::Exchanged | Self::Contents { .. } | Self::Io(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_names_the_previous_generation_and_a_wrong_key_does_not() {
        let say = |fault| Unreadable { path: "/d/x".into(), previous: Some("/d/x.previous".into()), fault }.to_string();
        assert!(say(Fault::Torn).contains("/d/x.previous"));
        assert!(!say(Fault::TooNew { format: 2 }).contains("/d/x.previous"));
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let path = std::path::Path::new("/d/x");
        let full = StoreError::writing("write", path, io::ErrorKind::StorageFull.into());
        assert!(matches!(full, StoreError::NoSpace { .. }));
        let denied = StoreError::writing("write", path, io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied, StoreError::Unwritable { step: "write", .. }));
    }
}
