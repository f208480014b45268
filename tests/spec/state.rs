//! Promise: what traffic showed is known after a restart, is found by nobody else, and never holds a call up.

mod replicas;
mod trouble;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keyway::domain::entity::{SavedCredential, Workspace};
use keyway::domain::id::Id;
use keyway::domain::time::Timestamp;
use keyway::store::StoreError;
use keyway::store::seal::{Keyring, MasterKey, Salt};
use keyway::store::state::replays::{BEGUN_FOR, Begun, KEPT_FOR, KeptAnswer, ReplayKey, Replays};
use keyway::store::state::{Away, CredentialState, Keeping, Object, ObjectKind, Order, Page, State, Used};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

fn keyring() -> Arc<Keyring> {
    let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    Arc::new(Keyring::new(&[key], Salt::random().unwrap()).unwrap())
}

async fn starts(keeping: Keeping, keyring: &Arc<Keyring>) -> (State, JoinHandle<()>) {
    let (state, mut keeper) = State::new(keeping, keyring.clone());
    keeper.open().await;
    (state, tokio::spawn(keeper.run()))
}

async fn in_file(folder: &Path, keyring: &Arc<Keyring>) -> (State, JoinHandle<()>) {
    starts(Keeping::File(folder.join("state.sqlite")), keyring).await
}

async fn stops((state, keeper): (State, JoinHandle<()>)) {
    state.close().await;
    timeout(Duration::from_secs(5), keeper).await.unwrap().unwrap();
}

fn saved() -> SavedCredential {
    SavedCredential { id: Id::random(), at: Timestamp(1_000) }
}

fn object(workspace: Id<Workspace>, id: &str, at: i64) -> Object {
    Object {
        workspace,
        id: id.into(),
        provider: Id::declared("provider", "openai"),
        credential: Some(Id::declared("credential", "openai")),
        kind: ObjectKind::File,
        purpose: Some("batch".into()),
        shown: Some(Bytes::from(format!("{{\"id\":\"{id}\",\"filename\":\"takeover-plans.jsonl\"}}"))),
        created_at: Timestamp(at),
    }
}

fn page(workspace: Id<Workspace>) -> Page {
    Page {
        workspace,
        provider: Id::declared("provider", "openai"),
        kind: ObjectKind::File,
        purpose: None,
        after: None,
        order: Order::NewestFirst,
        limit: 100,
    }
}

fn ids(objects: &[Object]) -> Vec<&str> {
    objects.iter().map(|object| object.id.as_str()).collect()
}

#[tokio::test]
async fn credentials_and_uses_are_known_after_a_restart() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    let (bad, healed) = (saved(), saved());
    let rejected = CredentialState::Rejected { at: Timestamp(5_000) };
    let token = Used::Token(Id::random());

    let first = in_file(folder.path(), &keyring).await;
    first.0.note(bad, rejected);
    first.0.note(healed, rejected);
    first.0.note(healed, CredentialState::Ok);
    first.0.used(token, Timestamp(60_000));
    first.0.used(token, Timestamp(59_000));
    assert_eq!(first.0.last_uses(vec![token]).await.unwrap(), [(token, Timestamp(60_000))], "before it is written");
    stops(first).await;

    let second = in_file(folder.path(), &keyring).await;
    assert_eq!(second.0.troubled(), [(bad, rejected)]);
    assert_eq!(second.0.credential(bad), rejected);
    let other = Used::Credential(bad.id);
    assert_eq!(second.0.last_uses(vec![token, other]).await.unwrap(), [(token, Timestamp(60_000))]);
    stops(second).await;
}

#[tokio::test]
async fn an_object_is_its_workspaces_alone_and_survives_a_restart() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    let (ours, theirs) = (Id::random(), Id::random());
    let first = in_file(folder.path(), &keyring).await;
    first.0.record(vec![object(ours, "file-1", 1), object(ours, "file-2", 2)]).await.unwrap();
    stops(first).await;

    let (state, keeper) = in_file(folder.path(), &keyring).await;
    let asked = vec!["file-1".to_string(), "file-9".into()];
    let found = state.find(ours, asked.clone()).await.unwrap();
    assert_eq!((ids(&found), found[0].credential), (vec!["file-1"], object(ours, "", 0).credential));
    assert!(state.find(theirs, asked).await.unwrap().is_empty());
    assert!(state.page(page(theirs)).await.unwrap().is_empty());
    let listed = state.page(page(ours)).await.unwrap();
    assert_eq!(ids(&listed), ["file-2", "file-1"]);
    assert_eq!(listed[0].shown, object(ours, "file-2", 2).shown);
    stops((state, keeper)).await;
}

