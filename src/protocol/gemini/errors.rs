//! What a provider's no means in this protocol. Status, head and body in, `Failure` out.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

use crate::domain::failure::Failure;
use crate::protocol::chat::errors::{self, BODY_LIMIT_BYTES};

/// What an answer with a status of 3xx, 4xx or 5xx means. How long to wait stands in the body here, and so does whether
/// waiting helps at all.
pub(in crate::protocol) fn classify(status: u16, head: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
    match errors::classify(status, head, body, now) {
        Failure::RateLimited { retry_after } => {
            let details = Details::read(&body[..body.len().min(BODY_LIMIT_BYTES)]);
            if details.is_of_the_day {
                return Failure::QuotaExhausted { status };
            }
            Failure::RateLimited { retry_after: retry_after.or(details.delay) }
        }
        other => other,
    }
}

#[derive(Debug, Default)]
struct Details {
    delay: Option<Duration>,
    /// A quota is used up that comes back tomorrow.
    is_of_the_day: bool,
}

impl Details {
    fn read(body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let whole = value.as_array().and_then(|list| list.first()).unwrap_or(&value);
        let mut details = Self::default();
        for detail in whole["error"]["details"].as_array().into_iter().flatten() {
            details.delay = details.delay.or_else(|| seconds(detail["retryDelay"].as_str()?));
            let violations = detail["violations"].as_array().into_iter().flatten();
            details.is_of_the_day |=
                violations.filter_map(|violation| violation["quotaId"].as_str()).any(|quota| quota.contains("PerDay"));
        }
        details
    }
}

/// `17s`, `1.5s`
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(status: u16, body: &str) -> Failure {
        classify(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn how_long_to_wait_stands_in_the_body() {
        let limited = r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17s"}]}}"#;
        let wait = Some(Duration::from_secs(17));
        assert_eq!(classified(429, limited), Failure::RateLimited { retry_after: wait });
        let spent = limited.replace("PerMinute", "PerDay");
        assert_eq!(classified(429, &spent), Failure::QuotaExhausted { status: 429 });
    }

    #[test]
    fn a_bad_key_is_told_from_a_bad_call() {
        let key = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
        assert_eq!(classified(400, key), Failure::CredentialRefused { status: 400 });
        let call = r#"{"error":{"code":400,"message":"Invalid JSON payload","status":"INVALID_ARGUMENT"}}"#;
        assert_eq!(classified(400, call), Failure::CallRejected(400));
        let model =
            r#"{"error":{"code":404,"message":"models/x is not found for API version v1beta","status":"NOT_FOUND"}}"#;
        assert_eq!(classified(404, model), Failure::ModelUnknown);
        let long = r#"{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}"#;
        assert_eq!(classified(400, long), Failure::ContextTooLong);
    }
}
