//! The library's other side, on the control plane: asks the store what calls want to know, and keeps up with its changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::shelf::{Entry, KeptToken, KeptWorkspace, Key};
use super::{Answer, Ask, Common, Library, WAITING_MAX};
use crate::config::Routing;
use crate::domain::directory::Directory;
use crate::domain::entity::Owner;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::snapshot::{Unbuildable, build};
use crate::store::changes::What;
use crate::store::mirror::{Known, Mirror, Place, Touching};
use crate::store::{Need, Part, Store, StoreError};

/// How often something is read again because it changed while it was read. Under a storm of changes the last reading
/// answers the call that asked, and is not kept.
const READINGS_MAX: usize = 3;

/// After this long without the store's answer the mirror is asked too: before the call that waits gives up, and long after a
/// store that is well has answered.
const MIRROR_AFTER: Duration = Duration::from_millis(500);

/// What may be set about it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What is kept of workspaces and tokens in memory.
    pub cache_bytes: usize,
    /// How long what is known is served without hearing from the store.
    pub serve_without: Duration,
    /// Threads that look callers up.
    pub threads: usize,
}

/// Why the library is not what the store says.
#[derive(Debug, thiserror::Error)]
pub enum CatchUp {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unbuildable(#[from] Unbuildable),
}

pub struct Keeper {
    library: Arc<Library>,
    store: Store,
    mirror: Option<Arc<Mirror>>,
    serve_without: Duration,
    /// The version that all changes were taken up to.
    version: AtomicU64,
    /// When the store was last heard, by the clock on the wall: a restart does not lengthen what is served without it.
    heard: AtomicI64,
    /// Whoever takes up changes or settings: one at a time.
    settings: Mutex<Settings>,
}

struct Settings {
    routing: Routing,
    /// The platform that is in force is not the newest.
    is_behind: bool,
}

impl Keeper {
    /// Reads what all workspaces share, from the store, or from the mirror while the store is away. The second value is the
    /// keeper's own work, to be run as long as the library is used.
    pub async fn start(
        store: Store,
        mirror: Option<Mirror>,
        declared: Arc<Directory>,
        routing: Routing,
        bounds: Bounds,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>), CatchUp> {
        let mirror = mirror.map(Arc::new);
        let (stored, known) = begin(&store, mirror.as_deref(), &declared, bounds.serve_without).await?;
        let platform = Arc::new(build::platform(&stored, &declared, &routing)?);
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let common = Common { platform, declared };
        let keeper = Arc::new(Self {
            library: Arc::new(Library::new(common, bounds, mirror.clone(), asks)),
            store,
            mirror,
            serve_without: bounds.serve_without,
            version: AtomicU64::new(known.version),
            heard: AtomicI64::new(known.heard.0),
            settings: Mutex::new(Settings { routing, is_behind: false }),
        });
        let working = keeper.clone();
        let work = async move {
            tokio::select! {
                () = answer_all(working.clone(), asked) => {}
                () = working.write_behind() => {}
            }
        };
        Ok((keeper, work))
    }

    async fn write_behind(&self) {
        match &self.mirror {
            Some(mirror) => mirror.write_behind().await,
            None => std::future::pending().await,
        }
    }

    /// Everything that is at hand now will be after a restart.
    pub async fn settle(&self) {
        if let Some(mirror) = &self.mirror
            && let Err(error) = mirror.flush().await
        {
            tracing::warn!(%error, "the mirror can't be written");
        }
    }

