//! The OpenAI Chat Completions format, and the operations that came with it.
//!
//! Between equal protocols nothing is re-encoded: `request` edits the client's bytes, `events` and `usage` look at the
//! provider's, `filter` takes out the one event that only we asked for, `errors` says what a provider's no means,
//! `refusal` says ours.

pub mod errors;
pub(super) mod events;
mod filter;
pub mod headers;
pub mod models;
pub mod objects;
pub(super) mod refusal;
pub mod request;
pub mod usage;
pub mod whole;

pub use filter::UsageFilter;
