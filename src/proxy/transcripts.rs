//! Conversations that we keep for providers that keep none: put into a call that goes on from one, kept of an answer that
//! one can go on from, and shown to whoever asks for them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;

use super::bodies::BodyShare;
use super::read;
use crate::attempt::{Reply, ReplyBody};
use crate::domain::call::{Call, CallBody};
use crate::domain::id::Id;
use crate::domain::protocol::Operation;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Answerer, Priced};
use crate::hands::Hands;
use crate::protocol;
use crate::protocol::hub::ids::Ids;
use crate::protocol::responses::transcript;
use crate::protocol::splice::Pieces;
use crate::snapshot::Caller;
use crate::store::state::{State, TRANSCRIPT_LIMIT_BYTES, Transcript};

/// Puts what was said before into the body of a call that goes on from a response of ours.
pub(super) async fn put_before(
    state: &State,
    hands: &Hands,
    caller: &Caller,
    call: &mut Call,
    share: &mut BodyShare,
) -> Result<(), Refusal> {
    let CallBody::Json { bytes, found } = &mut call.body else { return Ok(()) };
    let Some(id) = found.previous_response_id.take_if(|id| Ids::is_response(id)) else { return Ok(()) };
    let kept = state.transcript(caller.workspace(), id.clone()).await.map_err(|_| Refusal::StateAway)?;
    let Some(Transcript { input, response, .. }) = kept else { return Err(Refusal::ResponseNotFound(id)) };
    share.grow(input.len() + response.len())?;
    let (body, own) = (bytes.clone(), found.clone());
    let joined =
        hands.over(bytes.len() + response.len(), move || transcript::continued(&body, &own, &input, &response));
    *bytes = joined.await.map(|pieces: Pieces| pieces.joined()).map_err(read::busy)?;
    *found = read::scan_json(bytes, call.operation, hands).await?;
    found.previous_response_id = None;
    call.continues = Some(id);
    Ok(())
}

/// Keeps a response of ours with what led to it, unless its client wants none of it. Nobody waits for that: whoever goes on
/// from it asks behind this note.
pub(super) fn keep(state: &State, caller: &Caller, call: &Call, reply: &mut Reply, share: &mut Option<BodyShare>) {
    let CallBody::Json { bytes, found } = &call.body else { return };
    if !reply.is_translated || !reply.status.is_success() || found.store == Some(false) {
        return;
    }
    let input = found.places.input.clone().map_or(Bytes::from_static(b"[]"), |at| bytes.slice(at));
    if input.len() > TRANSCRIPT_LIMIT_BYTES {
        return;
    }
    let (state, workspace) = (state.clone(), caller.workspace());
    let keep = move |response: Bytes| {
        if let Some(id) = protocol::object_id(&response) {
            state.keep(Transcript { workspace, id, input, response, created_at: Timestamp::now() });
        }
    };
    match &mut reply.body {
        ReplyBody::Whole(response) => keep(response.clone()),
        ReplyBody::Events { tap, .. } => {
            // The input is held as long as the stream lasts, so its place in the budget is too.
            let held = share.take();
            tap.tells_end(Box::new(move |events| {
                let _held = held;
                if let Some(response) = transcript::ended(events) {
                    keep(Bytes::copy_from_slice(response));
                }
            }));
        }
        ReplyBody::Passing { .. } => {}
    }
}

/// What is asked of a response of ours; `None` where it is not ours to answer.
pub(super) async fn shown(state: &State, caller: &Caller, call: &Call) -> Option<Result<Box<Reply>, Refusal>> {
    if call.operation != Operation::StoredResponse {
        return None;
    }
    let id = call.object_in_path().filter(|id| Ids::is_response(id))?;
    let below = call.tail.as_deref()?.strip_prefix('/')?.strip_prefix(id)?;
    let body = match (&call.method, below) {
        (&Method::GET, "") => kept(state, caller, id).await.map(|kept| kept.response),
        (&Method::GET, "/input_items") => {
            kept(state, caller, id).await.map(|kept| transcript::input_items(&kept.input))
        }
        (&Method::DELETE, "") => match state.forget(caller.workspace(), id.to_string()).await {
            Ok(true) => Ok(transcript::deleted(id)),
            Ok(false) => Err(unknown()),
            Err(_) => Err(Refusal::StateAway),
        },
        // There are none in the background that could be cancelled.
        _ => Err(unknown()),
    };
    Some(body.map(reply))
}

async fn kept(state: &State, caller: &Caller, id: &str) -> Result<Transcript, Refusal> {
    let found = state.transcript(caller.workspace(), id.to_string()).await.map_err(|_| Refusal::StateAway)?;
    found.ok_or_else(unknown)
}

fn unknown() -> Refusal {
    Refusal::ObjectNotFound("the response in the path")
}

/// An answer that no provider gave.
fn reply(body: Bytes) -> Box<Reply> {
    let from = Answerer {
        provider: Arc::from("keyway"),
        provider_id: Id::from_uuid(uuid::Uuid::nil()),
        model: Arc::from(""),
        is_registered: false,
        scope: None,
        credential: None,
        is_shared: false,
        priced: Priced::default(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let (status, body) = (StatusCode::OK, ReplyBody::Whole(body));
    Box::new(Reply { status, headers, body, from, is_translated: true, at: Instant::now() })
}