    pub const fn library(&self) -> &Arc<Library> {
        &self.library
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Asks the store what is different from what is known, and lets go of that. Says whether anything was.
    pub async fn catch_up(&self) -> Result<bool, CatchUp> {
        let mut settings = self.settings.lock().await;
        let since = self.version();
        let changes = match self.store.changes_since(since).await {
            Ok(changes) => changes,
            Err(error) => {
                self.has_not_heard();
                return Err(error.into());
            }
        };
        self.has_heard();
        if changes.version == since && !settings.is_behind {
            self.mirrored(since);
            return Ok(false);
        }
        // First what may be a revocation, then what takes a reading.
        self.library.take_down(&changes.what, changes.version);
        if settings.is_behind || self.touches_common(&changes.what) {
            settings.is_behind = true;
            let declared = self.library.common.load().declared.clone();
            let stored = self.store.load(&common_part(&declared)).await?;
            self.take_up_common(&stored, declared, &settings.routing)?;
            settings.is_behind = false;
        }
        self.version.store(changes.version, Ordering::Relaxed);
        self.mirrored(changes.version);
        Ok(true)
    }

    /// The settings say something else from now on. While the store is away they are taken up with what is known of it.
    pub async fn redeclare(&self, declared: Arc<Directory>, routing: Routing) -> Result<(), CatchUp> {
        let mut settings = self.settings.lock().await;
        let stored = match self.store.load(&common_part(&declared)).await {
            Err(StoreError::Away { why }) => match &self.mirror {
                Some(mirror) => mirror.get(Place::Common).await.ok_or(StoreError::Away { why })?,
                None => return Err(StoreError::Away { why }.into()),
            },
            stored => stored?,
        };
        self.take_up_common(&stored, declared, &routing)?;
        settings.routing = routing;
        Ok(())
    }

    fn take_up_common(&self, stored: &Directory, declared: Arc<Directory>, routing: &Routing) -> Result<(), CatchUp> {
        let platform = Arc::new(build::platform(stored, &declared, routing)?);
        if let Some(mirror) = &self.mirror {
            reflect_common(mirror, stored);
        }
        self.library.set_common(Common { platform, declared });
        Ok(())
    }

    /// What the mirror will hold when all that waits is written is of this version, and of now.
    fn mirrored(&self, version: u64) {
        if let Some(mirror) = &self.mirror {
            mirror.heard(Known { version, heard: Timestamp::now() });
        }
    }

    /// The first two workspaces count, and the names of all orgs and workspaces are held against those of the settings.
    fn touches_common(&self, what: &What) -> bool {
        let What::These(touched) = what else { return true };
        let common = self.library.common.load();
        let names = !common.declared.orgs.is_empty() || !common.declared.workspaces.is_empty();
        touched.platform || (names && !(touched.workspaces.is_empty() && touched.orgs.is_empty()))
    }

    fn has_heard(&self) {
        self.heard.store(Timestamp::now().0, Ordering::Relaxed);
        self.library.set_closed(false);
    }

    fn has_not_heard(&self) {
        let silent_ms = Timestamp::now().0.saturating_sub(self.heard.load(Ordering::Relaxed));
        let is_too_long = u128::try_from(silent_ms).is_ok_and(|silent| silent > self.serve_without.as_millis());
        self.library.set_closed(is_too_long);
    }

    async fn answer(&self, hash: TokenHash) -> Answer {
        let mut reading = std::pin::pin!(self.read(hash));
        let mut read = timeout(MIRROR_AFTER, &mut reading).await;
        if matches!(read, Err(_) | Ok(Err(StoreError::Away { .. }))) {
            if let Some(answer) = self.remembered(hash).await {
                return answer;
            }
            // It may be no more than slow.
            if read.is_err() {
                read = Ok(reading.await);
            }
        }
        match read {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a token could not be looked up");
                Answer::Away
            }
            Err(_) => Answer::Away,
        }
    }

    /// From the mirror. That it lacks a token says nothing about the token.
    async fn remembered(&self, hash: TokenHash) -> Option<Answer> {
        let mirror = self.mirror.as_ref()?;
        let token = KeptToken::new(hash, &mirror.get(Place::Token(hash)).await?)?;
        let of_workspace = match self.library.shelf.workspace(token.workspace()) {
            Some(kept) => kept,
            None => {
                let part = mirror.get(Place::Workspace(token.workspace())).await?;
                let declared = self.library.common.load().declared.clone();
                Arc::new(KeptWorkspace::new(token.workspace(), &part, &declared))
            }
        };
        let token = Arc::new(token);
        self.library.shelf.put_back(Key::Token(hash), Entry::Token(token.clone()));
        self.library.shelf.put_back(Key::Workspace(token.workspace()), Entry::Workspace(of_workspace.clone()));
        Some(Answer::Found(token, of_workspace))
    }

    async fn read(&self, hash: TokenHash) -> Result<Answer, StoreError> {
        let mut readings = 1;
        loop {
            let (answer, is_kept) = self.read_once(hash).await?;
            if is_kept || readings == READINGS_MAX {
                return Ok(answer);
            }
            readings += 1;
        }
    }

