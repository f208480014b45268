//! The mirror: what was read from a database, sealed on this machine's own disk, for the time when the database is away.
//!
//! It holds no more than what calls asked for, and forgets with the cache. Losing it costs nothing while the database is
//! there. Writing is behind: whoever puts something in neither waits nor fails.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, Row, SqliteConnection};
use tokio::sync::Notify;
use uuid::Uuid;

use super::changes::What;
use super::seal::{Binding, Keyring, KeyringError, MasterKey, Purpose, Salt};
use crate::domain::directory::Directory;
use crate::domain::entity::{Org, SealedBytes, User, Workspace};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;

/// Things to be written that may wait. Beyond it new ones are not mirrored; what is to be forgotten always is.
const WAITING_MAX: usize = 4_096;
/// What is put in is on the disk this much later: one transaction for all of it.
const FLUSH: Duration = Duration::from_millis(200);
/// That nothing has changed is written down this often; a restart believes it heard the database that much earlier.
const NEWS: Duration = Duration::from_secs(10);
/// When the bound is reached, this part of it is let go, the oldest first.
const LET_GO: u64 = 10;

const TABLES: &str = "
create table if not exists head (
    one integer primary key check (one = 1), salt blob not null, check_value blob not null,
    version integer not null, heard integer not null
);
create table if not exists parts (
    kind integer not null, id blob not null, org blob, holder blob, written integer not null, sealed blob not null,
    primary key (kind, id)
);
create index if not exists parts_by_org on parts (org) where org is not null;
create index if not exists parts_by_holder on parts (holder) where holder is not null;
create index if not exists parts_by_age on parts (written)";

/// Which part of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What all workspaces share.
    Common,
    Token(TokenHash),
    Workspace(Id<Workspace>),
}

/// Which changes of others touch it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Touching {
    pub org: Option<Id<Org>>,
    pub user: Option<Id<User>>,
}

/// What was known when it was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub version: u64,
    /// When the database was last heard.
    pub heard: Timestamp,
}

#[derive(Debug, thiserror::Error)]
#[error("the mirror {} can't be used: {why}", path.display())]
pub struct Unusable {
    path: PathBuf,
    why: String,
}

pub struct Mirror {
    pool: SqlitePool,
    keyring: Arc<Keyring>,
    bytes_max: u64,
    queue: Mutex<Queue>,
    is_waiting: Notify,
}

#[derive(Default)]
struct Queue {
    steps: Vec<Step>,
    known: Option<Known>,
}

enum Step {
    Put { place: Place, touching: Touching, text: Arc<[u8]> },
    Forget(What),
}

impl Mirror {
    /// The keyring of the database that a mirror is of; none where there is no mirror. For a start without the database.
    pub async fn keyring(path: &Path, keys: &[MasterKey]) -> Result<Option<Keyring>, Unusable> {
        if !path.exists() {
            return Ok(None);
        }
        let wrong = |why: &dyn std::fmt::Display| Unusable { path: path.to_path_buf(), why: why.to_string() };
        let pool = pool(path).await.map_err(|error| wrong(&error))?;
        let head = sqlx::query("select salt, check_value from head").fetch_optional(&pool).await;
        pool.close().await;
        let Some(head) = head.map_err(|error| wrong(&error))? else { return Ok(None) };
        let salt = head.get::<Vec<u8>, _>(0).try_into().map_err(|_| wrong(&"its salt was altered"))?;
        let keyring = Keyring::new(keys, Salt(salt)).map_err(|error: KeyringError| wrong(&error))?;
        keyring.check(&SealedBytes(head.get(1))).map_err(|error| wrong(&error))?;
        Ok(Some(keyring))
    }

