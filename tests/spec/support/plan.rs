//! A world before it stands: its settings, its tokens and its keys.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use keyway::app::assemble;
use keyway::attempt::client::{ClientSettings, Connect, Network, authorities};
use keyway::config::Config;
use keyway::domain::address::Egress;
use keyway::domain::directory::Directory;
use keyway::domain::entity::{Credential, Owner, Token};
use keyway::domain::id::Id;
use keyway::domain::secret::Secret;
use keyway::domain::time::Timestamp;
use keyway::domain::token::mint;
use keyway::listen::{Limits, Reception, Setup, bind};
use keyway::proxy::Proxy;
use keyway::snapshot::{Snapshot, build};
use keyway::store::seal::{Keyring, MasterKey, Salt};
use keyway::store::state::{Keeper, Keeping, State};

use super::World;
use super::provider::{Providers, Wires};

/// Settings by their names, written as TOML.
type Table = BTreeMap<String, String>;

/// A world before it stands. Each provider lists the model `m`; the alias `fast` tries them in order.
pub(crate) struct Plan {
    settings: BTreeMap<String, String>,
    providers: Vec<(String, Table)>,
    models: Vec<(String, Table)>,
    orgs: Table,
    workspaces: BTreeMap<String, Table>,
    more: String,
    tokens: Vec<(String, Token, String)>,
    keys: Vec<(String, String, String)>,
    /// The address that these keys were entered for, if not the provider's.
    entered_for: Option<String>,
    on_loopback: bool,
}

impl Plan {
    pub(super) fn of(providers: &[&str], on_loopback: bool) -> Self {
        let quoted = |text: &str| format!("\"{text}\"");
        let provider = |name: &&str| {
            let key = format!("key-of-{name}");
            let table = [("id", quoted(name)), ("kind", quoted("custom")), ("api_key", quoted(&key))];
            (name.to_string(), table.map(|(setting, value)| (setting.to_string(), value)).into())
        };
        let model = |name: &&str| {
            let table = [("provider", quoted(name)), ("id", quoted("m"))];
            (name.to_string(), table.map(|(setting, value)| (setting.to_string(), value)).into())
        };
        let plan = Self {
            settings: BTreeMap::new(),
            providers: providers.iter().map(provider).collect(),
            models: providers.iter().map(model).collect(),
            orgs: [("id".to_string(), quoted("acme"))].into(),
            workspaces: BTreeMap::new(),
            more: String::new(),
            tokens: Vec::new(),
            keys: Vec::new(),
            entered_for: None,
            on_loopback,
        };
        plan.neighbour("main")
    }

    /// Lines of one section, such as `[attempts]`.
    pub(crate) fn set(mut self, section: &str, lines: &str) -> Self {
        let text = self.settings.entry(section.into()).or_default();
        text.push_str(lines);
        text.push('\n');
        self
    }

    pub(crate) fn provider(mut self, name: &str, setting: &str, value: &str) -> Self {
        let known = self.providers.iter_mut().find(|(known, _)| known == name).unwrap();
        known.1.insert(setting.into(), value.into());
        self
    }

    pub(crate) fn model(mut self, provider: &str, setting: &str, value: &str) -> Self {
        let known = self.models.iter_mut().find(|(known, _)| known == provider).unwrap();
        known.1.insert(setting.into(), value.into());
        self
    }

    pub(crate) fn workspace(mut self, name: &str, setting: &str, value: &str) -> Self {
        if !self.workspaces.contains_key(name) {
            self = self.token(name, name, |_| ());
        }
        self.workspaces.entry(name.into()).or_default().insert(setting.into(), value.into());
        self
    }

    /// A workspace beside `main`, with a token of the same name.
    pub(crate) fn neighbour(self, name: &str) -> Self {
        self.workspace(name, "org", "\"acme\"")
    }

    pub(crate) fn org(mut self, setting: &str, value: &str) -> Self {
        self.orgs.insert(setting.into(), value.into());
        self
    }

    pub(crate) fn and(mut self, toml: &str) -> Self {
        self.more.push_str(toml);
        self.more.push('\n');
        self
    }

    /// A token of a workspace, changed before it is given out.
    pub(crate) fn token(mut self, name: &str, workspace: &str, change: impl FnOnce(&mut Token)) -> Self {
        let id = Id::random();
        let (text, hash) = mint(id).unwrap();
        let workspace = Id::declared("workspace", workspace);
        let mut token = Token::new(id, hash, workspace, "a test", Timestamp::now());
        change(&mut token);
        self.tokens.push((name.into(), token, String::from_utf8(text.expose().to_vec()).unwrap()));
        self
    }

    /// A workspace's own key for a provider.
    pub(crate) fn key(mut self, workspace: &str, provider: &str, key: &str) -> Self {
        self.keys.push((workspace.into(), provider.into(), key.into()));
        self
    }

