//! A real Postgres that goes with the test program: one cluster for all tests, a database for each, and clusters of their
//! own for tests that stop, kill or pause one.
//!
//! Needs Debian's `postgresql` (the Makefile installs it). As root it runs as the user `postgres`, for it refuses root.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// Longer than a cluster takes to start or stop on a busy machine.
const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    server: std::sync::Mutex<Child>,
    /// Ends the cluster when this program ends, however it does.
    _watch: Child,
    databases: AtomicU32,
}

/// The one that tests share. Only ones of their own may be stopped.
pub(crate) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("keyway-postgres-").tempdir().unwrap().keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = other_user() {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let mut initdb = program("initdb", &folder);
        initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"]);
        let made = initdb.arg(folder.join("data")).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let server = serve(&folder, port);
        let watch = watch(&folder);
        let databases = AtomicU32::new(0);
        let cluster = Self { folder, port, server: server.into(), _watch: watch, databases };
        cluster.until_it_answers();
        cluster
    }

    /// The address of a new, empty database.
    pub(crate) async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let create = AssertSqlSafe(format!("create database {name}"));
        self.connect("postgres").await.execute(create).await.unwrap();
        self.url(&name)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    async fn connect(&self, database: &str) -> PgConnection {
        connect(&self.url(database)).await
    }

    /// As an operator would, waiting for nobody.
    pub(crate) fn stop(&self) {
        self.signal(Signal::INT);
        self.until_it_ended();
    }

    /// As a power cut would, for all that one can see from outside.
    pub(crate) fn kill(&self) {
        let all = self.processes();
        all.iter().for_each(|pid| send(*pid, Signal::KILL));
        self.until_it_ended();
    }

    pub(crate) fn restart(&self) {
        *self.server.lock().unwrap() = serve(&self.folder, self.port);
        self.until_it_answers();
    }

    /// Connections stay and nothing answers, as when the machine hangs.
    pub(crate) fn pause(&self) {
        // The parent first, so that no child is born behind our back.
        self.signal(Signal::STOP);
        self.processes().iter().for_each(|pid| send(*pid, Signal::STOP));
    }

    pub(crate) fn go_on(&self) {
        self.processes().iter().rev().for_each(|pid| send(*pid, Signal::CONT));
    }

    /// What a backup holds, as text.
    pub(crate) fn dump(&self, url: &str) -> Vec<u8> {
        let dumped = program("pg_dump", &self.folder).arg(url).output().unwrap();
        assert!(dumped.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dumped.stderr));
        dumped.stdout
    }

    fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.server.lock().unwrap())
    }

    /// The server and its children, each of which is one connection or one worker; none once it has ended.
    fn processes(&self) -> Vec<Pid> {
        if self.server.lock().unwrap().try_wait().unwrap().is_some() {
            return Vec::new();
        }
        let server = self.pid();
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.as_raw_nonzero()));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        std::iter::once(server).chain(children).collect()
    }

    fn until_it_answers(&self) {
        let began = Instant::now();
        let ready = || {
            let port = self.port.to_string();
            program("pg_isready", &self.folder).args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap().success()
        };
        while !ready() {
            assert!(began.elapsed() < SOON, "no answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn until_it_ended(&self) {
        let began = Instant::now();
        while self.server.lock().unwrap().try_wait().unwrap().is_none() {
            assert!(began.elapsed() < SOON, "still there: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.processes().iter().for_each(|pid| send(*pid, Signal::KILL));
        let _ = self.server.lock().unwrap().wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("set search_path = keyway").await.unwrap();
    connection
}

/// It may have ended in the meantime.
fn send(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

/// Not synced to the disk, which a test can't take away; but written at each commit, for a killed server must keep its word.
fn serve(folder: &Path, port: u16) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut postgres = program("postgres", folder);
    let sockets = format!("unix_socket_directories={}", folder.display());
    let settings = [
        &*sockets,
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "full_page_writes=off",
        "max_connections=300",
        "shared_buffers=32MB",
    ];
    postgres.arg("-D").arg(folder.join("data")).arg("-p").arg(port.to_string());
    for setting in settings {
        postgres.args(["-c", setting]);
    }
    postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Waits for its input to end, which it does with this program, be it killed; then ends the server and removes its folder.
fn watch(folder: &Path) -> Child {
    let script = "cat; read -r pid rest < \"$0/data/postmaster.pid\" && kill -QUIT \"$pid\"; sleep 1; rm -rf \"$0\"";
    let mut watch = Command::new("sh");
    watch.arg("-c").arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    watch.process_group(0).spawn().unwrap()
}

/// One of Postgres' programs, as the user that may run it.
fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(programs().join(name));
    // Its working folder must be one that its user may enter.
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

/// Debian keeps them out of PATH, one folder a version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<u32> = versions.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable();
    let newest = versions.last().expect("Postgres is not installed: `apt-get install postgresql`, or run `make test`");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// Whom to run it as, if not as ourselves.
fn other_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find_map(|line| line.strip_prefix("postgres:")).expect("there is no user `postgres`");
    let mut fields = user.split(':').skip(1).map(|field| field.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