    /// Opens or makes it. What is of another database, under other keys or damaged is thrown away: it is only a copy.
    pub async fn open(path: &Path, keyring: Arc<Keyring>, bytes_max: u64) -> Result<Self, Unusable> {
        let wrong = |error: sqlx::Error| Unusable { path: path.to_path_buf(), why: error.to_string() };
        let opened = match is_of(path, &keyring).await {
            Ok(true) => pool(path).await,
            Ok(false) | Err(_) => {
                for name in ["", "-wal", "-shm"] {
                    // What is not there need not go; what can't go fails below.
                    let _ = std::fs::remove_file(format!("{}{name}", path.display()));
                }
                pool(path).await
            }
        };
        let pool = opened.map_err(wrong)?;
        let check =
            keyring.check_value().map_err(|error| Unusable { path: path.to_path_buf(), why: error.to_string() })?;
        let head = "insert into head values (1, $1, $2, 0, 0)
                    on conflict do update set check_value = excluded.check_value";
        sqlx::query(head).bind(&keyring.salt().0[..]).bind(check.0).execute(&pool).await.map_err(wrong)?;
        Ok(Self { pool, keyring, bytes_max, queue: Mutex::default(), is_waiting: Notify::new() })
    }

    pub async fn known(&self) -> Option<Known> {
        let head = sqlx::query("select version, heard from head where heard > 0").fetch_optional(&self.pool).await;
        let head = head.ok()??;
        Some(Known { version: u64::try_from(head.get::<i64, _>(0)).ok()?, heard: Timestamp(head.get(1)) })
    }

    /// The part as it was last read; none also where it does not open.
    pub async fn get(&self, place: Place) -> Option<Directory> {
        let (kind, id) = place.key();
        let found = sqlx::query_scalar::<_, Vec<u8>>("select sealed from parts where kind = $1 and id = $2");
        let sealed = found.bind(kind).bind(&id).fetch_optional(&self.pool).await.ok()??;
        let text = self.keyring.open(Purpose::Mirror, &binding(kind, &id), &SealedBytes(sealed)).ok()?;
        serde_json::from_slice(text.expose()).ok()
    }

    pub fn put(&self, place: Place, touching: Touching, text: Arc<[u8]>) {
        let mut queue = self.queue();
        if queue.steps.len() < WAITING_MAX {
            queue.steps.push(Step::Put { place, touching, text });
            self.is_waiting.notify_one();
        }
    }

    pub fn forget(&self, what: &What) {
        let mut queue = self.queue();
        // What is forgotten after it was put in need not be put in first where all is forgotten.
        if matches!(what, What::Everything) || queue.steps.len() >= 2 * WAITING_MAX {
            queue.steps.clear();
            queue.steps.push(Step::Forget(What::Everything));
        } else {
            queue.steps.push(Step::Forget(what.clone()));
        }
        self.is_waiting.notify_one();
    }

    /// Everything up to this version has been put in or forgotten.
    pub fn heard(&self, known: Known) {
        self.queue().known = Some(known);
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was put in, for as long as it is polled. A disk that takes nothing is said once, and tried again.
    pub async fn write_behind(&self) {
        let mut is_failing = false;
        loop {
            // Either something waits, or that nothing changed is news by now.
            let _ = tokio::time::timeout(NEWS, self.is_waiting.notified()).await;
            tokio::time::sleep(FLUSH).await;
            match self.flush().await {
                Ok(()) => is_failing = false,
                Err(error) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(%error, "the mirror can't be written; a restart without the database will lack what is new");
                }
                Err(_) => {}
            }
        }
    }

    /// Everything that was put in is on the disk afterwards.
    pub async fn flush(&self) -> Result<(), sqlx::Error> {
        let Queue { steps, known } = std::mem::take(&mut *self.queue());
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        for step in steps {
            match step {
                Step::Put { place, touching, text } => self.write(&mut transaction, place, touching, &text).await?,
                Step::Forget(what) => forget(&mut transaction, &what).await?,
            }
        }
        if let Some(Known { version, heard }) = known {
            let head = sqlx::query("update head set version = $1, heard = $2").bind(version as i64).bind(heard.0);
            head.execute(&mut *transaction).await?;
        }
        self.let_go(&mut transaction).await?;
        transaction.commit().await
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        place: Place,
        touching: Touching,
        text: &[u8],
    ) -> Result<(), sqlx::Error> {
        let (kind, id) = place.key();
        let Ok(sealed) = self.keyring.seal(Purpose::Mirror, &binding(kind, &id), text) else { return Ok(()) };
        let put = sqlx::query("insert or replace into parts values ($1, $2, $3, $4, $5, $6)").bind(kind).bind(id);
        let put = put.bind(touching.org.map(|org| blob(org.uuid()))).bind(touching.user.map(|user| blob(user.uuid())));
        put.bind(Timestamp::now().0).bind(sealed.0).execute(connection).await.map(drop)
    }

