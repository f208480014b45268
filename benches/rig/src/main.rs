//! The measuring rig: `rig upstream`, `rig bare`, `rig drive`, `rig spin`. `benches/run` starts them.
//!
//! Takes: flags (`--name value`). Gives: a mock provider, a bare hyper pass-through, a load driver that prints one
//! JSON line, and a spinner that keeps a core awake. Must never know: anything of Keyway but its address.

mod bare;
mod cores;
mod drive;
mod flags;
mod script;
mod tally;
mod upstream;
mod wire;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use flags::Flags;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let outcome = Flags::read(words).and_then(|flags| match command.as_str() {
        "upstream" => upstream::run(&flags),
        "bare" => bare::run(&flags),
        "drive" => drive::run(&flags),
        "spin" => spin(&flags),
        other => Err(format!("`{other}` is no command; there are upstream, bare, drive and spin")),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("rig {command}: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Keeps one core from halting, for a bounded time. Started under SCHED_IDLE, it takes no time from anybody else.
fn spin(flags: &Flags) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs_f64(flags.number("seconds", 60.0)?);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    Ok(())
}
