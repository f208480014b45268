//! What a model's units cost, dated: a change of price never rewrites the cost of an earlier call.

use serde::{Deserialize, Serialize};

use super::money::Nanodollars;
use super::time::Timestamp;
use super::usage::Usage;

/// Prices are said for so many units.
const PRICED_UNITS: i128 = 1_000_000;

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
    /// What long calls cost instead, the shortest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// Prices of a call whose input is longer than so many units: all of it costs this, as those who have tiers reckon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    pub above: u64,
    pub prices: Prices,
}

impl Prices {
    /// What a call costs, to the nearest nano-dollar; `None` where it used a unit whose price is unknown.
    ///
    /// A bucket without a price of its own costs what its side costs: so where only input and output are priced, the cost
    /// is `input / 1e6 * price + output / 1e6 * price`, whatever the buckets.
    pub fn cost(&self, usage: &Usage) -> Option<Nanodollars> {
        let length = usage.input_total();
        let tier = self.tiers.iter().rev().find(|tier| length > tier.above).map_or(self, |tier| &tier.prices);
        let input = tier.input.or(self.input);
        let output = tier.output.or(self.output);
        let buckets = [
            (usage.input, input),
            (usage.cache_read, tier.cache_read.or(input)),
            (usage.cache_write_5m, tier.cache_write_5m.or(input)),
            (usage.cache_write_1h, tier.cache_write_1h.or(tier.cache_write_5m).or(input)),
            (usage.audio_input, tier.audio_input.or(self.audio_input).or(input)),
            (usage.output, output),
            (usage.reasoning, tier.reasoning.or(output)),
            (usage.audio_output, tier.audio_output.or(self.audio_output).or(output)),
        ];
        let mut millionths: i128 = 0;
        for (units, price) in buckets {
            if units > 0 {
                millionths += i128::from(units) * i128::from(price?.0);
            }
        }
        let per_request = tier.per_request.or(self.per_request).map_or(0, |price| i128::from(price.0));
        // Nothing is said of any price, so nothing is known of a call that used nothing either.
        if input.is_none() && output.is_none() && per_request == 0 {
            return None;
        }
        let nanos = (millionths + PRICED_UNITS / 2).div_euclid(PRICED_UNITS) + per_request;
        i64::try_from(nanos).ok().map(Nanodollars)
    }
}

/// What becomes of calls to a model whose price nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpriced {
    /// They are served, and counted as unpriced.
    #[default]
    Allow,
    /// They are refused.
    Block,
    /// They are served, and cost what the dearest model of the same provider would.
    Dearest,
}

impl Unpriced {
    pub const ALL: [(&'static str, Self); 3] =
        [("allow", Self::Allow), ("block", Self::Block), ("dearest", Self::Dearest)];
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

    /// Nobody ever stated a price.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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

    fn money(dollars: &str) -> Option<Nanodollars> {
        Some(dollars.parse().unwrap())
    }

    fn plain() -> Prices {
        Prices { input: money("3"), output: money("15"), ..Prices::default() }
    }

    #[test]
    fn with_two_prices_the_cost_is_input_and_output_by_the_million() {
        let usage = Usage { input: 1_000, output: 500, ..Usage::default() };
        assert_eq!(plain().cost(&usage), money("0.0105"));
        let split = Usage { input: 400, cache_read: 600, output: 100, reasoning: 400, ..Usage::default() };
        assert_eq!(plain().cost(&split), money("0.0105"), "buckets without a price cost what their side costs");
        let dear = Prices { input: money("0.000001"), output: money("0"), ..Prices::default() };
        assert_eq!(dear.cost(&Usage { input: 499, ..Usage::default() }), money("0"));
        assert_eq!(dear.cost(&Usage { input: 500, ..Usage::default() }), money("0.000000001"), "half a nano is one");
    }

    #[test]
    fn each_bucket_costs_its_own_price_once() {
        let prices = Prices {
            cache_read: money("0.3"),
            cache_write_5m: money("3.75"),
            cache_write_1h: money("6"),
            reasoning: money("20"),
            audio_input: money("40"),
            audio_output: money("80"),
            per_request: money("0.01"),
            ..plain()
        };
        let million = 1_000_000;
        let usage = Usage {
            input: million,
            cache_read: million,
            cache_write_5m: million,
            cache_write_1h: million,
            output: million,
            reasoning: million,
            audio_input: million,
            audio_output: million,
            cost: None,
        };
        assert_eq!(prices.cost(&usage), money("168.06"));
    }

    #[test]
    fn a_long_call_costs_its_tier_altogether() {
        let long = Prices { input: money("6"), output: money("22.5"), ..Prices::default() };
        let prices = Prices { tiers: vec![Tier { above: 200_000, prices: long }], ..plain() };
        let of = |input, cache_read| prices.cost(&Usage { input, cache_read, output: 1_000, ..Usage::default() });
        assert_eq!(of(200_000, 0), money("0.615"));
        assert_eq!(of(200_000, 1), money("1.222506"), "what the cache served counts for the length");
    }

    #[test]
    fn unknown_is_not_free_and_free_is_not_unknown() {
        let free = Prices { input: money("0"), output: money("0"), ..Prices::default() };
        let usage = Usage { input: 5, output: 7, ..Usage::default() };
        assert_eq!(free.cost(&usage), money("0"));
        assert_eq!(Prices::default().cost(&usage), None);
        assert_eq!(Prices { input: money("1"), ..Prices::default() }.cost(&usage), None);
    }
}
