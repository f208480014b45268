//! The upstream request for one target: a new head from allow-lists, the client's body with a few bytes changed.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

use super::Run;
use super::client::{Destination, Head, Http2, Outgoing, Recipe};
use super::sign::Proof;
use super::sign::sigv4::{AccessKeys, Signed, region_of};
use super::translation::{self, Translation};
use super::upload::{self, Broke};
use crate::domain::call::{Call, CallBody};
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::domain::time::Timestamp;
use crate::protocol;
use crate::protocol::chat::rewrite::{Rewrite, edits};
use crate::protocol::scan::model_edit;
use crate::protocol::splice::apply;
use crate::resolve::Target;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("keyway/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// All that is decided of a request before a connection is chosen. The head itself is made for each connection it goes
/// out on, which nearly always is one.
pub(super) struct Request<'a> {
    call: &'a Call,
    /// The protocol in which it goes out.
    pub(super) upstream: Protocol,
    path: PathAndQuery,
    shown: Shown,
    body: Outgoing,
    /// The answer's usage event is kept from the client, who did not ask for it.
    pub(super) drops_usage: bool,
    pub(super) broke: Broke,
    /// How its answer becomes the client's, where that speaks another protocol.
    pub(super) translation: Option<Box<Translation>>,
}

/// The headers that show the credential.
enum Shown {
    Nothing,
    /// With nearly every provider it is one.
    Header(HeaderName, HeaderValue),
    Signature(Box<HeaderMap>),
}

pub(super) async fn build<'a>(
    run: &Run<'a>,
    target: &Target<'_>,
    now: Instant,
) -> Result<(Destination, Request<'a>), Failure> {
    let call = run.call;
    // Resolving lets no target through that could not be spoken to.
    let upstream = target.spoken(call.protocol, call.operation).unwrap_or(call.protocol);
    // No provider has the response that such a call goes on from, so it must not go out as it is.
    let is_ours = call.continues.is_some();
    let Body { body, drops_usage, broke, translation } = if upstream == call.protocol && !is_ours {
        body(target, call)?
    } else {
        // Boxed, so that a call that needs none of it does not keep its room.
        let (body, translation) = Box::pin(translation::request(run, target, upstream)).await?;
        Body { translation: Some(Box::new(translation)), ..body.into() }
    };
    let path = path(target, call, upstream)?;
    let shown = shown(run, target, &path, &body, now)?;
    let destination = Destination {
        address: target.base_url().address.clone(),
        credential: target.credential.map(|one| one.id()),
        http2: Http2::Offered,
    };
    Ok((destination, Request { call, upstream, path, shown, body, drops_usage, broke, translation }))
}

impl Request<'_> {
    /// What shows the credential, so that it can be taken out of what the provider says. A signature tells nobody anything.
    pub(super) const fn shown(&self) -> Option<&HeaderValue> {
        match &self.shown {
            Shown::Header(_, value) => Some(value),
            Shown::Nothing | Shown::Signature(_) => None,
        }
    }

    /// All of its body, unless that goes by only once.
    pub(super) fn whole(&self) -> Option<Bytes> {
        let Some(Outgoing::Whole(pieces)) = self.body.again() else { return None };
        Some(pieces.collect::<Vec<_>>().concat().into())
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = protocol::request_headers(self.upstream, &self.call.headers);
        headers.insert(header::USER_AGENT, USER_AGENT);
        if let Some(content_type) = content_type(&self.call.body) {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        match &self.shown {
            Shown::Nothing => {}
            Shown::Header(name, value) => {
                headers.insert(name.clone(), value.clone());
            }
            Shown::Signature(signature) => headers.extend((**signature).clone()),
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
        (head, self.body.again().unwrap_or_else(|| std::mem::replace(&mut self.body, Outgoing::EMPTY)))
    }
}

fn shown(
    run: &Run<'_>,
    target: &Target<'_>,
    path: &PathAndQuery,
    body: &Outgoing,
    now: Instant,
) -> Result<Shown, Failure> {
    let Some(credential) = target.credential else { return Ok(Shown::Nothing) };
    let proof = run.core.signer.proof(&run.attempts.keyring, credential, target.provider.preset.key, now)?;
    Ok(match proof {
        None => Shown::Nothing,
        Some(Proof::Header(name, value)) => Shown::Header(name, value),
        Some(Proof::Signature(keys)) => Shown::Signature(Box::new(signature(run.call, target, &keys, path, body)?)),
    })
}

fn signature(
    call: &Call,
    target: &Target<'_>,
    keys: &AccessKeys,
    path: &PathAndQuery,
    body: &Outgoing,
) -> Result<HeaderMap, Failure> {
    let address = &target.base_url().address;
    let region = target.settings().region.as_deref().or_else(|| region_of(&address.host));
    let region = region.ok_or(Failure::CredentialUnusable("its provider names no region to sign for"))?;
    let Some(Outgoing::Whole(body)) = body.again() else {
        return Err(Failure::CredentialUnusable("it can't sign a body that passes through"));
    };
    let content_type = content_type(&call.body).unwrap_or(JSON);
    let signed = Signed {
        method: call.method.as_str(),
        host: &address.authority(),
        path: path.path(),
        content_type: content_type.to_str().unwrap_or_default(),
        region,
    };
    signed.headers(keys, body, Timestamp::now())
}

fn content_type(body: &CallBody) -> Option<HeaderValue> {
    match body {
        CallBody::Empty => None,
        CallBody::Json { .. } => Some(JSON),
        CallBody::Multipart { content_type, .. } => Some(content_type.clone()),
        CallBody::Upload(upload) => Some(upload.content_type.clone()),
    }
}

fn path(target: &Target<'_>, call: &Call, upstream: Protocol) -> Result<PathAndQuery, Failure> {
    let kind = target.provider.provider.kind;
    let path = protocol::upstream_path(kind, target.base_url(), target.settings(), call, upstream, target.model_id);
    PathAndQuery::try_from(path).map_err(|_| Failure::Internal("the provider's path is no path"))
}

struct Body {
    body: Outgoing,
    drops_usage: bool,
    broke: Broke,
    translation: Option<Box<Translation>>,
}

impl<T: Into<Outgoing>> From<T> for Body {
    fn from(body: T) -> Self {
        Self { body: body.into(), drops_usage: false, broke: Broke::default(), translation: None }
    }
}

/// The body with the target's model in place of the client's, and whether usage was asked for behind the client's back.
fn body(target: &Target<'_>, call: &Call) -> Result<Body, Failure> {
    let names_model = call.operation.names_model();
    Ok(match &call.body {
        CallBody::Empty => Outgoing::EMPTY.into(),
        CallBody::Upload(upload) => {
            let model = names_model.then(|| target.sent_model());
            let edit = model
                .and_then(|model| model_edit(&upload.beginning, &upload.content_type, upload.model.as_ref(), &model));
            let (body, broke) = upload::outgoing(upload, edit.as_ref())?;
            Body { broke, ..body.into() }
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
