//! What the events of a Gemini stream are. They have no names, and all one shape; the last has a reason to finish.

pub(in crate::protocol) mod decode;
pub(in crate::protocol) mod encode;
mod said;

use super::fault;
use super::usage::usage_of_whole;
use crate::protocol::sse::{self, Block};
use crate::protocol::watch::{Learned, Sight};
use said::Chunk;

#[derive(Debug)]
pub(in crate::protocol) struct Events;

impl Events {
    pub(in crate::protocol) fn see(&mut self, block: Block<'_>, learned: &mut Learned) -> Sight {
        let block = match block {
            Block::Whole(block) => block,
            Block::Cut { tail, .. } => {
                learned.usage = usage_of_whole(tail).or(learned.usage);
                return Sight::Content;
            }
        };
        let Some(event) = sse::event(block) else { return Sight::Nothing };
        let data = event.data.trim_ascii();
        // It counts on with every event, and the last is the whole.
        learned.usage = usage_of_whole(data).or(learned.usage);
        let Ok(chunk) = Chunk::read(data) else { return Sight::Lifecycle };
        learned.is_finished |= chunk.reason.is_some() || chunk.is_blocked;
        match chunk {
            Chunk { is_error: true, .. } => Sight::Failed(fault::decode(data).failure),
            chunk if chunk.has_content() => Sight::Content,
            Chunk { reason: Some(_), .. } | Chunk { is_blocked: true, .. } => Sight::Finish,
            _ => Sight::Lifecycle,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::failure::Failure;
    use crate::domain::protocol::Protocol;
    use crate::protocol::watch::{Ending, Progress, Watch};
    use proptest::prelude::*;

    const FIRST: &str = r#"{"candidates":[{"content":{"role":"model"}}],"usageMetadata":{"promptTokenCount":7}}"#;
    const TEXT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"}}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":1}}"#;
    const CALL: &str = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]}}]}"#;
    const LAST: &str = r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":3}}"#;
    const BLOCKED: &str = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":7}}"#;

    fn watched(events: &[&str]) -> (Watch, Progress) {
        let mut watch = Watch::of(Protocol::Gemini);
        let text: String = events.iter().map(|data| format!("data: {data}\r\n\r\n")).collect();
        let progress = watch.push(text.as_bytes());
        watch.finish();
        (watch, progress)
    }

    #[test]
    fn a_stream_that_gave_its_reason_is_whole_and_its_last_usage_counts() {
        let (watch, progress) = watched(&[FIRST, TEXT, LAST]);
        assert!(progress.content && progress.failure.is_none());
        assert_eq!((watch.ending(), watch.usage().map(|usage| usage.output)), (Ending::Clean, Some(3)));
        assert_eq!(watched(&[FIRST, TEXT]).0.ending(), Ending::Cut);
        assert_eq!(watched(&[BLOCKED]).0.ending(), Ending::Clean);
    }

    #[test]
    fn only_content_is_content() {
        assert!(!watched(&[FIRST]).1.content);
        assert!(watched(&[CALL]).1.content && watched(&[TEXT]).1.content && watched(&[BLOCKED]).1.content);
        let error = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
        let (watch, progress) = watched(&[FIRST, error]);
        assert_eq!((progress.failure, watch.ending()), (Some(Failure::Overloaded(503)), Ending::Failed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(json in r#"[\[\]{}:,"a-f0-9]{0,40}"#, bytes in any::<Vec<u8>>()) {
            let mut watch = Watch::of(Protocol::Gemini);
            watch.push(&bytes);
            for key in ["candidates", "usageMetadata", "error", "promptFeedback"] {
                watch.push(format!("\n\ndata: {{\"{key}\":{json}\n\n").as_bytes());
            }
        }
    }
}
