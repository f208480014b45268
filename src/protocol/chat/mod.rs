//! The OpenAI Chat Completions format, and the operations that came with it.

pub mod errors;
pub(super) mod events;
pub mod filter;
pub mod request;
pub mod usage;
pub mod whole;