#[tokio::test]
async fn who_asks_behind_a_note_finds_what_was_noted() {
    let (state, keeper) = starts(Keeping::Memory, &keyring()).await;
    let workspace = Id::random();
    for turn in 0..50 {
        let id = format!("resp_{turn}");
        state.made(Object { kind: ObjectKind::Response, ..object(workspace, &id, turn) });
        assert_eq!(ids(&state.find(workspace, vec![id.clone()]).await.unwrap()), [id.as_str()]);
        state.gone(workspace, id.clone(), object(workspace, "", 0).provider);
        assert!(state.find(workspace, vec![id]).await.unwrap().is_empty());
    }
    assert_eq!(state.dropped(), 0);
    stops((state, keeper)).await;
}

#[tokio::test]
async fn many_at_once_are_all_put_on_record_and_the_same_twice_is_one() {
    let (state, keeper) = starts(Keeping::Memory, &keyring()).await;
    let workspace = Id::random();
    for turn in 0..2_000 {
        state.made(object(workspace, &format!("file-{:04}", turn % 1_500), i64::from(turn)));
    }
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|object: &Object| object.id.clone());
        let next = state.page(Page { order: Order::OldestFirst, after, ..page(workspace) }).await.unwrap();
        if next.is_empty() {
            break;
        }
        found.extend(next);
    }
    assert_eq!(found.len(), 1_500);
    assert!(found.is_sorted_by_key(|object| (object.created_at, object.id.clone())));
    stops((state, keeper)).await;
}

#[tokio::test]
async fn a_page_is_of_one_purpose_in_one_order_behind_one_object() {
    let (state, keeper) = starts(Keeping::Memory, &keyring()).await;
    let workspace = Id::random();
    let tuning = Object { purpose: Some("fine-tune".into()), ..object(workspace, "d", 4) };
    let batch = Object { kind: ObjectKind::Batch, ..object(workspace, "e", 5) };
    let elsewhere = Object { provider: Id::random(), ..object(workspace, "f", 6) };
    // Of one moment: then the id decides.
    let objects = vec![object(workspace, "a", 1), object(workspace, "b", 1), object(workspace, "c", 1)];
    state.record([objects, vec![tuning, batch, elsewhere]].concat()).await.unwrap();
    let listed = async |page: Page| -> Vec<String> {
        state.page(page).await.unwrap().into_iter().map(|object| object.id).collect()
    };
    let (newest, of) = (page(workspace), |purpose: &str| Some(purpose.to_string()));
    assert_eq!(listed(newest.clone()).await, ["d", "c", "b", "a"]);
    assert_eq!(listed(Page { purpose: of("batch"), limit: 2, ..newest.clone() }).await, ["c", "b"]);
    assert_eq!(listed(Page { after: Some("c".into()), ..newest.clone() }).await, ["b", "a"]);
    assert_eq!(listed(Page { after: Some("b".into()), order: Order::OldestFirst, ..newest.clone() }).await, ["c", "d"]);
    assert!(listed(Page { after: Some("f".into()), ..newest }).await.is_empty(), "it lies at another provider");
    stops((state, keeper)).await;
}

#[tokio::test]
async fn the_file_is_for_its_owner_only_and_holds_no_file_name_that_can_be_read() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    let workspace = Id::random();
    let running = in_file(folder.path(), &keyring).await;
    running.0.record(vec![object(workspace, "file-1", 1)]).await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&bytes, b"takeover").is_none(), "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and the log's index");
    stops(running).await;

    // A keyring without the key that sealed it: the object is on record all the same.
    let other = in_file(folder.path(), &self::keyring()).await;
    let listed = other.0.page(page(workspace)).await.unwrap();
    assert_eq!((ids(&listed), &listed[0].shown), (vec!["file-1"], &None));
    stops(other).await;
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_a_new_one_begins() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    let path = folder.path().join("state.sqlite");
    std::fs::write(&path, "no database at all, and long enough to be looked at as one".repeat(100)).unwrap();
    let (state, keeper) = in_file(folder.path(), &keyring).await;
    assert_eq!(state.trouble(), None);
    state.record(vec![object(Id::random(), "file-1", 1)]).await.unwrap();
    stops((state, keeper)).await;
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().any(|name| name.to_string_lossy().contains(".damaged-")));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_to_costs_the_record_and_not_the_start() {
    let keyring = keyring();
    let (state, keeper) = starts(Keeping::File("/proc/keyway/state.sqlite".into()), &keyring).await;
    assert!(state.trouble().unwrap().contains("/proc/keyway/state.sqlite"));
    let one = saved();
    state.note(one, CredentialState::Undecryptable { at: Timestamp(1) });
    assert_eq!(state.credential(one).name(), "undecryptable");
    assert_eq!(state.find(Id::random(), vec!["file-1".into()]).await, Err(Away));
    stops((state, keeper)).await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_a_database_that_hangs_waits_two_seconds_and_the_65th_not_at_all() {
    let (state, _never_run) = State::new(Keeping::Nowhere, keyring());
    let asks = || {
        let state = state.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            (state.find(Id::random(), vec!["file-1".into()]).await, began.elapsed())
        })
    };
    let waiting: Vec<_> = (0..64).map(|_| asks()).collect();
    tokio::task::yield_now().await;
    assert_eq!(asks().await.unwrap(), (Err(Away), Duration::ZERO));
    for one in waiting {
        assert_eq!(one.await.unwrap(), (Err(Away), Duration::from_secs(2)));
    }
    assert_eq!(asks().await.unwrap().1, Duration::from_secs(2), "places are given back");
}

