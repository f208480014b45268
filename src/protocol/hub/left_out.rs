//! Takes out of a call what its target can't say, by the rule that `field` states.

use super::field::{Field, Named, Objection};
use super::item::{Content, Item, Media, MediaKind, Part, Source};
use super::request::{Format, Request, Terms};
use crate::domain::protocol::Protocol;
use crate::protocol::{bedrock, gemini, messages, responses};

/// Refuses the call where the answer would be another; else gives the names of what was dropped.
pub(in crate::protocol) fn leave_out(
    request: &mut Request<'_>,
    client: Protocol,
    upstream: Protocol,
    terms: &Terms<'_>,
) -> Result<Named, Objection> {
    let said = said(request);
    let lacks = lacks(request, upstream, terms);
    let mut dropped = std::mem::take(&mut request.only_here);
    for field in Field::ALL {
        let can_be_said = field.name(upstream).is_some() && !terms.lacks.contains(&field) && !lacks.contains(&field);
        if said & field.bit() == 0 || can_be_said {
            continue;
        }
        // Whoever said it has a name for it, and what was filled in is nothing to the client.
        let Some(name) = field.name(client) else { continue };
        if field.changes_meaning() {
            return Err(Objection::unsupported(name));
        }
        dropped.add(name);
        clear(request, field);
    }
    Ok(dropped)
}

/// What the protocol has a name for, and this model no ear, or not together with the rest of the call.
fn lacks(request: &Request<'_>, upstream: Protocol, terms: &Terms<'_>) -> Vec<Field> {
    match upstream {
        Protocol::Responses => responses::request::lacks(request),
        Protocol::Messages => messages::request::lacks(request, terms),
        Protocol::Gemini => gemini::request::lacks(request, terms),
        Protocol::Bedrock => bedrock::request::lacks(request, terms),
        Protocol::Chat => Vec::new(),
    }
}

fn clear(request: &mut Request<'_>, field: Field) {
    let sampling = &mut request.sampling;
    match field {
        Field::Temperature => sampling.temperature = None,
        Field::TopP => sampling.top_p = None,
        Field::TopK => sampling.top_k = None,
        Field::Seed => sampling.seed = None,
        Field::FrequencyPenalty => sampling.frequency_penalty = None,
        Field::PresencePenalty => sampling.presence_penalty = None,
        Field::ParallelToolCalls => request.parallel_tool_calls = None,
        Field::MaxToolCalls => request.max_tool_calls = None,
        Field::StrictTools => request.tools.iter_mut().for_each(|tool| tool.strict = None),
        Field::Verbosity => request.verbosity = None,
        Field::Effort => (request.thinking.effort, request.thinking.budget) = (None, None),
        Field::ShownThoughts => (request.thinking.is_shown, request.thinking.summary) = (None, None),
        Field::Metadata => request.metadata = None,
        Field::User => request.user = None,
        Field::PromptCacheKey => request.prompt_cache_key = None,
        Field::CacheMarks => clear_marks(request),
        Field::ServiceTier => request.service_tier = None,
        Field::Store => request.store = None,
        Field::ImageDetail => each_part(request, |part| {
            if let Content::Media(media) = &mut part.content {
                media.detail = None;
            }
        }),
        Field::ResultError => request.items.iter_mut().for_each(|item| {
            if let Item::Result(result) = item {
                result.is_error = false;
            }
        }),
        Field::LogitBias
        | Field::Stop
        | Field::Logprobs
        | Field::JsonObject
        | Field::JsonSchema
        | Field::ImageBytes
        | Field::ImageUrl
        | Field::AudioBytes
        | Field::AudioUrl
        | Field::VideoBytes
        | Field::VideoUrl
        | Field::DocumentBytes
        | Field::DocumentText
        | Field::DocumentUrl
        | Field::FileId => {}
    }
}

fn clear_marks(request: &mut Request<'_>) {
    request.tools.iter_mut().for_each(|tool| tool.cache = None);
    each_part(request, |part| part.cache = None);
    for item in &mut request.items {
        match item {
            Item::Call(call) => call.cache = None,
            Item::Result(result) => result.cache = None,
            Item::Message(_) | Item::Reasoning(_) => {}
        }
    }
}

fn each_part<'a>(request: &mut Request<'a>, change: impl FnMut(&mut Part<'a>)) {
    let parts = request.items.iter_mut().flat_map(|item| match item {
        Item::Message(message) => message.content.as_mut_slice(),
        Item::Result(result) => result.output.as_mut_slice(),
        Item::Reasoning(_) | Item::Call(_) => &mut [],
    });
    parts.for_each(change);
}

