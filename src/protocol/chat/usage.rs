//! Reads what a provider says of usage, in all the spellings of chat completions, Responses and their imitators.
//!
//! Bytes in, disjoint buckets out. Only the usage object is looked at; everything else in an answer is passed over.

use crate::domain::money::Nanodollars;
use crate::domain::usage::Usage;
use crate::protocol::catalogue::dollars;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, NAME_LIMIT, Reader, Text};

/// The usage of a whole answer: its top-level `usage`, or where rerankers put it.
pub fn usage_of_whole(body: &[u8]) -> Option<Usage> {
    let mut found = Places::default();
    let mut reader = Reader::new(body);
    reader.space();
    if reader.peek() == Some(b'{') {
        // What was found before a flaw counts: a body that broke off may still have said it.
        let _ = reader.object(|reader, key| found.top(reader, key));
    }
    found.best()
}

/// Where usage may stand, the most telling first.
#[derive(Default)]
struct Places {
    usage: Option<Said>,
    groq: Option<Said>,
    meta: Option<Said>,
    response: Option<Said>,
}

impl Places {
    fn top(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let mut room = [0; NAME_LIMIT];
        let name = key.name(&mut room).unwrap_or_default();
        match (name, reader.peek()) {
            (b"usage", Some(b'{')) => self.usage = Some(Said::read(reader)?),
            (b"x_groq", Some(b'{')) => reader.object(|reader, key| within(reader, key, b"usage", &mut self.groq))?,
            (b"meta", Some(b'{')) => reader.object(|reader, key| within(reader, key, b"tokens", &mut self.meta))?,
            (b"response", Some(b'{')) => {
                reader.object(|reader, key| within(reader, key, b"usage", &mut self.response))?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn best(self) -> Option<Usage> {
        let said = self.usage.or(self.response).or(self.groq).or(self.meta)?;
        said.is_any().then(|| said.buckets())
    }
}

fn within(reader: &mut Reader<'_>, key: Text<'_>, name: &[u8], into: &mut Option<Said>) -> Result<(), Flaw> {
    if key.is(name) && reader.peek() == Some(b'{') {
        *into = Some(Said::read(reader)?);
        return Ok(());
    }
    reader.skip()
}

/// The usage at the end of an event that was too large to be kept whole: the last `"usage":{…}` in its tail. Inside a
/// string the quotes would be escaped, so only a key can read like this.
pub fn usage_of_tail(tail: &[u8]) -> Option<Usage> {
    let mut end = tail.len();
    while let Some(behind) = last_usage_key(&tail[..end]) {
        let mut reader = Reader::new(&tail[behind..]);
        reader.space();
        if reader.colon()
            && reader.peek() == Some(b'{')
            && let Some(said) = Said::read(&mut reader).ok().filter(Said::is_any)
        {
            return Some(said.buckets());
        }
        end = behind - 1;
    }
    None
}

/// Where the last `"usage"` ends. Looked for by its rarest letter: it nearly always stands in the last hundred bytes,
/// where the preparations of a search for the whole word would cost more than the search.
fn last_usage_key(text: &[u8]) -> Option<usize> {
    let mut letters = memchr::memrchr_iter(b'g', text);
    letters.find(|at| text[..*at].ends_with(br#""usa"#) && text[*at..].starts_with(br#"ge""#)).map(|at| at + 3)
}

/// The numbers as the provider says them, with its overlaps.
#[derive(Debug, Default)]
struct Said {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    reasoning: u64,
    audio_input: u64,
    audio_output: u64,
    cost: Option<Nanodollars>,
}

impl Said {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let mut said = Self::default();
        reader.object(|reader, key| said.field(reader, key))?;
        Ok(said)
    }

    fn field(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let mut room = [0; NAME_LIMIT];
        match key.name(&mut room).unwrap_or_default() {
            b"prompt_tokens" | b"input_tokens" => self.input = reader.unsigned()?,
            b"completion_tokens" | b"output_tokens" => self.output = reader.unsigned()?,
            b"total_tokens" => self.total = reader.unsigned()?,
            // OpenRouter and its like say what they charge, in dollars.
            b"cost" => self.cost = reader.decimal()?.and_then(dollars),
            b"prompt_cache_hit_tokens" => self.cache_read = reader.unsigned()?.unwrap_or(0),
            b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
                self.details(reader, Self::input_detail)?;
            }
            b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
                self.details(reader, Self::output_detail)?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn details(
        &mut self,
        reader: &mut Reader<'_>,
        detail: for<'a> fn(&'a mut Self, &[u8]) -> Option<&'a mut u64>,
    ) -> Result<(), Flaw> {
        if reader.peek() != Some(b'{') {
            return reader.skip();
        }
        reader.object(|reader, key| {
            let value = reader.unsigned()?;
            let mut room = [0; NAME_LIMIT];
            if let (Some(bucket), Some(value)) = (detail(self, key.name(&mut room).unwrap_or_default()), value) {
                *bucket = value;
            }
            Ok(())
        })
    }

    fn input_detail(&mut self, name: &[u8]) -> Option<&mut u64> {
        match name {
            b"cached_tokens" => Some(&mut self.cache_read),
            b"cache_write_tokens" => Some(&mut self.cache_write),
            b"audio_tokens" => Some(&mut self.audio_input),
            _ => None,
        }
    }

    fn output_detail(&mut self, name: &[u8]) -> Option<&mut u64> {
        match name {
            b"reasoning_tokens" => Some(&mut self.reasoning),
            b"audio_tokens" => Some(&mut self.audio_output),
            _ => None,
        }
    }

    const fn is_any(&self) -> bool {
        self.input.is_some() || self.output.is_some() || self.total.is_some()
    }

    /// Makes the overlaps disjoint. Details are parts of their totals, unless the provider's own sum says that it
    /// counts them beside: some do so with reasoning, some with the cache.
    fn buckets(&self) -> Usage {
        let (mut input, mut output) = self.sides();
        let sum = input.saturating_add(output);
        match self.total {
            Some(total) if total > sum && total == sum.saturating_add(self.reasoning) => {
                output = output.saturating_add(self.reasoning);
            }
            Some(total) if total > sum && total == sum.saturating_add(self.cache_read) => {
                input = input.saturating_add(self.cache_read);
            }
            _ => {}
        }
        let cache_read = take(&mut input, self.cache_read);
        let cache_write_5m = take(&mut input, self.cache_write);
        let audio_input = take(&mut input, self.audio_input);
        let reasoning = take(&mut output, self.reasoning);
        let audio_output = take(&mut output, self.audio_output);
        let cost = self.cost;
        Usage {
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h: 0,
            output,
            reasoning,
            audio_input,
            audio_output,
            cost,
        }
    }

    /// Input and output, one worked out from the total where only that is said.
    fn sides(&self) -> (u64, u64) {
        let total = self.total.unwrap_or(0);
        match (self.input, self.output) {
            (Some(input), Some(output)) => (input, output),
            (Some(input), None) => (input, total.saturating_sub(input)),
            (None, Some(output)) => (total.saturating_sub(output), output),
            (None, None) => (total, 0),
        }
    }
}

/// Moves at most this much out of a bucket, so that no sum exceeds what was said.
fn take(from: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*from);
    *from -= taken;
    taken
}

/// Writes usage as chat counts it: details are parts of their totals.
pub(in crate::protocol) fn encode(usage: &Usage, out: &mut Vec<u8>) {
    let (input, output) = (usage.input_total(), usage.output_total());
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    out.object(|out| {
        out.member("prompt_tokens", input).member("completion_tokens", output);
        out.member("total_tokens", input.saturating_add(output));
        out.key("prompt_tokens_details").object(|out| {
            out.member("cached_tokens", usage.cache_read).member("audio_tokens", usage.audio_input);
            out.maybe("cache_write_tokens", (written > 0).then_some(written));
        });
        out.key("completion_tokens_details").object(|out| {
            out.member("reasoning_tokens", usage.reasoning).member("audio_tokens", usage.audio_output);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(fields: &str) -> Usage {
        usage_of_whole(format!(r#"{{"choices":[{{"usage":{{"prompt_tokens":9}}}}],"usage":{{{fields}}}}}"#).as_bytes())
            .unwrap()
    }

    #[test]
    fn details_are_parts_and_each_unit_is_in_one_bucket() {
        let said = usage(
            r#""prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":10,"audio_tokens":5},
            "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":null}"#,
        );
        let wanted = Usage {
            input: 55,
            cache_read: 30,
            cache_write_5m: 10,
            audio_input: 5,
            output: 30,
            reasoning: 20,
            ..Usage::default()
        };
        assert_eq!(said, wanted);
        assert_eq!((said.input_total(), said.output_total()), (100, 50));
    }

    #[test]
    fn details_counted_beside_the_totals_are_told_by_the_sum() {
        let said = usage(
            r#""prompt_tokens":10,"completion_tokens":5,"total_tokens":40,"completion_tokens_details":{"reasoning_tokens":25}"#,
        );
        assert_eq!((said.output, said.reasoning), (5, 25));
        let said = usage(
            r#""prompt_tokens":10,"completion_tokens":5,"total_tokens":35,"prompt_tokens_details":{"cached_tokens":20}"#,
        );
        assert_eq!((said.input, said.cache_read), (10, 20));
    }

    #[test]
    fn every_spelling_is_understood() {
        let deepseek = usage(r#""prompt_tokens":10,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6"#);
        assert_eq!((deepseek.input, deepseek.cache_read), (6, 4));
        let image = usage(r#""input_tokens":7,"output_tokens":3.0,"input_tokens_details":{"image_tokens":2}"#);
        assert_eq!((image.input, image.output), (7, 3));
        let speech = usage(r#""type":"tokens","input_tokens":7,"input_token_details":{"audio_tokens":6}"#);
        assert_eq!((speech.input, speech.audio_input), (1, 6));
        assert_eq!(usage(r#""total_tokens":8"#).input, 8);
        for other in [
            r#"{"x_groq":{"id":"r","usage":{"prompt_tokens":1}}}"#,
            r#"{"results":[],"meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":1}}}"#,
            r#"{"type":"response.completed","response":{"output":[],"usage":{"input_tokens":1}}}"#,
        ] {
            assert_eq!(usage_of_whole(other.as_bytes()).map(|said| said.input), Some(1), "{other}");
        }
    }

    #[test]
    fn what_the_provider_charges_is_taken_as_it_is_written() {
        let charged =
            |cost: &str| usage(&format!(r#""prompt_tokens":1,"cost":{cost}"#)).cost.map(|cost| cost.to_string());
        assert_eq!(charged("0.00014").as_deref(), Some("0.00014"));
        assert_eq!(charged("1.4e-05").as_deref(), Some("0.000014"));
        assert_eq!(charged("0").as_deref(), Some("0"));
        for unsaid in ["null", "-1", "\"free\"", r#"{"total_cost":1}"#] {
            assert_eq!(charged(unsaid), None, "{unsaid}");
        }
    }

    #[test]
    fn nothing_said_is_none_and_not_zero() {
        for body in ["", "[]", "{}", r#"{"usage":null}"#, r#"{"usage":{}}"#, r#"{"usage":{"seconds":3}}"#, "<html>"] {
            assert_eq!(usage_of_whole(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_last_usage_of_a_tail_counts_and_text_cannot_feign_one() {
        let tail = br#"..."},"usage":{"input_tokens":5,"output_tokens":2},"metadata":{"usage":"{}"},"x":"\"usage\":{\"input_tokens\":9}"}"#;
        assert_eq!(usage_of_tail(tail).map(|said| said.input), Some(5));
        assert_eq!(usage_of_tail(br#""usage""#), None);
    }

    proptest! {
        #[test]
        fn sums_never_exceed_what_was_said(said in proptest::array::uniform7(0..50u64)) {
            let [input, output, cached, written, reasoning, audio_in, audio_out] = said;
            let usage = usage(&format!(
                r#""prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{},
                "prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{written},"audio_tokens":{audio_in}}},
                "completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":{audio_out}}}"#,
                input + output,
            ));
            prop_assert_eq!((usage.input_total(), usage.output_total()), (input, output));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), at in 0..100usize) {
            let mut tail = bytes.clone();
            tail.splice(at.min(bytes.len())..at.min(bytes.len()), *br#""usage":{"#);
            let _ = (usage_of_whole(&bytes), usage_of_tail(&tail));
        }
    }
}
