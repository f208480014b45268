//! Conversations and answers of a wanted size, as agents have them: tools, results, code, text that is not ASCII.

use keyway::domain::protocol::{Delivery, Operation, Protocol};
use keyway::protocol::translate;
use serde_json::{Value, json};

/// What texts repeat: escapes and letters beyond ASCII, as code and prose have them.
const PROSE: &str =
    "The quick brown fox said: \"jump over the lazy dog\",\nand the café's owner agreed, since 3 < 5.\t";
const TOOLS: usize = 24;

pub(crate) const fn operation(client: Protocol) -> Operation {
    match client {
        Protocol::Chat | Protocol::Bedrock => Operation::ChatCompletions,
        Protocol::Responses => Operation::Responses,
        Protocol::Messages => Operation::Messages,
        Protocol::Gemini => Operation::GenerateContent,
    }
}

/// A conversation in this protocol of at least so many bytes. Chat's is written here, the others' are its translations.
pub(crate) fn of(client: Protocol, bytes: usize) -> Vec<u8> {
    let mut turns = 1;
    loop {
        let chat = serde_json::to_vec(&chat(turns)).unwrap();
        let body = match client {
            Protocol::Chat => chat,
            other => {
                translate::request(Protocol::Chat, other, &chat, Delivery::Streamed, &super::terms()).unwrap().body
            }
        };
        if body.len() >= bytes {
            return body;
        }
        // One turn is some 5 KiB.
        turns += (bytes - body.len()).div_ceil(5_400).max(1);
    }
}

fn chat(turns: usize) -> Value {
    let parameters = json!({"type": "object", "properties": {"path": {"type": "string", "description": PROSE}, "line": {"type": "integer"}}, "required": ["path"]});
    let tool = |number| json!({"type": "function", "function": {"name": format!("tool_{number}"), "description": PROSE.repeat(4), "parameters": parameters}});
    let mut messages = vec![json!({"role": "system", "content": PROSE.repeat(20)})];
    for turn in 0..turns {
        let call = |number: usize| {
            let arguments = json!({"path": format!("src/{turn}/{number}.rs"), "line": turn, "text": PROSE}).to_string();
            json!({"id": format!("call_{turn}_{number}"), "type": "function", "function": {"name": format!("tool_{number}"), "arguments": arguments}})
        };
        let result = |number: usize| json!({"role": "tool", "tool_call_id": format!("call_{turn}_{number}"), "content": PROSE.repeat(12)});
        messages.push(json!({"role": "user", "content": [{"type": "text", "text": PROSE.repeat(5)}]}));
        messages.push(json!({"role": "assistant", "content": PROSE.repeat(8), "tool_calls": [call(0), call(1)]}));
        messages.extend([result(0), result(1)]);
        messages.push(json!({"role": "assistant", "content": PROSE.repeat(8)}));
    }
    messages.push(json!({"role": "user", "content": "And now?"}));
    json!({"model": "bench", "stream": true, "max_completion_tokens": 4_096, "messages": messages, "tools": (0..TOOLS).map(tool).collect::<Vec<_>>()})
}

/// A whole answer of a provider, with a text of so many bytes.
pub(crate) fn answer(upstream: Protocol, bytes: usize) -> Vec<u8> {
    let text = PROSE.repeat(bytes.div_ceil(PROSE.len()));
    let answer = match upstream {
        Protocol::Chat => json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "bench",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16},
        }),
        Protocol::Responses => json!({
            "id": "resp_1", "object": "response", "status": "completed", "model": "bench",
            "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}],
            "usage": {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16},
        }),
        Protocol::Messages => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "bench", "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 7, "output_tokens": 9},
        }),
        Protocol::Gemini => json!({
            "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 9, "totalTokenCount": 16},
        }),
        Protocol::Bedrock => json!({
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn",
            "usage": {"inputTokens": 7, "outputTokens": 9, "totalTokens": 16},
        }),
    };
    serde_json::to_vec(&answer).unwrap()
}
