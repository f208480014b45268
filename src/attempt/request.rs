//! The upstream request for one target: a new head from allow-lists, the client's body with a few bytes changed.

use std::str::FromStr;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::Instant;

use super::Run;
use super::client::{Destination, Head, Http2, Outgoing};
use crate::domain::call::{Call, CallBody};
use crate::domain::failure::Failure;
use crate::domain::protocol::{Delivery, Operation};
use crate::protocol::{self, Rewrite};
use crate::resolve::Target;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("keyway/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) struct Request {
    pub(super) destination: Destination,
    pub(super) head: Head,
    pub(super) body: Outgoing,
}

pub(super) fn build(run: &Run<'_>, target: &Target) -> Result<Request, Failure> {
    let call = run.call;
    let mut headers = protocol::request_headers(target.protocol(), &call.headers);
    headers.insert(header::USER_AGENT, USER_AGENT);
    if let Some(content_type) = content_type(&call.body) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    sign(run, target, &mut headers)?;
    let head = Head { method: call.method.clone(), path: path(target, call)?, headers };
    let destination = Destination {
        address: target.base_url().address.clone(),
        credential: target.credential.as_ref().map(|one| one.id()),
        http2: Http2::Offered,
    };
    Ok(Request { destination, head, body: body(target, call) })
}

fn sign(run: &Run<'_>, target: &Target, headers: &mut HeaderMap) -> Result<(), Failure> {
    let Some(credential) = &target.credential else { return Ok(()) };
    let keyring = &run.attempts.keyring;
    if let Some((name, value)) = run.core.signer.header(keyring, credential, target.provider.preset.key, Instant::now())? {
        headers.insert(name, value);
    }
    Ok(())
}

fn content_type(body: &CallBody) -> Option<HeaderValue> {
    match body {
        CallBody::Empty => None,
        CallBody::Json { .. } => Some(JSON),
        CallBody::Multipart { content_type, .. } => Some(content_type.clone()),
    }
}

fn path(target: &Target, call: &Call) -> Result<PathAndQuery, Failure> {
    let path = protocol::upstream_path(target.provider.provider.kind, target.base_url(), target.settings(), call, &target.model_id);
    PathAndQuery::from_str(&path).map_err(|_| Failure::Internal("the provider's path is no path"))
}

/// Do we ask for usage that the client did not ask for? Then its event is kept from the client.
pub(super) fn adds_usage(target: &Target, call: &Call) -> bool {
    let takes_it = matches!(call.operation, Operation::ChatCompletions | Operation::Completions);
    let asked = match &call.body {
        CallBody::Json { found, .. } => found.stream_options.as_ref().is_some_and(|options| options.asks_usage()),
        CallBody::Empty | CallBody::Multipart { .. } => true,
    };
    takes_it && call.delivery == Delivery::Streamed && target.provider.preset.stream_options && !asked
}

fn body(target: &Target, call: &Call) -> Outgoing {
    let model = target.sent_model();
    match &call.body {
        CallBody::Empty => Outgoing::empty(),
        CallBody::Multipart { bytes, model: found, .. } => protocol::rewrite_form(bytes, found.as_ref(), &model).into(),
        CallBody::Json { bytes, found } => {
            let rewrite = Rewrite {
                operation: call.operation,
                model: call.operation.names_model().then_some(&*model),
                defaults: target.model.as_ref().map(|entry| &entry.model.defaults),
                hydration: target.model.as_ref().and_then(|entry| entry.hydration.as_deref()),
                max_field: target.provider.preset.max_field,
                adds_usage: adds_usage(target, call),
            };
            protocol::rewrite(bytes, found, &rewrite).into()
        }
    }
}
