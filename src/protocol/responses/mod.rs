//! The OpenAI Responses format. Its requests, headers and errors are those of chat; its events are its own.

pub(super) mod events;
mod items;
pub(super) mod refusal;

pub use items::item_ids;
