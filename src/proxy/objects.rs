//! Objects that lie at providers under a shared credential: put on record, and listed from there.
//!
//! What a call makes on a credential of its workspace's own is none of our business, and passes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::attempt::{Reply, ReplyBody};
use crate::domain::call::{Call, Deed};
use crate::domain::protocol::Operation;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::protocol;
use crate::protocol::chat::objects::{self, Described, Line};
use crate::resolve::Plan;
use crate::snapshot::Caller;
use crate::store::state::{Object, ObjectKind, Order, Page, State};

/// Lines of one page. Providers give up to 10,000 files; who asks for more than this follows `has_more`.
const PAGE_MAX: u32 = 100;
const PAGE_DEFAULT: u32 = 20;

/// A description of an object is some 300 bytes long, with all that a client may note on it 10 KiB.
const DESCRIPTION_LIMIT_BYTES: usize = 64 * 1024;
/// How long the rest of one may take: its head came in time.
const DESCRIPTION_WAIT: Duration = Duration::from_secs(30);

/// The list that a call asks for, if it is ours to give.
pub(super) async fn listed(state: &State, caller: &Caller, plan: &Plan, call: &Call) -> Option<Result<Reply, Refusal>> {
    if call.deed() != Deed::Lists || !plan.first().is_shared() {
        return None;
    }
    Some(Box::pin(list(state, caller, plan, call)).await)
}

async fn list(state: &State, caller: &Caller, plan: &Plan, call: &Call) -> Result<Reply, Refusal> {
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
    Ok(Reply { status: StatusCode::OK, headers, body: ReplyBody::Whole(objects::page(&lines, has_more)), from })
}

/// Puts on record what an answer says of objects under a shared credential, before the client hears it: a file or batch
/// that could not be put on record is refused, for nobody could ever ask for it.
pub(super) async fn kept(
    state: &State,
    caller: &Caller,
    call: &Call,
    result: Result<Reply, Refusal>,
) -> Result<Reply, Refusal> {
    let concerns = |reply: &Reply| reply.from.is_shared && reply.status.is_success();
    match (call.operation, result) {
        (Operation::Responses, Ok(reply)) if concerns(&reply) => {
            note_response(state, caller, call, &reply);
            Ok(reply)
        }
        (Operation::Files | Operation::Batches | Operation::StoredResponse, Ok(reply)) if concerns(&reply) => {
            Box::pin(noted(state, caller, call, reply)).await
        }
        (_, result) => result,
    }
}

/// A response's id is not waited for: whoever asks for it later asks behind this note.
fn note_response(state: &State, caller: &Caller, call: &Call, reply: &Reply) {
    if call.deed() != Deed::Makes {
        return;
    }
    let id = match &reply.body {
        ReplyBody::Whole(bytes) => protocol::object_id(bytes),
        ReplyBody::Passing { first, .. } => protocol::object_id(&first.concat()),
        ReplyBody::Events { tap, .. } => tap.object_id().map(str::to_string),
    };
    if let Some(id) = id {
        state.made(object(caller, reply, ObjectKind::Response, id));
    }
}

async fn noted(state: &State, caller: &Caller, call: &Call, reply: Reply) -> Result<Reply, Refusal> {
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
    let kind = if call.operation == Operation::Batches { ObjectKind::Batch } else { ObjectKind::File };
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
async fn whole(reply: Reply) -> Result<(Reply, Bytes), Refusal> {
    let body = match reply.body {
        ReplyBody::Whole(bytes) => bytes,
        ReplyBody::Passing { first, mut rest } => {
            let failed = |failure: &str| Refusal::ProviderFailed {
                provider: reply.from.provider.to_string(),
                failure: failure.to_string(),
            };
            let mut all = BytesMut::from(&*first.concat());
            let reading = async {
                while let Some(frame) = rest.frame().await {
                    let frame = frame.map_err(|broken| failed(&broken.to_string()))?;
                    all.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                    if all.len() > DESCRIPTION_LIMIT_BYTES {
                        return Err(failed("its answer is longer than any description of an object"));
                    }
                }
                Ok(())
            };
            timeout(DESCRIPTION_WAIT, reading).await.map_err(|_| Refusal::TimedOut)??;
            all.freeze()
        }
        // A stream answers nothing of this kind.
        ReplyBody::Events { .. } => return Ok((reply, Bytes::new())),
    };
    Ok((Reply { body: ReplyBody::Whole(body.clone()), ..reply }, body))
}
