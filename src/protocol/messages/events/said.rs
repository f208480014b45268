//! What one event says, key by key in any order; and a whole message, which holds the same blocks.

use super::super::usage::Counts;
use crate::protocol::hub::item::Citation;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::json::{Flaw, Reader};

#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) kind: Quoted<'a>,
    pub(super) index: u64,
    pub(super) block: Block<'a>,
    /// A delta has the keys of a block, and a few of its own.
    pub(super) delta: Block<'a>,
    pub(super) message: Message<'a>,
    /// Of the event itself; its message has its own.
    pub(super) usage: Option<Counts>,
}

#[derive(Default)]
pub(super) struct Block<'a> {
    pub(super) kind: Quoted<'a>,
    pub(super) id: Quoted<'a>,
    pub(super) name: Quoted<'a>,
    pub(super) text: Quoted<'a>,
    pub(super) signature: Quoted<'a>,
    pub(super) data: Quoted<'a>,
    /// Of a tool's call, as an object.
    pub(super) input: Option<Json<'a>>,
    /// The same as a piece of its text.
    pub(super) partial: Quoted<'a>,
    pub(super) citations: Vec<Citation<'a>>,
    pub(super) stop: Stop<'a>,
}

#[derive(Clone, Default)]
pub(super) struct Stop<'a> {
    pub(super) reason: Option<Quoted<'a>>,
    pub(super) sequence: Option<Quoted<'a>>,
}

#[derive(Default)]
pub(super) struct Message<'a> {
    pub(super) model: Option<Quoted<'a>>,
    pub(super) content: Option<Vec<Block<'a>>>,
    pub(super) stop: Stop<'a>,
    pub(super) usage: Option<Counts>,
}

impl<'a> Said<'a> {
    pub(super) fn read(data: &'a [u8]) -> Result<Self, Flaw> {
        let mut said = Self::default();
        let mut reader = Reader::new(data);
        let is_object = reader.members(|reader, key| {
            match key {
                b"type" => said.kind = reader.text()?.unwrap_or_default(),
                b"index" => said.index = reader.unsigned()?.unwrap_or(0),
                b"content_block" => said.block = Block::read(reader)?,
                b"delta" => said.delta = Block::read(reader)?,
                b"message" => said.message = Message::read(reader)?,
                b"usage" => said.usage = Some(Counts::read(reader)?),
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        if !is_object {
            return Err(reader.flaw("it is no object"));
        }
        reader.end()?;
        Ok(said)
    }
}

impl<'a> Message<'a> {
    /// An answer as a whole.
    pub(super) fn whole(body: &'a [u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(body);
        let message = Self::read(&mut reader)?;
        reader.end()?;
        Ok(message)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Flaw> {
        let mut message = Self::default();
        reader.members(|reader, key| {
            match key {
                b"model" => message.model = reader.text()?.filter(|model| !model.is_empty()),
                b"content" => {
                    let mut blocks = Vec::new();
                    let is_list = reader.elements(|reader| {
                        blocks.push(Block::read(reader)?);
                        Ok::<(), Flaw>(())
                    })?;
                    message.content = is_list.then_some(blocks);
                }
                b"stop_reason" => message.stop.reason = reader.text()?,
                b"stop_sequence" => message.stop.sequence = reader.text()?,
                b"usage" => message.usage = Some(Counts::read(reader)?),
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        Ok(message)
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
            b"type" => self.kind = reader.text()?.unwrap_or_default(),
            b"id" => self.id = reader.text()?.unwrap_or_default(),
            b"name" => self.name = reader.text()?.unwrap_or_default(),
            b"text" | b"thinking" => self.text = reader.text()?.unwrap_or_default(),
            b"signature" => self.signature = reader.text()?.unwrap_or_default(),
            b"data" => self.data = reader.text()?.unwrap_or_default(),
            b"input" => self.input = reader.json()?.filter(|input| !input.is_empty()),
            b"partial_json" => self.partial = reader.text()?.unwrap_or_default(),
            b"citation" => self.citations.extend(citation(reader)?),
            b"citations" => {
                reader.elements(|reader| {
                    self.citations.extend(citation(reader)?);
                    Ok::<(), Flaw>(())
                })?;
            }
            b"stop_reason" => self.stop.reason = reader.text()?,
            b"stop_sequence" => self.stop.sequence = reader.text()?,
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// Citations of the web; others rest on documents of the call, which other protocols can't point into.
fn citation<'a>(reader: &mut Reader<'a>) -> Result<Option<Citation<'a>>, Flaw> {
    let mut citation = Citation::default();
    reader.members(|reader, key| {
        match key {
            b"url" => citation.url = reader.text()?.unwrap_or_default(),
            b"title" => citation.title = reader.text()?.unwrap_or_default(),
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    })?;
    Ok(Some(citation).filter(|citation| !citation.url.is_empty()))
}
