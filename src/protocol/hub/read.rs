//! Reads values for the hub: what is `null`, or of another kind than expected, counts as not said.

use super::text::{Json, Quoted};
use crate::protocol::json::{Flaw, NAME_LIMIT, Reader, Text};

/// What decoders ask of a `Reader` that stands at a value. Each reads that value to its end.
pub(in crate::protocol) trait Values<'a> {
    fn text(&mut self) -> Result<Option<Quoted<'a>>, Flaw>;
    fn flag(&mut self) -> Result<Option<bool>, Flaw>;
    /// Any value but `null`, as written.
    fn json(&mut self) -> Result<Option<Json<'a>>, Flaw>;
    /// A number, as written.
    fn number(&mut self) -> Result<Option<Json<'a>>, Flaw>;
    /// The members of an object; anything else is passed over. Was it an object?
    fn members<E: From<Flaw>>(&mut self, each: impl FnMut(&mut Self, Name<'_>) -> Result<(), E>) -> Result<bool, E>;
    /// The elements of an array; anything else is passed over. Was it an array?
    fn elements<E: From<Flaw>>(&mut self, each: impl FnMut(&mut Self) -> Result<(), E>) -> Result<bool, E>;
}

/// A key as it is meant. Longer than any that we know, it is empty.
pub(in crate::protocol) type Name<'n> = &'n [u8];

impl<'a> Values<'a> for Reader<'a> {
    fn text(&mut self) -> Result<Option<Quoted<'a>>, Flaw> {
        if self.peek() == Some(b'"') {
            return self.string().map(|text| Some(text.into()));
        }
        self.skip().map(|()| None)
    }

    fn flag(&mut self) -> Result<Option<bool>, Flaw> {
        Ok(match self.value()? {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        })
    }

    fn json(&mut self) -> Result<Option<Json<'a>>, Flaw> {
        let value = self.value()?;
        Ok((value != b"null").then(|| Json::of(value)))
    }

    fn number(&mut self) -> Result<Option<Json<'a>>, Flaw> {
        let value = self.value()?;
        Ok(matches!(value.first(), Some(b'-' | b'0'..=b'9')).then(|| Json::of(value)))
    }

    fn members<E: From<Flaw>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Name<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if self.peek() != Some(b'{') {
            self.skip()?;
            return Ok(false);
        }
        self.object(|reader, key: Text<'a>| {
            let mut room = [0; NAME_LIMIT];
            each(reader, key.name(&mut room).unwrap_or_default())
        })?;
        Ok(true)
    }

    fn elements<E: From<Flaw>>(&mut self, each: impl FnMut(&mut Self) -> Result<(), E>) -> Result<bool, E> {
        if self.peek() != Some(b'[') {
            self.skip()?;
            return Ok(false);
        }
        self.array(each)?;
        Ok(true)
    }
}
