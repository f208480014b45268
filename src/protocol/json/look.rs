//! Looks for one text and reads no further than it must.

use super::{Reader, Text};

/// A string at the top level. Reads no further than it must: any end is as good as the right one.
pub(in crate::protocol) fn top_text<'a>(data: &'a [u8], name: &[u8]) -> Option<Text<'a>> {
    let mut found = None;
    let mut reader = Reader::new(data);
    if reader.peek() != Some(b'{') {
        return None;
    }
    let _ = reader.object(|reader, key| {
        if key.is(name) && reader.peek() == Some(b'"') {
            found = Some(reader.string()?);
            return Err(reader.flaw("enough"));
        }
        reader.skip()
    });
    found
}

/// A string in an object at the top level.
pub(in crate::protocol) fn nested_text<'a>(data: &'a [u8], outer: &[u8], inner: &[u8]) -> Option<Text<'a>> {
    let mut found = None;
    let mut reader = Reader::new(data);
    if reader.peek() != Some(b'{') {
        return None;
    }
    let _ = reader.object(|reader, key| {
        if key.is(outer) && reader.peek() == Some(b'{') {
            found = top_text(&data[reader.at()..], inner);
            return Err(reader.flaw("enough"));
        }
        reader.skip()
    });
    found
}
