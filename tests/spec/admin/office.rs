//! The admin listener in this process: a store in memory, a world that follows it, and clients with tokens.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use keyway::admin::api::{Api, Ground, Live, Traffic};
use keyway::admin::{Admin, Desk, Models, Readiness, Ready, Settings};
use keyway::app::meter;
use keyway::attempt::breaker::{self, Breakers};
use keyway::attempt::client::{Client as Upstream, ClientSettings, Network, authorities};
use keyway::attempt::probe::Probe;
use keyway::config::Config;
use keyway::directory::tokens::{self, NewToken};
use keyway::directory::users::{self, NewUser};
use keyway::directory::{Access, Actor, orgs, workspaces};
use keyway::domain::entity::{Org, Token, Workspace};
use keyway::domain::id::Id;
use keyway::domain::permission::AccessRole;
use keyway::domain::time::Timestamp;
use keyway::domain::token::TokenHash;
use keyway::listen::{Limits, Peer, Reception, RequestBody, Setup, bind};
use keyway::snapshot::{World, build};
use keyway::store::ledger::Ledger;
use keyway::store::seal::{Keyring, MasterKey, Salt};
use keyway::store::state::{Keeping, State};
use keyway::store::{Need, Store};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Two providers that gateway.toml declares.
const DECLARED: &str = "
[egress]
http = [\"127.0.0.1\", \"your-local-model-server\"]
[[provider]]
id = \"openai\"
kind = \"openai\"
api_key = \"sk-the-operators-own-key\"
[[provider]]
id = \"local\"
kind = \"llama-cpp\"
base_url = \"http://127.0.0.1:9/v1\"
[[org]]
id = \"house\"
[[workspace]]
id = \"house\"
";

/// What the API must never show, for whatever reason.
pub(crate) const SECRETS: [&str; 2] = ["sk-the-operators-own-key", "sk-of-the-"];

pub(crate) struct Office {
    pub(crate) access: Access,
    pub(crate) world: Arc<World>,
    pub(crate) ledger: Ledger,
    config: Arc<Config>,
    address: SocketAddr,
}

/// The world as the store has it.
struct Follows {
    store: Store,
    world: Arc<World>,
    config: Arc<Config>,
}

impl Live for Follows {
    fn take_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let directory = self.store.take_up().await.unwrap();
            self.world.replace(build(&directory, &self.config.declared, &self.config.routing).unwrap());
        })
    }
}

struct Nobody;

impl Models for Nobody {
    fn hears(&self, _path: &str) -> bool {
        false
    }

    fn answer(
        &self,
        _request: Request<RequestBody>,
        _peer: Arc<Peer>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>> {
        unreachable!("nobody asks models here")
    }
}

struct Always;

impl Readiness for Always {
    fn now(&self) -> Ready {
        Ready { status: "ready", directory_version: 0, config: String::new(), troubles: Vec::new() }
    }
}

/// Providers are asked over real sockets, and of keys is noted what calls would note.
fn traffic(config: &Config, store: &Store, state: State, ledger: Ledger, world: Arc<World>) -> Traffic {
    let settings = ClientSettings::default();
    let network = Network::new(&settings, config.egress.rules.clone(), authorities(None).unwrap());
    let breakers = Arc::new(Breakers::new(breaker::Settings::default(), Instant::now()).noting(state.clone()));
    let client = Upstream::new(settings, Arc::new(network));
    let probe = Arc::new(Probe::new(client, store.keyring().clone(), breakers.clone()));
    Traffic { probe, breakers, state, ledger, meter: Arc::new(meter(config, world, 1)) }
}

impl Office {
    pub(crate) async fn opens() -> Self {
        Self::opens_with(Settings::new([127, 0, 0, 1].into(), true, 64 * 1024)).await
    }

    pub(crate) async fn opens_with(settings: Settings) -> Self {
        let config = Arc::new(Config::from_text("gateway.toml", DECLARED, &|_| None).unwrap());
        let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
        let store = Store::memory(Keyring::new(&[key], Salt::random().unwrap()).unwrap());
        let (state, mut keeper) = State::new(Keeping::Memory, store.keyring().clone());
        keeper.open().await;
        tokio::spawn(keeper.run());
        let directory = store.take_up().await.unwrap();
        let world = Arc::new(World::new(build(&directory, &config.declared, &config.routing).unwrap()));
        let ground = Ground {
            declared: config.declared.clone(),
            egress: Arc::new(config.egress.rules.clone()),
            body_limit_bytes: settings.body_limit_bytes,
        };
        let access = Access {
            store: store.clone(),
            declared: ground.declared.clone(),
            egress: ground.egress.clone(),
            actor: Actor::operator("cli:ada"),
        };
        let ledger = Ledger::new(Keeping::Memory);
        let traffic = traffic(&config, &store, state.clone(), ledger.clone(), world.clone());
        let live = Arc::new(Follows { store: store.clone(), world: world.clone(), config: config.clone() });
        let ground = Arc::new(ArcSwap::from_pointee(ground));
        let api = Arc::new(Api::new(world.clone(), store, ground, live, Arc::new(state), traffic));
        let desk = Desk::new(Admin {
            readiness: Arc::new(Always),
            metrics: Arc::new(|| "keyway_up 1\n".to_string()),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            api,
            models: Arc::new(Nobody),
        });
        let reception = Reception::new(desk, Setup::new(Limits::default()));
        let listener = bind(([127, 0, 0, 1], 0).into(), false).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { reception.serve(listener).await.unwrap() });
        Self { access, world, ledger, config, address }
    }

