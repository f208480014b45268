//! A chat completion's request, from and to the hub. Bytes in, `Request` out, and the way back.
//!
//! What lies deeper has a file for each shape: `message` and `turn`, `part`, `thought`, `tool`.

mod message;
mod part;
pub(in crate::protocol) mod thought;
mod tool;
mod turn;
pub(in crate::protocol) mod words;

pub(in crate::protocol) use message::arguments;

use crate::domain::preset::MaxField;
use crate::domain::protocol::Delivery;
use crate::protocol::hub::field::{Field, Objection};
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::request::{Request, Terms};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::thinking::Effort;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// What the answer must know of the request.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Asked {
    /// Shall a stream end with what it used?
    pub(in crate::protocol) include_usage: bool,
}

/// What chat calls what others may not be able to say.
pub(in crate::protocol) const fn name(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        // No part of OpenAI's own, but servers of open models take it.
        Field::TopK => "top_k",
        Field::Seed => "seed",
        Field::FrequencyPenalty => "frequency_penalty",
        Field::PresencePenalty => "presence_penalty",
        Field::LogitBias => "logit_bias",
        Field::Stop => "stop",
        Field::Logprobs => "logprobs",
        Field::ParallelToolCalls => "parallel_tool_calls",
        Field::StrictTools => "tools.strict",
        Field::JsonObject | Field::JsonSchema => "response_format",
        Field::Verbosity => "verbosity",
        Field::Effort => "reasoning_effort",
        Field::Metadata => "metadata",
        Field::User => "user",
        Field::PromptCacheKey => "prompt_cache_key",
        // Not OpenAI's either; routers to models of others take it.
        Field::CacheMarks => "cache_control",
        Field::ServiceTier => "service_tier",
        Field::Store => "store",
        Field::ImageDetail => "image_url.detail",
        Field::ImageBytes | Field::ImageUrl => "image_url",
        Field::AudioBytes => "input_audio",
        // Text is said as text, be it a document's.
        Field::DocumentBytes | Field::DocumentText => "file",
        Field::FileId => "file_id",
        Field::MaxToolCalls
        | Field::ShownThoughts
        | Field::AudioUrl
        | Field::VideoBytes
        | Field::VideoUrl
        | Field::DocumentUrl
        | Field::ResultError => return None,
    })
}

pub(in crate::protocol) fn decode(body: &[u8]) -> Result<(Request<'_>, Asked), Objection> {
    let mut draft = Draft::default();
    let mut reader = Reader::new(body);
    reader.space();
    reader.members(|reader, key| draft.field(reader, key))?;
    let Draft { mut request, asked, wants_logprobs, top_logprobs } = draft;
    request.logprobs = wants_logprobs.then_some(top_logprobs.unwrap_or(0));
    Ok((request, asked))
}

#[derive(Default)]
struct Draft<'a> {
    request: Request<'a>,
    asked: Asked,
    wants_logprobs: bool,
    top_logprobs: Option<u64>,
}

impl<'a> Draft<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        let request = &mut self.request;
        let sampling = &mut request.sampling;
        match key {
            b"messages" => request.items = message::decode(reader, &mut request.only_here)?,
            b"tools" => request.tools = tool::decode(reader)?,
            b"tool_choice" => request.tool_choice = tool::decode_choice(reader)?,
            b"parallel_tool_calls" => request.parallel_tool_calls = reader.flag()?,
            b"response_format" => request.format = tool::decode_format(reader)?,
            b"verbosity" => request.verbosity = reader.text()?,
            b"reasoning_effort" => request.thinking.effort = effort(reader.text()?)?,
            b"reasoning" => self.reasoning(reader)?,
            // The newer name stands where both are given.
            b"max_completion_tokens" => {
                request.max_output_tokens = reader.unsigned()?.or(request.max_output_tokens);
            }
            b"max_tokens" => request.max_output_tokens = request.max_output_tokens.or(reader.unsigned()?),
            b"temperature" => sampling.temperature = reader.number()?,
            b"top_p" => sampling.top_p = reader.number()?,
            b"top_k" => sampling.top_k = reader.number()?,
            b"seed" => sampling.seed = reader.number()?,
            b"frequency_penalty" => sampling.frequency_penalty = reader.number()?,
            b"presence_penalty" => sampling.presence_penalty = reader.number()?,
            b"logit_bias" => sampling.logit_bias = reader.json()?.filter(|bias| !bias.is_empty()),
            b"stop" => request.stop = stop(reader)?,
            b"logprobs" => self.wants_logprobs = reader.flag()?.unwrap_or(false),
            b"top_logprobs" => self.top_logprobs = reader.unsigned()?,
            b"metadata" => request.metadata = reader.json()?.filter(|metadata| !metadata.is_empty()),
            b"user" => request.user = reader.text()?.or(request.user.take()),
            b"safety_identifier" => request.user = request.user.take().or(reader.text()?),
            b"prompt_cache_key" => request.prompt_cache_key = reader.text()?,
            b"service_tier" => request.service_tier = reader.text()?,
            b"store" => request.store = reader.flag()?,
            b"stream_options" => self.stream_options(reader)?,
            b"n" => {
                if reader.unsigned()?.is_some_and(|n| n > 1) {
                    return Err(Objection::unsupported("n"));
                }
            }
            b"modalities" => modalities(reader)?,
            b"audio" | b"functions" | b"function_call" | b"web_search_options" => {
                if reader.json()?.is_some() {
                    return Err(Objection::unsupported(String::from_utf8_lossy(key).into_owned()));
                }
            }
            // The path and the gateway decide these.
            b"model" | b"stream" => reader.skip()?,
            _ => {
                if reader.json()?.is_some() {
                    request.only_here.add_foreign(key);
                }
            }
        }
        Ok(())
    }

    fn stream_options(&mut self, reader: &mut Reader<'a>) -> Result<(), Objection> {
        reader.members(|reader, key| {
            match key {
                b"include_usage" => self.asked.include_usage = reader.flag()?.unwrap_or(false),
                // Padding, which we never send.
                _ => reader.skip()?,
            }
            Ok::<(), Objection>(())
        })?;
        Ok(())
    }

    /// As routers to many models have it.
    fn reasoning(&mut self, reader: &mut Reader<'a>) -> Result<(), Objection> {
        let request = &mut self.request;
        reader.members(|reader, key| {
            match key {
                b"effort" => request.thinking.effort = effort(reader.text()?)?,
                b"max_tokens" => request.thinking.budget = reader.unsigned()?,
                b"enabled" => reader.skip()?,
                _ => {
                    if reader.json()?.is_some() {
                        request.only_here.add_foreign(&[b"reasoning.", key].concat());
                    }
                }
            }
            Ok::<(), Objection>(())
        })?;
        Ok(())
    }
}

