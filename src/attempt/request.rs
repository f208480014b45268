//! The upstream request for one target: a new head from allow-lists, the client's body with a few bytes changed.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

use super::Run;
use super::client::{Destination, Head, Http2, Outgoing, Recipe};
use super::upload::{self, Broke};
use crate::domain::call::{Call, CallBody};
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::protocol;
use crate::protocol::chat::request::{Rewrite, edits};
use crate::protocol::scan::model_edit;
use crate::protocol::splice::apply;
use crate::resolve::Target;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("keyway/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// All that is decided of a request before a connection is chosen. The head itself is made for each connection it goes
/// out on, which nearly always is one.
pub(super) struct Request<'a> {
    call: &'a Call,
    protocol: Protocol,
    path: PathAndQuery,
    /// The header that shows the credential.
    shown: Option<(HeaderName, HeaderValue)>,
    body: Outgoing,
    /// The answer's usage event is kept from the client, who did not ask for it.
    pub(super) drops_usage: bool,
    pub(super) broke: Broke,
}

pub(super) fn build<'a>(
    run: &Run<'a>,
    target: &Target<'_>,
    now: Instant,
) -> Result<(Destination, Request<'a>), Failure> {
    let destination = Destination {
        address: target.base_url().address.clone(),
        credential: target.credential.map(|one| one.id()),
        http2: Http2::Offered,
    };
    let Body { body, drops_usage, broke } = body(target, run.call)?;
    let request = Request {
        call: run.call,
        protocol: target.protocol(),
        path: path(target, run.call)?,
        shown: shown(run, target, now)?,
        body,
        drops_usage,
        broke,
    };
    Ok((destination, request))
}

impl Request<'_> {
    /// What shows the credential, so that it can be taken out of what the provider says.
    pub(super) fn shown(&self) -> Option<&HeaderValue> {
        self.shown.as_ref().map(|(_, value)| value)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = protocol::request_headers(self.protocol, &self.call.headers);
        headers.insert(header::USER_AGENT, USER_AGENT);
        if let Some(content_type) = content_type(&self.call.body) {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        if let Some((name, value)) = &self.shown {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }
}

impl Recipe for Request<'_> {
    fn goes_by_once(&self) -> bool {
        matches!(self.body, Outgoing::Streamed(_))
    }

    fn request(&mut self) -> (Head, Outgoing) {
        let head = Head { method: self.call.method.clone(), path: self.path.clone(), headers: self.headers() };
        (head, self.body.again().unwrap_or_else(|| std::mem::replace(&mut self.body, Outgoing::empty())))
    }
}

fn shown(run: &Run<'_>, target: &Target<'_>, now: Instant) -> Result<Option<(HeaderName, HeaderValue)>, Failure> {
    let Some(credential) = target.credential else { return Ok(None) };
    run.core.signer.header(&run.attempts.keyring, credential, target.provider.preset.key, now)
}

fn content_type(body: &CallBody) -> Option<HeaderValue> {
    match body {
        CallBody::Empty => None,
        CallBody::Json { .. } => Some(JSON),
        CallBody::Multipart { content_type, .. } => Some(content_type.clone()),
        CallBody::Upload(upload) => Some(upload.content_type.clone()),
    }
}

fn path(target: &Target<'_>, call: &Call) -> Result<PathAndQuery, Failure> {
    let kind = target.provider.provider.kind;
    let path = protocol::upstream_path(kind, target.base_url(), target.settings(), call, target.model_id);
    PathAndQuery::try_from(path).map_err(|_| Failure::Internal("the provider's path is no path"))
}

struct Body {
    body: Outgoing,
    drops_usage: bool,
    broke: Broke,
}

impl<T: Into<Outgoing>> From<T> for Body {
    fn from(body: T) -> Self {
        Self { body: body.into(), drops_usage: false, broke: Broke::default() }
    }
}

/// The body with the target's model in place of the client's, and whether usage was asked for behind the client's back.
fn body(target: &Target<'_>, call: &Call) -> Result<Body, Failure> {
    let names_model = call.operation.names_model();
    Ok(match &call.body {
        CallBody::Empty => Outgoing::empty().into(),
        CallBody::Upload(upload) => {
            let model = names_model.then(|| target.sent_model());
            let edit = model
                .and_then(|model| model_edit(&upload.beginning, &upload.content_type, upload.model.as_ref(), &model));
            let (body, broke) = upload::outgoing(upload, edit.as_ref())?;
            Body { body, drops_usage: false, broke }
        }
        CallBody::Json { bytes, .. } | CallBody::Multipart { bytes, .. } if !names_model => bytes.clone().into(),
        CallBody::Multipart { bytes, content_type, model } => {
            let edit = model_edit(bytes, content_type, model.as_ref(), &target.sent_model());
            apply(bytes, edit.as_slice()).into()
        }
        CallBody::Json { bytes, found } => {
            let changed = edits(bytes, found, call.operation, &rewrite(target, &target.sent_model()));
            Body { drops_usage: changed.usage_injected, ..apply(bytes, &changed.edits).into() }
        }
    })
}

fn rewrite<'a>(target: &Target<'a>, model: &'a str) -> Rewrite<'a> {
    let defaults = target.model.map(|entry| &entry.model.defaults);
    Rewrite {
        model,
        temperature: defaults.and_then(|defaults| defaults.temperature.as_deref()),
        max_tokens: defaults.and_then(|defaults| defaults.max_tokens),
        max_field: target.provider.preset.max_field,
        system_prompt: defaults.and_then(|defaults| defaults.system_prompt.as_deref()),
        hydration: target.model.and_then(|entry| entry.hydration.as_deref()),
        include_usage: target.provider.preset.stream_options,
    }
}
