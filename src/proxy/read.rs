//! Takes a request's body once, bounded in bytes and time, and finds in it the few things the gateway needs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header, request};
use http_body_util::BodyExt;
use uuid::Uuid;

use super::route::Asked;
use super::upload::Passing;
use crate::domain::call::{Call, CallBody, Found, Upload};
use crate::domain::protocol::{Delivery, Operation};
use crate::domain::refusal::Refusal;
use crate::hands::Hands;
use crate::listen::{BodyFault, RequestBody};
use crate::protocol::scan;

/// Bodies above this are scanned by other hands: a megabyte takes longer than a core may be held.
const SCANNED_HERE_BYTES: usize = 256 * 1024;
/// The beginning of a form that is too large to be held: its model must stand in it.
const BEGINNING_BYTES: usize = 64 * 1024;
/// Room made at once for a body of unknown length; it grows from there.
const FIRST_ROOM_BYTES: usize = 16 * 1024;

/// The largest bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// What is held.
    pub body_bytes: usize,
    /// A form that is sent on as it comes.
    pub upload_bytes: u64,
}

/// The bytes of all bodies in flight, so that many large ones can't take all memory.
#[derive(Debug)]
pub struct BodyBudget {
    limit_bytes: AtomicUsize,
    taken_bytes: AtomicUsize,
}

impl BodyBudget {
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { limit_bytes: limit_bytes.into(), taken_bytes: 0.into() })
    }

    pub fn set_limit(&self, limit_bytes: usize) {
        self.limit_bytes.store(limit_bytes, Ordering::Relaxed);
    }

    pub fn taken_bytes(&self) -> usize {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.limit_bytes.load(Ordering::Relaxed);
        if !fits {
            self.taken_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// A body's share of the budget, given back when the call is over.
#[derive(Debug)]
pub(super) struct BodyShare {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

impl BodyShare {
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        if !self.budget.take(bytes) {
            return Err(Refusal::AtCapacity("bytes of bodies in flight"));
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.budget.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The whole step: checks the head, takes the body, scans it.
pub(super) async fn read(
    asked: Asked,
    id: Uuid,
    head: request::Parts,
    body: RequestBody,
    room: &Room<'_>,
) -> Result<(Box<Call>, BodyShare), Refusal> {
    let form = form(asked.operation, &head)?;
    let mut share = BodyShare { budget: room.budget.clone(), bytes: 0 };
    let taken = take(body, form, &head.headers, room.limits, &mut share).await?;
    let body = scanned(form, taken, &asked, &head.headers, room).await?;
    // Boxed: half a kilobyte that several steps hand on.
    Ok((Box::new(call(asked, id, head, body)?), share))
}

/// What reading needs besides the request.
pub(super) struct Room<'a> {
    pub(super) limits: BodyLimits,
    pub(super) budget: &'a Arc<BodyBudget>,
    pub(super) hands: &'a Hands,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    None,
    Json,
    Multipart,
}

/// The form an operation's body must have, held against what its head says.
fn form(operation: Operation, head: &request::Parts) -> Result<Form, Refusal> {
    if let Some(coding) = head.headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity") {
        return Err(Refusal::ContentCoded(shown(coding)));
    }
    if head.method != http::Method::POST || matches!(operation, Operation::StoredResponse) {
        return Ok(Form::None);
    }
    let (json, multipart) = match operation {
        Operation::Transcriptions | Operation::Translations | Operation::ImageVariations | Operation::Files => {
            (false, true)
        }
        Operation::ImageEdits => (true, true),
        _ => (true, false),
    };
    let stated = head.headers.get(header::CONTENT_TYPE);
    let Some(stated) = stated else {
        return if json { Ok(Form::Json) } else { Err(unsupported(false, "nothing".into())) };
    };
    let essence = stated.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" if json => Ok(Form::Json),
        "multipart/form-data" if multipart => Ok(Form::Multipart),
        _ => Err(unsupported(json, shown(stated))),
    }
}

fn unsupported(json: bool, got: String) -> Refusal {
    Refusal::ContentType { takes: if json { "application/json" } else { "multipart/form-data" }, got }
}

/// As much of a header's value as a refusal repeats.
fn shown(value: &HeaderValue) -> String {
    value.to_str().unwrap_or("unreadable").chars().take(80).collect()
}

/// What was taken of a body.
enum Taken {
    Whole(Bytes),
    /// More than may be held: its beginning, and what is still to come.
    Larger {
        beginning: Bytes,
        rest: RequestBody,
        length: Option<u64>,
    },
}

/// Takes a body up to what may be held. One that came in one frame is not copied.
async fn take(
    mut body: RequestBody,
    form: Form,
    headers: &HeaderMap,
    limits: BodyLimits,
    share: &mut BodyShare,
) -> Result<Taken, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let stated = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let too_large = Refusal::BodyTooLarge { limit_bytes: limits.body_bytes as u64 };
    // Of a form that is known to be too large only as much is taken as its model needs.
    let enough = match (stated.is_some_and(|length| length > limits.body_bytes), form) {
        (false, _) => limits.body_bytes,
        (true, Form::Multipart) => BEGINNING_BYTES,
        (true, Form::Json | Form::None) => return Err(too_large),
    };
    share.grow(stated.map_or(0, |length| length.min(enough)))?;
    let mut first = Bytes::new();
    let mut several: Option<BytesMut> = None;
    let mut taken = 0_usize;
    while let Some(piece) = next_piece(&mut body).await? {
        taken += piece.len();
        if taken > enough && form != Form::Multipart {
            return Err(too_large);
        }
        if taken > share.bytes {
            share.grow(taken - share.bytes)?;
        }
        match &mut several {
            None if first.is_empty() => first = piece,
            None => several = Some(joined(&first, &piece, stated.map(|length| length.min(enough)))),
            Some(several) => several.extend_from_slice(&piece),
        }
        if taken > enough {
            let beginning = several.map_or(first, BytesMut::freeze);
            return Ok(Taken::Larger { beginning, rest: body, length });
        }
    }
    Ok(Taken::Whole(several.map_or(first, BytesMut::freeze)))
}

fn joined(first: &Bytes, second: &Bytes, stated: Option<usize>) -> BytesMut {
    let mut rest = BytesMut::with_capacity(stated.unwrap_or(FIRST_ROOM_BYTES).max(first.len() + second.len()));
    rest.extend_from_slice(first);
    rest.extend_from_slice(second);
    rest
}

/// The next frame of data. The body itself holds how long it may stand still.
async fn next_piece(body: &mut RequestBody) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| match fault {
            BodyFault::TimedOut => Refusal::BodyTimedOut,
            BodyFault::Broken => Refusal::BodyBroken,
        })?;
        // Trailers say nothing that concerns us.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

