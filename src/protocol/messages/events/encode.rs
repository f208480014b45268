//! Events of the hub as a Messages stream.
//!
//! Blocks follow each other: one is open at a time, and of two calls that come interleaved the second waits. A block begins
//! with its first text, so that none is empty, and is never begun twice.

use super::block::{self, Kind};
use crate::domain::usage::Usage;
use crate::protocol::hub::about::About;
use crate::protocol::hub::event::{Cause, End, Event, ItemKind, PartKind};
use crate::protocol::hub::item::PARAGRAPH;
use crate::protocol::hub::opaque::Opaque;
use crate::protocol::hub::queue::Queue;
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::messages::{fault, usage};

#[derive(Debug)]
pub(in crate::protocol) struct Encoder {
    queue: Queue,
    writer: Writer,
}

#[derive(Debug)]
struct Writer {
    about: About,
    /// Blocks begun so far.
    blocks: usize,
    open: Option<Kind>,
    /// The part that begins next is not the first of its item, and must not run into the one before.
    needs_paragraph: bool,
    seen: Seen,
    usage: Option<Usage>,
}

/// What the reason for the end hangs on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) calls: bool,
    pub(super) refusal: bool,
}

impl Encoder {
    pub(in crate::protocol) fn new(about: About) -> Self {
        let writer =
            Writer { about, blocks: 0, open: None, needs_paragraph: false, seen: Seen::default(), usage: None };
        Self { queue: Queue::default(), writer }
    }

    pub(in crate::protocol) fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let Self { queue, writer } = self;
        queue.push(event, &mut |event| writer.event(event, out));
    }
}

