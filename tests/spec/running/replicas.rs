//! Promise: what is changed on one replica holds on every other within a second, also after a lost connection; and with the
//! database away what is known is served, and nobody is told that their token is wrong.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use keyway::directory::credentials::{self, CredentialChange, NewCredential};
use keyway::directory::tokens::{self, NewToken};
use keyway::directory::users::{self, NewUser};
use keyway::directory::{Access, Actor, Expected, orgs, workspaces};
use keyway::domain::directory::Directory;
use keyway::domain::entity::{Gate, Grant, Org, Owner, Provider, Workspace};
use keyway::domain::id::Id;
use keyway::domain::permission::AccessRole;
use keyway::domain::secret::Secret;
use keyway::store::audit::Act;
use keyway::store::seal::MasterKey;
use keyway::store::{Part, Previous, Store};
use rustix::process::Signal;
use sqlx::Executor;

use super::caller::Caller;
use super::gateway::{Process, SOON, practice};
use crate::support::postgres::{Cluster, connect, shared};

const KEY: &str = "raw:0123456789abcdef0123456789abcdef";
/// What is promised.
const IN_FORCE: Duration = Duration::from_secs(1);

/// A database with a workspace, and somebody who changes it.
pub(super) struct Office {
    pub(super) settings: String,
    access: Access,
    org: Org,
    workspace: Workspace,
}

/// A gateway on that database.
pub(super) struct Replica {
    pub(super) process: Process,
    folder: tempfile::TempDir,
    pub(super) data: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Office {
    pub(super) async fn new(url: &str) -> Self {
        let practice = practice();
        let settings = format!(
            "[store]\nkind = \"postgres\"\nurl = \"{url}\"\n[encryption]\nkeys = [\"{KEY}\"]\n\
             [egress]\nhttp = [\"127.0.0.1\"]\n\
             [[provider]]\nid = \"practice\"\nkind = \"custom\"\nbase_url = \"http://{practice}/v1\"\napi_key = \"sk-declared-1234\"\n\
             [[provider]]\nid = \"closed\"\nkind = \"custom\"\nbase_url = \"http://{practice}/v1\"\n"
        );
        let config = keyway::config::Config::from_text("gateway.toml", &settings, &|_| None).unwrap();
        let keys = vec![MasterKey::parse(&Secret::from(KEY.to_string())).unwrap()];
        let access = Access {
            store: Store::postgres(&Secret::from(url.to_string()).into(), keys).await.unwrap(),
            declared: config.declared.clone(),
            egress: std::sync::Arc::new(config.egress.rules.clone()),
            actor: Actor::operator("cli:ada"),
        };
        let org = orgs::create(&access, "acme").await.unwrap();
        let workspace = workspaces::create(&access, org.id, "team", None).await.unwrap();
        Self { settings, access, org, workspace }
    }

    pub(super) async fn replica(&self) -> Replica {
        self.replica_in(tempfile::tempdir().unwrap()).await
    }

    async fn replica_in(&self, folder: tempfile::TempDir) -> Replica {
        std::fs::write(folder.path().join("gateway.toml"), &self.settings).unwrap();
        let process = Process::start(folder.path(), &["serve"], &[]);
        let (data, admin) = process.addresses().await;
        Replica { process, folder, data, admin }
    }

    pub(super) async fn token(&self) -> (String, Id<keyway::domain::entity::Token>) {
        self.mint(NewToken::of(self.workspace.id)).await
    }

    async fn mint(&self, new: NewToken) -> (String, Id<keyway::domain::entity::Token>) {
        let minted = tokens::create(&self.access, new).await.unwrap();
        (String::from_utf8(minted.text.expose().to_vec()).unwrap(), minted.line.id)
    }

    /// What no function for people does yet.
    pub(super) async fn change(&self, rule: impl FnOnce(&mut Directory) + Send + 'static) {
        let rule = move |directory: &mut Directory| {
            rule(directory);
            Ok::<_, Infallible>(())
        };
        let act = Act::new("cli:ada", "change", "all");
        self.access.store.change(act, Part::everything(), Previous::Keep, rule).await.unwrap();
    }
}

impl Replica {
    /// The status of a call, and what is said.
    async fn calls(&self, token: &str, model: &str) -> (u16, String) {
        let answer = Caller::to(self.data).await.with_token(token).chat(model).await.unwrap();
        (answer.status, answer.body)
    }

