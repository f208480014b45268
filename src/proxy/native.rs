//! The door for one message to a model, or to several at once: `/api/v1/chat` and `/api/v1/broadcast`.
//!
//! Makes of it one call of Responses, or one for each model, hands each to `handle` as if it had come by itself, and tells
//! its answer in our words. A stream is handed on as it comes: its events are those of Open Responses. Each model of a
//! broadcast is an exchange of its own; their one body is shared.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout};

use super::relay::RelayBody;
use super::{Proxy, answer, read};
use crate::domain::protocol::Protocol;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::hands::Undone;
use crate::listen::RequestBody;
use crate::meter::Bill;
use crate::protocol::native::{self, Beside, Broadcast, Error, Said};

const MODEL: HeaderName = HeaderName::from_static("x-keyway-model");
const TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-timeout");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-keyway-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What the answers to one question may take in memory; a broadcast's models share it.
const ANSWERS_BYTES: usize = 64 * 1024 * 1024;
/// The attempts' own deadline says more than ours, so it comes first; ours is for an answer that drags on behind it.
const GRACE: Duration = Duration::from_millis(250);

/// What a path here asks for. The second of each is Atamaia's name for it.
enum Way {
    Chat,
    Broadcast,
}

fn way(path: &str) -> Option<Way> {
    match path {
        "/api/v1/chat" | "/api/ai/chat" => Some(Way::Chat),
        "/api/v1/broadcast" | "/api/ai/broadcast" => Some(Way::Broadcast),
        _ => None,
    }
}

/// Is a request for this path one for `native`?
pub fn is_native(path: &str) -> bool {
    way(path).is_some()
}

/// One model's answer: what it says, how long it took, what it came to, under which id.
struct Heard {
    said: Said,
    took: Duration,
    bill: Bill,
    id: Option<HeaderValue>,
}

impl Heard {
    fn beside(&self) -> Beside<'_> {
        let request_id = self.id.as_ref().and_then(|id| id.to_str().ok());
        Beside { took: self.took, cost: self.bill.cost(), request_id }
    }
}

/// What was asked, as calls.
enum Asked {
    One(native::Chat),
    Many(Broadcast),
}