    pub(crate) fn entered_for(mut self, address: &str) -> Self {
        self.entered_for = Some(address.into());
        self
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (section, lines) in &self.settings {
            text.push_str(&format!("[{section}]\n{lines}"));
        }
        text.push_str(&each("provider", self.providers.iter().map(|(_, table)| table)));
        text.push_str(&each("model", self.models.iter().map(|(_, table)| table)));
        for (place, (name, _)) in self.providers.iter().enumerate() {
            text.push_str(&format!(
                "[[route]]\nalias = \"fast\"\nprovider = \"{name}\"\nmodel = \"m\"\npriority = {place}\n"
            ));
        }
        text.push_str(&each("org", [&self.orgs]));
        for (name, table) in &self.workspaces {
            text.push_str(&format!("[[workspace]]\nid = \"{name}\"\n{}", lines(table)));
        }
        text + &self.more
    }

    pub(crate) fn stands(mut self) -> World {
        let names: Vec<String> = self.providers.iter().map(|(name, _)| name.clone()).collect();
        let providers = Providers::new(&names, self.on_loopback);
        for (name, table) in &mut self.providers {
            let host = providers.host(name);
            table.entry("base_url".into()).or_insert_with(|| format!("\"{host}/v1\""));
        }
        let config = Config::from_text("gateway.toml", &self.text(), &|_| None).unwrap();
        let keyring = Arc::new(keyring());
        let stored = self.sealed(&config, &keyring);
        let snapshot = self.snapshot(&config, &stored);
        let connect: Arc<dyn Connect> = match self.on_loopback {
            true => Arc::new(network()),
            false => Arc::new(Wires(providers.clone())),
        };
        // A database has a thread of its own, which a paused clock does not wait for.
        let keeping = if self.on_loopback { Keeping::Memory } else { Keeping::Nowhere };
        let (state, keeper) = State::new(keeping, keyring.clone());
        keeps(keeper, self.on_loopback);
        let assembled =
            assemble(&config, keyway::snapshot::World::new(snapshot), keyring, &state, &connect, 1).unwrap();
        let reception = Reception::new(assembled.proxies[0].clone(), setup(&config));
        let address = self.on_loopback.then(|| listens(reception.clone()));
        let credentials = std::iter::zip(&self.keys, &stored)
            .map(|((workspace, ..), credential)| (workspace.clone(), Arc::new(credential.clone())))
            .collect();
        let tokens = self.tokens.into_iter().map(|(name, _, text)| (name, text)).collect();
        World { assembled, reception, address, providers, tokens, credentials, records: RefCell::default() }
    }

    fn snapshot(&self, config: &Config, credentials: &[Credential]) -> Snapshot {
        let stored = Directory {
            tokens: self.tokens.iter().map(|(_, token, _)| token.clone()).collect(),
            credentials: credentials.to_vec(),
            ..Directory::default()
        };
        build(&stored, &config.declared, &config.routing).unwrap()
    }

    /// The workspaces' own keys, sealed.
    fn sealed(&self, config: &Config, keyring: &Keyring) -> Vec<Credential> {
        let credential = |(workspace, provider, key): &(String, String, String)| {
            let owner = Owner::Workspace(Id::declared("workspace", workspace));
            let provider = config.declared.providers.iter().find(|one| one.name == *provider).unwrap();
            let (id, address) = (provider.id, &provider.base_url.address);
            let mut credential = Credential::new(Id::random(), owner, id, address, Timestamp::now());
            if let Some(address) = &self.entered_for {
                credential.entered_for = address.clone();
            }
            keyring.seal_credential(&mut credential, Secret::from(key.clone())).unwrap();
            credential
        };
        self.keys.iter().map(credential).collect()
    }
}

fn each<'t>(kind: &str, tables: impl IntoIterator<Item = &'t Table>) -> String {
    tables.into_iter().map(|table| format!("[[{kind}]]\n{}", lines(table))).collect()
}

fn lines(table: &Table) -> String {
    table.iter().map(|(setting, value)| format!("{setting} = {value}\n")).collect()
}

fn keyring() -> Keyring {
    let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    Keyring::new(&[key], Salt::random().unwrap()).unwrap()
}

fn setup(config: &Config) -> Setup {
    Setup::new(Limits {
        requests_in_flight: config.limits.requests_in_flight,
        body_stall: config.limits.body_timeout,
        ..Limits::default()
    })
}

fn listens(reception: Reception<Proxy>) -> SocketAddr {
    let listener = bind(([127, 0, 0, 1], 0).into(), true).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { reception.serve(listener).await.unwrap() });
    address
}

/// Over sockets the state's keeper has a runtime of its own, as it has in a server, and its database is open from the
/// beginning.
fn keeps(mut keeper: Keeper, has_database: bool) {
    if !has_database {
        tokio::spawn(keeper.run());
        return;
    }
    let (opened, is_open) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            keeper.open().await;
            opened.send(()).unwrap();
            keeper.run().await;
        });
    });
    is_open.recv().unwrap();
}

fn network() -> Network {
    let egress = Egress { http: vec!["127.0.0.1".into()], ..Egress::default() };
    Network::new(&ClientSettings::default(), egress, authorities(None).unwrap())
}
