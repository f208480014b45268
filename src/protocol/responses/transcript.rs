//! A conversation that we keep: what is taken of a call and its answer, and how a later call goes on from it.
//!
//! Texts of JSON, cut and joined as they stand; nothing is written anew, so numbers, order and signatures survive.

use bytes::Bytes;

use crate::domain::call::Found;
use crate::protocol::json::{Flaw, Reader};
use crate::protocol::splice::{Edit, Pieces, apply};

/// The body with everything that was said before its own input: first what led to the response, then the response.
pub fn continued(body: &Bytes, found: &Found, input: &[u8], response: &[u8]) -> Pieces {
    let own = found.places.input.clone();
    let all = joined(input, response, own.clone().map(|at| &body[at]));
    let edit = match own {
        Some(at) => Edit { at, with: all.into() },
        // The object is not empty: it names the response.
        None => Edit::insert(found.inside, [b"\"input\":".as_slice(), &all, b","].concat()),
    };
    apply(body, &[edit])
}

/// One list of all that was said: what led to the response, the response, the new input.
pub(super) fn joined(input: &[u8], response: &[u8], own: Option<&[u8]>) -> Vec<u8> {
    let mut all = Vec::with_capacity(input.len() + response.len() + own.map_or(0, <[u8]>::len));
    all.push(b'[');
    for items in [inside(&as_array(input)), inside(&output(response)), inside(&as_array(own.unwrap_or_default()))] {
        if all.len() > 1 && !items.is_empty() {
            all.push(b',');
        }
        all.extend_from_slice(&items);
    }
    all.push(b']');
    all
}

/// An input as the list of items that it stands for.
fn as_array(input: &[u8]) -> Vec<u8> {
    match input.first() {
        Some(b'[') => input.to_vec(),
        Some(b'"') => [b"[{\"type\":\"message\",\"role\":\"user\",\"content\":".as_slice(), input, b"}]"].concat(),
        _ => b"[]".to_vec(),
    }
}

/// What stands between an array's brackets.
fn inside(array: &[u8]) -> Vec<u8> {
    let array = array.trim_ascii();
    let inside = array.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    inside.unwrap_or_default().trim_ascii().to_vec()
}

/// The items of a response; `[]` where there are none.
fn output(response: &[u8]) -> Vec<u8> {
    member(response, b"output").unwrap_or(b"[]").to_vec()
}

/// The value of an object's member, as it is written.
pub(super) fn member<'a>(object: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(object);
    reader.space();
    if reader.peek() != Some(b'{') {
        return None;
    }
    let mut found = None;
    let read = reader.object(|reader, key| {
        let start = reader.at();
        reader.skip()?;
        if key.is(name) {
            found = Some(&object[start..reader.at()]);
        }
        Ok::<(), Flaw>(())
    });
    read.ok().and(found).map(<[u8]>::trim_ascii)
}

/// The response in the event with which a stream of ours ends well; `None` where these bytes hold no such event.
pub fn ended(events: &[u8]) -> Option<&[u8]> {
    const KINDS: [&[u8]; 2] = [b"event: response.completed\ndata: ", b"event: response.incomplete\ndata: "];
    let (at, kind) = KINDS.into_iter().find_map(|kind| Some((memchr::memmem::rfind(events, kind)?, kind)))?;
    let data = events[at + kind.len()..].split(|byte| *byte == b'\n').next()?;
    member(data, b"response")
}

/// What was said before a response, as the list that its client may ask for.
pub fn input_items(input: &[u8]) -> Bytes {
    let items = as_array(input);
    [b"{\"object\":\"list\",\"data\":".as_slice(), &items, b",\"first_id\":null,\"last_id\":null,\"has_more\":false}"]
        .concat()
        .into()
}

/// That a response of ours is gone.
pub fn deleted(id: &str) -> Bytes {
    // Our ids are letters and digits.
    format!("{{\"id\":\"{id}\",\"object\":\"response\",\"deleted\":true}}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::protocol::Operation;
    use crate::protocol::scan;

    fn joined(body: &'static str, input: &str, response: &str) -> String {
        let body = Bytes::from_static(body.as_bytes());
        let found = scan::json(&body, Operation::Responses).unwrap();
        let pieces = continued(&body, &found, input.as_bytes(), response.as_bytes());
        String::from_utf8(pieces.joined().to_vec()).unwrap()
    }

    #[test]
    fn what_was_said_stands_before_what_is_said_now() {
        let response = r#"{"id":"r","output": [ {"type":"message","n":1.0} ] ,"usage":null}"#;
        assert_eq!(
            joined(r#"{"model":"m","input":[{"b":2}],"x":1}"#, r#"[{"a":1}]"#, response),
            r#"{"model":"m","input":[{"a":1},{"type":"message","n":1.0},{"b":2}],"x":1}"#
        );
        assert_eq!(
            joined(r#"{"input":"now","model":"m"}"#, r#""then""#, response),
            r#"{"input":[{"type":"message","role":"user","content":"then"},{"type":"message","n":1.0},{"type":"message","role":"user","content":"now"}],"model":"m"}"#
        );
        assert_eq!(joined(r#"{"model":"m"}"#, "null", r#"{"output":[]}"#), r#"{"input":[],"model":"m"}"#);
        assert_eq!(joined(r#"{"input":null}"#, "[ ]", response), r#"{"input":[{"type":"message","n":1.0}]}"#);
    }

    #[test]
    fn the_last_event_of_a_stream_holds_the_response() {
        let events = b"event: x\ndata: {}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\ndata: [DONE]\n\n";
        assert_eq!(ended(events), Some(&br#"{"id":"r"}"#[..]));
        assert_eq!(ended(b"event: response.failed\ndata: {\"response\":{}}\n\n"), None);
    }
}
