//! Tools, which of them is to be called, and the form of the answer's text: both directions.

use crate::protocol::chat::request::words::{self, Schema};
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::{Format, Request, Tool, ToolChoice};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::Reader;

/// Functions are taken. What a provider would do itself no other can; the model then has a tool less, which the client
/// hears of.
pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Tool<'a>>, Objection> {
    let mut tools = Vec::new();
    reader.elements(|reader| {
        let (mut tool, mut kind) = (Tool::default(), Quoted::default());
        reader.members(|reader, key| {
            match key {
                b"type" => kind = reader.text()?.unwrap_or_default(),
                b"name" => tool.name = reader.text()?.unwrap_or_default(),
                b"description" => tool.description = reader.text()?,
                b"parameters" => tool.parameters = reader.json()?,
                b"strict" => tool.strict = reader.flag()?,
                _ => reader.skip()?,
            }
            Ok::<(), Objection>(())
        })?;
        if !kind.is("function") {
            only_here.add_foreign(format!("tools.{}", kind.decode()).as_bytes());
        } else if tool.name.is_empty() {
            return Err(Objection::Invalid { field: "tools", why: "a function has no name" });
        } else {
            tools.push(tool);
        }
        Ok(())
    })?;
    Ok(tools)
}

pub(super) fn decode_choice<'a>(reader: &mut Reader<'a>) -> Result<Option<ToolChoice<'a>>, Objection> {
    if reader.peek() != Some(b'{') {
        return words::decode_choice(reader);
    }
    let (mut kind, mut name, mut names, mut is_required) = (Quoted::default(), None, Vec::new(), false);
    reader.members(|reader, key| {
        match key {
            b"type" => kind = reader.text()?.unwrap_or_default(),
            b"name" => name = reader.text()?,
            b"mode" => is_required = reader.text()?.is_some_and(|mode| mode.is("required")),
            b"tools" => {
                reader.elements(|reader| {
                    reader.members(|reader, key| {
                        if key == b"name" {
                            names.extend(reader.text()?);
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
    match name {
        _ if kind.is("allowed_tools") => Ok(Some(ToolChoice::Allowed { names, is_required })),
        Some(name) if kind.is("function") => Ok(Some(ToolChoice::Tool(name))),
        _ => Err(Objection::unsupported(format!("tool_choice.{}", kind.decode()))),
    }
}

/// The format and the verbosity.
type Text<'a> = (Option<Format<'a>>, Option<Quoted<'a>>);

pub(super) fn decode_text<'a>(reader: &mut Reader<'a>) -> Result<Text<'a>, Objection> {
    let (mut format, mut verbosity) = (None, None);
    reader.members(|reader, key| {
        match key {
            b"format" => format = decode_format(reader)?,
            b"verbosity" => verbosity = reader.text()?,
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    Ok((format, verbosity))
}

fn decode_format<'a>(reader: &mut Reader<'a>) -> Result<Option<Format<'a>>, Objection> {
    let (mut kind, mut schema) = (None, Schema::default());
    reader.members(|reader, key| {
        if key == b"type" {
            kind = reader.text()?;
            return Ok(());
        }
        schema.member(reader, key)
    })?;
    let why = "its format is none of text, json_object and json_schema";
    schema.of_kind(kind, Objection::Invalid { field: "text", why })
}

pub(super) fn encode(request: &Request<'_>, out: &mut Vec<u8>) {
    if !request.tools.is_empty() {
        out.key("tools").array(|out| request.tools.iter().for_each(|tool| encode_one(tool, out)));
        if let Some(choice) = &request.tool_choice {
            out.key("tool_choice");
            let named = |name: &Quoted<'_>, out: &mut Vec<u8>| {
                out.member("name", name);
            };
            words::encode_choice(choice, named, out);
        }
        out.maybe("parallel_tool_calls", request.parallel_tool_calls);
    }
    if request.format.is_some() || request.verbosity.is_some() {
        out.key("text").object(|out| {
            if let Some(format) = &request.format {
                words::encode_format(format, None, out.key("format"));
            }
            out.maybe("verbosity", request.verbosity.as_ref());
        });
    }
}

fn encode_one(tool: &Tool<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "function").member("name", &tool.name);
        out.maybe("description", tool.description.as_ref());
        match &tool.parameters {
            Some(parameters) => out.member("parameters", parameters),
            None => out.member("parameters", Raw(br#"{"type":"object","properties":{}}"#)),
        };
        // This protocol takes for granted what others don't.
        out.member("strict", tool.strict.unwrap_or(false));
    });
}
