//! Which families and series there are, and which cells are theirs.
//!
//! Takes names and label values, gives small numbers. Series are never taken back: a deleted provider's numbers stay
//! until the process ends, within the family's limit.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Series of one family, so that a scrape stays of bearable size. What comes later is counted under `other`.
pub(super) const SERIES_PER_FAMILY: usize = 2_000;
/// Numbers of one core at most: 4 MiB, and only if all are used.
pub(super) const CELLS: usize = 512 * 1_024;
/// The label value of what found no place.
const OTHER: &str = "other";

/// One number, in every core's cells at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Series(u32);

impl Series {
    pub(super) const fn cell(self) -> usize {
        self.0 as usize
    }
}

/// The numbers of one histogram's series: one per bucket, one for what is beyond the last, one for the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distribution {
    first: u32,
    pub(super) bounds: &'static [Duration],
}

impl Distribution {
    pub(super) const fn at(first: u32, bounds: &'static [Duration]) -> Self {
        Self { first, bounds }
    }

    pub(super) const fn bucket_cell(self, bucket: usize) -> usize {
        self.first as usize + bucket
    }

    /// The sum is kept in nanoseconds: enough for five centuries.
    pub(super) const fn sum_cell(self) -> usize {
        self.first as usize + self.bounds.len() + 1
    }
}

/// A family of counters or levels with `N` labels.
#[derive(Clone, Copy, Debug)]
pub struct CounterFamily<const N: usize>(usize);

/// A family of histograms with `N` labels.
#[derive(Clone, Copy, Debug)]
pub struct HistogramFamily<const N: usize> {
    family: usize,
    bounds: &'static [Duration],
}

/// What a closure tells at a scrape: label values and a number each.
#[derive(Debug, Default)]
pub struct Readings(pub(super) Vec<(Box<[Box<str>]>, f64)>);

impl Readings {
    pub fn push(&mut self, labels: &[&str], value: f64) {
        if self.0.len() < SERIES_PER_FAMILY {
            self.0.push((boxed(labels), value));
        }
    }
}

pub(super) enum Kind {
    Counter,
    Level,
    Histogram(&'static [Duration]),
    /// Asked at each scrape, and only then.
    Gauge(Box<dyn Fn(&mut Readings) + Send + Sync>),
}

pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: Box<[&'static str]>,
    pub(super) kind: Kind,
    /// In the order they were asked for; the first is `other` where there are labels.
    pub(super) series: Vec<(Box<[Box<str>]>, u32)>,
    known: HashMap<Box<[Box<str>]>, u32>,
}

#[derive(Default)]
pub(super) struct Families {
    pub(super) all: Vec<Family>,
    cells: usize,
}

/// All families. One per process; rooms register at start.
#[derive(Default)]
pub struct Registry(Mutex<Families>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.families().all.iter().map(|family| family.name)).finish()
    }
}

impl Registry {
    pub fn new() -> Self {
        Self::default()
    }

    /// What only grows; its name ends in `_total`.
    ///
    /// Registering a name twice is a mistake in our own code, found at the first start.
    pub fn counter<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> CounterFamily<N> {
        CounterFamily(self.register(name, help, &labels, Kind::Counter))
    }

    /// What each core sets for itself, shown as the sum.
    pub fn level<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> CounterFamily<N> {
        CounterFamily(self.register(name, help, &labels, Kind::Level))
    }

