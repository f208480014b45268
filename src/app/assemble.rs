//! Puts the rooms together: one gateway that all cores share, and what each core has to itself.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::settings;
use crate::attempt::breaker::Breakers;
use crate::attempt::budget::RetryBudget;
use crate::attempt::client::{Client, Connect};
use crate::attempt::parallel::Parallel;
use crate::attempt::probe::Probe;
use crate::attempt::{Attempts, Core, Programs};
use crate::config::Config;
use crate::hands::Hands;
use crate::meter::budgets::Budgets;
use crate::meter::capacity::Capacity;
use crate::meter::limit::Limiter;
use crate::meter::pricing::Pricing;
use crate::meter::{CoreMeter, Families, Meter, Records, Runs};
use crate::metrics::{Cells, Registry};
use crate::proxy::{BodyBudget, Gateway, Proxy};
use crate::snapshot::World;
use crate::store::seal::Keyring;
use crate::store::state::State;

/// A gateway that serves as soon as somebody hands it connections.
pub struct Assembled {
    pub gateway: Arc<Gateway>,
    /// One per core.
    pub proxies: Vec<Proxy>,
    /// One more, for what is asked of models on the admin listener.
    pub desk: Proxy,
    /// Asks providers on behalf of people, over connections of its own.
    pub probe: Arc<Probe>,
    pub registry: Arc<Registry>,
    pub cells: Vec<Arc<Cells>>,
}

/// Builds everything that needs no socket. Tests hand in pipes as `connect`; the server hands in the network.
pub fn assemble(
    config: &Config,
    world: World,
    keyring: Arc<Keyring>,
    state: &State,
    connect: &Arc<dyn Connect>,
    cores: usize,
) -> io::Result<Assembled> {
    let registry = Arc::new(Registry::new());
    let families = Families::register(&registry);
    let of_cores = std::iter::repeat_with(Cells::of_core).take(cores);
    // What is asked on the admin listener runs on several threads.
    let cells: Vec<Arc<Cells>> = of_cores.chain([Cells::shared()]).map(Arc::new).collect();
    let gateway = Arc::new(gateway(config, world, keyring, state, cores)?);
    let proxy = |index: usize| {
        let meter = CoreMeter::new(index, gateway.meter.clone(), cells[index].clone(), registry.clone(), families);
        Proxy::new(gateway.clone(), core(config, connect, state, cores), Arc::new(meter))
    };
    let (proxies, desk) = ((0..cores).map(proxy).collect(), proxy(cores));
    let client = Client::new(settings::client(config), connect.clone());
    let attempts = &gateway.attempts;
    let probe = Arc::new(Probe::new(client, attempts.keyring.clone(), attempts.breakers.clone()));
    Ok(Assembled { proxies, desk, probe, gateway, registry, cells })
}

fn gateway(config: &Config, world: World, keyring: Arc<Keyring>, state: &State, cores: usize) -> io::Result<Gateway> {
    let world = Arc::new(world);
    Ok(Gateway {
        world: world.clone(),
        state: state.clone(),
        meter: Arc::new(meter(config, world, cores + 1)),
        attempts: Attempts {
            breakers: Arc::new(Breakers::new(settings::breakers(config), Instant::now()).noting(state.clone())),
            parallel: Parallel::new(),
            keyring,
            programs: Programs::default(),
            settings: ArcSwap::from_pointee(settings::attempts(config)),
        },
        bodies: BodyBudget::new(config.limits.bodies_in_flight),
        hands: Hands::start(cores)?,
        settings: ArcSwap::from_pointee(settings::proxy(config)),
    })
}

/// What is counted and limited, for so many who count.
pub fn meter(config: &Config, world: Arc<World>, counting: usize) -> Meter {
    Meter {
        limiter: Limiter::new(),
        capacity: Capacity::new(settings::capacity(config)),
        records: Records::new(counting, config.log.exchanges),
        pricing: Pricing { world, unpriced: ArcSwap::from_pointee(config.ledger.unpriced), missing: 0.into() },
        runs: Runs::default(),
        budgets: Budgets::new(settings::budgets(config)),
    }
}

fn core(config: &Config, connect: &Arc<dyn Connect>, state: &State, cores: usize) -> Core {
    let budget = RetryBudget::new(settings::retries(config), cores, Instant::now());
    Core::new(Client::new(settings::client(config), connect.clone()), budget, state.clone())
}
