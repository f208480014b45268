//! What traffic shows, as opposed to what people decided: how credentials fare, when things were last used, and whose the
//! objects are that lie at providers under a shared credential.
//!
//! Takes notes, which never wait and never fail, and questions, which are answered or given up within two seconds. Behind
//! both is one task, the `Keeper`, which alone touches the database, on the control runtime: SQLite where Keyway is
//! embedded, Postgres otherwise. Losing the database costs the record of objects, and otherwise only what is displayed.
//!
//! `replays` keeps what was answered under an idempotency key, `transcript` the conversations that can be gone on from.

mod board;
mod keeper;
mod kept;
mod message;
mod notes;
mod object;
mod open;
pub mod replays;
mod sql;
mod transcript;

pub use self::board::{CredentialState, TROUBLED_MAX};
pub use self::keeper::Keeper;
pub use self::message::Away;
pub use self::notes::Used;
pub use self::object::{Object, ObjectKind, Order, Page};
pub use self::open::Keeping;
pub(in crate::store) use self::open::{Tables, Unopened};
pub(in crate::store) use self::sql::{Db, on};
pub use self::sql::{TABLES, TRANSCRIPTS};
pub use self::transcript::{TRANSCRIPT_LIMIT_BYTES, Transcript};

use std::fmt::{self, Display};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use self::board::Board;
use self::message::{Answer, Ask, Message, Note};
use self::transcript::WAITING_LIMIT_BYTES;
use crate::domain::entity::{Provider, SavedCredential, Workspace};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::store::seal::Keyring;

/// Who asks waits so long, the database's own time included.
const PATIENCE: Duration = Duration::from_secs(2);

/// Questions waiting for an answer. Their calls wait with them, so more would only be refused later.
const ASKING_MAX: usize = 64;

/// Notes on their way to the keeper: two seconds of a database that hangs, at 4,000 calls a second.
const NOTES_MAX: usize = 8_192;

/// The state as everybody else sees it. Clones share it.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Message>,
}

struct Shared {
    /// Bytes of transcripts that wait to be written.
    waiting_bytes: AtomicUsize,
    board: Board,
    asking: Semaphore,
    dropped: AtomicU64,
    /// Why the database could not be asked the last time.
    trouble: ArcSwapOption<String>,
}

impl State {
    /// The state, and the keeper that somebody has to run: until then notes wait, and who asks hears nothing.
    pub fn new(keeping: Keeping, keyring: Arc<Keyring>) -> (Self, Keeper) {
        let (inbox, messages) = mpsc::channel(NOTES_MAX);
        let shared = Arc::new(Shared {
            waiting_bytes: AtomicUsize::new(0),
            board: Board::default(),
            asking: Semaphore::new(ASKING_MAX),
            dropped: AtomicU64::new(0),
            trouble: ArcSwapOption::empty(),
        });
        let keeper = Keeper::new(keeping, messages, shared.clone(), keyring);
        (Self { shared, inbox }, keeper)
    }

    /// Notes how a credential fares. Only news costs anything.
    pub fn note(&self, credential: SavedCredential, state: CredentialState) {
        if self.shared.board.note(credential, state) {
            if matches!(state, CredentialState::Undecryptable { .. }) {
                let id = credential.id;
                tracing::warn!(
                    credential = %id,
                    "Failed to decrypt workspace API key; bring back the encryption key that sealed it, or save it again"
                );
            }
            self.tell(Note::Credential(credential, state));
        }
    }

    pub fn credential(&self, credential: SavedCredential) -> CredentialState {
        self.shared.board.of(credential)
    }

    /// Is nothing held against any credential?
    pub fn all_is_well(&self) -> bool {
        self.shared.board.is_clear()
    }

    /// All credentials that something is held against, in the order of their ids.
    pub fn troubled(&self) -> Vec<(SavedCredential, CredentialState)> {
        self.shared.board.troubled()
    }

    pub fn used(&self, used: Used, at: Timestamp) {
        self.tell(Note::Used(used, at));
    }

    /// When each was last used; those that never were are not in the answer.
    pub async fn last_uses(&self, of: Vec<Used>) -> Result<Vec<(Used, Timestamp)>, Away> {
        self.ask(|answer| Ask::LastUses { of, answer }).await
    }

