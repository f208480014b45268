//! Somewhere a directory is kept, which several processes may open.

use std::convert::Infallible;
use std::sync::Arc;

use keyway::directory::{Access, Actor};
use keyway::domain::address::Egress;
use keyway::domain::directory::Directory;
use keyway::domain::entity::{Owner, Provider};
use keyway::domain::id::Id;
use keyway::domain::preset::preset;
use keyway::domain::secret::Secret;
use keyway::domain::time::Timestamp;
use keyway::store::audit::Act;
use keyway::store::seal::MasterKey;
use keyway::store::{ChangeError, Part, Previous, Store, StoreError};

use crate::support::postgres::shared;

pub(super) const KEY: &str = "raw:0123456789abcdef0123456789abcdef";
pub(super) const OTHER_KEY: &str = "raw:fedcba9876543210fedcba9876543210";

pub(super) enum Place {
    SealedFile(tempfile::TempDir),
    Postgres(String),
}

impl Place {
    pub(super) fn sealed_file() -> Self {
        Self::SealedFile(tempfile::tempdir().unwrap())
    }

    pub(super) async fn postgres() -> Self {
        Self::Postgres(shared().database().await)
    }

    /// As one more process would.
    pub(super) async fn open_with(&self, keys: &[&str]) -> Result<Store, StoreError> {
        let keys = keys.iter().map(|key| MasterKey::parse(&Secret::from(key.to_string())).unwrap()).collect();
        match self {
            Self::SealedFile(folder) => Store::sealed_file(folder.path().join("directory.sealed"), keys).await,
            Self::Postgres(url) => Store::postgres(&Secret::from(url.clone()).into(), keys).await,
        }
    }

    pub(super) async fn open(&self) -> Store {
        self.open_with(&[KEY]).await.unwrap()
    }

    /// An operator before the store, with the provider `openai` declared.
    pub(super) async fn access(&self) -> Access {
        access(self.open().await)
    }
}

pub(super) fn access(store: Store) -> Access {
    let base_url = "https://api.openai.com/v1".parse().unwrap();
    let provider =
        Provider::new(openai(), Owner::Platform, "openai", preset("openai").unwrap(), base_url, Timestamp(0));
    let declared = Directory { providers: vec![Provider { declared: true, ..provider }], ..Directory::default() };
    Access {
        store,
        declared: Arc::new(declared),
        egress: Arc::new(Egress::default()),
        actor: Actor::operator("cli:ada"),
    }
}

pub(super) fn openai() -> Id<Provider> {
    Id::declared("provider", "openai")
}

pub(super) fn act() -> Act {
    Act::new("cli:root", "count", "all")
}

/// The smallest change that shows whether it was lost.
pub(super) async fn count(store: &Store) -> Result<u32, ChangeError<Infallible>> {
    store.change(act(), Part::default(), Previous::Keep, |directory| Ok(directory.number())).await
}

pub(super) async fn whole(store: &Store) -> Directory {
    store.load(&Part::everything()).await.unwrap()
}

/// Runs each test on both stores.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod on_the_sealed_file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::stores::place::Place::sealed_file()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::stores::place::Place::postgres().await).await;
            })*
        }
    };
}
pub(super) use on_both_stores;
