//! The wiring: rooms put together, runtimes started, reloads, the drain.
//!
//! Takes a configuration's source, gives a running process. Decides nothing about a call.

mod assemble;
mod cores;
mod gauges;
mod log;
pub mod open;
mod readiness;
mod reload;
mod settings;
mod signals;

pub use assemble::{Assembled, assemble};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use self::cores::DataPlane;
use self::reload::Reloads;
use crate::admin::{Admin, Desk};
use crate::attempt::client::{Connect, Network, authorities};
use crate::config::{self, Config, Problems};
use crate::listen::{self, Reception, Setup, Tls};
use crate::metrics::{Cells, Registry};
use crate::proxy::{Gateway, Proxy};
use crate::snapshot::{Unbuildable, build};
use crate::store::{Store, StoreError};

/// Threads of the control plane: enough that a scrape and a reload need not wait for each other.
const CONTROL_THREADS: usize = 2;

/// Where the configuration comes from, at the start and at each reload.
#[derive(Clone, Debug)]
pub enum Source {
    File(PathBuf),
    /// The presets' own variables.
    Environment,
}

impl Source {
    pub fn load(&self) -> Result<Config, Problems> {
        let variable = |name: &str| std::env::var(name).ok();
        match self {
            Self::File(path) => Config::load(path, &variable),
            Self::Environment => Config::from_environment(&variable),
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
    Unbuildable(#[from] Unbuildable),
    #[error("can't listen on {address}: {error}; free the port or change [listen]")]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Tls(#[from] listen::TlsFault),
    #[error("[egress] ca: {0}")]
    Authorities(String),
    #[error("a runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error("{} can't change while the gateway runs; restart it", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
}

/// A process that serves.
pub struct Server {
    source: Source,
    config: ArcSwap<Config>,
    store: Store,
    gateway: Arc<Gateway>,
    network: Arc<Network>,
    /// The data listener's certificates, swapped at reload.
    tls: Option<Tls>,
    registry: Arc<Registry>,
    cells: Vec<Arc<Cells>>,
    reloads: Reloads,
    is_draining: AtomicBool,
    /// What a reload or a poll last found wrong.
    trouble: ArcSwapOption<String>,
}

/// Starts, serves until SIGTERM, drains. `ready` is told the data listener's address once connections are accepted.
pub fn serve(source: Source, config: Config, ready: impl FnOnce(SocketAddr) + Send) -> Result<(), Trouble> {
    log::start(&config.log);
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Trouble::Runtime)?;
    control.block_on(run(source, config, ready))
}

async fn run(source: Source, config: Config, ready: impl FnOnce(SocketAddr) + Send) -> Result<(), Trouble> {
    let opened = open::open(&config).await?;
    for warning in
        opened.warnings.iter().map(ToString::to_string).chain(config.warnings.iter().map(ToString::to_string))
    {
        tracing::warn!("{warning}");
    }
    let directory = opened.store.load().await?;
    let snapshot = build(&directory, &config.declared, &settings::routing(&config))?;
    let network = Arc::new(network(&config)?);
    let tls = tls(&config)?;
    let cores = config.listen.cores.unwrap_or_else(cores::available);
    let connect: Arc<dyn Connect> = network.clone();
    let assembled =
        assemble(&config, snapshot, opened.store.keyring().clone(), &connect, cores).map_err(Trouble::Runtime)?;
    let data = cores::bind(config.listen.data, cores)?;
    let admin = listen::bind(config.listen.admin, false)
        .map_err(|error| Trouble::Bind { address: config.listen.admin, error })?;
    let setup = setup(&config, tls.clone());
    let server = Arc::new(Server::new(source, config, opened.store, &assembled, network, tls));
    let plane = DataPlane::start(&assembled.proxies, data, &setup)?;
    gauges::register(&server, &plane, &assembled.proxies);
    let desk = server.clone().desk(admin)?;
    ready(plane.address());
    signals::until_terminated(&server).await;
    server.drain(plane, desk).await;
    Ok(())
}

fn network(config: &Config) -> Result<Network, Trouble> {
    let wrong = |error: &dyn std::fmt::Display| Trouble::Authorities(error.to_string());
    let extra = config.egress.ca.as_ref().map(std::fs::read).transpose().map_err(|error| wrong(&error))?;
    let roots = authorities(extra.as_deref()).map_err(|error| wrong(&error))?;
    Ok(Network::new(&settings::client(config), config.egress.rules.clone(), roots))
}

fn tls(config: &Config) -> Result<Option<Tls>, Trouble> {
    let Some(files) = &config.listen.tls else { return Ok(None) };
    let loaded = listen::load_tls(&files.certificate, &files.key)?;
    Ok(Some(Arc::new(ArcSwap::new(loaded))))
}

fn setup(config: &Config, tls: Option<Tls>) -> Setup {
    Setup {
        tls,
        trusted_proxies: config.listen.trusted_proxies.clone().into(),
        proxy_protocol: config.listen.proxy_protocol,
        ..Setup::new(settings::listening(config))
    }
}

impl Server {
    fn new(
        source: Source,
        config: Config,
        store: Store,
        assembled: &Assembled,
        network: Arc<Network>,
        tls: Option<Tls>,
    ) -> Self {
        Self {
            source,
            config: ArcSwap::from_pointee(config),
            store,
            gateway: assembled.gateway.clone(),
            network,
            tls,
            registry: assembled.registry.clone(),
            cells: assembled.cells.clone(),
            reloads: Reloads::register(&assembled.registry),
            is_draining: AtomicBool::new(false),
            trouble: ArcSwapOption::empty(),
        }
    }

    /// The admin listener, on the control runtime.
    fn desk(self: Arc<Self>, listener: std::net::TcpListener) -> Result<Reception<Desk>, Trouble> {
        let config = self.config.load();
        let metrics = self.clone();
        let admin = Admin {
            open_metrics: Admin::is_open(config.listen.admin.ip()),
            metrics: Arc::new(move || metrics.metrics_text()),
            readiness: self.clone(),
        };
        let tls = config
            .listen
            .admin_tls
            .as_ref()
            .map(|files| listen::load_tls(&files.certificate, &files.key))
            .transpose()?;
        let reception = Reception::new(Desk::new(admin), setup(&config, tls.map(|tls| Arc::new(ArcSwap::new(tls)))));
        let serving = reception.clone();
        tokio::spawn(async move {
            if let Err(error) = serving.serve(listener).await {
                tracing::error!(%error, "the admin listener ended; restart the gateway");
            }
        });
        Ok(reception)
    }

    fn metrics_text(&self) -> String {
        let mut all = self.cells.clone();
        all.push(self.reloads.cells());
        self.registry.text(&all)
    }

    /// Not ready, no new connections, finish what is in progress, write down what waits.
    async fn drain(&self, plane: DataPlane<Proxy>, desk: Reception<Desk>) {
        self.is_draining.store(true, Ordering::Relaxed);
        let limit = self.config.load().drain_timeout;
        tracing::info!(limit_s = limit.as_secs(), "draining");
        let cut = plane.drain(limit).await;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut at the drain's limit");
        }
        log::write_records(self);
        desk.drain(std::time::Duration::from_secs(1)).await;
        tracing::info!("drained");
    }
}

/// The configuration that an explicit path, the environment or the usual places name.
pub fn source(explicit: Option<&std::path::Path>) -> Source {
    let variable = |name: &str| std::env::var(name).ok();
    config::find_config(explicit, &variable).map_or(Source::Environment, Source::File)
}
