//! A call in the words of a target that speaks another protocol, and its answer in the client's again.
//!
//! Calls between equal protocols never come here.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::Run;
use super::once::{Failed, Said};
use crate::domain::call::{Call, CallBody};
use crate::domain::failure::Failure;
use crate::domain::preset::MaxField;
use crate::domain::protocol::{Delivery, Protocol, Purpose};
use crate::domain::time::Timestamp;
use crate::hands::{Hands, Undone};
use crate::protocol::hub::about::About;
use crate::protocol::hub::field::{Field, Objection};
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::opaque::Maker;
use crate::protocol::hub::request::Terms;
use crate::protocol::hub::text::Quoted;
use crate::protocol::program;
use crate::protocol::translate::{self, Asked, Translated, Translator};
use crate::resolve::Target;

/// What of the call its target could not be told.
const DROPPED: HeaderName = HeaderName::from_static("x-keyway-dropped");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// About how many bytes of text are one token, for a first guess at a call's length.
const BYTES_A_TOKEN: usize = 4;

/// What the answer must know of its request.
#[derive(Debug)]
pub(super) struct Translation {
    client: Protocol,
    upstream: Protocol,
    maker: Maker,
    asked: Asked,
    about: About,
    dropped: Option<HeaderValue>,
    /// The client wants a stream as one JSON array.
    is_array: bool,
}

/// The call's body in the target's protocol.
pub(super) async fn request(
    run: &Run<'_>,
    target: &Target<'_>,
    upstream: Protocol,
) -> Result<(Bytes, Translation), Failure> {
    let call = run.call;
    let CallBody::Json { bytes, found } = &call.body else { return Err(Failure::Unsayable("body".into())) };
    let wants = Wants::of(call, target);
    let maker = wants.maker;
    let (shared, client, delivery, purpose) = (bytes.clone(), call.protocol, call.delivery, call.operation.purpose());
    let work = move || match purpose {
        Purpose::Embedding => translate::embed(client, upstream, &shared, &wants.terms()),
        Purpose::Count => translate::count(client, upstream, &shared, &wants.terms()),
        Purpose::Answer | Purpose::Other => translate::request(client, upstream, &shared, delivery, &wants.terms()),
    };
    let done = run.hands.over(bytes.len(), work).await.map_err(|undone| failure(undone, Failure::Busy))?;
    let Translated { body, dropped, asked } = done.map_err(|objection| match objection {
        Objection::Invalid { field, why } => Failure::Unreadable { field, why },
        Objection::Unsupported { field } => Failure::Unsayable(field.into_owned()),
    })?;
    let is_array = call.is_one_array();
    let translation = Translation {
        client,
        upstream,
        maker,
        asked: if is_array { asked.as_array() } else { asked },
        about: about(call, target, found.text_bytes),
        // Only letters, digits and a few signs are in it.
        dropped: (!dropped.is_empty()).then(|| HeaderValue::from_str(&dropped.joined()).ok()).flatten(),
        is_array,
    };
    Ok((body.into(), translation))
}

fn about(call: &Call, target: &Target<'_>, text_bytes: usize) -> About {
    // The id is of the kind that holds the time.
    let created = call.id.get_timestamp().map_or(0, |time| time.to_unix().0);
    let (ids, model) = (Ids::of(call.id), Quoted::of(target.model_id));
    About { ids, created, model, input_tokens: (text_bytes / BYTES_A_TOKEN) as u64 }
}

impl Translation {
    /// The head of the client's answer.
    pub(super) fn head(&self, headers: &mut HeaderMap, delivery: Delivery) {
        translate::head(self.client, self.upstream, headers, Timestamp::now());
        let is_events = delivery == Delivery::Streamed && !self.is_array;
        headers.insert(header::CONTENT_TYPE, if is_events { EVENTS } else { JSON });
        if let Some(dropped) = &self.dropped {
            headers.insert(DROPPED, dropped.clone());
        }
    }

