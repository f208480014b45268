//! A Messages stream as events of the hub. A whole message is its blocks, one by one.

use super::said::{Block, Message, Said, Stop};
use crate::domain::protocol::Protocol;
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::event::{Cause, Done, End, Event, Fault, PartKind, Sink};
use crate::protocol::hub::frames::{self, unreadable};
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::opaque::{Form, Maker, Opaque};
use crate::protocol::hub::opener::Opener;
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::messages::fault;
use crate::protocol::messages::usage::Counts;

/// Of a stream.
pub(in crate::protocol) type Decoder = frames::Decoder<Answering>;

pub(in crate::protocol) fn decoder(maker: Maker, ids: Ids) -> Decoder {
    Decoder::of(Answering::new(maker, ids))
}

impl frames::Answering for Answering {
    fn is_readable(data: &[u8]) -> bool {
        Said::read(data).is_ok()
    }

    fn event(&mut self, _: Option<&[u8]>, data: &[u8], sink: &mut Sink<'_>) {
        self.data(data, sink);
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        self.fail(fault, sink);
    }
}

/// A whole answer.
pub(in crate::protocol) fn whole(body: &[u8], maker: Maker, ids: Ids, sink: &mut Sink<'_>) {
    let mut answering = Answering::new(maker, ids);
    match Message::whole(body.trim_ascii()) {
        Ok(Message { content: Some(blocks), model, stop, usage }) => {
            answering.created(model, sink);
            for (index, block) in blocks.into_iter().enumerate() {
                answering.began(index as u64, &block, sink);
                answering.told(index as u64, block, sink);
                answering.ended(index as u64, sink);
            }
            answering.used(usage, sink);
            answering.stopped(&stop, sink);
            answering.end(sink);
        }
        // An error object under a status of success.
        Ok(_) => answering.fail(fault::decode(body), sink),
        Err(_) => answering.fail(unreadable(), sink),
    }
}

#[derive(Debug)]
pub(in crate::protocol) struct Answering {
    maker: Maker,
    ids: Ids,
    opener: Opener,
    open: Open,
    /// A call that is over, or was cut short: what comes next tells.
    last_call: Option<u64>,
    counts: Counts,
    end: Option<End<'static>>,
    is_created: bool,
    is_over: bool,
}

/// The block that is open; there is never more than one.
#[derive(Debug, PartialEq, Eq)]
enum Open {
    /// Or one that is of no use to other protocols' clients.
    None,
    Text,
    Thought,
    /// Its input where the block began with all of it, until a delta says it again.
    Call(Option<Json<'static>>),
}

impl Answering {
    fn new(maker: Maker, ids: Ids) -> Self {
        Self {
            maker,
            ids,
            opener: Opener::default(),
            open: Open::None,
            last_call: None,
            counts: Counts::default(),
            end: None,
            is_created: false,
            is_over: false,
        }
    }

    fn data(&mut self, data: &[u8], sink: &mut Sink<'_>) {
        if self.is_over {
            return;
        }
        match Said::read(data) {
            Ok(said) => self.event(said, data, sink),
            Err(_) => self.fail(unreadable(), sink),
        }
    }

    fn event(&mut self, said: Said<'_>, data: &[u8], sink: &mut Sink<'_>) {
        match &*said.kind.decode() {
            "message_start" => {
                self.created(said.message.model, sink);
                self.used(said.message.usage, sink);
            }
            "content_block_start" => {
                self.began(said.index, &said.block, sink);
                // Mostly nothing; some servers begin with all of it.
                self.told(said.index, said.block, sink);
            }
            "content_block_delta" => self.told(said.index, said.delta, sink),
            "content_block_stop" => self.ended(said.index, sink),
            "message_delta" => {
                self.used(said.usage, sink);
                self.stopped(&said.delta.stop, sink);
            }
            "message_stop" => self.end(sink),
            "error" => self.fail(fault::decode(data), sink),
            // `ping`, and what is yet to be invented.
            _ => {}
        }
    }

