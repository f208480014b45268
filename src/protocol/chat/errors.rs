//! What a provider's error means: one table for every OpenAI-shaped provider. Status, head and body in, `Failure` out.
//!
//! Pure; the wall clock comes as a value. What is ours to handle (keys, quotas, rates, overload) is told from what the
//! client must hear. Vendors differ in where they put their codes, so all places are read and compared in lower case.

use std::time::SystemTime;

use http::HeaderMap;
use serde_json::Value;

use crate::domain::failure::Failure;
use crate::protocol::retry::retry_after;

/// Error bodies are short; behind this nothing is looked at.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// How much of a whole answer is looked at for an error under a status of success.
pub const HEAD_LIMIT_BYTES: usize = 4 * 1024;

const QUOTA_CODES: &[&str] = &[
    "insufficient_quota",
    "insufficient_balance",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credits_exhausted",
    "payment_required",
];
/// Some say it under 400, 403 or 429 and give no code.
const QUOTA_TEXTS: &[&str] = &[
    "exceeded your current quota",
    "credit balance is too low",
    "insufficient credits",
    "insufficient balance",
    "requires more credits",
    "run out of credits",
    "out of credits",
    "used all available credits",
    "spending limit",
    "billing hard limit",
];
const RATE_CODES: &[&str] = &["rate_limit_exceeded", "rate_limit_error", "rate_limited"];
const CONTEXT_CODES: &[&str] = &["context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"];
const CONTEXT_TEXTS: &[&str] = &[
    "maximum context length",
    "maximum prompt length",
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "input is too long",
    "reduce the length of the messages",
    "exceeds the maximum number of tokens",
];
const MODEL_CODES: &[&str] =
    &["model_not_found", "deploymentnotfound", "invalid_model", "model_not_available", "unknown_model"];
/// Each only in a message that names a model.
const MODEL_TEXTS: &[&str] = &[
    "does not exist",
    "not exist",
    "not found",
    "not a valid model",
    "unknown model",
    "no endpoints found",
    "do not have access",
    "does not have access",
];
const KEY_CODES: &[&str] = &["invalid_api_key", "api_key_invalid", "account_deactivated", "invalid_authentication"];
const KEY_TEXTS: &[&str] = &["api key not valid", "incorrect api key", "invalid api key", "api key is invalid"];
/// In a 403, words that show it is about whoever asks, not about what is asked.
const PERMISSION_TEXTS: &[&str] = &["key", "credential", "permission", "authenti", "authori", "access", "account"];
const MODERATION_CODES: &[&str] = &["content_filter", "content_policy_violation", "moderation", "moderation_blocked"];

/// What an answer with a status of 3xx, 4xx or 5xx means.
pub fn classify(status: u16, head: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
    let said = Said::read(&body[..body.len().min(BODY_LIMIT_BYTES)]);
    let is_call = (400..500).contains(&status);
    match status {
        ..=399 => Failure::Garbage(format!("a status of {status}")),
        408 => Failure::TimedOut,
        // 498 is a word of one vendor's own: its flexible tier has no room.
        424 | 425 | 498 => Failure::Overloaded(status),
        _ if said.is_about_quota(status) => Failure::QuotaExhausted { status },
        401 => Failure::CredentialRefused { status },
        429 => Failure::RateLimited { retry_after: retry_after(head, now) },
        _ if is_call && said.has_code(RATE_CODES) => Failure::RateLimited { retry_after: retry_after(head, now) },
        _ if said.has_code(CONTEXT_CODES) => Failure::ContextTooLong,
        500.. => Failure::Overloaded(status),
        _ => said.of_call(status),
    }
}

/// An error object or a page of HTML under a status of success, told from the first bytes of a whole answer.
pub fn classify_success_head(body: &[u8]) -> Option<Failure> {
    let head = body[..body.len().min(HEAD_LIMIT_BYTES)].trim_ascii_start();
    match head.first()? {
        b'<' if is_markup(head) => Some(Failure::ErrorUnderSuccess),
        b'{' if super::whole::is_error(head) => Some(failure_in_body(head).unwrap_or(Failure::ErrorUnderSuccess)),
        _ => None,
    }
}

fn is_markup(head: &[u8]) -> bool {
    let start = head[..head.len().min(16)].to_ascii_lowercase();
    ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"].iter().any(|mark| start.starts_with(mark.as_bytes()))
}

