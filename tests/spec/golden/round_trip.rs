//! What only its maker can read goes out to a client of any protocol, comes back with the conversation, and is what it
//! was; to any other maker it is never sent.

use keyway::domain::protocol::{Delivery, Protocol};
use keyway::protocol::hub::opaque::Maker;
use keyway::protocol::hub::request::Terms;
use keyway::protocol::translate;
use serde_json::{Value, json};

use super::{CLIENTS, Case, about, asked, cases, maker, streamed, terms};

/// Cases with a state, and what of it the provider must get back.
const STATES: [(&str, &[&str]); 8] = [
    ("bedrock/thinking", &[r#""reasoningText":{"text":"Compare tenths: 1 < 8.","signature":"EqQBbed==""#]),
    ("messages/thinking", &[r#""thinking":"Compare tenths: 1 < 8.","signature":"EqQBCkYIBxgCKkA+/==""#]),
    ("messages/redacted", &[r#""redacted_thinking","data":"EmwKAhgB""#, r#""thinking":"","signature":"Eomitted""#]),
    ("gemini/parallel_tools", &[r#""args":{"place": "Paris"}},"thoughtSignature":"CiQBsig+/=""#]),
    ("gemini/thinking", &[r#""thoughtSignature":"CiQBtext+/=""#]),
    ("responses/reasoning", &[r#""encrypted_content":"gAAAAABencrypted==""#]),
    ("responses/reasoning_then_call", &[r#""encrypted_content":""#]),
    (
        "chat/reasoning_details",
        &[r#""signature":"sig-abc","format":"anthropic-claude-v1","index":0,"text":"Compare tenths: 1 < 8.""#],
    ),
];

#[test]
fn a_state_comes_back_to_its_maker_and_to_nobody_else() {
    for case in &cases() {
        let name = case.folder.strip_prefix("tests/golden").unwrap().display().to_string();
        let Some((_, wanted)) = STATES.iter().find(|(state, _)| *state == name) else { continue };
        for client in CLIENTS.into_iter().filter(|client| *client != case.protocol) {
            for (how, conversation) in [("whole", told_whole(case, client)), ("stream", told_streamed(case, client))] {
                let Some(conversation) = conversation else { continue };
                let body = conversation.to_string();
                let back = |terms: &Terms<'_>| {
                    let done = translate::request(client, case.protocol, body.as_bytes(), Delivery::Whole, terms);
                    String::from_utf8(done.unwrap().body).unwrap()
                };
                let (to_maker, to_other) = (
                    back(&terms(case.protocol)),
                    back(&Terms { maker: Maker::of(&["other"]), ..terms(case.protocol) }),
                );
                for state in *wanted {
                    let plain = |text: &str| text.split_whitespace().collect::<String>();
                    assert!(
                        plain(&to_maker).contains(&plain(state)),
                        "{name} by {client}, {how}: {state} is not in {to_maker}"
                    );
                    assert!(!plain(&to_other).contains(&plain(state)), "{name} by {client}, {how}: {to_other}");
                }
                assert!(!to_other.contains("kw1."), "{to_other}");
            }
        }
    }
}

/// The conversation as a client of this protocol goes on with it after a whole answer.
fn told_whole(case: &Case, client: Protocol) -> Option<Value> {
    let whole = translate::whole(case.protocol, &case.read("answer.json")?, maker(), &asked(client), &about()).ok()?;
    Some(conversation(client, serde_json::from_slice(&whole.body).unwrap()))
}

/// The same after a stream, put together as the client's SDK does it.
fn told_streamed(case: &Case, client: Protocol) -> Option<Value> {
    let (out, _) = streamed(case, client, &[&case.stream()?]);
    let out = String::from_utf8(out).unwrap();
    let events = out.split('\n').filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    Some(conversation(client, gathered(client, &events.collect::<Vec<Value>>())?))
}

/// A stream's events as the whole answer that they are.
pub(super) fn gathered(client: Protocol, events: &[Value]) -> Option<Value> {
    match client {
        Protocol::Chat => Some(gathered_chat(events)),
        Protocol::Messages => Some(gathered_messages(events)),
        Protocol::Gemini => {
            let parts = events.iter().flat_map(|event| event["candidates"][0]["content"]["parts"].as_array().unwrap());
            let parts: Vec<Value> = parts.cloned().collect();
            Some(json!({"candidates": [{"content": {"role": "model", "parts": parts}}]}))
        }
        Protocol::Responses => Some(events.last()?["response"].clone()),
        Protocol::Bedrock => None,
    }
}

fn gathered_chat(events: &[Value]) -> Value {
    let (mut message, mut calls, mut details) =
        (json!({"role": "assistant", "content": ""}), Vec::<Value>::new(), Vec::new());
    for delta in events.iter().map(|event| &event["choices"][0]["delta"]) {
        if let Some(text) = delta["content"].as_str() {
            message["content"] = format!("{}{text}", message["content"].as_str().unwrap()).into();
        }
        details.extend(delta["reasoning_details"].as_array().into_iter().flatten().cloned());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            match calls.get_mut(index) {
                None => calls.push(call.clone()),
                Some(known) => {
                    let arguments = &mut known["function"]["arguments"];
                    let more = call["function"]["arguments"].as_str().unwrap();
                    *arguments = format!("{}{more}", arguments.as_str().unwrap()).into();
                }
            }
        }
    }
    message["reasoning_details"] = details.into();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({"choices": [{"message": message}]})
}

fn gathered_messages(events: &[Value]) -> Value {
    let mut content: Vec<Value> = Vec::new();
    let mut input = String::new();
    for event in events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                input.clear();
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let (block, delta) = (content.last_mut().unwrap(), &event["delta"]);
                for key in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[key].as_str() {
                        block[key] = format!("{}{more}", block[key].as_str().unwrap()).into();
                    }
                }
                if let Some(more) = delta["partial_json"].as_str() {
                    input.push_str(more);
                }
            }
            "content_block_stop" if !input.is_empty() => {
                content.last_mut().unwrap()["input"] = serde_json::from_str(&input).unwrap();
            }
            _ => {}
        }
    }
    json!({"content": content})
}

/// What was asked, what was answered, and what came of the tools that it called.
fn conversation(client: Protocol, answer: Value) -> Value {
    match client {
        Protocol::Chat => {
            let message = answer["choices"][0]["message"].clone();
            let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
            let results = calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "ok"}));
            let mut messages = vec![json!({"role": "user", "content": "Hi"}), message];
            messages.extend(results);
            json!({"model": "m", "messages": messages})
        }
        Protocol::Responses => {
            let output = answer["output"].as_array().unwrap().clone();
            let calls = output.iter().filter(|item| item["type"] == "function_call");
            let results = calls
                .map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}))
                .collect::<Vec<_>>();
            let input: Vec<Value> =
                std::iter::once(json!({"role": "user", "content": "Hi"})).chain(output).chain(results).collect();
            json!({"model": "m", "input": input})
        }
        Protocol::Messages => {
            let content = answer["content"].as_array().unwrap().clone();
            let calls = content.iter().filter(|block| block["type"] == "tool_use");
            let results: Vec<Value> =
                calls.map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "ok"})).collect();
            let mut messages =
                vec![json!({"role": "user", "content": "Hi"}), json!({"role": "assistant", "content": content})];
            messages.extend((!results.is_empty()).then(|| json!({"role": "user", "content": results})));
            json!({"model": "m", "max_tokens": 64, "messages": messages})
        }
        Protocol::Gemini => {
            let content = answer["candidates"][0]["content"].clone();
            let calls = content["parts"].as_array().unwrap().iter().filter_map(|part| part.get("functionCall"));
            let results: Vec<Value> = calls
                .map(|call| json!({"functionResponse": {"name": call["name"], "id": call["id"], "response": {"result": "ok"}}}))
                .collect();
            let mut contents = vec![json!({"role": "user", "parts": [{"text": "Hi"}]}), content];
            contents.extend((!results.is_empty()).then(|| json!({"role": "user", "parts": results})));
            json!({"contents": contents})
        }
        Protocol::Bedrock => unreachable!("nobody calls us in it"),
    }
}
