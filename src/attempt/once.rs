//! One attempt: one upstream request to one target, up to its commit or its failure.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::client::{Answer, Destination};
use super::gate::Judged;
use super::places::Places;
use super::process::Started;
use super::reply::{Accused, Reply, ReplyBody, Rest, Source};
use super::request::Request;
use super::round::Deadline;
use super::tap::Tap;
use super::translation::Translation;
use super::{Run, Settings, estimate, gate, places, request};
use crate::domain::call::Call;
use crate::domain::entity::Scope;
use crate::domain::failure::Failure;
use crate::domain::protocol::{Delivery, Protocol};
use crate::domain::usage::Usage;
use crate::protocol::{self, program};
use crate::resolve::Target;

/// What is read of an error's body, for its classification and for the client.
const ERROR_BODY_BYTES: usize = 64 * 1024;
/// And how long for: the status says the most, and a body that stands still must not turn a refusal into a time-out.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

/// An attempt that came to nothing, with what the provider said of it.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) said: Option<Box<Said>>,
    /// What the provider says it had used by then.
    pub(super) spent: Option<Box<Usage>>,
}

impl std::convert::From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, said: None, spent: None }
    }
}

/// A provider's error, fit for the client: its body holds no key, its headers are on the list.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Tries one target. Dropping this future ends the upstream request.
pub(super) async fn once(
    run: &Run<'_>,
    target: &Target<'_>,
    deadline: Deadline,
    now: Instant,
) -> Result<Box<Reply>, Failed> {
    if let Some(reply) = estimate::estimated(run.call, target) {
        return Ok(reply);
    }
    let (places, now) = places::take(&run.attempts.parallel, target, run.settings.per_address, deadline, now).await?;
    let (destination, mut request) = request::build(run, target, now).await?;
    let until = deadline.at.min(now + target.timeout());
    // Pinned here, for what is given a future by value moves all of it.
    let answering = pin!(answered(run, target, &destination, &mut request, places));
    timeout_at(until, answering).await.unwrap_or_else(|_| Err(deadline.failure(Instant::now()).into()))
}

/// Sends the request. Is the answer good enough to be the client's?
async fn answered(
    run: &Run<'_>,
    target: &Target<'_>,
    destination: &Destination,
    request: &mut Request<'_>,
    places: Places,
) -> Result<Box<Reply>, Failed> {
    let mut answer = if target.command().is_empty() {
        let sent = run.core.client.send(destination, request).await;
        let Answer { status, headers, body, .. } = sent.map_err(|failure| request.broke.instead_of(failure))?;
        Heard { status, headers, body: Source::Http(body) }
    } else {
        let body = request.whole();
        Box::pin(of_program(run, target, body)).await?
    };
    let upstream = request.upstream;
    let mut headers = passed_headers(target, upstream, run.call, &answer.headers);
    if !answer.status.is_success() {
        return Err(Box::pin(failed(answer, headers, request)).await);
    }
    if is_coded(&answer.headers) {
        return Err(Failure::Garbage("its body is coded, which nobody asked for".into()).into());
    }
    let status = answer.status;
    let kind = answer.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let accused = || Accused::new(&run.attempts.breakers, run.caller.workspace(), target);
    let rest = |body| Box::new(Rest::new(body, places, accused()));
    let translation = request.translation.take();
    let is_translated = translation.is_some();
    let body = if let Some(translation) = translation {
        translation.head(&mut headers, run.call.delivery);
        Box::pin(translated(run, answer, translation, rest)).await?
    } else if is_events(kind) {
        // Not only what the body's `stream` asked for: a form, a query or `stream_format` may have, too.
        let mut tap = Box::new(Tap::new(upstream, request.drops_usage));
        let held = held(&mut answer.body, &mut tap, run.settings).await?;
        ReplyBody::Events { held, tap, rest: rest(answer.body) }
    } else {
        match gate::whole(&mut answer.body, kind, run.settings.answer_limit_bytes).await? {
            Judged::Whole(bytes) => ReplyBody::Whole(bytes),
            Judged::Longer(first) => ReplyBody::Passing { first, rest: rest(answer.body) },
        }
    };
    Ok(Box::write(
        Box::new_uninit(),
        Reply { status, headers, body, from: target.answerer(), is_translated, at: Instant::now() },
    ))
}

