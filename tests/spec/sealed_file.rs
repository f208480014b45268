//! Promise: the sealed file survives accidents, attackers and other writers, and says by name what is wrong with it.

#![expect(clippy::unwrap_used, reason = "a panic is a test's report, in what its tests share too")]

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keyway::domain::directory::Directory;
use keyway::domain::entity::{Identity, Owner};
use keyway::domain::id::Id;
use keyway::domain::secret::Secret;
use keyway::store::audit::Act;
use keyway::store::error::{Fault, Unreadable};
use keyway::store::seal::MasterKey;
use keyway::store::{ChangeError, Part, Previous, Store, StoreError};

const KEY: &str = "raw:0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "raw:fedcba9876543210fedcba9876543210";

/// A folder with a sealed file in it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("directory.sealed")
    }

    fn previous(&self) -> PathBuf {
        self.folder.path().join("directory.sealed.previous")
    }

    async fn store(&self) -> Store {
        open(&self.file(), &[KEY]).await.unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn open(file: &Path, keys: &[&str]) -> Result<Store, StoreError> {
    let keys = keys.iter().map(|key| MasterKey::parse(&Secret::from(key.to_string())).unwrap());
    Store::sealed_file(file.to_path_buf(), keys.collect()).await
}

fn act() -> Act {
    Act::new("cli:root", "count", "all")
}

/// The smallest change that shows whether it was lost.
async fn count(store: &Store) -> Result<u32, ChangeError<Infallible>> {
    store.change(act(), Part::everything(), Previous::Keep, |directory| Ok(directory.number())).await
}

async fn add_text(store: &Store, text: String) -> Result<(), ChangeError<Infallible>> {
    let add = move |directory: &mut Directory| {
        let identity = Identity { id: Id::random(), owner: Owner::Platform, name: "n".into(), text };
        directory.identities.push(identity);
        Ok(())
    };
    store.change(act(), Part::everything(), Previous::Keep, add).await
}

fn fault<T>(result: Result<T, StoreError>) -> Fault {
    match result.err().expect("the store reads what it should not") {
        StoreError::Unreadable(Unreadable { fault, .. }) => fault,
        other => panic!("another error: {other}"),
    }
}

#[tokio::test]
async fn a_new_file_holds_an_empty_directory_and_only_its_owner_may_read_it() {
    let world = World::new();
    let store = world.store().await;
    assert_eq!(store.take_up().await.unwrap().version, 0);
    count(&store).await.unwrap();
    for path in [world.file(), world.previous()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(world.names(), ["directory.sealed", "directory.sealed.lock", "directory.sealed.previous"]);
}

#[tokio::test]
async fn a_change_is_there_after_a_restart_and_the_one_before_lies_beside_it() {
    let world = World::new();
    let store = world.store().await;
    count(&store).await.unwrap();
    let before = fs::read(world.file()).unwrap();
    count(&store).await.unwrap();
    assert_eq!(world.store().await.take_up().await.unwrap().version, 2);
    assert_eq!(fs::read(world.previous()).unwrap(), before);
    // Going back is one move, as the error message says.
    fs::rename(world.previous(), world.file()).unwrap();
    assert_eq!(world.store().await.take_up().await.unwrap().version, 1);
}

#[tokio::test]
async fn each_change_leaves_an_audit_record_in_the_same_file() {
    let world = World::new();
    let store = world.store().await;
    for _ in 0..3 {
        count(&store).await.unwrap();
    }
    let refused = store.change(act(), Part::everything(), Previous::Keep, |_| Err::<(), _>("no")).await;
    assert!(matches!(refused, Err(ChangeError::Refused("no"))));
    let store = world.store().await;
    let verified = store.verify_audit(None).await.unwrap().unwrap();
    assert_eq!((verified.records, verified.head.seq), (3, 3));
    assert_eq!(store.take_up().await.unwrap().version, 3);
}

#[tokio::test]
async fn every_kind_of_damage_has_its_name_and_is_never_overwritten() {
    let world = World::new();
    let store = world.store().await;
    count(&store).await.unwrap();
    let whole = fs::read(world.file()).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let damages: [(&[u8], &str); 4] = [
        (&flipped, "is damaged"),
        (&whole[..whole.len() - 10], "is cut short"),
        (b"", "is cut short"),
        (b"[listen]\n", "was not written by Keyway"),
    ];
    for (damage, name) in damages {
        fs::write(world.file(), damage).unwrap();
        for error in [
            store.take_up().await.unwrap_err().to_string(),
            count(&store).await.unwrap_err().to_string(),
            open(&world.file(), &[KEY]).await.err().unwrap().to_string(),
        ] {
            assert!(error.contains(name) && error.contains("directory.sealed.previous"), "{error}");
        }
        assert_eq!(fs::read(world.file()).unwrap(), damage);
    }
}

#[tokio::test]
async fn a_file_under_another_key_names_both_keys_and_stays() {
    let world = World::new();
    count(&world.store().await).await.unwrap();
    let before = fs::read(world.file()).unwrap();
    let error = open(&world.file(), &[OTHER_KEY]).await.err().unwrap();
    assert!(error.to_string().contains("does not open with these encryption keys"), "{error}");
    assert!(matches!(fault(open(&world.file(), &[OTHER_KEY]).await), Fault::WrongKey(_)));
    assert_eq!(fs::read(world.file()).unwrap(), before);
}

#[tokio::test]
async fn a_rotation_needs_both_keys_until_the_first_change() {
    let world = World::new();
    count(&world.store().await).await.unwrap();
    let both = open(&world.file(), &[OTHER_KEY, KEY]).await.unwrap();
    count(&both).await.unwrap();
    assert_eq!(open(&world.file(), &[OTHER_KEY]).await.unwrap().take_up().await.unwrap().version, 2);
    assert!(matches!(fault(open(&world.file(), &[KEY]).await), Fault::WrongKey(_)));
}

#[tokio::test]
async fn a_passphrase_opens_what_it_sealed_and_another_does_not() {
    let world = World::new();
    let phrase = "correct horse battery staple";
    count(&open(&world.file(), &[phrase]).await.unwrap()).await.unwrap();
    assert_eq!(open(&world.file(), &[phrase]).await.unwrap().take_up().await.unwrap().version, 1);
    assert!(matches!(fault(open(&world.file(), &["correct horse battery stapler"]).await), Fault::WrongKey(_)));
}

#[tokio::test]
async fn a_file_that_disappears_is_not_an_empty_directory() {
    let world = World::new();
    let store = world.store().await;
    count(&store).await.unwrap();
    fs::remove_file(world.file()).unwrap();
    assert!(store.changed().await.unwrap());
    assert!(matches!(fault(store.take_up().await), Fault::Missing));
    assert!(!store.changed().await.unwrap(), "what was reported once is not news");
    assert!(count(&store).await.is_err());
    assert!(matches!(fault(open(&world.file(), &[KEY]).await), Fault::Missing));
    assert!(!world.file().exists());
}

#[tokio::test]
async fn links_folders_and_pipes_are_not_read() {
    let world = World::new();
    count(&world.store().await).await.unwrap();
    let elsewhere = World::new();
    symlink(world.file(), elsewhere.file()).unwrap();
    assert!(matches!(fault(open(&elsewhere.file(), &[KEY]).await), Fault::NotAFile));
    fs::remove_file(elsewhere.file()).unwrap();
    fs::create_dir(elsewhere.file()).unwrap();
    assert!(matches!(fault(open(&elsewhere.file(), &[KEY]).await), Fault::NotAFile));
    fs::remove_dir(elsewhere.file()).unwrap();
    assert!(Command::new("mkfifo").arg(elsewhere.file()).status().unwrap().success());
    assert!(matches!(fault(open(&elsewhere.file(), &[KEY]).await), Fault::NotAFile));
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused_before_it_is_read() {
    let world = World::new();
    fs::File::create(world.file()).unwrap().set_len(65 * 1024 * 1024).unwrap();
    assert!(matches!(fault(open(&world.file(), &[KEY]).await), Fault::TooLarge { .. }));
}

#[tokio::test]
async fn a_change_by_another_process_is_noticed_and_so_is_damage_once() {
    let world = World::new();
    let (store, other) = (world.store().await, world.store().await);
    store.take_up().await.unwrap();
    assert!(!store.changed().await.unwrap());
    count(&other).await.unwrap();
    assert!(store.changed().await.unwrap());
    assert_eq!(store.take_up().await.unwrap().version, 1);
    assert!(!store.changed().await.unwrap());
    fs::write(world.file(), b"torn").unwrap();
    assert!(store.changed().await.unwrap());
    assert!(store.take_up().await.is_err());
    assert!(!store.changed().await.unwrap());
}

#[tokio::test]
async fn what_is_forgotten_is_in_neither_generation() {
    let world = World::new();
    let store = world.store().await;
    let sizes = || [world.file(), world.previous()].map(|path| fs::metadata(path).unwrap().len());
    add_text(&store, "t".repeat(50_000)).await.unwrap();
    let forget = |directory: &mut Directory| {
        directory.identities.clear();
        Ok::<_, Infallible>(())
    };
    store.change(act(), Part::everything(), Previous::Keep, forget).await.unwrap();
    assert!(sizes()[1] > 50_000, "an ordinary change keeps the previous generation");
    add_text(&store, "t".repeat(50_000)).await.unwrap();
    store.change(act(), Part::everything(), Previous::Forget, forget).await.unwrap();
    assert!(sizes().iter().all(|size| *size < 10_000), "{:?}", sizes());
    assert_eq!(fs::read(world.file()).unwrap(), fs::read(world.previous()).unwrap());
    assert_eq!(world.store().await.take_up().await.unwrap().version, 4);
}

#[tokio::test]
async fn a_change_that_cannot_be_written_is_refused_and_leaves_nothing_behind() {
    let world = World::new();
    let store = world.store().await;
    let before = fs::read(world.file()).unwrap();
    // No file can be put where a folder with something in it stands.
    fs::create_dir_all(world.previous().join("in the way")).unwrap();
    for result in [
        count(&store).await,
        store.change(act(), Part::everything(), Previous::Forget, |directory| Ok(directory.number())).await,
    ] {
        assert!(matches!(result, Err(ChangeError::Store(StoreError::Unwritable { .. }))), "{result:?}");
    }
    assert_eq!(fs::read(world.file()).unwrap(), before);
    assert_eq!(world.names(), ["directory.sealed", "directory.sealed.lock", "directory.sealed.previous"]);
}

/// Where the system lets us mount a small disk of our own; elsewhere it can only say that it did not look.
#[test]
fn a_full_disk_refuses_the_change_and_nothing_else() {
    let world = World::new();
    let fill = "sealed_file::as_another_process_fill_the_disk_that_the_variable_names";
    let mount = "mount -t tmpfs -o size=128k tmpfs \"$1\" && echo mounted && exec \"$2\" --exact --nocapture \"$3\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
        .args([world.folder.path(), &std::env::current_exe().unwrap(), Path::new(fill)])
        .env("KEYWAY_SPEC_SMALL_DISK", world.folder.path())
        .output();
    let said = output.map_or_else(|error| error.to_string(), |output| format!("{output:?}"));
    if said.contains("mounted") {
        assert!(said.contains("the disk was full"), "{said}");
    }
}

/// Not a test by itself, like the one that is killed below.
#[tokio::test]
async fn as_another_process_fill_the_disk_that_the_variable_names() {
    let Ok(disk) = std::env::var("KEYWAY_SPEC_SMALL_DISK") else { return };
    let file = Path::new(&disk).join("directory.sealed");
    let store = open(&file, &[KEY]).await.unwrap();
    let full = loop {
        let before = fs::read(&file).unwrap();
        if let Err(error) = add_text(&store, "t".repeat(5_000)).await {
            assert_eq!(fs::read(&file).unwrap(), before);
            break error;
        }
    };
    assert!(matches!(full, ChangeError::Store(StoreError::NoSpace { .. })), "{full}");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 3, "no temporary file is left");
    let free = |directory: &mut Directory| {
        directory.identities.clear();
        Ok::<_, Infallible>(())
    };
    store.change(act(), Part::everything(), Previous::Keep, free).await.unwrap();
    writeln!(std::io::stdout(), "the disk was full").unwrap();
}

#[tokio::test]
async fn what_a_killed_writer_left_is_swept() {
    let world = World::new();
    let store = world.store().await;
    fs::write(world.folder.path().join("directory.sealed.new-0123456789abcdef"), b"half").unwrap();
    fs::write(world.folder.path().join("unrelated"), b"").unwrap();
    count(&store).await.unwrap();
    assert_eq!(world.names(), ["directory.sealed", "directory.sealed.lock", "directory.sealed.previous", "unrelated"]);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_a_change_that_began() {
    let world = World::new();
    let store = world.store().await;
    let (leave, left) = std::sync::mpsc::channel();
    let change = store.change(act(), Part::everything(), Previous::Keep, move |directory| {
        left.recv().unwrap();
        Ok::<_, Infallible>(directory.number())
    });
    assert!(tokio::time::timeout(Duration::from_millis(5), change).await.is_err());
    leave.send(()).unwrap();
    assert_eq!(count(&store).await.unwrap(), 2);
}

#[tokio::test]
async fn a_rule_that_panics_changes_nothing_and_the_store_goes_on() {
    let world = World::new();
    let store = std::sync::Arc::new(world.store().await);
    let doomed = std::sync::Arc::clone(&store);
    let panics = async move {
        doomed
            .change(act(), Part::everything(), Previous::Keep, |_| -> Result<(), Infallible> {
                panic!("a rule with a fault")
            })
            .await
    };
    assert!(tokio::spawn(panics).await.unwrap_err().is_panic());
    assert_eq!(count(&store).await.unwrap(), 1);
}

/// Not a test by itself: what the tests below run as another process. It changes the file that the variable names until
/// it has done its number of changes or is killed, and says after each that it is done.
#[test]
fn as_another_process_change_the_file_that_the_variable_names() {
    let Ok(file) = std::env::var("KEYWAY_SPEC_SEALED_FILE") else { return };
    let changes: u32 = std::env::var("KEYWAY_SPEC_CHANGES").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&file), &[KEY]).await.unwrap();
        for turn in 0..changes {
            let done = match turn % 2 {
                0 => count(&store).await.unwrap(),
                _ => store
                    .change(act(), Part::everything(), Previous::Forget, |directory| {
                        Ok::<_, Infallible>(directory.number())
                    })
                    .await
                    .unwrap(),
            };
            writeln!(std::io::stdout(), "\ndone {done}").unwrap();
        }
    });
}