async fn scanned(
    form: Form,
    taken: Taken,
    asked: &Asked,
    headers: &HeaderMap,
    room: &Room<'_>,
) -> Result<CallBody, Refusal> {
    let content_type =
        || headers.get(header::CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static("multipart/form-data"));
    match (form, taken) {
        (Form::None, Taken::Whole(bytes)) if bytes.is_empty() => Ok(CallBody::Empty),
        (Form::None, _) => Err(Refusal::Malformed("this operation takes no body")),
        (Form::Json, Taken::Whole(bytes)) => {
            let found = scan_json(&bytes, asked.operation, room.hands).await?;
            Ok(CallBody::Json { bytes, found: Box::new(found) })
        }
        (Form::Json, Taken::Larger { .. }) => Err(Refusal::BodyTooLarge { limit_bytes: room.limits.body_bytes as u64 }),
        (Form::Multipart, Taken::Whole(bytes)) => {
            let content_type = content_type();
            let model = scan::multipart(&bytes, &content_type)?;
            Ok(CallBody::Multipart { bytes, content_type, model })
        }
        (Form::Multipart, Taken::Larger { beginning, rest, length }) => {
            upload(content_type(), beginning, rest, length, asked.operation, room.limits.upload_bytes)
        }
    }
}

/// A form that goes by: what may be known of it is in its beginning.
fn upload(
    content_type: HeaderValue,
    beginning: Bytes,
    rest: RequestBody,
    length: Option<u64>,
    operation: Operation,
    limit_bytes: u64,
) -> Result<CallBody, Refusal> {
    if length.is_some_and(|length| length > limit_bytes) {
        return Err(Refusal::BodyTooLarge { limit_bytes });
    }
    let model = scan::beginning_of_form(&beginning, &content_type)?;
    let left = limit_bytes.saturating_sub(beginning.len() as u64);
    let rest = Passing::new(rest, left, operation.names_model());
    Ok(CallBody::Upload(Box::new(Upload {
        content_type,
        model,
        beginning,
        rest: Mutex::new(Some(Box::pin(rest))),
        length,
    })))
}

async fn scan_json(bytes: &Bytes, operation: Operation, hands: &Hands) -> Result<Found, Refusal> {
    if bytes.len() <= SCANNED_HERE_BYTES {
        return scan::json(bytes, operation);
    }
    let shared = bytes.clone();
    let scanning = hands.blocking(move || scan::json(&shared, operation)).await;
    scanning.map_err(|_| Refusal::AtCapacity("large bodies being read"))?
}

