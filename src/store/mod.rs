//! Keeps the directory: reads what is asked for of it, changes it in transactions, says when it changed.
//!
//! Gives a `Directory` without what `gateway.toml` declares, and takes rules that change one. What it keeps beside it: the
//! audit log, written in the same transaction as each change. It must not know who may change what: that is for
//! `directory`, which passes the rule in.
//!
//! `seal` is the only place that seals and opens; `state` keeps what traffic shows.

pub mod audit;
pub mod changes;
mod contents;
mod difference;
pub mod error;
pub mod export;
mod file;
mod image;
pub mod ledger;
mod memory;
pub mod mirror;
pub mod part;
mod postgres;
mod replace;
mod rows;
pub mod seal;
mod select;
pub mod state;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::error::{ChangeError, StoreError};
pub use self::part::{Need, Part};

use sqlx::postgres::PgListener;

use self::audit::{Act, AuditLog, Broken, Head, Record, Verified};
use self::changes::{Changes, What};
use self::export::Export;
use self::file::SealedFile;
use self::memory::Memory;
use self::postgres::Database;
use self::postgres::schema::Schema;
use self::seal::{Keyring, MasterKey};
use self::state::Keeping;
use crate::domain::directory::Directory;
use crate::domain::secret::Secret;

/// Where the directory lives. A closed set: whoever adds one is shown every place by the compiler. Clones share it.
#[derive(Clone)]
pub struct Store {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    SealedFile(Arc<SealedFile>),
    Memory(Arc<Memory>),
    Postgres(Arc<Database>),
}

/// Rings when a directory was changed.
pub struct Bell(PgListener);

impl Bell {
    /// An error is the bell's end; it may have rung unheard.
    pub async fn rings(&mut self) -> Result<(), StoreError> {
        match self.0.try_recv().await? {
            Some(_) => Ok(()),
            None => Err(StoreError::away("the connection that hears of changes was lost")),
        }
    }
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

    /// Opens the database, bringing its schema up to date. One that is away, or under other keys, is an error.
    pub async fn postgres(url: &Arc<Secret>, keys: Vec<MasterKey>) -> Result<Self, StoreError> {
        Ok(Self { kind: Kind::Postgres(Arc::new(Database::open(url, keys).await?)) })
    }

    /// The database as it will be when it is back: for a start without it, with the keyring that the mirror remembers.
    pub fn postgres_apart(url: &Arc<Secret>, keyring: Keyring) -> Result<Self, StoreError> {
        Ok(Self { kind: Kind::Postgres(Arc::new(Database::apart(url, keyring)?)) })
    }

    /// Opens the database if there is a directory in it; makes and changes nothing.
    pub async fn existing_postgres(url: &Arc<Secret>, keys: Vec<MasterKey>) -> Result<Option<Self>, StoreError> {
        let database = Database::look(url, keys).await?;
        Ok(database.map(|database| Self { kind: Kind::Postgres(Arc::new(database)) }))
    }

    /// How the tables of a database stand to this version of Keyway; changes nothing.
    pub async fn schema(url: &Secret) -> Result<Schema, StoreError> {
        postgres::schema::look(url).await
    }

    /// Brings the tables of a database up to date; gives how they stood.
    pub async fn migrate(url: &Secret) -> Result<Schema, StoreError> {
        postgres::schema::migrate(url).await
    }

    /// Keeps nothing beyond the process: for tests, and for a start where nothing can be written.
    pub fn memory(keyring: Keyring) -> Self {
        Self { kind: Kind::Memory(Arc::new(Memory::new(keyring))) }
    }

    pub fn keyring(&self) -> &Arc<Keyring> {
        match &self.kind {
            Kind::SealedFile(file) => file.keyring(),
            Kind::Memory(memory) => memory.keyring(),
            Kind::Postgres(database) => database.keyring(),
        }
    }

    /// Where exchanges are kept: in this file beside a sealed one, else with the directory; nowhere where nothing is kept.
    pub fn ledger(&self, file: PathBuf) -> Keeping {
        match &self.kind {
            Kind::SealedFile(_) => Keeping::File(file),
            Kind::Memory(_) => Keeping::Nowhere,
            Kind::Postgres(database) => database.state(),
        }
    }

