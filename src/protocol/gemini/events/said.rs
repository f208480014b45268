//! What one event says, key by key in any order. A whole answer is one event that says everything.

use super::super::{key, usage};
use crate::domain::usage::Usage;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::json::{Flaw, Reader};

#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) model: Option<Quoted<'a>>,
    pub(super) parts: Vec<Part<'a>>,
    /// Why the model stopped.
    pub(super) reason: Option<Quoted<'a>>,
    /// The prompt was not let through to it.
    pub(super) is_blocked: bool,
    pub(super) has_candidates: bool,
    pub(super) usage: Option<Usage>,
    pub(super) is_error: bool,
}

#[derive(Default)]
pub(super) struct Part<'a> {
    pub(super) text: Option<Quoted<'a>>,
    pub(super) is_thought: bool,
    pub(super) signature: Option<Quoted<'a>>,
    pub(super) call: Option<Call<'a>>,
    /// Something that no other protocol's client can be given.
    is_other: bool,
}

#[derive(Default)]
pub(super) struct Call<'a> {
    pub(super) id: Option<Quoted<'a>>,
    pub(super) name: Quoted<'a>,
    pub(super) arguments: Option<Json<'a>>,
}

impl<'a> Chunk<'a> {
    pub(super) fn read(data: &'a [u8]) -> Result<Self, Flaw> {
        let mut chunk = Self::default();
        let mut reader = Reader::new(data);
        if !key::members(&mut reader, |reader, key| chunk.field(reader, key))? {
            return Err(reader.flaw("it is no object"));
        }
        reader.end()?;
        Ok(chunk)
    }

    pub(super) fn has_content(&self) -> bool {
        let full = |text: &Quoted<'_>| !text.is_empty();
        self.parts.iter().any(|part| part.text.as_ref().is_some_and(full) || part.call.is_some() || part.is_other)
    }

    fn field(&mut self, reader: &mut Reader<'a>, name: Name<'_>) -> Result<(), Flaw> {
        match name {
            b"candidates" => {
                self.has_candidates = reader.elements(|reader| self.candidate(reader))?;
            }
            b"modelversion" => self.model = reader.text()?.filter(|model| !model.is_empty()),
            b"usagemetadata" => self.usage = usage::decode(reader)?,
            b"promptfeedback" => {
                key::members(reader, |reader, key| {
                    if key == b"blockreason" {
                        self.is_blocked = reader.text()?.is_some();
                        return Ok(());
                    }
                    reader.skip()
                })?;
            }
            b"error" => self.is_error |= reader.json()?.is_some_and(|error| !error.is_nothing()),
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn candidate(&mut self, reader: &mut Reader<'a>) -> Result<(), Flaw> {
        let (mut index, mut parts, mut reason) = (0, Vec::new(), None);
        key::members(reader, |reader, key| {
            match key {
                b"index" => index = reader.unsigned()?.unwrap_or(0),
                b"finishreason" => reason = reader.text()?.filter(|reason| !reason.is_empty()),
                b"content" => {
                    key::members(reader, |reader, key| {
                        if key != b"parts" {
                            return reader.skip();
                        }
                        reader.elements(|reader| {
                            parts.push(Part::read(reader)?);
                            Ok::<(), Flaw>(())
                        })?;
                        Ok(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        // Others were not asked for.
        if index == 0 {
            self.parts.append(&mut parts);
            self.reason = reason.or(self.reason.take());
        }
        Ok(())
    }
}

impl<'a> Part<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Flaw> {
        let mut part = Self::default();
        key::members(reader, |reader, key| {
            match key {
                b"text" => part.text = reader.text()?,
                b"thought" => part.is_thought = reader.flag()?.unwrap_or(false),
                b"thoughtsignature" => part.signature = reader.text()?.filter(|signature| !signature.is_empty()),
                b"functioncall" => part.call = Some(Call::read(reader)?),
                _ => part.is_other |= reader.json()?.is_some(),
            }
            Ok::<(), Flaw>(())
        })?;
        Ok(part)
    }
}

impl<'a> Call<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Flaw> {
        let mut call = Self::default();
        key::members(reader, |reader, key| {
            match key {
                b"id" => call.id = reader.text()?.filter(|id| !id.is_empty()),
                b"name" => call.name = reader.text()?.unwrap_or_default(),
                b"args" => call.arguments = reader.json()?.filter(|arguments| !arguments.is_empty()),
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        Ok(call)
    }
}
