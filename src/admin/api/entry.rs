//! The one door of the API: every request of the table comes through here, in this order: whose token is it, may it ask
//! for this anywhere, was it asked before, what does it bring; then its handler; then the change is put in force.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ring::digest::{Context, SHA256};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::Api;
use super::answer::{JSON, Ready};
use super::ask::Entered;
use super::problem::{Fault, Problem};
use super::table::{Needs, Row};
use crate::authenticate::authenticate;
use crate::directory::{Access, Actor, Expected, Tag};
use crate::domain::permission::Permission;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::token::is_well_formed;
use crate::listen::Peer;
use crate::snapshot::Caller;
use crate::store::state::replays::{Begun, KeptAnswer, ReplayKey, RequestDigest};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-keyway-request-id");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest idempotency key: a UUID has 36, and who needs more hashes.
const KEY_MAX: usize = 255;
/// Tags in one `If-Match`; a client has one, a proxy in front of it may have a few.
const TAGS_MAX: usize = 16;

/// Answers a request for a row; the answer carries the id under which its trouble is logged.
pub(super) async fn answer(
    api: Arc<Api>,
    row: Arc<Row>,
    path: Vec<(String, String)>,
    request: Request<Body>,
) -> Response {
    let id = Uuid::now_v7();
    let (method, route) = (row.method.clone(), row.path);
    let mut response = match enter(api, row, path, request).await {
        Ok((ready, replayed)) => respond(ready, replayed),
        Err(problem) => {
            if problem.is_ours() {
                tracing::error!(request = %id, %method, route, code = problem.code, "the admin API could not answer: {}", problem.detail);
            }
            problem.into_response()
        }
    };
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

async fn enter(
    api: Arc<Api>,
    row: Arc<Row>,
    path: Vec<(String, String)>,
    request: Request<Body>,
) -> Result<(Ready, bool), Problem> {
    let (head, body) = request.into_parts();
    let peer = head.extensions.get::<Arc<Peer>>().cloned();
    let caller = caller(&api, &head, peer.as_deref()).await?;
    let access = access(&api, &caller);
    if let Needs::Permission(permission, _) = row.needs {
        access.actor.may_anywhere(permission)?;
    }
    let expected = if row.is_conditional() { expected(&head.headers)? } else { Expected::Anything };
    let key = if row.method == Method::POST { replay_key(&head.headers, &caller)? } else { None };
    let body = read(&api, &row, &head.headers, body).await?;
    let digest = digest(&head, &body);
    let query = head.uri.query().map(str::to_string);
    let entered = Entered { api: api.clone(), access, caller, path, query, body, expected };
    let work = run(api, row.clone(), entered, key, digest);
    match peer.filter(|_| row.is_change()) {
        // A change that has begun is finished, put in force and remembered also when its client has gone.
        Some(peer) => {
            let (done, wait) = oneshot::channel();
            peer.spawn(async move {
                let _ = done.send(work.await);
            });
            wait.await.unwrap_or_else(|_| Err(failed()))
        }
        None => work.await,
    }
}

fn failed() -> Problem {
    Problem::of(Fault::Failed, "the request could not be finished; look at the thing before you try again")
}

/// Metrics are no resource: they have a path of their own, and this permission.
pub(crate) async fn may_see_metrics(api: &Api, head: &Parts) -> Result<(), Problem> {
    let peer = head.extensions.get::<Arc<Peer>>().cloned();
    let caller = caller(api, head, peer.as_deref()).await?;
    match caller.holds(Permission::MetricsView) {
        true => Ok(()),
        false => Err(Refusal::MetricsDenied.into()),
    }
}

/// Whoever the head's token stands for.
async fn caller(api: &Api, head: &Parts, peer: Option<&Peer>) -> Result<Caller, Problem> {
    let refusal = match authenticate(&api.world, &head.headers, Timestamp::now()).await {
        Ok(caller) => {
            if let Some(peer) = peer {
                peer.has_shown_a_token();
            }
            return Ok(caller);
        }
        Err(refusal) => refusal,
    };
    if refusal == Refusal::TokenUnknown
        && let Some(peer) = peer
    {
        let counted =
            api.failures.count(peer.address(&head.headers), token_id(&head.headers).as_deref(), Instant::now());
        counted.map_err(|wait| {
            let detail = "too many tokens that are unknown, revoked or expired were shown from here";
            Problem::of(Fault::TooManyFailures, detail).retry_after(wait)
        })?;
    }
    Err(refusal.into())
}

/// The id inside what claims to be a token of ours: `kw_<id>_<secret>_<checksum>`.
fn token_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = text.split_ascii_whitespace().nth(1)?;
    let id = token.split('_').nth(1)?;
    is_well_formed(token.as_bytes()).then(|| id.to_string())
}

fn access(api: &Api, caller: &Caller) -> Access {
    let ground = api.ground.load();
    let actor = Actor::token(caller.token(), caller.view().org.id);
    Access {
        store: api.store.clone(),
        declared: ground.declared.clone(),
        egress: ground.egress.clone(),
        actor: if caller.asserted_user().is_some() { actor.asserting() } else { actor },
    }
}

