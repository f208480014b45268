//! The items that a whole response consists of, by their ids: a later call may name them.

use crate::protocol::json::{Flaw, Reader};

/// Ids are some 50 bytes long.
const ID_LIMIT_BYTES: usize = 512;

/// Items of one response. An agent's longest has some dozens.
const ITEMS_MAX: usize = 256;

/// The ids of a response's items. It may end anywhere; what was read up to there counts.
pub fn item_ids(body: &[u8]) -> Vec<String> {
    let mut ids = Vec::new();
    let mut reader = Reader::new(body);
    reader.space();
    if reader.peek() != Some(b'{') {
        return ids;
    }
    let _ = reader.object(|reader, key| match key.is(b"output") && reader.peek() == Some(b'[') {
        true => reader.array(|reader| item(reader, &mut ids)),
        false => reader.skip(),
    });
    ids
}

fn item(reader: &mut Reader<'_>, ids: &mut Vec<String>) -> Result<(), Flaw> {
    if reader.peek() != Some(b'{') {
        return reader.skip();
    }
    reader.object(|reader, key| {
        if !key.is(b"id") || reader.peek() != Some(b'"') {
            return reader.skip();
        }
        let id = reader.string()?.decode().filter(|id| !id.is_empty() && id.len() <= ID_LIMIT_BYTES);
        ids.extend(id.filter(|_| ids.len() < ITEMS_MAX));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_at_the_top_of_the_output_is_named_even_in_half_an_answer() {
        let body = br#"{"id":"resp_1","output":[{"type":"reasoning","id":"rs_1"},{"id":"msg_1","content":[{"id":"no"}]},7,{"id":8}],"x":{"output":[{"id":"no"}]}}"#;
        assert_eq!(item_ids(body), ["rs_1", "msg_1"]);
        assert_eq!(item_ids(&body[..60]), ["rs_1"]);
        for none in [&b""[..], b"[]", br#"{"output":{"id":"a"}}"#, br#"{"output":[{"id":""}]}"#] {
            assert!(item_ids(none).is_empty());
        }
        let many: String = (0..300).map(|number| format!(r#"{{"id":"i{number}"}},"#)).collect();
        assert_eq!(item_ids(format!(r#"{{"output":[{many}{{}}]}}"#).as_bytes()).len(), ITEMS_MAX);
    }
}
