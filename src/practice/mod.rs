//! A provider for `keyway demo` and for trying things out: it answers, streams, calls tools and fails on request.
//!
//! Speaks OpenAI's chat completions, completions, embeddings and model list over HTTP/1.1. What it does is in the model's
//! name, what it says follows from the message, and the same call gets the same answer each time. It plays somebody
//! else's service, so it names vendors' fields itself and must never know anything of the gateway.

mod behaviour;
mod embedding;
mod reply;
mod request;
mod script;
mod shape;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use behaviour::{Behaviour, Ending, Pace};
use reply::Reply;
use request::Asked;
pub use script::Script;
use script::Step;
use shape::Shape;

/// What it can be asked, each with what it does.
pub const MODELS: [(&str, &str); 14] = [
    ("practice-small", "answers at once, quoting the message"),
    ("practice-slow", "answers after two seconds, slowly"),
    ("practice-json", "answers with a JSON object"),
    ("practice-tools", "calls the first tool it is given, then tells what the tool said"),
    ("practice-embed", "embeds text"),
    ("practice-chunks-100-20ms", "streams 100 chunks, 20 ms apart; any other numbers work too"),
    ("practice-fail-500", "fails with that status; any other from 400 to 599 works too"),
    ("practice-fail-429", "is at its rate limit and says when to come back"),
    ("practice-no-quota", "has no quota left"),
    ("practice-reject-key", "rejects the key"),
    ("practice-cut", "breaks off in the middle of its answer"),
    ("practice-stall", "falls silent in the middle of its answer"),
    ("practice-hang", "takes the call and never answers"),
    ("practice-error-under-200", "sends an error under a status of success"),
];

/// Connections at once; more wait to be accepted. A demo has a handful.
const CONNECTIONS: usize = 1_024;
/// What a real provider takes, roughly.
const BODY_LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// A body that takes longer is given up.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long `practice-hang` hangs: longer than any time-out that is to be tried on it.
const HANG: Duration = Duration::from_secs(900);

/// Serves until the future is dropped, and all connections with it.
pub fn serve(listener: std::net::TcpListener) -> io::Result<impl Future<Output = Infallible> + Send> {
    listener.set_nonblocking(true)?;
    Ok(async move {
        // Registering a listener needs the runtime, so it happens where the future runs.
        match TcpListener::from_std(listener) {
            Ok(listener) => accept(listener).await,
            Err(error) => {
                tracing::error!(%error, "the practice provider cannot listen; restart the demo");
                std::future::pending().await
            }
        }
    })
}

async fn accept(listener: TcpListener) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream))),
                // Out of descriptors, most likely: some will be free again in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream) {
    // Only a delay is lost where this fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| async move { Ok::<_, Infallible>(respond(request).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(75))
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the practice provider ended early");
    }
}

/// One request, one answer.
pub async fn respond<B>(request: Request<B>) -> Response<Script>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let path = path.strip_prefix("/v1").unwrap_or(path).to_string();
    if head.method == Method::GET && path == "/models" {
        return json(StatusCode::OK, &shape::models());
    }
    let posted = match path.as_str() {
        _ if head.method != Method::POST => None,
        "/chat/completions" => Some(Operation::Converse(Shape::Chat)),
        "/completions" => Some(Operation::Converse(Shape::Completion)),
        "/embeddings" => Some(Operation::Embed),
        _ => None,
    };
    let Some(operation) = posted else { return error(StatusCode::NOT_FOUND, "unknown_url", "there is no such path") };
    let Some(body) = read(body).await else {
        return error(StatusCode::BAD_REQUEST, "invalid_json", "the body is no JSON object");
    };
    let model = body["model"].as_str().unwrap_or_default().to_string();
    let Some(behaviour) = Behaviour::of(&model) else {
        return error(StatusCode::NOT_FOUND, "model_not_found", &format!("the model `{model}` does not exist"));
    };
    behave(behaviour, operation, &model, &body).await
}

#[derive(Clone, Copy)]
enum Operation {
    Converse(Shape),
    Embed,
}

async fn behave(behaviour: Behaviour, operation: Operation, model: &str, body: &Value) -> Response<Script> {
    match (behaviour, operation) {
        (Behaviour::Fails(status), _) => fail(status),
        (Behaviour::NoQuota, _) => {
            error(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "you exceeded your current quota")
        }
        (Behaviour::RejectsKey, _) => {
            error(StatusCode::UNAUTHORIZED, "invalid_api_key", "the key that was shown is not known")
        }
        (Behaviour::Hangs, _) => {
            tokio::time::sleep(HANG).await;
            fail(StatusCode::GATEWAY_TIMEOUT)
        }
        (Behaviour::ErrorUnderSuccess, _) => {
            json(StatusCode::OK, &shape::error("server_error", "something went wrong behind this answer"))
        }
        (Behaviour::Answers { .. }, Operation::Embed) => json(StatusCode::OK, &embedding::embeddings(model, body)),
        (Behaviour::Answers { says, pace, ending }, Operation::Converse(shape)) => {
            let asked = Asked::read(body);
            let reply = Reply::to(&asked, says);
            tokio::time::sleep(pace.before).await;
            match asked.is_streamed {
                true => streamed(shape.events(model, &asked, &reply), pace, ending),
                false => whole(&shape.whole(model, &reply), reply.pieces.len(), pace, ending).await,
            }
        }
    }
}

fn streamed(mut events: Vec<Bytes>, pace: Pace, ending: Ending) -> Response<Script> {
    if ending != Ending::Complete {
        events.truncate(events.len() / 2);
    }
    let paced = events.into_iter().flat_map(|event| [Step::Send(event), Step::Wait(pace.between)]);
    let script = Script::new(paced.chain(ending.steps()));
    response(StatusCode::OK, "text/event-stream", script)
}

async fn whole(answer: &Value, pieces: usize, pace: Pace, ending: Ending) -> Response<Script> {
    tokio::time::sleep(pace.between * u32::try_from(pieces).unwrap_or(u32::MAX)).await;
    let text = Bytes::from(answer.to_string());
    let length = text.len();
    let kept = if ending == Ending::Complete { length } else { length / 2 };
    let script = Script::new(std::iter::once(Step::Send(text.slice(..kept))).chain(ending.steps()));
    let mut response = response(StatusCode::OK, "application/json", script);
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

fn fail(status: StatusCode) -> Response<Script> {
    let code = if status == StatusCode::TOO_MANY_REQUESTS { "rate_limit_exceeded" } else { "practice_failure" };
    let mut response = error(status, code, "it was asked to fail");
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, 2.into());
    }
    response
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Script> {
    json(status, &shape::error(code, message))
}

fn json(status: StatusCode, value: &Value) -> Response<Script> {
    response(status, "application/json", Script::new([Step::Send(value.to_string().into())]))
}

fn response(status: StatusCode, content_type: &'static str, script: Script) -> Response<Script> {
    let mut response = Response::new(script);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

async fn read<B>(body: B) -> Option<Value>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limited = Box::pin(Limited::new(body, BODY_LIMIT_BYTES).collect());
    let collected = tokio::time::timeout(BODY_TIME, limited).await.ok()?.ok()?;
    serde_json::from_slice(&collected.to_bytes()).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests;
