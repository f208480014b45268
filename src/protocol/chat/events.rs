//! What the events of a chat stream are, and of the streams that came with it (completions, images, speech,
//! transcriptions). One event in; its kind, usage and finish out. Nothing is decoded that nobody asked for.

mod alike;
mod calls;
mod chunk;
pub(in crate::protocol) mod decode;
pub(in crate::protocol) mod encode;
pub(in crate::protocol) mod whole;

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

use self::alike::Alike;
use super::errors::failure_in_body;
use super::usage::{usage_of_tail, usage_of_whole};
use crate::domain::failure::Failure;
use crate::protocol::json::{Flaw, NAME_LIMIT, Reader, Text};
use crate::protocol::sse::{self, Block};
use crate::protocol::watch::{Learned, Sight};

/// The keys without which an event behind the first content has nothing to tell.
struct Telling {
    usage: Finder<'static>,
    finish_reason: Finder<'static>,
    error: Finder<'static>,
}

static TELLING: LazyLock<Telling> = LazyLock::new(|| Telling {
    usage: Finder::new(r#""usage""#),
    finish_reason: Finder::new(r#""finish_reason""#),
    error: Finder::new(r#""error""#),
});

#[derive(Debug, Default)]
pub(in crate::protocol) struct Events {
    /// Events name their own types (images, speech), so each is read.
    are_typed: bool,
    /// A chunk that came behind the first content and had nothing to tell.
    plain: Alike,
}

impl Events {
    /// The length of the chunk that a read begins with, if it is one that `see` would find to be content and nothing else.
    pub(in crate::protocol) fn plain_length(&self, read: &[u8]) -> Option<usize> {
        self.plain.length(read).filter(|_| !self.are_typed)
    }

    pub(in crate::protocol) fn see(&mut self, block: Block<'_>, learned: &mut Learned) -> Sight {
        let block = match block {
            Block::Whole(block) => block,
            Block::Cut { tail, .. } => {
                learned.usage = usage_of_tail(tail).or(learned.usage);
                return Sight::Content;
            }
        };
        if learned.has_content && !self.are_typed && is_one_object(block) && !is_telling(block) {
            self.plain.learn(block);
            return Sight::Content;
        }
        let Some(event) = sse::event(block) else { return Sight::Nothing };
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            return Sight::Terminal;
        }
        if has_value(&TELLING.usage, data) {
            learned.usage = usage_of_whole(data).or(learned.usage);
        }
        let chunk = Chunk::read(data);
        self.are_typed |= chunk.is_typed;
        learned.is_finished |= chunk.is_finished;
        chunk.sight(data)
    }
}

/// Is this one line of data, and an object? Nearly all events are, and need not be taken apart to be looked through.
fn is_one_object(block: &[u8]) -> bool {
    let is_object = matches!(block.strip_prefix(b"data:"), Some([b'{', ..] | [b' ', b'{', ..]));
    is_object && memchr2(b'\n', b'\r', block).is_some_and(|end| block[end..].trim_ascii().is_empty())
}

fn is_telling(data: &[u8]) -> bool {
    [&TELLING.usage, &TELLING.finish_reason, &TELLING.error].into_iter().any(|key| has_value(key, data))
}

/// Is this key there with a value other than `null`? Text can't feign it: in a string the quotes are escaped.
fn has_value(key: &Finder<'_>, data: &[u8]) -> bool {
    key.find_iter(data).any(|at| {
        let behind = data[at + key.needle().len()..].trim_ascii_start();
        behind.strip_prefix(b":").is_some_and(|value| !matches!(value.trim_ascii_start().first(), None | Some(b'n')))
    })
}

/// Does this event say only what the stream used? It has no choice, and its usage is not `null`.
pub(super) fn is_usage_only(block: &[u8]) -> bool {
    if !has_value(&TELLING.usage, block) {
        return false;
    }
    let Some(event) = sse::event(block) else { return false };
    let data = event.data.trim_ascii();
    let mut only = UsageOnly::default();
    Reader::new(data).object(|reader, key| only.top(reader, key)).is_ok() && only.no_choice && only.usage
}

#[derive(Default)]
struct UsageOnly {
    no_choice: bool,
    usage: bool,
}

impl UsageOnly {
    fn top(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let is_null = reader.peek() == Some(b'n');
        if key.is(b"choices") {
            self.no_choice = reader.peek() == Some(b'[');
            return reader.array(|reader| {
                self.no_choice = false;
                reader.skip()
            });
        }
        self.usage |= key.is(b"usage") && !is_null;
        reader.skip()
    }
}

/// What one chunk holds.
#[derive(Default)]
struct Chunk {
    has_content: bool,
    is_finished: bool,
    is_error: bool,
    is_typed: bool,
}

impl Chunk {
    /// Reads as far as the grammar holds: a chunk that cannot be read to its end is still what it began to be.
    fn read(data: &[u8]) -> Self {
        let mut chunk = Self::default();
        if data.first() == Some(&b'{') {
            let _ = Reader::new(data).object(|reader, key| chunk.top(reader, key));
        }
        chunk
    }

    fn sight(&self, data: &[u8]) -> Sight {
        match self {
            Self { is_error: true, .. } => Sight::Failed(failure_in_body(data).unwrap_or(Failure::ErrorUnderSuccess)),
            Self { has_content: true, .. } => Sight::Content,
            Self { is_finished: true, .. } => Sight::Finish,
            _ => Sight::Lifecycle,
        }
    }

    fn top(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let mut room = [0; NAME_LIMIT];
        match (key.name(&mut room).unwrap_or_default(), reader.peek()) {
            (b"choices", Some(b'[')) => reader.array(|reader| self.choice(reader)),
            (b"error", _) => {
                self.is_error |= is_full(reader)?;
                Ok(())
            }
            (b"object", Some(b'"')) => {
                self.is_error |= reader.string()?.is(b"error");
                Ok(())
            }
            (b"type", Some(b'"')) => {
                let kind = reader.string()?.raw;
                self.is_typed = true;
                self.has_content |= kind != b"error";
                self.is_error |= kind == b"error";
                self.is_finished |= kind.ends_with(b".done") || kind.ends_with(b".completed");
                Ok(())
            }
            _ => reader.skip(),
        }
    }

    fn choice(&mut self, reader: &mut Reader<'_>) -> Result<(), Flaw> {
        if reader.peek() != Some(b'{') {
            return reader.skip();
        }
        reader.object(|reader, key| {
            let mut room = [0; NAME_LIMIT];
            match (key.name(&mut room).unwrap_or_default(), reader.peek()) {
                (b"delta" | b"message", Some(b'{')) => reader.object(|reader, key| self.delta(reader, key)),
                (b"text", _) => {
                    self.has_content |= is_full(reader)?;
                    Ok(())
                }
                (b"finish_reason", Some(b'"')) => {
                    let reason = reader.string()?;
                    self.is_error |= reason.is(b"error");
                    self.is_finished |= !reason.is(b"error");
                    Ok(())
                }
                _ => reader.skip(),
            }
        })
    }

    fn delta(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let mut room = [0; NAME_LIMIT];
        let is_content = matches!(
            key.name(&mut room).unwrap_or_default(),
            b"content"
                | b"reasoning_content"
                | b"reasoning"
                | b"reasoning_details"
                | b"refusal"
                | b"tool_calls"
                | b"function_call"
                | b"audio"
                | b"images"
        );
        self.has_content |= is_full(reader)? && is_content;
        Ok(())
    }
}

/// Reads any value; is there something in it?
fn is_full(reader: &mut Reader<'_>) -> Result<bool, Flaw> {
    match reader.peek() {
        Some(b'"') => Ok(!reader.string()?.raw.is_empty()),
        Some(b'{') => {
            let mut is_full = false;
            reader.object(|reader, _| {
                is_full = true;
                reader.skip()
            })?;
            Ok(is_full)
        }
        Some(b'[') => {
            let mut is_full = false;
            reader.array(|reader| {
                is_full = true;
                reader.skip()
            })?;
            Ok(is_full)
        }
        first => {
            reader.scalar()?;
            Ok(!matches!(first, Some(b'n' | b'f')))
        }
    }
}

#[cfg(test)]
mod tests;
