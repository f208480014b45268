//! What a model's units cost, dated: a change of price never rewrites the cost of an earlier call.

use serde::{Deserialize, Serialize};

use super::money::Nanodollars;
use super::time::Timestamp;

/// Dollars per million units, bucket by bucket. `None` is unknown, which is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    pub input: Option<Nanodollars>,
    pub output: Option<Nanodollars>,
    pub cache_read: Option<Nanodollars>,
    pub cache_write_5m: Option<Nanodollars>,
    pub cache_write_1h: Option<Nanodollars>,
    pub reasoning: Option<Nanodollars>,
    pub audio_input: Option<Nanodollars>,
    pub audio_output: Option<Nanodollars>,
    /// Dollars a call, whatever its length.
    pub per_request: Option<Nanodollars>,
}

/// Prices in force from a moment on, until the next entry's moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedPrices {
    pub from: Timestamp,
    pub prices: Prices,
}

/// A model's price history, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriceHistory(Vec<DatedPrices>);

impl PriceHistory {
    /// Prices that hold from the beginning of time, as `gateway.toml` states them.
    pub fn always(prices: Prices) -> Self {
        Self(vec![DatedPrices { from: Timestamp(0), prices }])
    }

    pub fn at(&self, moment: Timestamp) -> Option<&Prices> {
        self.0.iter().rev().find(|entry| entry.from <= moment).map(|entry| &entry.prices)
    }

    /// Adds prices from a moment on; an entry of the same moment is replaced.
    pub fn change(&mut self, entry: DatedPrices) {
        self.0.retain(|old| old.from != entry.from);
        let at = self.0.partition_point(|old| old.from < entry.from);
        self.0.insert(at, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_priced_by_what_held_at_its_moment() {
        let priced = |dollars: &str| Prices { input: dollars.parse().ok(), ..Prices::default() };
        let mut history = PriceHistory::default();
        history.change(DatedPrices { from: Timestamp(200), prices: priced("2") });
        history.change(DatedPrices { from: Timestamp(100), prices: priced("1") });
        assert_eq!(history.at(Timestamp(99)), None);
        assert_eq!(history.at(Timestamp(199)), Some(&priced("1")));
        assert_eq!(history.at(Timestamp(200)), Some(&priced("2")));
    }
}