    /// Is this the head of what its protocol streams?
    pub(super) fn is_stream(&self, headers: &HeaderMap) -> bool {
        let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let streams: &[u8] = match self.upstream {
            Protocol::Bedrock => b"application/vnd.amazon.eventstream",
            Protocol::Chat | Protocol::Responses | Protocol::Messages | Protocol::Gemini => b"text/event-stream",
        };
        kind.get(..streams.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(streams))
    }

    pub(super) fn translator(self) -> Option<Translator> {
        Translator::new(self.upstream, self.maker, self.asked, self.about)
    }

    /// All of an answer. An error in it is what the attempt failed with.
    pub(super) async fn whole(self, hands: &Hands, body: Bytes) -> Result<Bytes, Failed> {
        let (client, length) = (self.client, body.len());
        let work = move || translate::whole(self.upstream, &body, self.maker, &self.asked, &self.about);
        let done = hands.over(length, work).await.map_err(|undone| failure(undone, Failure::Untranslated))?;
        match done {
            Ok(whole) => Ok(whole.body.into()),
            Err(fault) => {
                let said = said(translate::said(client, &fault), HeaderMap::new(), &fault.failure);
                Err(Failed { failure: fault.failure, said: Some(Box::new(said)), spent: None })
            }
        }
    }

    /// The provider's no, as the client's SDK can read it.
    pub(super) fn error(&self, failure: &Failure, mut headers: HeaderMap, body: &[u8]) -> Said {
        translate::head(self.client, self.upstream, &mut headers, Timestamp::now());
        said(translate::error(self.client, self.upstream, failure, body), headers, failure)
    }
}

fn failure(undone: Undone, busy: Failure) -> Failure {
    match undone {
        Undone::Busy => busy,
        Undone::Panicked => Failure::Internal("a translation panicked"),
    }
}

fn said(said: translate::Said, mut headers: HeaderMap, failure: &Failure) -> Said {
    headers.insert(header::CONTENT_TYPE, JSON);
    // Some say in the body how long to wait, where no other protocol's client looks.
    if let Failure::RateLimited { retry_after: Some(wait) } = failure {
        let seconds = wait.as_millis().div_ceil(1_000).max(1) as u64;
        headers.entry(header::RETRY_AFTER).or_insert(HeaderValue::from(seconds));
    }
    let status = StatusCode::from_u16(said.status).unwrap_or(StatusCode::BAD_GATEWAY);
    Said { status, headers, body: said.body }
}

/// What the target brings to a call, for a thread that outlives the borrow.
struct Wants {
    model: String,
    maker: Maker,
    temperature: Option<String>,
    max_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    system_prompt: Option<String>,
    hydration: Option<String>,
    max_field: MaxField,
    takes_stream_options: bool,
    holds_past: bool,
    lacks: &'static [Field],
}

impl Wants {
    fn of(call: &Call, target: &Target<'_>) -> Self {
        let model = target.model.map(|entry| &entry.model);
        let defaults = model.map(|model| &model.defaults);
        Self {
            model: target.sent_model().into_owned(),
            // A state that one model of one provider made is of no use to another.
            maker: Maker::of(&[&target.provider.provider.id.to_string(), target.model_id]),
            temperature: defaults.and_then(|defaults| defaults.temperature.clone()),
            max_tokens: defaults.and_then(|defaults| defaults.max_tokens),
            max_output_tokens: model.and_then(|model| model.max_completion_tokens),
            system_prompt: defaults.and_then(|defaults| defaults.system_prompt.clone()),
            hydration: target.model.and_then(|entry| entry.hydration.as_deref()).map(str::to_string),
            max_field: target.provider.preset.max_field,
            takes_stream_options: target.provider.preset.stream_options,
            holds_past: call.continues.is_some(),
            lacks: if target.command().is_empty() { &[] } else { &program::LACKS },
        }
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            model: &self.model,
            maker: self.maker,
            temperature: self.temperature.as_deref(),
            max_tokens: self.max_tokens,
            max_output_tokens: self.max_output_tokens,
            system_prompt: self.system_prompt.as_deref(),
            hydration: self.hydration.as_deref(),
            max_field: self.max_field,
            takes_stream_options: self.takes_stream_options,
            holds_past: self.holds_past,
            lacks: self.lacks,
        }
    }
}
