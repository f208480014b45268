//! The Anthropic Messages format.
//!
//! Between equal protocols nothing is re-encoded: `rewrite` edits the client's bytes, `events` and `usage` look at the
//! provider's. To and from other protocols lead `request`, what lies below `events`, and `fault`.

pub(super) mod errors;
pub(super) mod events;
pub(super) mod fault;
pub(super) mod models;
pub mod program;
pub(super) mod request;
pub(super) mod rewrite;
pub(super) mod usage;

use bytes::Bytes;
use serde::Serialize;

use super::chat::refusal::written;
use crate::domain::refusal::Family;

pub(super) const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

pub(super) fn error_body(message: &str, status: u16, family: Family) -> Bytes {
    #[derive(Serialize)]
    struct Whole<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        error: Error<'a>,
    }
    #[derive(Serialize)]
    struct Error<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        message: &'a str,
    }
    written(&Whole { kind: "error", error: Error { kind: kind(status, family), message } })
}

pub(super) fn error_event(body: &[u8]) -> Bytes {
    [b"event: error\ndata: ".as_slice(), body, b"\n\n"].concat().into()
}

/// The words of Anthropic's own errors.
const fn kind(status: u16, family: Family) -> &'static str {
    match (status, family) {
        (413, _) => "request_too_large",
        (503 | 529, _) => "overloaded_error",
        (504, _) => "timeout_error",
        (_, Family::InvalidRequest) => "invalid_request_error",
        (_, Family::Authentication) => "authentication_error",
        (_, Family::Permission) => "permission_error",
        (_, Family::NotFound) => "not_found_error",
        (_, Family::RateLimit | Family::Quota) => "rate_limit_error",
        (_, Family::Server) => "api_error",
    }
}
