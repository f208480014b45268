//! Objects that lie at providers under a shared credential: put on record, and listed from there.
//!
//! What a call makes on a credential of its workspace's own is none of our business, and passes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use crate::attempt::{Reply, ReplyBody};
use crate::domain::call::{Call, Deed};
use crate::domain::protocol::Operation;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::protocol;
use crate::protocol::chat::objects::{self, Described, Line};
use crate::protocol::responses;
use crate::resolve::Plan;
use crate::snapshot::Caller;
use crate::store::state::{Object, ObjectKind, Order, Page, State};

/// Lines of one page. Providers give up to 10,000 files; who asks for more than this follows `has_more`.
const PAGE_MAX: u32 = 100;
const PAGE_DEFAULT: u32 = 20;

/// A description of an object is some 300 bytes long, with all that a client may note on it 10 KiB.
const DESCRIPTION_LIMIT_BYTES: usize = 64 * 1024;
/// How long the rest of one may take: its head came in time.
const REST_WAIT: Duration = Duration::from_secs(30);

/// A response that is not streamed is read so far for the ids of its items before it goes on; most are shorter.
const RESPONSE_READ_BYTES: usize = 256 * 1024;

/// The list that a call asks for, if it is ours to give.
pub(super) async fn listed(
    state: &State,
    caller: &Caller,
    plan: &Plan<'_>,
    call: &Call,
) -> Option<Result<Box<Reply>, Refusal>> {
    if call.deed() != Deed::Lists || !plan.first().is_shared() {
        return None;
    }
    Some(Box::pin(list(state, caller, plan, call)).await)
}

async fn list(state: &State, caller: &Caller, plan: &Plan<'_>, call: &Call) -> Result<Box<Reply>, Refusal> {
    let asked = objects::asked(call.query.as_deref().unwrap_or_default());
    let asked = asked.map_err(|field| Refusal::FieldInvalid { field, why: "it is none that a list takes" })?;
    let (kind, object) = match call.operation {
        Operation::Batches => (ObjectKind::Batch, "batch"),
        _ => (ObjectKind::File, "file"),
    };
    let default = if kind == ObjectKind::Batch { PAGE_DEFAULT } else { PAGE_MAX };
    let limit = asked.limit.unwrap_or(default).min(PAGE_MAX);
    let from = plan.first().answerer();
    let page = Page {
        workspace: caller.workspace(),
        provider: from.provider_id,
        kind,
        purpose: asked.purpose.map(str::to_string),
        after: asked.after.map(str::to_string),
        order: if asked.oldest_first { Order::OldestFirst } else { Order::NewestFirst },
        // One more shows whether there is more.
        limit: limit + 1,
    };
    let mut found = state.page(page).await.map_err(|_| Refusal::StateAway)?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let lines: Vec<Line<'_>> = found
        .iter()
        .map(|one| Line {
            id: &one.id,
            object,
            purpose: one.purpose.as_deref(),
            created_at_s: one.created_at.0.div_euclid(1_000),
            shown: one.shown.as_deref(),
        })
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = ReplyBody::Whole(objects::page(&lines, has_more));
    Ok(Box::new(Reply { status: StatusCode::OK, headers, body, from, is_translated: false, at: Instant::now() }))
}

/// Puts on record what an answer says of objects under a shared credential, before the client hears it: a file or batch
/// that could not be put on record is refused, for nobody could ever ask for it.
pub(super) async fn kept(
    state: &State,
    caller: &Caller,
    call: &Call,
    result: Result<Box<Reply>, Refusal>,
) -> Result<Box<Reply>, Refusal> {
    let concerns = |reply: &Reply| reply.from.is_shared && !reply.is_translated && reply.status.is_success();
    match (call.operation, result) {
        (Operation::Responses, Ok(reply)) if concerns(&reply) => {
            Box::pin(noted_response(state, caller, call, reply)).await
        }
        (operation, Ok(reply)) if !operation.names_model() && concerns(&reply) => {
            Box::pin(noted(state, caller, call, reply)).await
        }
        (_, result) => result,
    }
}

