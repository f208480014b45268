//! Events of the hub as a Gemini stream, and an answer's fold as a whole one.
//!
//! Every event has the shape of a whole answer. Calls come whole, so their arguments are held until they are; and what
//! proves a thought stands on the part that it led to.

use super::super::{fault, signature, usage};
use crate::domain::usage::Usage;
use crate::protocol::hub::about::About;
use crate::protocol::hub::answer::Answer;
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::event::{Cause, End, Event, ItemKind, PartKind};
use crate::protocol::hub::item::{Citation, Content, Item, PARAGRAPH, ToolCall};
use crate::protocol::hub::opaque::Opaque;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::{Raw, Write};

/// How a stream is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) enum Framing {
    #[default]
    Events,
    /// As elements of one JSON array.
    Array,
}

#[derive(Debug)]
pub(in crate::protocol) struct Encoder {
    about: About,
    framing: Framing,
    model: Option<Quoted<'static>>,
    /// Of the item of each open call.
    calls: Vec<(usize, ToolCall<'static>)>,
    /// What proves thoughts, until a part comes that they led to.
    states: Vec<Opaque<'static>>,
    citations: Vec<Citation<'static>>,
    usage: Option<Usage>,
    has_written: bool,
}

impl Encoder {
    pub(in crate::protocol) const fn new(about: About, framing: Framing) -> Self {
        Self {
            about,
            framing,
            model: None,
            calls: Vec::new(),
            states: Vec::new(),
            citations: Vec::new(),
            usage: None,
            has_written: false,
        }
    }

    pub(in crate::protocol) const fn is_array(&self) -> bool {
        matches!(self.framing, Framing::Array)
    }

    pub(in crate::protocol) fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            // Nothing begins a stream but its first part.
            Event::Created { model } => self.model = model.clone().map(Quoted::into_owned),
            Event::ItemAdded { item, kind: ItemKind::Call { call_id, name } } => {
                let (call_id, name) = (call_id.clone().into_owned(), name.clone().into_owned());
                self.calls.push((*item, ToolCall { call_id, name, ..ToolCall::default() }));
            }
            Event::Arguments { item, text } => {
                if let Some((_, ToolCall { arguments: Arguments::Text(whole), .. })) =
                    self.calls.iter_mut().find(|(call, _)| call == item)
                {
                    whole.push(text);
                }
            }
            Event::ItemDone { item, .. } => {
                if let Some(at) = self.calls.iter().position(|(call, _)| call == item) {
                    let (_, call) = self.calls.remove(at);
                    self.call(&call, out);
                }
            }
            Event::PartAdded(at) if at.part > 0 && matches!(at.kind, PartKind::Summary | PartKind::Thought) => {
                self.part(out, |out| {
                    out.member("text", Quoted::plain(PARAGRAPH)).member("thought", true);
                });
            }
            Event::Delta { at, text, .. } if !text.is_empty() => match at.kind {
                PartKind::Text | PartKind::Refusal => {
                    let signature = self.signature();
                    self.part(out, |out| {
                        out.member("text", text).maybe("thoughtSignature", signature);
                    });
                }
                PartKind::Summary | PartKind::Thought => self.part(out, |out| {
                    out.member("text", text).member("thought", true);
                }),
            },
            Event::Cited { citation, .. } => self.citations.push(citation.clone().into_owned()),
            Event::State { state, .. } => self.states.push(state.clone().into_owned()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ended(end) => self.end(end, out),
            Event::ItemAdded { kind: ItemKind::Message | ItemKind::Reasoning, .. }
            | Event::PartAdded(_)
            | Event::PartDone(_)
            | Event::Delta { .. } => {}
        }
    }

    fn signature(&mut self) -> Option<Quoted<'static>> {
        let states = std::mem::take(&mut self.states);
        (!states.is_empty()).then(|| signature::encode(states.iter()))
    }

    fn call(&mut self, call: &ToolCall<'_>, out: &mut Vec<u8>) {
        let signature = self.signature();
        self.part(out, |out| encode_call(call, signature, out));
    }

    /// An event with one part.
    fn part(&mut self, out: &mut Vec<u8>, inside: impl FnOnce(&mut Vec<u8>)) {
        self.write(out, |encoder, out| {
            out.key("candidates").array(|out| {
                out.object(|out| {
                    encode_content(out, |out| {
                        out.object(inside);
                    });
                    out.member("index", 0_u64);
                });
            });
            encoder.names(out);
        });
    }

    fn names(&self, out: &mut Vec<u8>) {
        out.member("modelVersion", self.model.as_ref().unwrap_or(&self.about.model));
        out.member("responseId", self.about.ids.answer(""));
    }

    fn write(&mut self, out: &mut Vec<u8>, inside: impl FnOnce(&Self, &mut Vec<u8>)) {
        let is_first = !std::mem::replace(&mut self.has_written, true);
        match self.framing {
            Framing::Events => out.extend_from_slice(b"data: "),
            Framing::Array => out.extend_from_slice(if is_first { b"[" } else { b",\n" }),
        }
        out.object(|out| inside(self, out));
        if self.framing == Framing::Events {
            out.extend_from_slice(b"\n\n");
        }
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<u8>) {
        if let End::Failed(failed) = end {
            self.write(out, |_, out| fault::members(failed, failed.status(), out));
            return;
        }
        let (signature, citations) = (self.signature(), std::mem::take(&mut self.citations));
        self.write(out, |encoder, out| {
            out.key("candidates").array(|out| {
                out.object(|out| {
                    encode_content(out, |out| {
                        out.object(|out| {
                            out.member("text", "").maybe("thoughtSignature", signature);
                        });
                    });
                    out.member("finishReason", reason(Some(end))).member("index", 0_u64);
                    encode_citations(&citations, out);
                });
            });
            out.key("usageMetadata");
            usage::encode(&encoder.usage.unwrap_or_default(), out);
            encoder.names(out);
        });
        if self.framing == Framing::Array {
            out.push(b']');
        }
    }
}

