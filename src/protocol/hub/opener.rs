//! Opens and closes items for decoders whose protocol does not say where one begins or ends.
//!
//! Text, thoughts and calls in; well-ordered events out. A message or reasoning is closed when something else begins; a
//! call stays open until its protocol says otherwise, for the deltas of several may come interleaved.

use super::event::{Done, Event, ItemKind, PartKind, Place, Sink};
use super::item::Citation;
use super::opaque::Opaque;
use super::text::{Json, Quoted};

#[derive(Debug, Default)]
pub(in crate::protocol) struct Opener {
    /// Items given out so far.
    items: usize,
    open: Option<Open>,
    /// Half a character at the end of the open part's last text, until its other half comes.
    half: Quoted<'static>,
    calls: Vec<Call>,
}

/// The open message or reasoning.
#[derive(Clone, Copy, Debug)]
struct Open {
    item: usize,
    is_reasoning: bool,
    /// Parts of a message, or thoughts.
    parts: usize,
    summaries: usize,
    part: Option<Place>,
}

#[derive(Debug)]
struct Call {
    key: u64,
    item: usize,
    is_open: bool,
    has_arguments: bool,
    half: Quoted<'static>,
}

/// What can be told of the text now, with the half that waited for it.
fn whole<'q>(half: &mut Quoted<'static>, text: Quoted<'q>) -> Quoted<'q> {
    let text = if half.is_empty() {
        text
    } else {
        let mut whole = std::mem::take(half);
        whole.push(&text);
        whole
    };
    let (text, rest) = text.before_half();
    if !rest.is_empty() {
        *half = rest.into_owned();
    }
    text
}

impl Call {
    /// Arguments are never nothing: clients parse them.
    fn end(&mut self, done: Done, sink: &mut Sink<'_>) {
        if !self.half.is_empty() {
            sink(Event::Arguments { item: self.item, text: std::mem::take(&mut self.half) });
        }
        if !self.has_arguments && done == Done::Whole {
            sink(Event::Arguments { item: self.item, text: Quoted::plain("{}") });
        }
        self.is_open = false;
        sink(Event::ItemDone { item: self.item, done });
    }
}

impl Opener {
    /// More text of this kind. Nothing is opened for nothing.
    pub(in crate::protocol) fn text(&mut self, kind: PartKind, text: Quoted<'_>, sink: &mut Sink<'_>) {
        self.text_with(kind, text, Vec::new(), sink);
    }

    pub(in crate::protocol) fn text_with(
        &mut self,
        kind: PartKind,
        text: Quoted<'_>,
        logprobs: Vec<Json<'_>>,
        sink: &mut Sink<'_>,
    ) {
        if !text.is_empty() || !logprobs.is_empty() {
            let at = self.part(kind, sink);
            let text = whole(&mut self.half, text);
            if !text.is_empty() || !logprobs.is_empty() {
                sink(Event::Delta { at, text, logprobs });
            }
        }
    }

    /// What the text that came last rests on, or the one that begins with it.
    pub(in crate::protocol) fn citation(&mut self, citation: Citation<'_>, sink: &mut Sink<'_>) {
        let at = self.part(PartKind::Text, sink);
        sink(Event::Cited { at, citation });
    }

    /// Is reasoning open?
    pub(in crate::protocol) fn is_thinking(&self) -> bool {
        self.open.is_some_and(|open| open.is_reasoning)
    }

    /// State of the reasoning that is open, or of a reasoning item of its own that belongs to what comes next.
    pub(in crate::protocol) fn state(&mut self, state: Opaque<'_>, sink: &mut Sink<'_>) {
        let item = self.item(true, sink);
        sink(Event::State { item, state });
        self.end_item(sink);
    }

