//! The OpenAI Responses format, and Open Responses. Headers and errors are those of chat; requests and events its own.

pub(super) mod events;
mod items;
pub(super) mod refusal;
pub(super) mod request;
pub mod socket;
pub mod transcript;

pub use items::item_ids;