    /// Times, with the upper bounds of the buckets in rising order; its name ends in `_seconds`.
    pub fn histogram<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        bounds: &'static [Duration],
    ) -> HistogramFamily<N> {
        HistogramFamily { family: self.register(name, help, &labels, Kind::Histogram(bounds)), bounds }
    }

    /// What is looked up when somebody asks; what only grows has a name that ends in `_total`. The closure must not use this registry, which is locked while it reads.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[&'static str],
        read: impl Fn(&mut Readings) + Send + Sync + 'static,
    ) {
        self.register(name, help, labels, Kind::Gauge(Box::new(read)));
    }

    /// The same labels give the same series.
    pub fn series<const N: usize>(&self, family: CounterFamily<N>, labels: [&str; N]) -> Series {
        Series(self.families().series(family.0, &labels))
    }

    pub fn distribution<const N: usize>(&self, family: HistogramFamily<N>, labels: [&str; N]) -> Distribution {
        Distribution { first: self.families().series(family.family, &labels), bounds: family.bounds }
    }

    fn register(&self, name: &'static str, help: &'static str, labels: &[&'static str], kind: Kind) -> usize {
        let mut families = self.families();
        assert!(families.all.iter().all(|family| family.name != name), "the metric `{name}` is registered twice");
        families.all.push(Family {
            name,
            help,
            labels: labels.into(),
            kind,
            series: Vec::new(),
            known: HashMap::new(),
        });
        let index = families.all.len() - 1;
        let reads_cells = !matches!(families.all[index].kind, Kind::Gauge(_));
        if reads_cells && !labels.is_empty() {
            families.series(index, &vec![OTHER; labels.len()]);
        }
        index
    }

    pub(super) fn families(&self) -> MutexGuard<'_, Families> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Families {
    fn series(&mut self, family: usize, labels: &[&str]) -> u32 {
        let Some(family) = self.all.get_mut(family) else { return NOWHERE };
        let labels = boxed(labels);
        if let Some(known) = family.known.get(&labels) {
            return *known;
        }
        let cells = family.cells_per_series();
        if family.series.len() >= SERIES_PER_FAMILY || self.cells + cells > CELLS {
            return family.series.first().map_or(NOWHERE, |(_, other)| *other);
        }
        let first = u32::try_from(self.cells).unwrap_or(NOWHERE);
        self.cells += cells;
        family.series.push((labels.clone(), first));
        family.known.insert(labels, first);
        first
    }
}

/// Beyond all cells: what is counted here counts nowhere.
const NOWHERE: u32 = u32::MAX - 1_024;

impl Family {
    fn cells_per_series(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Level => 1,
            Kind::Histogram(bounds) => bounds.len() + 2,
            Kind::Gauge(_) => 0,
        }
    }
}

fn boxed(labels: &[&str]) -> Box<[Box<str>]> {
    labels.iter().map(|label| (*label).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_labels_give_the_same_series_and_others_another() {
        let registry = Registry::new();
        let calls = registry.counter("calls_total", "Calls.", ["protocol", "outcome"]);
        let ok = registry.series(calls, ["chat", "ok"]);
        assert_eq!(registry.series(calls, ["chat", "ok"]), ok);
        assert_ne!(registry.series(calls, ["ok", "chat"]), ok);
    }

    #[test]
    fn beyond_its_limit_a_family_counts_everything_as_other() {
        let registry = Registry::new();
        let calls = registry.counter("calls_total", "Calls.", ["model"]);
        let other = registry.series(calls, [OTHER]);
        let series: Vec<_> =
            (0..SERIES_PER_FAMILY + 10).map(|n| registry.series(calls, [&format!("model-{n}")])).collect();
        assert_ne!(series[SERIES_PER_FAMILY - 2], other);
        assert!(series[SERIES_PER_FAMILY - 1..].iter().all(|late| *late == other));
        assert_eq!(registry.series(calls, ["model-0"]), series[0]);
    }

    #[test]
    fn a_histogram_takes_a_number_per_bucket_one_beyond_and_one_for_the_sum() {
        let registry = Registry::new();
        let family = registry.histogram("t_seconds", "T.", ["who"], &super::super::DURATIONS);
        let first = registry.distribution(family, ["a"]);
        let second = registry.distribution(family, ["b"]);
        assert_eq!(second.bucket_cell(0), first.sum_cell() + 1);
    }

    #[test]
    #[should_panic(expected = "registered twice")]
    fn a_name_is_registered_once() {
        let registry = Registry::new();
        registry.counter("calls_total", "Calls.", []);
        registry.level("calls_total", "Calls.", []);
    }
}
