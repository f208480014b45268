//! Wire formats.

pub mod chat;
mod json;
pub mod scan;
pub mod splice;
pub mod sse;
