//! A Responses stream as events of the hub. A whole response is its output, item by item.

use std::borrow::Cow;

use super::said::{Item, Response, Said};
use crate::domain::protocol::Protocol;
use crate::protocol::chat::fault;
use crate::protocol::hub::event::{Cause, Done, End, Event, Fault, PartKind, Sink};
use crate::protocol::hub::frames::{self, unreadable};
use crate::protocol::hub::opaque::{Form, Maker, Opaque};
use crate::protocol::hub::opener::Opener;
use crate::protocol::hub::text::Quoted;

/// Of a stream.
pub(in crate::protocol) type Decoder = frames::Decoder<Answering>;

pub(in crate::protocol) fn decoder(maker: Maker) -> Decoder {
    Decoder::of(Answering::new(maker))
}

impl frames::Answering for Answering {
    fn is_readable(data: &[u8]) -> bool {
        Said::read(data).is_ok()
    }

    fn event(&mut self, name: Option<&[u8]>, data: &[u8], sink: &mut Sink<'_>) {
        self.data(name, data, sink);
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        self.fail(fault, sink);
    }
}

/// A whole answer.
pub(in crate::protocol) fn whole(body: &[u8], maker: Maker, sink: &mut Sink<'_>) {
    let mut answering = Answering::new(maker);
    match Response::read(body.trim_ascii()) {
        Ok(response) if response.status.is_some() || response.has_output => {
            answering.created(response.model.clone(), sink);
            answering.ended(&response, body, sink);
        }
        // An error object under a status of success.
        Ok(_) => answering.fail(fault::decode(body), sink),
        Err(_) => answering.fail(unreadable(), sink),
    }
}

#[derive(Debug)]
pub(in crate::protocol) struct Answering {
    maker: Maker,
    opener: Opener,
    /// Text of the open part, or a part of the open item, came already: what says it again is passed over.
    part_is_told: bool,
    item_is_told: bool,
    /// Places of calls whose arguments came.
    told_calls: Vec<u64>,
    has_items: bool,
    is_created: bool,
    is_over: bool,
}

impl Answering {
    fn new(maker: Maker) -> Self {
        Self {
            maker,
            opener: Opener::default(),
            part_is_told: false,
            item_is_told: false,
            told_calls: Vec::new(),
            has_items: false,
            is_created: false,
            is_over: false,
        }
    }

    fn data(&mut self, name: Option<&[u8]>, data: &[u8], sink: &mut Sink<'_>) {
        // Some end with the sentinel of chat.
        if self.is_over || data == b"[DONE]" {
            return;
        }
        match Said::read(data) {
            Ok(said) => {
                let kind = name.map_or_else(|| said.kind.decode(), String::from_utf8_lossy).into_owned();
                self.event(&kind, said, data, sink);
            }
            Err(_) => self.fail(unreadable(), sink),
        }
    }

