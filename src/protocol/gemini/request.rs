//! A Gemini request, from and to the hub. Bytes in, `Request` out, and the way back. The model and whether the answer is
//! streamed stand in the path.
//!
//! What lies deeper has a file for each shape: `content`, `part`, `tool`, `schema`, `config`, `thinking`.

mod config;
mod content;
mod part;
mod schema;
mod thinking;
mod tool;

use super::key;
use crate::protocol::hub::field::{Field, Objection};
use crate::protocol::hub::item::{Item, Message, Part, Role};
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::{Request, Terms};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// What Gemini calls what others may not be able to say.
pub(in crate::protocol) const fn name(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Temperature => "generationConfig.temperature",
        Field::TopP => "generationConfig.topP",
        Field::TopK => "generationConfig.topK",
        Field::Seed => "generationConfig.seed",
        Field::FrequencyPenalty => "generationConfig.frequencyPenalty",
        Field::PresencePenalty => "generationConfig.presencePenalty",
        Field::Stop => "generationConfig.stopSequences",
        Field::JsonObject => "generationConfig.responseMimeType",
        Field::JsonSchema => "generationConfig.responseJsonSchema",
        Field::Effort => "generationConfig.thinkingConfig",
        Field::ShownThoughts => "generationConfig.thinkingConfig.includeThoughts",
        Field::ImageBytes | Field::AudioBytes | Field::VideoBytes | Field::DocumentBytes => "inlineData",
        Field::ImageUrl | Field::AudioUrl | Field::VideoUrl | Field::DocumentUrl => "fileData",
        // Text is said as text, be it a document's.
        Field::DocumentText => "text",
        Field::ResultError => "functionResponse.response.error",
        Field::LogitBias
        // Its form is another than that which chat and Responses share.
        | Field::Logprobs
        | Field::ParallelToolCalls
        | Field::MaxToolCalls
        | Field::StrictTools
        | Field::Verbosity
        | Field::Metadata
        | Field::User
        | Field::PromptCacheKey
        | Field::CacheMarks
        | Field::ServiceTier
        | Field::Store
        | Field::ImageDetail
        // Files lie at the vendor whose id it is.
        | Field::FileId => return None,
    })
}

/// More are refused.
const STOPS_LIMIT: usize = 5;

/// What can't be said to this model, or not as often.
pub(in crate::protocol) fn lacks(request: &Request<'_>, terms: &Terms<'_>) -> Vec<Field> {
    let stops = (request.stop.len() > STOPS_LIMIT).then_some(Field::Stop);
    let effort = (!thinking::can_be_told(terms.model)).then_some([Field::Effort, Field::ShownThoughts]);
    stops.into_iter().chain(effort.into_iter().flatten()).collect()
}

pub(in crate::protocol) fn decode(body: &[u8]) -> Result<Request<'_>, Objection> {
    let mut request = Request::default();
    let mut system: Vec<Part<'_>> = Vec::new();
    let mut reader = Reader::new(body);
    reader.space();
    key::members(&mut reader, |reader, key| {
        match key {
            b"contents" => request.items = content::decode(reader, &mut request.only_here)?,
            b"systeminstruction" => system = content::decode_system(reader, &mut request.only_here)?,
            b"tools" => request.tools = tool::decode(reader, &mut request.only_here)?,
            b"toolconfig" => request.tool_choice = tool::decode_config(reader)?,
            b"generationconfig" => config::decode(reader, &mut request)?,
            // It holds a part of the conversation.
            b"cachedcontent" => {
                if reader.json()?.is_some_and(|name| !name.is_nothing()) {
                    return Err(Objection::unsupported("cachedContent"));
                }
            }
            // The path decides it.
            b"model" => reader.skip()?,
            b"safetysettings" => {
                if reader.json()?.is_some_and(|settings| !settings.is_nothing()) {
                    request.only_here.add("safetySettings");
                }
            }
            other => {
                if reader.json()?.is_some_and(|value| !value.is_nothing()) {
                    request.only_here.add_foreign(other);
                }
            }
        }
        Ok::<(), Objection>(())
    })?;
    if !system.is_empty() {
        request.items.insert(0, Item::Message(Message { role: Role::System, content: system }));
    }
    Ok(request)
}

/// The call whose length is asked for: what is counted may stand by itself, or as a whole request.
pub(in crate::protocol) fn counted(body: &[u8]) -> Result<&[u8], Objection> {
    let mut call = None;
    let mut reader = Reader::new(body);
    reader.space();
    key::members(&mut reader, |reader, key| {
        let value = reader.value()?;
        if key == b"generatecontentrequest" {
            call = Some(value);
        }
        Ok::<(), Objection>(())
    })?;
    Ok(call.unwrap_or(body))
}

/// A request of ours as its counter takes it.
pub(in crate::protocol) fn to_count(body: &[u8], model: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    out.object(|out| {
        out.key("generateContentRequest").object(|out| {
            out.member("model", Quoted::of(&format!("models/{model}")));
            let members = body.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default();
            if !members.is_empty() {
                out.push(b',');
                out.extend_from_slice(members);
            }
        });
    });
    out
}

pub(in crate::protocol) fn encode(request: &Request<'_>, terms: &Terms<'_>) -> Result<Vec<u8>, Objection> {
    let (leading, conversation) = request.split_system();
    let system: Vec<&Part<'_>> = leading.flat_map(|message| &message.content).collect();
    if system.iter().any(|part| part.as_text().is_none()) {
        return Err(Objection::unsupported("systemInstruction"));
    }
    let mut out = Vec::new();
    out.object(|out| {
        if !system.is_empty() {
            out.key("systemInstruction").object(|out| {
                out.key("parts").array(|out| system.iter().for_each(|one| part::encode(one, None, out)));
            });
        }
        content::encode(conversation, terms, out);
        tool::encode(request, out);
        config::encode(request, terms, out);
    });
    Ok(out)
}
