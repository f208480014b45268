//! A Responses request, from and to the hub. Bytes in, `Request` out, and the way back.
//!
//! What lies deeper has a file for each shape: `item`, `part`, `tool`; `echo` is what an answer repeats of its request.

mod echo;
pub(in crate::protocol) mod item;
mod part;
mod tool;

use echo::Echo;

use crate::domain::protocol::Delivery;
use crate::protocol::hub::field::{Field, Objection};
use crate::protocol::hub::item::{Item, Message, Part, Role};
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::request::{Request, Terms};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::thinking::Effort;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// What the answer must know of the request.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Asked {
    /// Members of the response that repeat the request.
    pub(in crate::protocol) echo: Vec<u8>,
}

/// What Responses calls what others may not be able to say.
pub(in crate::protocol) const fn name(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::FrequencyPenalty => "frequency_penalty",
        Field::PresencePenalty => "presence_penalty",
        Field::Logprobs => "top_logprobs",
        Field::ParallelToolCalls => "parallel_tool_calls",
        Field::MaxToolCalls => "max_tool_calls",
        Field::StrictTools => "tools.strict",
        Field::JsonObject | Field::JsonSchema => "text.format",
        Field::Verbosity => "text.verbosity",
        Field::Effort => "reasoning.effort",
        Field::ShownThoughts => "reasoning.summary",
        Field::Metadata => "metadata",
        Field::User => "safety_identifier",
        Field::PromptCacheKey => "prompt_cache_key",
        Field::ServiceTier => "service_tier",
        Field::Store => "store",
        Field::ImageDetail => "input_image.detail",
        Field::ImageBytes | Field::ImageUrl => "input_image",
        // Text is said as text, be it a document's.
        Field::DocumentBytes | Field::DocumentText | Field::DocumentUrl => "input_file",
        Field::FileId => "file_id",
        Field::TopK
        | Field::Seed
        | Field::LogitBias
        | Field::Stop
        | Field::CacheMarks
        | Field::AudioBytes
        | Field::AudioUrl
        | Field::VideoBytes
        | Field::VideoUrl
        | Field::ResultError => return None,
    })
}

/// Longer names are refused.
const NAME_LIMIT_BYTES: usize = 64;

/// What can't be said because of its length.
pub(in crate::protocol) fn lacks(request: &Request<'_>) -> Vec<Field> {
    let is_long =
        |name: &Option<Quoted<'_>>| name.as_ref().is_some_and(|name| name.as_bytes().len() > NAME_LIMIT_BYTES);
    let user = is_long(&request.user).then_some(Field::User);
    let key = is_long(&request.prompt_cache_key).then_some(Field::PromptCacheKey);
    user.into_iter().chain(key).collect()
}

/// What an answer repeats of a request of which nothing is known.
pub(in crate::protocol) fn echo_of_nothing() -> Vec<u8> {
    Echo::default().write()
}

pub(in crate::protocol) fn decode<'a>(body: &'a [u8], terms: &Terms<'_>) -> Result<(Request<'a>, Asked), Objection> {
    let mut draft = Draft { holds_past: terms.holds_past, ..Draft::default() };
    let mut reader = Reader::new(body);
    reader.space();
    reader.members(|reader, key| draft.field(reader, key))?;
    draft.finish()
}

#[derive(Default)]
struct Draft<'a> {
    request: Request<'a>,
    echo: Echo<'a>,
    instructions: Option<Quoted<'a>>,
    holds_past: bool,
    wants_logprobs: bool,
    top_logprobs: Option<u64>,
}

