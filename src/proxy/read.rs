//! Takes a request's body once, bounded in bytes and time, and finds in it the few things the gateway needs.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, request};
use http_body::{Body, Frame};
use tokio::time::Instant;
use uuid::Uuid;

use super::bodies::{BodyBudget, BodyLimits, BodyShare};
use super::ours::{Ours, allowed, conversation, named_model, run, text};
use super::route::Asked;
use super::upload::Passing;
use crate::domain::call::{Call, CallBody, Found, Upload};
use crate::domain::protocol::{Delivery, Operation, Protocol};
use crate::domain::refusal::Refusal;
use crate::hands::{Hands, Undone};
use crate::listen::{BodyFault, RequestBody};
use crate::protocol::scan;

/// The beginning of a form that is too large to be held: its model must stand in it.
const BEGINNING_BYTES: usize = 64 * 1024;
/// Room made at once for a body of unknown length; it grows from there.
const FIRST_ROOM_BYTES: usize = 16 * 1024;

/// A call, with what holds of it until it is answered.
pub(super) struct Read {
    /// Boxed: half a kilobyte that several steps hand on.
    pub(super) call: Box<Call>,
    /// Does the client want to see the trail?
    pub(super) wants_trail: bool,
    /// For so long the client was waited for.
    pub(super) waited: Duration,
    /// Of the memory for bodies, to be held as long as the call is.
    pub(super) share: BodyShare,
}

/// The whole step: checks the head, takes the body, scans it.
pub(super) async fn read(
    asked: Asked,
    id: Uuid,
    head: &mut request::Parts,
    mut body: RequestBody,
    room: &Room<'_>,
) -> Result<Read, Refusal> {
    let ours = Ours::among(&head.headers);
    let form = form(asked.operation, &head.method, &ours)?;
    let (mut share, mut waited) = (BodyShare::none_of(room.budget), Duration::ZERO);
    let taken = take(&mut body, form, &ours, room.limits, &mut share, &mut waited).await?;
    let body = scanned(form, taken, &asked, &ours, room).await?;
    let wants_trail = ours.explain.is_some_and(|value| value == "1");
    let mut call = call(asked, id, head, &ours, body)?;
    call.headers = std::mem::take(&mut head.headers);
    Ok(Read { call, wants_trail, waited, share })
}

