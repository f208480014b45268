//! Strings as JSON writes them, and what they mean.

/// The longest name that a scan compares a key with, so that an escaped key is decoded without an allocation.
pub(in crate::protocol) const NAME_LIMIT: usize = 48;

/// A string as written, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct Text<'a> {
    pub(in crate::protocol) raw: &'a [u8],
    pub(in crate::protocol) escaped: bool,
}

impl Text<'_> {
    /// The characters meant; `None` where half a surrogate pair stands alone.
    pub(in crate::protocol) fn decode(&self) -> Option<String> {
        let mut decoded = Vec::with_capacity(self.raw.len());
        each_piece(self.raw, |piece| {
            decoded.extend_from_slice(piece);
            true
        })?;
        String::from_utf8(decoded).ok()
    }

    /// The name meant, in `room` if it had to be decoded; `None` for what is longer than any name we know.
    #[inline]
    pub(in crate::protocol) fn name<'b>(&'b self, room: &'b mut [u8; NAME_LIMIT]) -> Option<&'b [u8]> {
        if self.escaped { decode_name(self.raw, room) } else { Some(self.raw) }
    }

    pub(in crate::protocol) fn is(&self, name: &[u8]) -> bool {
        self.name(&mut [0; NAME_LIMIT]) == Some(name)
    }
}

#[cold]
fn decode_name<'b>(raw: &[u8], room: &'b mut [u8; NAME_LIMIT]) -> Option<&'b [u8]> {
    let mut length = 0;
    each_piece(raw, |piece| {
        let Some(free) = room.get_mut(length..length + piece.len()) else { return false };
        free.copy_from_slice(piece);
        length += piece.len();
        true
    })?;
    room.get(..length)
}

/// Gives the text's pieces, escapes decoded, until `take` has had enough.
fn each_piece(raw: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (meant, length) = unescape(rest.get(at..)?)?;
        if !take(rest.get(..at)?) || !take(meant.encode_utf8(&mut [0; 4]).as_bytes()) {
            return None;
        }
        rest = rest.get(at + length..)?;
    }
    take(rest).then_some(())
}

/// The character that an escape means, and how many bytes it takes.
fn unescape(bytes: &[u8]) -> Option<(char, usize)> {
    let plain = match bytes.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(bytes),
        other => char::from(*other),
    };
    Some((plain, 2))
}

fn unescape_unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hex4(bytes.get(2..)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|meant| (meant, 6));
    }
    let second = bytes.get(6..)?.strip_prefix(b"\\u").and_then(hex4)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).map(|meant| (meant, 12))
}

/// Appends `text` as the inside of a JSON string.
pub(in crate::protocol) fn escape_into(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(byte),
        }
    }
}

/// The length of the escape that begins here. Whether a surrogate has its other half is not the grammar's question.
pub(super) fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => hex4(bytes.get(2..)?).map(|_| 6),
        _ => None,
    }
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(..4)?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}
