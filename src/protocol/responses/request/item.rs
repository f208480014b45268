//! Items of a conversation: both directions.

use super::part::{self, Side};
use crate::domain::protocol::Protocol;
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::item::{Content, Item, Message, Part, Reasoning, Role, ToolCall, ToolResult};
use crate::protocol::hub::opaque::Opaque;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::request::Terms;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};

/// `input`: one text, or items.
pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Item<'a>>, Objection> {
    let mut items = Vec::new();
    if reader.peek() == Some(b'"') {
        let content = reader.text()?.map(Part::text).into_iter().collect();
        items.push(Item::Message(Message { role: Role::User, content }));
        return Ok(items);
    }
    reader.elements(|reader| {
        let mut written = Written::default();
        reader.members(|reader, key| written.field(reader, key))?;
        items.extend(written.item(only_here)?);
        Ok::<(), Objection>(())
    })?;
    Ok(items)
}

/// An item's keys in any order, whatever its type.
#[derive(Default)]
struct Written<'a> {
    kind: Option<Quoted<'a>>,
    role: Quoted<'a>,
    content: Option<&'a [u8]>,
    output: Option<&'a [u8]>,
    summary: Vec<Quoted<'a>>,
    state: Option<Quoted<'a>>,
    call_id: Quoted<'a>,
    name: Quoted<'a>,
    arguments: Quoted<'a>,
}

impl<'a> Written<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        match key {
            b"type" => self.kind = reader.text()?,
            b"role" => self.role = reader.text()?.unwrap_or_default(),
            b"content" => self.content = Some(reader.value()?),
            b"output" => self.output = Some(reader.value()?),
            b"summary" => self.summary = texts(reader)?,
            b"encrypted_content" => self.state = reader.text()?,
            b"call_id" => self.call_id = reader.text()?.unwrap_or_default(),
            b"name" => self.name = reader.text()?.unwrap_or_default(),
            b"arguments" => self.arguments = reader.text()?.unwrap_or_default(),
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn item(self, only_here: &mut Named) -> Result<Option<Item<'a>>, Objection> {
        let parts = |value: Option<&'a [u8]>| part::decode(&mut Reader::new(value.unwrap_or(b"null")));
        let kind = self.kind.unwrap_or(Quoted::plain("message"));
        Ok(Some(match &*kind.decode() {
            "message" => Item::Message(Message { role: role(&self.role)?, content: parts(self.content)? }),
            "function_call" => Item::Call(ToolCall {
                call_id: self.call_id,
                name: self.name,
                arguments: Arguments::Text(self.arguments),
                cache: None,
            }),
            "function_call_output" => {
                let output = parts(self.output)?;
                Item::Result(ToolResult { call_id: self.call_id, output, ..ToolResult::default() })
            }
            "reasoning" => Item::Reasoning(Reasoning {
                summary: self.summary,
                content: texts(&mut Reader::new(self.content.unwrap_or(b"null")))?,
                state: self.state.and_then(|envelope| Opaque::open(&envelope)),
            }),
            // What it stands for lies at another provider, if anywhere.
            other @ ("item_reference" | "compaction") => return Err(Objection::unsupported(other.to_string())),
            // What a provider did itself is history; its outcome is in what was said next.
            hosted if is_hosted(hosted) => {
                only_here.add_foreign(format!("input.{hosted}").as_bytes());
                return Ok(None);
            }
            other => return Err(Objection::unsupported(other.to_string())),
        }))
    }
}

fn role(role: &Quoted<'_>) -> Result<Role, Objection> {
    match &*role.decode() {
        "system" => Ok(Role::System),
        "developer" => Ok(Role::Developer),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        _ => Err(Objection::Invalid { field: "input", why: "a role is unknown" }),
    }
}

/// Does a provider make such items by itself, with no part of the client's?
fn is_hosted(kind: &str) -> bool {
    matches!(
        kind,
        "web_search_call" | "file_search_call" | "code_interpreter_call" | "image_generation_call" | "mcp_list_tools"
    )
}

/// The texts of a list of parts.
pub(in crate::protocol) fn texts<'a>(reader: &mut Reader<'a>) -> Result<Vec<Quoted<'a>>, Flaw> {
    let mut texts = Vec::new();
    reader.elements(|reader| {
        reader.members(|reader, key| {
            if key == b"text" {
                texts.extend(reader.text()?);
                return Ok(());
            }
            reader.skip()
        })?;
        Ok::<(), Flaw>(())
    })?;
    Ok(texts)
}

/// What leads becomes `instructions`, if it is nothing but text, and all else the input.
pub(super) fn encode(items: &[Item<'_>], terms: &Terms<'_>, out: &mut Vec<u8>) {
    let leading = items.iter().position(|item| !leads(item)).unwrap_or(items.len());
    let (system, rest) = items.split_at(leading);
    let rest = match instructions(system) {
        Some(text) => {
            out.maybe("instructions", Some(text).filter(|text| !text.is_empty()));
            rest
        }
        None => items,
    };
    out.key("input").array(|out| rest.iter().for_each(|item| encode_one(item, terms, out)));
}

fn leads(item: &Item<'_>) -> bool {
    matches!(item, Item::Message(message) if message.leads())
}

fn instructions(system: &[Item<'_>]) -> Option<Quoted<'static>> {
    let mut whole = Quoted::default();
    for item in system {
        let Item::Message(message) = item else { return None };
        for part in &message.content {
            whole.push_plain(if whole.is_empty() { "" } else { r"\n\n" });
            whole.push(part.as_text()?);
        }
    }
    Some(whole)
}

fn encode_one(item: &Item<'_>, terms: &Terms<'_>, out: &mut Vec<u8>) {
    match item {
        Item::Message(message) => encode_message(message, out),
        // Of another's thoughts this one can make nothing.
        Item::Reasoning(thought) => {
            let state = thought.state.as_ref().and_then(|state| state.for_maker(Protocol::Responses, terms.maker));
            if let Some(state) = state {
                out.object(|out| {
                    out.member("type", "reasoning");
                    encode_summary(&thought.summary, out);
                    out.member("encrypted_content", state);
                });
            }
        }
        Item::Call(call) => {
            out.object(|out| {
                out.member("type", "function_call").member("call_id", &call.call_id).member("name", &call.name);
                out.member("arguments", call.arguments.text());
            });
        }
        Item::Result(result) => {
            out.object(|out| {
                out.member("type", "function_call_output").member("call_id", &result.call_id).key("output");
                match result.output.as_slice() {
                    [] => {
                        out.value("");
                    }
                    [Part { content: Content::Text(text), .. }] => {
                        out.value(&text.text);
                    }
                    parts => part::encode(parts, Side::Input, out),
                }
            });
        }
    }
}

fn encode_message(message: &Message<'_>, out: &mut Vec<u8>) {
    let (role, side) = match message.role {
        Role::System => ("system", Side::Input),
        Role::Developer => ("developer", Side::Input),
        Role::User => ("user", Side::Input),
        Role::Assistant => ("assistant", Side::Output),
    };
    out.object(|out| {
        out.member("type", "message").member("role", role).key("content");
        part::encode(&message.content, side, out);
    });
}

pub(in crate::protocol) fn encode_summary(summary: &[Quoted<'_>], out: &mut Vec<u8>) {
    out.key("summary").array(|out| {
        summary.iter().for_each(|text| {
            out.object(|out| {
                out.member("type", "summary_text").member("text", text);
            });
        });
    });
}
