//! A process that serves: what its parts share, how they are started, and how they end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use http::{Request, Response};
use tokio::task::AbortHandle;

use super::assemble::{Assembled, assemble};
use super::cores::{self, DataPlane};
use super::following::{Following, follow};
use super::ledger::{self, Books};
use super::reload::{Reloads, Troubles};
use super::signals::{self, Signals};
use super::{Source, Trouble, gauges, log, settings, state, webhook};
use crate::admin::api::{Api, Ground, Live, Traffic};
use crate::admin::{self, Admin, Desk, Models};
use crate::attempt::client::{Connect, Network};
use crate::attempt::probe::Probe;
use crate::config::Config;
use crate::listen::{self, Peer, Reception, RequestBody, Setup};
use crate::metrics::{Cells, Registry};
use crate::proxy::{Gateway, Proxy, is_native};
use crate::store::Store;
use crate::store::state::State;

/// How long the admin listener's last answers may take once calls have ended: nobody is waiting for a long one.
const DESK_DRAIN: Duration = Duration::from_secs(1);

/// What reload, poll, scrape and drain share.
pub(super) struct Server {
    pub(super) source: Source,
    pub(super) config: ArcSwap<Config>,
    pub(super) store: Store,
    pub(super) following: Following,
    pub(super) state: State,
    pub(super) gateway: Arc<Gateway>,
    pub(super) books: Books,
    pub(super) probe: Arc<Probe>,
    pub(super) notices: webhook::Notices,
    pub(super) network: Arc<Network>,
    pub(super) admin: Arc<ArcSwap<admin::Settings>>,
    pub(super) ground: Arc<ArcSwap<Ground>>,
    /// Whoever takes up a configuration or a directory: one at a time, so that none puts an older one in place.
    pub(super) taking_up: tokio::sync::Mutex<()>,
    pub(super) registry: Arc<Registry>,
    cells: Vec<Arc<Cells>>,
    pub(super) reloads: Reloads,
    pub(super) level: log::Level,
    pub(super) is_draining: AtomicBool,
    pub(super) troubles: Troubles,
}

/// A server with its listeners.
pub(super) struct Running {
    pub(super) server: Arc<Server>,
    pub(super) proxies: Vec<Proxy>,
    pub(super) plane: DataPlane<Proxy>,
    pub(super) desk: Reception<Desk>,
    pub(super) desk_address: SocketAddr,
    /// Goes on while calls are drained: a revocation holds until the end.
    keeping_up: [AbortHandle; 4],
}

impl Running {
    /// Returns once connections are accepted.
    pub(super) async fn start(
        source: Source,
        config: Config,
        store: Store,
        level: log::Level,
    ) -> Result<Self, Trouble> {
        let network = Arc::new(super::network(&config)?);
        let (data_setup, admin_setup) = (super::data_setup(&config)?, super::admin_setup(&config)?);
        let cores = config.listen.cores.unwrap_or_else(cores::available);
        let (world, following) = Following::start(&store, &config, cores + super::CONTROL_THREADS).await?;
        let connect: Arc<dyn Connect> = network.clone();
        let state = state::open(&config, &store).await;
        let assembled = assemble(&config, world, store.keyring().clone(), &state, &connect, cores);
        let assembled = assembled.map_err(Trouble::Runtime)?;
        state::remind(&assembled.gateway.attempts.breakers, &state);
        let data = cores::bind(config.listen.data, cores)?;
        let books = Books::open(&config, &store, &assembled.gateway.meter).await?;
        let (desk_listener, desk_address) = bind_desk(config.listen.admin)?;
        let server = Arc::new(Server::new((source, config), store, following, &assembled, books, network, level));
        let proxies = assembled.proxies;
        let plane = DataPlane::start(&proxies, data, &data_setup)?;
        gauges::register(&server, &plane, &proxies);
        let desk = server.clone().desk(desk_listener, admin_setup, assembled.desk);
        let keeping_up = [
            tokio::spawn(follow(server.clone())),
            tokio::spawn(ledger::sweep(server.clone())),
            tokio::spawn(ledger::report(server.clone())),
            tokio::spawn(webhook::warn(server.clone())),
        ];
        let keeping_up = keeping_up.map(|task| task.abort_handle());
        Ok(Self { server, proxies, plane, desk, desk_address, keeping_up })
    }

