//! What the events of a Messages stream are. One event in; its kind and usage out.

mod block;
pub(in crate::protocol) mod decode;
pub(in crate::protocol) mod encode;
mod said;

pub(in crate::protocol) use block::whole;

use super::fault;
use super::usage::Counts;
use crate::protocol::hub::read::Values;
use crate::protocol::json::{Flaw, Reader, nested_text, top_text};
use crate::protocol::sse::{self, Block};
use crate::protocol::watch::{Learned, Sight};

#[derive(Debug, Default)]
pub(in crate::protocol) struct Events {
    counts: Counts,
}

impl Events {
    pub(in crate::protocol) fn see(&mut self, block: Block<'_>, learned: &mut Learned) -> Sight {
        let block = match block {
            Block::Whole(block) => block,
            // Its name stands first; what is so long holds content.
            Block::Cut { head, .. } => head,
        };
        let Some(event) = sse::event(block) else { return Sight::Nothing };
        let data = event.data.trim_ascii();
        let kind = event.name.or_else(|| top_text(data, b"type").map(|kind| kind.raw)).unwrap_or_default();
        match kind {
            b"content_block_delta" => Sight::Content,
            b"content_block_start" if begins_content(data) => Sight::Content,
            b"message_start" | b"message_delta" => {
                self.count(data, learned);
                if kind == b"message_delta" { Sight::Finish } else { Sight::Lifecycle }
            }
            b"message_stop" => Sight::Terminal,
            b"error" => Sight::Failed(fault::decode(data).failure),
            _ => Sight::Lifecycle,
        }
    }

    fn count(&mut self, data: &[u8], learned: &mut Learned) {
        let mut reader = Reader::new(data);
        // What was read before a flaw counts.
        let _ = reader.members(|reader, key| match key {
            b"usage" => self.update(reader),
            b"message" => {
                reader.members(|reader, key| if key == b"usage" { self.update(reader) } else { reader.skip() })?;
                Ok(())
            }
            _ => reader.skip(),
        });
        learned.usage = self.counts.buckets().or(learned.usage);
    }

    fn update(&mut self, reader: &mut Reader<'_>) -> Result<(), Flaw> {
        self.counts.update(Counts::read(reader)?);
        Ok(())
    }
}

/// A call has begun, or what the vendor does by itself; text and thoughts begin empty.
fn begins_content(data: &[u8]) -> bool {
    let kind = nested_text(data, b"content_block", b"type");
    kind.is_some_and(|kind| !matches!(kind.raw, b"text" | b"thinking"))
}

#[cfg(test)]
mod tests {
    use crate::domain::failure::Failure;
    use crate::domain::protocol::Protocol;
    use crate::protocol::watch::{Ending, Progress, Watch};
    use proptest::prelude::*;

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":7,"cache_read_input_tokens":2,"output_tokens":1}}}"#;
    const TEXT: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    const TOOL: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#;
    const DELTA: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#;
    const LAST: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;
    const PING: &str = r#"{"type":"ping"}"#;

    fn watched(events: &[&str], named: bool) -> (Watch, Progress) {
        let event = |data: &&str| {
            let kind = data.split('"').nth(3).unwrap_or_default();
            if named { format!("event: {kind}\ndata: {data}\n\n") } else { format!("data: {data}\n\n") }
        };
        let mut watch = Watch::of(Protocol::Messages);
        let progress = watch.push(events.iter().map(event).collect::<String>().as_bytes());
        watch.finish();
        (watch, progress)
    }

    #[test]
    fn a_whole_stream_ends_cleanly_with_the_usage_of_both_its_ends() {
        for named in [true, false] {
            let (watch, progress) = watched(&[START, PING, TEXT, DELTA, LAST, STOP], named);
            assert!(progress.content && progress.terminal_at.is_some() && progress.failure.is_none());
            let usage = watch.usage().unwrap();
            assert_eq!((usage.input, usage.cache_read, usage.output), (7, 2, 9));
            assert_eq!(watch.ending(), Ending::Clean);
        }
    }

    #[test]
    fn only_content_is_content() {
        assert!(!watched(&[START, PING, TEXT], true).1.content);
        assert!(watched(&[START, TOOL], true).1.content);
        assert!(watched(&[START, DELTA], true).1.content);
    }

    #[test]
    fn an_error_is_a_failure_of_its_class_and_a_stream_without_its_last_event_is_cut() {
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let (watch, progress) = watched(&[START, error], true);
        assert_eq!((progress.failure, watch.ending()), (Some(Failure::Overloaded(529)), Ending::Failed));
        assert_eq!(watched(&[START, DELTA, LAST], true).0.ending(), Ending::Cut);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(json in r#"[\[\]{}:,"a-f0-9]{0,40}"#, bytes in any::<Vec<u8>>()) {
            let mut watch = Watch::of(Protocol::Messages);
            watch.push(&bytes);
            for kind in ["message_start", "message_delta", "content_block_start", "error"] {
                watch.push(format!("\n\nevent: {kind}\ndata: {{\"message\":{json}\n\n").as_bytes());
                watch.push(format!("data: {{\"type\":\"{kind}\",\"usage\":{json}\n\n").as_bytes());
            }
        }
    }
}
