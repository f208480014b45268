//! The one task that touches the database: takes notes and questions, in the order in which they came.
//!
//! Runs on the control runtime. Notes on credentials and uses are written together, now and then; what is put on record
//! is written at once, all that waits in one statement. A database that is away is tried again and again, and costs those
//! who ask their answer, nobody else.

mod answers;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::message::{Away, Message, Note};
use super::notes::Notes;
use super::object::{OBJECTS_MAX, Object, ObjectKind};
use super::open::{Keeping, STATE, Unopened};
use super::sql::{Db, ObjectRow};
use super::transcript::{TRIMMED_EVERY_BYTES, Transcript};
use super::{PATIENCE, Shared};
use crate::domain::entity::Workspace;
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::store::seal::Keyring;

/// What was noted is written at latest after this long, and a database that is away is tried again.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);

/// How often what is too old is forgotten. It looks at every line of some tables.
const SWEPT_EVERY: Duration = Duration::from_secs(3_600);
const SWEEP_PATIENCE: Duration = Duration::from_secs(30);

/// What is to be put on record is written at latest so much later, asked for or not: a kill costs no more than this.
const RECORDED_WITHIN: Duration = Duration::from_millis(250);
/// Or when so many wait: one statement's worth.
const RECORDED_AT: usize = 500;

/// Messages taken at a time: what waits behind a slow statement goes into one.
const TAKEN: usize = 512;

/// Objects to be put on record while the database is away, at some 200 bytes each. Who asks for one that found no place
/// hears that there is none.
const UNWRITTEN_MAX: usize = 8_192;

/// Workspaces that made objects since the last sweep; of more, the rest are held to their bound when they make another.
const MAKERS_MAX: usize = 10_000;

/// Owns the database.
pub struct Keeper {
    keeping: Keeping,
    /// Begun and not done yet: a disk that hangs is not asked twice.
    opening: Option<Opening>,
    db: Option<Db>,
    inbox: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    keyring: Arc<Keyring>,
    notes: Notes,
    unwritten: HashMap<Place, Object>,
    /// When those are written at latest.
    record_at: Instant,
    makers: HashSet<(Id<Workspace>, ObjectKind)>,
    /// Bytes of transcripts that workspaces were given since they were last held to their bound.
    kept: HashMap<Id<Workspace>, u64>,
    swept_at: Instant,
}

type Opening = Pin<Box<dyn Future<Output = Result<Db, Unopened>> + Send>>;

/// What comes of what was begun; nothing ever, where nothing was.
async fn end_of(opening: &mut Option<Opening>) -> Result<Db, Unopened> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

/// A workspace, and the ids it asks for.
type Wanted = (Id<Workspace>, Vec<String>);

/// Where an object's line is.
type Place = (Id<Workspace>, String, uuid::Uuid);

fn place(object: &Object) -> Place {
    (object.workspace, object.id.clone(), object.provider.uuid())
}

impl Keeper {
    pub(super) fn new(
        keeping: Keeping,
        inbox: mpsc::Receiver<Message>,
        shared: Arc<Shared>,
        keyring: Arc<Keyring>,
    ) -> Self {
        Self {
            keeping,
            opening: None,
            db: None,
            inbox,
            shared,
            keyring,
            notes: Notes::default(),
            unwritten: HashMap::new(),
            record_at: Instant::now(),
            makers: HashSet::new(),
            kept: HashMap::new(),
            swept_at: Instant::now(),
        }
    }

    /// Opens the database and takes up what it knows. Where that fails or takes long, `run` goes on with it.
    pub async fn open(&mut self) {
        self.begin_opening();
        match timeout(PATIENCE, end_of(&mut self.opening)).await {
            Ok(opened) => self.has_opened(opened).await,
            Err(_) => self.shared.is_away(&"it does not open"),
        }
    }

    fn begin_opening(&mut self) {
        let keeping = self.keeping.clone();
        self.opening.get_or_insert_with(|| Box::pin(async move { keeping.open(&STATE).await }));
    }

    async fn has_opened(&mut self, opened: Result<Db, Unopened>) {
        self.opening = None;
        match opened {
            Ok(db) => self.db = Some(db),
            Err(fault) => self.shared.is_away(&fault),
        }
        self.take_up().await;
    }

    /// Until told to close; writes first what was noted.
    pub async fn run(mut self) {
        let mut ticks = interval(WRITTEN_EVERY);
        // The first tick comes at once, and opens what is not open yet.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut messages = Vec::new();
        let mut closing = None;
        while closing.is_none() {
            tokio::select! {
                opened = end_of(&mut self.opening) => self.has_opened(opened).await,
                taken = self.inbox.recv_many(&mut messages, TAKEN) => {
                    if taken == 0 {
                        break;
                    }
                    closing = self.take(std::mem::take(&mut messages)).await;
                }
                () = sleep_until(self.record_at), if self.may_record() => self.record_unwritten().await,
                _ = ticks.tick() => self.tend().await,
            }
        }
        self.write().await;
        if let Some(db) = &self.db {
            db.close().await;
        }
        // Whoever closes may have stopped waiting.
        let _ = closing.map(|closed| closed.send(()));
    }