    /// What the store says, and whether it could be put on the shelf.
    async fn read_once(&self, hash: TokenHash) -> Result<(Answer, bool), StoreError> {
        let shelf = &self.library.shelf;
        let found = self.store.load(&Need::TokenHash(hash).into()).await?;
        let version = found.version;
        let Some(token) = found.tokens.first() else {
            shelf.put_nobodys(hash, version);
            return Ok((Answer::Nobody, true));
        };
        let users_own = token.user.filter(|_| token.made_by_its_user).map(|user| Need::OwnedBy(Owner::User(user)));
        let workspace = token.workspace;
        let on_shelf = shelf.workspace(workspace);
        let owned = on_shelf.is_none().then_some(Need::OwnedBy(Owner::Workspace(workspace)));
        let wanted = Part::of(users_own.clone()).and(owned);
        let more = match users_own.is_some() || on_shelf.is_none() {
            true => self.store.load(&wanted).await?,
            false => Directory::default(),
        };
        let credentials = more.credentials.iter().filter(|one| matches!(one.owner, Owner::User(_))).cloned().collect();
        let part = Directory { credentials, ..found };
        let Some(token) = KeptToken::new(hash, &part).map(Arc::new) else { return Ok((Answer::Nobody, true)) };
        let of_workspace = on_shelf.unwrap_or_else(|| {
            let mut part = more;
            part.credentials.retain(|one| one.owner == Owner::Workspace(workspace));
            let declared = self.library.common.load().declared.clone();
            Arc::new(KeptWorkspace::new(workspace, &part, &declared))
        });
        let is_kept = shelf.put(Key::Token(hash), Entry::Token(token.clone()), version)
            && shelf.put(Key::Workspace(workspace), Entry::Workspace(of_workspace.clone()), version);
        Ok((Answer::Found(token, of_workspace), is_kept))
    }
}

/// One question for each token, however many calls wait for its answer.
async fn answer_all(keeper: Arc<Keeper>, mut asked: mpsc::Receiver<Ask>) {
    let mut waiting: HashMap<TokenHash, Vec<oneshot::Sender<Answer>>> = HashMap::new();
    let mut reading = JoinSet::new();
    loop {
        tokio::select! {
            ask = asked.recv() => {
                let Some(Ask { hash, answer }) = ask else { return };
                let waiters = waiting.entry(hash).or_default();
                waiters.push(answer);
                if waiters.len() == 1 {
                    let keeper = keeper.clone();
                    reading.spawn(async move { (hash, keeper.answer(hash).await) });
                }
            }
            Some(read) = reading.join_next() => {
                let Ok((hash, answer)) = read else {
                    // Which reading panicked is not known: all who wait hear that nobody answers, and ask again.
                    waiting.clear();
                    continue;
                };
                for waiter in waiting.remove(&hash).into_iter().flatten() {
                    // Who has gone away needs no answer.
                    let _ = waiter.send(answer.clone());
                }
            }
        }
    }
}

/// What all workspaces share, and of when it is.
async fn begin(
    store: &Store,
    mirror: Option<&Mirror>,
    declared: &Directory,
    serve_without: Duration,
) -> Result<(Directory, Known), StoreError> {
    let known = match mirror {
        Some(mirror) => mirror.known().await,
        None => None,
    };
    let error = match store.load(&common_part(declared)).await {
        Ok(stored) => {
            let now = Known { version: stored.version, heard: Timestamp::now() };
            if let Some(mirror) = mirror {
                mirror.forget(&match known {
                    Some(known) => store.changes_since(known.version).await?.what,
                    None => What::Everything,
                });
                reflect_common(mirror, &stored);
                mirror.heard(now);
            }
            return Ok((stored, now));
        }
        Err(error) => error,
    };
    let (Some(mirror), Some(known), StoreError::Away { .. }) = (mirror, known, &error) else { return Err(error) };
    let silent_ms = Timestamp::now().0.saturating_sub(known.heard.0);
    if u128::try_from(silent_ms).is_ok_and(|silent| silent > serve_without.as_millis()) {
        return Err(error);
    }
    let stored = mirror.get(Place::Common).await.ok_or(error)?;
    tracing::warn!(
        silent_s = silent_ms / 1_000,
        "the database is away; what the mirror remembers of it is served meanwhile"
    );
    Ok((stored, known))
}

fn reflect_common(mirror: &Mirror, stored: &Directory) {
    if let Ok(text) = serde_json::to_vec(stored) {
        mirror.put(Place::Common, Touching::default(), text.into());
    }
}

/// What the platform owns, with stored models of declared providers; and whatever has the name of something declared.
fn common_part(declared: &Directory) -> Part {
    Part::of([Need::OwnedBy(Owner::Platform)])
        .and(declared.providers.iter().map(|one| Need::Provider(one.id)))
        .and(declared.orgs.iter().map(|one| Need::OrgNamed(one.name.clone())))
        .and(declared.workspaces.iter().map(|one| Need::WorkspaceNamed(one.name.clone())))
}
