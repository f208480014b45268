//! A store that lives as long as the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::audit::Act;
use super::contents::Contents;
use super::error::ChangeError;
use super::seal::Keyring;
use crate::domain::directory::Directory;
use crate::domain::time::Timestamp;

pub(super) struct Memory {
    keyring: Arc<Keyring>,
    contents: Mutex<Contents>,
    /// The version that was last loaded, `u64::MAX` before the first time.
    seen: AtomicU64,
}

impl Memory {
    pub(super) fn new(keyring: Keyring) -> Self {
        Self { keyring: Arc::new(keyring), contents: Mutex::default(), seen: AtomicU64::new(u64::MAX) }
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    pub(super) fn read(&self) -> Contents {
        self.contents().clone()
    }

    pub(super) fn load(&self) -> Contents {
        let contents = self.read();
        self.seen.store(contents.directory.version, Ordering::Relaxed);
        contents
    }

    pub(super) fn changed(&self) -> bool {
        self.contents().directory.version != self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn change<T, E>(
        &self,
        act: &Act,
        rule: impl FnOnce(&mut Directory) -> Result<T, E>,
    ) -> Result<T, ChangeError<E>> {
        let mut contents = self.contents();
        let (next, value) = contents.clone().change(act, Timestamp::now(), &self.keyring, rule)?;
        next.log_change();
        *contents = next;
        Ok(value)
    }

    /// A rule that panicked worked on a copy, so what the lock guards is whole.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::audit::Act;
    use crate::store::seal::tests::keyring;
    use crate::store::{ChangeError, Store};

    fn act() -> Act {
        Act::new("cli:root", "change", "all")
    }

    #[tokio::test]
    async fn a_change_is_seen_once_and_a_refused_one_leaves_no_trace() {
        let store = Store::memory(keyring(&["a"]));
        assert!(store.changed().await.unwrap());
        assert_eq!(store.load().await.unwrap().version, 0);
        assert!(!store.changed().await.unwrap());

        let number = store.change::<_, (), _>(act(), |directory| Ok(directory.number())).await.unwrap();
        assert_eq!(number, 1);
        assert!(store.changed().await.unwrap());
        assert_eq!(store.load().await.unwrap().version, 1);

        let refused = store.change::<(), _, _>(act(), |directory| {
            directory.number();
            Err("no")
        });
        assert!(matches!(refused.await, Err(ChangeError::Refused("no"))));
        assert!(!store.changed().await.unwrap());
        assert_eq!(store.load().await.unwrap().last_number, 1);
        assert_eq!(store.audit().await.unwrap().records().len(), 1);
    }
}