fn another_process(file: &Path, changes: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "sealed_file::as_another_process_change_the_file_that_the_variable_names"])
        .env("KEYWAY_SPEC_SEALED_FILE", file)
        .env("KEYWAY_SPEC_CHANGES", changes.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The numbers that a process said were done, to the end of what it said.
fn done(child: &mut Child) -> Vec<u32> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.filter_map(|line| line.strip_prefix("done ").and_then(|number| number.parse().ok())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_and_two_tasks_lose_no_change() {
    const EACH: u32 = 25;
    let world = World::new();
    let store = std::sync::Arc::new(world.store().await);
    let mut processes = [another_process(&world.file(), EACH), another_process(&world.file(), EACH)];
    let tasks = [(); 2].map(|()| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..EACH {
                count(&store).await.unwrap();
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    for process in &mut processes {
        assert_eq!(done(process).len(), EACH as usize);
        assert!(process.wait().unwrap().success());
    }
    let directory = store.take_up().await.unwrap();
    assert_eq!((directory.last_number, directory.version), (4 * EACH, 4 * u64::from(EACH)));
    assert_eq!(store.verify_audit(None).await.unwrap().unwrap().records, 4 * EACH as usize);
}

#[tokio::test]
async fn a_writer_killed_at_any_moment_leaves_the_old_or_the_new_and_nothing_it_promised_is_lost() {
    const KILLS: u32 = 200;
    let world = World::new();
    let store = world.store().await;
    // How long a start and a first change take here and now.
    let began = Instant::now();
    another_process(&world.file(), 1).wait().unwrap();
    let first = began.elapsed();
    for kill in 0..KILLS {
        let before = store.take_up().await.unwrap().last_number;
        let mut process = another_process(&world.file(), u32::MAX);
        // Spread over start, reading, writing, renaming and syncing; real time, for the process is a real one.
        std::thread::sleep(first * (kill * 97 % KILLS) / (KILLS / 2));
        process.kill().unwrap();
        process.wait().unwrap();
        let promised = done(&mut process).last().copied().unwrap_or(before);
        let directory = store.take_up().await.unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
        // It may have finished one more than it came to say.
        assert!((promised..=promised + 1).contains(&directory.last_number), "after kill {kill}");
        if world.previous().exists() {
            let beside = World::new();
            fs::copy(world.previous(), beside.file()).unwrap();
            beside.store().await.take_up().await.unwrap();
        }
    }
    count(&store).await.unwrap();
    assert_eq!(world.names(), ["directory.sealed", "directory.sealed.lock", "directory.sealed.previous"]);
    assert!(
        store.take_up().await.unwrap().version > u64::from(KILLS) / 4,
        "most writers were killed before they wrote"
    );
}