    async fn let_go(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let bytes = "select ((select page_count from pragma_page_count()) - (select freelist_count from pragma_freelist_count()))
                     * (select page_size from pragma_page_size())";
        let bytes = sqlx::query_scalar::<_, i64>(bytes).fetch_one(&mut *connection).await?;
        if u64::try_from(bytes).unwrap_or_default() <= self.bytes_max {
            return Ok(());
        }
        // Counting takes as long as there are parts, so it waits until they are too many.
        let parts: i64 = sqlx::query_scalar("select count(*) from parts").fetch_one(&mut *connection).await?;
        let oldest = "delete from parts where (kind, id) in
                      (select kind, id from parts where kind > 0 order by written limit $1)";
        let count = (parts as u64 / LET_GO).max(1);
        sqlx::query(oldest).bind(count as i64).execute(connection).await.map(drop)
    }
}

impl Place {
    fn key(self) -> (i64, Vec<u8>) {
        match self {
            Self::Common => (0, Vec::new()),
            Self::Token(hash) => (1, hash.0.to_vec()),
            Self::Workspace(id) => (2, blob(id.uuid())),
        }
    }
}

fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// A part that is moved to another place does not open.
fn binding(kind: i64, id: &[u8]) -> Binding {
    Binding::default().with(&kind.to_be_bytes()).with(id)
}

