//! What events promises, by example and over generated input.

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
    assert_eq!(
        progress,
        Progress { events: 5, content: true, failure: None, terminal_at: Some(terminal_at), is_plain: false }
    );
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
    let large =
        format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}],"usage":{{"prompt_tokens":4}}}}"#, "x".repeat(300_000));
    let mut watch = Watch::of(Protocol::Chat);
    for read in stream(&[&large]).as_bytes().chunks(10_000) {
        watch.push(read);
    }
    assert_eq!(watch.usage().map(|usage| usage.input), Some(4));
}

#[test]
fn chunks_that_differ_in_their_words_only_are_known_again() {
    let chunk = |word: &str| {
        format!(
            r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{word}"}},"finish_reason":null}}],"obfuscation":"x{word}"}}"#
        )
    };
    let mut watch = Watch::of(Protocol::Chat);
    // The first is looked through as what may be an error, the second is learned.
    let is_plain: Vec<bool> = ["a", "b", "c", r#"\"error\":1, é"#, ""]
        .map(|word| watch.push(stream(&[&chunk(word)]).as_bytes()).is_plain)
        .into();
    assert_eq!(is_plain, [false, false, true, true, true]);
    assert!(watch.push(stream(&[&chunk("d"), &chunk("e")]).as_bytes()).is_plain);
    let other = [chunk("f").replace(":0,", ":1,"), chunk("f").replace("null", "\"stop\""), chunk("f") + "\n:"];
    for other in other {
        assert!(!watch.push(stream(&[&other]).as_bytes()).is_plain, "{other}");
    }
    assert_eq!((watch.events(), watch.ending()), (10, Ending::Clean));
}

/// Chunks around which others vary, some of them no JSON.
const ODD: [&str; 12] = [
    ROLE,
    TEXT,
    STOP,
    USAGE,
    "[DONE]",
    r#"{"choices":[{"index":0,"delta":{"content":"\"error\":{"},"finish_reason":null}],"usage":null}"#,
    r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}],"usage":null}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"a"b"},"finish_reason":null}],"usage":null}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":{"prompt_tokens":2}}"#,
    r#"{"choices":[{"index":0,"delta":{"reasoning":"b","text":"c"},"finish_reason":null}],"usage":null}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"error":"text"}"#,
    r#"{"type":"transcript.text.delta","text":"a"}"#,
];

proptest! {
    /// Byte by byte no chunk is known again, so each is looked through.
    #[test]
    fn chunks_known_again_are_seen_as_others_are(
        stream in proptest::collection::vec((0..ODD.len(), any::<bool>()), 0..24),
        size in 1..400usize,
    ) {
        let text: String = stream
            .iter()
            .map(|(at, crlf)| if *crlf { format!("data: {}\r\n\r\n", ODD[*at]) } else { format!("data: {}\n\n", ODD[*at]) })
            .collect();
        let seen = |size: usize| {
            let (mut watch, mut failures, mut terminal) = (Watch::of(Protocol::Chat), Vec::new(), 0);
            for read in text.as_bytes().chunks(size) {
                let progress = watch.push(read);
                failures.extend(progress.failure);
                terminal += usize::from(progress.terminal_at.is_some());
            }
            watch.finish();
            let is_terminated = terminal > 0;
            (watch.events(), watch.content_events(), watch.usage(), watch.ending(), failures, is_terminated)
        };
        prop_assert_eq!(seen(size), seen(1));
        prop_assert_eq!(seen(text.len().max(1)), seen(1));
    }

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
