//! What may happen to the disk under the state, and to its process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use keyway::domain::entity::Workspace;
use keyway::domain::id::Id;
use keyway::domain::time::Timestamp;
use keyway::store::state::{Away, CredentialState, Object, ObjectKind, Used};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Executor};
use tokio::time::{Instant, timeout};

use super::{ids, in_file, keyring, object, saved, stops};

const SOON: Duration = Duration::from_secs(10);

fn workspace() -> Id<Workspace> {
    Id::declared("workspace", "of all processes here")
}

/// Not a test by itself: what the one below runs as another process. It says after each object that it is on record.
#[tokio::test]
async fn as_another_process_put_objects_on_record_in_the_folder_that_the_variable_names() {
    let Ok(folder) = std::env::var("KEYWAY_SPEC_STATE_FOLDER") else { return };
    let (state, _keeper) = in_file(Path::new(&folder), &keyring()).await;
    for turn in 0.. {
        let id = format!("file-{}-{turn}", std::process::id());
        state.record(vec![object(workspace(), &id, turn)]).await.unwrap();
        writeln!(std::io::stdout(), "\ndone {id}").unwrap();
    }
}

fn another_process(folder: &Path) -> Child {
    let test = "state::trouble::as_another_process_put_objects_on_record_in_the_folder_that_the_variable_names";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env("KEYWAY_SPEC_STATE_FOLDER", folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_was_said_to_be_on_record_is_after_a_kill_at_any_moment() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    for kill in 0_u64..20 {
        let mut process = another_process(folder.path());
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said: Vec<String> = Vec::new();
        let mut done = |line: String| said.extend(line.strip_prefix("done ").map(str::to_string));
        // Now and then while it still opens what the last one left; else in the middle of its work.
        if !kill.is_multiple_of(5) {
            lines.by_ref().take_while(|line| !line.starts_with("done")).for_each(drop);
        }
        std::thread::sleep(Duration::from_micros(kill * 997 % 9_000));
        process.kill().unwrap();
        lines.for_each(&mut done);
        process.wait().unwrap();

        let (state, keeper) = in_file(folder.path(), &keyring).await;
        assert_eq!(state.trouble(), None);
        let found = state.find(workspace(), said.clone()).await.unwrap();
        assert_eq!(found.len(), said.len(), "{said:?}");
        stops((state, keeper)).await;
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_on_record_soon_all_the_same() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    let (writes, reads) = (in_file(folder.path(), &keyring).await, in_file(folder.path(), &keyring).await);
    writes.0.made(Object { kind: ObjectKind::Response, ..object(workspace(), "resp_1", 1) });
    let read = async {
        while reads.0.find(workspace(), vec!["resp_1".into()]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, read).await.unwrap();
    stops(writes).await;
    stops(reads).await;
}

/// Where the system lets us mount a small disk of our own; elsewhere it can only say that it did not look.
#[test]
fn a_full_disk_costs_new_objects_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let fill = "state::trouble::as_another_process_fill_the_disk_that_the_variable_names";
    let mount = "mount -t tmpfs -o size=512k tmpfs \"$1\" && echo mounted && exec \"$2\" --exact --nocapture \"$3\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
        .args([folder.path(), &std::env::current_exe().unwrap(), Path::new(fill)])
        .env("KEYWAY_SPEC_SMALL_STATE_DISK", folder.path())
        .output();
    let said = output.map_or_else(|error| error.to_string(), |output| format!("{output:?}"));
    if said.contains("mounted") {
        assert!(said.contains("the disk was full"), "{said}");
    }
}

/// Not a test by itself, like the one that is killed above.
#[tokio::test]
async fn as_another_process_fill_the_disk_that_the_variable_names() {
    let Ok(disk) = std::env::var("KEYWAY_SPEC_SMALL_STATE_DISK") else { return };
    let (disk, keyring) = (Path::new(&disk), keyring());
    fs::write(disk.join("ballast"), [0; 100_000]).unwrap();
    let running = in_file(disk, &keyring).await;
    let state = &running.0;
    let large = |id: &str| Object { shown: Some(Bytes::from(vec![b' '; 8_000])), ..object(workspace(), id, 1) };
    let mut kept = Vec::new();
    while state.record(vec![large(&format!("file-{}", kept.len()))]).await.is_ok() {
        kept.push(format!("file-{}", kept.len()));
    }
    assert!(state.is_away() && state.trouble().unwrap().contains("full"), "{:?}", state.trouble());
    assert_eq!(state.find(workspace(), kept.clone()).await.unwrap().len(), kept.len());

    fs::remove_file(disk.join("ballast")).unwrap();
    state.record(vec![large("behind")]).await.unwrap();
    assert_eq!(state.trouble(), None);
    kept.push("behind".into());
    stops(running).await;
    let again = in_file(disk, &keyring).await;
    assert_eq!(again.0.find(workspace(), kept.clone()).await.unwrap().len(), kept.len());
    stops(again).await;
    writeln!(std::io::stdout(), "the disk was full").unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_take_anything_costs_two_seconds_and_only_those_who_wait() {
    let (folder, keyring) = (tempfile::tempdir().unwrap(), keyring());
    let running = in_file(folder.path(), &keyring).await;
    let state = &running.0;
    let path = folder.path().join("state.sqlite");
    let mut other: SqliteConnection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();

    let (began, bad, token) = (Instant::now(), saved(), Used::Token(Id::random()));
    state.note(bad, CredentialState::Rejected { at: Timestamp(1) });
    state.used(token, Timestamp(60_000));
    state.made(object(workspace(), "resp_1", 2));
    assert!(began.elapsed() < Duration::from_millis(500), "notes wait for nothing");
    assert_eq!(state.credential(bad).name(), "rejected");
    assert_eq!(state.record(vec![object(workspace(), "file-1", 1)]).await, Err(Away));
    assert!(began.elapsed() < SOON && state.is_away());

    other.execute("ROLLBACK").await.unwrap();
    state.record(vec![object(workspace(), "file-2", 1)]).await.unwrap();
    let found = state.find(workspace(), ["resp_1", "file-1", "file-2"].map(str::to_string).to_vec()).await.unwrap();
    assert_eq!(ids(&found), ["resp_1", "file-2"], "a refused one is not on record, a noted one is");
    assert_eq!(state.trouble(), None);
    stops(running).await;
    let again = in_file(folder.path(), &keyring).await;
    assert_eq!(again.0.credential(bad).name(), "rejected");
    assert_eq!(again.0.last_uses(vec![token]).await.unwrap(), [(token, Timestamp(60_000))]);
    stops(again).await;
}

/// A pipe that nobody reads is opened by nobody who writes: so hangs a disk.
#[tokio::test]
async fn a_disk_that_hangs_delays_the_start_by_two_seconds_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("state.sqlite")).status().unwrap().success());
    let began = Instant::now();
    let (state, keeper) = in_file(folder.path(), &keyring()).await;
    assert!(began.elapsed() < SOON && state.is_away());
    let one = saved();
    state.note(one, CredentialState::QuotaExhausted { at: Timestamp(1) });
    assert_eq!(state.credential(one).name(), "quota_exhausted");
    assert_eq!(state.find(workspace(), vec!["file-1".into()]).await, Err(Away));
    stops((state, keeper)).await;
}
