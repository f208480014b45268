//! Messages as items of a conversation: both directions.

use super::block::{self, Block};
use super::tool::fitting;
use crate::domain::protocol::Protocol;
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::item::{Item, Message, Part, Reasoning, Role, ToolCall, ToolResult};
use crate::protocol::hub::opaque::Form;
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::Terms;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::turns::{Spoken, Turn, UNANSWERED, turns};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::Reader;

pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Item<'a>>, Objection> {
    let mut items = Vec::new();
    let is_list = reader.elements(|reader| {
        let (mut role, mut content) = (Quoted::default(), Vec::new());
        reader.members(|reader, key| {
            match key {
                b"role" => role = reader.text()?.unwrap_or_default(),
                b"content" => content = block::decode(reader, only_here)?,
                _ => reader.skip()?,
            }
            Ok::<(), Objection>(())
        })?;
        let role = match &*role.decode() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(Objection::Invalid { field: "messages", why: "a role is unknown" }),
        };
        add(role, content, &mut items);
        Ok(())
    })?;
    if is_list { Ok(items) } else { Err(Objection::Invalid { field: "messages", why: "it is not an array" }) }
}

/// What stands between calls, results and thoughts is one message.
fn add<'a>(role: Role, blocks: Vec<Block<'a>>, items: &mut Vec<Item<'a>>) {
    let mut is_open = false;
    for block in blocks {
        let item = match block {
            Block::Part(part) => match items.last_mut() {
                Some(Item::Message(message)) if is_open => {
                    message.content.push(part);
                    continue;
                }
                _ => Item::Message(Message { role, content: vec![part] }),
            },
            Block::Call(call) => Item::Call(call),
            Block::Result(result) => Item::Result(result),
            Block::Thought(thought) => Item::Reasoning(thought),
        };
        is_open = matches!(item, Item::Message(_));
        items.push(item);
    }
}

pub(super) fn encode(items: &[Item<'_>], terms: &Terms<'_>, out: &mut Vec<u8>) {
    out.key("messages").array(|out| {
        let mut is_first = true;
        for turn in turns(items) {
            let (role, blocks) = match turn {
                Turn::User { answered, said } => ("user", encode_user(&answered, &said)),
                Turn::Model(spoken) => ("assistant", encode_model(&spoken, terms)),
            };
            if blocks.is_empty() {
                continue;
            }
            // The user must have the first word.
            if std::mem::replace(&mut is_first, false) && role == "assistant" {
                out.object(|out| {
                    out.member("role", "user").member("content", "(the conversation goes on)");
                });
            }
            out.object(|out| {
                out.member("role", role).key("content").array(|out| {
                    out.value(Raw(&blocks));
                });
            });
        }
    });
}

/// Results first: they answer what the model did.
fn encode_user(answered: &[(&ToolCall<'_>, Option<&ToolResult<'_>>)], said: &[&Part<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (call, result) in answered {
        out.object(|out| {
            out.member("type", "tool_result").member("tool_use_id", fitting(&call.call_id));
            match result {
                Some(result) => encode_result(result, out),
                None => {
                    out.member("content", UNANSWERED).member("is_error", true);
                }
            }
        });
    }
    said.iter().for_each(|part| block::encode_part(part, &mut out));
    out
}

fn encode_result(result: &ToolResult<'_>, out: &mut Vec<u8>) {
    match result.output.as_slice() {
        [] => {}
        [Part { cache: None, .. }] if result.output[0].as_text().is_some() => {
            out.maybe("content", result.output[0].as_text());
        }
        parts => {
            out.key("content").array(|out| parts.iter().for_each(|part| block::encode_part(part, out)));
        }
    }
    out.maybe("is_error", result.is_error.then_some(true));
    block::encode_mark(result.cache, out);
}

fn encode_model(spoken: &[Spoken<'_, '_>], terms: &Terms<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for one in spoken {
        match one {
            Spoken::Thought(thought) => encode_thought(thought, terms, &mut out),
            Spoken::Said(part) => block::encode_part(part, &mut out),
            Spoken::Called(call) => {
                out.object(|out| {
                    out.member("type", "tool_use").member("id", fitting(&call.call_id)).member("name", &call.name);
                    out.member("input", Raw(&call.arguments.object()));
                    block::encode_mark(call.cache, out);
                });
            }
        }
    }
    out
}

/// What a model thought goes back to it as it was, and to no other.
fn encode_thought(thought: &Reasoning<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    let Some(state) = &thought.state else { return };
    let Some(data) = state.for_maker(Protocol::Messages, terms.maker) else { return };
    out.object(|out| {
        match state.form {
            Form::Signature => {
                out.member("type", "thinking").member("thinking", thought.text()).member("signature", data)
            }
            Form::Encrypted => out.member("type", "redacted_thinking").member("data", data),
        };
    });
}