/// A response's id and those of its items are not waited for: whoever asks for them later asks behind this note.
async fn noted_response(state: &State, caller: &Caller, call: &Call, reply: Box<Reply>) -> Result<Box<Reply>, Refusal> {
    let mut reply = read_on(reply, RESPONSE_READ_BYTES).await?;
    let item = object(caller, &reply, ObjectKind::Item, String::new());
    let note_items = |ids: Vec<String>| ids.into_iter().for_each(|id| state.made(Object { id, ..item.clone() }));
    let id = match &mut reply.body {
        ReplyBody::Whole(bytes) => {
            note_items(responses::item_ids(bytes));
            protocol::object_id(bytes)
        }
        ReplyBody::Passing { first, .. } => {
            let read = first.concat();
            note_items(responses::item_ids(&read));
            protocol::object_id(&read)
        }
        ReplyBody::Events { tap, .. } => {
            let (state, item) = (state.clone(), item.clone());
            tap.tells_items(Box::new(move |id| state.made(Object { id, ..item.clone() })));
            tap.object_id().map(str::to_string)
        }
    };
    if let Some(id) = id.filter(|_| call.deed() == Deed::Makes) {
        state.made(object(caller, &reply, ObjectKind::Response, id));
    }
    Ok(reply)
}

async fn noted(state: &State, caller: &Caller, call: &Call, reply: Box<Reply>) -> Result<Box<Reply>, Refusal> {
    match call.deed() {
        Deed::Makes | Deed::Shows => {
            let (reply, body) = whole(reply).await?;
            let Some(described) = objects::described(&body) else { return Ok(reply) };
            let objects = described_objects(caller, call, &reply, described, body);
            // Of one that is on record already only its description is news, and worth no wait.
            if call.deed() == Deed::Makes || objects.len() > 1 {
                state.record(objects).await.map_err(|_| Refusal::StateAway)?;
            } else {
                objects.into_iter().for_each(|object| state.made(object));
            }
            Ok(reply)
        }
        Deed::Deletes => {
            let (reply, body) = whole(reply).await?;
            if let Some(id) = call.object_in_path().filter(|_| objects::is_deleted(&body)) {
                state.gone(caller.workspace(), id.to_string(), reply.from.provider_id);
            }
            Ok(reply)
        }
        Deed::Lists | Deed::Other => Ok(reply),
    }
}

/// The object that an answer describes, and the files that came of it.
fn described_objects(caller: &Caller, call: &Call, reply: &Reply, described: Described, body: Bytes) -> Vec<Object> {
    let kind = match call.operation {
        Operation::Batches => ObjectKind::Batch,
        Operation::Conversations => ObjectKind::Conversation,
        _ => ObjectKind::File,
    };
    let Described { id, purpose, files } = described;
    let main = Object { purpose, shown: Some(body), ..object(caller, reply, kind, id) };
    let of_it = files.into_iter().map(|id| object(caller, reply, ObjectKind::File, id));
    std::iter::once(main).chain(of_it).collect()
}

fn object(caller: &Caller, reply: &Reply, kind: ObjectKind, id: String) -> Object {
    Object {
        workspace: caller.workspace(),
        id,
        provider: reply.from.provider_id,
        credential: reply.from.credential,
        kind,
        purpose: None,
        shown: None,
        created_at: Timestamp::now(),
    }
}

/// The reply with all of its body here.
async fn whole(reply: Box<Reply>) -> Result<(Box<Reply>, Bytes), Refusal> {
    let reply = read_on(reply, DESCRIPTION_LIMIT_BYTES).await?;
    match &reply.body {
        ReplyBody::Whole(bytes) => {
            let bytes = bytes.clone();
            Ok((reply, bytes))
        }
        ReplyBody::Passing { .. } => {
            Err(failed(&reply.from.provider, "its answer is longer than any description of an object"))
        }
        // A stream answers nothing of this kind.
        ReplyBody::Events { .. } => Ok((reply, Bytes::new())),
    }
}

/// The reply with the rest of its body here, if that is no longer than this.
async fn read_on(mut reply: Box<Reply>, limit_bytes: usize) -> Result<Box<Reply>, Refusal> {
    let ReplyBody::Passing { first, rest } = &mut reply.body else { return Ok(reply) };
    let mut all = BytesMut::from(&*first.concat());
    let reading = async {
        while all.len() <= limit_bytes {
            match rest.frame().await {
                Some(Ok(frame)) => all.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(broken)) => return Err(failed(&reply.from.provider, &broken.to_string())),
                None => return Ok(true),
            }
        }
        Ok(false)
    };
    let has_ended = timeout(REST_WAIT, reading).await.map_err(|_| Refusal::TimedOut)??;
    match has_ended {
        true => reply.body = ReplyBody::Whole(all.freeze()),
        false => *first = vec![all.freeze()],
    }
    Ok(reply)
}

fn failed(provider: &str, failure: &str) -> Refusal {
    Refusal::ProviderFailed { provider: provider.to_string(), failure: failure.to_string() }
}
