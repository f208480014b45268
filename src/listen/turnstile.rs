//! How many may be inside at once: connections in all and per address, requests in all. Shared by all cores.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::Limits;

#[derive(Debug)]
pub struct Turnstile {
    connections: AtomicUsize,
    per_address: AtomicUsize,
    requests: AtomicUsize,
    connections_open: AtomicUsize,
    requests_open: AtomicUsize,
    /// Connections without a valid token, by address. At most one entry per open connection.
    unproven: Mutex<HashMap<IpAddr, usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    Full,
    Address,
}

impl Turnstile {
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            connections: limits.connections.into(),
            per_address: limits.connections_per_address.into(),
            requests: limits.requests_in_flight.into(),
            connections_open: AtomicUsize::new(0),
            requests_open: AtomicUsize::new(0),
            unproven: Mutex::default(),
        })
    }

    /// From now on these many may come in; who is inside stays.
    pub fn set(&self, limits: &Limits) {
        self.connections.store(limits.connections, Relaxed);
        self.per_address.store(limits.connections_per_address, Relaxed);
        self.requests.store(limits.requests_in_flight, Relaxed);
    }

    pub fn connections_open(&self) -> usize {
        self.connections_open.load(Relaxed)
    }

    pub fn requests_open(&self) -> usize {
        self.requests_open.load(Relaxed)
    }

    /// Addresses that hold a connection and have shown no valid token on it.
    pub fn unproven_addresses(&self) -> usize {
        self.unproven.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn connection(self: &Arc<Self>) -> Result<ConnectionSlot, TurnedAway> {
        let slot = ConnectionSlot(self.clone());
        let before = self.connections_open.fetch_add(1, Relaxed);
        if before >= self.connections.load(Relaxed) { Err(TurnedAway::Full) } else { Ok(slot) }
    }

    pub(super) fn address(self: &Arc<Self>, address: IpAddr) -> Result<AddressSlot, TurnedAway> {
        let block = block(address);
        let mut unproven = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        let held = unproven.entry(block).or_insert(0);
        if *held >= self.per_address.load(Relaxed) {
            return Err(TurnedAway::Address);
        }
        *held += 1;
        Ok(AddressSlot { turnstile: self.clone(), block })
    }

    pub(super) fn request(self: &Arc<Self>) -> Option<RequestSlot> {
        let slot = RequestSlot(self.clone());
        let before = self.requests_open.fetch_add(1, Relaxed);
        (before < self.requests.load(Relaxed)).then_some(slot)
    }
}

/// An IPv6 customer holds a whole /64, so its addresses count as one.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[derive(Debug)]
pub(super) struct ConnectionSlot(Arc<Turnstile>);

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct RequestSlot(Arc<Turnstile>);

impl Drop for RequestSlot {
    fn drop(&mut self) {
        self.0.requests_open.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct AddressSlot {
    turnstile: Arc<Turnstile>,
    block: IpAddr,
}

impl AddressSlot {
    pub(super) fn is_for(&self, address: IpAddr) -> bool {
        self.block == block(address)
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut unproven = self.turnstile.unproven.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = unproven.get_mut(&self.block) {
            *held -= 1;
            if *held == 0 {
                unproven.remove(&self.block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turnstile(connections: usize, per_address: usize) -> Arc<Turnstile> {
        Turnstile::new(&Limits {
            connections,
            connections_per_address: per_address,
            requests_in_flight: 1,
            ..Limits::default()
        })
    }

    #[test]
    fn what_goes_out_makes_room_for_what_comes_in() {
        let turnstile = turnstile(2, 9);
        let (one, two) = (turnstile.connection().unwrap(), turnstile.connection().unwrap());
        assert_eq!(turnstile.connection().unwrap_err(), TurnedAway::Full);
        drop(one);
        assert!(turnstile.connection().is_ok());
        drop(two);
        assert_eq!(turnstile.connections_open(), 0);
        let request = turnstile.request();
        assert!(request.is_some() && turnstile.request().is_none());
        drop(request);
        assert_eq!(turnstile.requests_open(), 0);
    }

    #[test]
    fn a_lowered_limit_turns_the_next_away_and_nobody_out() {
        let turnstile = turnstile(2, 9);
        let held = (turnstile.connection().unwrap(), turnstile.connection().unwrap());
        turnstile.set(&Limits { connections: 1, ..Limits::default() });
        assert_eq!(turnstile.connections_open(), 2);
        drop(held.0);
        assert_eq!(turnstile.connection().unwrap_err(), TurnedAway::Full);
        drop(held.1);
        assert!(turnstile.connection().is_ok());
    }

    #[test]
    fn an_address_is_one_ipv4_or_one_ipv6_network_and_leaves_nothing_behind() {
        let turnstile = turnstile(9, 1);
        let held = turnstile.address("10.0.0.1".parse().unwrap()).unwrap();
        assert!(turnstile.address("::ffff:10.0.0.1".parse().unwrap()).is_err());
        assert!(turnstile.address("10.0.0.2".parse().unwrap()).is_ok());
        let wide = turnstile.address("2001:db8::1".parse().unwrap()).unwrap();
        assert!(turnstile.address("2001:db8::ffff:2".parse().unwrap()).is_err());
        assert!(turnstile.address("2001:db8:0:1::1".parse().unwrap()).is_ok());
        drop((held, wide));
        assert_eq!(turnstile.unproven_addresses(), 0);
    }
}
