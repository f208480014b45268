//! Every answer that a client of Responses gets is one of Open Responses: by the published schema, and by what its text
//! says of the order, the numbers and the sums of events.

use std::collections::BTreeMap;

use keyway::domain::protocol::Protocol;
use keyway::domain::refusal::Refusal;
use keyway::protocol::{Watch, broken_event, refusal_event, translate};
use serde_json::{Value, json};

use super::schema::Document;
use super::{about, asked, cases, maker, streamed};

const DOCUMENT: &str = "tests/data/openresponses-2026-04-24.json";
const EVENTS: &str = "/paths/~1responses/post/responses/200/content/text~1event-stream/schema";

#[test]
fn every_whole_answer_is_an_open_response() {
    let document = Document::read(DOCUMENT);
    for case in cases().iter().filter(|case| case.protocol != Protocol::Responses) {
        let Some(body) = case.read("answer.json") else { continue };
        let asked = asked(Protocol::Responses);
        if let Ok(whole) = translate::whole(case.protocol, &body, maker(), &asked, &about()) {
            let response: Value = serde_json::from_slice(&whole.body).unwrap();
            let checked = document.check(document.component("ResponseResource"), &response);
            assert_eq!(checked, Ok(()), "{}: {response}", case.folder.display());
        }
    }
}

#[test]
fn every_stream_is_one_of_open_responses() {
    let document = Document::read(DOCUMENT);
    for case in cases().iter().filter(|case| case.protocol != Protocol::Responses) {
        let Some(stream) = case.stream() else { continue };
        let (out, _) = streamed(case, Protocol::Responses, &[&stream]);
        let out = String::from_utf8(out).unwrap();
        let name = case.folder.display().to_string();
        let mut blocks: Vec<&str> = out.split_terminator("\n\n").collect();
        assert_eq!(blocks.pop(), Some("data: [DONE]"), "{name}");
        let mut told = Told::default();
        for (number, block) in blocks.iter().enumerate() {
            let (kind, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(document.check(document.at(EVENTS), &event), Ok(()), "{name}: {event}");
            assert_eq!((event["type"].as_str(), event["sequence_number"].as_u64()), (Some(kind), Some(number as u64)));
            told.hear(kind, &event);
        }
        assert!(told.is_over, "{name}");
    }
}

#[test]
fn a_stream_that_we_end_with_an_error_is_one_of_open_responses_too() {
    let document = Document::read(DOCUMENT);
    let mut seen = Watch::of(Protocol::Responses);
    let begun = json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_theirs", "object": "response"}});
    seen.push(format!("event: response.created\ndata: {begun}\n\n").as_bytes());
    let broken = broken_event(Protocol::Responses, &seen, "it broke");
    let refused = refusal_event(Protocol::Responses, &Refusal::TimedOut);
    for (events, first, id) in [(broken, 1, "resp_theirs"), (refused, 0, "resp_0")] {
        let events = String::from_utf8(events.to_vec()).unwrap();
        let told: Vec<Value> = events
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        let kinds: Vec<(&str, u64)> = told
            .iter()
            .map(|event| (event["type"].as_str().unwrap(), event["sequence_number"].as_u64().unwrap()))
            .collect();
        assert_eq!(kinds, [("error", first), ("response.failed", first + 1)]);
        for event in &told {
            assert_eq!(document.check(document.at(EVENTS), event), Ok(()), "{event}");
        }
        assert_eq!((&told[1]["response"]["id"], &told[1]["response"]["status"]), (&json!(id), &json!("failed")));
        assert!(!events.contains("[DONE]"));
    }
}

/// What a client has put together so far.
#[derive(Default)]
struct Told {
    /// By place: the sum of the deltas, until it was said to be done.
    open: BTreeMap<String, String>,
    items: BTreeMap<u64, Value>,
    added: u64,
    is_over: bool,
}

impl Told {
    fn hear(&mut self, kind: &str, event: &Value) {
        assert!(!self.is_over, "{event} comes behind the end");
        let index = event["output_index"].as_u64().unwrap_or_default();
        let part = event["content_index"].as_u64().or(event["summary_index"].as_u64());
        let place = format!("{index}/{part:?}");
        match kind {
            "response.output_item.added" => {
                assert_eq!(index, self.added, "items are numbered as they come");
                self.added += 1;
                if event["item"]["type"] == "function_call" {
                    assert!(self.open.insert(place, String::new()).is_none());
                }
            }
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                assert!(index < self.added, "{event} has no item");
                assert!(self.open.insert(place, String::new()).is_none(), "{event} begins twice");
            }
            _ if kind.ends_with(".delta") => {
                let sum = self.open.get_mut(&place).unwrap_or_else(|| panic!("{event} has no part"));
                sum.push_str(event["delta"].as_str().unwrap());
            }
            "response.output_text.done"
            | "response.refusal.done"
            | "response.reasoning_summary_text.done"
            | "response.function_call_arguments.done" => {
                let whole = ["text", "refusal", "arguments"].iter().find_map(|name| event[*name].as_str());
                assert_eq!(self.open.remove(&place).as_deref(), whole, "the deltas don't add up to {event}");
            }
            "response.output_item.done" => {
                self.items.insert(index, event["item"].clone());
            }
            "response.completed" | "response.incomplete" | "response.failed" => self.end(kind, &event["response"]),
            _ => {}
        }
    }

    fn end(&mut self, kind: &str, response: &Value) {
        self.is_over = true;
        let output = response["output"].as_array().unwrap();
        if kind == "response.failed" {
            return;
        }
        let items: Vec<&Value> = self.items.values().collect();
        assert_eq!(output.iter().collect::<Vec<_>>(), items, "the end repeats what was told");
        let is_cut = |item: &&Value| item["status"] == "incomplete";
        assert!(!output.iter().rev().skip(1).any(|item| is_cut(&item)), "only what came last is cut short");
        assert_eq!(kind == "response.incomplete", response["status"] == "incomplete");
    }
}
