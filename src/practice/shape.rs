//! How a reply is written: chat completions and completions, whole and as events; errors; the model list.

use bytes::Bytes;
use serde_json::{Value, json};

use super::MODELS;
use super::reply::Reply;
use super::request::Asked;

/// All answers are of the first second of 2026, so that the same call gets the same bytes.
const CREATED: u64 = 1_767_225_600;
const ID: &str = "practice-0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Chat,
    Completion,
}

impl Shape {
    pub(super) fn whole(self, model: &str, reply: &Reply) -> Value {
        let choice = match (self, &reply.tool) {
            (Self::Chat, None) => json!({"message": {"role": "assistant", "content": reply.text(), "refusal": null}}),
            (Self::Chat, Some(name)) => json!({"message": {"role": "assistant", "content": null, "refusal": null,
                "tool_calls": [{"id": "call_practice_0", "type": "function",
                    "function": {"name": name, "arguments": reply.text()}}]}}),
            (Self::Completion, _) => json!({"text": reply.text()}),
        };
        let choice = with(choice, json!({"index": 0, "logprobs": null, "finish_reason": reply.finish}));
        json!({"id": ID, "object": self.object("chat.completion"), "created": CREATED, "model": model,
            "choices": [choice], "usage": usage(reply)})
    }

    /// Every event of a streamed answer, `[DONE]` included.
    pub(super) fn events(self, model: &str, asked: &Asked<'_>, reply: &Reply) -> Vec<Bytes> {
        let head =
            json!({"id": ID, "object": self.object("chat.completion.chunk"), "created": CREATED, "model": model});
        let none = if asked.wants_usage { json!({"usage": null}) } else { json!({}) };
        let event = |choices: Value, rest: Value| {
            let chunk = with(with(head.clone(), json!({"choices": choices})), rest);
            Bytes::from(format!("data: {chunk}\n\n"))
        };
        let choice = |choice: Value, finish: Value| {
            json!([with(choice, json!({"index": 0, "logprobs": null, "finish_reason": finish}))])
        };
        let mut events: Vec<_> =
            self.opening(reply).into_iter().map(|start| event(choice(start, Value::Null), none.clone())).collect();
        events.extend(reply.pieces.iter().map(|piece| {
            let piece = self.piece(reply, piece);
            event(choice(piece, Value::Null), none.clone())
        }));
        events.push(event(choice(self.end(), reply.finish.into()), none.clone()));
        if asked.wants_usage {
            events.push(event(json!([]), json!({"usage": usage(reply)})));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    fn opening(self, reply: &Reply) -> Option<Value> {
        match (self, &reply.tool) {
            (Self::Completion, _) => None,
            (Self::Chat, None) => Some(json!({"delta": {"role": "assistant", "content": ""}})),
            (Self::Chat, Some(name)) => Some(json!({"delta": {"role": "assistant", "content": null,
                "tool_calls": [{"index": 0, "id": "call_practice_0", "type": "function",
                    "function": {"name": name, "arguments": ""}}]}})),
        }
    }

    fn piece(self, reply: &Reply, piece: &str) -> Value {
        match (self, &reply.tool) {
            (Self::Chat, None) => json!({"delta": {"content": piece}}),
            (Self::Chat, Some(_)) => {
                json!({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}})
            }
            (Self::Completion, _) => json!({"text": piece}),
        }
    }

    fn end(self) -> Value {
        match self {
            Self::Chat => json!({"delta": {}}),
            Self::Completion => json!({"text": ""}),
        }
    }

    const fn object(self, chat: &'static str) -> &'static str {
        match self {
            Self::Chat => chat,
            Self::Completion => "text_completion",
        }
    }
}

pub(super) fn error(code: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": code, "param": null, "code": code}})
}

pub(super) fn models() -> Value {
    let model =
        |(id, _): &(&str, &str)| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "practice"});
    json!({"object": "list", "data": MODELS.iter().map(model).collect::<Vec<_>>()})
}

fn usage(reply: &Reply) -> Value {
    let (input, output) = (reply.input_words, reply.output_words);
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

/// Both objects' members in one.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}
