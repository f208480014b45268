//! Promise: a replica on Postgres starts in seconds and stays within its cache's bound, however many workspaces there are.
//!
//! `benches/many` runs this with a million workspaces and keeps what it prints; the suite has time for a hundredth.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use keyway::domain::directory::Directory;
use keyway::domain::entity::{Credential, Org, Owner, Token, Workspace};
use keyway::domain::id::Id;
use keyway::domain::secret::Secret;
use keyway::domain::time::Timestamp;
use keyway::domain::token::mint;
use keyway::store::audit::Act;
use keyway::store::seal::MasterKey;
use keyway::store::{Part, Previous, Store};
use tokio::task::JoinSet;

use super::caller::Caller;
use super::gateway::{Process, practice};
use crate::support::postgres::Cluster;

const KEY: &str = "raw:0123456789abcdef0123456789abcdef";
const PROVIDERS: [&str; 3] = ["one", "two", "three"];
/// Workspaces that one change brings.
const AT_ONCE: usize = 5_000;
/// Connections that call at the same time.
const CALLERS: usize = 8;
/// Cold calls that are timed, one after the other.
const TIMED: usize = 100;
/// No two workspaces share a connection to a provider, so each call here leaves one behind. The practice provider takes 1,024
/// in all; at the limit it keeps calls waiting until others have rested for 20 s, and that is what would be timed.
const IDLE_PER_CORE: usize = 64;
/// Beyond the cache: what a process takes for as many calls with a cache of nothing, with room to spare.
const BESIDE_KIB: u64 = 32 << 10;

struct Scale {
    workspaces: usize,
    cache_mib: u64,
    /// Workspaces that call: some three times what the cache holds.
    calling: usize,
}

impl Scale {
    fn chosen() -> Self {
        let set = std::env::var("KEYWAY_WORKSPACES").ok().and_then(|number| number.parse().ok());
        match set {
            Some(workspaces) => Self { workspaces, cache_mib: 256, calling: workspaces.min(60_000) },
            None => Self { workspaces: 10_000, cache_mib: 8, calling: 2_000 },
        }
    }

