//! What one event says, key by key in any order; and a whole answer, which holds the same blocks.

use crate::domain::usage::Usage;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::json::{Flaw, Reader};

#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) index: u64,
    pub(super) block: Block<'a>,
    pub(super) reason: Option<Quoted<'a>>,
    pub(super) usage: Option<Usage>,
}

/// A block, its beginning, or more of it: a union with one member each time.
#[derive(Default)]
pub(super) struct Block<'a> {
    pub(super) text: Quoted<'a>,
    /// The id and name of a call that begins.
    pub(super) call: Option<(Quoted<'a>, Quoted<'a>)>,
    pub(super) arguments: Quoted<'a>,
    /// All the arguments of a call that is whole.
    pub(super) input: Option<Json<'a>>,
    pub(super) thought: Quoted<'a>,
    pub(super) signature: Quoted<'a>,
    pub(super) redacted: Quoted<'a>,
}

/// An answer as a whole.
#[derive(Default)]
pub(super) struct Answer<'a> {
    pub(super) content: Option<Vec<Block<'a>>>,
    pub(super) reason: Option<Quoted<'a>>,
    pub(super) usage: Option<Usage>,
}

impl<'a> Said<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, Flaw> {
        let mut said = Self::default();
        let mut reader = Reader::new(payload);
        reader.members(|reader, key| {
            match key {
                b"contentBlockIndex" => said.index = reader.unsigned()?.unwrap_or(0),
                b"start" | b"delta" => said.block = Block::read(reader)?,
                b"stopReason" => said.reason = reader.text()?,
                b"usage" => said.usage = usage(reader)?,
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        reader.end()?;
        Ok(said)
    }
}

impl<'a> Block<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Flaw> {
        let mut block = Self::default();
        reader.members(|reader, key| block.field(reader, key))?;
        Ok(block)
    }

    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            b"text" => self.text = reader.text()?.unwrap_or_default(),
            b"toolUse" => {
                let (mut id, mut name) = (None, None);
                reader.members(|reader, key| {
                    match key {
                        b"toolUseId" => id = reader.text()?,
                        b"name" => name = reader.text()?,
                        // A piece of its text in a stream, else an object.
                        b"input" if reader.peek() == Some(b'"') => self.arguments = reader.text()?.unwrap_or_default(),
                        b"input" => self.input = reader.json()?.filter(|input| !input.is_empty()),
                        _ => reader.skip()?,
                    }
                    Ok::<(), Flaw>(())
                })?;
                self.call = name.map(|name| (id.unwrap_or_default(), name));
            }
            b"reasoningContent" => {
                reader.members(|reader, key| self.reasoning(reader, key))?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn reasoning(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            b"text" => self.thought = reader.text()?.unwrap_or_default(),
            b"signature" => self.signature = reader.text()?.unwrap_or_default(),
            b"redactedContent" => self.redacted = reader.text()?.unwrap_or_default(),
            b"reasoningText" => {
                reader.members(|reader, key| self.reasoning(reader, key))?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }
}

impl<'a> Answer<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Flaw> {
        let mut answer = Self::default();
        let mut reader = Reader::new(body);
        reader.members(|reader, key| answer.field(reader, key))?;
        reader.end()?;
        Ok(answer)
    }

    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            b"output" | b"message" => {
                reader.members(|reader, key| self.field(reader, key))?;
            }
            b"content" => {
                let mut blocks = Vec::new();
                let is_list = reader.elements(|reader| {
                    blocks.push(Block::read(reader)?);
                    Ok::<(), Flaw>(())
                })?;
                self.content = is_list.then_some(blocks);
            }
            b"stopReason" => self.reason = reader.text()?,
            b"usage" => self.usage = usage(reader)?,
            // An error's message is text.
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// Buckets that don't overlap, as the vendor of most models here counts them.
fn usage(reader: &mut Reader<'_>) -> Result<Option<Usage>, Flaw> {
    let mut usage = Usage::default();
    let mut is_any = false;
    reader.members(|reader, key| {
        if key == b"cacheDetails" {
            let mut for_an_hour = 0;
            reader.elements(|reader| {
                let (mut is_hour, mut tokens) = (false, 0);
                reader.members(|reader, key| {
                    match key {
                        b"ttl" => is_hour = reader.text()?.is_some_and(|ttl| ttl.is("1h")),
                        b"inputTokens" => tokens = reader.unsigned()?.unwrap_or(0),
                        _ => reader.skip()?,
                    }
                    Ok::<(), Flaw>(())
                })?;
                for_an_hour += if is_hour { tokens } else { 0 };
                Ok::<(), Flaw>(())
            })?;
            usage.cache_write_1h = for_an_hour;
            return Ok(());
        }
        let count = reader.unsigned()?;
        is_any |= count.is_some();
        let bucket = match key {
            b"inputTokens" => &mut usage.input,
            b"outputTokens" => &mut usage.output,
            b"cacheReadInputTokens" => &mut usage.cache_read,
            b"cacheWriteInputTokens" => &mut usage.cache_write_5m,
            _ => return Ok(()),
        };
        *bucket = count.unwrap_or(0);
        Ok::<(), Flaw>(())
    })?;
    usage.cache_write_1h = usage.cache_write_1h.min(usage.cache_write_5m);
    usage.cache_write_5m -= usage.cache_write_1h;
    Ok(is_any.then_some(usage))
}
