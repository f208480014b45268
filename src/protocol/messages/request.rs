//! A Messages request, from and to the hub. Bytes in, `Request` out, and the way back.
//!
//! What lies deeper has a file for each shape: `turn`, `block`, `tool`, `thinking`.

mod block;
mod thinking;
mod tool;
mod turn;

use crate::domain::protocol::Delivery;
use crate::protocol::hub::field::{Field, Objection};
use crate::protocol::hub::item::{Item, Message, Part, Role};
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::request::{Format, Request, Terms};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::Reader;

pub(in crate::protocol) use block::{decode_mark, encode_mark};
pub(in crate::protocol) use thinking::{Told, lacks};
pub(in crate::protocol) use tool::{fitting, of_object};

/// What Messages calls what others may not be able to say.
pub(in crate::protocol) const fn name(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::TopK => "top_k",
        Field::Stop => "stop_sequences",
        Field::ParallelToolCalls => "tool_choice.disable_parallel_tool_use",
        Field::StrictTools => "tools.strict",
        // That it be some object can only be asked for in words.
        Field::JsonObject | Field::JsonSchema => "output_config.format",
        Field::Effort => "thinking",
        Field::ShownThoughts => "thinking.display",
        Field::User => "metadata.user_id",
        Field::CacheMarks => "cache_control",
        Field::ImageBytes | Field::ImageUrl => "image",
        Field::DocumentBytes | Field::DocumentText | Field::DocumentUrl => "document",
        Field::ResultError => "tool_result.is_error",
        Field::Seed
        | Field::FrequencyPenalty
        | Field::PresencePenalty
        | Field::LogitBias
        | Field::Logprobs
        | Field::MaxToolCalls
        | Field::Verbosity
        | Field::Metadata
        | Field::PromptCacheKey
        // Tiers are each vendor's own.
        | Field::ServiceTier
        | Field::Store
        | Field::ImageDetail
        | Field::AudioBytes
        | Field::AudioUrl
        | Field::VideoBytes
        | Field::VideoUrl
        // Files lie at the vendor whose id it is.
        | Field::FileId => return None,
    })
}

pub(in crate::protocol) fn decode(body: &[u8]) -> Result<Request<'_>, Objection> {
    let mut draft = Draft::default();
    let mut reader = Reader::new(body);
    reader.space();
    reader.members(|reader, key| draft.field(reader, key))?;
    let Draft { mut request, system } = draft;
    if !system.is_empty() {
        request.items.insert(0, Item::Message(Message { role: Role::System, content: system }));
    }
    Ok(request)
}

#[derive(Default)]
struct Draft<'a> {
    request: Request<'a>,
    system: Vec<Part<'a>>,
}

