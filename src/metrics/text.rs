//! The text that Prometheus reads (exposition format 0.0.4).
//!
//! Takes the registry and everybody's cells, gives text. Nothing is formatted unless somebody asks.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::cells::Cells;
use super::registry::{Distribution, Families, Family, Kind, Readings, Registry};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One scrape's way through the families.
struct Page<'a> {
    cells: &'a [Arc<Cells>],
    out: String,
}

impl Registry {
    /// All families, summed over these cells.
    pub fn text(&self, cells: &[Arc<Cells>]) -> String {
        let mut page = Page { cells, out: String::new() };
        let families: &Families = &self.families();
        families.all.iter().for_each(|family| page.family(family));
        page.out
    }
}

impl Page<'_> {
    fn family(&mut self, family: &Family) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge(_) if family.name.ends_with("_total") => "counter",
            Kind::Level | Kind::Gauge(_) => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let help = Escaped { text: family.help, quotes: false };
        self.line(format_args!("# HELP {} {help}", family.name));
        self.line(format_args!("# TYPE {} {kind}", family.name));
        match &family.kind {
            Kind::Gauge(read) => {
                let mut readings = Readings::default();
                read(&mut readings);
                for (values, value) in &readings.0 {
                    self.line(format_args!("{}{} {value}", family.name, Labels::new(family, values)));
                }
            }
            Kind::Counter | Kind::Level => self.numbers(family),
            Kind::Histogram(bounds) => self.histograms(family, bounds),
        }
    }

    fn numbers(&mut self, family: &Family) {
        for (at, (values, cell)) in family.series.iter().enumerate() {
            let value = self.sum(*cell as usize);
            if value > 0 || !is_spare(family, at) {
                self.line(format_args!("{}{} {value}", family.name, Labels::new(family, values)));
            }
        }
    }

    fn histograms(&mut self, family: &Family, bounds: &'static [Duration]) {
        for (at, (values, first)) in family.series.iter().enumerate() {
            let distribution = Distribution::at(*first, bounds);
            let labels = Labels::new(family, values);
            let buckets: Vec<u64> = (0..=bounds.len()).map(|at| self.sum(distribution.bucket_cell(at))).collect();
            let count = buckets.iter().fold(0, |sum: u64, bucket| sum.wrapping_add(*bucket));
            if count == 0 && is_spare(family, at) {
                continue;
            }
            let mut below = 0_u64;
            for (bound, bucket) in bounds.iter().zip(&buckets) {
                below = below.wrapping_add(*bucket);
                let labels = Labels { bound: Some(Bound::Seconds(bound.as_secs_f64())), ..labels };
                self.line(format_args!("{}_bucket{labels} {below}", family.name));
            }
            let beyond = Labels { bound: Some(Bound::Infinite), ..labels };
            self.line(format_args!("{}_bucket{beyond} {count}", family.name));
            let seconds = Duration::from_nanos(self.sum(distribution.sum_cell())).as_secs_f64();
            self.line(format_args!("{}_sum{labels} {seconds}", family.name));
            self.line(format_args!("{}_count{labels} {count}", family.name));
        }
    }

    fn sum(&self, cell: usize) -> u64 {
        self.cells.iter().fold(0, |sum: u64, cells| sum.wrapping_add(cells.value(cell)))
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }
}

/// The series named `other` is shown only once something fell into it.
fn is_spare(family: &Family, at: usize) -> bool {
    at == 0 && !family.labels.is_empty()
}

#[derive(Clone, Copy)]
enum Bound {
    Seconds(f64),
    Infinite,
}

#[derive(Clone, Copy)]
struct Labels<'a> {
    names: &'a [&'static str],
    values: &'a [Box<str>],
    bound: Option<Bound>,
}

impl<'a> Labels<'a> {
    fn new(family: &'a Family, values: &'a [Box<str>]) -> Self {
        Self { names: &family.labels, values, bound: None }
    }
}

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.names.is_empty() && self.bound.is_none() {
            return Ok(());
        }
        let mut before = '{';
        for (name, value) in self.names.iter().zip(self.values) {
            write!(f, "{before}{name}=\"{}\"", Escaped { text: value, quotes: true })?;
            before = ',';
        }
        match self.bound {
            Some(Bound::Seconds(seconds)) => write!(f, "{before}le=\"{seconds}\"")?,
            Some(Bound::Infinite) => write!(f, "{before}le=\"+Inf\"")?,
            None => {}
        }
        f.write_str("}")
    }
}

