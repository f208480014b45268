//! Several processes on one Postgres: each knows what the others saw.

use std::sync::Arc;
use std::time::Duration;

use keyway::domain::id::Id;
use keyway::domain::secret::Secret;
use keyway::domain::time::Timestamp;
use keyway::store::Store;
use keyway::store::seal::MasterKey;
use keyway::store::state::replays::{Begun, Replays};
use keyway::store::state::{Away, CredentialState, Object, ObjectKind, Order, Page, State, Used};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{NOON, answer, ids, object, page, replay, saved, starts, stops};
use crate::support::postgres::{Cluster, shared};

const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "raw:0123456789abcdef0123456789abcdef";

async fn replica(url: &str) -> (State, JoinHandle<()>) {
    let key = MasterKey::parse(&Secret::from(KEY.to_string())).unwrap();
    let store = Store::postgres(&Arc::new(Secret::from(url.to_string())), vec![key]).await.unwrap();
    starts(store.state("unused".into()), store.keyring()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_puts_on_record_all_know() {
    let url = shared().database().await;
    let (here, there) = (replica(&url).await, replica(&url).await);
    let (ours, theirs) = (Id::random(), Id::random());
    let batch = Object { kind: ObjectKind::Batch, purpose: None, ..object(ours, "batch_1", 5) };
    let objects = vec![object(ours, "file-1", 1), object(ours, "file-2", 1), object(ours, "file-3", 3), batch];
    here.0.record(objects).await.unwrap();
    assert_eq!(ids(&there.0.find(ours, vec!["file-1".into(), "file-9".into()]).await.unwrap()), ["file-1"]);
    assert!(there.0.find(theirs, vec!["file-1".into()]).await.unwrap().is_empty());
    let listed = there.0.page(page(ours)).await.unwrap();
    assert_eq!(ids(&listed), ["file-3", "file-2", "file-1"]);
    assert_eq!(listed[0].shown, object(ours, "file-3", 3).shown, "under the keyring that they share");
    let behind = Page { after: Some("file-1".into()), order: Order::OldestFirst, limit: 1, ..page(ours) };
    assert_eq!(ids(&there.0.page(behind).await.unwrap()), ["file-2"]);
    there.0.gone(ours, "file-2".into(), object(ours, "", 0).provider);
    there.0.made(Object { kind: ObjectKind::Response, ..object(ours, "resp_1", 9) });
    let both = || here.0.find(ours, vec!["file-2".into(), "resp_1".into()]);
    let known = async {
        while ids(&both().await.unwrap()) != ["resp_1"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, known).await.unwrap();

    let one = replay("a");
    assert_eq!(here.0.begin(&one, [1; 32], NOON).await.unwrap(), Begun::First);
    assert_eq!(there.0.begin(&one, [1; 32], NOON).await.unwrap(), Begun::Underway);
    here.0.end(&one, Some(answer("made"))).await.unwrap();
    assert_eq!(there.0.begin(&one, [1; 32], NOON).await.unwrap(), Begun::Done(answer("made")));
    stops(here).await;
    stops(there).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_key_and_last_uses_are_known_to_the_next_start() {
    let url = shared().database().await;
    let (bad, token) = (saved(), Used::Token(Id::random()));
    let first = replica(&url).await;
    first.0.note(bad, CredentialState::Rejected { at: Timestamp(5) });
    first.0.used(token, Timestamp(60_000));
    stops(first).await;
    let second = replica(&url).await;
    assert_eq!(second.0.troubled(), [(bad, CredentialState::Rejected { at: Timestamp(5) })]);
    assert_eq!(second.0.last_uses(vec![token]).await.unwrap(), [(token, Timestamp(60_000))]);
    second.0.note(bad, CredentialState::Ok);
    stops(second).await;
    let third = replica(&url).await;
    assert_eq!(third.0.troubled(), []);
    stops(third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stops_is_away_and_comes_back_with_all_that_was_noted() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let running = replica(&cluster.database().await).await;
    let (state, ours) = (&running.0, Id::random());
    state.record(vec![object(ours, "file-1", 1)]).await.unwrap();
    cluster.stop();
    state.made(Object { kind: ObjectKind::Response, ..object(ours, "resp_1", 2) });
    assert_eq!(timeout(SOON, state.find(ours, vec!["file-1".into()])).await.unwrap(), Err(Away));
    let is_known = async {
        while !state.is_away() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, is_known).await.unwrap();
    cluster.restart();
    let both = || state.find(ours, vec!["file-1".into(), "resp_1".into()]);
    let back = async {
        while both().await.map(|found| found.len()) != Ok(2) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON * 2, back).await.unwrap();
    assert_eq!(state.trouble(), None);
    stops(running).await;
}
