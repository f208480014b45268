//! Postgres: the directory in tables, for many workspaces and many replicas.
//!
//! Changes take one lock that lives as long as their transaction, so that versions and the audit chain are committed in
//! order. Reads take none: a part is one statement, which sees one moment. Nothing waits longer than its deadline, and a
//! database that is away is an error that says so.

mod asked;
mod difference;
mod link;
mod part;
pub(super) mod schema;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::PgListener;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

use self::link::{Lease, Link, answered};
use super::audit::{Act, Broken, Head, Record, Verified, Walk};
use super::changes::{CHANGES_KEPT, Changes, What};
use super::contents::holds_declared;
use super::difference::Difference;
use super::error::{ChangeError, StoreError};
use super::part::Part;
use super::seal::{Keyring, MasterKey, Salt};
use super::state::Keeping;
use crate::domain::directory::Directory;
use crate::domain::entity::SealedBytes;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The lock that changes take: a number drawn once for Keyway.
const CHANGE_LOCK: i64 = 0x6b65_7977_6179_0001;
/// Records that a walk along the audit chain holds at once.
const WALK_BATCH: i64 = 1_000;

pub(super) struct Database {
    link: Link,
    /// Filled once its schema and its keyring were found to be right: at the opening, or when a database that was away comes
    /// back.
    is_settled: OnceCell<()>,
    url: Arc<Secret>,
    keyring: Arc<Keyring>,
    /// The version that was last taken up, `u64::MAX` before the first time.
    seen: AtomicU64,
}

impl Database {
    /// Brings the schema up to date and settles the keyring: whoever comes first draws the salt, and all others must have
    /// a key that opens the check value.
    pub(super) async fn open(url: &Arc<Secret>, keys: Vec<MasterKey>) -> Result<Self, StoreError> {
        schema::migrate(url).await?;
        let link = Link::new(url)?;
        let mut lease = link.lease().await?;
        let keyring = match kept_keyring(&mut lease).await? {
            Some(kept) => kept.opened(keys).await?,
            None => new_keyring(&mut lease, keys).await?,
        };
        lease.give_back();
        Ok(Self::new(link, url, keyring, OnceCell::new_with(Some(()))))
    }

    /// Without asking the database, which is away: its keyring is known from before.
    pub(super) fn apart(url: &Arc<Secret>, keyring: Keyring) -> Result<Self, StoreError> {
        Ok(Self::new(Link::new(url)?, url, keyring, OnceCell::new()))
    }

    /// Makes nothing: gives none where there is nothing yet.
    pub(super) async fn look(url: &Arc<Secret>, keys: Vec<MasterKey>) -> Result<Option<Self>, StoreError> {
        if schema::look(url).await?.is_empty {
            return Ok(None);
        }
        let link = Link::new(url)?;
        let mut lease = link.lease().await?;
        let kept = kept_keyring(&mut lease).await?;
        lease.give_back();
        match kept {
            Some(kept) => Ok(Some(Self::new(link, url, kept.opened(keys).await?, OnceCell::new_with(Some(()))))),
            None => Ok(None),
        }
    }

    fn new(link: Link, url: &Arc<Secret>, keyring: Keyring, is_settled: OnceCell<()>) -> Self {
        let (url, keyring) = (Arc::clone(url), Arc::new(keyring));
        Self { link, is_settled, url, keyring, seen: AtomicU64::new(u64::MAX) }
    }

    async fn lease(&self) -> Result<Lease, StoreError> {
        let mut lease = self.link.lease().await?;
        self.is_settled.get_or_try_init(|| self.settle(&mut lease)).await?;
        Ok(lease)
    }

