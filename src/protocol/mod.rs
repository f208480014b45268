//! Wire formats.

pub mod chat;
mod json;
pub mod responses;
mod retry;
pub mod scan;
pub mod splice;
pub mod sse;
pub mod watch;
