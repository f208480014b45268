//! The wiring: rooms put together.
//!
//! Takes a configuration, gives what a running process or a command works on. Decides nothing about a call.

pub mod open;