fn encode_content(out: &mut Vec<u8>, parts: impl FnOnce(&mut Vec<u8>)) {
    out.key("content").object(|out| {
        out.member("role", "model").key("parts").array(parts);
    });
}

fn encode_call(call: &ToolCall<'_>, signature: Option<Quoted<'_>>, out: &mut Vec<u8>) {
    out.key("functionCall").object(|out| {
        out.member("id", &call.call_id).member("name", &call.name).member("args", Raw(&call.arguments.object()));
    });
    out.maybe("thoughtSignature", signature);
}

/// Places on the web that the answer rests on.
fn encode_citations(citations: &[Citation<'_>], out: &mut Vec<u8>) {
    if citations.is_empty() {
        return;
    }
    out.key("groundingMetadata").object(|out| {
        out.key("groundingChunks").array(|out| {
            citations.iter().for_each(|citation| {
                out.object(|out| {
                    out.key("web").object(|out| {
                        out.member("uri", &citation.url).member("title", &citation.title);
                    });
                });
            });
        });
    });
}

const fn reason(end: Option<&End<'_>>) -> &'static str {
    match end {
        Some(End::Incomplete(Cause::MaxOutputTokens | Cause::ContextWindow)) => "MAX_TOKENS",
        Some(End::Incomplete(Cause::ContentFilter)) => "SAFETY",
        Some(End::Completed { .. } | End::Failed(_)) | None => "STOP",
    }
}

/// An answer's fold as a whole one.
pub(in crate::protocol) fn whole(answer: &Answer, about: &About) -> Vec<u8> {
    let (mut parts, mut citations) = (Vec::new(), Vec::new());
    encode_items(answer, &mut parts, &mut citations);
    if parts.is_empty() {
        parts.extend_from_slice(br#"{"text":""}"#);
    }
    let mut out = Vec::new();
    out.object(|out| {
        out.key("candidates").array(|out| {
            out.object(|out| {
                encode_content(out, |out| {
                    out.value(Raw(&parts));
                });
                out.member("finishReason", reason(answer.end.as_ref())).member("index", 0_u64);
                encode_citations(&citations, out);
            });
        });
        out.key("usageMetadata");
        usage::encode(&answer.usage.unwrap_or_default(), out);
        out.member("modelVersion", answer.model.as_ref().unwrap_or(&about.model));
        out.member("responseId", about.ids.answer(""));
    });
    out
}

fn encode_items(answer: &Answer, out: &mut Vec<u8>, citations: &mut Vec<Citation<'static>>) {
    let mut states: Vec<&Opaque<'_>> = Vec::new();
    let take = |states: &mut Vec<&Opaque<'_>>| {
        let states = std::mem::take(states);
        (!states.is_empty()).then(|| signature::encode(states.into_iter()))
    };
    for item in &answer.items {
        match item {
            Item::Message(message) => {
                for part in &message.content {
                    let text = match &part.content {
                        Content::Text(text) => {
                            citations.extend(text.citations.iter().cloned());
                            &text.text
                        }
                        Content::Refusal(refusal) => refusal,
                        Content::Media(_) => continue,
                    };
                    let signature = take(&mut states);
                    out.object(|out| {
                        out.member("text", text).maybe("thoughtSignature", signature);
                    });
                }
            }
            Item::Reasoning(thought) => {
                if !thought.is_state_only() {
                    out.object(|out| {
                        out.member("text", thought.text()).member("thought", true);
                    });
                }
                states.extend(&thought.state);
            }
            Item::Call(call) => {
                let signature = take(&mut states);
                out.object(|out| encode_call(call, signature, out));
            }
            // No answer holds one.
            Item::Result(_) => {}
        }
    }
    if let Some(signature) = take(&mut states) {
        out.object(|out| {
            out.member("text", "").member("thoughtSignature", signature);
        });
    }
}