impl Writer {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Created { model } => self.start(model.as_ref(), out),
            Event::ItemAdded { kind: ItemKind::Call { call_id, name }, .. } => {
                self.seen.calls = true;
                self.begin(Kind::Call, out, |out| {
                    out.member("id", call_id).member("name", name).key("input").object(|_| {});
                });
            }
            Event::PartAdded(at) => {
                let is_thought = matches!(at.kind, PartKind::Summary | PartKind::Thought);
                self.needs_paragraph = is_thought && self.open == Some(Kind::Thought);
            }
            Event::Delta { at, text, .. } => match at.kind {
                PartKind::Text => self.text(Kind::Text, text, out),
                PartKind::Refusal => {
                    self.seen.refusal = true;
                    self.text(Kind::Text, text, out);
                }
                PartKind::Summary | PartKind::Thought => self.text(Kind::Thought, text, out),
            },
            Event::Cited { citation, .. } => {
                self.open_text(Kind::Text, out);
                self.delta(out, |out| {
                    out.member("type", "citations_delta").key("citation");
                    block::encode_citation(citation, out);
                });
            }
            Event::Arguments { text, .. } => self.delta(out, |out| {
                out.member("type", "input_json_delta").member("partial_json", text);
            }),
            Event::State { state, .. } => self.state(state, out),
            Event::PartDone(at) => {
                // Thoughts of one item are one block; of a message each part is one.
                if matches!(at.kind, PartKind::Text | PartKind::Refusal) {
                    self.end_block(out);
                }
            }
            Event::ItemDone { .. } => self.end_block(out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ended(end) => self.end(end, out),
            Event::ItemAdded { kind: ItemKind::Message | ItemKind::Reasoning, .. } => {}
        }
    }

    fn start(&self, model: Option<&Quoted<'_>>, out: &mut Vec<u8>) {
        let about = &self.about;
        // What it will have been is said at the end; clients show how full the context is by what is said here.
        let usage = Usage { input: about.input_tokens, ..Usage::default() };
        out.event(Some("message_start"), |out| {
            out.object(|out| {
                out.member("type", "message_start").key("message").object(|out| {
                    out.member("id", about.ids.answer("msg_")).member("type", "message").member("role", "assistant");
                    out.member("model", model.unwrap_or(&about.model)).key("content").array(|_| {});
                    out.member("stop_reason", None::<u64>).member("stop_sequence", None::<u64>).key("usage");
                    usage::encode(&usage, out);
                });
            });
        });
    }

    fn text(&mut self, kind: Kind, text: &Quoted<'_>, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.open_text(kind, out);
        if std::mem::take(&mut self.needs_paragraph) {
            self.text_delta(kind, &Quoted::plain(PARAGRAPH), out);
        }
        self.text_delta(kind, text, out);
    }

    fn text_delta(&self, kind: Kind, text: &Quoted<'_>, out: &mut Vec<u8>) {
        self.delta(out, |out| {
            if kind == Kind::Thought {
                out.member("type", "thinking_delta").member("thinking", text);
            } else {
                out.member("type", "text_delta").member("text", text);
            }
        });
    }

    fn open_text(&mut self, kind: Kind, out: &mut Vec<u8>) {
        if self.open != Some(kind) {
            self.end_block(out);
            self.begin(kind, out, |out| {
                if kind == Kind::Thought {
                    out.member("thinking", "").member("signature", "");
                } else {
                    out.member("text", "");
                }
            });
        }
    }

    /// Proves the thought that is open, or stands for one that nobody may see.
    fn state(&mut self, state: &Opaque<'_>, out: &mut Vec<u8>) {
        let envelope = state.envelope();
        if self.open == Some(Kind::Thought) {
            self.delta(out, |out| {
                out.member("type", "signature_delta").member("signature", envelope);
            });
        } else {
            self.begin(Kind::Redacted, out, |out| {
                out.member("data", envelope);
            });
        }
        self.end_block(out);
    }

    fn begin(&mut self, kind: Kind, out: &mut Vec<u8>, inside: impl FnOnce(&mut Vec<u8>)) {
        self.needs_paragraph = false;
        let index = self.blocks;
        self.blocks += 1;
        self.open = Some(kind);
        out.event(Some("content_block_start"), |out| {
            out.object(|out| {
                out.member("type", "content_block_start").member("index", index).key("content_block");
                out.object(|out| {
                    out.member("type", kind.name());
                    inside(out);
                });
            });
        });
    }

    /// A delta of the open block.
    fn delta(&self, out: &mut Vec<u8>, inside: impl FnOnce(&mut Vec<u8>)) {
        let index = self.blocks.saturating_sub(1);
        out.event(Some("content_block_delta"), |out| {
            out.object(|out| {
                out.member("type", "content_block_delta").member("index", index).key("delta").object(inside);
            });
        });
    }

    fn end_block(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            let index = self.blocks.saturating_sub(1);
            out.event(Some("content_block_stop"), |out| {
                out.object(|out| {
                    out.member("type", "content_block_stop").member("index", index);
                });
            });
        }
    }

    fn end(&self, end: &End<'_>, out: &mut Vec<u8>) {
        if let End::Failed(failed) = end {
            out.event(Some("error"), |out| fault::encode(failed, out));
            return;
        }
        let (reason, sequence) = stop(Some(end), self.seen);
        out.event(Some("message_delta"), |out| {
            out.object(|out| {
                out.member("type", "message_delta").key("delta").object(|out| {
                    out.member("stop_reason", reason).member("stop_sequence", sequence);
                });
                out.key("usage");
                usage::encode(&self.usage.unwrap_or_default(), out);
            });
        });
        out.event(Some("message_stop"), |out| {
            out.object(|out| {
                out.member("type", "message_stop");
            });
        });
    }
}

/// Why the model stopped, and at which of the client's sequences.
pub(super) fn stop<'e>(end: Option<&'e End<'_>>, seen: Seen) -> (&'static str, Option<Quoted<'e>>) {
    match end {
        Some(End::Incomplete(Cause::MaxOutputTokens)) => ("max_tokens", None),
        Some(End::Incomplete(Cause::ContextWindow)) => ("model_context_window_exceeded", None),
        Some(End::Incomplete(Cause::ContentFilter)) => ("refusal", None),
        Some(End::Completed { stop_sequence: Some(sequence) }) => ("stop_sequence", Some(sequence.borrowed())),
        _ if seen.calls => ("tool_use", None),
        _ if seen.refusal => ("refusal", None),
        _ => ("end_turn", None),
    }
}