impl<'a> Draft<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        let value = reader.value()?;
        if value == b"null" {
            return Ok(());
        }
        self.echo.keep(key, value);
        let reader = &mut Reader::new(value);
        let request = &mut self.request;
        match key {
            b"input" => request.items = item::decode(reader, &mut request.only_here)?,
            b"instructions" => self.instructions = reader.text()?,
            b"tools" => request.tools = tool::decode(reader, &mut request.only_here)?,
            b"tool_choice" => request.tool_choice = tool::decode_choice(reader)?,
            b"parallel_tool_calls" => request.parallel_tool_calls = reader.flag()?,
            b"max_tool_calls" => request.max_tool_calls = reader.unsigned()?,
            b"text" => (request.format, request.verbosity) = tool::decode_text(reader)?,
            b"reasoning" => self.reasoning(reader)?,
            b"max_output_tokens" => request.max_output_tokens = reader.unsigned()?,
            b"temperature" => request.sampling.temperature = reader.number()?,
            b"top_p" => request.sampling.top_p = reader.number()?,
            // Zero is what is meant where nothing is said, and what some SDKs always say.
            b"presence_penalty" => request.sampling.presence_penalty = reader.number()?.filter(|it| !it.is_zero()),
            b"frequency_penalty" => request.sampling.frequency_penalty = reader.number()?.filter(|it| !it.is_zero()),
            b"top_logprobs" => self.top_logprobs = reader.unsigned()?.filter(|others| *others > 0),
            b"include" => self.include(reader)?,
            b"metadata" => request.metadata = reader.json()?.filter(|metadata| !metadata.is_empty()),
            b"safety_identifier" => request.user = reader.text()?,
            b"user" => request.user = request.user.take().or(reader.text()?),
            b"prompt_cache_key" => request.prompt_cache_key = reader.text()?,
            b"service_tier" => request.service_tier = reader.text()?.filter(|tier| !tier.is("auto")),
            // Whatever is kept of a translated answer is kept here.
            b"store" => {}
            b"previous_response_id" if self.holds_past => {}
            b"previous_response_id" | b"conversation" | b"prompt" => {
                return Err(Objection::unsupported(String::from_utf8_lossy(key).into_owned()));
            }
            b"background" => {
                if reader.flag()? == Some(true) {
                    return Err(Objection::unsupported("background"));
                }
            }
            // Not to cut the input is what every protocol does.
            b"truncation" => {
                if reader.text()?.is_some_and(|truncation| !truncation.is("disabled")) {
                    request.only_here.add("truncation");
                }
            }
            // The path and the gateway decide the first two; the third is about padding, which we never send.
            b"model" | b"stream" | b"stream_options" => {}
            _ => request.only_here.add_foreign(key),
        }
        Ok(())
    }

    fn reasoning(&mut self, reader: &mut Reader<'a>) -> Result<(), Objection> {
        let request = &mut self.request;
        reader.members(|reader, key| {
            match key {
                b"effort" => {
                    let why = "it is none of none, minimal, low, medium, high, xhigh and max";
                    let invalid = Objection::Invalid { field: "reasoning.effort", why };
                    let effort = reader.text()?.map(|name| Effort::named(&name).ok_or(invalid)).transpose()?;
                    request.thinking.effort = effort;
                }
                b"summary" => request.thinking.summary = reader.text()?,
                // An older name for the same.
                b"generate_summary" => request.thinking.summary = request.thinking.summary.take().or(reader.text()?),
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

    fn include(&mut self, reader: &mut Reader<'a>) -> Result<(), Objection> {
        reader.elements(|reader| {
            let Some(name) = reader.text()? else { return Ok(()) };
            if name.is("message.output_text.logprobs") {
                self.wants_logprobs = true;
            // A state always comes, for it has no other way back.
            } else if !name.is("reasoning.encrypted_content") {
                self.request.only_here.add_foreign(format!("include.{}", name.decode()).as_bytes());
            }
            Ok::<(), Objection>(())
        })?;
        Ok(())
    }

    fn finish(self) -> Result<(Request<'a>, Asked), Objection> {
        let mut request = self.request;
        if let Some(instructions) = self.instructions.filter(|text| !text.is_empty()) {
            let content = vec![Part::text(instructions)];
            request.items.insert(0, Item::Message(Message { role: Role::System, content }));
        }
        let wants_logprobs = self.wants_logprobs || self.top_logprobs.is_some();
        request.logprobs = wants_logprobs.then_some(self.top_logprobs.unwrap_or(0));
        Ok((request, Asked { echo: self.echo.write() }))
    }
}

/// Fewer are refused.
const LEAST_OUTPUT_TOKENS: u64 = 16;

pub(in crate::protocol) fn encode(request: &Request<'_>, terms: &Terms<'_>, delivery: Delivery) -> Vec<u8> {
    let mut out = Vec::new();
    out.object(|out| {
        out.member("model", Quoted::of(terms.model));
        item::encode(&request.items, terms, out);
        tool::encode(request, out);
        out.maybe("max_tool_calls", request.max_tool_calls);
        out.maybe("max_output_tokens", request.max_output_tokens.map(|tokens| tokens.max(LEAST_OUTPUT_TOKENS)));
        sampling(request, out);
        reasoning(request, out);
        include(request, out);
        out.maybe("metadata", request.metadata.as_ref());
        out.maybe("safety_identifier", request.user.as_ref());
        out.maybe("prompt_cache_key", request.prompt_cache_key.as_ref());
        out.maybe("service_tier", request.service_tier.as_ref());
        // Other protocols keep nothing unless asked; this one does unless told not to.
        out.member("store", request.store.unwrap_or(false));
        if delivery == Delivery::Streamed {
            out.member("stream", true);
        }
    });
    out
}

fn sampling(request: &Request<'_>, out: &mut Vec<u8>) {
    let sampling = &request.sampling;
    out.maybe("temperature", sampling.temperature.as_ref());
    out.maybe("top_p", sampling.top_p.as_ref());
    out.maybe("presence_penalty", sampling.presence_penalty.as_ref());
    out.maybe("frequency_penalty", sampling.frequency_penalty.as_ref());
    out.maybe("top_logprobs", request.logprobs.filter(|others| *others > 0));
}

fn reasoning(request: &Request<'_>, out: &mut Vec<u8>) {
    let thinking = &request.thinking;
    let shown = || (thinking.is_shown == Some(true)).then_some(Quoted::plain("auto"));
    let (effort, summary) = (thinking.as_effort(), thinking.summary.as_ref().map(Quoted::borrowed).or_else(shown));
    if effort.is_some() || summary.is_some() {
        out.key("reasoning").object(|out| {
            out.maybe("effort", effort.map(Effort::name)).maybe("summary", summary);
        });
    }
}

fn include(request: &Request<'_>, out: &mut Vec<u8>) {
    out.key("include").array(|out| {
        // Nothing is stored, so a thought comes back only if it came here.
        out.value("reasoning.encrypted_content");
        if request.logprobs.is_some() {
            out.value("message.output_text.logprobs");
        }
    });
}
