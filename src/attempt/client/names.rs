//! From a host's name to socket addresses, remembered for a few seconds. Decides nothing about who may be called.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::address::Address;
use crate::domain::failure::Failure;

/// A lookup counts this long: a provider that moves is followed soon, and a burst of connections asks once.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Names remembered at a time; more than a directory's providers.
const NAMES: usize = 1_024;

/// Addresses taken from one answer. A longer one is not tried to its end.
const ADDRESSES: usize = 16;

pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Whoever knows names.
pub trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a>;
}

/// The system's own resolver.
pub struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// A resolver with a short memory.
pub(super) struct Names {
    resolver: Box<dyn Resolve>,
    known: Mutex<HashMap<Address, Known>>,
}

struct Known {
    addresses: Arc<[SocketAddr]>,
    until: Instant,
}

impl Names {
    pub(super) fn new(resolver: Box<dyn Resolve>) -> Self {
        Self { resolver, known: Mutex::default() }
    }

    /// At least one address, both families in turn.
    pub(super) async fn addresses(&self, address: &Address) -> Result<Arc<[SocketAddr]>, Failure> {
        if let Ok(ip) = address.host.parse::<IpAddr>() {
            return Ok(Arc::new([SocketAddr::new(ip, address.port)]));
        }
        if let Some(known) = self.remembered(address) {
            return Ok(known);
        }
        let unknown = || Failure::Unreachable(format!("the name `{}` does not resolve", address.host));
        let found = self.resolver.resolve(&address.host, address.port).await.map_err(|_| unknown())?;
        if found.is_empty() {
            return Err(unknown());
        }
        let found: Arc<[SocketAddr]> = in_turn(found).into();
        self.remember(address, found.clone());
        Ok(found)
    }

    /// Asks anew next time: none of the addresses answered.
    pub(super) fn forget(&self, address: &Address) {
        self.lock().remove(address);
    }

    fn remembered(&self, address: &Address) -> Option<Arc<[SocketAddr]>> {
        let known = self.lock();
        let known = known.get(address)?;
        (known.until > Instant::now()).then(|| known.addresses.clone())
    }

    fn remember(&self, address: &Address, addresses: Arc<[SocketAddr]>) {
        let now = Instant::now();
        let mut known = self.lock();
        if known.len() >= NAMES {
            known.retain(|_, known| known.until > now);
        }
        if known.len() < NAMES {
            known.insert(address.clone(), Known { addresses, until: now + REMEMBERED });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Address, Known>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One of each family after the other, in the resolver's order: a dead family costs one stagger, not all of them.
fn in_turn(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let longest = first.len().max(second.len());
    let turns = (0..longest).flat_map(|turn| [first.get(turn), second.get(turn)]);
    turns.flatten().copied().take(ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"].map(parse).to_vec();
        assert_eq!(in_turn(found), ["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"].map(parse));
    }
}
