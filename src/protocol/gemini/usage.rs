//! What this protocol says of usage: the cache's part is in the prompt's, the thoughts' is beside the answer's.
//! Both directions.

use crate::domain::usage::Usage;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};

use super::key;

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Option<Usage>, Flaw> {
    let (mut prompt, mut tools, mut cached, mut output, mut thoughts, mut total) = (None, 0, 0, None, 0, None);
    key::members(reader, |reader, key| {
        let value = reader.unsigned()?;
        match key {
            b"prompttokencount" => prompt = value,
            b"tooluseprompttokencount" => tools = value.unwrap_or(0),
            b"cachedcontenttokencount" => cached = value.unwrap_or(0),
            b"candidatestokencount" => output = value,
            b"thoughtstokencount" => thoughts = value.unwrap_or(0),
            b"totaltokencount" => total = value,
            _ => {}
        }
        Ok::<(), Flaw>(())
    })?;
    if prompt.is_none() && output.is_none() && total.is_none() {
        return Ok(None);
    }
    let prompt: u64 = prompt.unwrap_or(0);
    let cache_read = cached.min(prompt);
    Ok(Some(Usage {
        input: (prompt - cache_read).saturating_add(tools),
        cache_read,
        output: output.unwrap_or(0),
        reasoning: thoughts,
        ..Usage::default()
    }))
}

/// The usage of a whole answer, or of the last part of one that says it.
pub(in crate::protocol) fn usage_of_whole(body: &[u8]) -> Option<Usage> {
    let mut end = body.len();
    // Inside a string the quotes would be escaped, so only a key can read like this.
    while let Some(at) = memchr::memmem::rfind(&body[..end], br#""usageMetadata""#) {
        let mut reader = Reader::new(&body[at + br#""usageMetadata""#.len()..]);
        reader.space();
        if reader.colon()
            && let Ok(Some(usage)) = decode(&mut reader)
        {
            return Some(usage);
        }
        end = at;
    }
    None
}

pub(super) fn encode(usage: &Usage, out: &mut Vec<u8>) {
    let input = usage.input_total();
    let output = usage.output.saturating_add(usage.audio_output);
    let some = |count: u64| (count > 0).then_some(count);
    out.object(|out| {
        out.member("promptTokenCount", input).member("candidatesTokenCount", output);
        out.maybe("thoughtsTokenCount", some(usage.reasoning));
        out.maybe("cachedContentTokenCount", some(usage.cache_read));
        out.member("totalTokenCount", input.saturating_add(usage.output_total()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_disjoint_and_come_back() {
        let body = br#"{"candidates":[{"text":"\"usageMetadata\":{}"}],"usageMetadata":{"promptTokenCount":30,"cachedContentTokenCount":20,"toolUsePromptTokenCount":2,"candidatesTokenCount":4,"thoughtsTokenCount":5,"totalTokenCount":41,"promptTokensDetails":[{"modality":"TEXT","tokenCount":30}]}}"#;
        let usage = usage_of_whole(body).unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output, usage.reasoning), (12, 20, 4, 5));
        let mut out = br#"{"usageMetadata": "#.to_vec();
        encode(&usage, &mut out);
        assert_eq!(usage_of_whole(&out), Some(usage));
        assert_eq!(usage_of_whole(br#"{"usageMetadata":{}}"#), None);
    }
}