    /// Every few seconds.
    async fn tend(&mut self) {
        if self.db.is_none() {
            self.begin_opening();
        }
        self.record_unwritten().await;
        self.write().await;
        if self.keeping.is_shared() {
            self.take_up().await;
        }
        if self.swept_at.elapsed() >= SWEPT_EVERY {
            self.swept_at = Instant::now();
            self.sweep().await;
        }
    }

    /// What the database knows of credentials, unless there is a later word of our own.
    async fn take_up(&mut self) {
        let Some(db) = &self.db else { return };
        if let Some(rows) = self.shared.heard(PATIENCE, db.troubled()).await {
            self.shared.board.replace(rows, |id| self.notes.concern(id));
        }
    }

    async fn write(&mut self) {
        let Some(db) = self.db.as_ref().filter(|_| !self.notes.is_empty()) else { return };
        if self.shared.heard(PATIENCE, db.write(&self.notes)).await.is_some() {
            self.notes = Notes::default();
        }
    }

    async fn sweep(&mut self) {
        let Some(db) = &self.db else { return };
        let made = std::mem::take(&mut self.makers);
        let sweeping = async {
            db.sweep(Timestamp::now()).await?;
            db.forget_replays(Timestamp::now()).await?;
            db.forget_transcripts(Timestamp::now()).await?;
            for (workspace, kind) in made {
                db.trim(workspace, kind, OBJECTS_MAX).await?;
            }
            Ok(())
        };
        self.shared.heard(SWEEP_PATIENCE, sweeping).await;
    }

    /// Everything that waits: first what was noted, so that who asks behind a note hears of it.
    async fn take(&mut self, messages: Vec<Message>) -> Option<oneshot::Sender<()>> {
        let (mut asks, mut closing) = (Vec::new(), None);
        for message in messages {
            match message {
                Message::Note(note) => self.note(note).await,
                Message::Ask(ask) => asks.push(ask),
                Message::Close(closed) => closing = Some(closed),
            }
        }
        self.answer(asks).await;
        closing
    }

    async fn note(&mut self, note: Note) {
        match note {
            Note::Credential(credential, state) => self.notes.credential(credential, state),
            Note::Used(used, at) => {
                if !self.notes.used(used, at) {
                    self.shared.drop_one();
                }
            }
            Note::Made(object) => {
                self.made(*object);
                if self.unwritten.len() >= RECORDED_AT && self.may_record() {
                    self.record_unwritten().await;
                }
            }
            Note::Keep(transcript) => self.keep(*transcript).await,
            Note::Gone { workspace, id, provider, at } => {
                self.record_unwritten().await;
                let Some(db) = &self.db else { return self.shared.drop_one() };
                let deleted = self.shared.heard(PATIENCE, db.delete(workspace, &id, provider.uuid(), at)).await;
                if deleted.is_none() {
                    self.shared.drop_one();
                }
            }
        }
    }

    /// Written at once. While the database is away it is lost, and nobody can go on from it.
    async fn keep(&mut self, transcript: Transcript) {
        let bytes = transcript.bytes();
        let sealed = transcript.sealed(&self.keyring);
        let written = match (&self.db, sealed) {
            (Some(db), Some(sealed)) if !self.shared.is_troubled() => {
                self.shared.heard(PATIENCE, db.keep_transcript(&transcript, &sealed)).await
            }
            _ => None,
        };
        self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let Some(()) = written else { return self.shared.drop_one() };
        // Workspaces beyond those that are counted are held to their bound each time.
        let is_counted = self.kept.len() < MAKERS_MAX || self.kept.contains_key(&transcript.workspace);
        let before = self.kept.get(&transcript.workspace).copied().unwrap_or_default();
        let since = if is_counted { before.saturating_add(bytes as u64) } else { u64::MAX };
        if since < TRIMMED_EVERY_BYTES {
            self.kept.insert(transcript.workspace, since);
        } else {
            self.kept.remove(&transcript.workspace);
            if let Some(db) = &self.db {
                self.shared.heard(PATIENCE, db.trim_transcripts(transcript.workspace)).await;
            }
        }
    }

    /// While the database is away only the next tick tries, for each try may take its time.
    fn may_record(&self) -> bool {
        !self.unwritten.is_empty() && !self.shared.is_troubled()
    }

    fn made(&mut self, object: Object) {
        if self.unwritten.is_empty() {
            self.record_at = Instant::now() + RECORDED_WITHIN;
        }
        let place = place(&object);
        if self.unwritten.len() < UNWRITTEN_MAX || self.unwritten.contains_key(&place) {
            self.unwritten.insert(place, object);
        } else {
            self.shared.drop_one();
        }
    }

    async fn record_unwritten(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let objects: Vec<Object> = self.unwritten.values().cloned().collect();
        if self.record(&objects).await.is_ok() {
            self.unwritten.clear();
        }
    }

    async fn record(&mut self, objects: &[Object]) -> Result<(), Away> {
        let rows: Vec<ObjectRow> = objects.iter().map(|object| self.sealed(object)).collect();
        for object in objects {
            if self.makers.len() < MAKERS_MAX {
                self.makers.insert((object.workspace, object.kind));
            }
        }
        let db = self.db.as_ref().ok_or(Away)?;
        self.shared.heard(PATIENCE, db.record(&rows)).await.ok_or(Away)
    }
}
