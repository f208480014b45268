//! What a response repeats of its request: every one of these members must be there, be it with the default.

use crate::protocol::hub::read::Values;
use crate::protocol::hub::text::Json;
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::{Flaw, Reader};

/// Values as the client wrote them.
#[derive(Default)]
pub(super) struct Echo<'a> {
    kept: Vec<(&'static str, &'a [u8])>,
}

/// Members that are repeated as they are, in this order, and what stands for them where the client said nothing.
const MEMBERS: [(&str, &str); 18] = [
    ("background", "false"),
    ("frequency_penalty", "0"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("service_tier", "\"default\""),
    ("store", "true"),
    ("temperature", "1"),
    ("tool_choice", "\"auto\""),
    ("top_logprobs", "0"),
    ("top_p", "1"),
    ("truncation", "\"disabled\""),
];
/// Members that are completed.
const COMPLETED: [&str; 3] = ["tools", "text", "reasoning"];

impl<'a> Echo<'a> {
    pub(super) fn keep(&mut self, key: &[u8], value: &'a [u8]) {
        let names = MEMBERS.iter().map(|(name, _)| *name).chain(COMPLETED);
        self.kept.extend(names.filter(|name| name.as_bytes() == key).map(|name| (name, value)));
    }

    /// All of them as members of an object.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, default) in MEMBERS {
            out.member(name, Json::of(self.said(name).unwrap_or(default.as_bytes())));
        }
        out.key("tools").array(|out| {
            if let Some(tools) = self.said("tools") {
                // What can't be read was refused before anybody asked for an answer.
                let _ = Reader::new(tools).elements(|reader| tool(reader, out));
            }
        });
        out.key("text").object(|out| {
            let text = Members::of(self.said("text"));
            out.member("format", Json::of(text.get("format").unwrap_or(br#"{"type":"text"}"#)));
            out.maybe("verbosity", text.get("verbosity").map(Json::of));
        });
        out.key("reasoning");
        match self.said("reasoning") {
            Some(said) => {
                let said = Members::of(Some(said));
                out.object(|out| {
                    out.member("effort", said.get("effort").map(Json::of));
                    out.member("summary", said.get("summary").map(Json::of));
                });
            }
            None => {
                out.value(Raw(b"null"));
            }
        }
        out
    }

    fn said(&self, name: &str) -> Option<&'a [u8]> {
        self.kept.iter().rev().find(|(kept, _)| *kept == name).map(|(_, value)| *value)
    }
}

/// Functions are all that every client of the protocol knows; each has all five of its members.
fn tool(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Flaw> {
    let said = Members::of(Some(reader.value()?));
    if said.get("type") == Some(br#""function""#) {
        out.object(|out| {
            out.member("type", "function").member("name", said.get("name").map(Json::of));
            out.member("description", said.get("description").map(Json::of));
            out.member("parameters", said.get("parameters").map(Json::of));
            out.member("strict", said.get("strict").map(Json::of));
        });
    }
    Ok(())
}

/// An object's members as written.
struct Members<'a>(Vec<(Vec<u8>, &'a [u8])>);

impl<'a> Members<'a> {
    fn of(object: Option<&'a [u8]>) -> Self {
        let mut members = Vec::new();
        let _ = Reader::new(object.unwrap_or(b"{}")).members(|reader, key| {
            members.push((key.to_vec(), reader.value()?));
            Ok::<(), Flaw>(())
        });
        Self(members)
    }

    fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(key, value)| key == name.as_bytes() && *value != b"null").map(|(_, value)| *value)
    }
}
