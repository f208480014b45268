//! Events of a stream for decoders: whole ones, with their data as one line of bytes.
//!
//! Like `sse`, which it rests on, it knows nothing of what events say. An event that is too large to be translated ends
//! the stream: half of it would be a lie.

use super::event::Fault;
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
