//! Words for tools and formats that OpenAI's two protocols share; only the objects around them differ.

use crate::protocol::hub::field::Objection;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::request::{Format, ToolChoice};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::Write;
use crate::protocol::json::Reader;

/// Which tool is to be called, said in a word.
pub(in crate::protocol) fn decode_choice<'a>(reader: &mut Reader<'a>) -> Result<Option<ToolChoice<'a>>, Objection> {
    Ok(match reader.text()? {
        Some(word) if word.is("none") => Some(ToolChoice::None),
        Some(word) if word.is("auto") => Some(ToolChoice::Auto),
        Some(word) if word.is("required") => Some(ToolChoice::Required),
        Some(_) => {
            return Err(Objection::Invalid { field: "tool_choice", why: "it is none of none, auto and required" });
        }
        None => None,
    })
}

/// A word, or an object for one tool, in which each protocol has its own place for the name.
pub(in crate::protocol) fn encode_choice(
    choice: &ToolChoice<'_>,
    named: impl FnOnce(&Quoted<'_>, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    match choice {
        ToolChoice::None => out.value("none"),
        ToolChoice::Auto => out.value("auto"),
        ToolChoice::Required => out.value("required"),
        ToolChoice::Tool(name) => out.object(|out| {
            out.member("type", "function");
            named(name, out);
        }),
        // The tools are only those that are allowed by now.
        ToolChoice::Allowed { is_required, .. } => out.value(if *is_required { "required" } else { "auto" }),
    };
}

/// The members of a schema that an answer must hold to.
#[derive(Default)]
pub(in crate::protocol) struct Schema<'a> {
    name: Option<Quoted<'a>>,
    description: Option<Quoted<'a>>,
    schema: Option<Json<'a>>,
    strict: Option<bool>,
}

impl<'a> Schema<'a> {
    pub(in crate::protocol) fn member(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Objection> {
        match key {
            b"name" => self.name = reader.text()?,
            b"description" => self.description = reader.text()?,
            b"schema" => self.schema = reader.json()?,
            b"strict" => self.strict = reader.flag()?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// The format of this kind; `wrong` where there is none.
    pub(in crate::protocol) fn of_kind(
        self,
        kind: Option<Quoted<'_>>,
        wrong: Objection,
    ) -> Result<Option<Format<'a>>, Objection> {
        let Some(kind) = kind else { return Ok(None) };
        if kind.is("text") {
            return Ok(Some(Format::Text));
        }
        if kind.is("json_object") {
            return Ok(Some(Format::JsonObject));
        }
        let Self { name, description, schema, strict } = self;
        match schema.filter(|_| kind.is("json_schema")) {
            Some(schema) => Ok(Some(Format::JsonSchema { name, description, schema, strict })),
            None => Err(wrong),
        }
    }
}

/// `within`: the key of the object in which a schema's members stand, where they have one of their own.
pub(in crate::protocol) fn encode_format(format: &Format<'_>, within: Option<&'static str>, out: &mut Vec<u8>) {
    out.object(|out| match format {
        Format::Text => {
            out.member("type", "text");
        }
        Format::JsonObject => {
            out.member("type", "json_object");
        }
        Format::JsonSchema { name, description, schema, strict } => {
            out.member("type", "json_schema");
            let members = |out: &mut Vec<u8>| {
                // The name must be there, and some protocols have none.
                out.member("name", name.clone().unwrap_or(Quoted::plain("answer")));
                out.maybe("description", description.as_ref()).member("schema", schema).maybe("strict", *strict);
            };
            match within {
                Some(key) => {
                    out.key(key).object(members);
                }
                None => members(out),
            }
        }
    });
}