    /// A call begins. `key` is how its protocol will refer to it; the same key again is a call of its own.
    pub(in crate::protocol) fn call(&mut self, key: u64, call_id: Quoted<'_>, name: Quoted<'_>, sink: &mut Sink<'_>) {
        self.end_item(sink);
        let item = self.next_item();
        self.calls.push(Call { key, item, is_open: true, has_arguments: false, half: Quoted::default() });
        sink(Event::ItemAdded { item, kind: ItemKind::Call { call_id, name } });
    }

    /// More arguments for the call with this key; for none, if it never began.
    pub(in crate::protocol) fn arguments(&mut self, key: u64, text: Quoted<'_>, sink: &mut Sink<'_>) {
        let open = self.calls.iter_mut().rev().find(|call| call.key == key && call.is_open);
        if let Some(call) = open.filter(|_| !text.is_empty()) {
            call.has_arguments = true;
            let (item, text) = (call.item, whole(&mut call.half, text));
            if !text.is_empty() {
                sink(Event::Arguments { item, text });
            }
        }
    }

    /// Is a call with this key open?
    pub(in crate::protocol) fn has_call(&self, key: u64) -> bool {
        self.calls.iter().any(|call| call.key == key && call.is_open)
    }

    pub(in crate::protocol) fn end_call(&mut self, key: u64, sink: &mut Sink<'_>) {
        for call in self.calls.iter_mut().filter(|call| call.key == key && call.is_open) {
            call.end(Done::Whole, sink);
        }
    }

    /// The part is over, though its item may go on.
    pub(in crate::protocol) fn end_part(&mut self, sink: &mut Sink<'_>) {
        if let Some(place) = self.open.as_mut().and_then(|open| open.part.take()) {
            if !self.half.is_empty() {
                sink(Event::Delta { at: place, text: std::mem::take(&mut self.half), logprobs: Vec::new() });
            }
            sink(Event::PartDone(place));
        }
    }

    /// The message or reasoning is over.
    pub(in crate::protocol) fn end_item(&mut self, sink: &mut Sink<'_>) {
        self.close_item(Done::Whole, sink);
    }

    /// The answer is over. If it was cut short, so is what came last.
    pub(in crate::protocol) fn close(&mut self, done: Done, sink: &mut Sink<'_>) {
        self.close_item(done, sink);
        let last = self.items.wrapping_sub(1);
        for mut call in self.calls.drain(..).filter(|call| call.is_open) {
            let done = if call.item == last { done } else { Done::Whole };
            call.end(done, sink);
        }
    }

    fn close_item(&mut self, done: Done, sink: &mut Sink<'_>) {
        self.end_part(sink);
        if let Some(open) = self.open.take() {
            sink(Event::ItemDone { item: open.item, done });
        }
    }

    fn next_item(&mut self) -> usize {
        self.items += 1;
        self.items - 1
    }

    /// The message or reasoning that is open, opened if need be.
    fn item(&mut self, is_reasoning: bool, sink: &mut Sink<'_>) -> usize {
        if let Some(open) = self.open.filter(|open| open.is_reasoning == is_reasoning) {
            return open.item;
        }
        self.end_item(sink);
        let item = self.next_item();
        self.open = Some(Open { item, is_reasoning, parts: 0, summaries: 0, part: None });
        sink(Event::ItemAdded { item, kind: if is_reasoning { ItemKind::Reasoning } else { ItemKind::Message } });
        item
    }

    /// The part of this kind that is open, opened if need be.
    fn part(&mut self, kind: PartKind, sink: &mut Sink<'_>) -> Place {
        if let Some(place) = self.open.and_then(|open| open.part).filter(|place| place.kind == kind) {
            return place;
        }
        let item = self.item(matches!(kind, PartKind::Summary | PartKind::Thought), sink);
        self.end_part(sink);
        let mut place = Place { item, part: 0, kind };
        if let Some(open) = &mut self.open {
            let count = if kind == PartKind::Summary { &mut open.summaries } else { &mut open.parts };
            place.part = *count;
            *count += 1;
            open.part = Some(place);
        }
        sink(Event::PartAdded(place));
        place
    }
}
