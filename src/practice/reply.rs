//! What the practice provider says: a function of what it was asked, and of nothing else.

use serde_json::{Map, Value, json};

use super::behaviour::Says;
use super::request::{Asked, words};

/// How much of a message is quoted back.
const QUOTED_CHARS: usize = 200;
/// How deep a tool's parameters are filled in.
const DEPTH: usize = 8;
/// Pieces that a tool call's arguments come in, in characters.
const ARGUMENT_PIECE_CHARS: usize = 8;

#[derive(Debug)]
pub(super) struct Reply {
    /// The tool's name, when it calls one.
    pub(super) tool: Option<String>,
    /// The text, or the call's arguments, in the pieces it is streamed in.
    pub(super) pieces: Vec<String>,
    pub(super) finish: &'static str,
    pub(super) input_words: usize,
    pub(super) output_words: usize,
}

impl Reply {
    pub(super) fn to(asked: &Asked<'_>, says: Says) -> Self {
        if let (Says::ToolCall, Some(tool), None) = (says, &asked.first_tool, &asked.tool_said) {
            let arguments = example(tool.parameters, &asked.text, DEPTH).to_string();
            let characters: Vec<char> = arguments.chars().collect();
            let pieces = characters.chunks(ARGUMENT_PIECE_CHARS).map(String::from_iter).collect();
            return Self::new(asked, Some(tool.name.to_string()), pieces, "tool_calls");
        }
        let mut pieces = match says {
            Says::Chunks(count) => (0..count).map(|number| format!("{number} ")).collect(),
            Says::Json => in_words(&json!({"answer": quoted(asked), "words": words(&asked.text)}).to_string()),
            Says::Words | Says::ToolCall => in_words(&spoken(asked)),
        };
        let most = asked.most_words.unwrap_or(usize::MAX);
        let finish = if pieces.len() > most { "length" } else { "stop" };
        pieces.truncate(most);
        Self::new(asked, None, pieces, finish)
    }

    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }

    fn new(asked: &Asked<'_>, tool: Option<String>, pieces: Vec<String>, finish: &'static str) -> Self {
        let output_words = pieces.len();
        Self { tool, pieces, finish, input_words: asked.words, output_words }
    }
}

fn spoken(asked: &Asked<'_>) -> String {
    match &asked.tool_said {
        Some(said) => format!("The tool said: {}", shortened(said)),
        None => format!("You said: “{}” This is the practice provider; no model was asked.", quoted(asked)),
    }
}

fn quoted(asked: &Asked<'_>) -> String {
    shortened(&asked.text)
}

fn shortened(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}

/// Words with the space behind them, so that their sum is the text.
fn in_words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_string).collect()
}

/// A value that fits a JSON schema, as far as types, enums and required properties go.
fn example(schema: &Value, text: &str, depth: usize) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => shortened(text).into(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => true.into(),
        Some("array") if depth > 0 => json!([example(&schema["items"], text, depth - 1)]),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => example_object(schema, text, depth),
    }
}

fn example_object(schema: &Value, text: &str, depth: usize) -> Value {
    let mut object = Map::new();
    if let Some(properties) = schema["properties"].as_object().filter(|_| depth > 0) {
        let required = schema["required"].as_array();
        let is_wanted = |name: &str| required.is_none_or(|names| names.iter().any(|wanted| wanted == name));
        for (name, property) in properties.iter().filter(|(name, _)| is_wanted(name)) {
            object.insert(name.clone(), example(property, text, depth - 1));
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_parameters_are_filled_in_by_their_types() {
        let schema = json!({"type": "object", "required": ["city", "unit", "days", "tags"], "properties": {
            "city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "boolean"}}, "left_out": {"type": "string"},
        }});
        let expected = json!({"city": "Rome", "unit": "c", "days": 1, "tags": [true]});
        assert_eq!(example(&schema, "Rome", DEPTH), expected);
    }

    #[test]
    fn a_schema_without_end_is_filled_in_to_a_depth() {
        let mut schema = json!({"type": "object"});
        for _ in 0..50 {
            schema = json!({"type": "object", "properties": {"a": schema}});
        }
        assert!(example(&schema, "x", DEPTH).to_string().len() < 100);
    }

    #[test]
    fn words_put_together_are_the_text() {
        let text = "a  b c\n d ";
        assert_eq!(in_words(text).concat(), text);
    }
}
