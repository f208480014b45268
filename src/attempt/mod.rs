//! To be filled.

pub mod breaker;
pub mod budget;
pub mod parallel;
mod window;
