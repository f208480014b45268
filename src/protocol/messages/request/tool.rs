//! Tools, which of them is to be called, and the form of the answer: both directions.

use std::borrow::Cow;

use super::block;
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::{Format, Request, Tool, ToolChoice};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::{Flaw, Reader};

/// The client's own tools are taken. Those that the vendor defines or runs have a dated type, and nobody else knows what
/// they are; the model then has a tool less, which the client hears of.
pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Tool<'a>>, Objection> {
    let mut tools = Vec::new();
    reader.elements(|reader| {
        let (mut tool, mut kind, mut unknown) = (Tool::default(), None, Named::default());
        reader.members(|reader, key| {
            match key {
                b"type" => kind = reader.text()?,
                b"name" => tool.name = reader.text()?.unwrap_or_default(),
                b"description" => tool.description = reader.text()?,
                b"input_schema" => tool.parameters = reader.json()?,
                b"strict" => tool.strict = reader.flag()?,
                b"cache_control" => tool.cache = block::decode_mark(reader)?,
                // How its arguments come is nothing to other protocols.
                b"eager_input_streaming" => reader.skip()?,
                _ => {
                    if reader.json()?.is_some_and(|value| !value.is_nothing()) {
                        unknown.add_foreign(&[b"tools.", key].concat());
                    }
                }
            }
            Ok::<(), Objection>(())
        })?;
        match kind.filter(|kind| !kind.is("custom")) {
            Some(kind) => only_here.add_foreign(format!("tools.{}", kind.decode()).as_bytes()),
            None if tool.name.is_empty() => {
                return Err(Objection::Invalid { field: "tools", why: "a tool has no name" });
            }
            None => {
                only_here.extend(unknown);
                tools.push(tool);
            }
        }
        Ok(())
    })?;
    Ok(tools)
}

/// Which tool, and whether several may be called at once.
type Choice<'a> = (Option<ToolChoice<'a>>, Option<bool>);

pub(super) fn decode_choice<'a>(reader: &mut Reader<'a>) -> Result<Choice<'a>, Objection> {
    let (mut kind, mut name, mut is_serial) = (None, None, None);
    reader.members(|reader, key| {
        match key {
            b"type" => kind = reader.text()?,
            b"name" => name = reader.text()?,
            b"disable_parallel_tool_use" => is_serial = reader.flag()?,
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    let Some(kind) = kind else { return Ok((None, None)) };
    let choice = match &*kind.decode() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(name.unwrap_or_default()),
        _ => return Err(Objection::Invalid { field: "tool_choice", why: "it is none of auto, any, tool and none" }),
    };
    Ok((Some(choice), is_serial.map(|is_serial| !is_serial)))
}

pub(super) fn decode_format<'a>(reader: &mut Reader<'a>) -> Result<Option<Format<'a>>, Objection> {
    let (mut schema, mut name) = (None, None);
    let is_there = reader.members(|reader, key| {
        match key {
            b"schema" => schema = reader.json()?,
            b"name" => name = reader.text()?,
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    match schema {
        // What is asked for here is always kept to.
        Some(schema) => Ok(Some(Format::JsonSchema { name, description: None, schema, strict: Some(true) })),
        None if is_there => Err(Objection::Invalid { field: "output_config", why: "its format has no schema" }),
        None => Ok(None),
    }
}

/// The schema that the answer must keep to.
pub(super) fn schema<'r>(format: Option<&'r Format<'_>>) -> Option<Json<'r>> {
    match format {
        Some(Format::JsonSchema { schema, .. }) => Some(schema.borrowed()),
        Some(Format::Text | Format::JsonObject) | None => None,
    }
}

pub(super) fn encode(request: &Request<'_>, out: &mut Vec<u8>) {
    if request.tools.is_empty() {
        return;
    }
    out.key("tools").array(|out| request.tools.iter().for_each(|tool| encode_one(tool, out)));
    let is_serial = request.parallel_tool_calls == Some(false);
    let choice = match &request.tool_choice {
        None if !is_serial => return,
        None => &ToolChoice::Auto,
        Some(choice) => choice,
    };
    out.key("tool_choice").object(|out| {
        let is_any = match choice {
            ToolChoice::None => out.member("type", "none"),
            ToolChoice::Auto | ToolChoice::Allowed { is_required: false, .. } => out.member("type", "auto"),
            // The tools are only those that are allowed by now.
            ToolChoice::Required | ToolChoice::Allowed { is_required: true, .. } => out.member("type", "any"),
            ToolChoice::Tool(name) => out.member("type", "tool").member("name", name),
        };
        is_any.maybe("disable_parallel_tool_use", (is_serial && *choice != ToolChoice::None).then_some(true));
    });
}

fn encode_one(tool: &Tool<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("name", &tool.name).maybe("description", tool.description.as_ref());
        out.member("input_schema", Raw(&of_object(tool.parameters.as_ref())));
        out.maybe("strict", tool.strict.filter(|strict| *strict));
        block::encode_mark(tool.cache, out);
    });
}

/// A schema that says of itself that it is an object's, which others take for granted.
pub(in crate::protocol) fn of_object<'s>(schema: Option<&'s Json<'_>>) -> Cow<'s, [u8]> {
    const BARE: &[u8] = br#"{"type":"object","properties":{}}"#;
    let Some(schema) = schema.filter(|schema| schema.is_object() && !schema.is_empty()) else {
        return Cow::Borrowed(BARE);
    };
    let mut has_type = false;
    // It was read once before, so there is no flaw in it.
    let _ = Reader::new(schema.as_bytes()).members(|reader, key| {
        has_type |= key == b"type";
        reader.skip()?;
        Ok::<(), Flaw>(())
    });
    let mut written = Vec::with_capacity(schema.as_bytes().len() + 16);
    written.value(schema);
    if !has_type {
        written.splice(1..1, *br#""type":"object","#);
    }
    Cow::Owned(written)
}

/// Ids of calls hold letters, digits, `_` and `-` only. Others' ids may hold more.
pub(in crate::protocol) fn fitting<'q>(id: &'q Quoted<'_>) -> Quoted<'q> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match id.as_bytes() {
        [] => Quoted::plain("call"),
        bytes if bytes.iter().all(fits) => id.borrowed(),
        bytes => {
            let fit = bytes.iter().map(|byte| if fits(byte) { char::from(*byte) } else { '_' });
            Quoted::of(&fit.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_that_it_is_an_objects() {
        let of = |json: &'static str| of_object(Some(&Json::of(json.as_bytes()))).into_owned();
        assert_eq!(of_object(None), of(""));
        assert_eq!(of(r#"{"properties":{}}"#), br#"{"type":"object","properties":{}}"#);
        assert_eq!(of("{\"type\":\"object\",\n\"x\":1}"), b"{\"type\":\"object\", \"x\":1}");
    }

    #[test]
    fn ids_are_made_to_fit() {
        assert_eq!(fitting(&Quoted::plain("functions.get:0")), Quoted::plain("functions_get_0"));
        assert_eq!(fitting(&Quoted::plain("toolu_01-A")), Quoted::plain("toolu_01-A"));
    }
}
