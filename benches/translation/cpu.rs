//! CPU time of single threads, as the scheduler counts it, in nanoseconds.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

/// Where this thread's count stands, for others to read.
pub(crate) fn place() -> PathBuf {
    Path::new("/proc").join(fs::read_link("/proc/thread-self").unwrap()).join("schedstat")
}

pub(crate) fn at(place: &Path) -> u64 {
    let text = fs::read_to_string(place).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// To the nanosecond; what others can read is only brought up to date now and then.
pub(crate) fn of_this_thread() -> u64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(spent.tv_sec * 1_000_000_000 + spent.tv_nsec).unwrap()
}
