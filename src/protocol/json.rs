//! Reads JSON where it lies: the whole grammar is checked, nothing is built, nothing is copied.
//!
//! Bytes in; positions, slices and the first flaw out. Knows no field names. Speed is the point: a string's bytes are
//! looked at once, for its end, its escapes, control characters and whether UTF-8 needs a closer look.

use std::ops::Range;

/// Deeper bodies have no use that we know of, and recursion must end somewhere.
pub(super) const DEPTH_LIMIT: usize = 64;

/// The longest name that a scan compares a key with, so that an escaped key is decoded without an allocation.
pub(super) const NAME_LIMIT: usize = 48;

/// Where the grammar was left, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) what: &'static str,
    pub(super) at: usize,
}

type Read<T> = Result<T, Flaw>;

/// A string as written, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a [u8],
    pub(super) escaped: bool,
}

/// A position in a text. After `Err` it stands nowhere useful.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The byte that the next value begins with.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    pub(super) const fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { what, at: self.at }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.flaw("something follows the end of the object")) }
    }

    /// Reads an object; `each` is called at each value with its key and reads that value to its end.
    #[inline]
    pub(super) fn object<E: From<Flaw>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open()?;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.flaw("a key in quotes is missing").into());
            }
            let key = self.string()?;
            self.space();
            if !self.take(b':') {
                return Err(self.flaw("`:` is missing behind a key").into());
            }
            each(self, key)?;
            self.space();
            if self.closes(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.flaw("`,` or `}` is missing in an object").into());
            }
        }
    }

    /// Reads an array; `each` is called at each element and reads it to its end.
    #[inline]
    pub(super) fn array<E: From<Flaw>>(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.open()?;
        if self.closes(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            self.space();
            if self.closes(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.flaw("`,` or `]` is missing in an array").into());
            }
        }
    }

    #[inline]
    fn open(&mut self) -> Read<()> {
        if self.depth == DEPTH_LIMIT {
            return Err(self.flaw("objects and arrays nest deeper than 64"));
        }
        self.depth += 1;
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Takes the bracket that ends an object or array, if it stands here.
    #[inline]
    fn closes(&mut self, bracket: u8) -> bool {
        let is_here = self.peek() == Some(bracket);
        if is_here {
            self.at += 1;
            self.depth -= 1;
        }
        is_here
    }

    /// Takes a comma or colon and the white space behind it, if it stands here.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        if is_here {
            self.at += 1;
            self.space();
        }
        is_here
    }

    /// Takes the colon behind a key, if it stands here.
    pub(super) fn colon(&mut self) -> bool {
        self.take(b':')
    }

    /// Reads any value without looking at it, and says where it stood.
    pub(super) fn skip(&mut self) -> Read<Range<usize>> {
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(|reader, _| reader.skip().map(drop))?,
            Some(b'[') => self.array(|reader| reader.skip().map(drop))?,
            Some(b'"') => drop(self.string()?),
            _ => self.scalar()?,
        }
        Ok(start..self.at)
    }

    /// Reads a number, `true`, `false` or `null`.
    #[inline]
    pub(super) fn scalar(&mut self) -> Read<()> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(self.flaw("a value is missing")),
        }
    }

    /// Reads `null` if it stands here.
    pub(super) fn null(&mut self) -> Read<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word(b"null").map(|()| true)
    }

    fn word(&mut self, word: &[u8]) -> Read<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.flaw("a value is missing"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Read<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Read<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.flaw("a digit is missing in a number")) } else { Ok(()) }
    }

    /// Reads any value; `Some` where it is a whole number from zero on. `12.0` counts, for some servers write so.
    pub(super) fn unsigned(&mut self) -> Read<Option<u64>> {
        let value = self.skip()?;
        let Ok(text) = std::str::from_utf8(&self.bytes[value]) else { return Ok(None) };
        let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
        Ok(whole.map_or(text, |(whole, _)| whole).parse().ok())
    }

    /// Reads the string that begins here.
    #[inline]
    pub(super) fn string(&mut self) -> Read<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.flaw("a string is missing"));
        }
        let start = self.at + 1;
        let (mut at, mut escaped, mut high) = (start, false, 0);
        loop {
            at += plain_run(&self.bytes[at..], &mut high);
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += escape_length(&self.bytes[at..]).ok_or(Flaw { what: "an unknown escape", at })?;
                }
                Some(_) => return Err(Flaw { what: "a control character stands bare in a string", at }),
                None => return Err(Flaw { what: "a string has no end", at }),
            }
        }
        let raw = &self.bytes[start..at];
        if high & HIGH_BITS != 0 {
            check_utf8(raw, start)?;
        }
        self.at = at + 1;
        Ok(Text { raw, escaped })
    }
}

#[cold]
fn check_utf8(raw: &[u8], start: usize) -> Read<()> {
    match std::str::from_utf8(raw) {
        Ok(_) => Ok(()),
        Err(wrong) => Err(Flaw { what: "bytes that are not UTF-8", at: start + wrong.valid_up_to() }),
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The highest bit of each byte that ends a plain run. Borrows may mark bytes above the first real one, never below.
#[inline]
const fn stops(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let equal = (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash);
    (equal | control) & HIGH_BITS
}

/// Words looked at before blocks are tried: most strings of a body are keys, roles and types.
const SHORT_WORDS: usize = 4;

/// How many bytes come before the next quote, backslash or control character. Collects their high bits in `high`.
#[inline]
fn plain_run(bytes: &[u8], high: &mut u64) -> usize {
    let mut rest = bytes;
    let mut words = 0;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let stop = stops(word);
        if stop != 0 {
            let before = stop.trailing_zeros() / 8;
            *high |= word & !(u64::MAX << (before * 8));
            return bytes.len() - rest.len() + before as usize;
        }
        *high |= word;
        rest = behind;
        words += 1;
        if words == SHORT_WORDS {
            rest = skip_blocks(rest, high);
        }
    }
    for (index, byte) in rest.iter().enumerate() {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            return bytes.len() - rest.len() + index;
        }
        *high |= u64::from(*byte);
    }
    bytes.len()
}

