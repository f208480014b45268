//! Reads JSON where it lies: the whole grammar is checked, nothing is built, nothing is copied.
//!
//! Bytes in; positions, slices and the first flaw out. Knows no field names. Speed is the point: a string's bytes are
//! looked at once, for its end, its escapes, control characters and whether UTF-8 needs a closer look.

mod text;

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use text::escape_length;
pub(super) use text::{NAME_LIMIT, Text, escape_into};

/// Deeper bodies have no use that we know of, and recursion must end somewhere.
pub(super) const DEPTH_LIMIT: usize = 64;

/// Where the grammar was left, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) what: &'static str,
    pub(super) at: usize,
}

type Read<T> = Result<T, Flaw>;

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

    /// Reads any value without looking at it.
    pub(super) fn skip(&mut self) -> Read<()> {
        match self.peek() {
            Some(b'{') => self.object(|reader, _| reader.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b'"') => self.string().map(|_| ()),
            _ => self.scalar(),
        }
    }

    /// Reads any value, and says where it stood.
    pub(super) fn place(&mut self) -> Read<Range<usize>> {
        let start = self.at;
        self.skip()?;
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

    /// Is the value here `null`, or an empty string, list or object?
    pub(super) fn is_at_nothing(&self) -> bool {
        let (Some(first), rest) = (self.peek(), self.bytes.get(self.at + 1..).unwrap_or_default()) else { return true };
        match first {
            b'n' => true,
            b'"' => rest.first() == Some(&b'"'),
            b'[' => rest.trim_ascii_start().first() == Some(&b']'),
            b'{' => rest.trim_ascii_start().first() == Some(&b'}'),
            _ => false,
        }
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
        let value = self.place()?;
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
        let (raw, escaped) = match short(&self.bytes[start..]) {
            Some(raw) => (raw, false),
            None => long(&self.bytes[start..]).ok_or_else(|| flaw_in_string(self.bytes, start))?,
        };
        self.at = start + raw.len() + 1;
        Ok(Text { raw, escaped })
    }
}

/// A string that ends within a few words, without escapes and in ASCII: most keys, roles and types.
#[inline]
fn short(bytes: &[u8]) -> Option<&[u8]> {
    let (mut rest, mut high) = (bytes, 0);
    for _ in 0..SHORT_WORDS {
        let (word, behind) = rest.split_first_chunk::<8>()?;
        let word = u64::from_le_bytes(*word);
        let stop = stops(word);
        if stop != 0 {
            let before = stop.trailing_zeros() / 8;
            let end = bytes.len() - rest.len() + before as usize;
            let top = high | word & !(u64::MAX << (before * 8));
            return (bytes[end] == b'"' && top & HIGH_BITS == 0).then(|| &bytes[..end]);
        }
        high |= word;
        rest = behind;
    }
    None
}

/// Any string, by vector instructions: its end, then control characters, escapes and UTF-8 of what lies before it.
fn long(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let raw = &bytes[..closing_quote(bytes)?];
    // A loop without an exit compiles to vector instructions.
    let (mut least, mut top) = (u8::MAX, 0_u8);
    for byte in raw {
        least = least.min(*byte);
        top |= *byte;
    }
    let mut from = 0;
    while let Some(found) = memchr(b'\\', &raw[from..]) {
        from += found + escape_length(&raw[from + found..])?;
    }
    let is_text = least >= 0x20 && (top < 0x80 || simdutf8::basic::from_utf8(raw).is_ok());
    is_text.then_some((raw, from > 0))
}

/// The first quote with no backslash before it, or an even number of them. Each run of backslashes is counted once,
/// for it ends at a quote.
fn closing_quote(bytes: &[u8]) -> Option<usize> {
    memchr_iter(b'"', bytes)
        .find(|at| bytes[..*at].iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2))
}

/// What exactly is wrong with a string that is not one.
#[cold]
fn flaw_in_string(bytes: &[u8], start: usize) -> Flaw {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => match escape_length(&bytes[at..]) {
                Some(length) => at += length,
                None => return Flaw { what: "an unknown escape", at },
            },
            0..0x20 => return Flaw { what: "a control character stands bare in a string", at },
            _ => at += 1,
        }
    }
    match std::str::from_utf8(&bytes[start..at]) {
        Err(wrong) if at < bytes.len() => Flaw { what: "bytes that are not UTF-8", at: start + wrong.valid_up_to() },
        _ => Flaw { what: "a string has no end", at },
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

/// Words looked at before vectors are tried.
const SHORT_WORDS: usize = 4;

#[cfg(test)]
mod tests;