    fn event(&mut self, kind: &str, said: Said<'_>, data: &[u8], sink: &mut Sink<'_>) {
        let delta = said.delta;
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.created(said.response.and_then(|response| response.model), sink);
            }
            "response.output_item.added" => self.item_added(said.item.unwrap_or_default(), said.output_index, sink),
            "response.output_item.done" => self.item_done(said.item.unwrap_or_default(), said.output_index, sink),
            "response.output_text.delta" => {
                self.told();
                self.opener.text_with(PartKind::Text, delta, said.logprobs, sink);
            }
            "response.refusal.delta" => self.text(PartKind::Refusal, delta, sink),
            "response.reasoning_summary_text.delta" => self.text(PartKind::Summary, delta, sink),
            // OpenAI's name for it and that of Open Responses.
            "response.reasoning_text.delta" | "response.reasoning.delta" => self.text(PartKind::Thought, delta, sink),
            "response.output_text.done" => self.text_once(PartKind::Text, said.text, sink),
            "response.refusal.done" => self.text_once(PartKind::Refusal, said.text, sink),
            "response.reasoning_summary_text.done" => self.text_once(PartKind::Summary, said.text, sink),
            "response.reasoning_text.done" | "response.reasoning.done" => {
                self.text_once(PartKind::Thought, said.text, sink);
            }
            "response.output_text.annotation.added" => {
                if let Some(citation) = said.citation {
                    self.opener.citation(citation, sink);
                }
            }
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                self.part_is_told = false;
                self.opener.end_part(sink);
            }
            "response.function_call_arguments.delta" => self.arguments(said.output_index, delta, sink),
            "response.function_call_arguments.done" if !self.told_calls.contains(&said.output_index) => {
                self.arguments(said.output_index, said.arguments, sink);
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.ended(&said.response.unwrap_or_default(), data, sink);
            }
            "error" => self.fail(fault::decode(data), sink),
            // What a provider does by itself, and what is yet to be invented, is nothing to another protocol's client.
            _ => {}
        }
    }

    fn created(&mut self, model: Option<Quoted<'_>>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_created, true) {
            sink(Event::Created { model });
        }
    }

    fn told(&mut self) {
        (self.part_is_told, self.item_is_told) = (true, true);
    }

    fn text(&mut self, kind: PartKind, text: Quoted<'_>, sink: &mut Sink<'_>) {
        self.told();
        self.opener.text(kind, text, sink);
    }

    /// The whole text of a part, of which some servers send no deltas.
    fn text_once(&mut self, kind: PartKind, text: Quoted<'_>, sink: &mut Sink<'_>) {
        if !self.part_is_told {
            self.text(kind, text, sink);
        }
    }

    fn arguments(&mut self, index: u64, text: Quoted<'_>, sink: &mut Sink<'_>) {
        if !text.is_empty() && !self.told_calls.contains(&index) {
            self.told_calls.push(index);
        }
        self.opener.arguments(index, text, sink);
    }

    fn item_added(&mut self, item: Item<'_>, index: u64, sink: &mut Sink<'_>) {
        self.created(None, sink);
        self.has_items = true;
        (self.part_is_told, self.item_is_told) = (false, false);
        if item.is_call() && !self.opener.has_call(index) {
            self.opener.call(index, item.call_id, item.name, sink);
        }
    }

    /// What of the item was not told by deltas, its state, and its end.
    fn item_done(&mut self, item: Item<'_>, index: u64, sink: &mut Sink<'_>) {
        if item.is_call() {
            if !self.opener.has_call(index) {
                self.item_added(item.clone(), index, sink);
            }
            if !self.told_calls.contains(&index) {
                self.arguments(index, item.arguments, sink);
            }
            // One that was cut short stays open for the end to say so.
            if item.status.is("incomplete") {
                return;
            }
            return self.opener.end_call(index, sink);
        }
        if !self.item_is_told {
            self.has_items = true;
            self.parts(&item, sink);
        }
        match item.state.filter(|state| !state.is_empty()) {
            Some(data) => {
                let state = Opaque { protocol: Protocol::Responses, maker: self.maker, form: Form::Encrypted, data };
                self.opener.state(state, sink);
            }
            None if item.status.is("incomplete") => {}
            None => self.opener.end_item(sink),
        }
        (self.part_is_told, self.item_is_told) = (false, false);
    }

    fn parts(&mut self, item: &Item<'_>, sink: &mut Sink<'_>) {
        for summary in &item.summary {
            self.opener.text(PartKind::Summary, summary.borrowed(), sink);
            self.opener.end_part(sink);
        }
        for part in &item.content {
            self.opener.text_with(part.kind, part.text.borrowed(), part.logprobs.clone(), sink);
            part.citations.iter().for_each(|citation| self.opener.citation(citation.clone(), sink));
            self.opener.end_part(sink);
        }
    }

    fn ended(&mut self, response: &Response<'_>, data: &[u8], sink: &mut Sink<'_>) {
        self.created(response.model.clone(), sink);
        // A server that streams nothing but its end.
        if !self.has_items {
            for (index, item) in response.output.iter().enumerate() {
                (self.part_is_told, self.item_is_told) = (false, false);
                self.item_done(item.clone(), index as u64, sink);
            }
        }
        if let Some(usage) = response.usage {
            sink(Event::Usage(usage));
        }
        let status = response.status.as_ref().map(Quoted::decode).unwrap_or(Cow::Borrowed("completed"));
        match &*status {
            "failed" | "cancelled" => self.fail(fault::decode(data), sink),
            "incomplete" => self.end(Done::CutShort, End::Incomplete(response.cause()), sink),
            _ => self.end(Done::Whole, End::Completed { stop_sequence: None }, sink),
        }
    }

    fn end(&mut self, done: Done, end: End<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.opener.close(done, sink);
            sink(Event::Ended(end));
        }
    }

    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.is_over, true) {
            sink(Event::Ended(End::Failed(fault)));
        }
    }
}

impl Response<'_> {
    fn cause(&self) -> Cause {
        match &self.reason {
            Some(reason) if reason.is("content_filter") => Cause::ContentFilter,
            _ => Cause::MaxOutputTokens,
        }
    }
}