async fn forget(connection: &mut SqliteConnection, what: &What) -> Result<(), sqlx::Error> {
    let What::These(touched) = what else {
        return connection.execute("delete from parts").await.map(drop);
    };
    let tokens = touched.tokens.iter().map(|hash| Place::Token(*hash));
    let places = tokens.chain(touched.workspaces.iter().map(|id| Place::Workspace(*id)));
    for (kind, id) in places.map(Place::key) {
        let row = sqlx::query("delete from parts where kind = $1 and id = $2").bind(kind).bind(id);
        row.execute(&mut *connection).await?;
    }
    for org in &touched.orgs {
        let rows = sqlx::query("delete from parts where org = $1").bind(blob(org.uuid()));
        rows.execute(&mut *connection).await?;
    }
    for user in &touched.users {
        let rows = sqlx::query("delete from parts where holder = $1").bind(blob(user.uuid()));
        rows.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Is it of the database whose keyring this is, and can it be read?
async fn is_of(path: &Path, keyring: &Keyring) -> Result<bool, sqlx::Error> {
    let pool = pool(path).await?;
    let head = sqlx::query("select salt, check_value from head").fetch_optional(&pool).await;
    pool.close().await;
    let is_ours = |salt: Vec<u8>, check| salt == keyring.salt().0 && keyring.check(&SealedBytes(check)).is_ok();
    Ok(head?.is_none_or(|head| is_ours(head.get(0), head.get(1))))
}

/// Not synced at each commit: what a power cut takes is asked for again.
async fn pool(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("secure_delete", "on");
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    pool.execute(TABLES).await?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entity::Identity;
    use crate::domain::entity::Owner;
    use crate::store::changes::Touched;
    use crate::store::seal::tests::{keyring, master_key};

    const PLENTY: u64 = 64 << 20;

    fn text(words: &str) -> Arc<[u8]> {
        let identity = Identity { id: Id::random(), owner: Owner::Platform, name: "n".into(), text: words.into() };
        serde_json::to_vec(&Directory { identities: vec![identity], ..Directory::default() }).unwrap().into()
    }

    fn words(part: Option<Directory>) -> Option<String> {
        Some(part?.identities.remove(0).text)
    }

    async fn open(folder: &tempfile::TempDir, keys: &[&str]) -> Mirror {
        Mirror::open(&folder.path().join("mirror.sqlite"), Arc::new(keyring(keys)), PLENTY).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_put_in_is_there_after_a_restart_and_unreadable_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (token, workspace) = (Place::Token(TokenHash([1; 32])), Place::Workspace(Id::random()));
        let mirror = open(&folder, &["a"]).await;
        mirror.put(token, Touching::default(), text("of a token"));
        mirror.put(workspace, Touching::default(), text("of a workspace"));
        let known = Known { version: 7, heard: Timestamp(99) };
        mirror.heard(known);
        mirror.flush().await.unwrap();
        mirror.pool.close().await;
        let mirror = open(&folder, &["a"]).await;
        assert_eq!(words(mirror.get(token).await).as_deref(), Some("of a token"));
        assert_eq!(words(mirror.get(workspace).await).as_deref(), Some("of a workspace"));
        assert_eq!(mirror.known().await, Some(known));
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(4).any(|four| four == b"of a"));
        }
    }

    #[tokio::test]
    async fn it_forgets_whatever_a_change_touched_and_what_was_put_in_after_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = open(&folder, &["a"]).await;
        let (org, user) = (Some(Id::random()), Some(Id::random()));
        let places: Vec<_> = (0..5).map(|number| Place::Token(TokenHash([number; 32]))).collect();
        let touching = [Touching::default(), Touching { org, user: None }, Touching { org: None, user }];
        for (place, touching) in std::iter::zip(&places, touching) {
            mirror.put(*place, touching, text("one"));
        }
        mirror.put(places[3], Touching::default(), text("one"));
        let touched = Touched {
            tokens: [TokenHash([0; 32])].into(),
            orgs: org.into_iter().collect(),
            users: user.into_iter().collect(),
            ..Touched::default()
        };
        mirror.forget(&What::These(touched));
        mirror.put(places[0], Touching::default(), text("again"));
        mirror.flush().await.unwrap();
        let mut found = Vec::new();
        for place in &places {
            found.push(words(mirror.get(*place).await));
        }
        assert_eq!(found, [Some("again".into()), None, None, Some("one".into()), None]);
        mirror.forget(&What::Everything);
        mirror.flush().await.unwrap();
        assert!(mirror.get(places[3]).await.is_none());
    }

    #[tokio::test]
    async fn a_part_moved_to_another_place_a_mirror_of_another_database_and_a_damaged_one_give_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Place::Token(TokenHash([1; 32])), Place::Token(TokenHash([2; 32])));
        let mirror = open(&folder, &["a"]).await;
        mirror.put(one, Touching::default(), text("one"));
        mirror.flush().await.unwrap();
        sqlx::query("update parts set id = $1").bind(other.key().1).execute(&mirror.pool).await.unwrap();
        assert!(mirror.get(other).await.is_none());
        mirror.put(one, Touching::default(), text("one"));
        mirror.flush().await.unwrap();
        mirror.pool.close().await;
        assert!(words(open(&folder, &["b", "a"]).await.get(one).await).is_some(), "a rotation keeps it");
        assert!(open(&folder, &["c"]).await.get(one).await.is_none());
        std::fs::write(folder.path().join("mirror.sqlite"), "this is no database").unwrap();
        assert!(open(&folder, &["a"]).await.get(one).await.is_none());
    }

    #[tokio::test]
    async fn its_keyring_is_found_without_the_database_by_whoever_has_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirror.sqlite");
        assert!(Mirror::keyring(&path, &[master_key("a")]).await.unwrap().is_none());
        let salt = open(&folder, &["a"]).await.keyring.salt();
        assert_eq!(Mirror::keyring(&path, &[master_key("a")]).await.unwrap().unwrap().salt(), salt);
        assert!(Mirror::keyring(&path, &[master_key("b")]).await.is_err());
    }

    #[tokio::test]
    async fn it_stays_below_its_bound_by_letting_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirror.sqlite");
        let mirror = Mirror::open(&path, Arc::new(keyring(&["a"])), 1 << 20).await.unwrap();
        let last = Place::Token(TokenHash([29; 32]));
        for number in 0..30 {
            mirror.put(Place::Token(TokenHash([number; 32])), Touching::default(), text(&"x".repeat(100_000)));
            mirror.flush().await.unwrap();
        }
        assert!(mirror.get(last).await.is_some() && mirror.get(Place::Token(TokenHash([0; 32]))).await.is_none());
        assert!(std::fs::metadata(&path).unwrap().len() < 3 << 20);
    }
}