    /// Puts in force what was changed past the API.
    pub(crate) async fn follows(&self) {
        let store = self.access.store.clone();
        Follows { store, world: self.world.clone(), config: self.config.clone() }.take_up().await;
    }

    /// An org with a workspace of the same name.
    pub(crate) async fn org(&self, name: &str) -> (Id<Org>, Id<Workspace>) {
        let org = orgs::create(&self.access, name).await.unwrap();
        let workspace = workspaces::create(&self.access, org.id, name, None).await.unwrap();
        self.follows().await;
        (org.id, workspace.id)
    }

    /// A client with a new token of a workspace.
    pub(crate) async fn client(&self, workspace: Id<Workspace>, role: AccessRole) -> Client {
        self.client_with(NewToken { role, ..NewToken::of(workspace) }).await
    }

    pub(crate) async fn client_with(&self, new: NewToken) -> Client {
        let minted = tokens::create(&self.access, new).await.unwrap();
        self.follows().await;
        self.shows(std::str::from_utf8(minted.text.expose()).unwrap())
    }

    /// A client with a member's token that its user, who is new, made.
    pub(crate) async fn client_of_their_own(&self, workspace: Id<Workspace>, email: &str) -> Client {
        let roles = [(workspace, AccessRole::Member)].into();
        let new = NewUser { email: email.into(), workspace_roles: roles, ..NewUser::default() };
        let user = users::create(&self.access, new).await.unwrap().id;
        let stored = self.access.load(Need::Workspace(workspace)).await.unwrap();
        let first = Token::new(Id::random(), TokenHash([0; 32]), workspace, email, Timestamp(0));
        let first = Token { role: AccessRole::WorkspaceAdmin, user: Some(user), made_by_its_user: true, ..first };
        let access = Access { actor: Actor::token(&first, stored.workspaces[0].org), ..self.access.clone() };
        let minted = tokens::create(&access, NewToken { user: Some(user), ..NewToken::of(workspace) }).await.unwrap();
        self.follows().await;
        self.shows(std::str::from_utf8(minted.text.expose()).unwrap())
    }

    /// A platform admin, whose token is of the declared workspace.
    pub(crate) async fn root(&self) -> Client {
        self.client(Id::declared("workspace", "house"), AccessRole::PlatformAdmin).await
    }

    /// A client that shows this as its token.
    pub(crate) fn shows(&self, token: &str) -> Client {
        Client { address: self.address, token: token.to_string(), sender: Arc::default() }
    }
}

/// One connection that is kept, and the token that each request shows.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    pub(crate) token: String,
    sender: Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Heard {
        self.asks(Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Heard {
        self.asks(Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Heard {
        self.asks(Method::PATCH, path, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Heard {
        self.asks(Method::PUT, path, Some(body), &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Heard {
        self.asks(Method::DELETE, path, None, &[]).await
    }

    /// Below `/api/v1`.
    pub(crate) async fn asks(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Heard {
        self.asks_at(method, &format!("/api/v1{path}"), body, headers).await
    }

    /// At a whole path.
    pub(crate) async fn asks_at(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Heard {
        let mut all = headers.to_vec();
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        self.sends(method, path, body.map(|body| body.to_string()).unwrap_or_default(), &all).await
    }

    pub(crate) async fn sends(&self, method: Method, path: &str, body: String, headers: &[(&str, &str)]) -> Heard {
        let mut request = Request::builder().method(method).uri(path).header("host", "admin.example");
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let mut held = self.sender.lock().await;
        let mut sender = match held.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(self.address).await.unwrap();
                let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                sender
            }
        };
        sender.ready().await.unwrap();
        let answer = timeout(Duration::from_secs(30), sender.send_request(request)).await.expect("an answer in time");
        let (head, body) = answer.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        *held = Some(sender);
        for secret in SECRETS {
            assert!(!text.contains(secret), "{text}");
        }
        Heard { status: head.status.as_u16(), headers: head.headers, text }
    }
}

impl Heard {
    /// The answer's body, if it has this status.
    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        if self.text.is_empty() { Value::Null } else { serde_json::from_str(&self.text).unwrap() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The code of a problem.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        self.json()["code"].as_str().unwrap().to_string()
    }
}
