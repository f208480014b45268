//! The OpenAI Chat Completions format, and the operations that came with it.
//!
//! Between equal protocols nothing is re-encoded: `rewrite` edits the client's bytes, `events` and `usage` look at the
//! provider's, `filter` takes out the one event that only we asked for, `errors` says what a provider's no means,
//! `refusal` says ours. To and from other protocols lead `request`, what lies below `events`, and `fault`.

pub(super) mod embedding;
pub mod errors;
pub(super) mod events;
pub(in crate::protocol) mod fault;
mod filter;
pub mod headers;
pub mod models;
pub mod objects;
pub(super) mod refusal;
pub(in crate::protocol) mod request;
pub mod rewrite;
pub mod usage;
pub mod whole;

pub use filter::UsageFilter;
