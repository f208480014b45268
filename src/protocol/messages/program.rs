//! What a program on this machine hears and says that stands in for a provider: JSON lines in, JSON lines out, as Anthropic's
//! agent command speaks them. Lines become the events, or the whole answer, of Messages.
//!
//! Pure. It never knows how a program is run.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::protocol::Delivery;
use crate::protocol::hub::field::Field;

/// What a program can't be told, though the protocol has a word for it.
pub const LACKS: [Field; 7] =
    [Field::Temperature, Field::TopP, Field::TopK, Field::Stop, Field::JsonObject, Field::JsonSchema, Field::Effort];

/// Where an argument of the command holds what the call says.
const MODEL: &str = "{model}";
const SYSTEM: &str = "{system}";
/// Linux takes no argument of 128 KiB.
const ARGUMENT_BYTES: usize = 127 * 1024;

/// What a program is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub model: String,
    pub system: String,
    /// Its whole input.
    pub input: Vec<u8>,
}

#[derive(Deserialize)]
struct Body {
    model: String,
    system: Option<Value>,
    messages: Vec<Message>,
    tools: Option<Vec<Value>>,
    stop_sequences: Option<Vec<Value>>,
    output_config: Option<OutputConfig>,
}

#[derive(Deserialize)]
struct OutputConfig {
    format: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Value,
}

/// Reads a request of Messages for this command. What can't be asked of a program is named.
pub fn question(body: &[u8], command: &[String]) -> Result<Question, &'static str> {
    let body: Body = serde_json::from_slice(body).map_err(|_| "messages")?;
    let has_some = |list: Option<Vec<Value>>| list.is_some_and(|list| !list.is_empty());
    // A program has tools of its own, or none; the client's it could not call.
    if has_some(body.tools) || body.messages.iter().any(tells_of_tools) {
        return Err("tools");
    }
    if has_some(body.stop_sequences) {
        return Err("stop_sequences");
    }
    if body.output_config.is_some_and(|config| config.format.is_some_and(|format| !format.is_null())) {
        return Err("output_config.format");
    }
    let system = body.system.map_or_else(String::new, |system| texts(&system));
    let is_told_first = !system.is_empty() && !command.iter().any(|argument| argument == SYSTEM);
    let content = match body.messages.as_slice() {
        [only] if only.role == "user" && !is_told_first => only.content.clone(),
        several => {
            let system = is_told_first.then(|| Message { role: "system".into(), content: system.as_str().into() });
            Value::Array(system.iter().chain(several).flat_map(told).collect())
        }
    };
    let line = json!({"type": "user", "message": {"role": "user", "content": content}});
    let input = format!("{line}\n").into_bytes();
    Ok(Question { model: an_argument(body.model, "model")?, system: an_argument(system, "system")?, input })
}

/// What the system takes as an argument, and no program for an option of its own.
fn an_argument(text: String, field: &'static str) -> Result<String, &'static str> {
    if text.len() > ARGUMENT_BYTES || text.contains('\0') {
        return Err(field);
    }
    Ok(if text.starts_with('-') { format!(" {text}") } else { text })
}

fn tells_of_tools(message: &Message) -> bool {
    let is_of_tools = |block: &Value| matches!(block["type"].as_str(), Some("tool_use" | "tool_result"));
    message.content.as_array().is_some_and(|blocks| blocks.iter().any(is_of_tools))
}

/// A program takes one question, so an earlier conversation is told in it, each turn under its speaker's name.
fn told(message: &Message) -> Vec<Value> {
    let name = match message.role.as_str() {
        "assistant" => "Assistant:",
        "system" => "System:",
        _ => "User:",
    };
    let mut parts = vec![json!({"type": "text", "text": name})];
    let is_thought = |block: &Value| matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"));
    match &message.content {
        Value::String(text) => parts.push(json!({"type": "text", "text": text})),
        Value::Array(blocks) => parts.extend(blocks.iter().filter(|block| !is_thought(block)).cloned()),
        _ => {}
    }
    parts
}

fn texts(system: &Value) -> String {
    match system {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n\n")
        }
        _ => String::new(),
    }
}

/// An argument of the command with what the call says in its places.
pub fn argument(written: &str, question: &Question) -> String {
    match written {
        MODEL => question.model.clone(),
        SYSTEM => question.system.clone(),
        other => other.to_string(),
    }
}

