//! Contents as items of a conversation: both directions.

use super::super::key;
use super::part::{self, Function, Written};
use super::thinking::wants_signatures;
use crate::domain::protocol::Protocol;
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::field::{Named, Objection};
use crate::protocol::hub::item::{Content, Item, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult};
use crate::protocol::hub::opaque::{Form, Opaque};
use crate::protocol::hub::read::Values;
use crate::protocol::hub::request::Terms;
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::turns::{Spoken, Turn, UNANSWERED, turns};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::{Flaw, Reader};

pub(super) fn decode<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Item<'a>>, Objection> {
    let mut draft = Draft::default();
    let is_list = reader.elements(|reader| {
        let (role, parts) = decode_content(reader, only_here)?;
        let role = match &*role.decode() {
            "" | "user" | "function" => Role::User,
            "model" => Role::Assistant,
            _ => return Err(Objection::Invalid { field: "contents", why: "a role is neither user nor model" }),
        };
        // The first part of a content never goes on with what was said before.
        draft.is_open = false;
        parts.into_iter().for_each(|part| draft.add(role, part));
        Ok(())
    })?;
    if is_list { Ok(draft.items) } else { Err(Objection::Invalid { field: "contents", why: "it is not an array" }) }
}

/// `systemInstruction`: what of it is text, and all of it should be.
pub(super) fn decode_system<'a>(reader: &mut Reader<'a>, only_here: &mut Named) -> Result<Vec<Part<'a>>, Objection> {
    if reader.peek() == Some(b'"') {
        return Ok(reader.text()?.map(Part::text).into_iter().collect());
    }
    let (_, parts) = decode_content(reader, only_here)?;
    Ok(parts.into_iter().filter_map(|part| part.text).map(Part::text).collect())
}

