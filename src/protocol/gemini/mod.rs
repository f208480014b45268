//! The Gemini format: so far the words for saying no in it.

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
