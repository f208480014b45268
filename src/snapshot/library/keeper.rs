//! The library's other side, on the control plane: asks the store what calls want to know, and keeps up with its changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::shelf::{Entry, KeptToken, KeptWorkspace, Key};
use super::{Answer, Ask, Common, Library, WAITING_MAX};
use crate::config::Routing;
use crate::domain::directory::Directory;
use crate::domain::entity::Owner;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::snapshot::{Unbuildable, build};
use crate::store::changes::What;
use crate::store::part::Page;
use crate::store::{Need, Part, Store, StoreError};

/// How often something is read again because it changed while it was read. Under a storm of changes the last reading
/// answers the call that asked, and is not kept.
const READINGS_MAX: usize = 3;

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
    /// Reads what all workspaces share. The second value is the keeper's own work, to be run until it ends with the library.
    pub async fn start(
        store: Store,
        declared: Arc<Directory>,
        routing: Routing,
        bounds: Bounds,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>), CatchUp> {
        let stored = store.load(&common_part(&declared)).await?;
        let platform = Arc::new(build::platform(&stored, &declared, &routing)?);
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let version = AtomicU64::new(platform.version);
        let common = Common { platform, declared };
        let keeper = Arc::new(Self {
            library: Arc::new(Library::new(common, bounds.cache_bytes, bounds.threads, asks)),
            store,
            serve_without: bounds.serve_without,
            version,
            heard: AtomicI64::new(Timestamp::now().0),
            settings: Mutex::new(Settings { routing, is_behind: false }),
        });
        let answering = answer_all(keeper.clone(), asked);
        Ok((keeper, answering))
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
            return Ok(false);
        }
        // First what may be a revocation, then what takes a reading.
        self.library.take_down(&changes.what, changes.version);
        if settings.is_behind || self.touches_common(&changes.what) {
            settings.is_behind = true;
            let declared = self.library.common.load().declared.clone();
            self.take_up_common(declared, &settings.routing).await?;
            settings.is_behind = false;
        }
        self.version.store(changes.version, Ordering::Relaxed);
        Ok(true)
    }

    /// The settings say something else from now on. While the store is away they are taken up with what is known of it.
    pub async fn redeclare(&self, declared: Arc<Directory>, routing: Routing) -> Result<(), CatchUp> {
        let mut settings = self.settings.lock().await;
        self.take_up_common(declared, &routing).await?;
        settings.routing = routing;
        Ok(())
    }

    async fn take_up_common(&self, declared: Arc<Directory>, routing: &Routing) -> Result<(), CatchUp> {
        let stored = self.store.load(&common_part(&declared)).await?;
        let platform = Arc::new(build::platform(&stored, &declared, routing)?);
        self.library.set_common(Common { platform, declared });
        Ok(())
    }

    /// The first two workspaces count, and the names of all orgs and workspaces are held against those of the settings.
    fn touches_common(&self, what: &What) -> bool {
        let What::These(touched) = what else { return true };
        let common = self.library.common.load();
        let names = !common.declared.orgs.is_empty() || !common.declared.workspaces.is_empty();
        let counts = names || common.platform.workspace_count < 2;
        touched.platform || (counts && !(touched.workspaces.is_empty() && touched.orgs.is_empty()))
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
        match self.read(hash).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, "a token could not be looked up");
                Answer::Away
            }
        }
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

/// What the platform owns, with stored models of declared providers; whatever has the name of something declared; and
/// whether there is more than one workspace.
fn common_part(declared: &Directory) -> Part {
    Part::of([Need::OwnedBy(Owner::Platform), Need::Workspaces(None, Page::first(2))])
        .and(declared.providers.iter().map(|one| Need::Provider(one.id)))
        .and(declared.orgs.iter().map(|one| Need::OrgNamed(one.name.clone())))
        .and(declared.workspaces.iter().map(|one| Need::WorkspaceNamed(one.name.clone())))
}
