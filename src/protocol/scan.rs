//! Reads a JSON body once and finds the few things the gateway needs. Bytes in, `Found` or a refusal out.
//!
//! Pure. The whole grammar is checked and no tree is built. What two parsers could read in two ways (a field that stands
//! twice) is refused, so that what we decide by is what the provider acts on. Never knows where the call will go.

mod field;
mod items;
mod multipart;
mod options;
mod values;

use std::ops::Range;

use field::Field;
use items::Item;
use values::{boolean, denied, given, id, present, stream_options};

use super::json::{Flaw, NAME_LIMIT, Reader, Text};
use crate::domain::call::{Found, Messages};
use crate::domain::protocol::Operation;
use crate::domain::refusal::Refusal;

pub use multipart::{beginning as beginning_of_form, model_edit, multipart};

/// Longer names of models are nobody's.
pub const MODEL_LIMIT_BYTES: usize = 512;

/// Ids of provider-side objects in one body: an agent's history may name each of its steps. All are looked up at once.
pub const OBJECT_IDS_LIMIT: usize = 512;

/// Where a client gives token ids for text, each stands for about as many bytes as estimates divide by.
const TOKEN_ID_BYTES: usize = 3;

/// What a core may scan between two other calls, for nothing may hold it longer than a millisecond. By measurement 1 MiB
/// takes 0.15 ms where it is text and 0.55 ms at worst, where every second byte is an escape; and 8,192 values take
/// 0.08 ms, and 0.25 ms at worst, where keys are written in escapes.
const AT_ONCE_BYTES: usize = 1024 * 1024;
const AT_ONCE_VALUES: usize = 8192;

/// Scans a body. The operation says how `messages` and `input` are to be read.
pub fn json(body: &[u8], operation: Operation) -> Result<Box<Found>, Refusal> {
    object(&mut Reader::new(body), body, operation)
}

/// Scans a body that takes no longer than a core may be held; none where another thread should do it from the start.
pub fn json_at_once(body: &[u8], operation: Operation) -> Option<Result<Box<Found>, Refusal>> {
    if body.len() > AT_ONCE_BYTES {
        return None;
    }
    let mut reader = Reader::bounded(body, AT_ONCE_VALUES);
    let found = object(&mut reader, body, operation);
    (!reader.is_spent()).then_some(found)
}

fn object(reader: &mut Reader<'_>, body: &[u8], operation: Operation) -> Result<Box<Found>, Refusal> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(Stop::Flaw(reader.flaw("a byte order mark")).into());
    }
    reader.space();
    if reader.peek() != Some(b'{') {
        return Err(Stop::Flaw(reader.flaw("something other than an object")).into());
    }
    // Boxed from the start, for it is large and goes a long way.
    let found = Box::write(Box::new_uninit(), Found { inside: reader.at() + 1, is_empty: true, ..Found::default() });
    let mut scan = Scan { found, seen: 0, operation };
    reader.object(|reader, key| scan.top(reader, key))?;
    reader.end().map_err(Stop::Flaw)?;
    Ok(scan.found)
}

/// Why a scan ends early. Small, because it is part of every step's result.
enum Stop {
    Flaw(Flaw),
    Denied(&'static str),
    Invalid { field: &'static str, why: &'static str },
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<Stop> for Refusal {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Flaw(Flaw { what, at }) => Self::BodyInvalid { what, at },
            Stop::Denied(field) => Self::FieldDenied(field),
            Stop::Invalid { field, why } => Self::FieldInvalid { field, why },
        }
    }
}

const fn invalid<T>(field: &'static str, why: &'static str) -> Result<T, Stop> {
    Err(Stop::Invalid { field, why })
}

/// What a string means by where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Here {
    /// Counted as text.
    Text,
    /// In messages: text, but some keys hold media.
    Parts,
    /// Inside a media part: counted already.
    Media,
    /// A schema, or what the client noted for itself: counted as text, and names no objects.
    Opaque,
}

struct Scan {
    found: Box<Found>,
    /// One bit for each `Field` that stood already.
    seen: u32,
    operation: Operation,
}

