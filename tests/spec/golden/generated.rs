//! What translation promises over generated input: calls interleaved in any way, text of any characters, reads cut anywhere,
//! and bytes that are no stream at all.

use keyway::domain::protocol::Protocol;
use keyway::protocol::Ending;
use keyway::protocol::translate::{self, Translator};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::round_trip::gathered;
use super::{CLIENTS, UPSTREAMS, about, asked, maker, terms};

/// A chat stream that says these texts and then calls these tools, their arguments coming in turns.
fn chat_stream(texts: &[String], calls: &[String], turns: &[usize]) -> Vec<u8> {
    let chunk = |delta: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        format!("data: {}\n\n", json!({"model": "x", "choices": [choice]}))
    };
    let mut stream: String = texts.iter().map(|text| chunk(json!({"content": text}))).collect();
    for (index, _) in calls.iter().enumerate() {
        let function = json!({"name": format!("tool_{index}"), "arguments": ""});
        stream +=
            &chunk(json!({"tool_calls": [{"index": index, "id": format!("call_{index}"), "function": function}]}));
    }
    let mut left: Vec<Vec<char>> = calls.iter().map(|call| call.chars().collect()).collect();
    for turn in turns.iter().copied().chain(std::iter::repeat(usize::MAX)) {
        let open: Vec<usize> = (0..left.len()).filter(|index| !left[*index].is_empty()).collect();
        let Some(index) = open.get(turn % open.len().max(1)) else { break };
        let length = if turn == usize::MAX { usize::MAX } else { 1 + turn % 7 };
        let rest = &mut left[*index];
        let piece: String = rest.drain(..length.min(rest.len())).collect();
        stream += &chunk(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
    }
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    stream += &format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
    (stream + "data: [DONE]\n\n").into_bytes()
}

/// Everything said and called, as a client of this protocol puts it together.
fn told(client: Protocol, out: &[u8]) -> (String, Vec<(String, Value)>) {
    let out = std::str::from_utf8(out).unwrap();
    let events: Vec<Value> =
        out.split('\n').filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let answer = gathered(client, &events).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let parsed = |text: &Value| serde_json::from_str(text.as_str().unwrap()).unwrap();
    let texts = |list: Vec<Value>| list.iter().filter_map(|one| one["text"].as_str()).collect::<String>();
    let name = |value: &Value| value["name"].as_str().unwrap().to_string();
    match client {
        Protocol::Chat => {
            let message = &answer["choices"][0]["message"];
            let calls = list(&message["tool_calls"]);
            let calls = calls.iter().map(|call| (name(&call["function"]), parsed(&call["function"]["arguments"])));
            (message["content"].as_str().unwrap().into(), calls.collect())
        }
        Protocol::Responses => {
            let output = list(&answer["output"]);
            let calls = output.iter().filter(|item| item["type"] == "function_call");
            let calls = calls.map(|call| (name(call), parsed(&call["arguments"]))).collect();
            (output.iter().map(|item| texts(list(&item["content"]))).collect(), calls)
        }
        Protocol::Messages => {
            let content = list(&answer["content"]);
            let calls = content.iter().filter(|block| block["type"] == "tool_use");
            let calls = calls.map(|call| (name(call), call["input"].clone())).collect();
            (texts(content), calls)
        }
        Protocol::Gemini => {
            let parts = list(&answer["candidates"][0]["content"]["parts"]);
            let calls = parts.iter().filter_map(|part| part.get("functionCall"));
            let calls = calls.map(|call| (name(call), call["args"].clone())).collect();
            (texts(parts), calls)
        }
        Protocol::Bedrock => unreachable!("nobody calls us in it"),
    }
}

fn translator(client: Protocol, upstream: Protocol) -> Translator {
    Translator::new(upstream, maker(), asked(client), about()).unwrap()
}

proptest! {
    #[test]
    fn interleaved_calls_and_any_text_arrive_whole(
        texts in proptest::collection::vec(any::<String>(), 0..4),
        arguments in proptest::collection::vec(("[a-z]{1,8}", any::<String>()), 0..4),
        turns in proptest::collection::vec(0..50usize, 0..60),
        size in 1..200usize,
    ) {
        let objects: Vec<Value> = arguments.iter().map(|(key, value)| json!({ key: value })).collect();
        let calls: Vec<String> = objects.iter().map(Value::to_string).collect();
        let stream = chat_stream(&texts, &calls, &turns);
        for client in CLIENTS.into_iter().filter(|client| *client != Protocol::Chat) {
            let (mut translator, mut out) = (translator(client, Protocol::Chat), Vec::new());
            stream.chunks(size).for_each(|read| { translator.push(read, &mut out); });
            prop_assert_eq!(translator.finish(&mut out), Ending::Clean);
            let (said, called) = told(client, &out);
            prop_assert_eq!(said, texts.concat(), "{}", client);
            let expected: Vec<(String, Value)> =
                objects.iter().enumerate().map(|(index, object)| (format!("tool_{index}"), object.clone())).collect();
            prop_assert_eq!(called, expected, "{}", client);
        }
    }

    #[test]
    fn no_bytes_from_a_provider_make_it_panic_or_end_well(
        reads in proptest::collection::vec(any::<Vec<u8>>(), 0..4),
        json in r#"[\[\]{}:,"a-z0-9_]{0,60}"#,
        key in "choices|delta|content|type|output|item|message|candidates|parts|error|usage|contentBlockIndex",
    ) {
        for upstream in UPSTREAMS {
            for client in CLIENTS.into_iter().filter(|client| *client != upstream) {
                let (mut translator, mut out) = (translator(client, upstream), Vec::new());
                for read in &reads {
                    translator.push(read, &mut out);
                }
                translator.push(format!("\n\ndata: {{\"{key}\":{json}\n\n").as_bytes(), &mut out);
                prop_assert_ne!(translator.finish(&mut out), Ending::Clean);
            }
        }
    }

    #[test]
    fn no_body_makes_it_panic(
        json in r#"[\[\]{}:,"a-z0-9_ ]{0,80}"#,
        key in "messages|input|contents|tools|system|tool_choice|reasoning|generationConfig|instructions",
    ) {
        let body = format!("{{\"{key}\":{json}}}");
        for client in CLIENTS {
            for upstream in UPSTREAMS.into_iter().filter(|upstream| *upstream != client) {
                let delivery = keyway::domain::protocol::Delivery::Whole;
                let _ = translate::request(client, upstream, body.as_bytes(), delivery, &terms(upstream));
                let _ = translate::whole(upstream, body.as_bytes(), maker(), &asked(client), &about());
                translate::error(client, upstream, &keyway::domain::failure::Failure::Reset, body.as_bytes());
            }
        }
    }
}
