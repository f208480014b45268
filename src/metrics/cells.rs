//! Where counting happens: numbers by index, in chunks that never move.
//!
//! Takes series numbers and amounts. It knows no names; a number that no registry gave out counts nowhere.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::registry::{CELLS, Distribution, Series};

/// Numbers that are allocated at once: 8 KiB, so a core that counts little stays small.
const CHUNK: usize = 1_024;

type Chunk = Box<[AtomicU64]>;

/// One writer's numbers: a core's, or the control plane's.
#[derive(Debug)]
pub struct Cells {
    chunks: Box<[OnceLock<Chunk>]>,
    writers: Writers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writers {
    One,
    Many,
}

impl Cells {
    /// For one core: only that core's thread may count in it. A second writer would lose counts, nothing worse.
    pub fn of_core() -> Self {
        Self::new(Writers::One)
    }

    /// For any number of threads.
    pub fn shared() -> Self {
        Self::new(Writers::Many)
    }

    fn new(writers: Writers) -> Self {
        Self { chunks: std::iter::repeat_with(OnceLock::new).take(CELLS / CHUNK).collect(), writers }
    }

    pub fn add(&self, series: Series, amount: u64) {
        self.add_at(series.cell(), amount);
    }

    /// For what stands rather than grows: the sum over all cores is shown.
    pub fn set(&self, series: Series, value: u64) {
        if let Some(cell) = self.cell(series.cell()) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    pub fn observe(&self, distribution: Distribution, took: Duration) {
        let bucket = distribution.bounds.partition_point(|bound| *bound < took);
        self.add_at(distribution.bucket_cell(bucket), 1);
        self.add_at(distribution.sum_cell(), u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn value(&self, cell: usize) -> u64 {
        let chunk = self.chunks.get(cell / CHUNK).and_then(OnceLock::get);
        chunk.map_or(0, |chunk| chunk[cell % CHUNK].load(Ordering::Relaxed))
    }

    fn add_at(&self, cell: usize, amount: u64) {
        let Some(cell) = self.cell(cell) else { return };
        match self.writers {
            Writers::One => cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed),
            Writers::Many => drop(cell.fetch_add(amount, Ordering::Relaxed)),
        }
    }

    fn cell(&self, cell: usize) -> Option<&AtomicU64> {
        let chunk = self.chunks.get(cell / CHUNK)?.get_or_init(new_chunk);
        Some(&chunk[cell % CHUNK])
    }
}

#[cold]
fn new_chunk() -> Chunk {
    std::iter::repeat_with(AtomicU64::default).take(CHUNK).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::registry::Registry;
    use super::*;

    #[test]
    fn numbers_appear_chunk_by_chunk_and_never_move() {
        let registry = Registry::new();
        let family = registry.counter("a_total", "A.", ["n"]);
        let cells = Cells::of_core();
        let first = registry.series(family, ["first"]);
        cells.add(first, 1);
        let last = (0..1_500).map(|n| registry.series(family, [&n.to_string()])).last().unwrap();
        cells.add(last, 2);
        cells.add(first, 3);
        assert_eq!((cells.value(first.cell()), cells.value(last.cell())), (4, 2));
        assert_eq!(cells.chunks.iter().filter(|chunk| chunk.get().is_some()).count(), 2);
    }

    #[test]
    fn a_standing_number_is_set_not_added() {
        let registry = Registry::new();
        let open = registry.series(registry.level("open", "Open.", []), []);
        let cells = Cells::of_core();
        cells.set(open, 5);
        cells.set(open, 3);
        assert_eq!(cells.value(open.cell()), 3);
    }

    #[test]
    fn shared_cells_lose_no_count_of_any_thread() {
        let registry = Registry::new();
        let series = registry.series(registry.counter("a_total", "A.", []), []);
        let cells = Arc::new(Cells::shared());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let cells = Arc::clone(&cells);
                std::thread::spawn(move || (0..10_000).for_each(|_| cells.add(series, 1)))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(cells.value(series.cell()), 40_000);
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        const BOUNDS: &[Duration] = &[Duration::from_millis(10), Duration::from_millis(20)];
        let registry = Registry::new();
        let took = registry.distribution(registry.histogram("t_seconds", "T.", [], BOUNDS), []);
        let cells = Cells::of_core();
        for ms in [10, 11, 20, 21, 10_000] {
            cells.observe(took, Duration::from_millis(ms));
        }
        let buckets: Vec<_> = (0..3).map(|bucket| cells.value(took.bucket_cell(bucket))).collect();
        assert_eq!(buckets, [1, 2, 2]);
        assert_eq!(cells.value(took.sum_cell()), 10_062_000_000);
    }
}
