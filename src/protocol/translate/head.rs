//! What the head of a provider's answer says, under the names by which another protocol's client looks for it.
//!
//! Pure; the time comes as a value. What has no other name stays as it is.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::protocol::Protocol;
use crate::domain::time::Timestamp;

/// Puts an answer's head into the client's names.
pub fn head(client: Protocol, upstream: Protocol, headers: &mut HeaderMap, now: Timestamp) {
    if let (Some(theirs), Some(ours)) = (request_id(upstream), request_id(client)) {
        renamed(headers, &theirs, ours, |id| Some(id.clone()));
    }
    for kind in ["requests", "tokens"] {
        for what in ["limit", "remaining", "reset"] {
            let (openai, anthropic) = (openai(kind, what), anthropic(kind, what));
            match (upstream, client) {
                (Protocol::Chat | Protocol::Responses, Protocol::Messages) => {
                    renamed(headers, &openai, anthropic, |value| translated(what, value, |text| until(text, now)));
                }
                (Protocol::Messages, Protocol::Chat | Protocol::Responses) => {
                    renamed(headers, &anthropic, openai, |value| translated(what, value, |text| left(text, now)));
                }
                _ => {}
            }
        }
    }
}

/// Where the SDKs of a protocol look for the request's id.
const fn request_id(protocol: Protocol) -> Option<HeaderName> {
    match protocol {
        Protocol::Chat | Protocol::Responses => Some(HeaderName::from_static("x-request-id")),
        Protocol::Messages => Some(HeaderName::from_static("request-id")),
        Protocol::Bedrock => Some(HeaderName::from_static("x-amzn-requestid")),
        Protocol::Gemini => None,
    }
}

fn openai(kind: &str, what: &str) -> HeaderName {
    name(&format!("x-ratelimit-{what}-{kind}"))
}

fn anthropic(kind: &str, what: &str) -> HeaderName {
    name(&format!("anthropic-ratelimit-{kind}-{what}"))
}

fn name(text: &str) -> HeaderName {
    HeaderName::from_bytes(text.as_bytes()).expect("letters and dashes are a header's name")
}

fn renamed(
    headers: &mut HeaderMap,
    from: &HeaderName,
    to: HeaderName,
    put: impl FnOnce(&HeaderValue) -> Option<HeaderValue>,
) {
    if let Some(value) = headers.remove(from).and_then(|value| put(&value)) {
        headers.insert(to, value);
    }
}

/// Numbers mean the same everywhere; when they start anew is a moment here and a time to wait there.
fn translated(what: &str, value: &HeaderValue, put: impl FnOnce(&str) -> Option<String>) -> Option<HeaderValue> {
    match what {
        "reset" => HeaderValue::from_str(&put(value.to_str().ok()?)?).ok(),
        _ => Some(value.clone()),
    }
}

/// The moment that is so far away: `6m0s` becomes `2026-03-22T00:06:00Z`.
fn until(text: &str, now: Timestamp) -> Option<String> {
    let at = now.after(duration(text)?).0;
    // In whole seconds, and none too early.
    let rest = (1_000 - at.rem_euclid(1_000)) % 1_000;
    Some(Timestamp(at.checked_add(rest)?).iso8601().replace(".000Z", "Z"))
}

/// How far away a moment is.
fn left(text: &str, now: Timestamp) -> Option<String> {
    let ms = Timestamp::from_rfc3339(text.trim()).ok()?.0.saturating_sub(now.0).max(0);
    Some(format!("{}s", ms.unsigned_abs().div_ceil(1_000)))
}

/// `1h2m3.5s`, `120ms`: numbers with units, the larger first.
fn duration(text: &str) -> Option<Duration> {
    /// A quota that renews monthly is the longest wait that means anything.
    const LIMIT_S: f64 = 31.0 * 24.0 * 3600.0;
    let (mut rest, mut seconds) = (text.trim(), 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        seconds += number.parse::<f64>().ok()?
            * match unit {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = behind;
    }
    (!text.trim().is_empty() && seconds <= LIMIT_S).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-22T00:00:00Z
    const NOW: Timestamp = Timestamp(1_774_137_600_000);

    fn said(client: Protocol, upstream: Protocol, from: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let from = from.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::from_iter(from);
        head(client, upstream, &mut headers, NOW);
        let mut all: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_string())).collect();
        all.sort();
        all
    }

    fn is(all: Vec<(String, String)>, expected: &[(&str, &str)]) {
        assert_eq!(all.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn limits_are_told_in_the_clients_names() {
        let openai = [
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-tokens", "39000"),
            ("x-ratelimit-reset-requests", "6m0.5s"),
            ("x-ratelimit-reset-tokens", "whenever"),
        ];
        is(
            said(Protocol::Messages, Protocol::Chat, &openai),
            &[
                ("anthropic-ratelimit-requests-limit", "500"),
                ("anthropic-ratelimit-requests-reset", "2026-03-22T00:06:01Z"),
                ("anthropic-ratelimit-tokens-remaining", "39000"),
            ],
        );
        let anthropic = [
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("anthropic-ratelimit-tokens-reset", "2026-03-22T00:01:30Z"),
            ("anthropic-ratelimit-input-tokens-limit", "7"),
        ];
        is(
            said(Protocol::Responses, Protocol::Messages, &anthropic),
            &[
                ("anthropic-ratelimit-input-tokens-limit", "7"),
                ("x-ratelimit-remaining-requests", "3"),
                ("x-ratelimit-reset-tokens", "90s"),
            ],
        );
    }

    #[test]
    fn the_requests_id_stands_where_the_clients_sdk_looks() {
        let from_bedrock = said(Protocol::Messages, Protocol::Bedrock, &[("x-amzn-requestid", "a")]);
        is(from_bedrock, &[("request-id", "a")]);
        is(said(Protocol::Chat, Protocol::Messages, &[("request-id", "a")]), &[("x-request-id", "a")]);
        is(said(Protocol::Gemini, Protocol::Messages, &[("request-id", "a")]), &[("request-id", "a")]);
    }

    #[test]
    fn durations_are_read_as_providers_write_them() {
        let ms = |text| duration(text).map(|wait| wait.as_millis());
        for (text, expected) in [("1s", 1_000), ("120ms", 120), ("1h2m3s", 3_723_000), ("2m59.56s", 179_560)] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for text in ["", "soon", "1", "1x", "s", "9999d", "1..2s"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }
}