#[tokio::test(start_paused = true)]
async fn notes_never_wait_and_what_finds_no_place_is_counted() {
    let (state, _never_run) = State::new(Keeping::Nowhere, keyring());
    for _ in 0..10_000 {
        state.used(Used::Token(Id::random()), Timestamp(1));
    }
    assert_eq!(state.dropped(), 10_000 - 8_192);
}

fn replay(text: &str) -> ReplayKey {
    ReplayKey { token: Id::declared("token", "one"), key: text.into() }
}

fn answer(body: &str) -> KeptAnswer {
    KeptAnswer { status: 201, etag: Some("\"1\"".into()), location: None, body: body.into() }
}

const NOON: Timestamp = Timestamp(1_000_000_000);

fn after(time: Duration) -> Timestamp {
    Timestamp(NOON.0 + i64::try_from(time.as_millis()).unwrap() + 1)
}

#[tokio::test]
async fn a_request_is_done_once_and_its_answer_is_given_again_after_a_restart() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    let first = in_file(folder.path(), &keyring).await;
    let (one, others) = (replay("a"), ReplayKey { token: Id::random(), ..replay("a") });
    assert_eq!(first.0.begin(&one, [1; 32], NOON).await.unwrap(), Begun::First);
    assert_eq!(first.0.begin(&one, [1; 32], NOON).await.unwrap(), Begun::Underway);
    first.0.end(&one, Some(answer("made"))).await.unwrap();
    stops(first).await;

    let second = in_file(folder.path(), &keyring).await;
    assert_eq!(second.0.begin(&one, [1; 32], NOON).await.unwrap(), Begun::Done(answer("made")));
    assert_eq!(second.0.begin(&one, [2; 32], NOON).await.unwrap(), Begun::OtherRequest);
    assert_eq!(second.0.begin(&others, [2; 32], NOON).await.unwrap(), Begun::First);
    stops(second).await;
    let bytes = std::fs::read(folder.path().join("state.sqlite")).unwrap();
    assert!(memchr::memmem::find(&bytes, b"made").is_none(), "answers are sealed");
}

#[tokio::test]
async fn a_request_that_failed_or_never_ended_may_come_again_and_answers_go_after_a_day() {
    let (state, keeper) = starts(Keeping::Memory, &keyring()).await;
    let one = replay("a");
    let begins = async |request: u8, now| state.begin(&one, [request; 32], now).await.unwrap();
    assert_eq!(begins(1, NOON).await, Begun::First);
    state.end(&one, None).await.unwrap();
    assert_eq!(begins(2, NOON).await, Begun::First, "it failed");
    assert_eq!(begins(2, after(BEGUN_FOR)).await, Begun::First, "its process died");
    state.end(&one, Some(answer("made"))).await.unwrap();
    assert_eq!(begins(2, after(BEGUN_FOR * 2)).await, Begun::Done(answer("made")));
    assert_eq!(begins(3, after(KEPT_FOR + BEGUN_FOR * 2)).await, Begun::First);
    stops((state, keeper)).await;
}

#[tokio::test]
async fn without_the_database_no_key_can_be_claimed() {
    let (state, _keeper) = starts(Keeping::Nowhere, &keyring()).await;
    assert!(matches!(state.begin(&replay("a"), [1; 32], NOON).await, Err(StoreError::Away { .. })));
}
