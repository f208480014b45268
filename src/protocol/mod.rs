//! Wire formats: the only room that knows vendors' field names. Bytes in, bytes out; no sockets, no clock.
//!
//! What every protocol can do is here as one function each, with a closed `match`; each protocol's own part lies in its
//! folder. Below them lie the tools that know bytes only: `json` reads, `splice` edits, `sse` frames, `watch` looks on.
//! Never knows who calls, where a call goes or what it costs.

mod bedrock;
pub mod catalogue;
pub mod chat;
mod gemini;
pub mod hub;
mod json;
mod messages;
pub mod native;
pub mod path;
pub mod responses;
mod retry;
pub mod scan;
pub mod scrub;
pub mod splice;
pub mod sse;
pub mod translate;
pub mod watch;

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::domain::failure::Failure;
use crate::domain::protocol::{Operation, Protocol};
use crate::domain::refusal::{Family, Refusal};
use crate::domain::usage::Usage;
use chat::refusal::ErrorObject;

pub use chat::errors::classify_success_head as failure_under_success;
pub use chat::headers::request_headers;
pub use chat::models::ModelRow;
pub use chat::whole::object_id;
pub use messages::program;
pub use path::upstream_path;
pub use scrub::scrub;
pub use watch::{Ending, Progress, Watch};

/// A new head towards the client; rate limits only where the credential is the caller's or its workspace's own.
pub fn answer_headers(protocol: Protocol, operation: Operation, provider: &HeaderMap, is_own: bool) -> HeaderMap {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Messages | Protocol::Gemini | Protocol::Bedrock => {
            chat::headers::answer_headers(operation, provider, is_own)
        }
    }
}

/// What a provider's answer with a status other than of success means.
pub fn classify(protocol: Protocol, status: StatusCode, head: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
    match protocol {
        Protocol::Chat | Protocol::Responses => chat::errors::classify(status.as_u16(), head, body, now),
        Protocol::Bedrock => bedrock::errors::classify(status.as_u16(), head, body, now),
        Protocol::Messages => messages::errors::classify(status.as_u16(), head, body, now),
        Protocol::Gemini => gemini::errors::classify(status.as_u16(), head, body, now),
    }
}

/// Is this an error that an SDK of this protocol can read, so that the client may hear it as the provider said it?
pub fn is_error_body(protocol: Protocol, body: &[u8]) -> bool {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Messages | Protocol::Gemini | Protocol::Bedrock => {
            chat::whole::is_object(body)
        }
    }
}

/// A usage object with all its details is some 500 bytes long.
const USAGE_TAIL_BYTES: usize = 2 * 1024;

/// The usage that a whole answer reports.
pub fn usage_of_whole(protocol: Protocol, body: &[u8]) -> Option<Usage> {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Bedrock => {
            // It nearly always stands at the end, where it is found without reading the answer.
            let tail = &body[body.len().saturating_sub(USAGE_TAIL_BYTES)..];
            chat::usage::usage_of_tail(tail).or_else(|| chat::usage::usage_of_whole(body))
        }
        Protocol::Messages => messages::usage::usage_of_whole(body),
        Protocol::Gemini => gemini::usage::usage_of_whole(body),
    }
}

/// The usage of a whole answer of which only the end was kept.
pub fn usage_of_tail(protocol: Protocol, tail: &[u8]) -> Option<Usage> {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Bedrock => chat::usage::usage_of_tail(tail),
        Protocol::Messages => messages::usage::usage_of_tail(tail),
        Protocol::Gemini => gemini::usage::usage_of_whole(tail),
    }
}

/// The body of a list of models, in the shape of the client's protocol.
pub fn model_list<'a>(protocol: Protocol, rows: impl Iterator<Item = ModelRow<'a>> + Clone) -> Bytes {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Bedrock => chat::models::model_list(rows),
        Protocol::Messages => messages::models::list(rows),
        Protocol::Gemini => gemini::models::list(rows),
    }
}

/// The body of one model.
pub fn model_object(protocol: Protocol, row: ModelRow<'_>) -> Bytes {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Bedrock => chat::models::model_object(row),
        Protocol::Messages => messages::models::one(row),
        Protocol::Gemini => gemini::models::one(row),
    }
}

/// The body of a refusal, in the shape of the client's protocol.
pub fn refusal_body(protocol: Protocol, refusal: &Refusal) -> Bytes {
    let row = refusal.row();
    match protocol {
        // Nobody calls us in Bedrock's protocol.
        Protocol::Chat | Protocol::Responses | Protocol::Bedrock => chat::refusal::body(refusal),
        Protocol::Messages => messages::error_body(&refusal.to_string(), row.status, row.family),
        Protocol::Gemini => gemini::error_body(&refusal.to_string(), row.status),
    }
}

/// The last event of a stream whose status was out before it was refused.
pub fn refusal_event(protocol: Protocol, refusal: &Refusal) -> Bytes {
    let message = refusal.to_string();
    error_event(protocol, &ErrorObject::of(refusal, &message), None, || refusal_body(protocol, refusal))
}

