//! Events of the hub as those of Open Responses: numbered without a gap, each part and item repeated whole at its end,
//! and the whole response at the end of all.
//!
//! What repeats rests on the fold, so this is the one encoder that holds the answer.

use super::object::{self, Status};
use crate::domain::failure::Failure;
use crate::protocol::chat::fault;
use crate::protocol::hub::about::About;
use crate::protocol::hub::answer::Answer;
use crate::protocol::hub::event::{Done, End, Event, Fault, PartKind, Place};
use crate::protocol::hub::item::{Citation, Content, Item};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::responses::request::Asked;

#[derive(Debug)]
pub(in crate::protocol) struct Encoder {
    about: About,
    asked: Asked,
    /// Events written so far, which is the next one's number.
    written: u64,
    answer: Answer,
    /// Of each item, its id and how it stands.
    items: Vec<(Quoted<'static>, Status)>,
}

impl Encoder {
    pub(in crate::protocol) fn new(about: About, asked: Asked) -> Self {
        Self { about, asked, written: 0, answer: Answer::default(), items: Vec::new() }
    }

    pub(in crate::protocol) fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.answer.fold(event);
        match event {
            Event::Created { .. } => {
                self.lifecycle("response.created", Status::InProgress, out);
                self.lifecycle("response.in_progress", Status::InProgress, out);
            }
            Event::ItemAdded { item, .. } => {
                let id = self.answer.items.get(*item).map(|added| object::item_id(self.about.ids, *item, added));
                self.items.push((id.unwrap_or_default(), Status::InProgress));
                self.whole_item("response.output_item.added", *item, out);
            }
            Event::PartAdded(place) => self.part("added", *place, out),
            Event::Delta { at, text, logprobs } => self.delta(*at, text, logprobs, out),
            Event::Cited { at, citation } => self.cited(*at, citation, out),
            Event::PartDone(place) => {
                self.text_done(*place, out);
                self.part("done", *place, out);
            }
            Event::Arguments { item, text } => {
                self.write("response.function_call_arguments.delta", out, |encoder, out| {
                    encoder.at_item(*item, out);
                    out.member("delta", text);
                });
            }
            // It is in the item, when that is done.
            Event::State { .. } | Event::Usage(_) => {}
            Event::ItemDone { item, done } => self.item_done(*item, *done, out),
            Event::Ended(end) => self.end(end, out),
        }
    }

    /// An event with its number.
    fn write(&mut self, kind: &'static str, out: &mut Vec<u8>, inside: impl FnOnce(&Self, &mut Vec<u8>)) {
        let number = self.written;
        self.written += 1;
        out.event(Some(kind), |out| {
            out.object(|out| {
                out.member("type", kind).member("sequence_number", number);
                inside(self, out);
            });
        });
    }

    fn lifecycle(&mut self, kind: &'static str, status: Status, out: &mut Vec<u8>) {
        self.write(kind, out, |encoder, out| {
            out.key("response");
            object::response(&encoder.answer, &encoder.about, &encoder.asked, status, &encoder.items, out);
        });
    }

    fn at_item(&self, item: usize, out: &mut Vec<u8>) {
        out.maybe("item_id", self.items.get(item).map(|(id, _)| id)).member("output_index", item);
    }

    /// Where a part is. Thoughts count on from the summaries, for they are told as such.
    fn at(&self, place: Place, out: &mut Vec<u8>) {
        self.at_item(place.item, out);
        match place.kind {
            PartKind::Text | PartKind::Refusal => out.member("content_index", place.part),
            PartKind::Summary => out.member("summary_index", place.part),
            PartKind::Thought => out.member("summary_index", place.part + self.summaries(place.item)),
        };
    }

    fn summaries(&self, item: usize) -> usize {
        match self.answer.items.get(item) {
            Some(Item::Reasoning(reasoning)) => reasoning.summary.len(),
            _ => 0,
        }
    }

    fn whole_item(&mut self, kind: &'static str, item: usize, out: &mut Vec<u8>) {
        self.write(kind, out, |encoder, out| {
            out.member("output_index", item).key("item");
            if let (Some(whole), Some((id, status))) = (encoder.answer.items.get(item), encoder.items.get(item)) {
                object::item(whole, id, *status, out);
            }
        });
    }

    fn part(&mut self, when: &'static str, place: Place, out: &mut Vec<u8>) {
        let kind = match (place.kind, when) {
            (PartKind::Text | PartKind::Refusal, "added") => "response.content_part.added",
            (PartKind::Text | PartKind::Refusal, _) => "response.content_part.done",
            (PartKind::Summary | PartKind::Thought, "added") => "response.reasoning_summary_part.added",
            (PartKind::Summary | PartKind::Thought, _) => "response.reasoning_summary_part.done",
        };
        self.write(kind, out, |encoder, out| {
            encoder.at(place, out);
            out.key("part");
            encoder.whole_part(place, out);
        });
    }

