//! One whole gateway in a test: a client, one core, and providers that do as they are told.
//!
//! In memory all of it runs in the test's own runtime over pipes, so the test may pause the clock. On loopback the same
//! world uses sockets, and its clock must run.

mod answer;
mod client;
mod plan;
pub(crate) mod postgres;
mod provider;

pub(crate) use answer::{Answer, says};
pub(crate) use client::{Ask, Client, Reply, Socket};
pub(crate) use plan::Plan;
pub(crate) use provider::Provider;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyway::app::Assembled;
use keyway::attempt::probe::Probe;
use keyway::config::Routing;
use keyway::domain::directory::Directory;
use keyway::domain::entity::Credential;
use keyway::listen::{Drained, Reception};
use keyway::meter::{Meter, Outcome, Record};
use keyway::proxy::Proxy;
use keyway::snapshot::build;
use keyway::store::state::State;
use tokio::time::timeout;

use provider::Providers;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A gateway that serves, with everything around it.
pub(crate) struct World {
    assembled: Assembled,
    reception: Reception<Proxy>,
    /// Only on loopback.
    address: Option<SocketAddr>,
    providers: Providers,
    tokens: BTreeMap<String, String>,
    /// Each workspace's own.
    credentials: BTreeMap<String, Arc<Credential>>,
    records: RefCell<Vec<Record>>,
}

impl World {
    /// Providers by name, in memory; each has a key of the platform's, `key-of-NAME`.
    pub(crate) fn of<const N: usize>(providers: [&str; N]) -> Plan {
        Plan::of(&providers, false)
    }

    /// The same over sockets; the test must not pause the clock.
    pub(crate) fn on_loopback<const N: usize>(providers: [&str; N]) -> Plan {
        Plan::of(&providers, true).set("egress", "http = [\"127.0.0.1\"]")
    }

    pub(crate) fn provider(&self, name: &str) -> Provider {
        self.providers.named(name)
    }

    /// The client that holds the main workspace's token.
    pub(crate) fn client(&self) -> Client {
        self.client_of("main")
    }

    pub(crate) fn client_of(&self, token: &str) -> Client {
        Client::new(self.reception.clone(), self.address, &self.tokens[token])
    }

    pub(crate) fn token(&self, name: &str) -> String {
        self.tokens[name].clone()
    }

    /// A workspace's own credential.
    pub(crate) fn stored(&self, workspace: &str) -> Arc<Credential> {
        self.credentials[workspace].clone()
    }

    /// A provider of the platform's.
    pub(crate) fn entity(&self, provider: &str) -> keyway::domain::entity::Provider {
        self.assembled.gateway.world.platform().catalog.provider_named(provider).unwrap().provider.clone()
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.assembled.probe
    }

    pub(crate) fn state(&self) -> &State {
        &self.assembled.gateway.state
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.assembled.gateway.meter
    }

    /// The id of a workspace's own credential.
    pub(crate) fn credential(&self, workspace: &str) -> String {
        self.stored(workspace).id.uuid().to_string()
    }

    /// Every record so far, in the order of settlement.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = self.records.borrow_mut();
        records.extend(self.assembled.gateway.meter.records.take().into_iter().map(|record| *record));
        records.clone()
    }

    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.records().iter().map(|record| record.outcome).collect()
    }

    /// The only record there is.
    pub(crate) fn record(&self) -> Record {
        let [record] = self.records().try_into().unwrap();
        record
    }

    /// The one core's way into the gateway.
    pub(crate) fn proxy(&self) -> &Proxy {
        &self.assembled.proxies[0]
    }

    /// What a scraper would read.
    pub(crate) fn metrics(&self) -> String {
        self.assembled.registry.text(&self.assembled.cells)
    }

    /// From now on nobody's token is known.
    pub(crate) fn revokes_all_tokens(&self) {
        let nobody = build(&Directory::default(), &Directory::default(), &Routing::default()).unwrap();
        self.assembled.gateway.world.replace(nobody);
    }

    /// Takes no more, and waits so long for what is in progress. Did it all end by itself?
    pub(crate) async fn drains(&self, limit: Duration) -> bool {
        self.reception.close();
        self.reception.drain(limit).await == Drained::Finished
    }

    /// Waits until nothing is in flight and no body is held; it is a failure if that takes more than a second.
    pub(crate) async fn is_at_rest(&self) {
        let gateway = &self.assembled.gateway;
        let resting = async {
            while gateway.meter.capacity.in_flight() > 0 || gateway.bodies.taken_bytes() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(secs(1), resting).await.is_ok(), "{} in flight", gateway.meter.capacity.in_flight());
    }
}