    /// Where what traffic shows belongs: in this file beside a sealed one, else with the directory.
    pub fn state(&self, file: PathBuf) -> Keeping {
        match &self.kind {
            Kind::SealedFile(_) => Keeping::File(file),
            Kind::Memory(_) => Keeping::Memory,
            Kind::Postgres(database) => database.state(),
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
            Kind::Postgres(database) => database.load(part).await,
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
            Kind::Postgres(database) => database.take_up().await,
        }
    }

    /// Audit records, the newest first, of those before one.
    pub async fn audit_records(&self, before: Option<u64>, limit: u32) -> Result<Vec<Record>, StoreError> {
        match &self.kind {
            Kind::SealedFile(file) => Ok(audit_in(file).await?.page(before, limit)),
            Kind::Memory(memory) => Ok(memory.audit().page(before, limit)),
            Kind::Postgres(database) => database.audit_records(before, limit).await,
        }
    }

    /// Walks the audit chain. `expected` is a link that somebody remembers, from a log line: a chain that lacks it was cut.
    pub async fn verify_audit(&self, expected: Option<&str>) -> Result<Result<Verified, Broken>, StoreError> {
        match &self.kind {
            Kind::SealedFile(file) => Ok(audit_in(file).await?.verify(expected, file.keyring())),
            Kind::Memory(memory) => Ok(memory.audit().verify(expected, memory.keyring())),
            Kind::Postgres(database) => database.verify_audit(expected).await,
        }
    }

    /// What is different from a version that somebody has. The sealed file says only whether anything is.
    pub async fn changes_since(&self, version: u64) -> Result<Changes, StoreError> {
        match &self.kind {
            Kind::SealedFile(file) => {
                let file = Arc::clone(file);
                let now = blocking(move || file.read()).await??.directory.version;
                let what = if now == version { What::nothing() } else { What::Everything };
                Ok(Changes { version: now, what })
            }
            Kind::Memory(memory) => Ok(memory.changes_since(version)),
            Kind::Postgres(database) => database.changes_since(version).await,
        }
    }

    /// Something that rings at changes of other processes, where there is such a thing. It may miss some: `changes_since`
    /// never does.
    pub async fn bell(&self) -> Result<Option<Bell>, StoreError> {
        match &self.kind {
            Kind::SealedFile(_) | Kind::Memory(_) => Ok(None),
            Kind::Postgres(database) => Ok(Some(Bell(database.bell().await?))),
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
            Kind::Postgres(database) => database.changed().await,
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
            Kind::Postgres(database) => database.change(act, part, rule).await,
        }
    }
}

impl Store {
    /// Everything, for another store.
    pub async fn export(&self) -> Result<Export, StoreError> {
        let directory = self.load(&Part::everything()).await?;
        let newest = self.audit_records(None, 1).await?;
        let head = newest.first().map_or(Head::START, Record::head);
        Export::of(&directory, head, self.keyring()).map_err(|error| StoreError::Unencodable(error.to_string()))
    }

    /// What the store itself has under an encryption key comes under the first one: the last step of a rotation.
    pub async fn rekey(&self, act: Act) -> Result<(), StoreError> {
        let nothing_else = |_: &mut Directory| Ok::<_, Infallible>(());
        let changed = self.change(act, Part::default(), Previous::Forget, nothing_else).await;
        changed.map_err(|error| match error {
            ChangeError::Store(error) => error,
            ChangeError::Refused(never) => match never {},
        })?;
        match &self.kind {
            // They are written whole, under the first key, by each change.
            Kind::SealedFile(_) | Kind::Memory(_) => Ok(()),
            Kind::Postgres(database) => database.rekey().await,
        }
    }
}

async fn audit_in(file: &Arc<SealedFile>) -> Result<AuditLog, StoreError> {
    let file = Arc::clone(file);
    Ok(blocking(move || file.read()).await??.audit)
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