    /// It may have been brought up to date, exchanged or put under other keys while it was away.
    async fn settle(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        schema::migrate(&self.url).await?;
        match kept_keyring(connection).await? {
            Some(kept) if kept.salt == self.keyring.salt().0 => Ok(self.keyring.check(&kept.check)?),
            _ => {
                Err(StoreError::Database("it is another one than the one that was there before; restart Keyway".into()))
            }
        }
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    pub(super) fn state(&self) -> Keeping {
        Keeping::Postgres(self.link.pool())
    }

    pub(super) async fn load(&self, part: &Part) -> Result<Directory, StoreError> {
        let mut lease = self.lease().await?;
        let directory = part::read(&mut lease, part).await?;
        lease.give_back();
        Ok(directory)
    }

    pub(super) async fn take_up(&self) -> Result<Directory, StoreError> {
        let directory = self.load(&Part::everything()).await?;
        self.seen.store(directory.version, Ordering::Relaxed);
        Ok(directory)
    }

    pub(super) async fn changed(&self) -> Result<bool, StoreError> {
        let mut lease = self.lease().await?;
        let version = answered(sqlx::query_scalar("select version from directory").fetch_one(&mut *lease)).await?;
        lease.give_back();
        Ok(unsigned(version)? != self.seen.load(Ordering::Relaxed))
    }

    pub(super) async fn changes_since(&self, since: u64) -> Result<Changes, StoreError> {
        let newer = "select directory.version, what from directory \
                     left join change_log on change_log.version > $1 order by change_log.version";
        let mut lease = self.lease().await?;
        let newer = sqlx::query_as::<_, (i64, Option<Json<What>>)>(newer).bind(signed(since)?);
        let newer = answered(newer.fetch_all(&mut *lease)).await?;
        lease.give_back();
        let version = newer.first().map_or(Ok(0), |(version, _)| unsigned(*version))?;
        Ok(Changes::of(since, version, newer.into_iter().filter_map(|(_, what)| Some(what?.0)).collect()))
    }

    /// Goes on when the caller goes away.
    pub(super) async fn change<T, E, R>(self: &Arc<Self>, act: Act, part: Part, rule: R) -> Result<T, ChangeError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        R: FnOnce(&mut Directory) -> Result<T, E> + Send + 'static,
    {
        let database = Arc::clone(self);
        // On a task of its own: a caller who hangs up between two statements must not leave half a transaction open.
        let change = tokio::spawn(async move {
            let mut lease = database.lease().await?;
            let result = database.transaction(&mut lease, &act, &part, rule).await;
            if matches!(result, Ok(_) | Err(ChangeError::Refused(_))) {
                lease.give_back();
            }
            result
        });
        match change.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Stopped.into()),
            },
        }
    }

    async fn transaction<T, E, R>(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        part: &Part,
        rule: R,
    ) -> Result<T, ChangeError<E>>
    where
        R: FnOnce(&mut Directory) -> Result<T, E>,
    {
        let mut transaction = answered(connection.begin()).await?;
        let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(CHANGE_LOCK);
        answered(lock.execute(&mut *transaction)).await?;
        let before = part::read(&mut transaction, part).await?;
        let mut after = before.clone();
        let value = match rule(&mut after) {
            Ok(value) => value,
            Err(refused) => {
                answered(transaction.rollback()).await?;
                return Err(ChangeError::Refused(refused));
            }
        };
        if holds_declared(&after) {
            return Err(StoreError::Declared.into());
        }
        let difference = Difference::between(&before, &after);
        difference::write(&mut transaction, &difference).await?;
        let head = head(&mut transaction).await?;
        let record = Record::after(head, act, Timestamp::now(), before.version + 1, &self.keyring);
        let next = Next {
            version: before.version,
            last_number: after.last_number.max(before.last_number),
            what: What::of(&difference, &before, &after),
            record,
        };
        next.write(&mut transaction).await?;
        answered(transaction.commit()).await.map_err(|error| match error {
            // Whether the database heard it, nobody knows.
            StoreError::Away { why } => StoreError::Unsure { why },
            error => error,
        })?;
        next.record.log();
        Ok(value)
    }

    pub(super) async fn bell(&self) -> Result<PgListener, StoreError> {
        self.link.bell().await
    }

    /// From now on only who has the first key can start here.
    pub(super) async fn rekey(&self) -> Result<(), StoreError> {
        let mut lease = self.lease().await?;
        let check = sqlx::query("update keyring set check_value = $1").bind(self.keyring.check_value()?.0);
        answered(check.execute(&mut *lease)).await?;
        lease.give_back();
        Ok(())
    }

    pub(super) async fn audit_records(&self, before: Option<u64>, limit: u32) -> Result<Vec<Record>, StoreError> {
        let page = "select record from audit where seq < $1 order by seq desc limit $2";
        let mut lease = self.lease().await?;
        let page = sqlx::query_scalar::<_, Json<Record>>(page);
        let page = page.bind(before.map_or(Ok(i64::MAX), signed)?).bind(i64::from(limit));
        let records = answered(page.fetch_all(&mut *lease)).await?;
        lease.give_back();
        Ok(records.into_iter().map(|Json(record)| record).collect())
    }

    /// Records and head as they are at one moment, a batch at a time.
    pub(super) async fn verify_audit(&self, expected: Option<&str>) -> Result<Result<Verified, Broken>, StoreError> {
        let mut lease = self.lease().await?;
        let at_one_moment = "begin isolation level repeatable read read only";
        let mut transaction = answered(lease.begin_with(at_one_moment)).await?;
        let mut walk = Walk::from(Head::START, expected, &self.keyring);
        loop {
            let batch = "select record from audit where seq > $1 order by seq limit $2";
            let batch = sqlx::query_scalar::<_, Json<Record>>(batch).bind(signed(walk.seq())?).bind(WALK_BATCH);
            let batch = answered(batch.fetch_all(&mut *transaction)).await?;
            if batch.is_empty() {
                break;
            }
            if let Err(broken) = batch.iter().try_for_each(|Json(record)| walk.step(record)) {
                return Ok(Err(broken));
            }
        }
        let head = head(&mut transaction).await?;
        answered(transaction.commit()).await?;
        lease.give_back();
        Ok(walk.end(head))
    }
}

