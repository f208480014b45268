//! What the events of a Responses stream are. One event in; its kind, usage and the response's id out.

pub(in crate::protocol) mod decode;
pub(in crate::protocol) mod encode;
pub(in crate::protocol) mod object;
mod said;

use crate::domain::failure::Failure;
use crate::protocol::chat::errors::failure_in_body;
use crate::protocol::chat::usage::{usage_of_tail, usage_of_whole};
use crate::protocol::json::{Text, nested_text, top_text};
use crate::protocol::sse::{self, Block};
use crate::protocol::watch::{Learned, Sight};

/// Items of one response that nobody has taken note of yet. A response has a few, an agent's longest some dozens.
const ITEMS_MAX: usize = 256;

/// Ids are some 50 bytes long.
const ID_LIMIT_BYTES: usize = 512;

#[derive(Debug)]
pub(in crate::protocol) struct Events;

impl Events {
    pub(in crate::protocol) fn see(&mut self, block: Block<'_>, learned: &mut Learned) -> Sight {
        let (block, tail) = match block {
            Block::Whole(block) => (block, None),
            Block::Cut { head, tail } => (head, Some(tail)),
        };
        let Some(event) = sse::event(block) else { return Sight::Nothing };
        let data = event.data.trim_ascii();
        // Some servers add the sentinel of chat. It ends nothing that its own last event had not ended.
        if data == b"[DONE]" {
            return Sight::Lifecycle;
        }
        let kind = event.name.or_else(|| top_type(data)).unwrap_or_default();
        if learned.object_id.is_none() {
            learned.object_id = response_id(data);
        }
        if kind == b"response.output_item.added" && learned.item_ids.len() < ITEMS_MAX {
            learned.item_ids.extend(item_id(data));
        }
        match kind {
            b"response.completed" | b"response.incomplete" | b"response.cancelled" => {
                learned.usage = usage(data, tail).or(learned.usage);
                Sight::Terminal
            }
            b"response.failed" => {
                learned.usage = usage(data, tail).or(learned.usage);
                Sight::Failed(failure_in_body(data).unwrap_or(Failure::ErrorUnderSuccess))
            }
            b"error" => Sight::Failed(failure_in_body(data).unwrap_or(Failure::ErrorUnderSuccess)),
            b"response.output_item.added" if calls_tool(data) => Sight::Content,
            kind if kind.ends_with(b".delta") || kind.ends_with(b".partial_image") => Sight::Content,
            _ => Sight::Lifecycle,
        }
    }
}

fn usage(data: &[u8], tail: Option<&[u8]>) -> Option<crate::domain::usage::Usage> {
    tail.map_or_else(|| usage_of_whole(data), usage_of_tail)
}

/// The event's own name for itself; nearly always the first key.
fn top_type(data: &[u8]) -> Option<&[u8]> {
    top_text(data, b"type").map(|text| text.raw)
}

/// Is the item that begins a call of a tool?
fn calls_tool(data: &[u8]) -> bool {
    nested_text(data, b"item", b"type").is_some_and(|kind| kind.raw.ends_with(b"_call"))
}

fn response_id(data: &[u8]) -> Option<String> {
    id_of(nested_text(data, b"response", b"id"))
}

fn item_id(data: &[u8]) -> Option<String> {
    id_of(nested_text(data, b"item", b"id"))
}

fn id_of(text: Option<Text<'_>>) -> Option<String> {
    text.and_then(|id| id.decode()).filter(|id| !id.is_empty() && id.len() <= ID_LIMIT_BYTES)
}

#[cfg(test)]
mod tests {
    use crate::domain::failure::Failure;
    use crate::domain::protocol::Protocol;
    use crate::protocol::watch::{Ending, Progress, Watch};
    use proptest::prelude::*;

