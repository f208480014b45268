//! What Keyway promises, one module per promise, in one program so that the suite links once.

#[path = "../house.rs"]
mod house;
//! Every promise, one module each, in one program.

mod sealed_file;
