//! Blocks of an answer, as a stream begins them and a whole message holds them.

use super::encode::{Seen, stop};
use crate::protocol::hub::about::About;
use crate::protocol::hub::answer::Answer;
use crate::protocol::hub::item::{Citation, Content, Item, Part, Reasoning};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::messages::usage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thought,
    Redacted,
    Call,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Thought => "thinking",
            Self::Redacted => "redacted_thinking",
            Self::Call => "tool_use",
        }
    }
}

/// An answer's fold as a whole message.
pub(in crate::protocol) fn whole(answer: &Answer, about: &About) -> Vec<u8> {
    let (mut out, mut seen) = (Vec::new(), Seen::default());
    out.object(|out| {
        out.member("id", about.ids.answer("msg_")).member("type", "message").member("role", "assistant");
        out.member("model", answer.model.as_ref().unwrap_or(&about.model));
        out.key("content").array(|out| {
            answer.items.iter().for_each(|item| encode_item(item, &mut seen, out));
        });
        let (reason, sequence) = stop(answer.end.as_ref(), seen);
        out.member("stop_reason", reason).member("stop_sequence", sequence).key("usage");
        usage::encode(&answer.usage.unwrap_or_default(), out);
    });
    out
}

fn encode_item(item: &Item<'_>, seen: &mut Seen, out: &mut Vec<u8>) {
    match item {
        Item::Message(message) => message.content.iter().for_each(|part| encode_part(part, seen, out)),
        Item::Reasoning(thought) => encode_thought(thought, out),
        Item::Call(call) => {
            seen.calls = true;
            out.object(|out| {
                out.member("type", Kind::Call.name()).member("id", &call.call_id).member("name", &call.name);
                out.member("input", Raw(&call.arguments.object()));
            });
        }
        // No answer holds one.
        Item::Result(_) => {}
    }
}

fn encode_part(part: &Part<'_>, seen: &mut Seen, out: &mut Vec<u8>) {
    let (text, citations) = match &part.content {
        Content::Text(text) => (&text.text, text.citations.as_slice()),
        Content::Refusal(refusal) => {
            seen.refusal = true;
            (refusal, &[][..])
        }
        Content::Media(_) => return,
    };
    if text.is_empty() {
        return;
    }
    out.object(|out| {
        out.member("type", Kind::Text.name()).member("text", text);
        if !citations.is_empty() {
            out.key("citations").array(|out| citations.iter().for_each(|citation| encode_citation(citation, out)));
        }
    });
}

fn encode_thought(thought: &Reasoning<'_>, out: &mut Vec<u8>) {
    let envelope = thought.state.as_ref().map(|state| state.envelope());
    match envelope {
        Some(data) if thought.is_state_only() => {
            out.object(|out| {
                out.member("type", Kind::Redacted.name()).member("data", data);
            });
        }
        signature if !thought.text().is_empty() => {
            out.object(|out| {
                out.member("type", Kind::Thought.name()).member("thinking", thought.text());
                out.member("signature", signature.unwrap_or(Quoted::plain("")));
            });
        }
        _ => {}
    }
}

/// What the vendor would find by the index is with whoever searched.
pub(super) fn encode_citation(citation: &Citation<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "web_search_result_location").member("url", &citation.url);
        out.member("title", &citation.title).member("cited_text", "").member("encrypted_index", "");
    });
}
