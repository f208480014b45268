//! A store that lives as long as the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::audit::{Act, AuditLog, Record};
use super::changes::{ChangeLog, Changes, What};
use super::contents::Contents;
use super::difference::Difference;
use super::error::ChangeError;
use super::part::Part;
use super::seal::Keyring;
use super::select::select;
use crate::domain::directory::Directory;
use crate::domain::time::Timestamp;

pub(super) struct Memory {
    keyring: Arc<Keyring>,
    contents: Mutex<Contents>,
    /// Written with the contents, under their lock.
    log: Mutex<ChangeLog>,
    /// The version that was last taken up, `u64::MAX` before the first time.
    seen: AtomicU64,
}

impl Memory {
    pub(super) fn new(keyring: Keyring) -> Self {
        Self {
            keyring: Arc::new(keyring),
            contents: Mutex::default(),
            log: Mutex::default(),
            seen: AtomicU64::new(u64::MAX),
        }
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    pub(super) fn load(&self, part: &Part) -> Directory {
        select(&self.contents().directory, part)
    }

    pub(super) fn audit(&self) -> AuditLog {
        self.contents().audit.clone()
    }

    pub(super) fn take_up(&self) -> Directory {
        let directory = self.contents().directory.clone();
        self.seen.store(directory.version, Ordering::Relaxed);
        directory
    }

    pub(super) fn changes_since(&self, version: u64) -> Changes {
        let contents = self.contents();
        self.log().since(version, contents.directory.version)
    }

    pub(super) fn changed(&self) -> bool {
        self.contents().directory.version != self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn change<T, E>(
        &self,
        act: &Act,
        part: &Part,
        rule: impl FnOnce(&mut Directory) -> Result<T, E>,
    ) -> Result<T, ChangeError<E>> {
        let mut contents = self.contents();
        let mut what = What::nothing();
        let on_part = |whole: &mut Directory| {
            let before = select(whole, part);
            let mut after = before.clone();
            let value = rule(&mut after).map_err(ChangeError::Refused)?;
            let difference = Difference::between(&before, &after);
            what = What::of(&difference, &before, &after);
            difference.apply(whole)?;
            Ok(value)
        };
        let (next, value) = contents.clone().change(act, Timestamp::now(), &self.keyring, on_part)?;
        next.audit.newest().into_iter().for_each(Record::log);
        *contents = next;
        self.log().push(contents.directory.version, what);
        Ok(value)
    }

    fn log(&self) -> MutexGuard<'_, ChangeLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A rule that panicked worked on a copy, so what the lock guards is whole.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::directory::Directory;
    use crate::domain::entity::Org;
    use crate::domain::id::Id;
    use crate::domain::time::Timestamp;
    use crate::store::audit::Act;
    use crate::store::changes::{Touched, What};
    use crate::store::seal::tests::keyring;
    use crate::store::{ChangeError, Need, Part, Previous, Store};

    fn act() -> Act {
        Act::new("cli:root", "change", "all")
    }

    #[tokio::test]
    async fn a_change_is_seen_once_and_a_refused_one_leaves_no_trace() {
        let store = Store::memory(keyring(&["a"]));
        assert!(store.changed().await.unwrap());
        assert_eq!(store.take_up().await.unwrap().version, 0);
        assert!(!store.changed().await.unwrap());

        let number = store
            .change::<_, (), _>(act(), Part::default(), Previous::Keep, |directory| Ok(directory.number()))
            .await
            .unwrap();
        assert_eq!(number, 1);
        assert!(store.changed().await.unwrap());
        assert_eq!(store.take_up().await.unwrap().version, 1);

        let refused = store.change::<(), _, _>(act(), Part::default(), Previous::Keep, |directory| {
            directory.number();
            Err("no")
        });
        assert!(matches!(refused.await, Err(ChangeError::Refused("no"))));
        assert!(!store.changed().await.unwrap());
        assert_eq!(store.take_up().await.unwrap().last_number, 1);
        assert_eq!(store.audit_records(None, 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_rule_sees_the_part_it_named_and_a_read_keeps_nobody_from_a_change() {
        let store = Store::memory(keyring(&["a"]));
        let (one, other) = (Org::new(Id::random(), "one", Timestamp(0)), Org::new(Id::random(), "other", Timestamp(0)));
        let (id, both) = (one.id, vec![one, other]);
        let add = |directory: &mut Directory| {
            directory.orgs = both;
            Ok::<_, ()>(())
        };
        store.change(act(), Part::default(), Previous::Keep, add).await.unwrap();
        store.take_up().await.unwrap();
        let rename = |directory: &mut Directory| {
            assert_eq!(directory.orgs.len(), 1);
            directory.orgs[0].name = "renamed".into();
            Ok::<_, ()>(())
        };
        store.change(act(), Need::Org(id).into(), Previous::Keep, rename).await.unwrap();
        let whole = store.load(&Part::everything()).await.unwrap();
        let names: Vec<_> = whole.orgs.iter().map(|org| org.name.as_str()).collect();
        assert_eq!(names, ["renamed", "other"]);
        assert!(store.changed().await.unwrap());
        let changes = store.changes_since(1).await.unwrap();
        assert_eq!(changes.what, What::These(Touched { orgs: [id].into(), ..Touched::default() }));
    }
}
