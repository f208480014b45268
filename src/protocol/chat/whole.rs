//! What a whole JSON answer says at its top level: is it an error, and the id of what it made.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::protocol::json::{Flaw, Reader};

/// Ids are some 30 bytes long.
const ID_LIMIT_BYTES: usize = 512;

static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("error"));

/// Is this, as far as it goes, an error object? It may end anywhere.
pub(super) fn is_error(head: &[u8]) -> bool {
    // Nearly every answer is none, and this costs it a glance instead of a walk.
    if ERROR.find(head).is_none() {
        return false;
    }
    let mut is_error = false;
    let _ = Reader::new(head).object(|reader, key| {
        let value = reader.peek();
        if key.is(b"error") {
            is_error |= begins_full(&head[reader.at()..]);
        } else if matches!(value, Some(b'"')) && (key.is(b"object") || key.is(b"type")) {
            is_error |= reader.string()?.is(b"error");
            return Ok(());
        }
        reader.skip()
    });
    is_error
}

/// Does a value with something in it begin here? The value's end may be missing.
fn begins_full(value: &[u8]) -> bool {
    let inside = value.get(1..).unwrap_or_default().trim_ascii_start().first();
    match value.first() {
        Some(b'{') => inside != Some(&b'}'),
        Some(b'"') => value.get(1) != Some(&b'"'),
        Some(b't' | b'0'..=b'9') => true,
        _ => false,
    }
}

/// Is this one JSON object, whole and sound?
pub fn is_object(body: &[u8]) -> bool {
    let mut reader = Reader::new(body);
    reader.space();
    reader.peek() == Some(b'{') && reader.skip().and_then(|()| reader.end()).is_ok()
}

/// The id of the object that an answer holds: a stored response, a file, a batch.
pub fn object_id(body: &[u8]) -> Option<String> {
    let mut id = None;
    let mut reader = Reader::new(body);
    reader.space();
    if reader.peek() != Some(b'{') {
        return None;
    }
    let _ = reader.object(|reader, key| {
        if key.is(b"id") && reader.peek() == Some(b'"') {
            let text = reader.string()?;
            id = text.decode().filter(|id| id.len() <= ID_LIMIT_BYTES);
            return Ok::<(), Flaw>(());
        }
        reader.skip()
    });
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_one_at_the_top() {
        assert_eq!(object_id(br#"{"output":[{"id":"msg_1"}],"id":"resp_1"}"#).as_deref(), Some("resp_1"));
        assert_eq!(object_id(br#"{"id":7}"#), None);
        assert_eq!(object_id(b"[]"), None);
    }
}
