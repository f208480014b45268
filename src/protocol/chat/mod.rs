//! The OpenAI Chat Completions format, and the operations that came with it.

pub mod request;
pub mod usage;
