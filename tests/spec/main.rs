//! What Keyway promises, one module per promise, in one program so that the suite links once.

#![expect(clippy::unwrap_used, reason = "what can't be unwrapped in a test is its report, in shared functions too")]

mod admin;
mod budgets;
mod command_line;
mod conservation;
mod documents;
mod failover;
mod footprint;
mod golden;
#[path = "../house.rs"]
mod house;
mod listening;
mod metering;
mod native;
mod neighbours;
mod objects;
mod pass_through;
mod probe;
mod program;
mod run_guards;
mod running;
mod sealed_file;
mod settings;
mod sockets;
mod state;
mod stores;
mod streams;
mod support;
mod transcripts;
mod translated;
mod upstream_client;