/// Passes whole blocks that hold no stop. The loop over a block has no exit, so it compiles to vector instructions.
fn skip_blocks<'a>(bytes: &'a [u8], high: &mut u64) -> &'a [u8] {
    let mut rest = bytes;
    while let Some((block, behind)) = rest.split_first_chunk::<64>() {
        let (mut stop, mut top) = (false, 0u8);
        for byte in block {
            stop |= (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20);
            top |= *byte;
        }
        if stop {
            break;
        }
        *high |= u64::from(top);
        rest = behind;
    }
    rest
}

/// The length of the escape that begins here. Whether a surrogate has its other half is not the grammar's question.
fn escape_length(bytes: &[u8]) -> Option<usize> {
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

impl Text<'_> {
    /// The characters meant; `None` where half a surrogate pair stands alone.
    pub(super) fn decode(&self) -> Option<String> {
        let mut decoded = Vec::with_capacity(self.raw.len());
        each_piece(self.raw, |piece| {
            decoded.extend_from_slice(piece);
            true
        })?;
        String::from_utf8(decoded).ok()
    }

    /// The name meant, in `room` if it had to be decoded; `None` for what is longer than any name we know.
    #[inline]
    pub(super) fn name<'b>(&'b self, room: &'b mut [u8; NAME_LIMIT]) -> Option<&'b [u8]> {
        if self.escaped { decode_name(self.raw, room) } else { Some(self.raw) }
    }

    pub(super) fn is(&self, name: &[u8]) -> bool {
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
pub(super) fn escape_into(out: &mut Vec<u8>, text: &str) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn is_valid(bytes: &[u8]) -> bool {
        let mut reader = Reader::new(bytes);
        reader.space();
        reader.skip().and_then(|_| reader.end()).is_ok()
    }

    fn text(json: &str) -> Option<String> {
        Reader::new(json.as_bytes()).string().unwrap().decode()
    }

    #[test]
    fn a_flaw_names_the_byte_where_the_grammar_was_left() {
        for (json, at) in
            [(r#"{"a":1,}"#, 7), (r#"{"a" 1}"#, 5), ("[1 2]", 3), ("\"a\u{1}\"", 2), (r#""\x""#, 1), ("01", 1)]
        {
            let mut reader = Reader::new(json.as_bytes());
            let flaw = reader.skip().and_then(|_| reader.end()).unwrap_err();
            assert_eq!(flaw.at, at, "{json}: {}", flaw.what);
        }
    }

    #[test]
    fn nesting_ends_at_sixty_four() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_valid(nested(64).as_bytes()));
        assert!(!is_valid(nested(65).as_bytes()));
        assert!(!is_valid("[".repeat(1_000_000).as_bytes()));
    }

    #[test]
    fn escapes_are_decoded_and_half_a_surrogate_pair_is_none() {
        assert_eq!(text(r#""a\u0062\n\"\ud83d\ude00""#).as_deref(), Some("ab\n\"😀"));
        assert_eq!(text(r#""\ud83d""#), None);
        assert_eq!(text(r#""\ude00x""#), None);
        assert_eq!(text(r#""\ud83dabcdef""#), None);
    }

    #[test]
    fn a_stop_is_found_at_every_place_of_a_long_string() {
        for length in 0..300 {
            let plain = "é".repeat(length / 2) + &"a".repeat(length % 2);
            let json = format!("\"{plain}\"");
            assert_eq!(text(&json), Some(plain.clone()), "{length}");
            let broken = format!("\"{plain}\u{2}\"");
            assert_eq!(Reader::new(broken.as_bytes()).string().unwrap_err().at, plain.len() + 1);
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_found_wherever_they_stand() {
        for length in 0..200 {
            let mut json = b"\"".to_vec();
            json.resize(length + 1, b'a');
            json.push(0xff);
            json.extend(b"bcd\"");
            assert_eq!(Reader::new(&json).string().unwrap_err().at, length + 1);
        }
    }

    proptest! {
        #[test]
        fn what_we_take_is_what_a_known_parser_takes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let theirs = std::str::from_utf8(&bytes).is_ok() && serde_json::from_slice::<IgnoredAny>(&bytes).is_ok();
            prop_assert_eq!(is_valid(&bytes), theirs);
        }

        #[test]
        fn what_looks_like_json_is_judged_as_a_known_parser_judges_it(text in r#"[\[\]{}:,"\\u0-9a-e+.\-trufalsn \n\x01é]{0,24}"#) {
            prop_assert_eq!(is_valid(text.as_bytes()), serde_json::from_str::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn a_text_written_is_the_text_read(text in any::<String>()) {
            let mut json = b"\"".to_vec();
            escape_into(&mut json, &text);
            json.push(b'"');
            prop_assert_eq!(Reader::new(&json).string().unwrap().decode(), Some(text));
        }
    }
}
