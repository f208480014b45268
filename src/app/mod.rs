//! The wiring: rooms put together, runtimes started, reloads, the drain.
//!
//! Takes a configuration's source, gives a running process. Decides nothing about a call.

mod assemble;
mod cores;
mod demo;
mod following;
mod gauges;
pub mod ledger;
mod log;
pub mod open;
mod probe;
mod process;
mod readiness;
mod reload;
mod running;
mod settings;
mod signals;
mod state;
mod webhook;

pub use assemble::{Assembled, assemble, meter};
pub use demo::{Asked, Demo, demo};
pub use probe::probe;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use self::open::{Kept, Opened};
use self::running::Running;
use self::signals::Signals;
use crate::attempt::client::{Network, authorities};
use crate::config::{self, Config, Problems, TlsFiles};
use crate::directory::DirectoryError;
use crate::domain::secret::Secret;
use crate::listen::{self, Setup, Tls};
use crate::snapshot::Unbuildable;
use crate::store::StoreError;

/// Threads of the control plane: enough that a scrape and a reload need not wait for each other.
const CONTROL_THREADS: usize = 2;

/// Where the configuration comes from, at the start and at each reload.
#[derive(Clone, Debug)]
pub enum Source {
    File(PathBuf),
    /// The presets' own variables.
    Environment,
    /// A file of our own making, which only the listed variables may override.
    Made(PathBuf, &'static [&'static str]),
}

impl Source {
    pub fn load(&self) -> Result<Config, Problems> {
        let variable = |name: &str| std::env::var(name).ok();
        match self {
            Self::File(path) => Config::load(path, &variable),
            Self::Environment => Config::from_environment(&variable),
            Self::Made(path, variables) => {
                Config::load(path, &|name| variables.contains(&name).then(|| variable(name)).flatten())
            }
        }
    }
}

/// Why the server can't start, or a reload can't be done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Config(#[from] Problems),
    #[error(transparent)]
    Open(#[from] open::OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Unbuildable(#[from] Unbuildable),
    #[error(
        "can't listen on {address}: {error}; free the port, or change [listen] or KEYWAY_LISTEN and KEYWAY_ADMIN_LISTEN"
    )]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Tls(#[from] listen::TlsFault),
    #[error("[egress] ca: {0}")]
    Authorities(String),
    #[error(transparent)]
    Journal(#[from] crate::meter::journal::Unopened),
    #[error("a runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error("the demo's folder {} can't be written: {error}", path.display())]
    DemoFolder { path: PathBuf, error: std::io::Error },
    #[error("{} can't change while the gateway runs; restart it", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
}

/// What is to be said once connections are accepted.
#[derive(Debug)]
pub struct Started {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    pub token: FirstToken,
}

/// The one token of a start without a file.
#[derive(Debug)]
pub enum FirstToken {
    /// Made just now: to be printed, for nothing keeps its text.
    New { text: Secret, kept: Kept },
    /// An earlier start made and printed it; its hash lies there.
    Earlier(Kept),
    /// A file says who may call.
    NotOurs,
}

/// Starts, serves until SIGTERM, drains. `ready` is told once connections are accepted.
pub fn serve(source: Source, config: Config, ready: impl FnOnce(Started) + Send) -> Result<(), Trouble> {
    let level = log::start(&config.log);
    runtime()?.block_on(async {
        let opened = open::open_to_serve(&config).await?;
        let token = match config.source {
            Some(_) => FirstToken::NotOurs,
            None => first_token(&opened, &config).await?,
        };
        run(source, config, opened, level, |data, admin| ready(Started { data, admin, token })).await
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Trouble> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(CONTROL_THREADS).thread_name("control").enable_all();
    builder.build().map_err(Trouble::Runtime)
}

async fn first_token(opened: &Opened, config: &Config) -> Result<FirstToken, Trouble> {
    let kept = opened.kept.clone();
    Ok(match open::first_token(opened, config).await {
        Ok(Some(text)) => FirstToken::New { text, kept },
        // A database that is away was there before, or there would be no mirror to start from.
        Ok(None) | Err(DirectoryError::Store(StoreError::Away { .. })) => FirstToken::Earlier(kept),
        Err(error) => return Err(error.into()),
    })
}

/// A server's whole life.
async fn run(
    source: Source,
    config: Config,
    opened: Opened,
    level: log::Level,
    ready: impl FnOnce(SocketAddr, SocketAddr) + Send,
) -> Result<(), Trouble> {
    warn(&config, &opened.warnings);
    // Before anybody can know that we run, and send us one.
    let mut signals = Signals::new().map_err(Trouble::Runtime)?;
    let running = Running::start(source, config, opened.store, level).await?;
    let (data, admin) = (running.plane.address(), running.desk_address);
    tracing::info!(%data, %admin, "serving");
    ready(data, admin);
    signals::until_terminated(&running, &mut signals).await;
    running.drain(&mut signals).await;
    Ok(())
}

/// What works, but should be looked at; `more` comes from the store.
fn warn(config: &Config, more: &[String]) {
    let listens = config.listen.admin;
    let reachable = (!listens.ip().is_loopback()).then(|| {
        format!("the admin listener {listens} can be reached from elsewhere; let only operators through to it")
    });
    let files = process::raise_open_files(&config.limits);
    let stated = config.warnings.iter().map(ToString::to_string);
    for warning in stated.chain(more.iter().cloned()).chain(reachable).chain(files) {
        tracing::warn!("{warning}");
    }
}

fn network(config: &Config) -> Result<Network, Trouble> {
    let wrong = |error: &dyn std::fmt::Display| Trouble::Authorities(error.to_string());
    let extra = config.egress.ca.as_ref().map(std::fs::read).transpose().map_err(|error| wrong(&error))?;
    let roots = authorities(extra.as_deref()).map_err(|error| wrong(&error))?;
    Ok(Network::new(&settings::client(config), config.egress.rules.clone(), roots))
}

/// Reads the certificate anew: a reload swaps the whole setup.
fn tls(files: Option<&TlsFiles>) -> Result<Option<Tls>, Trouble> {
    let Some(files) = files else { return Ok(None) };
    let loaded = listen::load_tls(&files.certificate, &files.key)?;
    Ok(Some(Arc::new(ArcSwap::new(loaded))))
}

fn data_setup(config: &Config) -> Result<Setup, Trouble> {
    Ok(Setup {
        tls: tls(config.listen.tls.as_ref())?,
        trusted_proxies: config.listen.trusted_proxies.clone().into(),
        proxy_protocol: config.listen.proxy_protocol,
        ..Setup::new(settings::listening(config))
    })
}

/// Operators come without the proxies that stand before applications.
fn admin_setup(config: &Config) -> Result<Setup, Trouble> {
    Ok(Setup { tls: tls(config.listen.admin_tls.as_ref())?, ..Setup::new(settings::listening(config)) })
}

/// The configuration that an explicit path, the environment or the usual places name.
pub fn source(explicit: Option<&Path>) -> Source {
    let variable = |name: &str| std::env::var(name).ok();
    config::find_config(explicit, &variable).map_or(Source::Environment, Source::File)
}
