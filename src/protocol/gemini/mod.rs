//! The Gemini format: `generateContent` and what lies beside it.
//!
//! Between equal protocols nothing is re-encoded: `rewrite` edits the client's bytes, `events` and `usage` look at the
//! provider's. To and from other protocols lead `request`, what lies below `events`, and `fault`.

pub(super) mod embedding;
pub(super) mod errors;
pub(super) mod events;
pub(super) mod fault;
mod key;
pub(super) mod models;
pub(super) mod request;
pub(super) mod rewrite;
mod signature;
pub(super) mod usage;

use bytes::Bytes;
use serde::Serialize;

use super::chat::refusal::written;

pub(super) fn error_body(message: &str, status: u16) -> Bytes {
    #[derive(Serialize)]
    struct Whole<'a> {
        error: Error<'a>,
    }
    #[derive(Serialize)]
    struct Error<'a> {
        code: u16,
        message: &'a str,
        status: &'static str,
    }
    written(&Whole { error: Error { code: status, message, status: word(status) } })
}

/// Google's words for statuses.
const fn word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        504 => "DEADLINE_EXCEEDED",
        500 => "INTERNAL",
        501.. => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}
