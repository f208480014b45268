//! A gateway in this process: one core on a thread of its own, so that its CPU time is nobody else's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use keyway::app::assemble;
use keyway::attempt::client::{ClientSettings, Connect, Network, authorities};
use keyway::config::Config;
use keyway::domain::address::Egress;
use keyway::domain::directory::Directory;
use keyway::domain::entity::Token;
use keyway::domain::id::Id;
use keyway::domain::protocol::Protocol;
use keyway::domain::time::Timestamp;
use keyway::domain::token::mint;
use keyway::listen::{Limits, Reception, Setup, bind};
use keyway::snapshot::{World, build};
use keyway::store::seal::{Keyring, MasterKey, Salt};
use keyway::store::state::{Keeping, State};

pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    /// Where its thread's CPU time stands.
    pub(crate) cpu: PathBuf,
}

impl Gateway {
    /// One whose provider speaks this protocol at this address. It serves until the process ends.
    pub(crate) fn start(upstream: Protocol, provider: SocketAddr) -> Self {
        let region = if upstream == Protocol::Bedrock {
            "kind = \"bedrock\"\nregion = \"us-east-1\""
        } else {
            "kind = \"custom\""
        };
        let base = if upstream == Protocol::Bedrock { "" } else { "/v1" };
        let text = format!(
            "[egress]\nhttp = [\"127.0.0.1\"]\n[[provider]]\nid = \"bench\"\n{region}\nprotocol = \"{upstream}\"\n\
             base_url = \"http://{provider}{base}\"\napi_key = \"key\"\n[[model]]\nprovider = \"bench\"\nid = \"bench\"\n\
             [[org]]\nid = \"acme\"\n[[workspace]]\nid = \"main\"\norg = \"acme\"\n"
        );
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(&text, &tell));
        });
        told.recv().unwrap()
    }
}

async fn serve(text: &str, tell: &mpsc::Sender<Gateway>) {
    let config = Config::from_text("gateway.toml", text, &|_| None).unwrap();
    let id = Id::random();
    let (token, hash) = mint(id).unwrap();
    let stored = Directory {
        tokens: vec![Token::new(id, hash, Id::declared("workspace", "main"), "bench", Timestamp::now())],
        ..Directory::default()
    };
    let snapshot = build(&stored, &config.declared, &config.routing).unwrap();
    let key = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    let keyring = Arc::new(Keyring::new(&[key], Salt::random().unwrap()).unwrap());
    let (state, keeper) = State::new(Keeping::Nowhere, keyring.clone());
    tokio::spawn(keeper.run());
    let egress = Egress { http: vec!["127.0.0.1".into()], ..Egress::default() };
    let network = Network::new(&ClientSettings::default(), egress, authorities(None).unwrap());
    let connect: Arc<dyn Connect> = Arc::new(network);
    let assembled = assemble(&config, World::new(snapshot), keyring, &state, &connect, 1).unwrap();
    let limits = Limits { connections_per_address: 4_096, ..Limits::default() };
    let reception = Reception::new(assembled.proxies[0].clone(), Setup::new(limits));
    let listener = bind(([127, 0, 0, 1], 0).into(), true).unwrap();
    let address = listener.local_addr().unwrap();
    let token = String::from_utf8(token.expose().to_vec()).unwrap();
    tell.send(Gateway { address, token, cpu: super::cpu::place() }).unwrap();
    reception.serve(listener).await.unwrap();
}
