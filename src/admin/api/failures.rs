//! How often tokens that are none were shown: by one address, and under one token's id.
//!
//! Only failures are counted and only failures are slowed, so that nobody locks somebody else out by guessing. Pure:
//! the moment is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures a minute under one token's id, which is public as ids are.
const PER_TOKEN: u32 = 5;
/// Failures a minute from one address: a whole office may be behind it.
const PER_ADDRESS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses or ids remembered at once, at some 50 bytes each. Beyond it every further failure is one too many.
const REMEMBERED: usize = 20_000;

/// Everybody who failed in the last minute.
#[derive(Debug, Default)]
pub(super) struct Failures {
    addresses: Mutex<Counts<IpAddr>>,
    tokens: Mutex<Counts<String>>,
}

impl Failures {
    /// Counts a failure; `Err` says how long to wait once there were too many.
    pub(super) fn count(&self, address: IpAddr, token: Option<&str>, now: Instant) -> Result<(), Duration> {
        let by_address = locked(&self.addresses).count(network(address), PER_ADDRESS, now);
        let by_token = token.map_or(Ok(()), |token| locked(&self.tokens).count(token.to_string(), PER_TOKEN, now));
        by_address.and(by_token)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever has one IPv6 address mostly has its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(long) => IpAddr::V6((u128::from(long) >> 64 << 64).into()),
    }
}

#[derive(Debug)]
struct Counts<K>(HashMap<K, (Instant, u32)>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Counts<K> {
    fn count(&mut self, who: K, most: u32, now: Instant) -> Result<(), Duration> {
        let ended = |since: Instant| now.saturating_duration_since(since) >= WINDOW;
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&who) {
            self.0.retain(|_, (since, _)| !ended(*since));
            if self.0.len() >= REMEMBERED {
                return Err(WINDOW);
            }
        }
        let (since, failures) = self.0.entry(who).or_insert((now, 0));
        if ended(*since) {
            (*since, *failures) = (now, 0);
        }
        *failures += 1;
        match *failures <= most {
            true => Ok(()),
            false => Err(WINDOW.saturating_sub(now.saturating_duration_since(*since))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn five_failures_under_one_id_and_twenty_from_one_address_are_answered_and_no_more() {
        let (failures, now) = (Failures::default(), Instant::now());
        let count = |address: IpAddr, token: Option<&str>| failures.count(address, token, now).is_ok();
        assert_eq!((0..9).filter(|last| count(IpAddr::from([10, 0, 0, *last]), Some("one"))).count(), 5);
        assert_eq!((0..30).filter(|_| count(address("203.0.113.9"), None)).count(), 20);
        assert!(count(address("203.0.113.10"), Some("another")));
    }

    #[test]
    fn a_minute_later_all_is_forgotten() {
        let (failures, now) = (Failures::default(), Instant::now());
        while failures.count(address("203.0.113.9"), None, now).is_ok() {}
        let half = now + WINDOW / 2;
        assert_eq!(failures.count(address("203.0.113.9"), None, half), Err(WINDOW / 2));
        assert!(failures.count(address("203.0.113.9"), None, now + WINDOW).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let (failures, now) = (Failures::default(), Instant::now());
        let from = |last: u16| address(&format!("2001:db8::{last:x}"));
        assert_eq!((0..30).filter(|last| failures.count(from(*last), None, now).is_ok()).count(), 20);
    }

    #[test]
    fn what_does_not_fit_is_too_much() {
        let mut counts = Counts::<u32>::default();
        let now = Instant::now();
        assert!((0..REMEMBERED as u32).all(|who| counts.count(who, 1, now).is_ok()));
        assert!(counts.count(u32::MAX, 1, now).is_err());
        assert!(counts.count(u32::MAX, 1, now + WINDOW).is_ok());
    }
}
