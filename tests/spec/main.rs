//! What Keyway promises, one module per promise, in one program so that the suite links once.

mod command_line;
#[path = "../house.rs"]
mod house;
mod sealed_file;
mod settings;
mod upstream_client;
