//! A Converse stream's frames, and a whole answer, as events of the hub.

mod said;

use said::{Answer, Block, Said};

use super::fault;
use super::frame::{Frame, Frames};
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::event::{Cause, Done, End, Event, Fault, PartKind, Sink};
use crate::protocol::hub::frames::{too_large, unreadable};
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::opaque::{Form, Maker, Opaque};
use crate::protocol::hub::opener::Opener;
use crate::protocol::hub::text::Quoted;

#[derive(Debug)]
pub(in crate::protocol) struct Decoder {
    frames: Frames,
    answering: Answering,
}

impl Decoder {
    pub(in crate::protocol) fn new(maker: Maker, ids: Ids) -> Self {
        Self { frames: Frames::default(), answering: Answering::new(maker, ids) }
    }

    pub(in crate::protocol) fn push(&mut self, read: &[u8], sink: &mut Sink<'_>) {
        let Self { frames, answering } = self;
        frames.push(read, |frame| match frame {
            Frame::Event { kind, payload } => answering.event(kind, payload, sink),
            Frame::Exception { kind, payload } => {
                let kind = String::from_utf8_lossy(kind);
                answering.fail(fault::decode(Some(&kind), payload), sink);
            }
            Frame::TooLarge => answering.fail(too_large(), sink),
            Frame::Broken => {
                let failure = Failure::Garbage("a frame whose sum is wrong".into());
                answering.fail(Fault::found(failure, "the provider sent a frame whose sum is wrong"), sink);
            }
        });
    }

    /// The end of the bytes. What was used comes behind the last word, and may be missing.
    pub(in crate::protocol) fn finish(&mut self, sink: &mut Sink<'_>) {
        if self.answering.end.is_some() {
            self.answering.end(sink);
        }
    }
}

/// A whole answer.
pub(in crate::protocol) fn whole(body: &[u8], maker: Maker, ids: Ids, sink: &mut Sink<'_>) {
    let mut answering = Answering::new(maker, ids);
    match Answer::read(body.trim_ascii()) {
        Ok(Answer { content: Some(blocks), reason, usage }) => {
            answering.created(sink);
            for (index, block) in blocks.into_iter().enumerate() {
                answering.block(index as u64, block, sink);
                answering.ended(index as u64, sink);
            }
            usage.into_iter().for_each(|usage| sink(Event::Usage(usage)));
            answering.stopped(&reason.unwrap_or_default(), sink);
            answering.end(sink);
        }
        // An error object under a status of success.
        Ok(_) => answering.fail(fault::decode(None, body), sink),
        Err(_) => answering.fail(unreadable(), sink),
    }
}

#[derive(Debug)]
struct Answering {
    maker: Maker,
    ids: Ids,
    opener: Opener,
    /// A call that is over, or was cut short: what comes next tells.
    last_call: Option<u64>,
    end: Option<End<'static>>,
    is_created: bool,
    is_over: bool,
}

impl Answering {
    fn new(maker: Maker, ids: Ids) -> Self {
        Self { maker, ids, opener: Opener::default(), last_call: None, end: None, is_created: false, is_over: false }
    }

    fn event(&mut self, kind: &[u8], payload: &[u8], sink: &mut Sink<'_>) {
        if self.is_over {
            return;
        }
        let Ok(said) = Said::read(payload) else { return self.fail(unreadable(), sink) };
        match kind {
            b"messageStart" => self.created(sink),
            b"contentBlockStart" | b"contentBlockDelta" => {
                self.created(sink);
                self.block(said.index, said.block, sink);
            }
            b"contentBlockStop" => self.ended(said.index, sink),
            b"messageStop" => self.stopped(&said.reason.unwrap_or_default(), sink),
            b"metadata" => {
                said.usage.into_iter().for_each(|usage| sink(Event::Usage(usage)));
                if self.end.is_some() {
                    self.end(sink);
                }
            }
            // What is yet to be invented.
            _ => {}
        }
    }

    fn created(&mut self, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_created, true) {
            sink(Event::Created { model: None });
        }
    }

    /// What begins a block, goes on with one, or is all of one.
    fn block(&mut self, index: u64, block: Block<'_>, sink: &mut Sink<'_>) {
        let Block { text, call, arguments, input, thought, signature, redacted } = block;
        if let Some((id, name)) = call {
            self.end_call(sink);
            let id = Some(id).filter(|id| !id.is_empty()).unwrap_or_else(|| self.ids.call(index as usize));
            self.opener.call(index, id, name, sink);
        }
        if let Some(input) = input {
            self.opener.arguments(index, Arguments::Object(input).text(), sink);
        }
        self.opener.arguments(index, arguments, sink);
        if !thought.is_empty() || !signature.is_empty() || !redacted.is_empty() || !text.is_empty() {
            self.end_call(sink);
        }
        self.opener.text(PartKind::Thought, thought, sink);
        for (form, data) in [(Form::Signature, signature), (Form::Encrypted, redacted)] {
            if !data.is_empty() {
                self.opener.state(Opaque { protocol: Protocol::Bedrock, maker: self.maker, form, data }, sink);
            }
        }
        self.opener.text(PartKind::Text, text, sink);
    }

    fn end_call(&mut self, sink: &mut Sink<'_>) {
        if let Some(call) = self.last_call.take() {
            self.opener.end_call(call, sink);
        }
    }

    fn ended(&mut self, index: u64, sink: &mut Sink<'_>) {
        if self.opener.has_call(index) {
            self.last_call = Some(index);
        } else if self.opener.is_thinking() {
            self.opener.end_item(sink);
        } else {
            self.opener.end_part(sink);
        }
    }

    fn stopped(&mut self, reason: &Quoted<'_>, sink: &mut Sink<'_>) {
        if self.end.is_some() || self.is_over {
            return;
        }
        let end = match &*reason.decode() {
            "max_tokens" => End::Incomplete(Cause::MaxOutputTokens),
            "model_context_window_exceeded" => End::Incomplete(Cause::ContextWindow),
            "guardrail_intervened" | "content_filtered" => End::Incomplete(Cause::ContentFilter),
            "malformed_model_output" | "malformed_tool_use" => {
                let failure = Failure::ErrorUnderSuccess;
                return self.fail(Fault::found(failure, "the model's answer was malformed"), sink);
            }
            // `end_turn`, `tool_use`, `stop_sequence`, which it does not name.
            _ => End::Completed { stop_sequence: None },
        };
        self.created(sink);
        self.opener.close(if matches!(end, End::Incomplete(_)) { Done::CutShort } else { Done::Whole }, sink);
        self.end = Some(end);
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_over, true) {
            sink(Event::Ended(self.end.take().unwrap_or(End::Completed { stop_sequence: None })));
        }
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_over, true) {
            sink(Event::Ended(End::Failed(fault)));
        }
    }
}