impl<'a> Draft<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        let request = &mut self.request;
        match key {
            b"messages" => request.items = turn::decode(reader, &mut request.only_here)?,
            b"system" => self.system = block::decode_parts(reader, &mut request.only_here)?,
            b"tools" => request.tools = tool::decode(reader, &mut request.only_here)?,
            b"tool_choice" => (request.tool_choice, request.parallel_tool_calls) = tool::decode_choice(reader)?,
            b"thinking" => thinking::decode(reader, &mut request.thinking)?,
            b"output_config" => self.output(reader)?,
            b"max_tokens" => request.max_output_tokens = reader.unsigned()?,
            b"stop_sequences" => {
                reader.elements(|reader| {
                    request.stop.extend(reader.text()?);
                    Ok::<(), Objection>(())
                })?;
            }
            b"temperature" => request.sampling.temperature = reader.number()?,
            b"top_p" => request.sampling.top_p = reader.number()?,
            b"top_k" => request.sampling.top_k = reader.number()?,
            b"metadata" => self.metadata(reader)?,
            b"service_tier" => {
                if reader.text()?.is_some_and(|tier| !tier.is("auto")) {
                    request.only_here.add("service_tier");
                }
            }
            // Both bring something to the answer that only this provider has.
            b"container" | b"mcp_servers" => {
                if reader.json()?.is_some_and(|value| !value.is_nothing()) {
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

    fn output(&mut self, reader: &mut Reader<'a>) -> Result<(), Objection> {
        let request = &mut self.request;
        reader.members(|reader, key| {
            match key {
                b"effort" => request.thinking.effort = thinking::decode_effort(reader)?.or(request.thinking.effort),
                b"format" => request.format = tool::decode_format(reader)?,
                _ => {
                    if reader.json()?.is_some() {
                        request.only_here.add_foreign(&[b"output_config.", key].concat());
                    }
                }
            }
            Ok::<(), Objection>(())
        })?;
        Ok(())
    }

    fn metadata(&mut self, reader: &mut Reader<'a>) -> Result<(), Objection> {
        let request = &mut self.request;
        reader.members(|reader, key| {
            match key {
                b"user_id" => request.user = reader.text()?,
                _ => {
                    if reader.json()?.is_some() {
                        request.only_here.add_foreign(&[b"metadata.", key].concat());
                    }
                }
            }
            Ok::<(), Objection>(())
        })?;
        Ok(())
    }
}

/// How much a model may write where neither the client nor the directory says: this protocol must have a number.
const MAX_TOKENS: u64 = 8_192;

fn max_tokens(request: &Request<'_>, terms: &Terms<'_>) -> u64 {
    request.max_output_tokens.or(terms.max_output_tokens).unwrap_or(MAX_TOKENS)
}

pub(in crate::protocol) fn encode(
    request: &Request<'_>,
    terms: &Terms<'_>,
    delivery: Delivery,
) -> Result<Vec<u8>, Objection> {
    let (leading, conversation) = request.split_system();
    let system: Vec<&Message<'_>> = leading.collect();
    if !system.iter().all(|message| message.is_text()) {
        return Err(Objection::unsupported("system"));
    }
    let mut out = Vec::new();
    out.object(|out| {
        out.member("model", Quoted::of(terms.model)).member("max_tokens", max_tokens(request, terms));
        encode_system(&system, request.format.as_ref(), out);
        turn::encode(conversation, terms, out);
        tool::encode(request, out);
        thinking::encode(request, terms, out);
        if let Some(user) = &request.user {
            out.key("metadata").object(|out| {
                out.member("user_id", user);
            });
        }
        if !request.stop.is_empty() {
            // One that nobody could see is refused.
            let stops = request.stop.iter().filter(|stop| !stop.is_blank());
            out.key("stop_sequences").array(|out| {
                stops.for_each(|stop| {
                    out.value(stop);
                });
            });
        }
        sampling(request, out);
        if delivery == Delivery::Streamed {
            out.member("stream", true);
        }
    });
    Ok(out)
}

/// Asks for an object in words.
pub(in crate::protocol) const AS_JSON: &str = "Answer with one JSON object and with nothing else.";

/// One text where that is all, else blocks.
fn encode_system(system: &[&Message<'_>], format: Option<&Format<'_>>, out: &mut Vec<u8>) {
    let asks = matches!(format, Some(Format::JsonObject)).then(|| Part::text(Quoted::plain(AS_JSON)));
    let parts = system.iter().flat_map(|message| &message.content).chain(&asks);
    let parts: Vec<&Part<'_>> = parts.filter(|part| part.as_text().is_some_and(|text| !text.is_blank())).collect();
    match parts.as_slice() {
        [] => {}
        [Part { cache: None, .. }] => {
            out.maybe("system", parts[0].as_text());
        }
        several => {
            out.key("system").array(|out| several.iter().for_each(|part| block::encode_part(part, out)));
        }
    }
}

fn sampling(request: &Request<'_>, out: &mut Vec<u8>) {
    let sampling = &request.sampling;
    match &sampling.temperature {
        // Others count up to 2.
        Some(temperature) if temperature.number().is_some_and(|number| number > 1.0) => {
            out.member("temperature", Raw(b"1"));
        }
        temperature => {
            out.maybe("temperature", temperature.as_ref().map(Json::borrowed));
        }
    }
    out.maybe("top_p", sampling.top_p.as_ref()).maybe("top_k", sampling.top_k.as_ref());
}
