//! Who is at the other end of a connection, as far as that can be known before a token is.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;

use super::tasks::{Stage, Tasks};
use super::turnstile::{AddressSlot, TurnedAway, Turnstile};
use crate::domain::address::Network;

/// The proxies in front of us that are believed when they say for whom they speak.
pub type TrustedProxies = Arc<[Network]>;

#[derive(Debug)]
pub struct Peer {
    /// The connection's other end, or what a trusted proxy's PROXY line named.
    pub socket: SocketAddr,
    pub tls: bool,
    proxies: TrustedProxies,
    via_proxy: bool,
    turnstile: Arc<Turnstile>,
    tasks: Tasks,
    proven: AtomicBool,
    slot: Mutex<Option<AddressSlot>>,
}

impl Peer {
    pub(super) fn new(
        socket: SocketAddr,
        tls: bool,
        proxies: TrustedProxies,
        turnstile: Arc<Turnstile>,
        tasks: Tasks,
    ) -> Self {
        let via_proxy = is_trusted(&proxies, socket.ip());
        Self {
            socket,
            tls,
            proxies,
            via_proxy,
            turnstile,
            tasks,
            proven: AtomicBool::new(false),
            slot: Mutex::default(),
        }
    }

    /// The service found a valid token in a request: the connection no longer counts against its address.
    pub fn has_shown_a_token(&self) {
        if !self.proven.swap(true, Relaxed) {
            self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    pub fn is_proven(&self) -> bool {
        self.proven.load(Relaxed)
    }

    /// Where a request really came from. `X-Forwarded-For` counts only from a trusted proxy, read from the right:
    /// the first that is no trusted proxy is the client; what stands left of it, the client may have written.
    pub fn address(&self, headers: &HeaderMap) -> IpAddr {
        let own = self.socket.ip().to_canonical();
        if !self.via_proxy {
            return own;
        }
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
        let mut nearest = own;
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = forwarded_address(entry.trim()) else { return nearest };
            nearest = address;
            if !is_trusted(&self.proxies, address) {
                return address;
            }
        }
        nearest
    }

    /// Work that outlives the answer but not the listener, such as a socket after its upgrade: the drain waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Ready once the listener has begun to drain: a long-lived socket then ends after the turn in progress.
    pub async fn draining(&self) {
        self.tasks.draining().await;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.tasks.stage() != Stage::Open
    }

    /// Behind a proxy the address is known with each request only; a connection counts for the last one seen.
    pub(super) fn takes_a_place(&self, address: IpAddr) -> Result<(), TurnedAway> {
        if self.is_proven() {
            return Ok(());
        }
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|held| held.is_for(address)) {
            return Ok(());
        }
        slot.take();
        *slot = Some(self.turnstile.address(address)?);
        Ok(())
    }

    pub(super) const fn is_via_proxy(&self) -> bool {
        self.via_proxy
    }
}

pub(super) fn is_trusted(proxies: &[Network], address: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

/// `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn forwarded_address(entry: &str) -> Option<IpAddr> {
    let plain = entry.parse::<IpAddr>().ok();
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    plain.or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::limits::Limits;

    fn peer(socket: &str, proxies: &[&str]) -> Peer {
        let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        Peer::new(socket.parse().unwrap(), false, proxies, Turnstile::new(&Limits::default()), Tasks::default())
    }

    fn forwarded(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (http::HeaderName::from_static("x-forwarded-for"), line.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check(peer: &Peer, lines: &[&str], address: &str) {
        assert_eq!(peer.address(&forwarded(lines)), address.parse::<IpAddr>().unwrap(), "{lines:?}");
    }

    #[test]
    fn a_stranger_cannot_say_where_it_comes_from() {
        check(&peer("203.0.113.1:9", &[]), &["198.51.100.1"], "203.0.113.1");
        check(&peer("203.0.113.1:9", &["10.0.0.0/8"]), &["198.51.100.1"], "203.0.113.1");
    }

    #[test]
    fn the_rightmost_address_that_is_no_trusted_proxy_is_the_client() {
        let peer = peer("10.0.0.1:9", &["10.0.0.0/8"]);
        check(&peer, &[], "10.0.0.1");
        check(&peer, &["198.51.100.1"], "198.51.100.1");
        check(&peer, &["6.6.6.6, 198.51.100.1, 10.0.0.7"], "198.51.100.1");
        check(&peer, &["6.6.6.6", "198.51.100.1:4711"], "198.51.100.1");
        check(&peer, &["[2001:db8::1]:4711"], "2001:db8::1");
        check(&peer, &["[2001:db8::1]"], "2001:db8::1");
        check(&peer, &["6.6.6.6, nonsense, 10.0.0.7"], "10.0.0.7");
        check(&peer, &["10.0.0.9"], "10.0.0.9");
    }

    #[test]
    fn a_connection_that_shows_a_token_gives_its_place_back() {
        let peer = peer("203.0.113.1:9", &[]);
        peer.takes_a_place(peer.socket.ip()).unwrap();
        assert_eq!(peer.turnstile.unproven_addresses(), 1);
        peer.has_shown_a_token();
        assert_eq!(peer.turnstile.unproven_addresses(), 0);
        peer.takes_a_place(peer.socket.ip()).unwrap();
        assert_eq!(peer.turnstile.unproven_addresses(), 0);
    }
}
