//! Numbers for an operator: families that rooms register, cells that cores count in, text that a scraper reads.
//!
//! A room registers a family once and asks for a series per set of label values; what it keeps is a small number. A core
//! counts in cells of its own, which nobody else writes: one load and one store, no lock and no shared cache line. A
//! scrape adds up the cells of all cores. This room must never know what is counted; label values come from bounded sets
//! only, never from clients, and beyond a family's limit all goes to one series named `other`.

mod cells;
mod registry;
mod text;

pub use cells::Cells;
pub use registry::{CounterFamily, Distribution, HistogramFamily, Readings, Registry, Series};
pub use text::CONTENT_TYPE;

use std::time::Duration;

/// Bounds for times from a cache's answer to a long generation.
pub const DURATIONS: [Duration; 14] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
];