    fn created(&mut self, model: Option<Quoted<'_>>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_created, true) {
            sink(Event::Created { model });
        }
    }

    fn used(&mut self, newer: Option<Counts>, sink: &mut Sink<'_>) {
        if let Some(newer) = newer {
            self.counts.update(newer);
            self.counts.buckets().into_iter().for_each(|usage| sink(Event::Usage(usage)));
        }
    }

    fn began(&mut self, index: u64, block: &Block<'_>, sink: &mut Sink<'_>) {
        self.created(None, sink);
        if let Some(call) = self.last_call.take() {
            self.opener.end_call(call, sink);
        }
        self.open = match &*block.kind.decode() {
            "text" => Open::Text,
            "thinking" => {
                self.opener.end_item(sink);
                Open::Thought
            }
            "redacted_thinking" => {
                self.opener.end_item(sink);
                self.opener.state(self.opaque(Form::Encrypted, block.data.borrowed()), sink);
                Open::None
            }
            "tool_use" => {
                let id = Some(block.id.borrowed()).filter(|id| !id.is_empty());
                let id = id.unwrap_or_else(|| self.ids.call(index as usize));
                self.opener.call(index, id, block.name.borrowed(), sink);
                Open::Call(block.input.clone().map(Json::into_owned))
            }
            // What the provider does by itself.
            _ => Open::None,
        };
    }

    /// What a delta says, or a block that came with it.
    fn told(&mut self, index: u64, block: Block<'_>, sink: &mut Sink<'_>) {
        match &mut self.open {
            Open::None => {}
            Open::Text => {
                self.opener.text(PartKind::Text, block.text, sink);
                for citation in block.citations {
                    self.opener.citation(citation, sink);
                }
            }
            Open::Thought => {
                self.opener.text(PartKind::Thought, block.text, sink);
                if !block.signature.is_empty() {
                    self.opener.state(self.opaque(Form::Signature, block.signature), sink);
                    // There is nothing behind it.
                    self.open = Open::None;
                }
            }
            Open::Call(whole) => {
                if !block.partial.is_empty() {
                    *whole = None;
                    self.opener.arguments(index, block.partial, sink);
                }
            }
        }
    }

    fn ended(&mut self, index: u64, sink: &mut Sink<'_>) {
        match std::mem::replace(&mut self.open, Open::None) {
            Open::None => {}
            // The next block may be text too, and then it is a part of the same message.
            Open::Text => self.opener.end_part(sink),
            Open::Thought => self.opener.end_item(sink),
            Open::Call(whole) => {
                if let Some(whole) = whole {
                    self.opener.arguments(index, Arguments::Object(whole).text(), sink);
                }
                self.last_call = Some(index);
            }
        }
    }

    fn stopped(&mut self, stop: &Stop<'_>, sink: &mut Sink<'_>) {
        let Some(reason) = &stop.reason else { return };
        let end = match &*reason.decode() {
            "max_tokens" => End::Incomplete(Cause::MaxOutputTokens),
            "model_context_window_exceeded" => End::Incomplete(Cause::ContextWindow),
            "refusal" => End::Incomplete(Cause::ContentFilter),
            // `end_turn`, `tool_use`, `pause_turn`, and whatever else a server calls a good end.
            _ => End::Completed { stop_sequence: stop.sequence.clone().map(Quoted::into_owned) },
        };
        if self.end.is_none() {
            let done = if matches!(end, End::Incomplete(_)) { Done::CutShort } else { Done::Whole };
            self.opener.close(done, sink);
            self.end = Some(end);
        }
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.created(None, sink);
        self.opener.close(Done::Whole, sink);
        sink(Event::Ended(self.end.take().unwrap_or(End::Completed { stop_sequence: None })));
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_over, true) {
            sink(Event::Ended(End::Failed(fault)));
        }
    }

    const fn opaque<'q>(&self, form: Form, data: Quoted<'q>) -> Opaque<'q> {
        Opaque { protocol: Protocol::Messages, maker: self.maker, form, data }
    }
}
