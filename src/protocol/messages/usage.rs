//! What this protocol says of usage: in buckets that don't overlap, but for the thoughts, which are a part of the output.
//! Both directions.

use crate::domain::usage::Usage;
use crate::protocol::hub::read::Values;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};

/// Numbers as they came. A stream says some at its beginning and some at its end, each time as they then stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let mut counts = Self::default();
        reader.members(|reader, key| {
            match key {
                b"input_tokens" => counts.input = reader.unsigned()?,
                b"cache_read_input_tokens" => counts.cache_read = reader.unsigned()?,
                b"cache_creation_input_tokens" => counts.cache_write = reader.unsigned()?,
                b"cache_creation" => counts.cache_write_1h = within(reader, b"ephemeral_1h_input_tokens")?,
                b"output_tokens" => counts.output = reader.unsigned()?,
                b"output_tokens_details" => counts.thinking = within(reader, b"thinking_tokens")?,
                _ => reader.skip()?,
            }
            Ok::<(), Flaw>(())
        })?;
        Ok(counts)
    }

    /// What is said later stands.
    pub(super) fn update(&mut self, newer: Self) {
        self.input = newer.input.or(self.input);
        self.cache_read = newer.cache_read.or(self.cache_read);
        self.cache_write = newer.cache_write.or(self.cache_write);
        self.cache_write_1h = newer.cache_write_1h.or(self.cache_write_1h);
        self.output = newer.output.or(self.output);
        self.thinking = newer.thinking.or(self.thinking);
    }

    /// `None` where nothing was said.
    pub(super) fn buckets(&self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let (written, output) = (self.cache_write.unwrap_or(0), self.output.unwrap_or(0));
        let (for_an_hour, reasoning) =
            (self.cache_write_1h.unwrap_or(0).min(written), self.thinking.unwrap_or(0).min(output));
        Some(Usage {
            input: self.input.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            cache_write_5m: written - for_an_hour,
            cache_write_1h: for_an_hour,
            output: output - reasoning,
            reasoning,
            ..Usage::default()
        })
    }
}

fn within(reader: &mut Reader<'_>, name: &[u8]) -> Result<Option<u64>, Flaw> {
    let mut found = None;
    reader.members(|reader, key| {
        let value = reader.unsigned()?;
        found = value.filter(|_| key == name).or(found);
        Ok::<(), Flaw>(())
    })?;
    Ok(found)
}

/// The usage of a whole answer.
pub(in crate::protocol) fn usage_of_whole(body: &[u8]) -> Option<Usage> {
    let mut counts = Counts::default();
    let mut reader = Reader::new(body);
    reader.space();
    // What was found before a flaw counts: a body that broke off may still have said it.
    let _ = reader.members(|reader, key| {
        match key {
            b"usage" => counts = Counts::read(reader)?,
            // The answer to a question about length alone.
            b"input_tokens" => counts.input = reader.unsigned()?.or(counts.input),
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    });
    counts.buckets()
}

/// The usage at the end of an answer whose beginning is gone: the last one in its tail. Inside a string the quotes would
/// be escaped, so only a key can read like this.
pub(in crate::protocol) fn usage_of_tail(tail: &[u8]) -> Option<Usage> {
    let at = memchr::memmem::rfind(tail, br#""usage""#)?;
    let mut reader = Reader::new(&tail[at + br#""usage""#.len()..]);
    reader.space();
    if !reader.colon() {
        return None;
    }
    Counts::read(&mut reader).ok()?.buckets()
}

pub(super) fn encode(usage: &Usage, out: &mut Vec<u8>) {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    out.object(|out| {
        out.member("input_tokens", usage.input.saturating_add(usage.audio_input));
        out.member("cache_creation_input_tokens", written).member("cache_read_input_tokens", usage.cache_read);
        if written > 0 {
            out.key("cache_creation").object(|out| {
                out.member("ephemeral_5m_input_tokens", usage.cache_write_5m);
                out.member("ephemeral_1h_input_tokens", usage.cache_write_1h);
            });
        }
        out.member("output_tokens", usage.output_total());
        if usage.reasoning > 0 {
            out.key("output_tokens_details").object(|out| {
                out.member("thinking_tokens", usage.reasoning);
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_disjoint_and_come_back() {
        let body = br#"{"type":"message","usage":{"input_tokens":3,"cache_creation_input_tokens":10,"cache_read_input_tokens":20,"cache_creation":{"ephemeral_5m_input_tokens":6,"ephemeral_1h_input_tokens":4},"output_tokens":9,"output_tokens_details":{"thinking_tokens":5},"service_tier":"standard"}}"#;
        let usage = usage_of_whole(body).unwrap();
        let expected = Usage {
            input: 3,
            cache_read: 20,
            cache_write_5m: 6,
            cache_write_1h: 4,
            output: 4,
            reasoning: 5,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        let mut out = br#"{"usage":"#.to_vec();
        encode(&usage, &mut out);
        out.push(b'}');
        assert_eq!(usage_of_whole(&out), Some(expected));
        assert_eq!(usage_of_tail(&body[10..]), Some(expected));
        assert_eq!(usage_of_whole(br#"{"content":[]}"#), None);
    }
}
