//! One attempt: one upstream request to one target, up to its commit or its failure.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::client::{Answer, AnswerBody};
use super::places::Places;
use super::reply::{Accused, Reply, Rest};
use super::round::Deadline;
use super::tap::Tap;
use super::{Run, gate, places, request};
use crate::domain::call::Call;
use crate::domain::entity::Scope;
use crate::domain::failure::Failure;
use crate::domain::protocol::Delivery;
use crate::protocol;
use crate::resolve::Target;

/// What is read of an error's body, for its classification and for the client.
const ERROR_BODY_BYTES: usize = 64 * 1024;
/// And how long for: the status says the most, and a body that stands still must not turn a refusal into a time-out.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

/// An attempt that came to nothing, with what the provider said of it.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) said: Option<Box<Said>>,
}

impl std::convert::From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, said: None }
    }
}

/// A provider's error, fit for the client: its body holds no key, its headers are on the list.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Tries one target. Dropping this future ends the upstream request.
pub(super) async fn once(run: &Run<'_>, target: &Target, deadline: Deadline) -> Result<Reply, Failed> {
    let taking = places::take(&run.attempts.parallel, target, run.settings.per_address);
    let places = timeout_at(deadline.at, taking).await.unwrap_or_else(|_| Err(deadline.failure_in_line()))?;
    let request = request::build(run, target)?;
    let asked = Asked { target, drops_usage: request.drops_usage, shown: request.shown };
    let until = deadline.at.min(Instant::now() + target.timeout());
    let answering = async {
        let sent = run.core.client.send(&request.destination, request.head, request.body).await;
        let answer = sent.map_err(|failure| request.broke.instead_of(failure))?;
        judged(run, answer, places, &asked).await
    };
    timeout_at(until, answering).await.unwrap_or_else(|_| Err(deadline.failure(Instant::now()).into()))
}

/// What was asked, as far as it bears on how the answer is read.
struct Asked<'a> {
    target: &'a Target,
    drops_usage: bool,
    shown: Option<HeaderValue>,
}

/// Is the answer good enough to be the client's?
async fn judged(run: &Run<'_>, answer: Answer, places: Places, asked: &Asked<'_>) -> Result<Reply, Failed> {
    let target = asked.target;
    let headers = passed_headers(target, run.call, &answer.headers);
    if !answer.status.is_success() {
        return Err(Box::pin(failed(answer, headers, asked)).await);
    }
    if is_coded(&answer.headers) {
        return Err(Failure::Garbage("its body is coded, which nobody asked for".into()).into());
    }
    let rest = Rest::new(answer.body, places, Accused::new(&run.attempts.breakers, run.caller.workspace(), target));
    let body = match (run.call.delivery, is_events(&answer.headers)) {
        (Delivery::Streamed, true) => {
            let tap = Tap::new(run.call.protocol, asked.drops_usage);
            gate::events(rest, tap, run.settings).await?
        }
        _ => gate::whole(rest, &answer.headers, run.settings.answer_limit_bytes).await?,
    };
    Ok(Reply { status: answer.status, headers, body, from: target.answerer() })
}

fn is_events(headers: &HeaderMap) -> bool {
    let stated = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    stated.is_some_and(|value| value.len() >= 17 && value[..17].eq_ignore_ascii_case(b"text/event-stream"))
}

/// No coding is ever asked for, none is read, and the client would not be told of it.
fn is_coded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The answer's headers that the client may see. Rate limits of a shared credential are nobody's business.
fn passed_headers(target: &Target, call: &Call, from: &HeaderMap) -> HeaderMap {
    let is_own = target.credential.as_ref().is_some_and(|one| one.scope() != Scope::Platform);
    protocol::answer_headers(target.protocol(), call.operation, from, is_own)
}

/// Reads what the provider says of its failure, within bounds, and classifies it.
async fn failed(answer: Answer, headers: HeaderMap, asked: &Asked<'_>) -> Failed {
    let (status, protocol) = (answer.status, asked.target.protocol());
    let said = error_body(answer.body).await;
    let failure = protocol::classify(protocol, status, &answer.headers, &said, SystemTime::now());
    // Some providers repeat the key they were shown.
    let body = asked.shown.as_ref().map_or(said.clone(), |shown| protocol::scrub(&said, key_of(shown)));
    let said = Said { status, headers, body };
    let is_readable = protocol::is_error_body(protocol, &said.body);
    Failed { failure, said: is_readable.then(|| Box::new(said)) }
}

/// The key itself, without the word `Bearer` before it.
fn key_of(shown: &HeaderValue) -> &[u8] {
    let value = shown.as_bytes();
    value.strip_prefix(b"Bearer ").unwrap_or(value)
}

/// As much of an error's body as concerns anyone; what breaks off is taken as it is.
async fn error_body(mut body: AnswerBody) -> Bytes {
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
