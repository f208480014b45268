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
mod tests;
