//! The upstream request for one target: a new head from allow-lists, the client's body with a few bytes changed.

use std::str::FromStr;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::Instant;

use super::Run;
use super::client::{Destination, Head, Http2, Outgoing};
use super::upload::{self, Broke};
use crate::domain::call::{Call, CallBody};
use crate::domain::failure::Failure;
use crate::protocol;
use crate::protocol::chat::request::{Rewrite, edits};
use crate::protocol::scan::model_edit;
use crate::protocol::splice::{Edit, apply};
use crate::resolve::Target;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("keyway/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) struct Request {
    pub(super) destination: Destination,
    pub(super) head: Head,
    pub(super) body: Outgoing,
    /// The answer's usage event is kept from the client, who did not ask for it.
    pub(super) drops_usage: bool,
    /// The header's value that shows the credential, so that it can be taken out of what the provider says.
    pub(super) shown: Option<HeaderValue>,
    pub(super) broke: Broke,
}

pub(super) fn build(run: &Run<'_>, target: &Target) -> Result<Request, Failure> {
    let (call, broke) = (run.call, Broke::default());
    let mut headers = protocol::request_headers(target.protocol(), &call.headers);
    headers.insert(header::USER_AGENT, USER_AGENT);
    if let Some(content_type) = content_type(&call.body) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let shown = sign(run, target, &mut headers)?;
    let head = Head { method: call.method.clone(), path: path(target, call)?, headers };
    let destination = Destination {
        address: target.base_url().address.clone(),
        credential: target.credential.as_ref().map(|one| one.id()),
        http2: Http2::Offered,
    };
    let (body, drops_usage) = body(target, call, &broke)?;
    Ok(Request { destination, head, body, drops_usage, shown, broke })
}

fn sign(run: &Run<'_>, target: &Target, headers: &mut HeaderMap) -> Result<Option<HeaderValue>, Failure> {
    let Some(credential) = &target.credential else { return Ok(None) };
    let signed =
        run.core.signer.header(&run.attempts.keyring, credential, target.provider.preset.key, Instant::now())?;
    Ok(signed.map(|(name, value)| {
        headers.insert(name, value.clone());
        value
    }))
}

fn content_type(body: &CallBody) -> Option<HeaderValue> {
    match body {
        CallBody::Empty => None,
        CallBody::Json { .. } => Some(JSON),
        CallBody::Multipart { content_type, .. } => Some(content_type.clone()),
        CallBody::Upload(upload) => Some(upload.content_type.clone()),
    }
}

fn path(target: &Target, call: &Call) -> Result<PathAndQuery, Failure> {
    let path = protocol::upstream_path(
        target.provider.provider.kind,
        target.base_url(),
        target.settings(),
        call,
        &target.model_id,
    );
    PathAndQuery::from_str(&path).map_err(|_| Failure::Internal("the provider's path is no path"))
}

/// The body with the target's model in place of the client's, and whether usage was asked for behind the client's back.
fn body(target: &Target, call: &Call, broke: &Broke) -> Result<(Outgoing, bool), Failure> {
    Ok(match &call.body {
        CallBody::Empty => (Outgoing::empty(), false),
        CallBody::Upload(upload) => {
            let model = call.operation.names_model().then(|| target.sent_model());
            let edit = model
                .and_then(|model| model_edit(&upload.beginning, &upload.content_type, upload.model.as_ref(), &model));
            (upload::outgoing(upload, edit.as_ref(), broke)?, false)
        }
        CallBody::Multipart { bytes, .. } if !call.operation.names_model() => (bytes.clone().into(), false),
        CallBody::Multipart { bytes, content_type, model } => {
            let edit = model_edit(bytes, content_type, model.as_ref(), &target.sent_model());
            (pieces(bytes, edit.as_slice()), false)
        }
        CallBody::Json { bytes, .. } if !call.operation.names_model() => (bytes.clone().into(), false),
        CallBody::Json { bytes, found } => {
            let changed = edits(bytes, found, call.operation, &rewrite(target, &target.sent_model()));
            (pieces(bytes, &changed.edits), changed.usage_injected)
        }
    })
}

fn rewrite<'a>(target: &'a Target, model: &'a str) -> Rewrite<'a> {
    let entry = target.model.as_deref();
    let defaults = entry.map(|entry| &entry.model.defaults);
    Rewrite {
        model,
        temperature: defaults.and_then(|defaults| defaults.temperature.as_deref()),
        max_tokens: defaults.and_then(|defaults| defaults.max_tokens),
        max_field: target.provider.preset.max_field,
        system_prompt: defaults.and_then(|defaults| defaults.system_prompt.as_deref()),
        hydration: entry.and_then(|entry| entry.hydration.as_deref()),
        include_usage: target.provider.preset.stream_options,
    }
}

fn pieces(bytes: &Bytes, edits: &[Edit]) -> Outgoing {
    apply(bytes, edits).into_iter().collect::<Vec<Bytes>>().into()
}
