//! What one event says, key by key in any order, and the response and items within it.

use crate::domain::usage::Usage;
use crate::protocol::chat::usage;
use crate::protocol::hub::event::PartKind;
use crate::protocol::hub::item::Citation;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::json::{Flaw, Reader};
use crate::protocol::responses::request::item::texts;

#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) kind: Quoted<'a>,
    pub(super) output_index: u64,
    pub(super) delta: Quoted<'a>,
    /// Of an event that says the whole of a part.
    pub(super) text: Quoted<'a>,
    pub(super) arguments: Quoted<'a>,
    pub(super) logprobs: Vec<Json<'a>>,
    pub(super) citation: Option<Citation<'a>>,
    pub(super) item: Option<Item<'a>>,
    pub(super) response: Option<Response<'a>>,
}

#[derive(Clone, Default)]
pub(super) struct Item<'a> {
    kind: Quoted<'a>,
    pub(super) status: Quoted<'a>,
    pub(super) call_id: Quoted<'a>,
    pub(super) name: Quoted<'a>,
    pub(super) arguments: Quoted<'a>,
    pub(super) summary: Vec<Quoted<'a>>,
    pub(super) content: Vec<Part<'a>>,
    pub(super) state: Option<Quoted<'a>>,
}

#[derive(Clone)]
pub(super) struct Part<'a> {
    pub(super) kind: PartKind,
    pub(super) text: Quoted<'a>,
    pub(super) logprobs: Vec<Json<'a>>,
    pub(super) citations: Vec<Citation<'a>>,
}

#[derive(Default)]
pub(super) struct Response<'a> {
    pub(super) model: Option<Quoted<'a>>,
    pub(super) status: Option<Quoted<'a>>,
    pub(super) reason: Option<Quoted<'a>>,
    pub(super) output: Vec<Item<'a>>,
    pub(super) has_output: bool,
    pub(super) usage: Option<Usage>,
}

impl<'a> Said<'a> {
    pub(super) fn read(data: &'a [u8]) -> Result<Self, Flaw> {
        let mut said = Self::default();
        let mut reader = Reader::new(data);
        if !reader.members(|reader, key| said.field(reader, key))? {
            return Err(reader.flaw("it is no object"));
        }
        reader.end()?;
        Ok(said)
    }

    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            b"type" => self.kind = reader.text()?.unwrap_or_default(),
            b"output_index" => self.output_index = reader.unsigned()?.unwrap_or(0),
            b"delta" => self.delta = reader.text()?.unwrap_or_default(),
            b"text" | b"refusal" => self.text = reader.text()?.unwrap_or_default(),
            b"arguments" => self.arguments = reader.text()?.unwrap_or_default(),
            b"logprobs" => self.logprobs = list(reader)?,
            b"annotation" => self.citation = citation(reader)?,
            b"item" => self.item = Some(Item::read(reader)?),
            b"response" => self.response = Some(Response::read(reader.value()?)?),
            _ => reader.skip()?,
        }
        Ok(())
    }
}

impl<'a> Item<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Flaw> {
        let mut item = Self::default();
        reader.members(|reader, key| {
            match key {
                b"type" => item.kind = reader.text()?.unwrap_or_default(),
                b"status" => item.status = reader.text()?.unwrap_or_default(),
                b"call_id" => item.call_id = reader.text()?.unwrap_or_default(),
                b"name" => item.name = reader.text()?.unwrap_or_default(),
                b"arguments" => item.arguments = reader.text()?.unwrap_or_default(),
                b"summary" => item.summary = texts(reader)?,
                b"content" => {
                    reader.elements(|reader| {
                        item.content.extend(Part::read(reader)?);
                        Ok::<(), Flaw>(())
                    })?;
                }
                b"encrypted_content" => item.state = reader.text()?,
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        Ok(item)
    }

    pub(super) fn is_call(&self) -> bool {
        self.kind.is("function_call")
    }
}

impl<'a> Part<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, Flaw> {
        let mut kind = Quoted::default();
        let mut part =
            Self { kind: PartKind::Text, text: Quoted::default(), logprobs: Vec::new(), citations: Vec::new() };
        reader.members(|reader, key| {
            match key {
                b"type" => kind = reader.text()?.unwrap_or_default(),
                b"text" | b"refusal" => part.text = reader.text()?.unwrap_or_default(),
                b"logprobs" => part.logprobs = list(reader)?,
                b"annotations" => {
                    reader.elements(|reader| {
                        part.citations.extend(citation(reader)?);
                        Ok::<(), Flaw>(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        part.kind = match &*kind.decode() {
            "output_text" | "text" => PartKind::Text,
            "refusal" => PartKind::Refusal,
            "reasoning_text" => PartKind::Thought,
            _ => return Ok(None),
        };
        Ok(Some(part))
    }
}

impl<'a> Response<'a> {
    pub(super) fn read(data: &'a [u8]) -> Result<Self, Flaw> {
        let mut response = Self::default();
        let mut reader = Reader::new(data);
        reader.members(|reader, key| response.field(reader, key, data))?;
        reader.end()?;
        Ok(response)
    }

    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>, data: &[u8]) -> Result<(), Flaw> {
        match key {
            b"model" => self.model = reader.text()?.filter(|model| !model.is_empty()),
            b"status" => self.status = reader.text()?,
            b"incomplete_details" => {
                reader.members(|reader, key| {
                    if key == b"reason" {
                        self.reason = reader.text()?;
                        return Ok(());
                    }
                    reader.skip()
                })?;
            }
            b"output" => {
                self.has_output = reader.elements(|reader| {
                    self.output.push(Item::read(reader)?);
                    Ok::<(), Flaw>(())
                })?;
            }
            b"usage" => {
                if reader.json()?.is_some() {
                    self.usage = usage::usage_of_whole(data);
                }
            }
            _ => reader.skip()?,
        }
        Ok(())
    }
}

fn list<'a>(reader: &mut Reader<'a>) -> Result<Vec<Json<'a>>, Flaw> {
    let mut list = Vec::new();
    reader.elements(|reader| {
        list.extend(reader.json()?);
        Ok::<(), Flaw>(())
    })?;
    Ok(list)
}

/// Citations of the web; other kinds rest on files that only their provider has.
fn citation<'a>(reader: &mut Reader<'a>) -> Result<Option<Citation<'a>>, Flaw> {
    let mut citation = Citation::default();
    let mut kind = Quoted::default();
    reader.members(|reader, key| {
        match key {
            b"type" => kind = reader.text()?.unwrap_or_default(),
            b"url" => citation.url = reader.text()?.unwrap_or_default(),
            b"title" => citation.title = reader.text()?.unwrap_or_default(),
            b"start_index" => citation.start = reader.unsigned()?.unwrap_or(0),
            b"end_index" => citation.end = reader.unsigned()?.unwrap_or(0),
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    })?;
    Ok(kind.is("url_citation").then_some(citation))
}
