//! Keys in either spelling. This protocol is protocol buffers as JSON: `toolConfig` and `tool_config` are one field, and
//! clients mix them.

use crate::protocol::hub::read::{Name, Values};
use crate::protocol::json::{NAME_LIMIT, Reader};

/// Members of an object, each key without its `_` and capitals: `toolconfig`.
pub(super) fn members<'a, E: From<crate::protocol::json::Flaw>>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>, Name<'_>) -> Result<(), E>,
) -> Result<bool, E> {
    reader.members(|reader, key| {
        let mut room = [0; NAME_LIMIT];
        let mut length = 0;
        for byte in key.iter().filter(|byte| **byte != b'_').take(NAME_LIMIT) {
            room[length] = byte.to_ascii_lowercase();
            length += 1;
        }
        each(reader, &room[..length])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::Flaw;

    #[test]
    fn both_spellings_are_one() {
        let mut keys = Vec::new();
        let mut reader = Reader::new(br#"{"toolConfig":1,"tool_config":2}"#);
        members(&mut reader, |reader, key| {
            keys.push(key.to_vec());
            reader.skip()?;
            Ok::<(), Flaw>(())
        })
        .unwrap();
        assert_eq!(keys, [b"toolconfig", b"toolconfig"]);
    }
}