/// The set of fields that a call makes use of.
fn said(request: &Request<'_>) -> u64 {
    let sampling = &request.sampling;
    let at_the_top = [
        (Field::Temperature, sampling.temperature.is_some()),
        (Field::TopP, sampling.top_p.is_some()),
        (Field::TopK, sampling.top_k.is_some()),
        (Field::Seed, sampling.seed.is_some()),
        (Field::FrequencyPenalty, sampling.frequency_penalty.is_some()),
        (Field::PresencePenalty, sampling.presence_penalty.is_some()),
        (Field::LogitBias, sampling.logit_bias.is_some()),
        (Field::Stop, !request.stop.is_empty()),
        (Field::Logprobs, request.logprobs.is_some()),
        (Field::ParallelToolCalls, request.parallel_tool_calls == Some(false) && !request.tools.is_empty()),
        (Field::MaxToolCalls, request.max_tool_calls.is_some()),
        (Field::StrictTools, request.tools.iter().any(|tool| tool.strict == Some(true))),
        (Field::JsonObject, matches!(request.format, Some(Format::JsonObject))),
        (Field::JsonSchema, matches!(request.format, Some(Format::JsonSchema { .. }))),
        (Field::Verbosity, request.verbosity.is_some()),
        (Field::Effort, request.thinking.effort.is_some() || request.thinking.budget.is_some()),
        (Field::ShownThoughts, request.thinking.is_shown.is_some() || request.thinking.summary.is_some()),
        (Field::Metadata, request.metadata.is_some()),
        (Field::User, request.user.is_some()),
        (Field::PromptCacheKey, request.prompt_cache_key.is_some()),
        (Field::CacheMarks, request.tools.iter().any(|tool| tool.cache.is_some())),
        (Field::ServiceTier, request.service_tier.is_some()),
        (Field::Store, request.store == Some(true)),
    ];
    let top = at_the_top.into_iter().filter(|(_, is_said)| *is_said).map(|(field, _)| field.bit());
    top.chain(request.items.iter().map(said_by_item)).fold(0, |set, bits| set | bits)
}

fn said_by_item(item: &Item<'_>) -> u64 {
    let cached = |is_marked: bool| if is_marked { Field::CacheMarks.bit() } else { 0 };
    match item {
        Item::Message(message) => said_by_parts(&message.content),
        Item::Reasoning(_) => 0,
        Item::Call(call) => cached(call.cache.is_some()),
        Item::Result(result) => {
            let error = if result.is_error { Field::ResultError.bit() } else { 0 };
            said_by_parts(&result.output) | error | cached(result.cache.is_some())
        }
    }
}

fn said_by_parts(parts: &[Part<'_>]) -> u64 {
    parts.iter().fold(0, |set, part| {
        let media = match &part.content {
            Content::Media(media) => said_by_media(media),
            Content::Text(_) | Content::Refusal(_) => 0,
        };
        set | media | if part.cache.is_some() { Field::CacheMarks.bit() } else { 0 }
    })
}

fn said_by_media(media: &Media<'_>) -> u64 {
    let field = match (media.kind, &media.source) {
        (_, Source::FileId(_)) => Field::FileId,
        (MediaKind::Image, Source::Url(_)) => Field::ImageUrl,
        (MediaKind::Image, _) => Field::ImageBytes,
        (MediaKind::Audio, Source::Url(_)) => Field::AudioUrl,
        (MediaKind::Audio, _) => Field::AudioBytes,
        (MediaKind::Video, Source::Url(_)) => Field::VideoUrl,
        (MediaKind::Video, _) => Field::VideoBytes,
        (MediaKind::Document, Source::Url(_)) => Field::DocumentUrl,
        (MediaKind::Document, Source::Text(_)) => Field::DocumentText,
        (MediaKind::Document, Source::Bytes { .. }) => Field::DocumentBytes,
    };
    field.bit() | if media.detail.is_some() { Field::ImageDetail.bit() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::hub::text::{Json, Quoted};

    #[test]
    fn what_would_change_the_answer_is_refused_and_the_rest_is_named() {
        let mut request = Request::default();
        request.sampling.seed = Some(Json::of(&b"7"[..]));
        request.only_here.add("prediction");
        let terms = Terms { lacks: &[Field::Temperature], ..Terms::of("m") };
        request.sampling.temperature = Some(Json::of(&b"1"[..]));
        let named = leave_out(&mut request, Protocol::Chat, Protocol::Responses, &terms).unwrap();
        assert_eq!((named.joined().as_str(), &request), ("prediction, temperature, seed", &Request::default()));
        request.stop.push(Quoted::plain("END"));
        let refused = leave_out(&mut request, Protocol::Chat, Protocol::Responses, &terms).unwrap_err();
        assert_eq!(refused, Objection::unsupported("stop"));
    }
}
