//! Events of a stream for decoders: whole ones, with their data as one line of bytes.
//!
//! Like `sse`, which it rests on, it knows nothing of what events say. An event that is too large to be translated ends
//! the stream: half of it would be a lie.

use super::event::{Fault, Sink};
use crate::domain::failure::Failure;
use crate::protocol::sse::{self, Block, Splitter};

/// An image or a whole response fits in one event; what is larger is no answer.
pub(in crate::protocol) const EVENT_LIMIT_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(in crate::protocol) struct Frames(Splitter);

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Frame<'a> {
    Event { name: Option<&'a [u8]>, data: &'a [u8] },
    TooLarge,
}

impl Default for Frames {
    fn default() -> Self {
        Self(Splitter::new(EVENT_LIMIT_BYTES))
    }
}

impl Frames {
    /// Calls `each` at every event that ends in this read; comments and blank lines are none.
    pub(in crate::protocol) fn push(&mut self, read: &[u8], mut each: impl FnMut(Frame<'_>)) {
        self.0.push(read, |block, _, _| give(block, &mut each));
    }

    /// The event that the stream's end left without its blank line. If it can't be read, it is where the stream was cut.
    pub(in crate::protocol) fn finish(&mut self, mut each: impl FnMut(Frame<'_>)) {
        if let Some(block) = self.0.finish() {
            give(block, &mut each);
        }
    }
}

/// What a protocol makes of the events of one answer.
pub(in crate::protocol) trait Answering {
    /// Is this a whole event? What the stream's end left without its blank line may be half of one.
    fn is_readable(data: &[u8]) -> bool;
    fn event(&mut self, name: Option<&[u8]>, data: &[u8], sink: &mut Sink<'_>);
    fn fail(&mut self, fault: Fault<'_>, sink: &mut Sink<'_>);
    /// The end of the bytes, where that tells more than the events.
    fn finish(&mut self, _sink: &mut Sink<'_>) {}
}

/// Decodes a stream of events of such an answer.
#[derive(Debug)]
pub(in crate::protocol) struct Decoder<A> {
    frames: Frames,
    answering: A,
}

impl<A: Answering> Decoder<A> {
    pub(in crate::protocol) fn of(answering: A) -> Self {
        Self { frames: Frames::default(), answering }
    }

    pub(in crate::protocol) fn push(&mut self, read: &[u8], sink: &mut Sink<'_>) {
        let Self { frames, answering } = self;
        frames.push(read, |frame| match frame {
            Frame::Event { name, data } => answering.event(name, data, sink),
            Frame::TooLarge => answering.fail(too_large(), sink),
        });
    }

    pub(in crate::protocol) fn finish(&mut self, sink: &mut Sink<'_>) {
        let Self { frames, answering } = self;
        frames.finish(|frame| {
            if let Frame::Event { name, data } = frame
                && A::is_readable(data)
            {
                answering.event(name, data, sink);
            }
        });
        answering.finish(sink);
    }
}

/// What a stream failed with that sent such an event.
pub(in crate::protocol) const fn too_large() -> Fault<'static> {
    let failure = Failure::AnswerTooLarge { limit_bytes: EVENT_LIMIT_BYTES };
    Fault::found(failure, "the provider sent an event over 16 MiB")
}

/// What a stream failed with, or an answer, that is no JSON.
pub(in crate::protocol) fn unreadable() -> Fault<'static> {
    let failure = Failure::Garbage("it is no JSON object".into());
    Fault::found(failure, "the provider sent something that can't be read")
}

fn give(block: Block<'_>, each: &mut impl FnMut(Frame<'_>)) {
    match block {
        Block::Whole(bytes) => {
            if let Some(event) = sse::event(bytes) {
                each(Frame::Event { name: event.name, data: event.data.trim_ascii() });
            }
        }
        Block::Cut { .. } => each(Frame::TooLarge),
    }
}
