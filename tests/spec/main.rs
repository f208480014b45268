//! What Keyway promises, one module per promise, in one program so that the suite links once.

#![expect(clippy::unwrap_used, reason = "what can't be unwrapped in a test is its report, in shared functions too")]

mod command_line;
mod documents;
#[path = "../house.rs"]
mod house;
mod listening;
mod running;
mod sealed_file;
mod settings;
mod upstream_client;
