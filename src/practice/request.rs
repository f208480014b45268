//! What a call says, as far as practice needs it. What is missing or odd is taken as absent: a practice provider is lenient.

use serde_json::Value;

#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The last thing the user said.
    pub(super) text: String,
    /// What a tool answered, if that is the last message.
    pub(super) tool_said: Option<String>,
    pub(super) first_tool: Option<Tool<'a>>,
    /// Words in all messages.
    pub(super) words: usize,
    pub(super) most_words: Option<usize>,
    pub(super) is_streamed: bool,
    pub(super) wants_usage: bool,
}

#[derive(Debug)]
pub(super) struct Tool<'a> {
    pub(super) name: &'a str,
    pub(super) parameters: &'a Value,
}

impl<'a> Asked<'a> {
    pub(super) fn read(body: &'a Value) -> Self {
        let prompt = text(&body["prompt"]);
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let said_by = |message: &&Value, role: &str| message["role"].as_str() == Some(role);
        let user = messages.iter().rev().find(|message| said_by(message, "user"));
        let tool = messages.last().filter(|message| said_by(message, "tool"));
        let first_tool = body["tools"].as_array().into_iter().flatten().find_map(|tool| {
            let function = &tool["function"];
            function["name"].as_str().map(|name| Tool { name, parameters: &function["parameters"] })
        });
        let limit = |field: &str| body[field].as_u64().and_then(|limit| usize::try_from(limit).ok());
        Self {
            text: user.map_or_else(|| prompt.clone(), |message| text(&message["content"])),
            tool_said: tool.map(|message| text(&message["content"])),
            first_tool,
            words: messages.iter().map(|message| words(&text(&message["content"]))).sum::<usize>() + words(&prompt),
            most_words: limit("max_completion_tokens").or_else(|| limit("max_tokens")),
            is_streamed: body["stream"].as_bool().unwrap_or_default(),
            wants_usage: body["stream_options"]["include_usage"].as_bool().unwrap_or_default(),
        }
    }
}

/// A text, a list of texts or a list of parts.
pub(super) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.as_str().or_else(|| part["text"].as_str()));
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

pub(super) fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_user_message_counts_whether_text_or_parts() {
        let body = json!({"messages": [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "ok then"},
            {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "image_url"}, {"type": "text", "text": "parts"}]},
        ]});
        let asked = Asked::read(&body);
        assert_eq!((asked.text.as_str(), asked.words), ("two parts", 5));
    }

    #[test]
    fn odd_bodies_are_taken_as_saying_nothing() {
        for body in [json!({}), json!({"messages": 1, "tools": {}, "stream": "x", "max_tokens": -1})] {
            let asked = Asked::read(&body);
            assert!(asked.text.is_empty() && asked.first_tool.is_none() && !asked.is_streamed);
        }
    }
}
