//! Takes up a changed configuration or directory: all of it or nothing, and no call notices.

use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::following::Following;
use super::running::{Running, Server};
use super::{Trouble, settings};
use crate::attempt::budget::RetryBudget;
use crate::config::{Config, differences};
use crate::metrics::{Cells, Registry, Series};
use crate::snapshot::{CatchUp, Keeper, build};

/// How reloads went, in metrics.
pub(super) struct Reloads {
    cells: Arc<Cells>,
    taken: Series,
    refused: Series,
}

impl Reloads {
    pub(super) fn register(registry: &Registry) -> Self {
        let family =
            registry.counter("keyway_config_reloads_total", "Reloads, by whether they were taken up.", ["result"]);
        let cells = Arc::new(Cells::shared());
        Self { cells, taken: registry.series(family, ["taken"]), refused: registry.series(family, ["refused"]) }
    }

    pub(super) fn cells(&self) -> Arc<Cells> {
        self.cells.clone()
    }
}

/// What was last found wrong, each until it is found right.
#[derive(Default)]
pub(super) struct Troubles {
    /// The last reload was refused.
    reload: ArcSwapOption<String>,
    /// Another process left a directory that can't be taken up.
    directory: ArcSwapOption<String>,
    /// The store can't be asked.
    store: ArcSwapOption<String>,
}

impl Troubles {
    pub(super) fn all(&self) -> Vec<String> {
        [&self.reload, &self.directory, &self.store]
            .iter()
            .filter_map(|one| Some(one.load().as_ref()?.to_string()))
            .collect()
    }
}

impl Running {
    /// SIGHUP: configuration, certificates, directory.
    pub(super) async fn reload(&self) {
        let server = &self.server;
        let taken = self.try_reload().await;
        if taken.is_ok() {
            server.troubles.directory.store(None);
        }
        // Whoever asks for a reload is answered each time.
        server.troubles.reload.store(None);
        server.tell(&server.troubles.reload, taken, "reloaded");
    }

    /// Everything that can fail comes first; what follows only swaps.
    async fn try_reload(&self) -> Result<(), Trouble> {
        let server = &self.server;
        let source = server.source.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let config = source.load()?;
            let data = super::data_setup(&config)?;
            let admin = super::admin_setup(&config)?;
            Ok::<_, Trouble>((config, data, admin))
        });
        let (config, data, admin) = loading.await.map_err(|error| Trouble::Runtime(std::io::Error::other(error)))??;
        let fixed = differences(&server.config.load(), &config);
        if !fixed.is_empty() {
            return Err(Trouble::NeedsRestart(fixed));
        }
        let _taking_up = server.taking_up.lock().await;
        server.following.redeclare(server, &config).await?;
        self.plane.change(&data);
        self.desk.change(&admin);
        self.swap_settings(&config);
        super::warn(&config, &[]);
        server.config.store(Arc::new(config));
        Ok(())
    }

    fn swap_settings(&self, config: &Config) {
        let (server, old) = (&self.server, self.server.config.load());
        let gateway = &server.gateway;
        gateway.settings.store(Arc::new(settings::proxy(config)));
        gateway.attempts.settings.store(Arc::new(settings::attempts(config)));
        gateway.attempts.parallel.set(settings::patience(config));
        gateway.attempts.breakers.set(settings::breakers(config));
        gateway.meter.capacity.set(settings::capacity(config));
        gateway.meter.pricing.unpriced.store(Arc::new(config.ledger.unpriced));
        gateway.meter.budgets.settings.store(Arc::new(settings::budgets(config)));
        gateway.meter.records.set_logged(config.log.exchanges);
        gateway.bodies.set_limit(config.limits.bodies_in_flight);
        server.admin.store(Arc::new(settings::admin(config)));
        server.ground.store(Arc::new(settings::ground(config)));
        server.level.set(&config.log);
        // What the budgets remember is worth keeping where nothing about them changed.
        if settings::retries(&old) != settings::retries(config) {
            self.renew_retry_budgets(config);
        }
        if old.egress.rules != config.egress.rules {
            server.network.change_egress(config.egress.rules.clone());
            self.proxies.iter().for_each(|proxy| proxy.core.client.close_idle());
        }
    }

    fn renew_retry_budgets(&self, config: &Config) {
        for proxy in &self.proxies {
            let budget = RetryBudget::new(settings::retries(config), self.proxies.len(), Instant::now());
            *proxy.core.budget.lock().unwrap_or_else(PoisonError::into_inner) = budget;
        }
    }
}

impl Server {
    /// Every half second, and after each change of the admin API: is there another directory in the store?
    pub(super) async fn refresh(&self) {
        let _taking_up = self.taking_up.lock().await;
        match &self.following {
            Following::Whole => self.refresh_whole().await,
            Following::Parts { keeper, .. } => self.refresh_parts(keeper).await,
        }
    }

    async fn refresh_parts(&self, keeper: &Keeper) {
        let taken = match keeper.catch_up().await {
            Err(error @ CatchUp::Store(_)) => return self.tell(&self.troubles.store, Err(error.into()), ""),
            taken => taken,
        };
        self.troubles.store.store(None);
        match taken {
            Ok(false) => {}
            Ok(true) => self.tell(&self.troubles.directory, Ok(()), "took up a changed directory"),
            Err(error) => self.tell(&self.troubles.directory, Err(error.into()), ""),
        }
    }

    async fn refresh_whole(&self) {
        match self.store.changed().await {
            Ok(false) => self.troubles.store.store(None),
            Ok(true) => {
                self.troubles.store.store(None);
                let taken = self.take_up_directory().await;
                self.tell(&self.troubles.directory, taken, "took up a changed directory");
            }
            Err(error) => self.tell(&self.troubles.store, Err(error.into()), ""),
        }
    }

    async fn take_up_directory(&self) -> Result<(), Trouble> {
        let directory = self.store.take_up().await?;
        let config = self.config.load_full();
        self.gateway.world.replace(build(&directory, &config.declared, &config.routing)?);
        Ok(())
    }

    /// Said once per trouble, not at every poll that finds it again.
    fn tell(&self, trouble: &ArcSwapOption<String>, taken: Result<(), Trouble>, what: &'static str) {
        match taken {
            Ok(()) => {
                self.reloads.cells.add(self.reloads.taken, 1);
                trouble.store(None);
                tracing::info!(config = %self.config.load().hash, "{what}");
            }
            Err(found) => {
                let text = found.to_string();
                if trouble.load().as_deref() != Some(&text) {
                    self.reloads.cells.add(self.reloads.refused, 1);
                    tracing::error!("what was running goes on unchanged: {text}");
                    trouble.store(Some(Arc::new(text)));
                }
            }
        }
    }
}
