//! Whoever asks providers for a command. A server's own shares its breakers.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Trouble, network, settings};
use crate::attempt::breaker::Breakers;
use crate::attempt::client::Client;
use crate::attempt::probe::Probe;
use crate::config::Config;
use crate::store::Store;

pub fn probe(config: &Config, store: &Store) -> Result<Probe, Trouble> {
    let client = Client::new(settings::client(config), Arc::new(network(config)?));
    let breakers = Breakers::new(settings::breakers(config), Instant::now());
    Ok(Probe::new(client, store.keyring().clone(), Arc::new(breakers)))
}