/// An answer's head, and its body to come.
struct Heard {
    status: StatusCode,
    headers: HeaderMap,
    body: Source,
}

/// Asks a program on this machine.
async fn of_program(run: &Run<'_>, target: &Target<'_>, body: Option<Bytes>) -> Result<Heard, Failure> {
    let body = body.ok_or(Failure::Internal("a program is asked with bytes that pass by"))?;
    let command = target.command();
    let question = program::question(&body, command).map_err(|field| Failure::Unsayable(field.to_string()))?;
    let started = run.attempts.programs.start(run.hands, command, question, run.call.delivery);
    let Started { status, headers, output } = started.await?;
    Ok(Heard { status, headers, body: Source::Program(Box::new(output)) })
}

/// The answer in the client's protocol, on its way to it or altogether.
async fn translated(
    run: &Run<'_>,
    mut answer: Heard,
    translation: Box<Translation>,
    rest: impl FnOnce(Source) -> Box<Rest>,
) -> Result<ReplyBody, Failed> {
    let limit_bytes = run.settings.answer_limit_bytes;
    match run.call.delivery {
        Delivery::Streamed if translation.is_stream(&answer.headers) => {
            let mut tap = Box::new(Tap::translating(*translation)?);
            let held = held(&mut answer.body, &mut tap, run.settings).await?;
            Ok(ReplyBody::Events { held, tap, rest: rest(answer.body) })
        }
        Delivery::Streamed => {
            let said = gate::collected(&mut answer.body, limit_bytes).await?;
            let failure = protocol::failure_under_success(&said);
            Err(failure.unwrap_or(Failure::Garbage("it is no stream, as was asked for".into())).into())
        }
        Delivery::Whole => {
            let whole = gate::collected(&mut answer.body, limit_bytes).await?;
            Ok(ReplyBody::Whole(translation.whole(run.hands, whole).await?))
        }
    }
}

/// The stream up to its commit. One that comes to nothing may have used something all the same.
async fn held(body: &mut Source, tap: &mut Tap, settings: &Settings) -> Result<Vec<Bytes>, Failed> {
    let held = gate::events(body, tap, settings).await;
    held.map_err(|failure| Failed { spent: tap.usage().map(Box::new), ..failure.into() })
}

fn is_events(kind: &[u8]) -> bool {
    kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

/// No coding is ever asked for, none is read, and the client would not be told of it.
fn is_coded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The answer's headers that the client may see. Rate limits of a shared credential are nobody's business.
fn passed_headers(target: &Target<'_>, upstream: Protocol, call: &Call, from: &HeaderMap) -> HeaderMap {
    let is_own = target.scope().is_some_and(|scope| scope != Scope::Platform);
    protocol::answer_headers(upstream, call.operation, from, is_own)
}

/// Reads what the provider says of its failure, within bounds, and classifies it.
async fn failed(answer: Heard, headers: HeaderMap, request: &mut Request<'_>) -> Failed {
    let (status, upstream) = (answer.status, request.upstream);
    let said = error_body(answer.body).await;
    let failure = protocol::classify(upstream, status, &answer.headers, &said, SystemTime::now());
    // Some providers repeat the key they were shown.
    let body = request.shown().map_or(said.clone(), |shown| protocol::scrub(&said, key_of(shown)));
    if let Some(translation) = &request.translation {
        let said = translation.error(&failure, headers, &body);
        return Failed { failure, said: Some(Box::new(said)), spent: None };
    }
    let said = Said { status, headers, body };
    let is_readable = protocol::is_error_body(upstream, &said.body);
    Failed { failure, said: is_readable.then(|| Box::new(said)), spent: None }
}

/// The key itself, without the word `Bearer` before it.
fn key_of(shown: &HeaderValue) -> &[u8] {
    let value = shown.as_bytes();
    value.strip_prefix(b"Bearer ").unwrap_or(value)
}

/// As much of an error's body as concerns anyone; what breaks off is taken as it is.
async fn error_body(mut body: Source) -> Bytes {
    let mut read = BytesMut::new();
    let until = Instant::now() + ERROR_BODY_WAIT;
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        let Some(data) = frame.data_ref() else { continue };
        read.extend_from_slice(&data[..data.len().min(ERROR_BODY_BYTES - read.len())]);
        if read.len() >= ERROR_BODY_BYTES {
            break;
        }
    }
    read.freeze()
}