/// A provider's own error as the last event of such a stream, in protocols where an error's body is an event's data too.
pub fn said_event(protocol: Protocol, body: &[u8]) -> Option<Bytes> {
    match protocol {
        Protocol::Chat | Protocol::Gemini | Protocol::Bedrock => chat::refusal::said(body),
        Protocol::Messages => {
            chat::refusal::said(body).map(|data| [b"event: error\n".as_slice(), &data].concat().into())
        }
        Protocol::Responses => None,
    }
}

/// The last event of a stream that broke behind its first content, up to where this watch has seen it. If it broke within
/// an event, that one is ended first.
pub fn broken_event(protocol: Protocol, seen: &Watch, why: &str) -> Bytes {
    const CODE: &str = "provider_failed";
    const STATUS: u16 = 502;
    let error = ErrorObject::new(why, Family::Server, CODE);
    let event = error_event(protocol, &error, Some(seen), || match protocol {
        Protocol::Gemini => gemini::error_body(why, STATUS),
        Protocol::Messages | Protocol::Chat | Protocol::Responses | Protocol::Bedrock => {
            messages::error_body(why, STATUS, Family::Server)
        }
    });
    if seen.at_boundary() { event } else { [b"\n\n".as_slice(), &event].concat().into() }
}

fn error_event(
    protocol: Protocol,
    error: &ErrorObject<'_>,
    seen: Option<&Watch>,
    body: impl FnOnce() -> Bytes,
) -> Bytes {
    match protocol {
        Protocol::Chat | Protocol::Bedrock => chat::refusal::event(error),
        Protocol::Responses => {
            responses::refusal::events(error, seen.map_or(0, Watch::events), seen.and_then(Watch::object_id))
        }
        Protocol::Messages => messages::error_event(&body()),
        Protocol::Gemini => [b"data: ".as_slice(), &body(), b"\n\n"].concat().into(),
    }
}

/// What bridges a silence without saying anything.
pub const fn keep_alive(protocol: Protocol) -> Bytes {
    match protocol {
        Protocol::Chat | Protocol::Responses | Protocol::Gemini | Protocol::Bedrock => {
            Bytes::from_static(b": keep-alive\n\n")
        }
        Protocol::Messages => Bytes::from_static(messages::PING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const ALL: [Protocol; 5] =
        [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini, Protocol::Bedrock];

    /// Of the first event.
    fn data(event: &[u8]) -> Value {
        let event = event.split_inclusive(|byte| *byte == b'\n').take_while(|line| *line != b"\n").collect::<Vec<_>>();
        let event = event.concat();
        let event = sse::event(&event).unwrap();
        serde_json::from_slice(&event.data).unwrap()
    }

    #[test]
    fn every_protocol_hears_a_refusal_in_its_own_shape() {
        let refusal = Refusal::ModelNotFound { model: "a\"b\n".to_string(), closest: String::new() };
        let message = refusal.to_string();
        for protocol in ALL {
            let body: Value = serde_json::from_slice(&refusal_body(protocol, &refusal)).unwrap();
            assert_eq!(body["error"]["message"], message.as_str(), "{protocol}");
            assert_eq!(data(&refusal_event(protocol, &refusal))["error"]["message"], message.as_str(), "{protocol}");
        }
        let body: Value = serde_json::from_slice(&refusal_body(Protocol::Messages, &refusal)).unwrap();
        assert_eq!((&body["type"], &body["error"]["type"]), (&"error".into(), &"not_found_error".into()));
        let body: Value = serde_json::from_slice(&refusal_body(Protocol::Gemini, &refusal)).unwrap();
        assert_eq!((&body["error"]["code"], &body["error"]["status"]), (&404.into(), &"NOT_FOUND".into()));
    }

    #[test]
    fn a_broken_stream_ends_with_an_error_and_never_with_done() {
        for protocol in ALL {
            let mut watch = Watch::of(protocol);
            let event = broken_event(protocol, &watch, "it broke");
            assert_eq!(data(&event)["error"]["message"], "it broke", "{protocol}");
            assert!(event.ends_with(b"\n\n") && memchr::memmem::find(&event, b"[DONE]").is_none());
            watch.push(b"data: {");
            assert!(broken_event(protocol, &watch, "it broke").starts_with(b"\n\n"));
        }
        let flat = data(&broken_event(Protocol::Responses, &Watch::of(Protocol::Responses), "it broke"));
        assert_eq!((&flat["type"], &flat["message"]), (&"error".into(), &"it broke".into()));
        assert_eq!(flat["code"], "provider_failed");
    }

    #[test]
    fn our_own_error_event_is_known_as_one_by_our_own_watch() {
        for protocol in ALL {
            let mut watch = Watch::of(protocol);
            watch.push(&broken_event(protocol, &Watch::of(protocol), "it broke"));
            assert_eq!(watch.ending(), Ending::Failed);
        }
    }

    #[test]
    fn only_json_objects_are_errors_that_an_sdk_can_read() {
        assert!(is_error_body(Protocol::Chat, br#" {"error":{"message":"no"}} "#));
        for body in [&b"<html>"[..], b"", b"[]", b"{", br#"{"error":"cut"#] {
            assert!(!is_error_body(Protocol::Chat, body));
        }
    }
}