fn call(asked: Asked, id: Uuid, head: request::Parts, body: CallBody) -> Result<Call, Refusal> {
    let headers = head.headers;
    let ours = Ours::among(&headers);
    let in_body = match &body {
        CallBody::Json { found, .. } => found.model_text.clone(),
        CallBody::Multipart { model, .. } => model.as_ref().map(|(text, _)| text.clone()),
        CallBody::Upload(upload) => upload.model.as_ref().map(|(text, _)| text.clone()),
        CallBody::Empty => None,
    };
    let delivery = match &body {
        CallBody::Json { found, .. } if found.stream => Delivery::Streamed,
        _ => Delivery::Whole,
    };
    let model = match asked.model.or(in_body) {
        Some(model) => Some(model),
        None => named_model(ours.model)?,
    };
    Ok(Call {
        id,
        protocol: asked.protocol,
        operation: asked.operation,
        delivery,
        model,
        method: head.method,
        query: asked.tail.as_ref().and_then(|_| kept_query(head.uri.query()?)),
        tail: asked.tail,
        conversation: conversation(&ours, &body),
        role: text(ours.role, "x-keyway-role")?,
        endpoint: text(ours.endpoint, "x-keyway-endpoint")?,
        project: text(ours.project, "x-keyway-project")?,
        provider: text(ours.provider, "x-keyway-provider")?,
        allowed: allowed(ours.allowed),
        headers,
        body,
    })
}

/// The headers that concern us, found in one walk.
#[derive(Default)]
struct Ours<'a> {
    session: Option<&'a HeaderValue>,
    /// What clients that know nothing of us call a conversation.
    clients_session: Option<&'a HeaderValue>,
    role: Option<&'a HeaderValue>,
    endpoint: Option<&'a HeaderValue>,
    project: Option<&'a HeaderValue>,
    provider: Option<&'a HeaderValue>,
    model: Option<&'a HeaderValue>,
    /// The client's own time-out: the Node SDK, the Python SDK and Google's each have a name for it.
    allowed: Option<&'a HeaderValue>,
}

impl<'a> Ours<'a> {
    fn among(headers: &'a HeaderMap) -> Self {
        let mut ours = Self::default();
        for (name, value) in headers {
            let place = match name.as_str() {
                "x-keyway-session" => &mut ours.session,
                "session-id" | "x-claude-code-session-id" => &mut ours.clients_session,
                "x-keyway-role" => &mut ours.role,
                "x-keyway-endpoint" => &mut ours.endpoint,
                "x-keyway-project" => &mut ours.project,
                "x-keyway-provider" => &mut ours.provider,
                "x-keyway-model" => &mut ours.model,
                "x-stainless-timeout" | "x-stainless-read-timeout" | "x-server-timeout" => &mut ours.allowed,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        ours
    }
}

/// The model that a header names for a form without one.
fn named_model(header: Option<&HeaderValue>) -> Result<Option<String>, Refusal> {
    let model = text(header, "x-keyway-model")?;
    match model.as_deref().and_then(scan::fault_of_model) {
        Some(why) => Err(Refusal::HeaderInvalid { header: "x-keyway-model", why }),
        None => Ok(model),
    }
}

/// A header of ours as text.
fn text(value: Option<&HeaderValue>, label: &'static str) -> Result<Option<String>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().map_err(|_| Refusal::HeaderInvalid { header: label, why: "it must be visible ASCII" })?;
    Ok(Some(text.trim().to_string()).filter(|text| !text.is_empty()))
}

/// The query of an object's call without what was meant for us.
fn kept_query(query: &str) -> Option<String> {
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !matches!(pair.split('=').next(), Some("key" | "api-version"))).collect();
    Some(kept.join("&")).filter(|query| !query.is_empty())
}

/// The conversation that the client names, hashed. The hash only spreads; nothing trusts it.
fn conversation(ours: &Ours<'_>, body: &CallBody) -> Option<u64> {
    let cached = match body {
        CallBody::Json { bytes, found } => found.prompt_cache_key.clone().map(|range| &bytes[range]),
        CallBody::Empty | CallBody::Multipart { .. } | CallBody::Upload(_) => None,
    };
    let named = ours.session.map(HeaderValue::as_bytes);
    let name = named.or(cached).or_else(|| ours.clients_session.map(HeaderValue::as_bytes))?;
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Some(hasher.finish())
}

/// The client's own time-out in seconds, if it states one that is a time.
fn allowed(stated: Option<&HeaderValue>) -> Option<Duration> {
    let seconds: f64 = stated?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}