/// The bytes of a body that is no call yet, but becomes one or several.
pub(super) async fn json(
    head: &request::Parts,
    mut body: RequestBody,
    room: &Room<'_>,
) -> Result<(Bytes, BodyShare), Refusal> {
    let ours = Ours::among(&head.headers);
    let form = form(Operation::Responses, &head.method, &ours)?;
    let (mut share, mut waited) = (BodyShare::none_of(room.budget), Duration::ZERO);
    match take(&mut body, form, &ours, room.limits, &mut share, &mut waited).await? {
        Taken::Whole(bytes) => Ok((bytes, share)),
        Taken::Larger { .. } => Err(Refusal::BodyTooLarge { limit_bytes: room.limits.body_bytes as u64 }),
    }
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
fn form(operation: Operation, method: &Method, ours: &Ours<'_>) -> Result<Form, Refusal> {
    if let Some(coding) = ours.content_encoding.filter(|coding| *coding != "identity") {
        return Err(Refusal::ContentCoded(shown(coding)));
    }
    if *method != Method::POST || matches!(operation, Operation::StoredResponse) {
        return Ok(Form::None);
    }
    let (json, multipart) = match operation {
        Operation::Transcriptions | Operation::Translations | Operation::ImageVariations | Operation::Files => {
            (false, true)
        }
        Operation::ImageEdits => (true, true),
        _ => (true, false),
    };
    let Some(stated) = ours.content_type else {
        return if json { Ok(Form::Json) } else { Err(unsupported(false, "nothing".into())) };
    };
    if json && stated == "application/json" {
        return Ok(Form::Json);
    }
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
    body: &mut RequestBody,
    form: Form,
    ours: &Ours<'_>,
    limits: BodyLimits,
    share: &mut BodyShare,
    waited: &mut Duration,
) -> Result<Taken, Refusal> {
    let length = ours.content_length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
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
    while let Some(piece) = next_piece(body, waited).await? {
        taken += piece.len();
        if taken > enough && form != Form::Multipart {
            return Err(too_large);
        }
        if taken > share.bytes() {
            share.grow(taken - share.bytes())?;
        }
        match &mut several {
            None if first.is_empty() => first = piece,
            None => several = Some(joined(&first, &piece, stated.map(|length| length.min(enough)))),
            Some(several) => several.extend_from_slice(&piece),
        }
        if taken > enough {
            let beginning = several.map_or(first, BytesMut::freeze);
            let rest = std::mem::replace(body, RequestBody::whole(Bytes::new()));
            return Ok(Taken::Larger { beginning, rest, length });
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
async fn next_piece(body: &mut RequestBody, waited: &mut Duration) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = next_frame(body, waited).await {
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

/// The clock is read only where there is something to wait for: a small body comes with its head.
async fn next_frame(body: &mut RequestBody, waited: &mut Duration) -> Option<Result<Frame<Bytes>, BodyFault>> {
    let mut since = None;
    let frame = poll_fn(|cx| {
        let polled = Pin::new(&mut *body).poll_frame(cx);
        if polled.is_pending() {
            since.get_or_insert_with(Instant::now);
        }
        polled
    })
    .await;
    *waited += since.map_or(Duration::ZERO, |since| since.elapsed());
    frame
}

async fn scanned(
    form: Form,
    taken: Taken,
    asked: &Asked,
    ours: &Ours<'_>,
    room: &Room<'_>,
) -> Result<CallBody, Refusal> {
    let content_type = || ours.content_type.cloned().unwrap_or(HeaderValue::from_static("multipart/form-data"));
    match (form, taken) {
        (Form::None, Taken::Whole(bytes)) if bytes.is_empty() => Ok(CallBody::Empty),
        // What is done to an object, such as to cancel it, often needs no words.
        (Form::Json, Taken::Whole(bytes)) if bytes.is_empty() && !asked.operation.names_model() => Ok(CallBody::Empty),
        (Form::None, _) => Err(Refusal::Malformed("this operation takes no body")),
        (Form::Json, Taken::Whole(bytes)) => {
            let found = scan_json(&bytes, asked.operation, room.hands).await?;
            Ok(CallBody::Json { bytes, found })
        }
        (Form::Json, Taken::Larger { .. }) => Err(Refusal::BodyTooLarge { limit_bytes: room.limits.body_bytes as u64 }),
        (Form::Multipart, Taken::Whole(bytes)) => {
            let content_type = content_type();
            let model = scan_form(&bytes, &content_type, room.hands).await?;
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

/// Where it runs depends on how long it takes. What proves to be too much here begins again on a thread for such work.
pub(super) async fn scan_json(bytes: &Bytes, operation: Operation, hands: &Hands) -> Result<Box<Found>, Refusal> {
    if let Some(found) = scan::json_at_once(bytes, operation) {
        return found;
    }
    let shared = bytes.clone();
    // Boxed, so that calls with small bodies do not keep its room.
    Box::pin(hands.blocking(move || scan::json(&shared, operation))).await.map_err(busy)?
}

async fn scan_form(
    bytes: &Bytes,
    content_type: &HeaderValue,
    hands: &Hands,
) -> Result<Option<(String, Range<usize>)>, Refusal> {
    let (shared, content_type) = (bytes.clone(), content_type.clone());
    Box::pin(hands.over(bytes.len(), move || scan::multipart(&shared, &content_type))).await.map_err(busy)?
}

pub(super) fn busy(_: Undone) -> Refusal {
    Refusal::AtCapacity("large bodies being read")
}

fn call(asked: Asked, id: Uuid, head: &request::Parts, ours: &Ours<'_>, body: CallBody) -> Result<Box<Call>, Refusal> {
    let model_in_body = match &body {
        CallBody::Json { found, .. } => found.model_text.clone(),
        CallBody::Multipart { model, .. } => model.as_ref().map(|(text, _)| text.clone()),
        CallBody::Upload(upload) => upload.model.as_ref().map(|(text, _)| text.clone()),
        CallBody::Empty => None,
    };
    let in_body = match &body {
        CallBody::Json { found, .. } if found.stream => Delivery::Streamed,
        _ => Delivery::Whole,
    };
    let delivery = asked.delivery.unwrap_or(in_body);
    let kept = |query| if asked.protocol == Protocol::Gemini { framing(query) } else { kept_query(query) };
    let query = head.uri.query().filter(|_| asked.tail.is_some() || asked.protocol == Protocol::Gemini);
    let model = match asked.model.or(model_in_body) {
        Some(model) => Some(model),
        None => named_model(ours.model)?,
    };
    let run = run(ours)?;
    let role = text(ours.role, "x-keyway-role")?;
    let endpoint = text(ours.endpoint, "x-keyway-endpoint")?;
    let project = text(ours.project, "x-keyway-project")?;
    let provider = text(ours.provider, "x-keyway-provider")?;
    Ok(Box::write(
        Box::new_uninit(),
        Call {
            id,
            protocol: asked.protocol,
            operation: asked.operation,
            delivery,
            model,
            method: head.method.clone(),
            query: query.and_then(kept),
            tail: asked.tail,
            run,
            conversation: conversation(ours, &body),
            role,
            endpoint,
            project,
            provider,
            continues: None,
            allowed: allowed(ours.allowed),
            headers: HeaderMap::new(),
            body,
        },
    ))
}

/// How a stream of Gemini's is to be framed, where that is said.
fn framing(query: &str) -> Option<String> {
    const EVENTS: &str = "alt=sse";
    query.split('&').any(|pair| pair == EVENTS).then(|| EVENTS.to_string())
}

/// The query of an object's call without what was meant for us.
fn kept_query(query: &str) -> Option<String> {
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !matches!(pair.split('=').next(), Some("key" | "api-version"))).collect();
    Some(kept.join("&")).filter(|query| !query.is_empty())
}
