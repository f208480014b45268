//! Parts of the directory that were asked for, with what they compile to: bounded by bytes, the least used goes first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::domain::directory::Directory;
use crate::domain::entity::{Org, User, Workspace};
use crate::domain::id::Id;
use crate::domain::token::TokenHash;
use crate::snapshot::{Platform, TokenEntry, WorkspaceView, build};
use crate::store::changes::What;
use crate::store::mirror::{Mirror, Place, Touching};

/// How long a token that nobody knows is not asked for again. One that is made meanwhile is known at once all the same, for
/// the change names it.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// Such tokens that are remembered at once: some MiB, and more than may be asked for in that time.
const NOBODYS_MAX: u64 = 10_000;

/// What an entry takes beside its text: itself, the cache's own books, and the value that it compiles to, empty. Measured.
const ENTRY_BYTES: usize = 2_048;
/// What a byte of an entry's text takes in all: itself, and what it compiles to. Measured.
const BYTES_PER_BYTE: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Token(TokenHash),
    Workspace(Id<Workspace>),
}

#[derive(Clone)]
pub(super) enum Entry {
    Token(Arc<KeptToken>),
    Workspace(Arc<KeptWorkspace>),
}

/// A token with its user and the user's own credentials.
pub(super) struct KeptToken {
    hash: TokenHash,
    workspace: Id<Workspace>,
    user: Option<Id<User>>,
    kept: Kept<TokenEntry>,
}

/// A workspace with its org and everything it owns.
pub(super) struct KeptWorkspace {
    id: Id<Workspace>,
    org: Option<Id<Org>>,
    kept: Kept<WorkspaceView>,
}

/// A part as text, and what it was last compiled to.
struct Kept<T> {
    text: Arc<[u8]>,
    compiled: ArcSwapOption<Compiled<T>>,
}

struct Compiled<T> {
    platform: Arc<Platform>,
    value: Option<Arc<T>>,
}

impl<T> Kept<T> {
    fn new(part: &Directory) -> Self {
        // A part came out of a store as text, so it can be written; and nothing is what an unwritten one compiles to.
        let text = serde_json::to_vec(part).unwrap_or_default().into();
        Self { text, compiled: ArcSwapOption::empty() }
    }

    /// Compiles anew only when the platform has changed: some ten microseconds a workspace, and no question to the store.
    fn under(&self, platform: &Arc<Platform>, compile: impl FnOnce(&Directory) -> Option<T>) -> Option<Arc<T>> {
        if let Some(compiled) = &*self.compiled.load()
            && Arc::ptr_eq(&compiled.platform, platform)
        {
            return compiled.value.clone();
        }
        let part: Directory = serde_json::from_slice(&self.text).unwrap_or_default();
        let value = compile(&part).map(Arc::new);
        self.compiled.store(Some(Arc::new(Compiled { platform: platform.clone(), value: value.clone() })));
        value
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES + BYTES_PER_BYTE * self.text.len()
    }
}

impl KeptToken {
    pub(super) fn new(hash: TokenHash, part: &Directory) -> Option<Self> {
        let token = part.tokens.iter().find(|token| token.hash == hash)?;
        Some(Self { hash, workspace: token.workspace, user: token.user, kept: Kept::new(part) })
    }

    pub(super) const fn workspace(&self) -> Id<Workspace> {
        self.workspace
    }

    pub(super) fn under(&self, platform: &Arc<Platform>) -> Option<Arc<TokenEntry>> {
        self.kept.under(platform, |part| build::token(&self.hash, part, platform))
    }

    pub(super) fn bytes(&self) -> usize {
        self.kept.bytes()
    }
}

impl KeptWorkspace {
    pub(super) fn new(id: Id<Workspace>, part: &Directory, declared: &Directory) -> Self {
        let mut all = part.workspaces.iter().chain(&declared.workspaces);
        Self { id, org: all.find(|one| one.id == id).map(|one| one.org), kept: Kept::new(part) }
    }

    pub(super) fn under(&self, platform: &Arc<Platform>, declared: &Directory) -> Option<Arc<WorkspaceView>> {
        self.kept.under(platform, |part| build::view(self.id, part, declared, platform))
    }

    pub(super) fn bytes(&self) -> usize {
        self.kept.bytes()
    }
}

