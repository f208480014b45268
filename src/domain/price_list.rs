//! What well-known models cost where nobody has stated a price: data, with its date.
//!
//! Facts of the providers' public price pages (openai.com/api/pricing, docs.claude.com «Pricing», ai.google.dev «Gemini API
//! pricing», api-docs.deepseek.com «Pricing») in dollars per million units, for calls at ordinary speed. A stated price
//! stands against them, and what a provider reports of a call's cost against both. They hold only for calls to the
//! provider's own address.

use std::sync::LazyLock;

use super::money::Nanodollars;
use super::prices::{Prices, Tier};

/// The day these were read.
pub const AS_OF: &str = "2025-11-30";

/// One model's line. A price of a bucket that the provider does not sell is left out.
struct Line {
    preset: &'static str,
    model: &'static str,
    /// Input and output.
    sides: [&'static str; 2],
    /// Read from the cache; written to it for 5 minutes; for an hour.
    cache: [Option<&'static str>; 3],
    audio_input: Option<&'static str>,
    /// Longer than so many units of input, it costs this: input, output, cache read, cache write of 5 minutes, of an hour.
    long: Option<(u64, [Option<&'static str>; 5])>,
}

const fn line(preset: &'static str, model: &'static str, input: &'static str, output: &'static str) -> Line {
    Line { preset, model, sides: [input, output], cache: [None; 3], audio_input: None, long: None }
}

impl Line {
    const fn cached(self, read: &'static str) -> Self {
        Self { cache: [Some(read), None, None], ..self }
    }

    const fn caches(self, read: &'static str, write: &'static str, write_1h: &'static str) -> Self {
        Self { cache: [Some(read), Some(write), Some(write_1h)], ..self }
    }

    const fn hears(self, audio: &'static str) -> Self {
        Self { audio_input: Some(audio), ..self }
    }

    const fn long(self, above: u64, prices: [Option<&'static str>; 5]) -> Self {
        Self { long: Some((above, prices)), ..self }
    }

    /// The model itself, or a version of it: `gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929`, `…-001`, `…-latest`. A
    /// shorter number makes another model of it.
    fn names(&self, model: &str) -> bool {
        let Some(rest) = model.strip_prefix(self.model) else { return false };
        let Some(version) = rest.strip_prefix('-').or_else(|| rest.strip_prefix('@')) else { return rest.is_empty() };
        let has_digits = |lengths: &[usize]| {
            let parts =
                version.split('-').map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then_some(part.len()));
            parts.collect::<Option<Vec<_>>>().is_some_and(|found| found == lengths)
        };
        version == "latest" || has_digits(&[8]) || has_digits(&[4, 2, 2]) || has_digits(&[3])
    }

    fn prices(&self) -> Prices {
        let tier = |(above, [input, output, read, write, write_1h]): (u64, [Option<&str>; 5])| {
            let prices = Prices {
                input: input.and_then(money),
                output: output.and_then(money),
                cache_read: read.and_then(money),
                cache_write_5m: write.and_then(money),
                cache_write_1h: write_1h.and_then(money),
                ..Prices::default()
            };
            Tier { above, prices }
        };
        Prices {
            input: money(self.sides[0]),
            output: money(self.sides[1]),
            cache_read: self.cache[0].and_then(money),
            cache_write_5m: self.cache[1].and_then(money),
            cache_write_1h: self.cache[2].and_then(money),
            audio_input: self.audio_input.and_then(money),
            tiers: self.long.map(tier).into_iter().collect(),
            ..Prices::default()
        }
    }
}

fn money(dollars: &str) -> Option<Nanodollars> {
    dollars.parse().ok()
}

const SONNET_LONG: [Option<&str>; 5] = [Some("6"), Some("22.5"), Some("0.6"), Some("7.5"), Some("12")];

/// A dated version that costs otherwise stands before the model it is a version of.
static LINES: &[Line] = &[
    line("openai", "gpt-5", "1.25", "10").cached("0.125"),
    line("openai", "gpt-5-mini", "0.25", "2").cached("0.025"),
    line("openai", "gpt-5-nano", "0.05", "0.4").cached("0.005"),
    line("openai", "gpt-4.1", "2", "8").cached("0.5"),
    line("openai", "gpt-4.1-mini", "0.4", "1.6").cached("0.1"),
    line("openai", "gpt-4.1-nano", "0.1", "0.4").cached("0.025"),
    line("openai", "gpt-4o-2024-05-13", "5", "15"),
    line("openai", "gpt-4o", "2.5", "10").cached("1.25"),
    line("openai", "gpt-4o-mini", "0.15", "0.6").cached("0.075"),
    line("openai", "o1", "15", "60").cached("7.5"),
    line("openai", "o3", "2", "8").cached("0.5"),
    line("openai", "o3-mini", "1.1", "4.4").cached("0.55"),
    line("openai", "o4-mini", "1.1", "4.4").cached("0.275"),
    line("openai", "text-embedding-3-small", "0.02", "0"),
    line("openai", "text-embedding-3-large", "0.13", "0"),
    line("anthropic", "claude-opus-4-5", "5", "25").caches("0.5", "6.25", "10"),
    line("anthropic", "claude-opus-4-1", "15", "75").caches("1.5", "18.75", "30"),
    line("anthropic", "claude-opus-4", "15", "75").caches("1.5", "18.75", "30"),
    line("anthropic", "claude-sonnet-4-5", "3", "15").caches("0.3", "3.75", "6").long(200_000, SONNET_LONG),
    line("anthropic", "claude-sonnet-4", "3", "15").caches("0.3", "3.75", "6").long(200_000, SONNET_LONG),
    line("anthropic", "claude-3-7-sonnet", "3", "15").caches("0.3", "3.75", "6"),
    line("anthropic", "claude-haiku-4-5", "1", "5").caches("0.1", "1.25", "2"),
    line("anthropic", "claude-3-5-haiku", "0.8", "4").caches("0.08", "1", "1.6"),
    line("google", "gemini-2.5-pro", "1.25", "10")
        .cached("0.125")
        .long(200_000, [Some("2.5"), Some("15"), Some("0.25"), None, None]),
    line("google", "gemini-2.5-flash", "0.3", "2.5").cached("0.03").hears("1"),
    line("google", "gemini-2.5-flash-lite", "0.1", "0.4").cached("0.01").hears("0.3"),
    line("deepseek", "deepseek-chat", "0.28", "0.42").cached("0.028"),
    line("deepseek", "deepseek-reasoner", "0.28", "0.42").cached("0.028"),
];

/// The listed prices of a preset's model.
pub fn listed(preset: &str, model: &str) -> Option<&'static Prices> {
    static PRICES: LazyLock<Vec<Prices>> = LazyLock::new(|| LINES.iter().map(Line::prices).collect());
    let place = LINES.iter().position(|line| line.preset == preset && line.names(model))?;
    PRICES.get(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::preset::PRESETS;
    use crate::domain::usage::Usage;

    #[test]
    fn every_line_is_of_a_preset_with_an_address_and_every_price_is_money() {
        for line in LINES {
            assert!(PRESETS.iter().any(|preset| preset.name == line.preset && preset.base_url.is_some()));
            let long = line.long.map(|(_, prices)| prices).unwrap_or_default();
            let all = line.sides.into_iter().chain(line.cache.into_iter().flatten()).chain(long.into_iter().flatten());
            all.for_each(|price| assert!(money(price).is_some(), "{} {price}", line.model));
        }
    }

    #[test]
    fn a_dated_version_costs_what_its_model_costs_and_another_model_does_not() {
        let input =
            |preset, model| listed(preset, model).and_then(|prices| prices.input).map(|price| price.to_string());
        assert_eq!(input("openai", "gpt-4o-2024-08-06").as_deref(), Some("2.5"));
        assert_eq!(input("openai", "gpt-4o-2024-05-13").as_deref(), Some("5"));
        assert_eq!(input("openai", "gpt-4o-mini").as_deref(), Some("0.15"));
        assert_eq!(input("anthropic", "claude-sonnet-4-5-20250929").as_deref(), Some("3"));
        assert_eq!(input("anthropic", "claude-opus-4-5-20251101").as_deref(), Some("5"));
        for (preset, model) in [
            ("openai", "gpt-4o-audio-preview"),
            ("openai", "gpt-4"),
            ("custom", "gpt-4o"),
            ("anthropic", "claude-opus-4-9-20990101"),
        ] {
            assert_eq!(input(preset, model), None, "{model}");
        }
    }

    #[test]
    fn a_listed_tier_holds_for_long_calls() {
        let prices = listed("google", "gemini-2.5-pro").unwrap();
        let cost = |input| prices.cost(&Usage { input, ..Usage::default() }).unwrap().to_string();
        assert_eq!((cost(200_000), cost(200_001)), ("0.25".into(), "0.5000025".into()));
    }
}
