//! The process: what must hold before anything else does, then the command line.

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    keep_memory_to_ourselves();
    take_memory_in_small_pages();
    keyway::cli::run()
}

/// No core dump holds our memory, and no other process of the same user reads it: keys are in there.
fn keep_memory_to_ourselves() {
    // Neither can fail for a process that narrows what it may do; should a system refuse, serving is still right.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Where the system gives huge pages unasked, each begun one counts as 2 MiB of ours, and what is freed of it stays.
fn take_memory_in_small_pages() {
    // It costs memory at most, should a system refuse.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
