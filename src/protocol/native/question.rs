//! What is asked: read strictly, for a misspelt field would change the answer without a word.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::refusal::Refusal;

/// So many models hear one message: each is an exchange of its own, and all their answers are held until the last is here.
const MODELS_LIMIT: usize = 16;
/// What a broadcast waits where it does not say.
const PATIENCE: Duration = Duration::from_secs(30);
/// And at most: no exchange takes longer.
const PATIENCE_LIMIT: Duration = Duration::from_secs(600);

/// One message to one model.
#[derive(Debug)]
pub struct Chat {
    /// The same as a request of Responses.
    pub body: Bytes,
    pub is_streamed: bool,
}

/// One message to many.
#[derive(Debug)]
pub struct Broadcast {
    pub models: Vec<String>,
    /// What all of them are asked; it names none of them.
    pub body: Bytes,
    pub patience: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenChat {
    model_id: Option<String>,
    message: String,
    system_prompt: Option<String>,
    temperature: Option<f64>,
    max_tokens: Option<u64>,
    tools: Option<Vec<WrittenTool>>,
    tool_choice: Option<Value>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenBroadcast {
    models: Vec<String>,
    message: String,
    timeout_ms: Option<u64>,
    system_prompt: Option<String>,
    temperature: Option<f64>,
    max_tokens: Option<u64>,
    tools: Option<Vec<WrittenTool>>,
    tool_choice: Option<Value>,
}

/// A tool as Responses writes it, or as chat does, with all about it in `function`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTool {
    #[serde(rename = "type")]
    _kind: Option<Function>,
    function: Option<Tool>,
    name: Option<String>,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
}

/// The only kind of tool that there is.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Function {
    #[default]
    Function,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    #[serde(rename = "type", skip_deserializing)]
    kind: Function,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    /// Responses takes it for granted where nothing is said; here it has to be said.
    #[serde(default)]
    strict: bool,
}

/// The request of Responses.
#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    /// Whoever asks here has no way to come back to it.
    store: bool,
    #[serde(skip_serializing_if = "is_false")]
    stream: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Reads `POST /api/v1/chat`.
pub fn chat(bytes: &[u8]) -> Result<Chat, Refusal> {
    let written: WrittenChat = read(bytes)?;
    let is_streamed = written.stream == Some(true);
    let (tools, tool_choice) = tools(written.tools, written.tool_choice)?;
    let body = Request {
        model: written.model_id.as_deref(),
        input: &written.message,
        instructions: written.system_prompt.as_deref(),
        temperature: written.temperature,
        max_output_tokens: written.max_tokens,
        tools,
        tool_choice,
        store: false,
        stream: is_streamed,
    };
    Ok(Chat { body: body.bytes(), is_streamed })
}

/// Reads `POST /api/v1/broadcast`.
pub fn broadcast(bytes: &[u8]) -> Result<Broadcast, Refusal> {
    let written: WrittenBroadcast = read(bytes)?;
    if written.models.is_empty() || written.models.len() > MODELS_LIMIT {
        return Err(Refusal::FieldInvalid { field: "models", why: "name 1 to 16 models" });
    }
    let patience = written.timeout_ms.map_or(PATIENCE, Duration::from_millis);
    if patience.is_zero() || patience > PATIENCE_LIMIT {
        return Err(Refusal::FieldInvalid { field: "timeoutMs", why: "it must be 1 to 600000" });
    }
    let (tools, tool_choice) = tools(written.tools, written.tool_choice)?;
    let body = Request {
        model: None,
        input: &written.message,
        instructions: written.system_prompt.as_deref(),
        temperature: written.temperature,
        max_output_tokens: written.max_tokens,
        tools,
        tool_choice,
        store: false,
        stream: false,
    };
    Ok(Broadcast { body: body.bytes(), models: written.models, patience })
}

impl Request<'_> {
    fn bytes(&self) -> Bytes {
        // Texts and numbers always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Every field that there is, for a refusal to name.
const FIELDS: [&str; 10] = [
    "modelId",
    "models",
    "message",
    "timeoutMs",
    "systemPrompt",
    "temperature",
    "maxTokens",
    "tools",
    "toolChoice",
    "stream",
];

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let invalid = |error: &serde_json::Error| Refusal::BodyInvalid { what: "it is no JSON", at: error.column() };
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.inner();
        if inner.is_syntax() || inner.is_eof() {
            return invalid(inner);
        }
        let path = error.path().to_string();
        let named = FIELDS.into_iter().find(|name| path.split(['.', '[']).next() == Some(name));
        // What is missing has no path; its name is in the words.
        let said = inner.to_string();
        let missing = || FIELDS.into_iter().find(|name| said.starts_with(&format!("missing field `{name}`")));
        match (named, missing()) {
            (Some(field), _) => Refusal::FieldInvalid { field, why: "it is not of the type that it must be" },
            (None, Some(field)) => Refusal::FieldInvalid { field, why: "it must be there" },
            (None, None) => Refusal::Malformed("the body must be an object, and may hold no field that there is not"),
        }
    })?;
    reader.end().map_err(|error| invalid(&error))?;
    Ok(read)
}

