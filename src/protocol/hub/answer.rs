//! A whole answer: the fold of its events. The only thing here that grows with an answer, and only where a whole one is
//! wanted or a protocol repeats at the end what it said before.

use super::arguments::Arguments;
use super::event::{End, Event, ItemKind, PartKind, Place};
use super::item::{Content, Item, Message, Part, Reasoning, Role, Text, ToolCall};
use super::text::Quoted;
use crate::domain::usage::Usage;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// As the provider names it.
    pub model: Option<Quoted<'static>>,
    pub items: Vec<Item<'static>>,
    pub usage: Option<Usage>,
    pub end: Option<End<'static>>,
}

impl Answer {
    /// Takes the next event. One that breaks the order of events is left out, never a panic.
    pub fn fold(&mut self, event: &Event<'_>) {
        match event {
            Event::Created { model } => self.model = model.clone().map(Quoted::into_owned),
            Event::ItemAdded { kind, .. } => self.items.push(begun(kind)),
            Event::PartAdded(place) => self.add_part(*place),
            Event::Delta { at, text, logprobs } => {
                if let Some(whole) = self.text_at(*at) {
                    whole.push(text);
                }
                if let Some(part) = self.part_at(*at).filter(|_| !logprobs.is_empty()) {
                    part.logprobs.extend(logprobs.iter().map(|one| one.clone().into_owned()));
                }
            }
            Event::Cited { at, citation } => {
                if let Some(part) = self.part_at(*at) {
                    part.citations.push(citation.clone().into_owned());
                }
            }
            Event::Arguments { item, text } => {
                if let Some(Item::Call(ToolCall { arguments: Arguments::Text(whole), .. })) = self.items.get_mut(*item)
                {
                    whole.push(text);
                }
            }
            Event::State { item, state } => {
                if let Some(Item::Reasoning(reasoning)) = self.items.get_mut(*item) {
                    reasoning.state = Some(state.clone().into_owned());
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ended(end) => self.end = Some(end.clone().into_owned()),
            Event::PartDone(_) | Event::ItemDone { .. } => {}
        }
    }

    /// The text of a message's part, with what stands beside it.
    pub fn text(&self, place: Place) -> Option<&Text<'static>> {
        let Item::Message(message) = self.items.get(place.item)? else { return None };
        match &message.content.get(place.part)?.content {
            Content::Text(text) => Some(text),
            Content::Refusal(_) | Content::Media(_) => None,
        }
    }

    fn add_part(&mut self, place: Place) {
        match (self.items.get_mut(place.item), place.kind) {
            (Some(Item::Message(message)), PartKind::Text) => message.content.push(Part::text(Quoted::default())),
            (Some(Item::Message(message)), PartKind::Refusal) => {
                message.content.push(Content::Refusal(Quoted::default()).into());
            }
            (Some(Item::Reasoning(reasoning)), PartKind::Summary) => reasoning.summary.push(Quoted::default()),
            (Some(Item::Reasoning(reasoning)), PartKind::Thought) => reasoning.content.push(Quoted::default()),
            _ => {}
        }
    }

    fn part_at(&mut self, place: Place) -> Option<&mut Text<'static>> {
        let Item::Message(message) = self.items.get_mut(place.item)? else { return None };
        match &mut message.content.get_mut(place.part)?.content {
            Content::Text(text) => Some(text),
            Content::Refusal(_) | Content::Media(_) => None,
        }
    }

    fn text_at(&mut self, place: Place) -> Option<&mut Quoted<'static>> {
        match (self.items.get_mut(place.item)?, place.kind) {
            (Item::Message(message), _) => match &mut message.content.get_mut(place.part)?.content {
                Content::Text(text) => Some(&mut text.text),
                Content::Refusal(refusal) => Some(refusal),
                Content::Media(_) => None,
            },
            (Item::Reasoning(reasoning), PartKind::Summary) => reasoning.summary.get_mut(place.part),
            (Item::Reasoning(reasoning), _) => reasoning.content.get_mut(place.part),
            (Item::Call(_) | Item::Result(_), _) => None,
        }
    }
}

fn begun(kind: &ItemKind<'_>) -> Item<'static> {
    match kind {
        ItemKind::Message => Item::Message(Message { role: Role::Assistant, content: Vec::new() }),
        ItemKind::Reasoning => Item::Reasoning(Reasoning::default()),
        ItemKind::Call { call_id, name } => Item::Call(ToolCall {
            call_id: call_id.clone().into_owned(),
            name: name.clone().into_owned(),
            ..ToolCall::default()
        }),
    }
}
