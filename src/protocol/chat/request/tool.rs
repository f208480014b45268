//! Tools, which of them is to be called, and the form of the answer: both directions.

use crate::protocol::hub::field::Objection;
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::{Format, Request, Tool, ToolChoice};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

use super::part;
use super::words::{self, Schema};

pub(super) fn decode<'a>(reader: &mut Reader<'a>) -> Result<Vec<Tool<'a>>, Objection> {
    let mut tools = Vec::new();
    reader.elements(|reader| {
        tools.push(decode_one(reader)?);
        Ok::<(), Objection>(())
    })?;
    Ok(tools)
}

fn decode_one<'a>(reader: &mut Reader<'a>) -> Result<Tool<'a>, Objection> {
    let mut tool = Tool::default();
    reader.members(|reader, key| {
        match key {
            b"type" => {
                if let Some(kind) = reader.text()?.filter(|kind| !kind.is("function")) {
                    return Err(Objection::unsupported(format!("tools.{}", kind.decode())));
                }
            }
            b"function" => {
                reader.members(|reader, key| {
                    match key {
                        b"name" => tool.name = reader.text()?.unwrap_or_default(),
                        b"description" => tool.description = reader.text()?,
                        b"parameters" => tool.parameters = reader.json()?,
                        b"strict" => tool.strict = reader.flag()?,
                        _ => reader.skip()?,
                    }
                    Ok::<(), Objection>(())
                })?;
            }
            b"cache_control" => tool.cache = part::decode_mark(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    if tool.name.is_empty() {
        return Err(Objection::Invalid { field: "tools", why: "a function has no name" });
    }
    Ok(tool)
}

pub(super) fn decode_choice<'a>(reader: &mut Reader<'a>) -> Result<Option<ToolChoice<'a>>, Objection> {
    if reader.peek() != Some(b'{') {
        return words::decode_choice(reader);
    }
    let (mut kind, mut named, mut allowed) = (None, None, None);
    reader.members(|reader, key| {
        match key {
            b"type" => kind = reader.text()?,
            b"function" => named = decode_named(reader)?,
            b"allowed_tools" => allowed = Some(decode_allowed(reader)?),
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    match (named, allowed) {
        (Some(name), _) => Ok(Some(ToolChoice::Tool(name))),
        (None, Some(allowed)) => Ok(Some(allowed)),
        (None, None) => {
            let kind = kind.unwrap_or_default();
            Err(Objection::unsupported(format!("tool_choice.{}", kind.decode())))
        }
    }
}

/// `{"name": …}`
fn decode_named<'a>(reader: &mut Reader<'a>) -> Result<Option<Quoted<'a>>, Objection> {
    let mut name = None;
    reader.members(|reader, key| {
        if key == b"name" {
            name = reader.text()?;
            return Ok(());
        }
        Ok::<(), Objection>(reader.skip()?)
    })?;
    Ok(name)
}

fn decode_allowed<'a>(reader: &mut Reader<'a>) -> Result<ToolChoice<'a>, Objection> {
    let (mut names, mut is_required) = (Vec::new(), false);
    reader.members(|reader, key| {
        match key {
            b"mode" => is_required = reader.text()?.is_some_and(|mode| mode.is("required")),
            b"tools" => {
                reader.elements(|reader| {
                    reader.members(|reader, key| {
                        if key == b"function" {
                            names.extend(decode_named(reader)?);
                            return Ok(());
                        }
                        Ok::<(), Objection>(reader.skip()?)
                    })?;
                    Ok::<(), Objection>(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    Ok(ToolChoice::Allowed { names, is_required })
}

pub(super) fn decode_format<'a>(reader: &mut Reader<'a>) -> Result<Option<Format<'a>>, Objection> {
    let (mut kind, mut schema) = (None, Schema::default());
    reader.members(|reader, key| {
        match key {
            b"type" => kind = reader.text()?,
            b"json_schema" => {
                reader.members(|reader, key| schema.member(reader, key))?;
            }
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    let why = "it is none of text, json_object and json_schema";
    schema.of_kind(kind, Objection::Invalid { field: "response_format", why })
}

pub(super) fn encode(request: &Request<'_>, out: &mut Vec<u8>) {
    if !request.tools.is_empty() {
        out.key("tools").array(|out| request.tools.iter().for_each(|tool| encode_one(tool, out)));
    }
    // Servers refuse these two where there is nothing to choose from.
    if !request.tools.is_empty() {
        if let Some(choice) = &request.tool_choice {
            out.key("tool_choice");
            let named = |name: &Quoted<'_>, out: &mut Vec<u8>| {
                out.key("function").object(|out| {
                    out.member("name", name);
                });
            };
            words::encode_choice(choice, named, out);
        }
        out.maybe("parallel_tool_calls", request.parallel_tool_calls);
    }
    if let Some(format) = &request.format {
        words::encode_format(format, Some("json_schema"), out.key("response_format"));
    }
}

fn encode_one(tool: &Tool<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "function").key("function").object(|out| {
            out.member("name", &tool.name);
            out.maybe("description", tool.description.as_ref());
            out.maybe("parameters", tool.parameters.as_ref());
            out.maybe("strict", tool.strict);
        });
        part::encode_mark(tool.cache, out);
    });
}
