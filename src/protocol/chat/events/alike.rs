//! Knows a chunk again that differs from one before in its words only, as nearly all of a stream's do.
//!
//! Pure. What was found in one chunk holds for all that are written the same around their words: a word can't feign a key, for
//! a quote in it would be escaped. So two comparisons and a look at the word stand for several searches through the chunk.

use crate::protocol::json::{Flaw, Reader, Text};

/// Strings that differ from chunk to chunk.
const WORDS: [&[u8]; 7] =
    [b"content", b"reasoning_content", b"reasoning", b"refusal", b"arguments", b"text", b"obfuscation"];

/// A stream whose chunks are never alike is not learned for ever; most have a kind for each thing that they tell of.
const LESSONS: u8 = 8;

#[derive(Debug, Default)]
pub(super) struct Alike {
    /// What stands before, between and behind the words; nothing until a chunk was learned.
    pieces: Vec<Box<[u8]>>,
    lessons: u8,
}

impl Alike {
    /// The length of the chunk that a read begins with, if that is all there and alike the one that was learned.
    pub(super) fn length(&self, read: &[u8]) -> Option<usize> {
        let (first, behind) = self.pieces.split_first()?;
        let mut rest = read.strip_prefix(&**first)?;
        for piece in behind {
            let mut reader = Reader::new(rest);
            reader.string().ok()?;
            rest = rest[reader.at()..].strip_prefix(&**piece)?;
        }
        Some(read.len() - rest.len())
    }

    /// Learns a chunk of one line.
    pub(super) fn learn(&mut self, chunk: &[u8]) {
        if self.lessons == LESSONS || !chunk.ends_with(b"\n\n") {
            return;
        }
        self.lessons += 1;
        self.pieces.clear();
        let Some(start) = chunk.iter().position(|byte| *byte == b'{') else { return };
        let mut words = Vec::new();
        if words_of(&mut Reader::new(&chunk[start..]), &mut words).is_err() {
            return;
        }
        let mut from = 0;
        for (word, length) in words {
            self.pieces.push(chunk[from..start + word].into());
            from = start + word + length;
        }
        self.pieces.push(chunk[from..].into());
    }
}

/// Where words stand, with their quotes, and how long they are.
fn words_of(reader: &mut Reader<'_>, words: &mut Vec<(usize, usize)>) -> Result<(), Flaw> {
    match reader.peek() {
        Some(b'{') => reader.object(|reader, key| {
            let at = reader.at();
            if is_word(key) && reader.peek() == Some(b'"') {
                reader.string()?;
                words.push((at, reader.at() - at));
                return Ok(());
            }
            words_of(reader, words)
        }),
        Some(b'[') => reader.array(|reader| words_of(reader, words)),
        _ => reader.skip(),
    }
}

fn is_word(key: Text<'_>) -> bool {
    WORDS.iter().any(|word| key.is(word))
}