fn effort(name: Option<Quoted<'_>>) -> Result<Option<Effort>, Objection> {
    let Some(name) = name else { return Ok(None) };
    let why = "it is none of none, minimal, low, medium, high, xhigh and max";
    Effort::named(&name).map(Some).ok_or(Objection::Invalid { field: "reasoning_effort", why })
}

fn stop<'a>(reader: &mut Reader<'a>) -> Result<Vec<Quoted<'a>>, Objection> {
    let mut stops = Vec::new();
    if reader.peek() == Some(b'"') {
        stops.extend(reader.text()?);
    } else {
        reader.elements(|reader| {
            stops.extend(reader.text()?);
            Ok::<(), Objection>(())
        })?;
    }
    Ok(stops)
}

/// Text is what every answer is made of; another is not translated.
fn modalities(reader: &mut Reader<'_>) -> Result<(), Objection> {
    reader.elements(|reader| match reader.text()? {
        Some(other) if !other.is("text") => Err(Objection::unsupported("modalities")),
        _ => Ok(()),
    })?;
    Ok(())
}

pub(in crate::protocol) fn encode(request: &Request<'_>, terms: &Terms<'_>, delivery: Delivery) -> Vec<u8> {
    let mut out = Vec::new();
    out.object(|out| {
        out.member("model", Quoted::of(terms.model));
        turn::encode(&request.items, terms, out);
        tool::encode(request, out);
        limits(request, terms, out);
        sampling(request, out);
        out.maybe("verbosity", request.verbosity.as_ref());
        out.maybe("reasoning_effort", request.thinking.as_effort().map(Effort::name));
        out.maybe("metadata", request.metadata.as_ref());
        out.maybe("user", request.user.as_ref());
        out.maybe("prompt_cache_key", request.prompt_cache_key.as_ref());
        out.maybe("service_tier", request.service_tier.as_ref());
        out.maybe("store", request.store);
        if delivery == Delivery::Streamed {
            out.member("stream", true);
            if terms.takes_stream_options {
                out.key("stream_options").object(|out| {
                    out.member("include_usage", true);
                });
            }
        }
    });
    out
}

fn limits(request: &Request<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    let field = match terms.max_field {
        MaxField::MaxTokens => "max_tokens",
        MaxField::MaxCompletionTokens => "max_completion_tokens",
    };
    out.maybe(field, request.max_output_tokens);
    if !request.stop.is_empty() {
        out.key("stop").array(|out| {
            request.stop.iter().for_each(|stop| {
                out.value(stop);
            });
        });
    }
    if let Some(others) = request.logprobs {
        out.member("logprobs", true);
        out.maybe("top_logprobs", (others > 0).then_some(others));
    }
}

fn sampling(request: &Request<'_>, out: &mut Vec<u8>) {
    let sampling = &request.sampling;
    out.maybe("temperature", sampling.temperature.as_ref());
    out.maybe("top_p", sampling.top_p.as_ref());
    out.maybe("top_k", sampling.top_k.as_ref());
    out.maybe("seed", sampling.seed.as_ref());
    out.maybe("frequency_penalty", sampling.frequency_penalty.as_ref());
    out.maybe("presence_penalty", sampling.presence_penalty.as_ref());
    out.maybe("logit_bias", sampling.logit_bias.as_ref());
}
