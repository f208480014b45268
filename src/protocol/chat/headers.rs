//! Which headers go on: a new head is built from lists, nothing else of either side's passes.
//!
//! Keys, cookies, organisations and framing are on no list. `content-type` of a request is not copied either: whoever
//! sends a body knows what it is. Serves every protocol; a protocol adds names of its own.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::domain::protocol::{Operation, Protocol};

/// The version of Messages that clients of other protocols speak through us.
const ANTHROPIC_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

/// A new head towards the provider.
pub fn request_headers(protocol: Protocol, client: &HeaderMap) -> HeaderMap {
    let mut head = copied(client, |name| is_sent(name) || is_sent_by(protocol, name));
    if protocol == Protocol::Messages {
        head.entry(ANTHROPIC_VERSION.0).or_insert(ANTHROPIC_VERSION.1);
    }
    head
}

/// Is this the client's to say to any provider?
fn is_sent(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "http-referer"
            | "idempotency-key"
            | "originator"
            | "session-id"
            | "thread-id"
            | "traceparent"
            | "x-client-request-id"
            | "x-title"
    ) || name.starts_with("x-stainless-")
        || name.starts_with("x-codex-")
}

fn is_sent_by(protocol: Protocol, name: &str) -> bool {
    match protocol {
        Protocol::Chat | Protocol::Responses => name == "openai-beta",
        Protocol::Messages => matches!(name, "anthropic-version" | "anthropic-beta" | "x-claude-code-session-id"),
        Protocol::Gemini => false,
        Protocol::Bedrock => name.starts_with("x-amzn-bedrock-"),
    }
}

/// A new head towards the client. Rate limits are shown to whoever owns the credential (`is_own`), and to nobody else.
pub fn answer_headers(operation: Operation, provider: &HeaderMap, is_own: bool) -> HeaderMap {
    let mut head = copied(provider, |name| is_answered(name) || is_own && is_rate_limit(name));
    if let Some(kind) = provider.get(header::CONTENT_TYPE).filter(|kind| may_be(operation, kind.as_bytes())) {
        head.append(header::CONTENT_TYPE, kind.clone());
    }
    head
}

fn is_answered(name: &str) -> bool {
    matches!(
        name,
        "content-disposition"
            | "openai-processing-ms"
            | "request-id"
            | "retry-after"
            | "retry-after-ms"
            | "x-amzn-requestid"
            | "x-request-id"
    )
}

fn is_rate_limit(name: &str) -> bool {
    name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
}

fn copied(from: &HeaderMap, is_on_list: impl Fn(&str) -> bool) -> HeaderMap {
    // Room for what is added to them too, so that few maps grow.
    let mut head = HeaderMap::with_capacity(12);
    for (name, value) in from {
        if is_on_list(name.as_str()) {
            head.append(HeaderName::clone(name), value.clone());
        }
    }
    head
}

/// May an answer to this operation be of this type? A page of HTML never is: a browser would run it in our name.
fn may_be(operation: Operation, kind: &[u8]) -> bool {
    // As nearly every answer says it.
    if kind == b"application/json" {
        return true;
    }
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let is_one_of = |known: &[&str]| known.iter().any(|known| essence == known.as_bytes());
    if is_one_of(&["application/json", "text/event-stream", "application/problem+json"]) {
        return true;
    }
    let (is_audio, is_image) = (essence.starts_with(b"audio/"), essence.starts_with(b"image/"));
    let is_plain = is_one_of(&["application/octet-stream"]);
    match operation {
        Operation::Speech => is_audio || is_plain,
        Operation::ImageGenerations | Operation::ImageEdits | Operation::ImageVariations => is_image || is_plain,
        Operation::Transcriptions | Operation::Translations => {
            is_one_of(&["text/plain", "text/vtt", "application/x-subrip"])
        }
        Operation::Files => {
            let lines = ["application/jsonl", "application/x-ndjson", "application/x-jsonlines", "text/plain"];
            is_audio || is_image || is_plain || is_one_of(&lines)
        }
        Operation::ChatCompletions
        | Operation::Completions
        | Operation::Embeddings
        | Operation::Moderations
        | Operation::Rerank
        | Operation::Responses
        | Operation::InputTokens
        | Operation::Compact
        | Operation::StoredResponse
        | Operation::Conversations
        | Operation::Batches
        | Operation::Messages
        | Operation::CountTokens
        | Operation::GenerateContent
        | Operation::EmbedContent
        | Operation::BatchEmbedContents => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(names: &[(&'static str, &'static str)]) -> HeaderMap {
        names.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn names(head: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = head.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn only_what_is_listed_reaches_a_provider() {
        let client = head(&[
            ("authorization", "Bearer kw_x"),
            ("x-api-key", "kw_x"),
            ("cookie", "a"),
            ("host", "gateway"),
            ("content-length", "3"),
            ("accept-encoding", "gzip"),
            ("openai-organization", "org"),
            ("x-keyway-run", "r"),
            ("x-forwarded-for", "10.0.0.1"),
            ("openai-beta", "b"),
            ("anthropic-beta", "c"),
            ("x-stainless-lang", "python"),
            ("x-codex-turn", "1"),
            ("accept", "*/*"),
        ]);
        let chat = request_headers(Protocol::Chat, &client);
        assert_eq!(names(&chat), ["accept", "openai-beta", "x-codex-turn", "x-stainless-lang"]);
        let messages = request_headers(Protocol::Messages, &client);
        assert_eq!(
            names(&messages),
            ["accept", "anthropic-beta", "anthropic-version", "x-codex-turn", "x-stainless-lang"]
        );
    }

    #[test]
    fn rate_limits_are_shown_to_the_credentials_owner_only() {
        let provider = head(&[
            ("set-cookie", "a"),
            ("location", "http://127.0.0.1"),
            ("server", "x"),
            ("x-request-id", "req"),
            ("retry-after", "1"),
            ("x-ratelimit-remaining-requests", "5"),
            ("content-type", "application/json; charset=utf-8"),
        ]);
        let shared = answer_headers(Operation::ChatCompletions, &provider, false);
        assert_eq!(names(&shared), ["content-type", "retry-after", "x-request-id"]);
        let own = answer_headers(Operation::ChatCompletions, &provider, true);
        assert!(names(&own).contains(&"x-ratelimit-remaining-requests"));
    }

    #[test]
    fn types_are_those_that_the_operation_has() {
        let passes = |operation, kind: &'static str| {
            answer_headers(operation, &head(&[("content-type", kind)]), false).contains_key(header::CONTENT_TYPE)
        };
        assert!(passes(Operation::Speech, "audio/mpeg"));
        assert!(passes(Operation::ChatCompletions, "Text/Event-Stream; charset=utf-8"));
        assert!(passes(Operation::Files, "application/jsonl"));
        assert!(!passes(Operation::ChatCompletions, "audio/mpeg"));
        assert!(!passes(Operation::ChatCompletions, "text/html"));
        assert!(!passes(Operation::Files, "text/html"));
    }
}
