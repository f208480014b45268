//! Heads of responses: refusals in the protocol's shape, replies with the headers that say who answered.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use uuid::Uuid;

use super::Settings;
use super::relay::RelayBody;
use crate::attempt::{Reply, ReplyBody};
use crate::domain::protocol::Protocol;
use crate::domain::refusal::Refusal;
use crate::domain::trail::{End, Trail};
use crate::meter::Exchange;
use crate::meter::limit::Remaining;
use crate::protocol;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-keyway-request-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-keyway-provider");
const MODEL: HeaderName = HeaderName::from_static("x-keyway-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-keyway-attempts");
const TRAIL: HeaderName = HeaderName::from_static("x-keyway-trail");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const LEFT: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const NO_SNIFF: (HeaderName, HeaderValue) = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// The trail in a header; the whole one belongs to the ledger.
const TRAIL_LIMIT_BYTES: usize = 2 * 1024;
/// Of the values that an answer usually gets from us.
const PEN_BYTES: usize = 160;

/// A call in flight, with the attempts' end to come.
pub(super) type Attempting = Pin<Box<dyn Future<Output = (Result<Box<Reply>, Refusal>, Exchange)> + Send>>;

/// What every answer to one call needs.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    pub(super) id: Uuid,
    pub(super) protocol: Protocol,
    pub(super) explains: bool,
    /// Of the caller's requests in this minute, where a limit holds.
    pub(super) remaining: Option<Remaining>,
}

/// A refusal of a request that is no exchange.
pub(super) fn refusal(protocol: Protocol, id: Uuid, refusal: &Refusal) -> Response<RelayBody> {
    Answered { id, protocol, explains: false, remaining: None }.refused(refusal, None)
}

/// A body of our own, such as the list of models.
pub(super) fn json(id: Uuid, protocol: Protocol, body: Bytes) -> Response<RelayBody> {
    let mut response = Response::new(RelayBody::ours(body));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    Pen::new().identify(response.headers_mut(), id, protocol);
    response
}

/// Where the protocol's SDKs look for it.
const fn request_id(protocol: Protocol) -> HeaderName {
    match protocol {
        Protocol::Messages => HeaderName::from_static("request-id"),
        Protocol::Chat | Protocol::Responses | Protocol::Gemini | Protocol::Bedrock => {
            HeaderName::from_static("x-request-id")
        }
    }
}

/// Writes the values of our headers one behind the other, so that one answer's share their memory.
struct Pen(BytesMut);

impl Pen {
    fn new() -> Self {
        Self(BytesMut::with_capacity(PEN_BYTES))
    }

    /// Letters that a header may have; others give none.
    fn value(&mut self, parts: &[&str]) -> Option<HeaderValue> {
        parts.iter().for_each(|part| self.0.extend_from_slice(part.as_bytes()));
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }

    fn put(&mut self, headers: &mut HeaderMap, name: HeaderName, parts: &[&str]) {
        if let Some(value) = self.value(parts) {
            headers.insert(name, value);
        }
    }

    fn identify(&mut self, headers: &mut HeaderMap, id: Uuid, protocol: Protocol) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        // A UUID's letters are always a header's.
        if let Some(value) = self.value(&[id.hyphenated().encode_lower(&mut text)]) {
            headers.entry(request_id(protocol)).or_insert_with(|| value.clone());
            headers.insert(REQUEST_ID, value);
        }
    }
}

impl Answered {
    /// A refusal of an exchange, if there is one yet.
    pub(super) fn refused(self, refusal: &Refusal, exchange: Option<Exchange>) -> Response<RelayBody> {
        let mut response = self.refusal(refusal, exchange.as_ref());
        *response.body_mut() = RelayBody::refusal(protocol::refusal_body(self.protocol, refusal), exchange);
        response
    }

