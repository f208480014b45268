//! What the events of a chat stream are, and of the streams that came with it (completions, images, speech,
//! transcriptions). One event in; its kind, usage and finish out. Nothing is decoded that nobody asked for.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::errors::failure_in_body;
use super::usage::{usage_of_tail, usage_of_whole};
use crate::domain::failure::Failure;
use crate::protocol::json::{Flaw, NAME_LIMIT, Reader, Text};
use crate::protocol::sse::{self, Block};
use crate::protocol::watch::{Learned, Sight};

/// The keys without which an event behind the first content has nothing to tell.
struct Telling {
    usage: Finder<'static>,
    finish_reason: Finder<'static>,
    error: Finder<'static>,
}

static TELLING: LazyLock<Telling> = LazyLock::new(|| Telling {
    usage: Finder::new(r#""usage""#),
    finish_reason: Finder::new(r#""finish_reason""#),
    error: Finder::new(r#""error""#),
});

#[derive(Debug, Default)]
pub(in crate::protocol) struct Events {
    /// Events name their own types (images, speech), so each is read.
    are_typed: bool,
}

impl Events {
    pub(in crate::protocol) fn see(&mut self, block: Block<'_>, learned: &mut Learned) -> Sight {
        let block = match block {
            Block::Whole(block) => block,
            Block::Cut { tail, .. } => {
                learned.usage = usage_of_tail(tail).or(learned.usage);
                return Sight::Content;
            }
        };
        let Some(event) = sse::event(block) else { return Sight::Nothing };
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            return Sight::Terminal;
        }
        let has_usage = has_value(&TELLING.usage, data);
        if learned.has_content && !self.are_typed && !has_usage && !is_telling(data) {
            return Sight::Content;
        }
        if has_usage {
            learned.usage = usage_of_whole(data).or(learned.usage);
        }
        let chunk = Chunk::read(data);
        self.are_typed |= chunk.is_typed;
        learned.is_finished |= chunk.is_finished;
        chunk.sight(data)
    }
}

fn is_telling(data: &[u8]) -> bool {
    has_value(&TELLING.finish_reason, data) || has_value(&TELLING.error, data)
}

/// Is this key there with a value other than `null`? Text can't feign it: in a string the quotes are escaped.
fn has_value(key: &Finder<'_>, data: &[u8]) -> bool {
    key.find_iter(data).any(|at| {
        let behind = data[at + key.needle().len()..].trim_ascii_start();
        behind.strip_prefix(b":").is_some_and(|value| !matches!(value.trim_ascii_start().first(), None | Some(b'n')))
    })
}

/// Does this event say only what the stream used? It has no choice, and its usage is not `null`.
pub(super) fn is_usage_only(block: &[u8]) -> bool {
    if TELLING.usage.find(block).is_none() {
        return false;
    }
    let Some(event) = sse::event(block) else { return false };
    let data = event.data.trim_ascii();
    let mut only = UsageOnly::default();
    Reader::new(data).object(|reader, key| only.top(reader, key)).is_ok() && only.no_choice && only.usage
}

#[derive(Default)]
struct UsageOnly {
    no_choice: bool,
    usage: bool,
}

impl UsageOnly {
    fn top(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let is_null = reader.peek() == Some(b'n');
        if key.is(b"choices") {
            self.no_choice = reader.peek() == Some(b'[');
            return reader.array(|reader| {
                self.no_choice = false;
                reader.skip().map(drop)
            });
        }
        self.usage |= key.is(b"usage") && !is_null;
        reader.skip().map(drop)
    }
}

/// What one chunk holds.
#[derive(Default)]
struct Chunk {
    has_content: bool,
    is_finished: bool,
    is_error: bool,
    is_typed: bool,
}

impl Chunk {
    /// Reads as far as the grammar holds: a chunk that cannot be read to its end is still what it began to be.
    fn read(data: &[u8]) -> Self {
        let mut chunk = Self::default();
        if data.first() == Some(&b'{') {
            let _ = Reader::new(data).object(|reader, key| chunk.top(reader, key));
        }
        chunk
    }

    fn sight(&self, data: &[u8]) -> Sight {
        match self {
            Self { is_error: true, .. } => Sight::Failed(failure_in_body(data).unwrap_or(Failure::ErrorUnderSuccess)),
            Self { has_content: true, .. } => Sight::Content,
            Self { is_finished: true, .. } => Sight::Finish,
            _ => Sight::Lifecycle,
        }
    }

    fn top(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let mut room = [0; NAME_LIMIT];
        match (key.name(&mut room).unwrap_or_default(), reader.peek()) {
            (b"choices", Some(b'[')) => reader.array(|reader| self.choice(reader)),
            (b"error", _) => {
                self.is_error |= is_full(reader)?;
                Ok(())
            }
            (b"object", Some(b'"')) => {
                self.is_error |= reader.string()?.is(b"error");
                Ok(())
            }
            (b"type", Some(b'"')) => {
                let kind = reader.string()?.raw;
                self.is_typed = true;
                self.has_content |= kind != b"error";
                self.is_error |= kind == b"error";
                self.is_finished |= kind.ends_with(b".done") || kind.ends_with(b".completed");
                Ok(())
            }
            _ => reader.skip().map(drop),
        }
    }

    fn choice(&mut self, reader: &mut Reader<'_>) -> Result<(), Flaw> {
        if reader.peek() != Some(b'{') {
            return reader.skip().map(drop);
        }
        reader.object(|reader, key| {
            let mut room = [0; NAME_LIMIT];
            match (key.name(&mut room).unwrap_or_default(), reader.peek()) {
                (b"delta" | b"message", Some(b'{')) => reader.object(|reader, key| self.delta(reader, key)),
                (b"text", _) => {
                    self.has_content |= is_full(reader)?;
                    Ok(())
                }
                (b"finish_reason", Some(b'"')) => {
                    let reason = reader.string()?;
                    self.is_error |= reason.is(b"error");
                    self.is_finished |= !reason.is(b"error");
                    Ok(())
                }
                _ => reader.skip().map(drop),
            }
        })
    }

    fn delta(&mut self, reader: &mut Reader<'_>, key: Text<'_>) -> Result<(), Flaw> {
        let mut room = [0; NAME_LIMIT];
        let is_content = matches!(
            key.name(&mut room).unwrap_or_default(),
            b"content"
                | b"reasoning_content"
                | b"reasoning"
                | b"reasoning_details"
                | b"refusal"
                | b"tool_calls"
                | b"function_call"
                | b"audio"
                | b"images"
        );
        self.has_content |= is_full(reader)? && is_content;
        Ok(())
    }
}

/// Reads any value; is there something in it?
fn is_full(reader: &mut Reader<'_>) -> Result<bool, Flaw> {
    match reader.peek() {
        Some(b'"') => Ok(!reader.string()?.raw.is_empty()),
        Some(b'{') => {
            let mut is_full = false;
            reader.object(|reader, _| {
                is_full = true;
                reader.skip().map(drop)
            })?;
            Ok(is_full)
        }
        Some(b'[') => {
            let mut is_full = false;
            reader.array(|reader| {
                is_full = true;
                reader.skip().map(drop)
            })?;
            Ok(is_full)
        }
        first => {
            reader.scalar()?;
            Ok(!matches!(first, Some(b'n' | b'f')))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::failure::Failure;
    use crate::domain::protocol::Protocol;
    use crate::domain::usage::Usage;
    use crate::protocol::watch::{Ending, Progress, Watch};
    use proptest::prelude::*;

    const ROLE: &str =
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#;
    const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#;
    const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
    const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#;

    fn stream(events: &[&str]) -> String {
        events.iter().map(|data| format!("data: {data}\n\n")).collect()
    }

    fn watched(events: &[&str]) -> (Watch, Progress) {
        let mut watch = Watch::of(Protocol::Chat);
        let progress = watch.push(stream(events).as_bytes());
        watch.finish();
        (watch, progress)
    }

    #[test]
    fn a_whole_stream_ends_cleanly_with_its_usage() {
        let (watch, progress) = watched(&[ROLE, TEXT, STOP, USAGE, "[DONE]"]);
        let terminal_at = stream(&[ROLE, TEXT, STOP, USAGE]).len();
        assert_eq!(progress, Progress { events: 5, content: true, failure: None, terminal_at: Some(terminal_at) });
        assert_eq!(watch.ending(), Ending::Clean);
        assert_eq!(watch.usage(), Some(Usage { input: 7, output: 3, ..Usage::default() }));
        assert!(watch.at_boundary());
    }

    #[test]
    fn only_content_and_finishes_are_content() {
        for (event, is_content) in [
            (ROLE, false),
            (TEXT, true),
            (STOP, true),
            (USAGE, false),
            (r#"{"choices":[],"prompt_filter_results":[{}]}"#, false),
            (r#"{"choices":[{"delta":{"content":null,"tool_calls":[]}}]}"#, false),
            (r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c"}]}}]}"#, true),
            (r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, true),
            (r#"{"choices":[{"delta":{"refusal":"no"}}]}"#, true),
            (r#"{"choices":[{"delta":{"audio":{"id":"a"}}}]}"#, true),
            (r#"{"choices":[{"text":"x"}]}"#, true),
            (r#"{"type":"transcript.text.delta","delta":"x"}"#, true),
            ("not json", false),
        ] {
            assert_eq!(watched(&[event]).1.content, is_content, "{event}");
        }
        assert_eq!(Watch::of(Protocol::Chat).push(b": PROCESSING\n\nid: 1\n\n").events, 0);
    }

    #[test]
    fn an_error_before_content_is_a_failure_of_its_own_class() {
        let limited = r#"{"error":{"code":429,"message":"slow down"}}"#;
        let limited = watched(&[ROLE, limited]).1;
        assert_eq!((limited.content, limited.failure), (false, Some(Failure::RateLimited { retry_after: None })));
        for event in [
            r#"{"error":{"message":"boom"}}"#,
            r#"{"error":"boom"}"#,
            r#"{"object":"error","message":"boom"}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
        ] {
            let (watch, progress) = watched(&[event, "[DONE]"]);
            assert_eq!(progress.failure, Some(Failure::ErrorUnderSuccess), "{event}");
            assert_eq!(watch.ending(), Ending::Failed);
        }
        assert_eq!(watched(&[r#"{"error":null,"choices":[]}"#]).1.failure, None);
    }

    #[test]
    fn an_error_behind_content_is_told_as_such() {
        let (watch, progress) = watched(&[TEXT, r#"{"error":{"message":"boom"}}"#]);
        assert!(progress.content && progress.failure.is_some());
        assert_eq!(watch.ending(), Ending::Failed);
    }

    #[test]
    fn a_stream_without_its_end_is_cut_and_a_finish_without_done_is_clean() {
        assert_eq!(watched(&[ROLE, TEXT]).0.ending(), Ending::Cut);
        assert_eq!(watched(&[TEXT, STOP]).0.ending(), Ending::Clean);
        assert_eq!(watched(&[]).0.ending(), Ending::Cut);
        let mut watch = Watch::of(Protocol::Chat);
        watch.push(b"data: [DO");
        assert!(!watch.at_boundary());
        watch.push(b"NE]");
        watch.finish();
        assert_eq!(watch.ending(), Ending::Clean);
    }

    #[test]
    fn what_a_model_says_can_neither_end_a_stream_nor_feign_usage() {
        let text = r#"{"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":9}, \"finish_reason\":\"stop\", \"error\":1 [DONE]"},"finish_reason":null}]}"#;
        let (watch, progress) = watched(&[TEXT, text]);
        assert_eq!((watch.ending(), watch.usage(), progress.failure), (Ending::Cut, None, None));
        let word = r#"{"choices":[{"delta":{"content":"usage"}}],"usage":{"prompt_tokens":1}}"#;
        assert_eq!(watched(&[TEXT, word]).0.usage().map(|usage| usage.input), Some(1));
    }

    #[test]
    fn an_event_too_large_to_hold_still_gives_its_usage() {
        let large = format!(
            r#"{{"choices":[{{"delta":{{"content":"{}"}}}}],"usage":{{"prompt_tokens":4}}}}"#,
            "x".repeat(300_000)
        );
        let mut watch = Watch::of(Protocol::Chat);
        for read in stream(&[&large]).as_bytes().chunks(10_000) {
            watch.push(read);
        }
        assert_eq!(watch.usage().map(|usage| usage.input), Some(4));
    }

    proptest! {
        #[test]
        fn any_split_is_seen_the_same(size in 1..200usize, crlf in any::<bool>()) {
            let text = stream(&[ROLE, TEXT, TEXT, STOP, USAGE, "[DONE]"]);
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let mut watch = Watch::of(Protocol::Chat);
            let reads: Vec<Progress> = text.as_bytes().chunks(size).map(|read| watch.push(read)).collect();
            watch.finish();
            prop_assert_eq!(reads.iter().map(|read| read.events).sum::<usize>(), 6);
            prop_assert_eq!(reads.iter().filter(|read| read.terminal_at.is_some()).count(), 1);
            prop_assert_eq!((watch.ending(), watch.usage().map(|usage| usage.output)), (Ending::Clean, Some(3)));
        }

        #[test]
        fn no_bytes_make_it_panic(reads in proptest::collection::vec(any::<Vec<u8>>(), 0..8), data in r#"[\[\]{}:,"a-f0-9]{0,40}"#) {
            let mut watch = Watch::of(Protocol::Chat);
            for read in &reads {
                watch.push(read);
            }
            watch.push(format!("\n\ndata: {{\"choices\":{data}\n\n").as_bytes());
            watch.push(format!("\n\ndata: {{\"usage\":{data}\n\n").as_bytes());
            watch.finish();
        }
    }
}