/// Backslash and line feed are escaped everywhere, quotes within label values.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.chars().try_for_each(|char| match char {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '"' if self.quotes => f.write_str("\\\""),
            _ => f.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(count: usize) -> Vec<Arc<Cells>> {
        (0..count).map(|_| Arc::new(Cells::of_core())).collect()
    }

    #[test]
    fn counters_of_all_cores_are_added_up() {
        let registry = Registry::new();
        let calls = registry.counter("keyway_calls_total", "Calls by outcome.", ["outcome"]);
        let ok = registry.series(calls, ["ok"]);
        let cells = cores(3);
        cells.iter().for_each(|core| core.add(ok, 2));
        let expected = "# HELP keyway_calls_total Calls by outcome.\n\
                        # TYPE keyway_calls_total counter\n\
                        keyway_calls_total{outcome=\"ok\"} 6\n";
        assert_eq!(registry.text(&cells), expected);
    }

    #[test]
    fn other_is_shown_only_once_something_fell_into_it() {
        let registry = Registry::new();
        let calls = registry.counter("a_total", "A.", ["model"]);
        let cells = cores(1);
        assert!(!registry.text(&cells).contains("other"));
        cells[0].add(registry.series(calls, ["other"]), 1);
        assert!(registry.text(&cells).contains("a_total{model=\"other\"} 1\n"));
    }

    #[test]
    fn label_values_and_help_are_escaped() {
        let registry = Registry::new();
        let calls = registry.counter("a_total", "A \\ \"b\"\nc.", ["model"]);
        registry.series(calls, ["x\"\\\n"]);
        let text = registry.text(&[]);
        assert!(text.contains("# HELP a_total A \\\\ \"b\"\\nc.\n"), "{text}");
        assert!(text.contains("a_total{model=\"x\\\"\\\\\\n\"} 0\n"), "{text}");
    }

    #[test]
    fn a_histogram_shows_cumulative_buckets_sum_and_count() {
        const BOUNDS: &[Duration] = &[Duration::from_millis(100), Duration::from_secs(1)];
        let registry = Registry::new();
        let took = registry.histogram("keyway_call_seconds", "Time.", ["protocol"], BOUNDS);
        let chat = registry.distribution(took, ["chat"]);
        let cells = cores(2);
        cells[0].observe(chat, Duration::from_millis(50));
        cells[1].observe(chat, Duration::from_millis(500));
        cells[1].observe(chat, Duration::from_millis(2_000));
        let expected = "# HELP keyway_call_seconds Time.\n\
                        # TYPE keyway_call_seconds histogram\n\
                        keyway_call_seconds_bucket{protocol=\"chat\",le=\"0.1\"} 1\n\
                        keyway_call_seconds_bucket{protocol=\"chat\",le=\"1\"} 2\n\
                        keyway_call_seconds_bucket{protocol=\"chat\",le=\"+Inf\"} 3\n\
                        keyway_call_seconds_sum{protocol=\"chat\"} 2.55\n\
                        keyway_call_seconds_count{protocol=\"chat\"} 3\n";
        assert_eq!(registry.text(&cells), expected);
    }

    #[test]
    fn gauges_are_asked_when_somebody_reads_and_not_before() {
        let registry = Registry::new();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = Arc::clone(&asked);
        registry.gauge("keyway_breakers", "Breakers by state.", &["state"], move |readings| {
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            readings.push(&["open"], 2.0);
        });
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0);
        let text = registry.text(&[]);
        assert!(text.ends_with("# TYPE keyway_breakers gauge\nkeyway_breakers{state=\"open\"} 2\n"), "{text}");
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn what_is_asked_and_only_grows_is_a_counter_by_its_name() {
        let registry = Registry::new();
        registry.gauge("keyway_lost_total", "Lost.", &[], |readings| readings.push(&[], 1.0));
        assert_eq!(
            registry.text(&[]),
            "# HELP keyway_lost_total Lost.\n# TYPE keyway_lost_total counter\nkeyway_lost_total 1\n"
        );
    }

    #[test]
    fn a_metric_without_labels_shows_none_and_appears_once_it_is_asked_for() {
        let registry = Registry::new();
        let calls = registry.counter("a_total", "A.", []);
        let open = registry.level("c", "C.", []);
        assert!(!registry.text(&[]).contains("\na_total "));
        registry.series(calls, []);
        let cells = cores(1);
        cells[0].set(registry.series(open, []), 7);
        assert!(registry.text(&cells).contains("\na_total 0\n"));
        assert!(registry.text(&cells).contains("\nc 7\n"));
    }
}
