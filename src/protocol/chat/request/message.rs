//! Messages as items of a conversation. An assistant's message holds thoughts, text and calls at once; in the hub each is
//! an item. `turn` is the way back.

use super::part;
use super::thought::{self, Detail};
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::item::{Content, Item, Message, Part, Reasoning, Role, ToolCall, ToolResult};
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::json::Reader;

pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Item<'a>>, Objection> {
    let mut items = Vec::new();
    let is_list = reader.elements(|reader| {
        let mut written = Written::default();
        reader.members(|reader, key| written.field(reader, key, only_here))?;
        written.add_to(&mut items)
    })?;
    if is_list { Ok(items) } else { Err(Objection::Invalid { field: "messages", why: "it is not an array" }) }
}

/// A message's keys in any order, whatever its role.
#[derive(Default)]
struct Written<'a> {
    role: Quoted<'a>,
    content: Vec<Part<'a>>,
    refusal: Option<Quoted<'a>>,
    thought: Option<Quoted<'a>>,
    details: Vec<Detail<'a>>,
    calls: Vec<ToolCall<'a>>,
    call_id: Option<Quoted<'a>>,
}

impl<'a> Written<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>, only_here: &mut Named) -> Result<(), Objection> {
        match key {
            b"role" => self.role = reader.text()?.unwrap_or_default(),
            b"content" => self.content = part::decode(reader)?,
            b"refusal" => self.refusal = reader.text()?,
            b"reasoning_content" => self.thought = reader.text()?.or(self.thought.take()),
            b"reasoning" => self.thought = self.thought.take().or(reader.text()?),
            b"reasoning_details" => self.details = thought::decode(reader)?,
            b"tool_calls" => {
                reader.elements(|reader| {
                    self.calls.push(decode_call(reader)?);
                    Ok::<(), Objection>(())
                })?;
            }
            b"tool_call_id" => self.call_id = reader.text()?,
            b"audio" | b"function_call" => {
                if reader.json()?.is_some() {
                    return Err(Objection::unsupported(format!("messages.{}", String::from_utf8_lossy(key))));
                }
            }
            b"name" => {
                if reader.json()?.is_some() {
                    only_here.add("messages.name");
                }
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn add_to(self, items: &mut Vec<Item<'a>>) -> Result<(), Objection> {
        let role = match &*self.role.decode() {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" => {
                self.add_assistant(items);
                return Ok(());
            }
            "tool" => {
                let call_id = self.call_id.unwrap_or_default();
                items.push(Item::Result(ToolResult { call_id, output: self.content, ..ToolResult::default() }));
                return Ok(());
            }
            "function" => return Err(Objection::unsupported("messages.role.function")),
            _ => return Err(Objection::Invalid { field: "messages", why: "a role is unknown" }),
        };
        items.push(Item::Message(Message { role, content: self.content }));
        Ok(())
    }

    fn add_assistant(mut self, items: &mut Vec<Item<'a>>) {
        let (mut of_calls, mut thoughts) = (Vec::new(), Vec::new());
        for (id, thought) in self.details.into_iter().map(Detail::returned) {
            match id.filter(|id| self.calls.iter().any(|call| call.call_id == *id)) {
                Some(id) => of_calls.push((id, thought)),
                None => thoughts.push(Item::Reasoning(thought)),
            }
        }
        if thoughts.is_empty() {
            let content = self.thought.filter(|text| !text.is_empty()).into_iter().collect::<Vec<_>>();
            thoughts
                .extend((!content.is_empty()).then(|| Item::Reasoning(Reasoning { content, ..Reasoning::default() })));
        }
        items.append(&mut thoughts);
        self.content.extend(self.refusal.map(|refusal| Content::Refusal(refusal).into()));
        self.content.retain(|part| part.as_text().is_none_or(|text| !text.is_empty()));
        if !self.content.is_empty() {
            items.push(Item::Message(Message { role: Role::Assistant, content: self.content }));
        }
        for call in self.calls {
            let belongs = of_calls.iter().position(|(id, _)| *id == call.call_id);
            items.extend(belongs.map(|at| Item::Reasoning(of_calls.swap_remove(at).1)));
            items.push(Item::Call(call));
        }
    }
}

fn decode_call<'a>(reader: &mut Reader<'a>) -> Result<ToolCall<'a>, Objection> {
    let mut call = ToolCall::default();
    reader.members(|reader, key| {
        match key {
            b"id" => call.call_id = reader.text()?.unwrap_or_default(),
            b"type" => {
                if let Some(kind) = reader.text()?.filter(|kind| !kind.is("function")) {
                    return Err(Objection::unsupported(format!("tool_calls.{}", kind.decode())));
                }
            }
            b"function" => {
                reader.members(|reader, key| {
                    match key {
                        b"name" => call.name = reader.text()?.unwrap_or_default(),
                        b"arguments" => call.arguments = arguments(reader)?,
                        _ => reader.skip()?,
                    }
                    Ok::<(), Objection>(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(call)
}

/// Text that holds JSON; some write the object itself.
pub(in crate::protocol) fn arguments<'a>(
    reader: &mut Reader<'a>,
) -> Result<Arguments<'a>, crate::protocol::json::Flaw> {
    if reader.peek() == Some(b'{') {
        return reader.value().map(|object| Arguments::Object(Json::of(object)));
    }
    Ok(Arguments::Text(reader.text()?.unwrap_or_default()))
}
