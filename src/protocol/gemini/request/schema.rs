//! Schemas in this protocol's older form, a part of OpenAPI's with types in capitals, as JSON schemas.

use super::super::key;
use crate::protocol::hub::read::Values;
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::{Flaw, Reader};

pub(super) fn of_openapi(written: &Json<'_>) -> Json<'static> {
    let mut out = Vec::with_capacity(written.as_bytes().len());
    match schema(&mut Reader::new(written.as_bytes()), &mut out) {
        Ok(()) => Json::of(out),
        // It was read once before, so this can't be.
        Err(_) => Json::of(&b"{}"[..]),
    }
}

/// The rest of the names that another schema, a list of them, or a table of them may stand under.
fn schema(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Flaw> {
    if reader.peek() != Some(b'{') {
        out.value(Raw(reader.value()?));
        return Ok(());
    }
    let (mut types, mut inner, mut is_nullable) = (None, Vec::new(), false);
    inner.push(b'{');
    key::members(reader, |reader, key| {
        match key {
            b"type" => types = reader.text()?.map(|kind| kind.decode().to_ascii_lowercase()),
            b"nullable" => is_nullable = reader.flag()?.unwrap_or(false),
            // They order what is written, which JSON schemas don't.
            b"propertyordering" | b"example" => reader.skip()?,
            b"items" => {
                inner.key("items");
                schema(reader, &mut inner)?;
            }
            b"properties" => {
                inner.key("properties");
                table(reader, &mut inner)?;
            }
            b"anyof" => {
                inner.key("anyOf");
                inner.push(b'[');
                reader.elements(|reader| schema(reader, &mut inner))?;
                inner.push(b']');
            }
            _ => match name(key) {
                Some(name) => {
                    inner.member(name, number(reader)?);
                }
                None => reader.skip()?,
            },
        }
        Ok::<(), Flaw>(())
    })?;
    inner.push(b'}');
    let kind = types.filter(|kind| kind != "type_unspecified");
    out.object(|out| {
        match (&kind, is_nullable) {
            (Some(kind), false) => {
                out.member("type", Quoted::of(kind));
            }
            (Some(kind), true) => {
                out.key("type").array(|out| {
                    out.value(Quoted::of(kind)).value("null");
                });
            }
            (None, _) => {}
        }
        if let [b'{', members @ .., b'}'] = inner.as_slice()
            && !members.is_empty()
        {
            out.extend_from_slice(if kind.is_some() { b"," } else { b"" });
            out.extend_from_slice(members);
        }
    });
    Ok(())
}

/// Members that mean the same in both.
fn name(key: &[u8]) -> Option<&'static str> {
    Some(match key {
        b"format" => "format",
        b"title" => "title",
        b"description" => "description",
        b"enum" => "enum",
        b"default" => "default",
        b"required" => "required",
        b"pattern" => "pattern",
        b"minimum" => "minimum",
        b"maximum" => "maximum",
        b"minitems" => "minItems",
        b"maxitems" => "maxItems",
        b"minlength" => "minLength",
        b"maxlength" => "maxLength",
        b"minproperties" => "minProperties",
        b"maxproperties" => "maxProperties",
        _ => return None,
    })
}

/// Any value; numbers of 64 bits are written as text in protocol buffers.
fn number<'a>(reader: &mut Reader<'a>) -> Result<Json<'a>, Flaw> {
    let value = reader.value()?;
    let digits = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or_default();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    Ok(Json::of(if is_number { digits } else { value }))
}

fn table(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Flaw> {
    out.push(b'{');
    if reader.peek() == Some(b'{') {
        let mut is_first = true;
        reader.object(|reader, key| {
            out.extend_from_slice(if std::mem::replace(&mut is_first, false) { b"\"" } else { b",\"" });
            out.extend_from_slice(key.raw);
            out.extend_from_slice(b"\":");
            schema(reader, out)
        })?;
    } else {
        reader.skip()?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_names_are_those_of_json_schema() {
        let written = r#"{"type":"OBJECT","property_ordering":["b"],"properties":{"type":{"type":"STRING","nullable":true},
            "b":{"type":"ARRAY","min_items":"2","items":{"anyOf":[{"type":"INTEGER"},{"enum":["TYPE"],"type":"STRING"}]}}},"required":["type"]}"#;
        let schema: serde_json::Value =
            serde_json::from_slice(of_openapi(&Json::of(written.as_bytes())).as_bytes()).unwrap();
        let expected = serde_json::json!({"type": "object", "required": ["type"], "properties": {
            "type": {"type": ["string", "null"]},
            "b": {"type": "array", "minItems": 2, "items": {"anyOf": [{"type": "integer"}, {"type": "string", "enum": ["TYPE"]}]}},
        }});
        assert_eq!(schema, expected);
    }
}