    fn is_measured(&self) -> bool {
        self.workspaces > 10_000
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_holds_the_workspaces_that_call_and_not_the_others() {
    let scale = Scale::chosen();
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let url = cluster.database().await;
    let practice = practice();
    let began = Instant::now();
    let tokens = fill(&url, practice, &scale).await;
    let filled = began.elapsed();

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.toml"), settings(&url, practice, scale.cache_mib)).unwrap();
    let began = Instant::now();
    let process = Process::start(folder.path(), &["serve"], &[]);
    let (data, _) = process.addresses().await;
    let start = began.elapsed();
    let idle = resident_kib(&process);

    let mut caller = Caller::to(data).await.with_token(&tokens[0]);
    assert_eq!(caller.chat("one:practice-small").await.unwrap().status, 200);
    let mut warm = timed(data, std::iter::repeat_n(&tokens[0], TIMED)).await;
    let mut cold = timed(data, tokens[1..].iter().take(TIMED)).await;
    let calls = call_all(data, Arc::new(tokens)).await;
    let full = resident_kib(&process);
    let figures = serde_json::json!({
        "workspaces": scale.workspaces,
        "credentials": scale.workspaces * PROVIDERS.len(),
        "filled_s": filled.as_secs_f64(),
        "start_ms": millis(start),
        "warm_call_ms": percentiles(&mut warm),
        "cold_call_ms": percentiles(&mut cold),
        "workspaces_that_called": calls,
        "cache_mib": scale.cache_mib,
        "resident_kib": { "idle": idle, "after_calls": full },
    });
    println!("{figures}");
    assert_eq!(calls, scale.calling);
    assert!(full - idle <= scale.cache_mib * 1_024 + BESIDE_KIB, "{figures}");
    if scale.is_measured() {
        assert!(start < Duration::from_secs(5) && cold[cold.len() / 2] < Duration::from_millis(10), "{figures}");
    }
}

fn settings(url: &str, practice: SocketAddr, cache_mib: u64) -> String {
    let providers = PROVIDERS
        .map(|name| format!("[[provider]]\nid = \"{name}\"\nkind = \"custom\"\nbase_url = \"http://{practice}/v1\"\n"));
    format!(
        "[attempts]\npool_connections = {IDLE_PER_CORE}\n[store]\nkind = \"postgres\"\nurl = \"{url}\"\ncache = \"{cache_mib}MiB\"\n[encryption]\nkeys = [\"{KEY}\"]\n\
         [egress]\nhttp = [\"127.0.0.1\"]\n[log]\nexchanges = false\n{}",
        providers.concat()
    )
}

/// Gives the tokens of those that are going to call, spread over all.
async fn fill(url: &str, practice: SocketAddr, scale: &Scale) -> Vec<String> {
    let keys = vec![MasterKey::parse(&Secret::from(KEY.to_string())).unwrap()];
    let store = Store::postgres(&Secret::from(url.to_string()).into(), keys).await.unwrap();
    let org = Org::new(Id::random(), "acme", Timestamp::now());
    let (org_id, mut tokens) = (org.id, Vec::new());
    add(&store, Directory { orgs: vec![org], ..Directory::default() }).await;
    let every = scale.workspaces / scale.calling;
    for first in (0..scale.workspaces).step_by(AT_ONCE) {
        let numbers = first..scale.workspaces.min(first + AT_ONCE);
        let (keyring, address) = (store.keyring().clone(), format!("http://{practice}/v1"));
        let made = tokio::task::spawn_blocking(move || {
            let mut all = (Directory::default(), Vec::new());
            numbers.for_each(|number| workspace(number, org_id, &address, &keyring, &mut all));
            all
        });
        let (more, texts) = made.await.unwrap();
        let spread = texts.into_iter().zip(first..).filter(|(_, number)| number % every == 0);
        tokens.extend(spread.map(|(text, _)| text));
        add(&store, more).await;
    }
    tokens.truncate(scale.calling);
    tokens
}

fn workspace(
    number: usize,
    org: Id<Org>,
    address: &str,
    keyring: &keyway::store::seal::Keyring,
    (all, texts): &mut (Directory, Vec<String>),
) {
    let now = Timestamp::now();
    let workspace = Workspace::new(Id::random(), org, &format!("workspace-{number}"), now);
    let base_url: keyway::domain::address::BaseUrl = address.parse().unwrap();
    for name in PROVIDERS {
        let owner = Owner::Workspace(workspace.id);
        let provider = Id::declared("provider", name);
        let mut credential = Credential::new(Id::random(), owner, provider, &base_url.address, now);
        keyring.seal_credential(&mut credential, Secret::from(format!("sk-{name}-{number:012}"))).unwrap();
        all.credentials.push(credential);
    }
    let id = Id::random();
    let (text, hash) = mint(id).unwrap();
    texts.push(String::from_utf8(text.expose().to_vec()).unwrap());
    all.tokens.push(Token::new(id, hash, workspace.id, "many", now));
    all.workspaces.push(workspace);
}

async fn add(store: &Store, more: Directory) {
    let rule = move |directory: &mut Directory| {
        let Directory { orgs, workspaces, tokens, credentials, .. } = more;
        directory.orgs.extend(orgs);
        directory.workspaces.extend(workspaces);
        directory.tokens.extend(tokens);
        directory.credentials.extend(credentials);
        Ok::<_, Infallible>(())
    };
    store.change(Act::new("many", "fill", "all"), Part::default(), Previous::Keep, rule).await.unwrap();
}

async fn timed(data: SocketAddr, tokens: impl Iterator<Item = &String>) -> Vec<Duration> {
    let mut caller = Caller::to(data).await;
    let mut took = Vec::new();
    for token in tokens {
        caller = caller.with_token(token);
        let began = Instant::now();
        assert_eq!(caller.chat("one:practice-small").await.unwrap().status, 200);
        took.push(began.elapsed());
    }
    took
}

/// How many workspaces were answered.
async fn call_all(data: SocketAddr, tokens: Arc<Vec<String>>) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (tokens, next) = (tokens.clone(), next.clone());
        callers.spawn(async move {
            let (mut caller, mut answered) = (Caller::to(data).await, 0);
            while let Some(token) = tokens.get(next.fetch_add(1, Relaxed)) {
                caller = caller.with_token(token);
                answered += usize::from(caller.chat("one:practice-small").await.unwrap().status == 200);
            }
            answered
        });
    }
    callers.join_all().await.into_iter().sum()
}

fn resident_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn percentiles(took: &mut [Duration]) -> serde_json::Value {
    took.sort_unstable();
    let at = |percent: usize| millis(took[(took.len() - 1) * percent / 100]);
    serde_json::json!({ "p50": at(50), "p99": at(99), "max": at(100) })
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 1e2
}