/// One line of a program's output, as much of it as is wanted.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    parent_tool_use_id: Option<Value>,
    message: Option<Value>,
    #[serde(default)]
    is_error: bool,
    api_error_status: Option<u16>,
    result: Option<String>,
    usage: Option<Value>,
    stop_reason: Option<String>,
}

/// What a line comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// An event of Messages, where a stream is wanted.
    Said(Vec<u8>),
    /// All has been said; where no stream is wanted, this.
    Ended(Option<Vec<u8>>),
    /// It failed, with this status and body.
    Failed(u16, Vec<u8>),
}

/// A program's answer, line by line.
#[derive(Debug)]
pub struct Lines {
    delivery: Delivery,
    /// The first whole message, and all that later ones added.
    message: Option<Value>,
}

impl Lines {
    pub const fn of(delivery: Delivery) -> Self {
        Self { delivery, message: None }
    }

    /// What is no JSON, or of a kind that is not known, is passed over: programs say all sorts of things.
    pub fn line(&mut self, line: &[u8]) -> Step {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Step::Nothing };
        // What a program's own helpers say is no part of its answer.
        let is_inner = line.parent_tool_use_id.as_ref().is_some_and(|id| !id.is_null());
        match (line.kind, self.delivery) {
            ("stream_event", Delivery::Streamed) if !is_inner => line.event.map_or(Step::Nothing, event),
            ("assistant", Delivery::Whole) if !is_inner => {
                self.add(line.message);
                Step::Nothing
            }
            ("result", _) => self.end(line),
            _ => Step::Nothing,
        }
    }

    /// Each such line holds a part of the message.
    fn add(&mut self, said: Option<Value>) {
        let Some(said) = said.filter(|said| said["model"] != "<synthetic>") else { return };
        match &mut self.message {
            None => self.message = Some(said),
            Some(message) => {
                if let (Some(all), Value::Array(more)) = (message["content"].as_array_mut(), &said["content"]) {
                    all.extend(more.iter().cloned());
                }
            }
        }
    }

    /// A failure may call itself a success: the flag and the status say what it is.
    fn end(&mut self, line: Line<'_>) -> Step {
        let text = line.result.unwrap_or_default();
        if line.is_error {
            let status = line.api_error_status.filter(|status| *status >= 400).unwrap_or(500);
            return Step::Failed(status, failure(status, &text));
        }
        if self.delivery == Delivery::Streamed {
            return Step::Ended(None);
        }
        let said = self.message.take();
        let mut whole = said.unwrap_or_else(|| {
            json!({"id": "msg_0", "type": "message", "role": "assistant", "model": "", "content": [{"type": "text", "text": text}]})
        });
        whole["stop_reason"] = line.stop_reason.unwrap_or_else(|| "end_turn".into()).into();
        whole["stop_sequence"] = Value::Null;
        if let Some(usage) = line.usage {
            whole["usage"] = usage;
        }
        Step::Ended(Some(whole.to_string().into_bytes()))
    }
}

fn event(event: &RawValue) -> Step {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
    }
    match serde_json::from_str::<Kind<'_>>(event.get()) {
        Ok(Kind { kind }) => Step::Said(format!("event: {kind}\ndata: {}\n\n", event.get()).into_bytes()),
        Err(_) => Step::Nothing,
    }
}

