//! An answer's fold as a whole chat completion.

use super::encode::{annotation, cut_reason, encode_logprobs};
use crate::protocol::chat::request::thought;
use crate::protocol::chat::usage;
use crate::protocol::hub::about::About;
use crate::protocol::hub::answer::Answer;
use crate::protocol::hub::event::End;
use crate::protocol::hub::item::{Citation, Content, Item, Part, Reasoning, ToolCall};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::Write;

pub(in crate::protocol) fn encode(answer: &Answer, about: &About) -> Vec<u8> {
    let mut out = Vec::new();
    let said = Said::of(answer);
    let reason = match &answer.end {
        Some(End::Incomplete(cause)) => cut_reason(*cause),
        _ if said.calls.is_empty() => "stop",
        _ => "tool_calls",
    };
    out.object(|out| {
        out.member("id", about.ids.answer("chatcmpl-")).member("object", "chat.completion");
        out.member("created", about.created).member("model", answer.model.as_ref().unwrap_or(&about.model));
        out.key("choices").array(|out| {
            out.object(|out| {
                out.member("index", 0_u64).key("message").object(|out| said.message(out));
                out.key("logprobs");
                encode_logprobs(&said.logprobs, out);
                out.member("finish_reason", reason);
            });
        });
        if let Some(usage) = &answer.usage {
            out.key("usage");
            usage::encode(usage, out);
        }
    });
    out
}

/// All that one message holds, from however many items.
#[derive(Default)]
struct Said<'i> {
    text: Option<Quoted<'i>>,
    refusal: Option<Quoted<'i>>,
    logprobs: Vec<Json<'i>>,
    citations: Vec<&'i Citation<'static>>,
    thought: Option<Quoted<'i>>,
    /// Each with the call that it belongs to, if it is but a state.
    states: Vec<(&'i Reasoning<'static>, Option<&'i Quoted<'static>>)>,
    calls: Vec<&'i ToolCall<'static>>,
}

impl<'i> Said<'i> {
    fn of(answer: &'i Answer) -> Self {
        let mut said = Self::default();
        for (place, item) in answer.items.iter().enumerate() {
            match item {
                Item::Message(message) => message.content.iter().for_each(|part| said.part(part)),
                Item::Reasoning(reasoning) => {
                    append(&mut said.thought, &reasoning.text());
                    let next = match answer.items.get(place + 1) {
                        Some(Item::Call(call)) => Some(&call.call_id),
                        _ => None,
                    };
                    if reasoning.state.is_some() {
                        said.states.push((reasoning, next));
                    }
                }
                Item::Call(call) => said.calls.push(call),
                Item::Result(_) => {}
            }
        }
        said
    }

    fn part(&mut self, part: &'i Part<'static>) {
        match &part.content {
            Content::Text(text) => {
                append(&mut self.text, &text.text);
                self.logprobs.extend(text.logprobs.iter().map(Json::borrowed));
                self.citations.extend(&text.citations);
            }
            Content::Refusal(refusal) => append(&mut self.refusal, refusal),
            Content::Media(_) => {}
        }
    }

    fn message(&self, out: &mut Vec<u8>) {
        out.member("role", "assistant");
        // Nothing said is an empty text, unless something else was done.
        match &self.text {
            None if self.calls.is_empty() && self.refusal.is_none() => out.member("content", ""),
            text => out.member("content", text.as_ref()),
        };
        out.member("refusal", self.refusal.as_ref());
        out.maybe("reasoning_content", self.thought.as_ref().filter(|text| !text.is_empty()));
        if !self.states.is_empty() {
            out.key("reasoning_details").array(|out| {
                self.states.iter().for_each(|(reasoning, call)| thought::encode(reasoning, *call, out));
            });
        }
        if !self.calls.is_empty() {
            out.key("tool_calls").array(|out| self.calls.iter().for_each(|call| encode_call(call, out)));
        }
        if !self.citations.is_empty() {
            out.key("annotations").array(|out| self.citations.iter().for_each(|citation| annotation(citation, out)));
        }
    }
}

fn append<'i>(whole: &mut Option<Quoted<'i>>, more: &Quoted<'i>) {
    match whole {
        Some(whole) => whole.push(more),
        None => *whole = Some(more.clone()),
    }
}

fn encode_call(call: &ToolCall<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("id", &call.call_id).member("type", "function").key("function").object(|out| {
            out.member("name", &call.name).member("arguments", call.arguments.text());
        });
    });
}