    /// Puts an object on record without waiting. Whoever asks later through this state finds it.
    pub fn made(&self, object: Object) {
        self.tell(Note::Made(Box::new(object)));
    }

    /// Puts objects on record: they are when this returns.
    pub async fn record(&self, objects: Vec<Object>) -> Result<(), Away> {
        self.ask(|answer| Ask::Record { objects, answer }).await
    }

    /// A workspace's objects of these ids, without their descriptions.
    pub async fn find(&self, workspace: Id<Workspace>, ids: Vec<String>) -> Result<Vec<Object>, Away> {
        self.ask(|answer| Ask::Find { workspace, ids, answer }).await
    }

    pub async fn page(&self, page: Page) -> Result<Vec<Object>, Away> {
        self.ask(|answer| Ask::Page { page, answer }).await
    }

    /// An object was deleted at its provider.
    pub fn gone(&self, workspace: Id<Workspace>, id: String, provider: Id<Provider>) {
        self.tell(Note::Gone { workspace, id, provider, at: Timestamp::now() });
    }

    /// Keeps a conversation without waiting. Whoever asks later through this state finds it, unless it is too long.
    pub fn keep(&self, transcript: Transcript) {
        let bytes = transcript.bytes();
        if bytes > TRANSCRIPT_LIMIT_BYTES {
            return;
        }
        let waiting = &self.shared.waiting_bytes;
        let note = Message::Note(Note::Keep(Box::new(transcript)));
        let has_place = waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= WAITING_LIMIT_BYTES;
        if !has_place || self.inbox.try_send(note).is_err() {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.drop_one();
        }
    }

    pub async fn transcript(&self, workspace: Id<Workspace>, id: String) -> Result<Option<Transcript>, Away> {
        self.ask(|answer| Ask::Transcript { workspace, id, answer }).await
    }

    /// Forgets a conversation; was there one?
    pub async fn forget(&self, workspace: Id<Workspace>, id: String) -> Result<bool, Away> {
        self.ask(|answer| Ask::Forget { workspace, id, answer }).await
    }

    /// Notes that found no place and are lost.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Could the database not be asked the last time?
    pub fn is_away(&self) -> bool {
        self.shared.is_troubled()
    }

    /// Why the database can't be asked, if it can't.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.load().as_ref().map(|trouble| trouble.to_string())
    }

    /// Writes what was noted and closes the database; gives up after a while.
    pub async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        let closing = async {
            if self.inbox.send(Message::Close(closed)).await.is_ok() {
                let _ = is_closed.await;
            }
        };
        let _ = timeout(PATIENCE, closing).await;
    }

    fn tell(&self, note: Note) {
        if self.inbox.try_send(Message::Note(note)).is_err() {
            self.shared.drop_one();
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(Answer<T>) -> Ask) -> Result<T, Away> {
        let _place = self.shared.asking.try_acquire().map_err(|_| Away)?;
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(Message::Ask(ask(answer))).map_err(|_| Away)?;
        timeout(PATIENCE, answered).await.map_err(|_| Away)?.map_err(|_| Away)?
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({} credentials in trouble)", self.troubled().len())
    }
}

impl Shared {
    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn is_troubled(&self) -> bool {
        self.trouble.load().is_some()
    }

    /// What the database answers, in time; its trouble is said once, until it is over.
    async fn heard<T>(&self, patience: Duration, asking: impl Future<Output = Result<T, sqlx::Error>>) -> Option<T> {
        match timeout(patience, asking).await {
            Ok(Ok(answer)) => {
                if self.is_troubled() {
                    self.trouble.store(None);
                    tracing::info!("the state database answers again");
                }
                Some(answer)
            }
            Ok(Err(error)) => {
                self.is_away(&error);
                None
            }
            Err(_) => {
                self.is_away(&"it does not answer");
                None
            }
        }
    }

    fn is_away(&self, fault: &dyn Display) {
        let text = format!("the state database is away: {fault}");
        if !self.is_troubled() {
            tracing::warn!("{text}; calls about files, batches and stored responses are refused until it is back");
        }
        self.trouble.store(Some(Arc::new(text)));
    }
}

#[cfg(test)]
mod tests;
