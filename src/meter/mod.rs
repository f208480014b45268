//! To be filled.

pub mod capacity;
pub mod limit;
mod minute;