/// The class of an error object in an answer or event that came under a status of success. `None` for what has none of
/// its own: then it is an error under success, which any other target may do better.
pub fn failure_in_body(body: &[u8]) -> Option<Failure> {
    let said = Said::read(&body[..body.len().min(BODY_LIMIT_BYTES)]);
    let status = said.code.parse().ok().filter(|status| (400..600).contains(status));
    if said.is_about_quota(status.unwrap_or(429)) {
        return Some(Failure::QuotaExhausted { status: status.unwrap_or(429) });
    }
    if status == Some(429) || said.has_code(RATE_CODES) {
        return Some(Failure::RateLimited { retry_after: None });
    }
    if status == Some(401) || said.has_code(KEY_CODES) {
        return Some(Failure::CredentialRefused { status: 401 });
    }
    if let Some(status @ 500..) = status {
        return Some(Failure::Overloaded(status));
    }
    match said.of_call(status.unwrap_or(400)) {
        known @ (Failure::ContextTooLong | Failure::ModelUnknown) => Some(known),
        _ => None,
    }
}

/// An error body's words, in lower case, from wherever this vendor puts them.
#[derive(Debug, Default)]
struct Said {
    code: String,
    kind: String,
    message: String,
    is_moderation: bool,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self { message: String::from_utf8_lossy(body).to_lowercase(), ..Self::default() };
        };
        let whole = value.as_array().and_then(|list| list.first()).unwrap_or(&value);
        let error = Some(&whole["error"])
            .filter(|error| error.is_object())
            .or_else(|| Some(&whole["response"]["error"]).filter(|error| error.is_object()));
        let error = error.unwrap_or(whole);
        Self {
            code: word(&error["code"]).or_else(|| word(&whole["statusCode"])).unwrap_or_default(),
            kind: [word(&error["type"]), word(&error["status"])].map(Option::unwrap_or_default).join(" "),
            message: [&error["message"], &error["metadata"]["raw"], &whole["error"], &whole["detail"]]
                .map(|text| word(text).unwrap_or_default())
                .join(" "),
            is_moderation: !error["metadata"]["reasons"].is_null() || !error["metadata"]["flagged_input"].is_null(),
        }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        codes.iter().any(|code| self.code == *code || self.kind.split(' ').any(|kind| kind == *code))
    }

    fn says(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.message.contains(text))
    }

    fn is_about_quota(&self, status: u16) -> bool {
        // Google's rate limits speak of quota too, and say by this word that they pass.
        let passes = self.has_code(&["resource_exhausted"]);
        let by_text = matches!(status, 400 | 403 | 429) && self.says(QUOTA_TEXTS);
        status == 402 || self.has_code(QUOTA_CODES) || (by_text && !passes)
    }

    /// The rest of the 4xx.
    fn of_call(&self, status: u16) -> Failure {
        if self.is_moderation || self.has_code(MODERATION_CODES) {
            return Failure::CallRejected(status);
        }
        if self.has_code(CONTEXT_CODES) || self.says(CONTEXT_TEXTS) {
            return Failure::ContextTooLong;
        }
        let names_model = self.message.contains("model") || self.message.contains("endpoints");
        if self.has_code(MODEL_CODES) || names_model && self.says(MODEL_TEXTS) {
            return Failure::ModelUnknown;
        }
        let is_key = self.has_code(KEY_CODES) || self.says(KEY_TEXTS);
        if is_key || status == 403 && self.says(PERMISSION_TEXTS) {
            return Failure::CredentialRefused { status };
        }
        Failure::CallRejected(status)
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn of(status: u16, body: &str) -> Failure {
        classify(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn statuses_alone_tell_the_usual_classes() {
        assert_eq!(of(408, ""), Failure::TimedOut);
        for status in [500, 502, 503, 504, 529, 424, 498] {
            assert_eq!(of(status, "<html>"), Failure::Overloaded(status));
        }
        assert_eq!(of(401, ""), Failure::CredentialRefused { status: 401 });
        assert_eq!(of(402, ""), Failure::QuotaExhausted { status: 402 });
        assert_eq!(of(302, ""), Failure::Garbage("a status of 302".to_string()));
        for status in [400, 403, 404, 409, 413, 422] {
            assert_eq!(of(status, r#"{"error":{"message":"no"}}"#), Failure::CallRejected(status));
        }
    }

    #[test]
    fn a_rate_limit_brings_its_wait() {
        let head = HeaderMap::from_iter([(http::header::RETRY_AFTER, "3".parse().unwrap())]);
        let failure = classify(429, &head, b"{}", SystemTime::UNIX_EPOCH);
        assert_eq!(failure, Failure::RateLimited { retry_after: Some(Duration::from_secs(3)) });
        let too_large = r#"{"error":{"message":"Request too large ... context","code":"rate_limit_exceeded"}}"#;
        assert_eq!(of(413, too_large), Failure::RateLimited { retry_after: None });
        let google =
            r#"[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED"}}]"#;
        assert_eq!(of(429, google), Failure::RateLimited { retry_after: None });
    }

    #[test]
    fn an_empty_account_is_told_by_code_or_words() {
        for (status, body) in [
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
            ),
            (402, r#"{"error":{"code":402,"message":"This request requires more credits"}}"#),
            (403, r#"{"code":"denied","error":"Your team has used all available credits"}"#),
            (402, r#"{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}"#),
        ] {
            assert_eq!(of(status, body), Failure::QuotaExhausted { status }, "{body}");
        }
    }

    #[test]
    fn a_refused_key_is_not_the_clients_affair() {
        for (status, body) in [
            (401, r#"{"statusCode":401,"message":"Access denied due to invalid subscription key"}"#),
            (401, r#"{"error":{"code":"401","message":"Access denied"}}"#),
            (403, r#"{"error":{"message":"You have insufficient permissions for this operation"}}"#),
            (400, r#"{"code":"x","error":"Incorrect API key provided: xa***1"}"#),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
            ),
        ] {
            assert_eq!(of(status, body), Failure::CredentialRefused { status }, "{body}");
        }
        let moderated = r#"{"error":{"code":403,"message":"key words were flagged","metadata":{"reasons":["x"]}}}"#;
        assert_eq!(of(403, moderated), Failure::CallRejected(403));
    }

    #[test]
    fn an_unknown_model_is_told_from_other_things_not_found() {
        for (status, body) in [
            (
                404,
                r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","code":"model_not_found"}}"#,
            ),
            (403, r#"{"error":{"message":"Project `p` does not have access to model `x`","code":"model_not_found"}}"#),
            (404, r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}"#),
            (404, r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#),
            (400, r#"{"error":{"message":"x is not a valid model ID","code":400}}"#),
            (400, r#"{"error":{"message":"Model Not Exist","code":"invalid_request_error"}}"#),
            (404, r#"{"error":{"message":"No endpoints found for a/b.","code":404}}"#),
            (404, r#"{"error":{"message":"model \"x\" not found, try pulling it first"}}"#),
        ] {
            assert_eq!(of(status, body), Failure::ModelUnknown, "{body}");
        }
        assert_eq!(of(404, r#"{"error":{"message":"No such File object: file-1"}}"#), Failure::CallRejected(404));
    }

    #[test]
    fn a_call_too_long_is_told_however_it_is_said() {
        for (status, body) in [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens","code":"context_length_exceeded"}}"#,
            ),
            (400, r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","code":400}"#),
            (
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
            ),
            (500, r#"{"error":{"code":"context_length_exceeded"}}"#),
            (422, r#"{"detail":"the prompt is too long"}"#),
        ] {
            assert_eq!(of(status, body), Failure::ContextTooLong, "{body}");
        }
        let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
        assert_eq!(of(503, loading), Failure::Overloaded(503));
    }

    #[test]
    fn an_error_under_success_is_seen_and_a_null_error_is_none() {
        for (body, failure) in [
            (r#" {"error":{"code":502,"message":"bad upstream"}}"#, Failure::Overloaded(502)),
            (r#"{"error":{"code":429,"message":"slow"},"user_id":"u"}"#, Failure::RateLimited { retry_after: None }),
            (r#"{"error":{"message":"boom"}}"#, Failure::ErrorUnderSuccess),
            (r#"{"object":"error","message":"boom"}"#, Failure::ErrorUnderSuccess),
            ("\n<!DOCTYPE html><html>", Failure::ErrorUnderSuccess),
            (r#"{"error":"boom"#, Failure::ErrorUnderSuccess),
        ] {
            assert_eq!(classify_success_head(body.as_bytes()), Some(failure), "{body}");
        }
        for body in
            ["", "[]", r#"{"choices":[{"error":{}}]}"#, r#"{"error":null,"output":[]}"#, r#"{"id":"x","choi"#, "<3"]
        {
            assert_eq!(classify_success_head(body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(status in any::<u16>(), body in any::<Vec<u8>>(), json in r#"[\[\]{}:,"a-f0-9]{0,40}"#) {
            let _ = classify(status, &HeaderMap::new(), &body, SystemTime::UNIX_EPOCH);
            let _ = of(status, &format!("{{\"error\":{json}"));
            let _ = classify_success_head(format!("{{\"error\":{json}").as_bytes());
        }
    }
}
