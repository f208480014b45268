//! A Gemini stream's events as those of the hub. A whole answer is one event that says everything.

use super::said::{Chunk, Part};
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::protocol::gemini::fault;
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::event::{Cause, Done, End, Event, Fault, PartKind, Sink};
use crate::protocol::hub::frames::{self, unreadable};
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::opaque::{Form, Maker, Opaque};
use crate::protocol::hub::opener::Opener;
use crate::protocol::hub::text::Quoted;

/// Of a stream.
pub(in crate::protocol) type Decoder = frames::Decoder<Answering>;

pub(in crate::protocol) fn decoder(maker: Maker, ids: Ids) -> Decoder {
    Decoder::of(Answering::new(maker, ids))
}

impl frames::Answering for Answering {
    fn is_readable(data: &[u8]) -> bool {
        Chunk::read(data).is_ok()
    }

    fn event(&mut self, _: Option<&[u8]>, data: &[u8], sink: &mut Sink<'_>) {
        self.data(data, sink);
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        self.fail(fault, sink);
    }

    /// The only mark of a stream's end; whether it is one, the reason tells.
    fn finish(&mut self, sink: &mut Sink<'_>) {
        self.end(sink);
    }
}

/// A whole answer.
pub(in crate::protocol) fn whole(body: &[u8], maker: Maker, ids: Ids, sink: &mut Sink<'_>) {
    let mut answering = Answering::new(maker, ids);
    let body = body.trim_ascii();
    match Chunk::read(body) {
        Ok(chunk) if chunk.has_candidates || chunk.is_blocked || chunk.is_error => {
            let is_finished = chunk.reason.is_some() || chunk.is_blocked;
            answering.data(body, sink);
            // Some servers give no reason where there is no other answer to come.
            if !is_finished {
                answering.finished("STOP", sink);
            }
            answering.end(sink);
        }
        Ok(_) => {
            let failure = Failure::Garbage("an answer without candidates".into());
            answering.fail(Fault::found(failure, "the provider sent an answer without candidates"), sink);
        }
        Err(_) => answering.fail(unreadable(), sink),
    }
}

#[derive(Debug)]
pub(in crate::protocol) struct Answering {
    maker: Maker,
    ids: Ids,
    opener: Opener,
    calls: usize,
    has_content: bool,
    end: Option<End<'static>>,
    is_created: bool,
    is_over: bool,
}

impl Answering {
    fn new(maker: Maker, ids: Ids) -> Self {
        Self {
            maker,
            ids,
            opener: Opener::default(),
            calls: 0,
            has_content: false,
            end: None,
            is_created: false,
            is_over: false,
        }
    }

    fn data(&mut self, data: &[u8], sink: &mut Sink<'_>) {
        if self.is_over {
            return;
        }
        match Chunk::read(data) {
            Ok(chunk) if chunk.is_error => self.fail(fault::decode(data), sink),
            Ok(chunk) => self.chunk(chunk, sink),
            // A list is how an error comes that did not become a stream.
            Err(_) if data.first() == Some(&b'[') => self.fail(fault::decode(data), sink),
            Err(_) => self.fail(unreadable(), sink),
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_created, true) {
            sink(Event::Created { model: chunk.model });
        }
        if self.end.is_none() {
            self.has_content |= !chunk.parts.is_empty();
            chunk.parts.into_iter().for_each(|part| self.part(part, sink));
        }
        if let Some(usage) = chunk.usage {
            sink(Event::Usage(usage));
        }
        if let Some(reason) = chunk.reason {
            self.finished(&reason.decode(), sink);
        } else if chunk.is_blocked {
            self.finished("SAFETY", sink);
        }
    }

    fn part(&mut self, part: Part<'_>, sink: &mut Sink<'_>) {
        let Part { text, is_thought, signature, call, .. } = part;
        let signature =
            signature.map(|data| Opaque { protocol: Protocol::Gemini, maker: self.maker, form: Form::Signature, data });
        if let Some(call) = call {
            // It proves what led to the call.
            if let Some(signature) = signature {
                self.opener.state(signature, sink);
            }
            let key = self.calls;
            self.calls += 1;
            let id = call.id.unwrap_or_else(|| self.ids.call(key));
            self.opener.call(key as u64, id, call.name, sink);
            if let Some(arguments) = call.arguments {
                self.opener.arguments(key as u64, Arguments::Object(arguments).text(), sink);
            }
            self.opener.end_call(key as u64, sink);
            return;
        }
        let kind = if is_thought { PartKind::Thought } else { PartKind::Text };
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            if !is_thought && self.opener.is_thinking() {
                self.opener.end_item(sink);
            }
            self.opener.text(kind, text, sink);
        }
        if let Some(signature) = signature {
            self.opener.state(signature, sink);
        }
    }

    fn finished(&mut self, reason: &str, sink: &mut Sink<'_>) {
        if self.end.is_some() || self.is_over {
            return;
        }
        let end = match reason {
            "STOP" => End::Completed { stop_sequence: None },
            "MAX_TOKENS" => End::Incomplete(Cause::MaxOutputTokens),
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR" => End::Incomplete(Cause::ContentFilter),
            // The model stumbled; what it had said before is an answer.
            _ if self.has_content => End::Completed { stop_sequence: None },
            _ => {
                let message = Quoted::of(&format!("the model gave no answer: {reason}"));
                let failure = Failure::ErrorUnderSuccess;
                return self.fail(Fault { message, ..Fault::found(failure, "") }, sink);
            }
        };
        self.opener.close(if matches!(end, End::Incomplete(_)) { Done::CutShort } else { Done::Whole }, sink);
        self.end = Some(end);
    }

    /// If a reason was given, else the stream was cut.
    fn end(&mut self, sink: &mut Sink<'_>) {
        if let Some(end) = self.end.take().filter(|_| !self.is_over) {
            self.is_over = true;
            sink(Event::Ended(end));
        }
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_over, true) {
            sink(Event::Ended(End::Failed(fault)));
        }
    }
}