    fn whole_part(&self, place: Place, out: &mut Vec<u8>) {
        match self.answer.items.get(place.item) {
            Some(Item::Message(message)) => {
                if let Some(part) = message.content.get(place.part) {
                    object::part(part, out);
                }
            }
            _ => {
                object::summary(&self.text(place), out);
            }
        }
    }

    fn text(&self, place: Place) -> Quoted<'_> {
        let text = match (self.answer.items.get(place.item), place.kind) {
            (Some(Item::Message(message)), _) => message.content.get(place.part).and_then(|part| match &part.content {
                Content::Text(text) => Some(&text.text),
                Content::Refusal(refusal) => Some(refusal),
                Content::Media(_) => None,
            }),
            (Some(Item::Reasoning(reasoning)), PartKind::Summary) => reasoning.summary.get(place.part),
            (Some(Item::Reasoning(reasoning)), _) => reasoning.content.get(place.part),
            _ => None,
        };
        text.map(Quoted::borrowed).unwrap_or_default()
    }

    fn delta(&mut self, at: Place, text: &Quoted<'_>, logprobs: &[Json<'_>], out: &mut Vec<u8>) {
        let kind = match at.kind {
            PartKind::Text => "response.output_text.delta",
            PartKind::Refusal => "response.refusal.delta",
            PartKind::Summary | PartKind::Thought => "response.reasoning_summary_text.delta",
        };
        self.write(kind, out, |encoder, out| {
            encoder.at(at, out);
            out.member("delta", text);
            if at.kind == PartKind::Text {
                object::logprobs(logprobs, out);
            }
        });
    }

    fn text_done(&mut self, place: Place, out: &mut Vec<u8>) {
        let (kind, name) = match place.kind {
            PartKind::Text => ("response.output_text.done", "text"),
            PartKind::Refusal => ("response.refusal.done", "refusal"),
            PartKind::Summary | PartKind::Thought => ("response.reasoning_summary_text.done", "text"),
        };
        self.write(kind, out, |encoder, out| {
            encoder.at(place, out);
            out.member(name, encoder.text(place));
            if let Some(text) = encoder.answer.text(place) {
                object::logprobs(&text.logprobs, out);
            }
        });
    }

    fn cited(&mut self, at: Place, citation: &Citation<'_>, out: &mut Vec<u8>) {
        self.write("response.output_text.annotation.added", out, |encoder, out| {
            encoder.at(at, out);
            let number = encoder.answer.text(at).map_or(0, |text| text.citations.len().saturating_sub(1));
            out.member("annotation_index", number).key("annotation");
            object::annotation(citation, out);
        });
    }

    fn item_done(&mut self, item: usize, done: Done, out: &mut Vec<u8>) {
        let status = if done == Done::Whole { Status::Completed } else { Status::Incomplete };
        if let Some((_, standing)) = self.items.get_mut(item) {
            *standing = status;
        }
        // Arguments that were cut short are nothing to act upon.
        if matches!(self.answer.items.get(item), Some(Item::Call(_))) && done == Done::Whole {
            self.write("response.function_call_arguments.done", out, |encoder, out| {
                encoder.at_item(item, out);
                if let Some(Item::Call(call)) = encoder.answer.items.get(item) {
                    out.member("name", &call.name).member("arguments", call.arguments.text());
                }
            });
        }
        self.whole_item("response.output_item.done", item, out);
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<u8>) {
        match end {
            End::Completed { .. } => self.lifecycle("response.completed", Status::Completed, out),
            End::Incomplete(_) => self.lifecycle("response.incomplete", Status::Incomplete, out),
            End::Failed(fault) => {
                self.error(fault, out);
                // What was begun will not be finished.
                let open = self.items.iter_mut().filter(|(_, status)| *status == Status::InProgress);
                open.for_each(|(_, status)| *status = Status::Incomplete);
                self.lifecycle("response.failed", Status::Failed, out);
            }
        }
        // A stream that was cut has no end, and must not look as if it had.
        if !matches!(end, End::Failed(Fault { failure: Failure::BrokeOff, .. })) {
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
    }

    /// OpenAI's error event is flat, that of Open Responses has an object; this one is both.
    fn error(&mut self, fault: &Fault<'_>, out: &mut Vec<u8>) {
        self.write("error", out, |_, out| {
            out.member("code", fault.openai_code()).member("message", &fault.message);
            out.key("param");
            match &fault.param {
                Some(param) => out.value(param),
                None => out.value(Raw(b"null")),
            };
            out.key("error");
            fault::encode(fault, out);
        });
    }
}
