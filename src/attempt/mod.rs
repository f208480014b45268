//! To be filled.

pub mod client;
