//! Reads the values of fields that are looked at. Each knows what its field may be, and says no by its name.

use std::ops::Range;

use super::{Stop, invalid};
use crate::domain::call::StreamOptions;
use crate::protocol::json::{Reader, Text};

/// Providers' ids are some 30 bytes long.
const OBJECT_ID_LIMIT_BYTES: usize = 512;

pub(super) fn denied(reader: &mut Reader<'_>, name: &'static str) -> Result<(), Stop> {
    if reader.null()? { Ok(()) } else { Err(Stop::Denied(name)) }
}

pub(super) fn boolean(reader: &mut Reader<'_>, name: &'static str) -> Result<Option<bool>, Stop> {
    let first = reader.peek();
    reader.skip()?;
    match first {
        Some(b't') => Ok(Some(true)),
        Some(b'f') => Ok(Some(false)),
        Some(b'n') => Ok(None),
        _ => invalid(name, "it is neither true nor false"),
    }
}

/// A bound on the answer's length: was it there, and what did it say?
pub(super) fn given(reader: &mut Reader<'_>) -> Result<Option<Option<u64>>, Stop> {
    if reader.null()? { Ok(None) } else { Ok(Some(reader.unsigned()?)) }
}

pub(super) fn present(reader: &mut Reader<'_>) -> Result<Option<Range<usize>>, Stop> {
    if reader.null()? { Ok(None) } else { Ok(Some(reader.place()?)) }
}

pub(super) fn id(reader: &mut Reader<'_>, name: &'static str) -> Result<Option<String>, Stop> {
    if reader.null()? {
        return Ok(None);
    }
    if reader.peek() != Some(b'"') {
        return invalid(name, "it is not a string");
    }
    let text = reader.string()?;
    if text.raw.len() > OBJECT_ID_LIMIT_BYTES {
        return invalid(name, "it is longer than 512 bytes");
    }
    text.decode().map_or_else(|| invalid(name, "it holds half a surrogate pair"), |id| Ok(Some(id)))
}

pub(super) fn stream_options(reader: &mut Reader<'_>) -> Result<StreamOptions, Stop> {
    let start = reader.at();
    let mut options = StreamOptions { value: start..start, inside: None, is_empty: true, include_usage: None };
    if reader.peek() == Some(b'{') {
        options.inside = Some(start + 1);
        reader.object(|reader, key| stream_option(reader, key, &mut options))?;
    } else if !reader.null()? {
        reader.skip()?;
        return invalid("stream_options", "it is not an object");
    }
    options.value = start..reader.at();
    Ok(options)
}

fn stream_option(reader: &mut Reader<'_>, key: Text<'_>, options: &mut StreamOptions) -> Result<(), Stop> {
    const NAME: &str = "stream_options.include_usage";
    options.is_empty = false;
    if !key.is(b"include_usage") {
        return Ok(reader.skip()?);
    }
    if options.include_usage.is_some() {
        return invalid(NAME, "it stands twice");
    }
    let start = reader.at();
    let says = boolean(reader, NAME)?.unwrap_or(false);
    options.include_usage = Some((start..reader.at(), says));
    Ok(())
}
