//! What Keyway promises, one module per promise, in one program so that the suite links once.

mod documents;
#[path = "../house.rs"]
mod house;
mod listening;
mod sealed_file;
mod upstream_client;
