//! Events of the hub as a chat stream's chunks.
//!
//! Every chunk but its delta is always the same, so it is written once. What grows is the text of the thought that is
//! open: a client must get it in one piece with its state.

use crate::domain::usage::Usage;
use crate::protocol::chat::fault;
use crate::protocol::chat::request::{Asked, thought};
use crate::protocol::chat::usage;
use crate::protocol::hub::about::About;
use crate::protocol::hub::event::{Cause, End, Event, ItemKind, PartKind, Place};
use crate::protocol::hub::item::{Citation, PARAGRAPH, Reasoning};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};

#[derive(Debug)]
pub(in crate::protocol) struct Encoder {
    about: About,
    asked: Asked,
    /// `{"id":…,"object":…,"created":…,"model":…`
    head: Vec<u8>,
    /// The items that are calls, in order: a call's place is its index.
    calls: Vec<usize>,
    thought: Reasoning<'static>,
    usage: Option<Usage>,
}

impl Encoder {
    pub(in crate::protocol) fn new(about: About, asked: Asked) -> Self {
        Self { about, asked, head: Vec::new(), calls: Vec::new(), thought: Reasoning::default(), usage: None }
    }

    pub(in crate::protocol) fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Created { model } => {
                self.created(model.as_ref());
                self.delta(out, |delta| {
                    delta.member("role", "assistant").member("content", "");
                });
            }
            Event::Delta { at, text, logprobs } => match at.kind {
                PartKind::Text => self.text(text, logprobs, out),
                PartKind::Refusal => self.delta(out, |delta| {
                    delta.member("refusal", text);
                }),
                PartKind::Thought | PartKind::Summary => {
                    let texts = match at.kind {
                        PartKind::Summary => &mut self.thought.summary,
                        _ => &mut self.thought.content,
                    };
                    match texts.get_mut(at.part) {
                        Some(whole) => whole.push(text),
                        None => texts.push(text.clone().into_owned()),
                    }
                    self.delta(out, |delta| {
                        delta.member("reasoning_content", text);
                    });
                }
            },
            Event::Cited { citation, .. } => self.delta(out, |delta| {
                delta.key("annotations").array(|out| annotation(citation, out));
            }),
            Event::State { state, .. } => {
                self.thought.state = Some(state.clone().into_owned());
                // With a text it is complete; without one it belongs to what comes next.
                if !self.thought.is_state_only() {
                    self.detail(None, out);
                }
            }
            Event::ItemAdded { item, kind: ItemKind::Call { call_id, name } } => {
                self.detail(Some(call_id), out);
                self.call(*item, call_id, name, out);
            }
            Event::ItemAdded { kind: ItemKind::Message, .. } => self.detail(None, out),
            Event::ItemAdded { kind: ItemKind::Reasoning, .. } => {
                self.detail(None, out);
                self.thought = Reasoning::default();
            }
            Event::Arguments { item, text } => {
                let index = self.calls.iter().rposition(|call| call == item).unwrap_or(0);
                self.delta(out, |delta| {
                    delta.key("tool_calls").array(|out| {
                        out.object(|out| {
                            out.member("index", index).key("function").object(|out| {
                                out.member("arguments", text);
                            });
                        });
                    });
                });
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ended(end) => self.end(end, out),
            Event::PartAdded(place) => self.part(*place, out),
            Event::PartDone(_) | Event::ItemDone { .. } => {}
        }
    }

    /// What is thought in several parts is one text to a client of chat.
    fn part(&self, place: Place, out: &mut Vec<u8>) {
        if matches!(place.kind, PartKind::Summary | PartKind::Thought) && !self.thought.is_state_only() {
            self.delta(out, |delta| {
                delta.member("reasoning_content", Quoted::plain(PARAGRAPH));
            });
        }
    }

    fn created(&mut self, model: Option<&Quoted<'_>>) {
        let about = &self.about;
        self.head.push(b'{');
        self.head.member("id", about.ids.answer("chatcmpl-")).member("object", "chat.completion.chunk");
        self.head.member("created", about.created).member("model", model.unwrap_or(&about.model));
    }

    fn text(&mut self, text: &Quoted<'_>, logprobs: &[Json<'_>], out: &mut Vec<u8>) {
        self.chunk(out, |choice| {
            choice.key("delta").object(|delta| {
                delta.member("content", text);
            });
            choice.key("logprobs");
            encode_logprobs(logprobs, choice);
            choice.member("finish_reason", None::<u64>);
        });
    }

    fn call(&mut self, item: usize, call_id: &Quoted<'_>, name: &Quoted<'_>, out: &mut Vec<u8>) {
        let index = self.calls.len();
        self.calls.push(item);
        self.delta(out, |delta| {
            delta.key("tool_calls").array(|out| {
                out.object(|out| {
                    out.member("index", index).member("id", call_id).member("type", "function");
                    out.key("function").object(|out| {
                        out.member("name", name).member("arguments", "");
                    });
                });
            });
        });
    }

    /// The thought that has its state, if it was not told yet.
    fn detail(&mut self, call: Option<&Quoted<'_>>, out: &mut Vec<u8>) {
        if self.thought.state.is_some() {
            let thought = std::mem::take(&mut self.thought);
            self.delta(out, |delta| {
                delta.key("reasoning_details").array(|out| thought::encode(&thought, call, out));
            });
        }
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<u8>) {
        let reason = match end {
            End::Completed { .. } if self.calls.is_empty() => "stop",
            End::Completed { .. } => "tool_calls",
            End::Incomplete(cause) => cut_reason(*cause),
            End::Failed(fault) => {
                out.event(None, |out| {
                    out.object(|out| {
                        out.key("error");
                        fault::encode(fault, out);
                    });
                });
                return;
            }
        };
        self.detail(None, out);
        self.chunk(out, |choice| {
            choice.key("delta").object(|_| {});
            choice.member("logprobs", None::<u64>).member("finish_reason", reason);
        });
        if let Some(usage) = self.usage.filter(|_| self.asked.include_usage) {
            out.event(None, |out| {
                out.extend_from_slice(&self.head);
                out.key("choices").array(|_| {}).key("usage");
                usage::encode(&usage, out);
                out.push(b'}');
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// A chunk with this in its delta.
    fn delta(&self, out: &mut Vec<u8>, inside: impl FnOnce(&mut Vec<u8>)) {
        self.chunk(out, |choice| {
            choice.key("delta").object(inside).member("logprobs", None::<u64>).member("finish_reason", None::<u64>);
        });
    }

    fn chunk(&self, out: &mut Vec<u8>, inside: impl FnOnce(&mut Vec<u8>)) {
        out.event(None, |out| {
            out.extend_from_slice(&self.head);
            out.key("choices").array(|out| {
                out.object(|choice| {
                    choice.member("index", 0_u64);
                    inside(choice);
                });
            });
            if self.asked.include_usage {
                out.key("usage").value(Raw(b"null"));
            }
            out.push(b'}');
        });
    }
}

/// The word for an answer that was cut short.
pub(super) const fn cut_reason(cause: Cause) -> &'static str {
    match cause {
        Cause::MaxOutputTokens | Cause::ContextWindow => "length",
        Cause::ContentFilter => "content_filter",
    }
}

pub(super) fn encode_logprobs(logprobs: &[Json<'_>], out: &mut Vec<u8>) {
    if logprobs.is_empty() {
        out.value(Raw(b"null"));
        return;
    }
    out.object(|out| {
        out.key("content").array(|out| {
            logprobs.iter().for_each(|one| {
                out.value(one);
            });
        });
        out.key("refusal").value(Raw(b"null"));
    });
}

pub(super) fn annotation(citation: &Citation<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "url_citation").key("url_citation").object(|out| {
            out.member("url", &citation.url).member("title", &citation.title);
            out.member("start_index", citation.start).member("end_index", citation.end);
        });
    });
}
