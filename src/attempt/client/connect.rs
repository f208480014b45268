//! Opens connections: resolve, check every address, connect to exactly the checked one, prove who it is.
//!
//! Takes an address, gives a stream and whether the peer chose HTTP/2. Knows no pool and no request.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::names::{Names, Resolve, System};
use super::stream::Stream;
use super::tls::{Tls, chose_http2};
use super::{ClientSettings, Http2};
use crate::domain::address::{Address, Egress, EgressDenied};
use crate::domain::failure::Failure;

/// The next of several addresses is tried when the one before has not answered within this time.
const STAGGER: Duration = Duration::from_millis(250);

/// An open connection, and what is spoken on it.
pub struct Link {
    pub stream: Box<dyn Stream>,
    pub http2: bool,
}

pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Link, Failure>> + Send + 'a>>;

/// Whoever opens connections: the network, or a test's pipes.
pub trait Connect: Send + Sync {
    fn connect<'a>(&'a self, address: &'a Address, offer: Http2) -> Connecting<'a>;
}

/// TCP and TLS. One for all cores.
pub struct Network {
    names: Names,
    egress: ArcSwap<Egress>,
    tls: Tls,
    connect_timeout: Duration,
    tls_timeout: Duration,
}

impl Network {
    pub fn new(settings: &ClientSettings, egress: Egress, roots: RootCertStore) -> Self {
        Self::with_resolver(settings, egress, roots, Box::new(System))
    }

    pub fn with_resolver(
        settings: &ClientSettings,
        egress: Egress,
        roots: RootCertStore,
        resolver: Box<dyn Resolve>,
    ) -> Self {
        Self {
            names: Names::new(resolver),
            egress: ArcSwap::from_pointee(egress),
            tls: Tls::new(roots),
            connect_timeout: settings.connect_timeout,
            tls_timeout: settings.tls_timeout,
        }
    }

    /// From now on these rules hold for every new connection. Those that are open stay: also close what is idle.
    pub fn change_egress(&self, egress: Egress) {
        self.egress.store(Arc::new(egress));
    }

    async fn open(&self, address: &Address, offer: Http2) -> Result<Link, Failure> {
        let egress = self.egress.load_full();
        egress.allows_address(address).map_err(denied)?;
        let tcp = within(self.connect_timeout, self.reach(address, &egress)).await?;
        if !address.tls {
            return Ok(Link { stream: Box::new(tcp), http2: offer == Http2::PriorKnowledge });
        }
        let tls = within(self.tls_timeout, self.tls.handshake(&address.host, offer, tcp)).await?;
        Ok(Link { http2: chose_http2(&tls), stream: Box::new(tls) })
    }

    /// A connection to an address of the host that is allowed. The check and the connect use the same one, so a name
    /// that resolves otherwise a moment later changes nothing.
    async fn reach(&self, address: &Address, egress: &Egress) -> Result<TcpStream, Failure> {
        let found = self.names.addresses(address).await?;
        let allowed = |socket: &&SocketAddr| egress.allows_ip(address, socket.ip()).is_ok();
        let allowed: Vec<SocketAddr> = found.iter().filter(allowed).copied().collect();
        if allowed.is_empty() {
            return Err(denied(EgressDenied::NotPublic(address.host.clone())));
        }
        let tcp = first_of(allowed).await.map_err(|error| {
            self.names.forget(address);
            unreachable(&error)
        })?;
        // Without it a request in two writes waits 40 ms for the peer's acknowledgement.
        tcp.set_nodelay(true).map_err(|error| unreachable(&error))?;
        Ok(tcp)
    }
}

impl Connect for Network {
    fn connect<'a>(&'a self, address: &'a Address, offer: Http2) -> Connecting<'a> {
        Box::pin(self.open(address, offer))
    }
}

/// The first address that answers; each has a head start on the next.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut tries = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    loop {
        match waiting.next() {
            Some(next) => drop(tries.spawn(TcpStream::connect(next))),
            None if tries.is_empty() => return Err(last),
            None => {}
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(tried) = tries.join_next() => match tried.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            },
            () = sleep(STAGGER), if more => {}
        }
    }
}

async fn within<T>(limit: Duration, wait: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(limit, wait).await.unwrap_or(Err(Failure::ConnectTimedOut))
}

fn denied(why: EgressDenied) -> Failure {
    Failure::AddressDenied(why.to_string())
}

/// The kind alone: an operating system's text may hold addresses.
fn unreachable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut => Failure::ConnectTimedOut,
        kind => Failure::Unreachable(kind.to_string()),
    }
}