pub(super) struct Shelf {
    cache: Cache<Key, Entry>,
    /// Tokens that nobody has. Apart from the rest, so that whoever guesses pushes nothing out but guesses.
    nobodys: Cache<TokenHash, ()>,
    /// The version up to which everything that changed was taken down. What was read before it may be older. Its lock keeps
    /// the mirror in step: what is put up and taken down reaches it in the same order.
    taken_down_to: Mutex<u64>,
    mirror: Option<Arc<Mirror>>,
}

impl Shelf {
    pub(super) fn new(bytes: u64, mirror: Option<Arc<Mirror>>) -> Self {
        let weigh = |_: &Key, entry: &Entry| u32::try_from(entry.bytes()).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(bytes).weigher(weigh).eviction_policy(EvictionPolicy::lru()).build();
        let nobodys = Cache::builder().max_capacity(NOBODYS_MAX).time_to_live(UNKNOWN_FOR).build();
        Self { cache, nobodys, taken_down_to: Mutex::new(0), mirror }
    }

    pub(super) fn is_nobodys(&self, hash: &TokenHash) -> bool {
        self.nobodys.contains_key(hash)
    }

    pub(super) fn token(&self, hash: &TokenHash) -> Option<Arc<KeptToken>> {
        match self.cache.get(&Key::Token(*hash)) {
            Some(Entry::Token(kept)) => Some(kept),
            _ => None,
        }
    }

    pub(super) fn workspace(&self, id: Id<Workspace>) -> Option<Arc<KeptWorkspace>> {
        match self.cache.get(&Key::Workspace(id)) {
            Some(Entry::Workspace(kept)) => Some(kept),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// Puts up what was read of a version; not if something changed since that this might lack.
    pub(super) fn put(&self, key: Key, entry: Entry, version: u64) -> bool {
        let taken_down_to = self.taken_down_to.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = version >= *taken_down_to;
        if is_new {
            if let Some(mirror) = &self.mirror {
                entry.reflect(mirror);
            }
            self.cache.insert(key, entry);
        }
        is_new
    }

    /// Puts up what the mirror gave, which needs no reflection. Whatever is taken down next takes this down too.
    pub(super) fn put_back(&self, key: Key, entry: Entry) {
        let _in_step = self.taken_down_to.lock().unwrap_or_else(PoisonError::into_inner);
        self.cache.insert(key, entry);
    }

    /// Likewise.
    pub(super) fn put_nobodys(&self, hash: TokenHash, version: u64) {
        let taken_down_to = self.taken_down_to.lock().unwrap_or_else(PoisonError::into_inner);
        if version >= *taken_down_to {
            self.nobodys.insert(hash, ());
        }
    }

    /// Takes down whatever a change touched.
    pub(super) fn take_down(&self, what: &What, version: u64) {
        let mut taken_down_to = self.taken_down_to.lock().unwrap_or_else(PoisonError::into_inner);
        *taken_down_to = version;
        if let Some(mirror) = &self.mirror {
            mirror.forget(what);
        }
        let What::These(touched) = what else {
            self.cache.invalidate_all();
            self.nobodys.invalidate_all();
            return;
        };
        touched.tokens.iter().for_each(|hash| self.cache.invalidate(&Key::Token(*hash)));
        touched.tokens.iter().for_each(|hash| self.nobodys.invalidate(hash));
        touched.workspaces.iter().for_each(|id| self.cache.invalidate(&Key::Workspace(*id)));
        if touched.orgs.is_empty() && touched.users.is_empty() {
            return;
        }
        let is_touched = |entry: &Entry| match entry {
            Entry::Token(token) => token.user.is_some_and(|user| touched.users.contains(&user)),
            Entry::Workspace(workspace) => workspace.org.is_some_and(|org| touched.orgs.contains(&org)),
        };
        let found: Vec<_> = self.cache.iter().filter(|(_, entry)| is_touched(entry)).map(|(key, _)| *key).collect();
        found.iter().for_each(|key| self.cache.invalidate(key));
    }
}

impl Entry {
    fn reflect(&self, mirror: &Mirror) {
        match self {
            Self::Token(token) => {
                let touching = Touching { user: token.user, ..Touching::default() };
                mirror.put(Place::Token(token.hash), touching, token.kept.text.clone());
            }
            Self::Workspace(workspace) => {
                let touching = Touching { org: workspace.org, ..Touching::default() };
                mirror.put(Place::Workspace(workspace.id), touching, workspace.kept.text.clone());
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Token(token) => token.bytes(),
            Self::Workspace(workspace) => workspace.bytes(),
        }
    }
}