/// What a change writes beside the rows.
struct Next {
    /// The version it was made from.
    version: u64,
    last_number: u32,
    what: What,
    record: Record,
}

impl Next {
    /// One statement for all of it. Whoever listens hears of it at the commit.
    async fn write(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let next = "with moved as (
                        update directory set version = version + 1, last_number = $2, audit_head = $3
                        where version = $1 returning version
                    ), logged as (
                        insert into change_log (version, what) select version, $4 from moved
                    ), forgotten as (
                        delete from change_log where version <= $1 + 1 - $5
                    ), recorded as (
                        insert into audit (seq, record) values ($6, $7)
                    )
                    select pg_notify($8, version::text) from moved";
        let next = sqlx::query(next)
            .bind(signed(self.version)?)
            .bind(i64::from(self.last_number))
            .bind(Json(self.record.head()))
            .bind(Json(&self.what))
            .bind(signed(CHANGES_KEPT)?)
            .bind(signed(self.record.seq)?)
            .bind(Json(&self.record))
            .bind(link::CHANNEL);
        match answered(next.fetch_optional(connection)).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::Database("the row that holds the directory's version is gone".into())),
        }
    }
}

async fn head(connection: &mut PgConnection) -> Result<Head, StoreError> {
    let head = sqlx::query_scalar::<_, Option<Json<Head>>>("select audit_head from directory");
    Ok(answered(head.fetch_one(connection)).await?.map_or(Head::START, |Json(head)| head))
}

/// What a keyring is made of and held against.
struct KeptKeyring {
    salt: Vec<u8>,
    check: SealedBytes,
}

impl KeptKeyring {
    async fn opened(self, keys: Vec<MasterKey>) -> Result<Keyring, StoreError> {
        let altered = |_| StoreError::Database("the keyring's salt was altered".into());
        let keyring = derived(keys, Salt(self.salt.try_into().map_err(altered)?)).await?;
        keyring.check(&self.check)?;
        Ok(keyring)
    }
}

async fn kept_keyring(connection: &mut PgConnection) -> Result<Option<KeptKeyring>, StoreError> {
    let kept = sqlx::query_as::<_, (Vec<u8>, Vec<u8>)>("select salt, check_value from keyring");
    let kept = answered(kept.fetch_optional(connection)).await?;
    Ok(kept.map(|(salt, check)| KeptKeyring { salt, check: SealedBytes(check) }))
}

async fn new_keyring(connection: &mut PgConnection, keys: Vec<MasterKey>) -> Result<Keyring, StoreError> {
    let keyring = derived(keys, Salt::random()?).await?;
    let insert = "insert into keyring (salt, check_value) values ($1, $2) on conflict do nothing";
    let insert = sqlx::query(insert).bind(keyring.salt().0).bind(keyring.check_value()?.0);
    match answered(insert.execute(connection)).await?.rows_affected() {
        1 => Ok(keyring),
        // Another process has just drawn a salt; starting again finds it.
        _ => Err(StoreError::Busy),
    }
}

/// A passphrase takes its time, so it is done where it holds nobody up.
async fn derived(keys: Vec<MasterKey>, salt: Salt) -> Result<Keyring, StoreError> {
    Ok(super::blocking(move || Keyring::new(&keys, salt)).await??)
}

/// The database's numbers have a sign, ours don't.
fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Database("a number is beyond what it holds".into()))
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Database("a number that can't be negative is".into()))
}
