//! What a provider's no means in this protocol. Status, head and body in, `Failure` out.

use std::time::SystemTime;

use http::HeaderMap;

use super::fault;
use crate::domain::failure::Failure;
use crate::protocol::chat::errors;

/// What an answer with a status of 3xx, 4xx or 5xx means: the protocol's own words first, then what all servers share.
pub(in crate::protocol) fn classify(status: u16, head: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
    let shared = errors::classify(status, head, body, now);
    match (status, shared) {
        // Whatever the message says of it: in these the kind tells more.
        (402..=404, Failure::CallRejected(_) | Failure::ModelUnknown) => match fault::decode(body).failure {
            said @ (Failure::ModelUnknown | Failure::CredentialRefused { .. } | Failure::QuotaExhausted { .. }) => said,
            _ => Failure::CallRejected(status),
        },
        (_, shared) => shared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(status: u16, kind: &str, message: &str) -> Failure {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
        classify(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_protocols_own_words_are_understood() {
        assert_eq!(classified(404, "not_found_error", "model: claude-x"), Failure::ModelUnknown);
        assert_eq!(classified(403, "permission_error", "no"), Failure::CredentialRefused { status: 403 });
        assert_eq!(classified(529, "overloaded_error", "Overloaded"), Failure::Overloaded(529));
        assert_eq!(classified(429, "rate_limit_error", "slow"), Failure::RateLimited { retry_after: None });
        assert_eq!(
            classified(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            Failure::ContextTooLong
        );
        assert_eq!(classified(400, "invalid_request_error", "messages: empty"), Failure::CallRejected(400));
        assert_eq!(classified(413, "request_too_large", "no"), Failure::CallRejected(413));
    }
}
