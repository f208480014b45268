//! CPU time of single threads, as the scheduler counts it, in nanoseconds.

use std::fs;
use std::path::{Path, PathBuf};

/// Where this thread's count stands, for others to read.
pub(crate) fn place() -> PathBuf {
    Path::new("/proc").join(fs::read_link("/proc/thread-self").unwrap()).join("schedstat")
}

pub(crate) fn at(place: &Path) -> u64 {
    let text = fs::read_to_string(place).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

pub(crate) fn of_this_thread() -> u64 {
    at(Path::new("/proc/thread-self/schedstat"))
}
