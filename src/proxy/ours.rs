//! The headers of a call that the gateway itself reads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::domain::call::CallBody;
use crate::domain::refusal::Refusal;
use crate::domain::run::{Run, is_name};
use crate::protocol::scan;

/// Found in one walk; of one that stands twice the first.
#[derive(Default)]
pub(super) struct Ours<'a> {
    pub(super) session: Option<&'a HeaderValue>,
    /// What clients that know nothing of us call a conversation.
    pub(super) clients_session: Option<&'a HeaderValue>,
    pub(super) run: Option<&'a HeaderValue>,
    pub(super) parent_run: Option<&'a HeaderValue>,
    pub(super) role: Option<&'a HeaderValue>,
    pub(super) endpoint: Option<&'a HeaderValue>,
    pub(super) project: Option<&'a HeaderValue>,
    pub(super) provider: Option<&'a HeaderValue>,
    pub(super) model: Option<&'a HeaderValue>,
    /// The client's own time-out: the Node SDK, the Python SDK and Google's each have a name for it.
    pub(super) allowed: Option<&'a HeaderValue>,
    pub(super) explain: Option<&'a HeaderValue>,
    pub(super) content_type: Option<&'a HeaderValue>,
    pub(super) content_encoding: Option<&'a HeaderValue>,
    pub(super) content_length: Option<&'a HeaderValue>,
}

impl<'a> Ours<'a> {
    pub(super) fn among(headers: &'a HeaderMap) -> Self {
        let mut ours = Self::default();
        for (name, value) in headers {
            let place = match name.as_str() {
                "x-keyway-session" => &mut ours.session,
                // Codex writes its own with an underscore, which some proxies in between make a dash.
                "session-id" | "session_id" | "x-claude-code-session-id" => &mut ours.clients_session,
                "x-keyway-run" => &mut ours.run,
                "x-keyway-parent-run" => &mut ours.parent_run,
                "x-keyway-role" => &mut ours.role,
                "x-keyway-endpoint" => &mut ours.endpoint,
                "x-keyway-project" => &mut ours.project,
                "x-keyway-provider" => &mut ours.provider,
                "x-keyway-model" => &mut ours.model,
                "x-stainless-timeout" | "x-stainless-read-timeout" | "x-server-timeout" => &mut ours.allowed,
                "x-keyway-explain" => &mut ours.explain,
                "content-type" => &mut ours.content_type,
                "content-encoding" => &mut ours.content_encoding,
                "content-length" => &mut ours.content_length,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        ours
    }
}

/// The model that a header names for a form without one.
pub(super) fn named_model(header: Option<&HeaderValue>) -> Result<Option<String>, Refusal> {
    let model = text(header, "x-keyway-model")?;
    match model.as_deref().and_then(scan::fault_of_model) {
        Some(why) => Err(Refusal::HeaderInvalid { header: "x-keyway-model", why }),
        None => Ok(model),
    }
}

/// A header of ours as text.
pub(super) fn text(value: Option<&HeaderValue>, label: &'static str) -> Result<Option<String>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().map_err(|_| Refusal::HeaderInvalid { header: label, why: "it must be visible ASCII" })?;
    Ok(Some(text.trim().to_string()).filter(|text| !text.is_empty()))
}

/// The run that a call is part of: what the client names, else the session of an agent that knows nothing of us.
pub(super) fn run(ours: &Ours<'_>) -> Result<Option<Run>, Refusal> {
    const WHY: &str = "a run's name is 1 to 128 visible ASCII characters without blanks";
    let named = |value: Option<&HeaderValue>, header: &'static str| -> Result<Option<Arc<str>>, Refusal> {
        let Some(text) = text(value, header)? else { return Ok(None) };
        if !is_name(&text) {
            return Err(Refusal::HeaderInvalid { header, why: WHY });
        }
        Ok(Some(text.into()))
    };
    let parent = named(ours.parent_run, "x-keyway-parent-run")?;
    if let Some(name) = named(ours.run, "x-keyway-run")? {
        return Ok(Some(Run { name, parent }));
    }
    if parent.is_some() {
        let why = "it says whose part a run is, so `x-keyway-run` must name the run";
        return Err(Refusal::HeaderInvalid { header: "x-keyway-parent-run", why });
    }
    let session = ours.clients_session.and_then(|value| value.to_str().ok()).filter(|text| is_name(text));
    Ok(session.map(|name| Run { name: name.into(), parent: None }))
}

/// The conversation that the client names, hashed. The hash only spreads; nothing trusts it.
pub(super) fn conversation(ours: &Ours<'_>, body: &CallBody) -> Option<u64> {
    let cached = match body {
        CallBody::Json { bytes, found } => found.prompt_cache_key.clone().map(|range| &bytes[range]),
        CallBody::Empty | CallBody::Multipart { .. } | CallBody::Upload(_) => None,
    };
    let named = ours.session.map(HeaderValue::as_bytes);
    let name = named.or(cached).or_else(|| ours.clients_session.map(HeaderValue::as_bytes))?;
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Some(hasher.finish())
}

/// The client's own time-out in seconds, if it states one that is a time.
pub(super) fn allowed(stated: Option<&HeaderValue>) -> Option<Duration> {
    let seconds: f64 = stated?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}