impl Proxy {
    /// Answers one question. `known` is told as soon as a valid token was shown.
    pub fn native<'a>(
        &'a self,
        request: Request<RequestBody>,
        known: impl FnOnce() + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = Response<RelayBody>> + Send + 'a>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match self.asked(&head, body, known).await {
                Ok((Asked::One(chat), _share)) => self.one(&head.headers, chat).await,
                Ok((Asked::Many(broadcast), _share)) => self.many(&head.headers, broadcast).await,
                Err(refusal) => {
                    let id = self.meter.draw_id(Timestamp::now());
                    self.meter.refused_outside(&refusal);
                    told(answer::refusal(Protocol::Responses, id, &refusal), Instant::now(), &Bill::default()).await
                }
            }
        })
    }

    /// Nobody's body is read before its token is known, and none is held that no budget has room for.
    async fn asked(
        &self,
        head: &request::Parts,
        body: RequestBody,
        known: impl FnOnce() + Send,
    ) -> Result<(Asked, impl Send), Refusal> {
        let path = head.uri.path();
        let Some(way) = way(path) else { return Err(Refusal::PathUnknown(path.to_string(), "")) };
        if head.method != Method::POST {
            return Err(Refusal::MethodNotAllowed { method: head.method.to_string(), allow: "POST" });
        }
        // Who it is matters to each call, which asks again; here only that it is somebody.
        self.caller(&head.headers, Timestamp::now()).await?;
        known();
        let (bytes, share) = read::json(head, body, &self.room()).await?;
        let asked = self.gateway.hands.over(bytes.len(), move || match way {
            Way::Chat => native::chat(&bytes).map(Asked::One),
            Way::Broadcast => native::broadcast(&bytes).map(Asked::Many),
        });
        let asked = asked.await.map_err(|_: Undone| Refusal::AtCapacity("large bodies being read"))?;
        Ok((asked?, share))
    }

    async fn one(&self, headers: &HeaderMap, chat: native::Chat) -> Response<RelayBody> {
        let began = Instant::now();
        let bill = Bill::default();
        let response = self.handle(billed(headers, chat.body, &bill), || ()).await;
        if chat.is_streamed && response.status().is_success() {
            return response;
        }
        told(response, began, &bill).await
    }

    async fn many(&self, headers: &HeaderMap, broadcast: Broadcast) -> Response<RelayBody> {
        let Broadcast { models, body, patience } = broadcast;
        let began = Instant::now();
        let limit_bytes = ANSWERS_BYTES / models.len().max(1);
        let each = models.iter().map(|model| {
            let asking = self.of_many(headers, model, body.clone(), patience, limit_bytes);
            Box::pin(asking) as Pin<Box<dyn Future<Output = Heard> + Send + '_>>
        });
        let heard = all(each.collect()).await;
        let each = models.iter().zip(&heard).map(|(model, one)| (model.as_str(), &one.said, one.beside()));
        let mut response = Response::new(RelayBody::ours(native::all(each, began.elapsed())));
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        response
    }

    /// One model of a broadcast, in its own words or as the reason why it has none.
    async fn of_many(
        &self,
        headers: &HeaderMap,
        model: &str,
        body: Bytes,
        patience: Duration,
        limit_bytes: usize,
    ) -> Heard {
        let (began, bill) = (Instant::now(), Bill::default());
        let Some(model) = HeaderValue::from_str(model).ok().filter(|model| model.to_str().is_ok()) else {
            let error = Error::ours(404, "model_not_found", "no model has a name with such letters");
            return Heard { said: Said::Error(error), took: Duration::ZERO, bill, id: None };
        };
        let mut call = billed(headers, body, &bill);
        let asked = call.headers_mut();
        asked.insert(MODEL, model);
        if let Ok(seconds) = HeaderValue::from_str(&patience.as_secs_f64().to_string()) {
            asked.insert(TIMEOUT, seconds);
        }
        let mut id = None;
        let asking = async {
            let response = self.handle(call, || ()).await;
            id = response.headers().get(REQUEST_ID).cloned();
            heard(response, limit_bytes).await.2
        };
        let said = timeout(patience + GRACE, asking)
            .await
            .unwrap_or_else(|_| Said::Error(Error::ours(504, "provider_timeout", &Refusal::TimedOut.to_string())));
        Heard { said, took: began.elapsed(), bill, id }
    }
}

/// A call with the asker's own head.
pub(super) fn call(headers: &HeaderMap, body: Bytes) -> Request<RequestBody> {
    let mut call = Request::new(RequestBody::whole(body));
    *call.method_mut() = Method::POST;
    *call.uri_mut() = http::Uri::from_static("/v1/responses");
    *call.headers_mut() = headers.clone();
    call.headers_mut().remove(header::CONTENT_LENGTH);
    call.headers_mut().insert(header::CONTENT_TYPE, JSON);
    call
}

/// The same, with a bill that is filled in when it is settled.
fn billed(headers: &HeaderMap, body: Bytes, bill: &Bill) -> Request<RequestBody> {
    let mut call = call(headers, body);
    call.extensions_mut().insert(bill.clone());
    call
}

/// All of an answer.
async fn heard(response: Response<RelayBody>, limit_bytes: usize) -> (StatusCode, HeaderMap, Said) {
    let (head, body) = response.into_parts();
    let said = match Limited::new(body, limit_bytes).collect().await {
        Ok(whole) => native::read(head.status.as_u16(), &whole.to_bytes()),
        Err(_) => Said::Error(Error::failed(502, "the provider's answer broke off, or is too long")),
    };
    (head.status, head.headers, said)
}

/// The same answer in our words, with the head that it came with.
async fn told(response: Response<RelayBody>, began: Instant, bill: &Bill) -> Response<RelayBody> {
    let (status, mut headers, said) = heard(response, ANSWERS_BYTES).await;
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    // Its last byte is here, so it is settled.
    let beside = Beside { took: began.elapsed(), cost: bill.cost(), request_id };
    let (status, kind, body) = match &said {
        Said::Answer(_) => (status, JSON, native::whole(&said, beside)),
        Said::Error(error) => {
            (StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY), PROBLEM, native::problem(error))
        }
    };
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, kind);
    let mut response = Response::new(RelayBody::ours(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Awaits all of them at once. They are few, so each may be asked again whenever one has moved.
async fn all<T>(mut futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