    const CREATED: &str =
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","error":null,"usage":null}}"#;
    const DELTA: &str = r#"{"type":"response.output_text.delta","delta":"Hi"}"#;
    const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"resp_1","usage":{"input_tokens":7,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2}}}}"#;

    fn stream(events: &[&str], named: bool) -> String {
        let event = |data: &&str| {
            let kind = data.split('"').nth(3).unwrap_or_default();
            if named { format!("event: {kind}\ndata: {data}\n\n") } else { format!("data: {data}\n\n") }
        };
        events.iter().map(event).collect()
    }

    fn watched(events: &[&str]) -> (Watch, Progress) {
        let mut watch = Watch::of(Protocol::Responses);
        let progress = watch.push(stream(events, true).as_bytes());
        watch.finish();
        (watch, progress)
    }

    #[test]
    fn a_completed_response_gives_usage_id_and_a_clean_end() {
        for named in [true, false] {
            let mut watch = Watch::of(Protocol::Responses);
            let terminal_at = stream(&[CREATED, DELTA], named).len();
            let progress = watch.push(stream(&[CREATED, DELTA, COMPLETED], named).as_bytes());
            assert_eq!(
                progress,
                Progress { events: 3, content: true, failure: None, terminal_at: Some(terminal_at), is_plain: false }
            );
            let usage = watch.usage().unwrap();
            assert_eq!((usage.input, usage.output, usage.reasoning), (7, 3, 2));
            assert_eq!((watch.object_id(), watch.ending()), (Some("resp_1"), Ending::Clean));
        }
    }

    #[test]
    fn items_begin_without_content_unless_they_call_a_tool() {
        let item =
            |kind: &str| format!(r#"{{"type":"response.output_item.added","item":{{"id":"i","type":"{kind}"}}}}"#);
        assert!(!watched(&[CREATED, &item("message")]).1.content);
        assert!(!watched(&[CREATED, &item("reasoning")]).1.content);
        assert!(watched(&[CREATED, &item("function_call")]).1.content);
        assert!(watched(&[r#"{"type":"response.refusal.delta","delta":"no"}"#]).1.content);
    }

    #[test]
    fn both_kinds_of_error_are_failures_with_their_class() {
        let flat = r#"{"type":"error","code":"rate_limit_exceeded","message":"slow down"}"#;
        let failed =
            r#"{"type":"response.failed","response":{"id":"r","error":{"code":"server_error","message":"boom"}}}"#;
        assert_eq!(watched(&[CREATED, flat]).1.failure, Some(Failure::RateLimited { retry_after: None }));
        let (watch, progress) = watched(&[CREATED, failed]);
        assert_eq!((progress.failure, watch.ending()), (Some(Failure::ErrorUnderSuccess), Ending::Failed));
    }

    #[test]
    fn a_response_without_its_last_event_is_cut() {
        assert_eq!(watched(&[CREATED, DELTA]).0.ending(), Ending::Cut);
    }

    #[test]
    fn the_usage_of_a_large_response_is_read_from_its_end() {
        let text = "x".repeat(200_000);
        let large = format!(
            r#"{{"type":"response.completed","response":{{"id":"r","output":["{text}"],"usage":{{"input_tokens":3}}}}}}"#
        );
        let mut watch = Watch::of(Protocol::Responses);
        for read in stream(&[&large], true).as_bytes().chunks(9_000) {
            watch.push(read);
        }
        assert_eq!((watch.usage().map(|usage| usage.input), watch.ending()), (Some(3), Ending::Clean));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(json in r#"[\[\]{}:,"a-f0-9]{0,40}"#, bytes in any::<Vec<u8>>()) {
            let mut watch = Watch::of(Protocol::Responses);
            watch.push(&bytes);
            for kind in ["response.completed", "error", "response.output_item.added"] {
                watch.push(format!("\n\nevent: {kind}\ndata: {{\"response\":{json}\n\n").as_bytes());
                watch.push(format!("data: {{\"type\":\"{kind}\",\"item\":{json}\n\n").as_bytes());
            }
        }
    }
}