/// `If-Match`: `*`, or strong tags. A weak one agrees with nothing, as RFC 9110 has it.
fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let mut tags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().map_err(|_| wrong_tag())?;
        if text.trim() == "*" {
            return Ok(Expected::Something);
        }
        for tag in text.split(',').map(str::trim) {
            let strong =
                tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            match strong {
                Some(inner) if tags.len() < TAGS_MAX && !tag.starts_with("W/") => tags.push(Tag::given(inner)),
                Some(_) if tag.starts_with("W/") => tags.push(Tag::given("")),
                _ => return Err(wrong_tag()),
            }
        }
    }
    Ok(if tags.is_empty() { Expected::Anything } else { Expected::As(tags) })
}

fn wrong_tag() -> Problem {
    let why = "it must be `*` or tags between quotes, as an ETag gave them";
    Refusal::HeaderInvalid { header: "if-match", why }.into()
}

fn replay_key(headers: &HeaderMap, caller: &Caller) -> Result<Option<ReplayKey>, Problem> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let text = value.as_bytes();
    match text.len() <= KEY_MAX && !text.is_empty() && text.iter().all(u8::is_ascii_graphic) && all.next().is_none() {
        true => Ok(Some(ReplayKey { token: caller.token().id, key: String::from_utf8_lossy(text).into_owned() })),
        false => {
            let why = "it must be there once, 1 to 255 visible ASCII characters without blanks";
            Err(Refusal::HeaderInvalid { header: "idempotency-key", why }.into())
        }
    }
}

/// The body's bytes, where the row takes any.
async fn read(api: &Api, row: &Row, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    if row.media.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(coding) = headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity") {
        return Err(Refusal::ContentCoded(String::from_utf8_lossy(coding.as_bytes()).into_owned()).into());
    }
    if let Some(media) = headers.get(header::CONTENT_TYPE) {
        let text = String::from_utf8_lossy(media.as_bytes());
        let bare = text.split(';').next().unwrap_or_default().trim();
        if !row.media.iter().any(|taken| taken.eq_ignore_ascii_case(bare)) {
            return Err(Refusal::ContentType { takes: row.media[0], got: bare.to_string() }.into());
        }
    }
    let limit_bytes = api.ground.load().body_limit_bytes;
    match Limited::new(body, limit_bytes).collect().await {
        Ok(whole) => Ok(whole.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Refusal::BodyTooLarge { limit_bytes: limit_bytes as u64 }.into())
        }
        Err(_) => Err(Refusal::BodyBroken.into()),
    }
}

/// What a request is, for its idempotency key.
fn digest(head: &Parts, body: &[u8]) -> RequestDigest {
    let mut context = Context::new(&SHA256);
    for part in
        [head.method.as_str().as_bytes(), head.uri.path().as_bytes(), head.uri.query().unwrap_or_default().as_bytes()]
    {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.update(body);
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The handler, once for each key.
async fn run(
    api: Arc<Api>,
    row: Arc<Row>,
    entered: Entered,
    key: Option<ReplayKey>,
    digest: RequestDigest,
) -> Result<(Ready, bool), Problem> {
    if let Some(key) = &key {
        match api.replays.begin(key, digest, Timestamp::now()).await? {
            Begun::First => {}
            Begun::Done(answer) => return Ok((replayed(answer)?, true)),
            Begun::Underway => {
                let detail = "a request with this idempotency key is still being done";
                return Err(Problem::of(Fault::KeyUnderway, detail).with_field("idempotency-key"));
            }
            Begun::OtherRequest => {
                let detail = "this idempotency key belongs to another request; draw a new one for each";
                return Err(Problem::of(Fault::KeyReused, detail).with_field("idempotency-key"));
            }
        }
    }
    let ready = (row.run)(entered).await;
    if row.is_change() && ready.is_ok() {
        api.live.take_up().await;
    }
    if let Some(key) = &key {
        // What failed may be tried again under the same key. The change itself is done: that nobody could note the key
        // is no reason to say that it is not.
        if let Err(error) = api.replays.end(key, ready.as_ref().ok().map(kept)).await {
            tracing::warn!(%error, "an answer could not be kept under its idempotency key");
        }
    }
    ready.map(|ready| (ready, false))
}

fn kept(ready: &Ready) -> KeptAnswer {
    KeptAnswer {
        status: ready.status.as_u16(),
        etag: ready.etag.clone(),
        location: ready.location.clone(),
        body: ready.to_keep.clone().unwrap_or_else(|| ready.body.clone()),
    }
}

fn replayed(answer: KeptAnswer) -> Result<Ready, Problem> {
    let status = http::StatusCode::from_u16(answer.status).map_err(|_| failed())?;
    Ok(Ready { status, etag: answer.etag, location: answer.location, body: answer.body, to_keep: None, media: JSON })
}

fn respond(ready: Ready, replayed: bool) -> Response {
    let has_body = !ready.body.is_empty();
    let mut response = Response::new(Body::from(ready.body));
    *response.status_mut() = ready.status;
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ready.media));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(value) = ready.etag.and_then(|tag| HeaderValue::try_from(format!("\"{tag}\"")).ok()) {
        headers.insert(header::ETAG, value);
    }
    if let Some(value) = ready.location.and_then(|path| HeaderValue::try_from(format!("{}{path}", super::ROOT)).ok()) {
        headers.insert(header::LOCATION, value);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
