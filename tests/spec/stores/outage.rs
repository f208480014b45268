//! A database that is gone, dies or hangs: callers hear of it at once, and all is well again without a restart.

use std::time::Duration;

use keyway::domain::secret::Secret;
use keyway::store::seal::MasterKey;
use keyway::store::{ChangeError, Part, Store, StoreError};
use tokio::time::{Instant, timeout};

use super::place::{KEY, count, whole};
use crate::support::postgres::Cluster;

/// Beyond every deadline of the store's, and far below what anybody would wait for a hanging system.
const PROMPTLY: Duration = Duration::from_secs(20);

async fn world() -> (Cluster, Store) {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let key = MasterKey::parse(&Secret::from(KEY.to_string())).unwrap();
    let store = Store::postgres(&Secret::from(cluster.database().await).into(), vec![key]).await.unwrap();
    count(&store).await.unwrap();
    (cluster, store)
}

async fn is_away(store: &Store) {
    let load = timeout(PROMPTLY, store.load(&Part::everything())).await.expect("a read hangs");
    assert!(matches!(load, Err(StoreError::Away { .. })), "{load:?}");
    let change = timeout(PROMPTLY, count(store)).await.expect("a change hangs");
    assert!(matches!(change, Err(ChangeError::Store(StoreError::Away { .. }))), "{change:?}");
    let changed = timeout(PROMPTLY, store.changed()).await.expect("the poll hangs");
    assert!(matches!(changed, Err(StoreError::Away { .. })), "{changed:?}");
}

/// Gives the number that was counted.
async fn comes_back(store: &Store) -> u32 {
    let began = Instant::now();
    loop {
        match count(store).await {
            Ok(number) => return number,
            Err(ChangeError::Store(StoreError::Away { .. })) => {
                assert!(began.elapsed() < PROMPTLY * 2, "it stays away")
            }
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_stopped_is_away_until_it_is_started_again() {
    let (cluster, store) = world().await;
    cluster.stop();
    is_away(&store).await;
    cluster.restart();
    assert_eq!(comes_back(&store).await, 2, "nothing that was refused was done");
    assert_eq!(whole(&store).await.version, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_killed_keeps_what_it_promised() {
    let (cluster, store) = world().await;
    cluster.kill();
    is_away(&store).await;
    cluster.restart();
    comes_back(&store).await;
    let verified = store.verify_audit(None).await.unwrap().unwrap();
    assert_eq!(verified.records as u64, whole(&store).await.version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_holds_nobody_beyond_a_deadline_and_takes_no_connection_with_it() {
    let (cluster, store) = world().await;
    cluster.pause();
    // More callers than there are connections: none of them may keep one for good.
    let callers = (0..20).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { timeout(PROMPTLY, store.load(&Part::everything())).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        let load = caller.await.unwrap().expect("a read hangs");
        assert!(matches!(load, Err(StoreError::Away { .. })), "{load:?}");
    }
    is_away(&store).await;
    cluster.go_on();
    comes_back(&store).await;
    assert_eq!(store.verify_audit(None).await.unwrap().unwrap().records as u64, whole(&store).await.version);
}

/// Once it is known to be away, nobody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_away_most_callers_hear_so_without_a_wait() {
    let (cluster, store) = world().await;
    cluster.stop();
    let mut waits = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        assert!(store.changed().await.is_err());
        waits.push(began.elapsed());
    }
    waits.sort_unstable();
    assert!(waits[5] < Duration::from_millis(100), "{waits:?}");
}
