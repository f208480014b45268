//! The OpenAI Responses format. Its errors, headers and request edits are those of chat.

pub(super) mod events;
