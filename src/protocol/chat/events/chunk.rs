//! What one chunk says, key by key in any order: a chunk of a stream, or a whole answer, which differs in one name.

use crate::domain::usage::Usage;
use crate::protocol::chat::request::arguments;
use crate::protocol::chat::request::thought::{self, Detail};
use crate::protocol::chat::usage;
use crate::protocol::hub::arguments::Arguments;
use crate::protocol::hub::item::Citation;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::json::{Flaw, Reader};

#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) model: Option<Quoted<'a>>,
    pub(super) usage: Option<Usage>,
    pub(super) is_error: bool,
    pub(super) has_choices: bool,
    /// Of the only choice; others were not asked for.
    pub(super) delta: Delta<'a>,
    pub(super) finish_reason: Option<Quoted<'a>>,
    pub(super) logprobs: Vec<Json<'a>>,
}

#[derive(Default)]
pub(super) struct Delta<'a> {
    /// Several where the content comes in parts.
    pub(super) content: Option<Quoted<'a>>,
    pub(super) refusal: Option<Quoted<'a>>,
    pub(super) thought: Option<Quoted<'a>>,
    pub(super) details: Vec<Detail<'a>>,
    pub(super) calls: Vec<CallDelta<'a>>,
    pub(super) citations: Vec<Citation<'a>>,
}

#[derive(Default)]
pub(super) struct CallDelta<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: Option<Quoted<'a>>,
    pub(super) name: Option<Quoted<'a>>,
    pub(super) arguments: Arguments<'a>,
    /// What must come back with the call, as written.
    pub(super) extra: Option<Json<'a>>,
}

impl<'a> Chunk<'a> {
    pub(super) fn read(data: &'a [u8]) -> Result<Self, Flaw> {
        let mut chunk = Self::default();
        let mut reader = Reader::new(data);
        if !reader.members(|reader, key| chunk.top(reader, key, data))? {
            return Err(reader.flaw("it is no object"));
        }
        reader.end()?;
        Ok(chunk)
    }

    fn top(&mut self, reader: &mut Reader<'a>, key: Name<'_>, data: &[u8]) -> Result<(), Flaw> {
        match key {
            b"choices" => {
                self.has_choices = reader.elements(|reader| self.choice(reader))?;
            }
            b"model" => self.model = reader.text()?.filter(|model| !model.is_empty()),
            // Servers put it in more places than this, and one reader knows them all.
            b"usage" | b"x_groq" => {
                if reader.json()?.is_some_and(|usage| usage.is_object()) {
                    self.usage = usage::usage_of_whole(data);
                }
            }
            b"error" => self.is_error |= reader.json()?.is_some_and(|error| !error.is_nothing()),
            b"object" => self.is_error |= reader.text()?.is_some_and(|object| object.is("error")),
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn choice(&mut self, reader: &mut Reader<'a>) -> Result<(), Flaw> {
        let mut choice = Self::default();
        let mut index = 0;
        reader.members(|reader, key| {
            match key {
                b"index" => index = reader.unsigned()?.unwrap_or(0),
                b"delta" | b"message" => {
                    reader.members(|reader, key| choice.delta.field(reader, key))?;
                }
                // Of the old completions.
                b"text" => choice.delta.content = reader.text()?,
                b"finish_reason" => choice.finish_reason = reader.text()?.filter(|reason| !reason.is_empty()),
                b"logprobs" => {
                    reader.members(|reader, key| choice.logprobs(reader, key))?;
                }
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        if index == 0 {
            (self.delta, self.finish_reason, self.logprobs) = (choice.delta, choice.finish_reason, choice.logprobs);
        }
        Ok(())
    }

    fn logprobs(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        if key != b"content" {
            return reader.skip();
        }
        reader.elements(|reader| {
            self.logprobs.extend(reader.json()?);
            Ok::<(), Flaw>(())
        })?;
        Ok(())
    }
}

impl<'a> Delta<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            b"content" => self.content(reader)?,
            b"refusal" => self.refusal = reader.text()?,
            // Some say the same under both names.
            b"reasoning_content" => self.thought = reader.text()?.or(self.thought.take()),
            b"reasoning" => self.thought = self.thought.take().or(reader.text()?),
            b"reasoning_details" => self.details = thought::decode(reader)?,
            b"tool_calls" => {
                reader.elements(|reader| {
                    self.calls.push(CallDelta::read(reader)?);
                    Ok::<(), Flaw>(())
                })?;
            }
            b"annotations" => {
                reader.elements(|reader| {
                    self.citations.extend(citation(reader)?);
                    Ok::<(), Flaw>(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// Text; some servers write parts.
    fn content(&mut self, reader: &mut Reader<'a>) -> Result<(), Flaw> {
        if reader.peek() != Some(b'[') {
            self.content = reader.text()?;
            return Ok(());
        }
        let mut whole = Quoted::default();
        reader.elements(|reader| {
            reader.members(|reader, key| {
                if key == b"text" {
                    whole.push(&reader.text()?.unwrap_or_default());
                    return Ok(());
                }
                reader.skip()
            })?;
            Ok::<(), Flaw>(())
        })?;
        self.content = Some(whole);
        Ok(())
    }
}

impl<'a> CallDelta<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Flaw> {
        let mut call = Self::default();
        reader.members(|reader, key| {
            match key {
                b"index" => call.index = reader.unsigned()?,
                b"id" => call.id = reader.text()?.filter(|id| !id.is_empty()),
                b"function" => {
                    reader.members(|reader, key| {
                        match key {
                            b"name" => call.name = reader.text()?.filter(|name| !name.is_empty()),
                            b"arguments" => call.arguments = arguments(reader)?,
                            _ => reader.skip()?,
                        }
                        Ok::<(), Flaw>(())
                    })?;
                }
                b"extra_content" => call.extra = reader.json()?,
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        Ok(call)
    }
}

/// `{"type":"url_citation","url_citation":{…}}`; other kinds rest on files that only their provider has.
fn citation<'a>(reader: &mut Reader<'a>) -> Result<Option<Citation<'a>>, Flaw> {
    let mut found = None;
    reader.members(|reader, key| {
        if key != b"url_citation" {
            return reader.skip();
        }
        let mut citation = Citation::default();
        reader.members(|reader, key| {
            match key {
                b"url" => citation.url = reader.text()?.unwrap_or_default(),
                b"title" => citation.title = reader.text()?.unwrap_or_default(),
                b"start_index" => citation.start = reader.unsigned()?.unwrap_or(0),
                b"end_index" => citation.end = reader.unsigned()?.unwrap_or(0),
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        found = Some(citation);
        Ok(())
    })?;
    Ok(found)
}