    fn refusal(self, refusal: &Refusal, exchange: Option<&Exchange>) -> Response<RelayBody> {
        let row = refusal.row();
        let mut response = Response::new(RelayBody::ours(Bytes::new()));
        *response.status_mut() = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        if let Some(wait) = refusal.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1_000).max(1) as u64));
        }
        if let Refusal::MethodNotAllowed { allow, .. } = refusal {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        let tried = exchange.map_or(0, |exchange| exchange.trail_so_far().tried());
        if let Some(retry) = row.should_retry.or((tried > 1 && row.status >= 500).then_some(false)) {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static(if retry { "true" } else { "false" }));
        }
        let mut pen = Pen::new();
        pen.identify(headers, self.id, self.protocol);
        self.limit(headers, &mut pen, used_up(refusal));
        self.explain(headers, &mut pen, exchange);
        response
    }

    pub(super) fn replied(
        self,
        result: Result<Box<Reply>, Refusal>,
        mut exchange: Exchange,
        settings: &Settings,
    ) -> Response<RelayBody> {
        let mut reply = match result {
            Ok(reply) => reply,
            Err(refusal) => {
                exchange.refused(&refusal);
                return self.refused(&refusal, Some(exchange));
            }
        };
        let mut headers = std::mem::take(&mut reply.headers);
        let mut pen = Pen::new();
        pen.identify(&mut headers, self.id, self.protocol);
        name(&mut headers, &mut pen, &reply, &exchange);
        self.limit(&mut headers, &mut pen, None);
        self.explain(&mut headers, &mut pen, Some(&exchange));
        if matches!(reply.body, ReplyBody::Events { .. }) {
            stream_headers(&mut headers);
        }
        let status = reply.status;
        let tried = exchange.trail_so_far().tried();
        if status.is_server_error() && tried > 1 {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        let mut response = Response::new(RelayBody::reply(reply, exchange, self.protocol, settings));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// The head of a stream whose provider is still being waited for: who answers can't be said yet.
    pub(super) fn waiting(self, attempting: Attempting, settings: &Settings) -> Response<RelayBody> {
        let mut response = Response::new(RelayBody::waiting(attempting, self.protocol, settings));
        response.headers_mut().insert(header::CONTENT_TYPE, EVENTS);
        stream_headers(response.headers_mut());
        let mut pen = Pen::new();
        pen.identify(response.headers_mut(), self.id, self.protocol);
        self.limit(response.headers_mut(), &mut pen, None);
        response
    }

    /// Ours where we hold a limit, instead of a provider's: ours is the one that the client meets here.
    fn limit(self, headers: &mut HeaderMap, pen: &mut Pen, used_up: Option<Remaining>) {
        let Some(remaining) = used_up.or(self.remaining) else { return };
        let mut digits = itoa::Buffer::new();
        pen.put(headers, LIMIT, &[digits.format(remaining.limit)]);
        pen.put(headers, LEFT, &[digits.format(remaining.left)]);
        let seconds = (remaining.reset.as_millis() as u64).div_ceil(1_000);
        pen.put(headers, RESET, &[digits.format(seconds), "s"]);
    }

    fn explain(self, headers: &mut HeaderMap, pen: &mut Pen, exchange: Option<&Exchange>) {
        let Some(exchange) = exchange.filter(|_| self.explains) else { return };
        pen.put(headers, TRAIL, &[&trail_text(exchange.trail_so_far())]);
    }
}

/// Who answered, after how many attempts.
fn name(headers: &mut HeaderMap, pen: &mut Pen, reply: &Reply, exchange: &Exchange) {
    pen.put(headers, PROVIDER, &[&reply.from.provider]);
    pen.put(headers, MODEL, &[&reply.from.model]);
    pen.put(headers, ATTEMPTS, &[itoa::Buffer::new().format(exchange.trail_so_far().tried())]);
    headers.insert(NO_SNIFF.0, NO_SNIFF.1);
}

/// What a refusal says of the limit that it met.
const fn used_up(refusal: &Refusal) -> Option<Remaining> {
    match refusal {
        Refusal::RateLimited { limit, retry_after, .. } => {
            Some(Remaining { limit: *limit, left: 0, reset: *retry_after })
        }
        _ => None,
    }
}

fn stream_headers(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}

/// `openai gpt-4o platform overloaded 12ms; spare gpt-4o platform 200 340ms`
fn trail_text(trail: &Trail) -> String {
    let mut text = String::new();
    for attempt in trail.attempts() {
        let scope = attempt.scope.map_or("none", |scope| scope.name());
        let ms = attempt.took.as_millis();
        // Writing to a String can't fail.
        let _ = match &attempt.end {
            End::Answered { status } => {
                write!(text, "{} {} {scope} {status} {ms}ms; ", attempt.provider, attempt.model)
            }
            End::Failed(failure) => {
                write!(text, "{} {} {scope} {} {ms}ms; ", attempt.provider, attempt.model, failure.name())
            }
            End::Skipped(why) => write!(text, "{} {} {scope} skipped: {why}; ", attempt.provider, attempt.model),
        };
    }
    let kept = text
        .char_indices()
        .take_while(|(at, _)| *at < TRAIL_LIMIT_BYTES)
        .filter(|(_, letter)| letter.is_ascii_graphic() || *letter == ' ');
    kept.map(|(_, letter)| letter).collect::<String>().trim_end_matches("; ").to_string()
}
