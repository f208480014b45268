//! A provider's stream in each protocol: its beginning, so many pieces of text, its end. Each event by itself.

use keyway::domain::protocol::Protocol;
use serde_json::{Value, json};

use super::frames;

/// As long as a piece of text usually is.
pub(crate) const WORD: &str = "word ";

pub(crate) fn of(upstream: Protocol, pieces: usize) -> Vec<Vec<u8>> {
    match upstream {
        Protocol::Chat => chat(pieces),
        Protocol::Responses => responses(pieces),
        Protocol::Messages => messages(pieces),
        Protocol::Gemini => gemini(pieces),
        Protocol::Bedrock => bedrock(pieces),
    }
}

fn plain(data: &Value) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

fn named(data: &Value) -> Vec<u8> {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()).into_bytes()
}

fn chat(pieces: usize) -> Vec<Vec<u8>> {
    let chunk = |choices: Value, usage: Value| {
        plain(
            &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "bench", "choices": choices, "usage": usage}),
        )
    };
    let choice = |delta: Value, finish: Value| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]), Value::Null)
    };
    let mut stream = vec![choice(json!({"role": "assistant", "content": ""}), Value::Null)];
    stream.extend((0..pieces).map(|_| choice(json!({"content": WORD}), Value::Null)));
    stream.push(choice(json!({}), json!("stop")));
    stream.push(chunk(json!([]), json!({"prompt_tokens": 7, "completion_tokens": pieces, "total_tokens": pieces + 7})));
    stream.push(b"data: [DONE]\n\n".to_vec());
    stream
}

fn responses(pieces: usize) -> Vec<Vec<u8>> {
    let mut number = 0;
    let mut event = |kind: &str, mut data: Value| {
        (data["type"], data["sequence_number"]) = (json!(kind), json!(number));
        number += 1;
        named(&data)
    };
    let text = WORD.repeat(pieces);
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let item = |status: &str, content: Value| json!({"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content});
    let response = |status: &str, output: Value, usage: Value| json!({"response": {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "bench", "output": output, "usage": usage}});
    let at = |mut data: Value| {
        (data["item_id"], data["output_index"], data["content_index"]) = (json!("msg_1"), json!(0), json!(0));
        data
    };
    let mut stream = vec![
        event("response.created", response("in_progress", json!([]), Value::Null)),
        event("response.in_progress", response("in_progress", json!([]), Value::Null)),
        event("response.output_item.added", json!({"output_index": 0, "item": item("in_progress", json!([]))})),
        event("response.content_part.added", at(json!({"part": part("")}))),
    ];
    stream.extend((0..pieces).map(|_| event("response.output_text.delta", at(json!({"delta": WORD, "logprobs": []})))));
    let whole = item("completed", json!([part(&text)]));
    stream.push(event("response.output_text.done", at(json!({"text": text, "logprobs": []}))));
    stream.push(event("response.content_part.done", at(json!({"part": part(&text)}))));
    stream.push(event("response.output_item.done", json!({"output_index": 0, "item": whole})));
    let usage = json!({"input_tokens": 7, "output_tokens": pieces, "total_tokens": pieces + 7});
    stream.push(event("response.completed", response("completed", json!([whole]), usage)));
    stream
}

fn messages(pieces: usize) -> Vec<Vec<u8>> {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "bench", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 7, "output_tokens": 1}});
    let mut stream = vec![
        named(&json!({"type": "message_start", "message": message})),
        named(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
    ];
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}});
    stream.extend((0..pieces).map(|_| named(&delta)));
    stream.push(named(&json!({"type": "content_block_stop", "index": 0})));
    stream.push(named(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": pieces}})));
    stream.push(named(&json!({"type": "message_stop"})));
    stream
}

fn gemini(pieces: usize) -> Vec<Vec<u8>> {
    let chunk = |finish: Option<&str>, at: usize| {
        let mut candidate = json!({"content": {"parts": [{"text": WORD}], "role": "model"}, "index": 0});
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        plain(
            &json!({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": at, "totalTokenCount": at + 7}, "modelVersion": "bench", "responseId": "r1"}),
        )
    };
    let mut stream: Vec<_> = (0..pieces).map(|at| chunk(None, at)).collect();
    stream.push(chunk(Some("STOP"), pieces));
    stream
}

fn bedrock(pieces: usize) -> Vec<Vec<u8>> {
    let frame = |kind: &str, payload: Value| frames::written(format!("{kind} {payload}").as_bytes());
    let mut stream = vec![frame("messageStart", json!({"role": "assistant"}))];
    let delta =
        frame("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": WORD}, "p": "abcdefghijkl"}));
    stream.extend(std::iter::repeat_n(delta, pieces));
    stream.push(frame("contentBlockStop", json!({"contentBlockIndex": 0})));
    stream.push(frame("messageStop", json!({"stopReason": "end_turn"})));
    stream.push(frame("metadata", json!({"usage": {"inputTokens": 7, "outputTokens": pieces, "totalTokens": pieces + 7}, "metrics": {"latencyMs": 9}})));
    stream
}
