//! What an exchange costs, and on whose word. Usage and prices in, money out; no clock.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;

use crate::domain::entity::Provider;
use crate::domain::id::Id;
use crate::domain::ledger::PricedBy;
use crate::domain::money::Nanodollars;
use crate::domain::price_list::listed;
use crate::domain::prices::{Prices, Unpriced};
use crate::domain::time::Timestamp;
use crate::domain::trail::Priced;
use crate::domain::usage::Usage;
use crate::snapshot::World;

/// The one provider whose models need no price here: it says with each answer what it charges.
const SAYS_ITS_COST: &str = "openrouter";

/// Where prices are found that neither the model nor the list has.
pub struct Pricing {
    pub world: Arc<World>,
    pub unpriced: ArcSwap<Unpriced>,
    /// Exchanges whose cost nobody knows.
    pub missing: AtomicU64,
}

impl Pricing {
    /// The provider's own word first, then the stated prices of that moment, then the list's.
    pub fn cost(
        &self,
        priced: &Priced,
        (provider, model): (Id<Provider>, &str),
        at: Timestamp,
        usage: &Usage,
    ) -> (Option<Nanodollars>, PricedBy) {
        if usage.cost.is_some() {
            return (usage.cost, PricedBy::Provider);
        }
        let stated = || priced.stated.as_ref()?.at(at)?.cost(usage);
        if let Some(cost) = stated() {
            return (Some(cost), PricedBy::Stated);
        }
        if let Some(cost) = priced.listed.and_then(|preset| listed(preset, model)?.cost(usage)) {
            return (Some(cost), PricedBy::Listed);
        }
        match **self.unpriced.load() {
            Unpriced::Dearest => match self.dearest(provider, at, usage) {
                Some(cost) => (Some(cost), PricedBy::Sibling),
                None => (None, PricedBy::Nobody),
            },
            Unpriced::Allow | Unpriced::Block => (None, PricedBy::Nobody),
        }
    }

    /// Are calls refused whose price is not known?
    pub fn blocks(&self) -> bool {
        **self.unpriced.load() == Unpriced::Block
    }

    fn dearest(&self, provider: Id<Provider>, at: Timestamp, usage: &Usage) -> Option<Nanodollars> {
        let platform = self.world.platform();
        let siblings = platform.catalog.models().filter(|entry| entry.provider.provider.id == provider);
        let costs = siblings.filter_map(|entry| {
            let stated = entry.prices.as_ref().and_then(|prices| prices.at(at)?.cost(usage));
            stated.or_else(|| listed(entry.provider.listed?, &entry.model_id)?.cost(usage))
        });
        costs.max()
    }
}

/// Is the price of a target's calls known at this moment?
pub(super) fn is_known(priced: &Priced, model: &str, at: Timestamp) -> bool {
    let says_both = |prices: &Prices| prices.input.is_some() && prices.output.is_some() || prices.per_request.is_some();
    priced.stated.as_ref().and_then(|stated| stated.at(at)).is_some_and(says_both)
        || priced.listed.is_some_and(|preset| preset == SAYS_ITS_COST || listed(preset, model).is_some())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::prices::PriceHistory;
    use crate::snapshot::build;

    pub(in crate::meter) fn pricing(unpriced: Unpriced) -> Pricing {
        let (stored, declared) = Default::default();
        let snapshot = build(&stored, &declared, &crate::config::Routing::default()).unwrap();
        Pricing { world: Arc::new(World::new(snapshot)), unpriced: ArcSwap::from_pointee(unpriced), missing: 0.into() }
    }

    pub(in crate::meter) fn stated(dollars: &str) -> Priced {
        let price = dollars.parse().ok();
        let history = PriceHistory::always(Prices { input: price, output: price, ..Prices::default() });
        Priced { stated: Some(Arc::new(history)), listed: Some("openai") }
    }

    fn of(priced: &Priced, usage: Usage) -> (Option<String>, PricedBy) {
        let (cost, by) =
            pricing(Unpriced::Allow).cost(priced, (Id::random(), "gpt-4o-mini"), Timestamp(1_774_137_600_000), &usage);
        (cost.map(|cost| cost.to_string()), by)
    }

    #[test]
    fn the_provider_s_word_beats_a_stated_price_and_that_the_list_s() {
        let usage = Usage { input: 1_000_000, ..Usage::default() };
        let said = Usage { cost: "0.5".parse().ok(), ..usage };
        assert_eq!(of(&stated("3"), said), (Some("0.5".into()), PricedBy::Provider));
        assert_eq!(of(&stated("3"), usage), (Some("3".into()), PricedBy::Stated));
        let listed = Priced { stated: None, listed: Some("openai") };
        assert_eq!(of(&listed, usage), (Some("0.15".into()), PricedBy::Listed));
        assert_eq!(of(&Priced::default(), usage), (None, PricedBy::Nobody));
    }

    #[test]
    fn a_price_is_known_where_both_sides_have_one_or_the_provider_says_it() {
        let is_known = |priced: &Priced, model| is_known(priced, model, Timestamp(0));
        assert!(!is_known(&Priced::default(), "m"));
        assert!(is_known(&stated("0"), "m"), "free is a price");
        let of = |preset| Priced { stated: None, listed: Some(preset) };
        assert!(is_known(&of("openai"), "gpt-4o") && !is_known(&of("openai"), "m"));
        assert!(is_known(&of("openrouter"), "anything"), "it says what it charges");
    }
}
