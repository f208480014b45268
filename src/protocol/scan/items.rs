//! Reads what a body says of objects that lie at a provider: ids in their fields, and items of a Responses input that stand
//! for what the provider keeps.

use super::values::id;
use super::{Here, OBJECT_IDS_LIMIT, Scan, Stop, invalid};
use crate::protocol::hub::ids::Ids;
use crate::protocol::json::{NAME_LIMIT, Reader, Text};

impl Scan {
    /// Takes one id, or a list of them; anything else is walked.
    pub(super) fn objects(&mut self, reader: &mut Reader<'_>, here: Here) -> Result<(), Stop> {
        match reader.peek() {
            Some(b'"') => {
                let id = id(reader, "file_id")?;
                self.takes(id)
            }
            Some(b'[') => reader.array(|reader| self.objects(reader, here)),
            _ => self.walk(reader, here),
        }
    }

    /// A URI of a file that lies at Google; any other may be read by anybody.
    pub(super) fn uri(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let Some(b'"') = reader.peek() else { return self.walk(reader, Here::Media) };
        let uri = reader.string()?.decode().unwrap_or_default();
        match uri.contains("generativelanguage.") || !uri.contains("://") {
            true => self.takes(Some(uri)),
            false => Ok(()),
        }
    }

    /// An object that names another by its `id`, such as a stored prompt or a conversation.
    pub(super) fn reference(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        reader.object(|reader, key| match key.is(b"id") {
            true => self.objects(reader, Here::Text),
            false => self.member(reader, key, Here::Parts),
        })
    }

    /// What an item only names, and does not hold itself, lies at the provider.
    pub(super) fn takes_what_it_names(&mut self, item: Item) -> Result<(), Stop> {
        match item.is_reference || !item.is_whole {
            true => {
                let mut named = item.named.into_iter().filter(|id| !Ids::is_item(id));
                named.try_for_each(|id| self.takes(Some(id)))
            }
            false => Ok(()),
        }
    }

    fn takes(&mut self, id: Option<String>) -> Result<(), Stop> {
        if self.found.object_ids.len() == OBJECT_IDS_LIMIT {
            return invalid("file_id", "the body names more than 512 objects");
        }
        self.found.object_ids.extend(id);
        Ok(())
    }
}

/// An item of a Responses input. One that only names itself stands for what the provider keeps under that id; one that is
/// all there stands for itself, and its id means nothing.
#[derive(Default)]
pub(super) struct Item {
    /// More than one only where the field stands twice: the provider may take either.
    named: Vec<String>,
    is_reference: bool,
    is_whole: bool,
}

impl Item {
    /// Looks at a field; says whether it has read its value.
    pub(super) fn reads(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<bool, Stop> {
        let mut room = [0; NAME_LIMIT];
        match key.name(&mut room).unwrap_or_default() {
            b"id" if reader.peek() == Some(b'"') => {
                self.named.extend(id(reader, "input.id")?);
                return Ok(true);
            }
            b"type" if reader.peek() == Some(b'"') => {
                self.is_reference |= reader.string()?.is(b"item_reference");
                return Ok(true);
            }
            b"content" | b"encrypted_content" | b"call_id" | b"arguments" | b"output" | b"result" | b"action"
            | b"queries" | b"code" | b"tools" => self.is_whole |= !reader.is_at_nothing(),
            _ => {}
        }
        Ok(false)
    }
}
