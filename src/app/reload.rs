//! Takes up a changed configuration or directory: all of it or nothing, and no call notices.

use std::sync::Arc;

use super::{Server, Trouble, settings};
use crate::config::{Config, differences};
use crate::listen;
use crate::metrics::{Cells, Registry, Series};
use crate::snapshot::build;

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

impl Server {
    /// SIGHUP: configuration, certificates, directory.
    pub(super) async fn reload(&self) {
        let taken = self.try_reload().await;
        self.tell(taken, "reloaded");
    }

    /// Every half second: has another process written the store?
    pub(super) async fn refresh(&self) {
        match self.store.changed().await {
            Ok(false) => {}
            Ok(true) => {
                let taken = self.take_up_directory().await;
                self.tell(taken, "took up a changed directory");
            }
            Err(error) => self.tell(Err(error.into()), ""),
        }
    }

    /// Said once per trouble, not at every poll that finds it again.
    fn tell(&self, taken: Result<(), Trouble>, what: &'static str) {
        match taken {
            Ok(()) => {
                self.reloads.cells.add(self.reloads.taken, 1);
                self.trouble.store(None);
                tracing::info!(config = %self.config.load().hash, "{what}");
            }
            Err(trouble) => {
                let text = trouble.to_string();
                if self.trouble.load().as_deref() != Some(&text) {
                    self.reloads.cells.add(self.reloads.refused, 1);
                    tracing::error!("what was running goes on unchanged: {text}");
                    self.trouble.store(Some(Arc::new(text)));
                }
            }
        }
    }

    /// Everything that can fail comes first; what follows only swaps.
    async fn try_reload(&self) -> Result<(), Trouble> {
        let source = self.source.clone();
        let loading = tokio::task::spawn_blocking(move || source.load()).await;
        let config = loading.map_err(|error| Trouble::Runtime(std::io::Error::other(error)))??;
        let fixed = differences(&self.config.load(), &config);
        if !fixed.is_empty() {
            return Err(Trouble::NeedsRestart(fixed));
        }
        let certificates = match (&self.tls, &config.listen.tls) {
            (Some(tls), Some(files)) => Some((tls, listen::load_tls(&files.certificate, &files.key)?)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(Trouble::NeedsRestart(vec!["[listen] tls"])),
        };
        let directory = self.store.load().await?;
        let snapshot = build(&directory, &config.declared, &settings::routing(&config))?;
        if let Some((tls, loaded)) = certificates {
            tls.store(loaded);
        }
        self.swap_settings(&config);
        self.gateway.world.replace(snapshot);
        self.config.store(Arc::new(config));
        Ok(())
    }

    async fn take_up_directory(&self) -> Result<(), Trouble> {
        let directory = self.store.load().await?;
        let config = self.config.load();
        self.gateway.world.replace(build(&directory, &config.declared, &settings::routing(&config))?);
        Ok(())
    }

    fn swap_settings(&self, config: &Config) {
        let gateway = &self.gateway;
        gateway.settings.store(Arc::new(settings::proxy(config)));
        gateway.attempts.settings.store(Arc::new(settings::attempts(config)));
        gateway.attempts.breakers.set(settings::breakers(config));
        gateway.meter.capacity.set(settings::capacity(config));
        gateway.meter.records.set_wanted(config.log.exchanges);
        gateway.bodies.set_limit(config.limits.bodies_in_flight);
        self.network.change_egress(config.egress.rules.clone());
    }
}
