//! The real binary in a folder of its own, with a practice provider in this process behind it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keyway::app::open;
use keyway::config::Config;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::caller::Caller;

/// The one that was built with the tests, or the one that is to be measured.
fn program() -> std::ffi::OsString {
    std::env::var_os("KEYWAY_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_keyway").into())
}

/// Longer than anything here should take on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// Starts a practice provider that lives as long as the test's runtime.
pub(super) fn practice() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(keyway::practice::serve(listener).unwrap());
    address
}

/// A configuration with the practice provider at an address, and more settings before its entities.
pub(super) fn configuration(practice: SocketAddr, settings: &str) -> String {
    format!(
        "{settings}\n[egress]\nhttp = [\"127.0.0.1\"]\n\
         [[provider]]\nid = \"practice\"\nkind = \"custom\"\nbase_url = \"http://{practice}/v1\"\n\
         api_key = \"sk-the-providers-own-key\"\n[[org]]\nid = \"team\"\n[[workspace]]\nid = \"team\"\n\
         default = \"practice:practice-small\"\n"
    )
}

/// A child process whose output is read as it comes.
pub(super) struct Process {
    child: Child,
    pub(super) stdout: Arc<Mutex<String>>,
    pub(super) log: Arc<Mutex<String>>,
}

impl Process {
    /// Only the given variables are set, besides a port of the system's choice and the folder it works in.
    pub(super) fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments);
        Self::run(command, folder, variables)
    }

    /// By way of another program, which gets our binary as its last argument.
    pub(super) fn start_by(folder: &Path, words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(program());
        Self::run(command, folder, &[])
    }

    fn run(mut command: Command, folder: &Path, variables: &[(&str, &str)]) -> Self {
        command.env_clear().current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs([("KEYWAY_LISTEN", "127.0.0.1:0"), ("KEYWAY_ADMIN_LISTEN", "127.0.0.1:0")]);
        command.env("TMPDIR", folder).envs(variables.iter().copied());
        let mut child = command.spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let log = collect(child.stderr.take().unwrap());
        Self { child, stdout, log }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(super) async fn says(&self, text: &str) {
        eventually(&format!("the log to say {text:?}"), || self.log().contains(text)).await;
    }

    /// What the line about a start says behind `data=` and `admin=`.
    pub(super) async fn addresses(&self) -> (SocketAddr, SocketAddr) {
        self.says("admin=").await;
        let log = self.log();
        let after = |name: &str| {
            let rest = &log[log.find(name).unwrap() + name.len()..];
            rest.split_whitespace().next().unwrap().parse().unwrap()
        };
        (after("data="), after("admin="))
    }

    pub(super) async fn exit(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < SOON * 4, "still running: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; a test that failed must leave nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(output: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::<Mutex<String>>::default();
    let collected = text.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            collected.lock().unwrap().push_str(&format!("{line}\n"));
        }
    });
    text
}

/// A gateway started from a file.
pub(super) struct Gateway {
    pub(super) process: Process,
    pub(super) folder: TempDir,
    pub(super) data: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) token: String,
}

impl Gateway {
    pub(super) async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, text).await
    }

    pub(super) async fn start_in(folder: TempDir, text: &str) -> Self {
        let file = folder.path().join("gateway.toml");
        fs::write(&file, text).unwrap();
        let config = Config::load(&file, &|_| None).unwrap();
        let opened = open::open(&config).await.unwrap();
        let token = open::first_token(&opened, &config).await.unwrap().unwrap();
        let token = String::from_utf8(token.expose().to_vec()).unwrap();
        let process = Process::start(folder.path(), &["serve"], &[]);
        let (data, admin) = process.addresses().await;
        Self { process, folder, data, admin, token }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    pub(super) fn config(&self) -> Config {
        Config::load(&self.file(), &|_| None).unwrap()
    }

    /// Writes the file as an editor does that replaces it.
    pub(super) fn write(&self, text: &str) {
        let new = self.folder.path().join("gateway.toml.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    /// SIGHUP, and back once it was heard: taken up or refused.
    pub(super) async fn reload(&self) {
        let before = self.reloads().await;
        self.process.signal(Signal::HUP);
        let began = Instant::now();
        while self.reloads().await == before {
            assert!(began.elapsed() < SOON, "no reload: {}", self.process.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Reloads that were taken up, and that were refused.
    pub(super) async fn reloads(&self) -> (u64, u64) {
        let text = self.metrics().await;
        let of = |result: &str| {
            let name = format!("keyway_config_reloads_total{{result=\"{result}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |value| value.parse().unwrap())
        };
        (of("taken"), of("refused"))
    }

    pub(super) async fn metrics(&self) -> String {
        let answer = Caller::to(self.admin).await.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The status and the body of `/readyz`.
    pub(super) async fn ready(&self) -> (u16, serde_json::Value) {
        let answer = Caller::to(self.admin).await.get("/readyz").await;
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    pub(super) async fn caller(&self) -> Caller {
        Caller::to(self.data).await.with_token(&self.token)
    }
}

pub(super) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
