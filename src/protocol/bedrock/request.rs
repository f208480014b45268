//! A call as Bedrock's Converse takes it. The model and whether the answer is streamed stand in the path.
//!
//! What lies deeper has a file for each shape: `block`, `tool`.

mod block;
mod tool;

use crate::domain::protocol::Protocol;
use crate::protocol::hub::field::{Field, Objection};
use crate::protocol::hub::item::{Item, Message, Part};
use crate::protocol::hub::request::{Format, Request, Terms};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::turns::{Spoken, Turn, UNANSWERED, turns};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::messages::request::{AS_JSON, Told, fitting};

/// What Converse calls what others may not be able to say.
pub(in crate::protocol) const fn name(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Temperature => "inferenceConfig.temperature",
        Field::TopP => "inferenceConfig.topP",
        Field::TopK => "additionalModelRequestFields.top_k",
        Field::Stop => "inferenceConfig.stopSequences",
        Field::StrictTools => "toolSpec.strict",
        // That it be some object can only be asked for in words.
        Field::JsonObject | Field::JsonSchema => "outputConfig.textFormat",
        Field::Effort => "additionalModelRequestFields.thinking",
        Field::CacheMarks => "cachePoint",
        Field::ImageBytes => "image",
        Field::DocumentBytes | Field::DocumentText => "document",
        Field::ResultError => "toolResult.status",
        Field::Seed
        | Field::FrequencyPenalty
        | Field::PresencePenalty
        | Field::LogitBias
        | Field::Logprobs
        | Field::ParallelToolCalls
        | Field::MaxToolCalls
        | Field::Verbosity
        | Field::ShownThoughts
        | Field::Metadata
        | Field::User
        | Field::PromptCacheKey
        | Field::ServiceTier
        | Field::Store
        | Field::ImageDetail
        // Nothing is fetched for a call.
        | Field::ImageUrl
        | Field::AudioBytes
        | Field::AudioUrl
        | Field::VideoBytes
        | Field::VideoUrl
        | Field::DocumentUrl
        | Field::FileId => return None,
    })
}

/// Models whose own fields are known here.
fn is_claude(model: &str) -> bool {
    model.contains("claude-")
}

/// What can't be said to this model, or not together with the rest.
pub(in crate::protocol) fn lacks(request: &Request<'_>, terms: &Terms<'_>) -> Vec<Field> {
    if is_claude(terms.model) {
        return Told::of(request, terms, Protocol::Bedrock).lacks(terms.model);
    }
    vec![Field::TopK, Field::Effort]
}

pub(in crate::protocol) fn encode(request: &Request<'_>, terms: &Terms<'_>) -> Result<Vec<u8>, Objection> {
    let (leading, conversation) = request.split_system();
    let system: Vec<&Message<'_>> = leading.collect();
    if !system.iter().all(|message| message.is_text()) {
        return Err(Objection::unsupported("system"));
    }
    let turns = encode_turns(conversation, terms)?;
    let mut out = Vec::new();
    out.object(|out| {
        encode_system(&system, request.format.as_ref(), out);
        out.key("messages").array(|out| {
            out.value(Raw(&turns));
        });
        encode_inference(request, out);
        tool::encode(request, out);
        if let Some(Format::JsonSchema { name, description, schema, .. }) = &request.format {
            out.key("outputConfig").object(|out| {
                out.key("textFormat").object(|out| {
                    out.member("type", "json_schema").key("structure").object(|out| {
                        out.key("jsonSchema").object(|out| {
                            // A schema is text here.
                            out.member("schema", Quoted::of(&String::from_utf8_lossy(schema.as_bytes())));
                            out.member("name", name.clone().unwrap_or(Quoted::plain("answer")));
                            out.maybe("description", description.as_ref());
                        });
                    });
                });
            });
        }
        encode_own(request, terms, out);
    });
    Ok(out)
}

fn encode_system(system: &[&Message<'_>], format: Option<&Format<'_>>, out: &mut Vec<u8>) {
    let asks = matches!(format, Some(Format::JsonObject)).then(|| Part::text(Quoted::plain(AS_JSON)));
    let parts: Vec<&Part<'_>> = system.iter().flat_map(|message| &message.content).chain(&asks).collect();
    if !parts.is_empty() {
        out.key("system").array(|out| {
            for part in parts {
                if let Some(text) = part.as_text().filter(|text| !text.is_blank()) {
                    out.object(|out| {
                        out.member("text", text);
                    });
                    block::encode_mark(part.cache, out);
                }
            }
        });
    }
}

fn encode_inference(request: &Request<'_>, out: &mut Vec<u8>) {
    let mut config = Vec::new();
    config.object(|out| {
        out.maybe("maxTokens", request.max_output_tokens);
        out.maybe("temperature", request.sampling.temperature.as_ref()).maybe("topP", request.sampling.top_p.as_ref());
        if !request.stop.is_empty() {
            out.key("stopSequences").array(|out| {
                request.stop.iter().for_each(|stop| {
                    out.value(stop);
                });
            });
        }
    });
    if config != b"{}" {
        out.key("inferenceConfig").value(Raw(&config));
    }
}

/// What only the model's vendor understands.
fn encode_own(request: &Request<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    let mut own = Vec::new();
    own.object(|out| {
        out.maybe("top_k", request.sampling.top_k.as_ref());
        if is_claude(terms.model) {
            let told = Told::of(request, terms, Protocol::Bedrock);
            told.encode(&request.thinking, out);
            if let Some(effort) = told.effort(terms.model) {
                out.key("output_config").object(|out| {
                    out.member("effort", effort);
                });
            }
        }
    });
    if own != b"{}" {
        out.key("additionalModelRequestFields").value(Raw(&own));
    }
}

/// All turns, one behind the other.
fn encode_turns(items: &[Item<'_>], terms: &Terms<'_>) -> Result<Vec<u8>, Objection> {
    let mut out = Vec::new();
    for turn in turns(items) {
        let mut blocks = Vec::new();
        let role = match turn {
            Turn::User { answered, said } => {
                for (call, result) in answered {
                    blocks.object(|out| {
                        out.key("toolResult").object(|out| {
                            out.member("toolUseId", fitting(&call.call_id)).key("content");
                            match result {
                                Some(result) => block::encode_result(result, out),
                                None => {
                                    out.array(|out| {
                                        out.object(|out| {
                                            out.member("text", UNANSWERED);
                                        });
                                    });
                                    out.member("status", "error");
                                }
                            }
                        });
                    });
                    block::encode_mark(result.and_then(|result| result.cache), &mut blocks);
                }
                for part in said {
                    block::encode_part(part, &mut blocks)?;
                }
                "user"
            }
            Turn::Model(spoken) => {
                for one in spoken {
                    match one {
                        Spoken::Thought(thought) => block::encode_thought(thought, terms, &mut blocks),
                        Spoken::Said(part) => block::encode_part(part, &mut blocks)?,
                        Spoken::Called(call) => block::encode_call(call, &mut blocks),
                    }
                }
                "assistant"
            }
        };
        if !blocks.is_empty() {
            out.object(|out| {
                out.member("role", role).key("content").array(|out| {
                    out.value(Raw(&blocks));
                });
            });
        }
    }
    Ok(out)
}