fn tools(written: Option<Vec<WrittenTool>>, choice: Option<Value>) -> Result<(Vec<Tool>, Option<Value>), Refusal> {
    let nameless = Refusal::FieldInvalid { field: "tools", why: "each must be a function with a name" };
    let tools: Option<Vec<Tool>> = written.unwrap_or_default().into_iter().map(WrittenTool::tool).collect();
    let tools = tools.ok_or(nameless)?;
    // Without tools there is nothing to choose among, and some providers refuse the choice alone.
    Ok(if tools.is_empty() { (tools, None) } else { (tools, choice.map(flat)) })
}

impl WrittenTool {
    fn tool(self) -> Option<Tool> {
        let Self { function, name, description, parameters, strict, .. } = self;
        function.or_else(|| {
            let strict = strict.unwrap_or_default();
            Some(Tool { kind: Function::Function, name: name?, description, parameters, strict })
        })
    }
}

/// A choice as Responses writes it: chat has the name one level deeper.
fn flat(choice: Value) -> Value {
    match choice.pointer("/function/name") {
        Some(name) => serde_json::json!({ "type": "function", "name": name }),
        None => choice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<String, Refusal> {
        chat(body.as_bytes()).map(|chat| String::from_utf8(chat.body.to_vec()).unwrap())
    }

    #[test]
    fn a_message_becomes_a_request_of_responses() {
        let body = r#"{"modelId":"ai-02:qwen3-30b-a3b","message":"Explain","systemPrompt":"You are.","temperature":0.7,
            "maxTokens":500,"tools":[],"toolChoice":"auto"}"#;
        assert_eq!(
            asked(body).unwrap(),
            r#"{"model":"ai-02:qwen3-30b-a3b","input":"Explain","instructions":"You are.","temperature":0.7,"max_output_tokens":500,"store":false}"#
        );
        assert_eq!(
            asked(r#"{"message":"hi","stream":true}"#).unwrap(),
            r#"{"input":"hi","store":false,"stream":true}"#
        );
    }

    #[test]
    fn tools_are_taken_as_chat_and_as_responses_write_them() {
        let expected = r#"{"input":"x","tools":[{"type":"function","name":"f","parameters":{"type":"object","b":1,"a":2},"strict":false}],"tool_choice":{"name":"f","type":"function"},"store":false}"#;
        for body in [
            r#"{"message":"x","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","b":1,"a":2}}}],"toolChoice":{"type":"function","function":{"name":"f"}}}"#,
            r#"{"message":"x","tools":[{"type":"function","name":"f","parameters":{"type":"object","b":1,"a":2}}],"toolChoice":{"type":"function","name":"f"}}"#,
        ] {
            assert_eq!(asked(body).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_as_it_must_be_is_named() {
        for (body, field) in [
            (r#"{"modelId":"m"}"#, "message"),
            (r#"{"message":1}"#, "message"),
            (r#"{"message":"x","maxTokens":"many"}"#, "maxTokens"),
            (r#"{"message":"x","tools":[{"type":"function"}]}"#, "tools"),
            (r#"{"message":"x","tools":[{"type":"web_search","name":"f"}]}"#, "tools"),
        ] {
            let refused = asked(body).unwrap_err();
            assert!(matches!(refused, Refusal::FieldInvalid { field: named, .. } if named == field), "{refused}");
        }
        for (body, code) in [
            (r#"{"message":"x","temprature":1}"#, "malformed_request"),
            ("[]", "malformed_request"),
            (r#"{"message":"x"} {}"#, "body_invalid"),
            (r#"{"message":"#, "body_invalid"),
        ] {
            assert_eq!(asked(body).unwrap_err().row().code, code, "{body}");
        }
    }

    #[test]
    fn a_broadcast_is_bounded_in_models_and_time() {
        let of = |models: usize, more: &str| {
            let models = vec![r#""m""#; models].join(",");
            broadcast(format!(r#"{{"models":[{models}],"message":"x"{more}}}"#).as_bytes())
        };
        let asked = of(2, "").unwrap();
        assert_eq!(
            (asked.models.len(), asked.patience, &asked.body[..]),
            (2, PATIENCE, &br#"{"input":"x","store":false}"#[..])
        );
        assert_eq!(of(16, r#","timeoutMs":5"#).unwrap().patience, Duration::from_millis(5));
        for (refused, field) in [
            (of(0, ""), "models"),
            (of(17, ""), "models"),
            (of(1, r#","timeoutMs":0"#), "timeoutMs"),
            (of(1, r#","timeoutMs":600001"#), "timeoutMs"),
        ] {
            assert!(matches!(refused, Err(Refusal::FieldInvalid { field: named, .. }) if named == field));
        }
    }
}
