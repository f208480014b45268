//! A chat stream's chunks as events of the hub. A whole answer is one chunk that says everything.
//!
//! Servers that imitate OpenAI differ in much; what is tolerated stands where it is.

use super::calls::Calls;
use super::chunk::Chunk;
use crate::domain::failure::Failure;
use crate::domain::protocol::Protocol;
use crate::protocol::chat::fault;
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
        data == DONE || Chunk::read(data).is_ok()
    }

    fn event(&mut self, _: Option<&[u8]>, data: &[u8], sink: &mut Sink<'_>) {
        self.data(data, sink);
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        self.fail(fault, sink);
    }

    /// Some servers leave out the sentinel: a finish reason was the last word then.
    fn finish(&mut self, sink: &mut Sink<'_>) {
        if self.reason.is_some() {
            self.end(sink);
        }
    }
}

const DONE: &[u8] = b"[DONE]";

/// A whole answer.
pub(in crate::protocol) fn whole(body: &[u8], maker: Maker, ids: Ids, sink: &mut Sink<'_>) {
    let mut answering = Answering::new(maker, ids);
    let body = body.trim_ascii();
    match Chunk::read(body) {
        Ok(chunk) if !chunk.has_choices && !chunk.is_error => {
            let failure = Failure::Garbage("an answer without choices".into());
            answering.fail(Fault::found(failure, "the provider sent an answer without choices"), sink);
        }
        _ => answering.data(body, sink),
    }
    answering.end(sink);
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Done,
    Because(Cause),
}

#[derive(Debug)]
pub(in crate::protocol) struct Answering {
    maker: Maker,
    opener: Opener,
    calls: Calls,
    /// Text came as details, so the plain one says the same again.
    has_details: bool,
    reason: Option<Reason>,
    is_created: bool,
    is_over: bool,
}

impl Answering {
    fn new(maker: Maker, ids: Ids) -> Self {
        Self {
            maker,
            opener: Opener::default(),
            calls: Calls::new(ids),
            has_details: false,
            reason: None,
            is_created: false,
            is_over: false,
        }
    }

    fn data(&mut self, data: &[u8], sink: &mut Sink<'_>) {
        if self.is_over {
            return;
        }
        if data == DONE {
            return self.end(sink);
        }
        match Chunk::read(data) {
            Ok(chunk) if chunk.is_error => self.fail(fault::decode(data), sink),
            Ok(chunk) => self.chunk(chunk, sink),
            Err(_) => self.fail(unreadable(), sink),
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_created, true) {
            sink(Event::Created { model: chunk.model });
        }
        let delta = chunk.delta;
        self.details(&delta.details, sink);
        if let Some(thought) = delta.thought.filter(|_| !self.has_details) {
            self.opener.text(PartKind::Thought, thought, sink);
        }
        if delta.content.as_ref().is_some_and(|text| !text.is_empty()) || !chunk.logprobs.is_empty() {
            self.end_thought(sink);
            let text = delta.content.unwrap_or_default();
            self.opener.text_with(PartKind::Text, text, chunk.logprobs, sink);
        }
        for citation in delta.citations {
            self.end_thought(sink);
            self.opener.citation(citation, sink);
        }
        if let Some(refusal) = delta.refusal.filter(|refusal| !refusal.is_empty()) {
            self.end_thought(sink);
            self.opener.text(PartKind::Refusal, refusal, sink);
        }
        for call in delta.calls {
            self.end_thought(sink);
            let maker = self.maker;
            self.calls.delta(call, &mut self.opener, &|state| opaque(maker, Form::Signature, state), sink);
        }
        if let Some(usage) = chunk.usage {
            sink(Event::Usage(usage));
        }
        if let Some(reason) = chunk.finish_reason {
            self.finished(&reason, sink);
        }
    }

    fn details(&mut self, details: &[crate::protocol::chat::request::thought::Detail<'_>], sink: &mut Sink<'_>) {
        for detail in details {
            for (kind, text) in [(PartKind::Thought, &detail.text), (PartKind::Summary, &detail.summary)] {
                if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                    self.has_details = true;
                    self.opener.text(kind, text.borrowed(), sink);
                }
            }
            if let Some((form, state)) = detail.state() {
                self.opener.state(opaque(self.maker, form, state), sink);
            }
        }
    }

    /// Whoever thinks in the open gets his thought back as it was; an empty state says whose it is.
    fn end_thought(&mut self, sink: &mut Sink<'_>) {
        if self.opener.is_thinking() {
            self.opener.state(opaque(self.maker, Form::Signature, Quoted::default()), sink);
        }
    }

    /// All was said but what it used.
    fn finished(&mut self, reason: &Quoted<'_>, sink: &mut Sink<'_>) {
        let reason = match &*reason.decode() {
            "length" => Reason::Because(Cause::MaxOutputTokens),
            "content_filter" => Reason::Because(Cause::ContentFilter),
            "error" => {
                return self.fail(Fault::found(Failure::ErrorUnderSuccess, "the provider failed in its answer"), sink);
            }
            // `stop`, `tool_calls`, and whatever else a server calls a good end: the items say whether tools are called.
            _ => Reason::Done,
        };
        if self.reason.is_none() {
            self.close(if reason == Reason::Done { Done::Whole } else { Done::CutShort }, sink);
            self.reason = Some(reason);
        }
    }

    fn close(&mut self, done: Done, sink: &mut Sink<'_>) {
        self.end_thought(sink);
        self.calls.finish(&mut self.opener, sink);
        self.opener.close(done, sink);
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if !std::mem::replace(&mut self.is_created, true) {
            sink(Event::Created { model: None });
        }
        self.close(Done::Whole, sink);
        sink(Event::Ended(match self.reason {
            Some(Reason::Because(cause)) => End::Incomplete(cause),
            Some(Reason::Done) | None => End::Completed { stop_sequence: None },
        }));
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_over, true) {
            sink(Event::Ended(End::Failed(fault)));
        }
    }
}

fn opaque(maker: Maker, form: Form, data: Quoted<'_>) -> Opaque<'_> {
    Opaque { protocol: Protocol::Chat, maker, form, data }
}
