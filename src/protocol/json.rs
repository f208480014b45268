//! Reads JSON where it lies: the whole grammar is checked, nothing is built, nothing is copied.
//!
//! Bytes in; positions, slices and the first flaw out. Knows no field names. Speed is the point: nearly all bytes of a
//! body lie in its strings, which `string` reads.

mod look;
mod string;
mod text;

use std::ops::Range;

pub(super) use look::{nested_text, top_text};
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
    /// How many more values and keys are read.
    left: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self::bounded(bytes, usize::MAX)
    }

    /// Gives up behind so many values and keys.
    pub(super) const fn bounded(bytes: &'a [u8], values: usize) -> Self {
        Self { bytes, at: 0, depth: 0, left: values }
    }

    /// Has it given up?
    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
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

    /// Counts a value or key.
    #[inline]
    fn count(&mut self) -> Read<()> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { Err(self.flaw("there are too many values")) } else { Ok(()) }
    }

    #[inline]
    fn open(&mut self) -> Read<()> {
        self.count()?;
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

    /// Reads any value, and gives it as written.
    pub(super) fn value(&mut self) -> Read<&'a [u8]> {
        self.place().map(|place| &self.bytes[place])
    }

    /// Reads a number, `true`, `false` or `null`.
    #[inline]
    pub(super) fn scalar(&mut self) -> Read<()> {
        self.count()?;
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
        let text = &self.bytes[value];
        let (whole, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let is_whole = match rest {
            [] => true,
            [b'.', zeros @ ..] => zeros.iter().all(|digit| *digit == b'0'),
            _ => false,
        };
        let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        Ok(whole.iter().try_fold(0, add).filter(|_| is_whole))
    }

    /// Reads any value; `Some` where it is a number, as it is written.
    pub(super) fn decimal(&mut self) -> Read<Option<&'a str>> {
        let value = self.place()?;
        let text = &self.bytes[value];
        let is_number = text.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-');
        Ok(std::str::from_utf8(text).ok().filter(|_| is_number))
    }

    /// Reads the string that begins here.
    #[inline]
    pub(super) fn string(&mut self) -> Read<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.flaw("a string is missing"));
        }
        self.count()?;
        let start = self.at + 1;
        let text = string::read(&self.bytes[start..]).ok_or_else(|| string::flaw(self.bytes, start))?;
        self.at = start + text.raw.len() + 1;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
