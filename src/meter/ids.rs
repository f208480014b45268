//! Ids of exchanges: UUIDv7, so that they sort by time, drawn without a system call a call.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};
use uuid::{Builder, Uuid};

use crate::domain::time::Timestamp;

/// One core's source. Its ids are unique, not secret: nothing is granted to whoever knows one.
pub(super) struct Ids {
    seed: u64,
    drawn: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Self {
        let mut seed = [0; 8];
        // Without randomness from the system, cores and processes still differ by where this lies in memory.
        if SystemRandom::new().fill(&mut seed).is_err() {
            seed = (std::ptr::from_ref(&seed) as u64).to_ne_bytes();
        }
        Self { seed: u64::from_ne_bytes(seed), drawn: AtomicU64::new(0) }
    }

    pub(super) fn draw(&self, now: Timestamp) -> Uuid {
        // The control plane's source is drawn from by several threads.
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&mixed(self.seed.wrapping_add(number)).to_ne_bytes());
        random[8..].copy_from_slice(&mixed(self.seed ^ number).to_ne_bytes()[..2]);
        Builder::from_unix_timestamp_millis(now.0.unsigned_abs(), &random).into_uuid()
    }
}

/// The finaliser of SplitMix64, a bijection: two numbers of one core never give the same bits.
const fn mixed(value: u64) -> u64 {
    let mut bits = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_of_version_7_and_never_repeat() {
        let ids = Ids::new();
        let drawn: HashSet<Uuid> = (0..10_000).map(|_| ids.draw(Timestamp(1_774_137_600_000))).collect();
        assert_eq!(drawn.len(), 10_000);
        assert!(drawn.iter().all(|id| id.get_version_num() == 7));
    }
}