fn decode_content<'a>(
    reader: &mut Reader<'a>,
    only_here: &mut Named,
) -> Result<(Quoted<'a>, Vec<Written<'a>>), Objection> {
    let (mut role, mut parts) = (Quoted::default(), Vec::new());
    key::members(reader, |reader, key| {
        match key {
            b"role" => role = reader.text()?.unwrap_or_default(),
            b"parts" => {
                reader.elements(|reader| {
                    parts.push(Written::read(reader, only_here)?);
                    Ok::<(), Objection>(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok::<(), Objection>(())
    })?;
    Ok((role, parts))
}

#[derive(Default)]
struct Draft<'a> {
    items: Vec<Item<'a>>,
    /// The last item is a message or a thought of this content, and may go on.
    is_open: bool,
    calls: usize,
    /// Names and ids of calls that nobody answered yet.
    unanswered: Vec<(Quoted<'a>, Quoted<'a>)>,
}

impl<'a> Draft<'a> {
    fn add(&mut self, role: Role, part: Written<'a>) {
        let Written { mut text, is_thought, states, media, call, response } = part;
        if is_thought {
            self.thought(text.take().unwrap_or_default());
        }
        // It led to what stands beside it.
        states.into_iter().for_each(|state| self.state(state));
        if let Some(call) = call {
            self.call(call);
        } else if let Some(response) = response {
            self.response(response);
        } else if let Some(media) = media {
            self.say(role, Content::Media(media));
        } else if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.say(role, Content::Text(Text { text, ..Text::default() }));
        }
    }

    fn thought(&mut self, text: Quoted<'a>) {
        match self.items.last_mut() {
            Some(Item::Reasoning(thought)) if self.is_open && thought.state.is_none() => match &mut thought.content[..]
            {
                [whole] => whole.push(&text),
                _ => thought.content.push(text),
            },
            _ if text.is_empty() => {}
            _ => {
                self.items.push(Item::Reasoning(Reasoning { content: vec![text], ..Reasoning::default() }));
                self.is_open = true;
            }
        }
    }

    fn state(&mut self, state: Opaque<'static>) {
        match self.items.last_mut() {
            Some(Item::Reasoning(thought))
                if self.is_open && thought.state.is_none() && state.form == Form::Signature =>
            {
                thought.state = Some(state);
            }
            _ => self.items.push(Item::Reasoning(Reasoning { state: Some(state), ..Reasoning::default() })),
        }
        self.is_open = false;
    }

    /// What a model said in pieces is one text: a stream's client gives back what it got.
    fn say(&mut self, role: Role, content: Content<'a>) {
        match (self.items.last_mut(), content) {
            (Some(Item::Message(message)), content) if self.is_open => match (message.content.last_mut(), content) {
                (Some(Part { content: Content::Text(last), .. }), Content::Text(more)) if role == Role::Assistant => {
                    last.text.push(&more.text);
                }
                (_, content) => message.content.push(content.into()),
            },
            (_, content) => {
                self.items.push(Item::Message(Message { role, content: vec![content.into()] }));
                self.is_open = true;
            }
        }
    }

    fn call(&mut self, call: Function<'a>) {
        self.calls += 1;
        // Others tell calls apart by their ids.
        let call_id = call.id.unwrap_or_else(|| Quoted::of(&format!("call_{}", self.calls)));
        self.unanswered.push((call.name.clone(), call_id.clone()));
        let arguments = call.object.map_or_else(Arguments::default, Arguments::Object);
        self.items.push(Item::Call(ToolCall { call_id, name: call.name, arguments, cache: None }));
        self.is_open = false;
    }

    fn response(&mut self, response: Function<'a>) {
        let is_its = |(name, id): &(Quoted<'a>, Quoted<'a>)| match &response.id {
            Some(answered) => id == answered,
            None => *name == response.name,
        };
        let call = self.unanswered.iter().position(is_its).map(|at| self.unanswered.remove(at));
        let call_id = call.map(|(_, id)| id).or(response.id).unwrap_or_default();
        let (text, is_error) = response.object.map_or_else(Default::default, said);
        let media = response.media.into_iter().map(|media| Content::Media(media).into());
        let output = std::iter::once(Part::text(text)).chain(media).collect();
        self.items.push(Item::Result(ToolResult { call_id, output, is_error, cache: None }));
        self.is_open = false;
    }
}

/// The text of a response, and whether it is an error. A text of its own stands under a name that goes without saying.
fn said(response: Json<'_>) -> (Quoted<'_>, bool) {
    let (mut only, mut members, mut is_error) = (None, 0, false);
    // It was read once before, so there is no flaw in it.
    let _ = Reader::new(response.as_bytes()).members(|reader, key| {
        members += 1;
        is_error |= key == b"error";
        match key {
            b"result" | b"output" | b"error" => only = reader.text()?.map(Quoted::into_owned),
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    });
    match only.filter(|_| members == 1) {
        Some(text) => (text, is_error),
        None => (Arguments::Object(response).text().into_owned(), is_error && members == 1),
    }
}

pub(super) fn encode(items: &[Item<'_>], terms: &Terms<'_>, out: &mut Vec<u8>) {
    out.key("contents").array(|out| {
        for turn in turns(items) {
            let (role, parts) = match turn {
                Turn::User { answered, said } => ("user", encode_user(&answered, &said)),
                Turn::Model(spoken) => ("model", encode_model(&spoken, terms)),
            };
            if !parts.is_empty() {
                out.object(|out| {
                    out.member("role", role).key("parts").array(|out| {
                        out.value(Raw(&parts));
                    });
                });
            }
        }
    });
}

/// Responses first, one for each call; what they hold besides text stands behind them all.
fn encode_user(answered: &[(&ToolCall<'_>, Option<&ToolResult<'_>>)], said: &[&Part<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut media: Vec<&Part<'_>> = Vec::new();
    for (call, result) in answered {
        let output = result.map_or(&[][..], |result| result.output.as_slice());
        media.extend(output.iter().filter(|part| matches!(part.content, Content::Media(_))));
        out.object(|out| {
            out.key("functionResponse").object(|out| {
                out.member("id", &call.call_id).member("name", &call.name).key("response");
                encode_response(output, *result, out);
            });
        });
    }
    let seen = said.iter().copied().filter(|part| part.as_text().is_none_or(|text| !text.is_empty()));
    media.into_iter().chain(seen).for_each(|one| part::encode(one, None, &mut out));
    out
}

/// An object: the tool's own if it gave one, else one around its text.
fn encode_response(output: &[Part<'_>], result: Option<&ToolResult<'_>>, out: &mut Vec<u8>) {
    let text = Quoted::joined(output.iter().filter_map(Part::as_text), r"\n");
    let name = match result {
        None => {
            out.object(|out| {
                out.member("error", UNANSWERED);
            });
            return;
        }
        Some(result) if result.is_error => "error",
        Some(_) => "result",
    };
    let own = Arguments::Text(text.borrowed());
    match own.as_object().filter(|_| name == "result") {
        Some(object) => out.value(Raw(&object)),
        None => out.object(|out| {
            out.member(name, &text);
        }),
    };
}

/// What stands for the thought that led to a call, where another model thought it.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

fn encode_model(spoken: &[Spoken<'_, '_>], terms: &Terms<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut signature: Option<Quoted<'_>> = None;
    // Of calls that stand together only the first has one.
    let mut is_bare = wants_signatures(terms.model);
    for one in spoken {
        match one {
            // The text of a thought is for people; only what proves it goes back.
            Spoken::Thought(thought) => {
                let state = thought.state.as_ref();
                let data = state.and_then(|state| state.for_maker(Protocol::Gemini, terms.maker));
                signature = data.map(Quoted::borrowed).or(signature);
            }
            Spoken::Said(one) if one.as_text().is_some_and(Quoted::is_empty) => {}
            Spoken::Said(one) => part::encode(one, signature.take().as_ref(), &mut out),
            Spoken::Called(call) => {
                let proof = signature.take().or(is_bare.then_some(Quoted::plain(NO_SIGNATURE)));
                is_bare = false;
                out.object(|out| {
                    out.key("functionCall").object(|out| {
                        out.member("id", &call.call_id).member("name", &call.name);
                        out.member("args", Raw(&call.arguments.object()));
                    });
                    out.maybe("thoughtSignature", proof);
                });
            }
        }
    }
    if let Some(signature) = signature {
        part::encode(&Part::text(Quoted::default()), Some(&signature), &mut out);
    }
    out
}
