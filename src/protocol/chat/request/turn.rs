//! Items of a conversation as messages: what the assistant said and called in one go is one message, for the results must
//! follow right behind it.

use super::part;
use super::thought::{self, Returned};
use crate::domain::protocol::Protocol;
use crate::protocol::hub::item::{Item, Message, PARAGRAPH, Part, Role, ToolCall, ToolResult};
use crate::protocol::hub::request::Terms;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::{Raw, Write};

pub(super) fn encode(items: &[Item<'_>], terms: &Terms<'_>, out: &mut Vec<u8>) {
    let last_said = items.iter().rposition(|item| matches!(item, Item::Message(Message { role: Role::User, .. })));
    out.key("messages").array(|out| {
        let leading = items.iter().position(|item| !leads(item)).unwrap_or(items.len());
        encode_leading(&items[..leading], out);
        let mut at = leading;
        while at < items.len() {
            let turn = Turn { is_current: last_said.is_none_or(|said| at > said), ..Turn::default() };
            at += turn.encode(&items[at..], terms, out);
        }
    });
}

fn leads(item: &Item<'_>) -> bool {
    matches!(item, Item::Message(message) if message.leads())
}

/// All that leads is one message: templates of open models take no second, and many take no parts in it.
fn encode_leading(items: &[Item<'_>], out: &mut Vec<u8>) {
    let parts: Vec<&Part<'_>> = items.iter().flat_map(content).collect();
    let texts: Option<Vec<&Quoted<'_>>> =
        parts.iter().map(|part| part.as_text().filter(|_| part.cache.is_none())).collect();
    if parts.is_empty() {
        return;
    }
    out.object(|out| {
        out.member("role", "system").key("content");
        match texts {
            Some(texts) => {
                out.value(Quoted::joined(texts.into_iter(), PARAGRAPH));
            }
            None => part::encode(&parts, out),
        }
    });
}

fn content<'i, 'a>(item: &'i Item<'a>) -> &'i [Part<'a>] {
    match item {
        Item::Message(message) => &message.content,
        Item::Reasoning(_) | Item::Call(_) | Item::Result(_) => &[],
    }
}

/// What the assistant says and calls before anybody else speaks.
#[derive(Default)]
struct Turn<'i, 'a> {
    /// Nobody has spoken to the model since: its thoughts may go on.
    is_current: bool,
    thoughts: Vec<Quoted<'i>>,
    details: Vec<Vec<u8>>,
    content: Vec<&'i Part<'a>>,
    calls: Vec<(&'i ToolCall<'a>, Option<Vec<u8>>)>,
}

impl<'i, 'a> Turn<'i, 'a> {
    /// Writes what comes first, and says how many items that was.
    fn encode(mut self, items: &'i [Item<'a>], terms: &Terms<'_>, out: &mut Vec<u8>) -> usize {
        match &items[0] {
            Item::Message(message) if message.role != Role::Assistant => {
                encode_message(message, out);
                return 1;
            }
            Item::Result(_) => return encode_results(items, out),
            Item::Message(_) | Item::Reasoning(_) | Item::Call(_) => {}
        }
        let mut extra = None;
        let mut taken = 0;
        for item in items {
            match item {
                Item::Reasoning(reasoning) => {
                    let state = reasoning.state.as_ref();
                    let data =
                        state.and_then(|state| Some((state.form, state.for_maker(Protocol::Chat, terms.maker)?)));
                    match data.map(|(form, data)| thought::returned(reasoning, form, data)) {
                        Some(Returned::Plain(text)) if self.is_current => self.thoughts.push(text),
                        Some(Returned::Detail(detail)) => self.details.push(detail),
                        Some(Returned::Extra(member)) => extra = Some(member),
                        Some(Returned::Plain(_)) | None => {}
                    }
                }
                Item::Call(call) => self.calls.push((call, extra.take())),
                // Two messages one behind the other stay two, unless results to come belong to both.
                Item::Message(message) if message.role == Role::Assistant => {
                    if !self.content.is_empty() && self.calls.is_empty() {
                        break;
                    }
                    self.content.extend(&message.content);
                }
                Item::Message(_) | Item::Result(_) => break,
            }
            taken += 1;
        }
        if !self.content.is_empty() || !self.calls.is_empty() {
            self.write(out);
        }
        taken
    }

    fn write(self, out: &mut Vec<u8>) {
        out.object(|out| {
            out.member("role", "assistant").key("content");
            encode_said(&self.content, out);
            if !self.thoughts.is_empty() {
                out.member("reasoning_content", Quoted::joined(self.thoughts.iter(), PARAGRAPH));
            }
            if !self.details.is_empty() {
                out.key("reasoning_details").array(|out| {
                    self.details.iter().for_each(|detail| {
                        out.value(Raw(detail));
                    });
                });
            }
            if !self.calls.is_empty() {
                out.key("tool_calls").array(|out| {
                    self.calls.iter().for_each(|(call, extra)| encode_call(call, extra.as_deref(), out));
                });
            }
        });
    }
}

/// The assistant's own words are one text, wherever they are nothing but text: many servers take no parts from it.
fn encode_said(parts: &[&Part<'_>], out: &mut Vec<u8>) {
    let texts: Option<Vec<&Quoted<'_>>> =
        parts.iter().map(|part| part.as_text().filter(|_| part.cache.is_none())).collect();
    match texts.as_deref() {
        Some([]) => {
            out.value(None::<u64>);
        }
        Some(texts) => {
            out.value(Quoted::joined(texts.iter().copied(), ""));
        }
        None => part::encode(parts, out),
    }
}

fn encode_message(message: &Message<'_>, out: &mut Vec<u8>) {
    let role = match message.role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    out.object(|out| {
        out.member("role", role).key("content");
        part::encode(&message.content.iter().collect::<Vec<_>>(), out);
    });
}

fn encode_call(call: &ToolCall<'_>, extra: Option<&[u8]>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("id", &call.call_id).member("type", "function").key("function").object(|out| {
            out.member("name", &call.name).member("arguments", call.arguments.text());
        });
        if let Some(extra) = extra {
            out.push(b',');
            out.extend_from_slice(extra);
        }
    });
}

/// All results that stand together. A tool's message holds text only, so what else they gave follows in a message of
/// the user's, behind the last of them.
fn encode_results(items: &[Item<'_>], out: &mut Vec<u8>) -> usize {
    let results: Vec<&ToolResult<'_>> = items
        .iter()
        .map_while(|item| match item {
            Item::Result(result) => Some(result),
            Item::Message(_) | Item::Reasoning(_) | Item::Call(_) => None,
        })
        .collect();
    let mut media: Vec<&Part<'_>> = Vec::new();
    for result in &results {
        let (texts, others): (Vec<&Part<'_>>, Vec<&Part<'_>>) =
            result.output.iter().partition(|part| part.as_text().is_some());
        let mut whole = Quoted::joined(texts.into_iter().filter_map(Part::as_text), r"\n");
        if whole.is_empty() && !others.is_empty() {
            whole = Quoted::plain("(what the tool gave follows)");
        }
        media.extend(others);
        out.object(|out| {
            out.member("role", "tool").member("tool_call_id", &result.call_id).member("content", whole);
        });
    }
    if !media.is_empty() {
        out.object(|out| {
            out.member("role", "user").key("content");
            part::encode(&media, out);
        });
    }
    results.len()
}
