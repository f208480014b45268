//! Tools, and which of them is to be called: both directions.

use super::super::key;
use super::schema;
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::{Request, Tool, ToolChoice};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// Functions are taken. What the provider would do itself no other can; the model then has a tool less, which the client
/// hears of.
pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Tool<'a>>, Objection> {
    let mut tools = Vec::new();
    reader.elements(|reader| {
        key::members(reader, |reader, key| {
            match key {
                b"functiondeclarations" => {
                    reader.elements(|reader| {
                        tools.push(decode_one(reader)?);
                        Ok::<(), Objection>(())
                    })?;
                }
                other => {
                    if reader.json()?.is_some() {
                        only_here.add_foreign(&[b"tools.", other].concat());
                    }
                }
            }
            Ok::<(), Objection>(())
        })?;
        Ok::<(), Objection>(())
    })?;
    Ok(tools)
}

fn decode_one<'a>(reader: &mut Reader<'a>) -> Result<Tool<'a>, Objection> {
    let mut tool = Tool::default();
    key::members(reader, |reader, key| {
        match key {
            b"name" => tool.name = reader.text()?.unwrap_or_default(),
            b"description" => tool.description = reader.text()?,
            b"parameters" => {
                tool.parameters = reader.json()?.map(|written| schema::of_openapi(&written)).or(tool.parameters.take());
            }
            b"parametersjsonschema" => tool.parameters = reader.json()?.or(tool.parameters.take()),
            // What it gives, and how its answer is waited for, no other protocol says.
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    if tool.name.is_empty() {
        return Err(Objection::Invalid { field: "tools", why: "a function has no name" });
    }
    Ok(tool)
}

pub(super) fn decode_config<'a>(reader: &mut Reader<'a>) -> Result<Option<ToolChoice<'a>>, Objection> {
    let (mut mode, mut names) = (None, Vec::new());
    key::members(reader, |reader, key| {
        if key != b"functioncallingconfig" {
            return Ok(reader.skip()?);
        }
        key::members(reader, |reader, key| {
            match key {
                b"mode" => mode = reader.text()?.map(|mode| mode.decode().to_ascii_uppercase()),
                b"allowedfunctionnames" => {
                    reader.elements(|reader| {
                        names.extend(reader.text()?);
                        Ok::<(), Objection>(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok::<(), Objection>(())
        })?;
        Ok::<(), Objection>(())
    })?;
    Ok(match mode.as_deref() {
        None | Some("MODE_UNSPECIFIED") => None,
        Some("AUTO") => Some(ToolChoice::Auto),
        Some("NONE") => Some(ToolChoice::None),
        Some("ANY") if names.is_empty() => Some(ToolChoice::Required),
        Some("ANY") if names.len() == 1 => names.pop().map(ToolChoice::Tool),
        Some("ANY") => Some(ToolChoice::Allowed { names, is_required: true }),
        Some("VALIDATED") if names.is_empty() => Some(ToolChoice::Auto),
        Some("VALIDATED") => Some(ToolChoice::Allowed { names, is_required: false }),
        Some(_) => {
            let why = "its mode is none of AUTO, ANY, NONE and VALIDATED";
            return Err(Objection::Invalid { field: "toolConfig", why });
        }
    })
}

pub(super) fn encode(request: &Request<'_>, out: &mut Vec<u8>) {
    if request.tools.is_empty() {
        return;
    }
    out.key("tools").array(|out| {
        out.object(|out| {
            out.key("functionDeclarations").array(|out| request.tools.iter().for_each(|tool| encode_one(tool, out)));
        });
    });
    let Some(choice) = &request.tool_choice else { return };
    out.key("toolConfig").object(|out| {
        out.key("functionCallingConfig").object(|out| encode_choice(choice, out));
    });
}

fn encode_one(tool: &Tool<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("name", &tool.name).maybe("description", tool.description.as_ref());
        // An object without properties is refused; a function that takes nothing says nothing.
        out.maybe("parametersJsonSchema", tool.parameters.as_ref().filter(|schema| !schema.is_empty()));
    });
}

fn encode_choice(choice: &ToolChoice<'_>, out: &mut Vec<u8>) {
    match choice {
        ToolChoice::None => out.member("mode", "NONE"),
        ToolChoice::Auto | ToolChoice::Allowed { is_required: false, .. } => out.member("mode", "AUTO"),
        // The tools are only those that are allowed by now.
        ToolChoice::Required | ToolChoice::Allowed { is_required: true, .. } => out.member("mode", "ANY"),
        ToolChoice::Tool(name) => out.member("mode", "ANY").key("allowedFunctionNames").array(|out| {
            out.value(name as &Quoted<'_>);
        }),
    };
}