    /// Not ready, no new connections, finish what is in progress, write down what waits.
    pub(super) async fn drain(&self, signals: &mut Signals) {
        let server = &self.server;
        server.is_draining.store(true, Ordering::Relaxed);
        let limit = server.config.load().drain_timeout;
        tracing::info!(limit_s = limit.as_secs(), "draining; a second signal ends calls in progress");
        let cut = tokio::select! {
            cut = self.plane.drain(limit, signals.termination()) => cut,
            () = signals::write_records(self) => 0,
        };
        if cut > 0 {
            tracing::warn!(cut, "connections were cut at the drain's limit");
        }
        self.desk.drain(DESK_DRAIN).await;
        // The desk serves calls too, and they are on record like any other.
        server.books.close(&server.gateway.meter).await;
        log::write_records(server);
        self.keeping_up.iter().for_each(AbortHandle::abort);
        server.following.settle().await;
        server.state.close().await;
        tracing::info!("drained");
    }
}

fn bind_desk(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), Trouble> {
    let wrong = |error| Trouble::Bind { address, error };
    let listener = listen::bind(address, false).map_err(wrong)?;
    let drawn = listener.local_addr().map_err(wrong)?;
    Ok((listener, drawn))
}

impl Server {
    fn new(
        (source, config): (Source, Config),
        store: Store,
        following: Following,
        assembled: &Assembled,
        books: Books,
        network: Arc<Network>,
        level: log::Level,
    ) -> Self {
        Self {
            source,
            admin: Arc::new(ArcSwap::from_pointee(settings::admin(&config))),
            ground: Arc::new(ArcSwap::from_pointee(settings::ground(&config))),
            taking_up: tokio::sync::Mutex::default(),
            config: ArcSwap::from_pointee(config),
            store,
            following,
            state: assembled.gateway.state.clone(),
            gateway: assembled.gateway.clone(),
            books,
            probe: assembled.probe.clone(),
            notices: webhook::Notices::default(),
            network,
            registry: assembled.registry.clone(),
            cells: assembled.cells.clone(),
            reloads: Reloads::register(&assembled.registry),
            level,
            is_draining: AtomicBool::new(false),
            troubles: Troubles::default(),
        }
    }

    /// The admin listener, on the control runtime.
    fn desk(self: Arc<Self>, listener: std::net::TcpListener, setup: Setup, proxy: Proxy) -> Reception<Desk> {
        let shown = self.clone();
        let api = Api::new(
            self.gateway.world.clone(),
            self.store.clone(),
            self.ground.clone(),
            Arc::new(InForce(Arc::downgrade(&self))),
            Arc::new(self.state.clone()),
            Traffic {
                probe: self.probe.clone(),
                breakers: self.gateway.attempts.breakers.clone(),
                state: self.state.clone(),
                ledger: self.books.ledger.clone(),
                meter: self.gateway.meter.clone(),
            },
        );
        let admin = Admin {
            metrics: Arc::new(move || shown.metrics_text()),
            settings: self.admin.clone(),
            api: Arc::new(api),
            models: Arc::new(Asked(proxy)),
            readiness: self,
        };
        let reception = Reception::new(Desk::new(admin), setup);
        let serving = reception.clone();
        tokio::spawn(async move {
            if let Err(error) = serving.serve(listener).await {
                tracing::error!(%error, "the admin listener ended; restart the gateway");
            }
        });
        reception
    }

    fn metrics_text(&self) -> String {
        let mut all = self.cells.clone();
        all.push(self.reloads.cells());
        self.registry.text(&all)
    }
}

/// What is asked of models on the admin listener goes the way of every call.
struct Asked(Proxy);

impl Models for Asked {
    fn hears(&self, path: &str) -> bool {
        is_native(path)
    }

    fn answer(
        &self,
        request: Request<RequestBody>,
        peer: Arc<Peer>,
    ) -> Pin<Box<dyn Future<Output = Response<Body>> + Send + '_>> {
        Box::pin(async move { self.0.native(request, move || peer.has_shown_a_token()).await.map(Body::new) })
    }
}

/// What the admin API changed is in force before it says so. Weak, for the server holds the API.
struct InForce(Weak<Server>);

impl Live for InForce {
    fn take_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if let Some(server) = self.0.upgrade() {
                server.refresh().await;
            }
        })
    }
}
