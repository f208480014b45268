//! Keeps the directory: reads what is asked for of it, changes it in transactions, says when it changed.
//!
//! Gives a `Directory` without what `gateway.toml` declares, and takes rules that change one. What it keeps beside it: the
//! audit log, written in the same transaction as each change. It must not know who may change what: that is for
//! `directory`, which passes the rule in.
//!
//! `seal` is the only place that seals and opens; `state` keeps what traffic shows.

pub mod audit;
mod contents;
mod difference;
pub mod error;
mod file;
mod image;
mod memory;
pub mod part;
mod replace;
mod rows;
pub mod seal;
mod select;
pub mod state;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::error::{ChangeError, StoreError};
pub use self::part::{Need, Part};

use self::audit::{Act, AuditLog};
use self::file::SealedFile;
use self::memory::Memory;
use self::seal::{Keyring, MasterKey};
use crate::domain::directory::Directory;

/// Where the directory lives. A closed set: whoever adds one is shown every place by the compiler. Clones share it.
#[derive(Clone)]
pub struct Store {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    SealedFile(Arc<SealedFile>),
    Memory(Arc<Memory>),
}

/// What becomes of the directory as it was before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    Keep,
    /// Something in it must not be found again, such as a deleted credential. The sealed file's previous generation goes
    /// before the new one comes, and is then a copy of the new one: the sealed bytes are gone from both, at whatever
    /// moment the process dies.
    Forget,
}

impl Store {
    /// Opens the sealed file, or makes it with an empty directory, so that its salt is settled from the first moment.
    /// A file that is damaged, foreign or under another key is an error and stays as it is.
    pub async fn sealed_file(path: PathBuf, keys: Vec<MasterKey>) -> Result<Self, StoreError> {
        let file = blocking(move || SealedFile::open(path, &keys)).await??;
        Ok(Self { kind: Kind::SealedFile(Arc::new(file)) })
    }

    /// Keeps nothing beyond the process: for tests, and for a start where nothing can be written.
    pub fn memory(keyring: Keyring) -> Self {
        Self { kind: Kind::Memory(Arc::new(Memory::new(keyring))) }
    }

    pub fn keyring(&self) -> &Arc<Keyring> {
        match &self.kind {
            Kind::SealedFile(file) => file.keyring(),
            Kind::Memory(memory) => memory.keyring(),
        }
    }

    /// What is asked for of the stored directory as it is now. Nobody's poll misses a change for it.
    pub async fn load(&self, part: &Part) -> Result<Directory, StoreError> {
        match &self.kind {
            Kind::SealedFile(file) => {
                let file = Arc::clone(file);
                Ok(blocking(move || file.read()).await??.directory)
            }
            Kind::Memory(memory) => Ok(memory.load(part)),
        }
    }

    /// The whole directory, for the one who serves from it: `changed` tells what came after.
    pub async fn take_up(&self) -> Result<Directory, StoreError> {
        match &self.kind {
            Kind::SealedFile(file) => {
                let file = Arc::clone(file);
                Ok(blocking(move || file.take_up()).await??.directory)
            }
            Kind::Memory(memory) => Ok(memory.take_up()),
        }
    }

    /// The audit log as it is now.
    pub async fn audit(&self) -> Result<AuditLog, StoreError> {
        match &self.kind {
            Kind::SealedFile(file) => {
                let file = Arc::clone(file);
                Ok(blocking(move || file.read()).await??.audit)
            }
            Kind::Memory(memory) => Ok(memory.audit()),
        }
    }

    /// Is there anything other than what `take_up` last read, be it good or damaged? Cheap: asked every 500 ms.
    pub async fn changed(&self) -> Result<bool, StoreError> {
        match &self.kind {
            Kind::SealedFile(file) => {
                let file = Arc::clone(file);
                Ok(blocking(move || file.changed()).await??)
            }
            Kind::Memory(memory) => Ok(memory.changed()),
        }
    }

    /// One transaction: the part is read as it is now, the rule changes it, the directory's version grows by one, the act
    /// goes into the audit log, and all of it is written; or nothing is. Whoever drops the future does not stop a change
    /// that has begun.
    pub async fn change<T, E, R>(&self, act: Act, part: Part, previous: Previous, rule: R) -> Result<T, ChangeError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        R: FnOnce(&mut Directory) -> Result<T, E> + Send + 'static,
    {
        match &self.kind {
            Kind::SealedFile(file) => {
                let turn = file.turn().await;
                let file = Arc::clone(file);
                // The turn goes along, so that a caller who hangs up does not let a second writer in.
                let change = move || {
                    let result = file.change(&act, previous, rule);
                    drop(turn);
                    result
                };
                blocking(change).await?
            }
            Kind::Memory(memory) => memory.change(&act, &part, rule),
        }
    }
}

/// Files are read and written on a thread that may wait. Writers take turns and readers are the poll and few admin calls,
/// so these are few threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Ok(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Stopped),
        },
    }
}