impl Scan {
    fn top(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Stop> {
        self.found.is_empty = false;
        let mut room = [0; NAME_LIMIT];
        let (field, name) = key.name(&mut room).map_or((Field::Other, ""), Field::of);
        self.once(field, name)?;
        let start = reader.at();
        match field {
            Field::Model => self.model(reader)?,
            Field::Stream => self.found.stream = boolean(reader, name)?.unwrap_or(false),
            Field::Store => self.found.store = boolean(reader, name)?,
            Field::Background => self.found.background = boolean(reader, name)?.unwrap_or(false),
            Field::StreamOptions => self.found.stream_options = Some(stream_options(reader)?),
            Field::Messages => self.messages(reader, self.operation == Operation::ChatCompletions)?,
            Field::Input => self.messages(reader, self.operation.takes_items())?,
            // One that lies at the provider is an object; any other is text.
            Field::Prompt if reader.peek() == Some(b'{') => self.reference(reader)?,
            Field::Prompt => self.walk(reader, Here::Parts)?,
            Field::N => self.found.n = reader.unsigned()?,
            Field::MaxTokens => self.found.max_tokens = given(reader)?,
            Field::MaxCompletionTokens => self.found.max_completion_tokens = given(reader)?,
            Field::MaxOutputTokens => self.found.max_output_tokens = given(reader)?,
            Field::Temperature => self.found.temperature = given(reader)?.is_some(),
            Field::Instructions => self.found.instructions = self.is_given(reader, Here::Parts)?,
            Field::System => self.found.system = self.is_given(reader, Here::Parts)?,
            Field::GenerationConfig => self.found.generation_config = Some(self.generation_config(reader)?),
            Field::Contents => self.walk(reader, Here::Parts)?,
            Field::Conversation if reader.peek() == Some(b'{') => self.reference(reader)?,
            Field::Conversation => self.objects(reader, Here::Text)?,
            Field::PromptCacheKey => self.found.prompt_cache_key = present(reader)?,
            Field::PreviousResponseId => self.found.previous_response_id = id(reader, name)?,
            Field::Schemas => self.schemas(reader)?,
            Field::Metadata => self.walk(reader, Here::Opaque)?,
            Field::Denied => denied(reader, name)?,
            Field::Other => self.member(reader, key, Here::Text)?,
        }
        self.place(field, start..reader.at());
        Ok(())
    }

    fn once(&mut self, field: Field, name: &'static str) -> Result<(), Stop> {
        match field {
            Field::Other | Field::Contents | Field::Schemas | Field::Metadata | Field::Denied => Ok(()),
            _ if self.seen & (1 << field as u32) != 0 => invalid(name, "it stands twice"),
            _ => {
                self.seen |= 1 << field as u32;
                Ok(())
            }
        }
    }

    /// Notes where a value stood.
    fn place(&mut self, field: Field, value: Range<usize>) {
        let places = &mut self.found.places;
        match field {
            Field::Model => self.found.model = Some(value),
            Field::Input => places.input = Some(value),
            Field::Temperature => places.temperature = Some(value),
            Field::MaxTokens => places.max_tokens = Some(value),
            Field::MaxCompletionTokens => places.max_completion_tokens = Some(value),
            Field::MaxOutputTokens => places.max_output_tokens = Some(value),
            Field::Instructions => places.instructions = Some(value),
            Field::System => places.system = Some(value),
            _ => {}
        }
    }

    fn model(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        self.found.model_text = match reader.peek() {
            Some(b'"') => Some(model_text(reader.string()?)?),
            _ if reader.null()? => None,
            _ => {
                reader.skip()?;
                return invalid("model", "it is not a string");
            }
        };
        Ok(())
    }

    /// Walks any value that may be left out; was it there?
    fn is_given(&mut self, reader: &mut Reader<'_>, here: Here) -> Result<bool, Stop> {
        if reader.null()? {
            return Ok(false);
        }
        self.walk(reader, here).map(|()| true)
    }

    /// Tools and answer formats are read by the model, keys and all.
    fn schemas(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let (start, before) = (reader.at(), self.found.text_bytes);
        self.walk(reader, Here::Text)?;
        self.found.text_bytes = before + (reader.at() - start);
        Ok(())
    }

    /// Walks `messages` or `input`; notes its inside where this operation's messages stand there.
    fn messages(&mut self, reader: &mut Reader<'_>, are_ours: bool) -> Result<(), Stop> {
        if reader.peek() != Some(b'[') {
            return self.walk(reader, Here::Parts);
        }
        let mut messages = Messages { inside: reader.at() + 1, is_empty: true, system: None };
        reader.array(|reader| {
            messages.is_empty = false;
            if reader.peek() != Some(b'{') {
                return self.walk(reader, Here::Parts);
            }
            let lead = self.message(reader)?;
            messages.system = messages.system.take().or(lead);
            Ok(())
        })?;
        if are_ours {
            self.found.messages = Some(messages);
        }
        Ok(())
    }

    /// Walks one message; the range of its content if it is the system's or the developer's.
    fn message(&mut self, reader: &mut Reader<'_>) -> Result<Option<Range<usize>>, Stop> {
        let (mut leads, mut content) = (false, None);
        let mut item = self.operation.takes_items().then(Item::default);
        reader.object(|reader, key| {
            if key.is(b"role") && reader.peek() == Some(b'"') {
                let role = reader.string()?;
                leads = role.is(b"system") || role.is(b"developer");
                return Ok(());
            }
            let start = reader.at();
            if let Some(item) = &mut item
                && item.reads(reader, key)?
            {
                return Ok(());
            }
            self.member(reader, key, Here::Parts)?;
            if key.is(b"content") {
                content = Some(start..reader.at());
            }
            Ok::<(), Stop>(())
        })?;
        item.map_or(Ok(()), |item| self.takes_what_it_names(item))?;
        Ok(content.filter(|_| leads))
    }

    /// Walks any value: counts its text and media, and takes the ids of objects.
    fn walk(&mut self, reader: &mut Reader<'_>, here: Here) -> Result<(), Stop> {
        match reader.peek() {
            Some(b'{') => reader.object(|reader, key| self.member(reader, key, here)),
            Some(b'[') => reader.array(|reader| self.walk(reader, here)),
            Some(b'"') => {
                let text = reader.string()?;
                self.count(text, here);
                Ok(())
            }
            _ => {
                let is_number = matches!(reader.peek(), Some(b'0'..=b'9'));
                self.found.text_bytes += if is_number && here == Here::Parts { TOKEN_ID_BYTES } else { 0 };
                Ok(reader.scalar()?)
            }
        }
    }

    fn member(&mut self, reader: &mut Reader<'_>, key: Text<'_>, here: Here) -> Result<(), Stop> {
        if here == Here::Opaque {
            return self.walk(reader, here);
        }
        let mut room = [0; NAME_LIMIT];
        match (key.name(&mut room).unwrap_or_default(), here) {
            (b"file_id" | b"input_file_id", _) => {
                self.found.media_parts += usize::from(here == Here::Parts);
                self.objects(reader, here)
            }
            (
                b"file_ids"
                | b"vector_store_ids"
                | b"container"
                | b"approval_request_id"
                | b"cachedContent"
                | b"cached_content",
                _,
            ) => self.objects(reader, here),
            (b"fileUri" | b"file_uri", _) => self.uri(reader),
            (
                b"parameters"
                | b"parametersJsonSchema"
                | b"schema"
                | b"input_schema"
                | b"responseSchema"
                | b"responseJsonSchema"
                | b"metadata",
                _,
            ) => self.walk(reader, Here::Opaque),
            // What a tool is given and gives, where that is no string.
            (b"input", _) if matches!(self.operation, Operation::Messages | Operation::CountTokens) => {
                self.walk(reader, Here::Opaque)
            }
            (b"args" | b"response", _) if self.operation == Operation::GenerateContent => {
                self.walk(reader, Here::Opaque)
            }
            (
                b"image_url" | b"input_audio" | b"file_data" | b"file_url" | b"source" | b"inlineData" | b"inline_data"
                | b"fileData",
                Here::Parts,
            ) => {
                self.found.media_parts += 1;
                self.walk(reader, Here::Media)
            }
            _ => self.walk(reader, here),
        }
    }

    fn count(&mut self, text: Text<'_>, here: Here) {
        match here {
            Here::Media => {}
            _ if text.raw.starts_with(b"data:") => self.found.media_parts += 1,
            Here::Text | Here::Parts | Here::Opaque => self.found.text_bytes += text.raw.len(),
        }
    }
}

/// A model's name as the client means it.
fn model_text(text: Text<'_>) -> Result<String, Stop> {
    /// No escape is longer for what it means.
    const WRITTEN_LIMIT_BYTES: usize = MODEL_LIMIT_BYTES * 6;
    const TOO_LONG: &str = "it is longer than 512 bytes";
    if text.raw.len() > WRITTEN_LIMIT_BYTES {
        return invalid("model", TOO_LONG);
    }
    let Some(model) = text.decode() else { return invalid("model", "it holds half a surrogate pair") };
    match fault_of_model(&model) {
        Some(why) => invalid("model", why),
        None => Ok(model),
    }
}

/// What is wrong with a model's name; the same rule where it comes in a form, a path or a header.
pub fn fault_of_model(model: &str) -> Option<&'static str> {
    if model.len() > MODEL_LIMIT_BYTES {
        return Some("it is longer than 512 bytes");
    }
    if model.chars().any(char::is_control) {
        return Some("it holds control characters");
    }
    model.contains("..").then_some("it holds `..`")
}

#[cfg(test)]
mod tests;