/// An error of Messages.
fn failure(status: u16, text: &str) -> Vec<u8> {
    let kind = match status {
        400 | 413 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": text}}).to_string().into_bytes()
}

/// The same as the last event of a stream.
pub fn failed_event(body: &[u8]) -> Vec<u8> {
    [b"event: error\ndata: ".as_slice(), body, b"\n\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<Question, &'static str> {
        question(body.as_bytes(), &["program", "{model}", "{system}"].map(str::to_string))
    }

    #[test]
    fn a_request_becomes_one_question() {
        let one = asked(r#"{"model":"m","system":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"messages":[{"role":"user","content":"hi"}]}"#).unwrap();
        assert_eq!((one.model.as_str(), one.system.as_str()), ("m", "a\n\nb"));
        assert_eq!(one.input, b"{\"message\":{\"content\":\"hi\",\"role\":\"user\"},\"type\":\"user\"}\n");
        assert_eq!((argument("{model}", &one), argument("--x", &one)), ("m".to_string(), "--x".to_string()));
        let several = asked(r#"{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"yes"}]},{"role":"user","content":"and?"}]}"#).unwrap();
        let text = String::from_utf8(several.input).unwrap();
        let places = ["User:", "hi", "Assistant:", "yes", "and?"].map(|word| text.find(word).unwrap());
        assert!(places.is_sorted() && !text.contains("thinking"), "{text}");
    }

    #[test]
    fn what_a_command_has_no_place_for_is_told_first() {
        let body = br#"{"model":"m","system":"Be brief.","messages":[{"role":"user","content":"hi"}]}"#;
        let input = String::from_utf8(question(body, &["program".to_string()]).unwrap().input).unwrap();
        assert!(["System:", "Be brief.", "User:", "hi"].map(|word| input.find(word).unwrap()).is_sorted(), "{input}");
    }

    #[test]
    fn what_would_be_lost_on_a_program_is_refused_by_name() {
        let with = |more: &str| asked(&format!(r#"{{"model":"m","messages":[],{more}}}"#));
        assert_eq!(with(r#""tools":[{"name":"f"}]"#), Err("tools"));
        assert_eq!(with(r#""stop_sequences":["x"]"#), Err("stop_sequences"));
        assert_eq!(with(r#""output_config":{"format":{"type":"json_schema"}}"#), Err("output_config.format"));
        assert_eq!(with(r#""output_config":{"effort":"low"},"tools":[],"stop_sequences":null"#).map(|_| ()), Ok(()));
        let of_tools =
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]}"#;
        assert_eq!(asked(of_tools), Err("tools"));
    }

    #[test]
    fn what_is_no_argument_is_refused_and_none_is_taken_for_an_option() {
        let with =
            |model: &str, system: &str| asked(&json!({"model": model, "system": system, "messages": []}).to_string());
        assert_eq!(with("m", "a\0b"), Err("system"));
        assert_eq!(with("m\0", ""), Err("model"));
        assert_eq!(with("m", &"x".repeat(ARGUMENT_BYTES + 1)), Err("system"));
        let dashed = with("--yes", "- Be brief.").unwrap();
        assert_eq!((dashed.model.as_str(), dashed.system.as_str()), (" --yes", " - Be brief."));
    }

    #[test]
    fn lines_become_events() {
        let mut lines = Lines::of(Delivery::Streamed);
        assert_eq!(lines.line(br#"{"type":"system","subtype":"init"}"#), Step::Nothing);
        assert_eq!(lines.line(b"not JSON"), Step::Nothing);
        let event = lines.line(br#"{"type":"stream_event","event":{"type":"ping"},"parent_tool_use_id":null}"#);
        assert_eq!(event, Step::Said(b"event: ping\ndata: {\"type\":\"ping\"}\n\n".to_vec()));
        let inner = br#"{"type":"stream_event","event":{"type":"ping"},"parent_tool_use_id":"t"}"#;
        assert_eq!(lines.line(inner), Step::Nothing);
        assert_eq!(lines.line(br#"{"type":"result","is_error":false,"result":"Hello"}"#), Step::Ended(None));
    }

    #[test]
    fn lines_become_a_whole_answer() {
        let mut lines = Lines::of(Delivery::Whole);
        assert_eq!(lines.line(br#"{"type":"stream_event","event":{"type":"ping"}}"#), Step::Nothing);
        for text in ["Hel", "lo"] {
            let said = json!({"type": "assistant", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text}]}});
            assert_eq!(lines.line(said.to_string().as_bytes()), Step::Nothing);
        }
        let Step::Ended(Some(whole)) = lines.line(br#"{"type":"result","subtype":"success","is_error":false,"result":"Hello","usage":{"input_tokens":3,"output_tokens":2}}"#) else { panic!() };
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!((whole["content"].as_array().unwrap().len(), &whole["usage"]["output_tokens"]), (2, &json!(2)));
        assert_eq!(whole["stop_reason"], "end_turn");
    }

    #[test]
    fn a_failure_that_calls_itself_a_success_is_one() {
        let said =
            br#"{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"result":"Overloaded"}"#;
        let Step::Failed(status, body) = Lines::of(Delivery::Streamed).line(said) else { panic!() };
        assert_eq!(status, 529);
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["type"], "overloaded_error");
    }
}