    pub(super) async fn status(&self, token: &str) -> u16 {
        self.calls(token, "practice:practice-small").await.0
    }

    pub(super) async fn metrics(&self) -> String {
        Caller::to(self.admin).await.get("/metrics").await.body
    }

    async fn ready(&self) -> (u16, String) {
        let answer = Caller::to(self.admin).await.get("/readyz").await;
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, body["status"].as_str().unwrap().to_string())
    }

    async fn until_ready(&self, status: &str) {
        let began = Instant::now();
        while self.ready().await != (200, status.to_string()) {
            assert!(began.elapsed() < SOON * 4, "not {status}: {}", self.process.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// How long it takes from now until calls on every replica have this status.
async fn in_force(replicas: &[&Replica], token: &str, model: &str, status: u16) -> Duration {
    let began = Instant::now();
    for replica in replicas {
        loop {
            let (found, body) = replica.calls(token, model).await;
            if found == status {
                break;
            }
            assert!(began.elapsed() < SOON, "{model} still gives {found}: {body}\n{}", replica.process.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    began.elapsed()
}

fn closed() -> Id<Provider> {
    Id::declared("provider", "closed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_holds_on_every_replica_within_a_second() {
    let office = Office::new(&shared().database().await).await;
    let (one, other) = tokio::join!(office.replica(), office.replica());
    let both = [&one, &other];
    let (token, id) = office.token().await;
    let mut took = Vec::new();
    // Also known where it was asked for before there was one.
    took.push(("a new token", in_force(&both, &token, "practice:practice-small", 200).await));
    assert_eq!(other.calls(&token, "closed:m").await.0, 403, "there is no key for it");

    let key = Some(Secret::from("sk-platform-1234".to_string()));
    let grant = Some(Grant::Workspaces(vec![office.workspace.id]));
    let change = CredentialChange { key, grant, ..CredentialChange::default() };
    let new = NewCredential { owner: Owner::Platform, provider: closed(), change };
    let set = credentials::set(&office.access, new).await.unwrap();
    took.push(("a grant", in_force(&both, &token, "closed:practice-small", 200).await));
    credentials::delete(&office.access, set.credential.id, Expected::Anything).await.unwrap();
    took.push(("a deleted credential", in_force(&both, &token, "closed:practice-small", 403).await));

    let of_workspace = Owner::Workspace(office.workspace.id);
    let own = NewCredential::of(of_workspace, closed(), Some(Secret::from("sk-workspace-1234".to_string())));
    credentials::set(&office.access, own).await.unwrap();
    took.push(("the workspace's own key", in_force(&both, &token, "closed:practice-small", 200).await));

    let (org, gated) = (office.org.id, closed());
    let gate = move |directory: &mut Directory, gate| {
        let org = directory.orgs.iter_mut().find(|one| one.id == org).unwrap();
        org.gates.insert(gated, gate);
    };
    office.change(move |directory| gate(directory, Gate::Deny)).await;
    took.push(("a closed gate", in_force(&both, &token, "closed:practice-small", 403).await));
    office.change(move |directory| gate(directory, Gate::Allow)).await;
    took.push(("an opened gate", in_force(&both, &token, "closed:practice-small", 200).await));

    let mut new = NewUser { email: "ada@example.com".into(), ..NewUser::default() };
    new.workspace_roles.insert(office.workspace.id, AccessRole::Member);
    let user = users::create(&office.access, new).await.unwrap().id;
    let (users_token, _) = office.mint(NewToken { user: Some(user), ..NewToken::of(office.workspace.id) }).await;
    in_force(&both, &users_token, "practice:practice-small", 200).await;
    office.change(move |directory| directory.users.iter_mut().for_each(|one| one.disabled = one.id == user)).await;
    took.push(("a disabled user", in_force(&both, &users_token, "practice:practice-small", 401).await));

    tokens::revoke(&office.access, id).await.unwrap();
    took.push(("a revoked token", in_force(&both, &token, "practice:practice-small", 401).await));
    assert!(took.iter().all(|(_, took)| *took < IN_FORCE), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_connection_a_revocation_holds_within_a_second_too() {
    let url = shared().database().await;
    let office = Office::new(&url).await;
    let (one, other) = tokio::join!(office.replica(), office.replica());
    let mut database = connect(&url).await;
    for _ in 0..3 {
        let (token, id) = office.token().await;
        in_force(&[&one, &other], &token, "practice:practice-small", 200).await;
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                   where application_name = 'keyway' and datname = current_database()";
        database.execute(cut).await.unwrap();
        tokens::revoke(&office.access, id).await.unwrap();
        let took = in_force(&[&one, &other], &token, "practice:practice-small", 401).await;
        assert!(took < IN_FORCE, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_database_away_what_is_known_is_served_and_what_is_not_is_no_wrong_token() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let mut office = Office::new(&cluster.database().await).await;
    let replica = office.replica().await;
    office.settings = office.settings.replace("[store]", "[store]\nserve_without = \"1s\"");
    let impatient = office.replica().await;
    let ((known, _), (unknown, revoked)) = (office.token().await, office.token().await);
    assert_eq!((replica.status(&known).await, impatient.status(&known).await), (200, 200));
    cluster.stop();
    replica.until_ready("degraded").await;
    for _ in 0..20 {
        assert_eq!(replica.status(&known).await, 200);
        let (status, body) = replica.calls(&unknown, "default").await;
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("store_unavailable"), "{body}");
    }
    let took = in_force(&[&impatient], &known, "practice:practice-small", 503).await;
    assert!(took < SOON, "a second without the database is all it may serve: {took:?}");
    cluster.restart();
    replica.until_ready("ready").await;
    in_force(&[&impatient], &known, "practice:practice-small", 200).await;
    assert_eq!(replica.status(&unknown).await, 200, "without a restart");
    tokens::revoke(&office.access, revoked).await.unwrap();
    assert!(in_force(&[&replica], &unknown, "practice:practice-small", 401).await < IN_FORCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_without_the_database_serves_what_was_known_and_heals_without_another() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let office = Office::new(&cluster.database().await).await;
    // Made before the start: the news of its own making would make a replica forget a token that it knows already.
    let ((known, id), (revoked, revoked_id), (unknown, _)) =
        (office.token().await, office.token().await, office.token().await);
    let mut replica = office.replica().await;
    for token in [&known, &revoked] {
        assert_eq!(replica.status(token).await, 200);
    }
    tokens::revoke(&office.access, revoked_id).await.unwrap();
    in_force(&[&replica], &revoked, "practice:practice-small", 401).await;
    cluster.stop();
    replica.until_ready("degraded").await;
    replica.process.signal(Signal::TERM);
    assert!(replica.process.exit().await.success());

    let mut again = office.replica_in(replica.folder).await;
    again.until_ready("degraded").await;
    assert_eq!(again.status(&known).await, 200);
    assert_eq!(again.status(&unknown).await, 503, "of what is not at hand nothing is said");
    assert_eq!(again.status(&revoked).await, 401, "a revocation that was heard is not forgotten");
    // A crash loses no more than what came within the last moment.
    again.process.signal(Signal::KILL);
    again.process.exit().await;
    let again = office.replica_in(again.folder).await;
    assert_eq!(again.status(&known).await, 200);
    for file in std::fs::read_dir(again.folder.path().join("keyway-data")).unwrap() {
        // The journal, a folder, names nobody.
        let Ok(bytes) = std::fs::read(file.unwrap().path()) else { continue };
        assert!(!bytes.windows(4).any(|four| four == b"acme"), "the mirror can be read");
    }

    cluster.restart();
    again.until_ready("ready").await;
    in_force(&[&again], &unknown, "practice:practice-small", 200).await;
    assert_eq!(again.status(&revoked).await, 401);
    tokens::revoke(&office.access, id).await.unwrap();
    assert!(in_force(&[&again], &known, "practice:practice-small", 401).await < IN_FORCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_and_without_a_mirror_of_the_last_hour_a_start_says_so_and_ends() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let mut office = Office::new(&cluster.database().await).await;
    office.settings = office.settings.replace("[store]", "[store]\nserve_without = \"1s\"");
    let mut replica = office.replica().await;
    cluster.stop();
    replica.until_ready("degraded").await;
    replica.process.signal(Signal::TERM);
    replica.process.exit().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for folder in [replica.folder, tempfile::tempdir().unwrap()] {
        std::fs::write(folder.path().join("gateway.toml"), &office.settings).unwrap();
        let mut process = Process::start(folder.path(), &["serve"], &[]);
        assert!(!process.exit().await.success());
        assert!(process.log().contains("the database is away"), "{}", process.log());
    }
}
