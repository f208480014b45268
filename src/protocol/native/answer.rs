//! What is answered: a response of Responses, or an error, in our own words.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::money::Nanodollars;
use crate::protocol::chat::refusal::written;

/// One model's answer, or why there is none.
#[derive(Debug)]
pub enum Said {
    Answer(Answer),
    Error(Error),
}

#[derive(Debug)]
pub struct Answer {
    model: String,
    reply: String,
    usage: Option<Usage>,
    calls: Vec<Call>,
    finish: &'static str,
}

/// What is known of an answer beside what it says.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    pub took: Duration,
    /// Nobody may know.
    pub cost: Option<Nanodollars>,
    pub request_id: Option<&'a str>,
}

/// An error as a client can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Error {
    pub status: u16,
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Where the code is explained.
    #[serde(skip)]
    doc: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

/// A call of a tool, as chat writes it.
#[derive(Debug, Serialize)]
struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Debug, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

/// A response, as much of it as is wanted here.
#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    model: String,
    status: Option<String>,
    incomplete_details: Option<Incomplete>,
    error: Option<ErrorObject>,
    #[serde(default)]
    output: Vec<Item>,
    usage: Option<ResponseUsage>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    /// Of a message; what reasoning has there is not said to anybody.
    #[serde(default)]
    content: Option<Vec<Part>>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct ResponseUsage {
    input_tokens: u64,
    output_tokens: u64,
}

#[derive(Deserialize)]
struct Wrong {
    error: ErrorObject,
}

#[derive(Deserialize)]
struct ErrorObject {
    #[serde(default)]
    message: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
    doc: Option<String>,
}

/// Reads what came under this status.
pub fn read(status: u16, body: &[u8]) -> Said {
    if !(200..300).contains(&status) {
        return Said::Error(match serde_json::from_slice::<Wrong>(body) {
            Ok(wrong) => wrong.error.told(status),
            Err(_) => Error::failed(status, "the provider's error can't be read"),
        });
    }
    let Ok(response) = serde_json::from_slice::<Response>(body) else {
        return Said::Error(Error::failed(502, "the provider's answer is none of its protocol"));
    };
    match response.error {
        Some(error) if response.status.as_deref() == Some("failed") => Said::Error(error.told(502)),
        _ => Said::Answer(response.answer()),
    }
}

impl Response {
    fn answer(self) -> Answer {
        let (mut reply, mut calls) = (String::new(), Vec::new());
        for item in self.output {
            match item.kind.as_str() {
                "message" => {
                    let texts = item.content.into_iter().flatten().filter_map(|part| part.text.or(part.refusal));
                    reply.extend(texts);
                }
                "function_call" => calls.push(Call {
                    id: item.call_id.unwrap_or_default(),
                    kind: "function",
                    function: Function {
                        name: item.name.unwrap_or_default(),
                        arguments: item.arguments.unwrap_or_default(),
                    },
                }),
                _ => {}
            }
        }
        let reason = self.incomplete_details.and_then(|incomplete| incomplete.reason);
        let finish = match reason.as_deref() {
            Some("content_filter") => "content_filter",
            Some(_) => "length",
            None if calls.is_empty() => "stop",
            None => "tool_calls",
        };
        let usage = self.usage.map(|usage| Usage {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens.saturating_add(usage.output_tokens),
        });
        Answer { model: self.model, reply, usage, calls, finish }
    }
}

impl ErrorObject {
    fn told(self, status: u16) -> Error {
        let code = self.code.or(self.kind).unwrap_or_else(|| FAILED.to_string());
        Error { status, code, message: self.message, field: self.param, doc: self.doc }
    }
}

const FAILED: &str = "provider_failed";

impl Error {
    /// The provider's fault, in our words.
    pub fn failed(status: u16, message: &str) -> Self {
        Self::ours(status, FAILED, message)
    }

    /// One of the codes that are explained.
    pub fn ours(status: u16, code: &'static str, message: &str) -> Self {
        let doc = Some(format!("docs/errors.md#{code}"));
        Self { status, code: code.to_string(), message: message.to_string(), field: None, doc }
    }
}

/// What one model had to say.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    success: bool,
    /// Who answered; where nobody did, who was asked.
    model: &'a str,
    reply: Option<&'a str>,
    usage: Option<Usage>,
    cost: Option<Nanodollars>,
    response_time_ms: u64,
    tool_calls: Option<&'a [Call]>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl<'a> Whole<'a> {
    fn of(said: &'a Said, asked: &'a str, Beside { took, cost, request_id }: Beside<'a>) -> Self {
        let response_time_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match said {
            Said::Answer(answer) => Self {
                success: true,
                model: if answer.model.is_empty() { asked } else { &answer.model },
                reply: Some(&answer.reply),
                usage: answer.usage,
                cost,
                response_time_ms,
                tool_calls: Some(&answer.calls[..]).filter(|calls| !calls.is_empty()),
                finish_reason: Some(answer.finish),
                error: None,
                request_id,
            },
            Said::Error(error) => Self {
                success: false,
                model: asked,
                reply: None,
                usage: None,
                cost,
                response_time_ms,
                tool_calls: None,
                finish_reason: None,
                error: Some(error),
                request_id,
            },
        }
    }
}

/// The answer to `/api/v1/chat`.
pub fn whole(said: &Said, beside: Beside<'_>) -> Bytes {
    written(&Whole::of(said, "", beside))
}

/// The answer to `/api/v1/broadcast`: of each model in the order in which they were named, as they were named.
pub fn all<'a>(each: impl Iterator<Item = (&'a str, &'a Said, Beside<'a>)>, took: Duration) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct One<'a> {
        requested: &'a str,
        #[serde(flatten)]
        whole: Whole<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct All<'a> {
        success: bool,
        responses: Vec<One<'a>>,
        total_time_ms: u64,
    }
    let one = |(requested, said, beside): (&'a str, &'a Said, Beside<'a>)| One {
        requested,
        whole: Whole::of(said, requested, beside),
    };
    let responses: Vec<One<'_>> = each.map(one).collect();
    let success = responses.iter().all(|one| one.whole.success);
    written(&All { success, responses, total_time_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) })
}

/// A problem document, as the admin API writes them, that says `success: false` besides.
pub fn problem(error: &Error) -> Bytes {
    #[derive(Serialize)]
    struct Problem<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        title: &'a str,
        status: u16,
        code: &'a str,
        detail: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'a str>,
        success: bool,
    }
    written(&Problem {
        kind: error.doc.as_deref().unwrap_or("about:blank"),
        title: &error.code,
        status: error.status,
        code: &error.code,
        detail: &error.message,
        field: error.field.as_deref(),
        success: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(status: u16, body: &Value) -> Value {
        let said = read(status, body.to_string().as_bytes());
        let cost = Some(Nanodollars(1_500_000));
        let beside = Beside { took: Duration::from_millis(1_243), cost, request_id: None };
        serde_json::from_slice(&whole(&said, beside)).unwrap()
    }

    #[test]
    fn a_response_is_told_as_one_reply() {
        let body = json!({
            "model": "qwen3", "status": "completed", "error": null,
            "output": [
                {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
                {"type": "message", "content": [{"type": "output_text", "text": "Hebb"}, {"type": "output_text", "text": "ian"}]},
            ],
            "usage": {"input_tokens": 45, "output_tokens": 89, "total_tokens": 134},
        });
        assert_eq!(
            told(200, &body),
            json!({
                "success": true, "model": "qwen3", "reply": "Hebbian",
                "usage": {"promptTokens": 45, "completionTokens": 89, "totalTokens": 134}, "cost": "0.0015",
                "responseTimeMs": 1243, "toolCalls": null, "finishReason": "stop",
            })
        );
    }

    #[test]
    fn calls_of_tools_and_answers_cut_short_are_told_too() {
        let call = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"});
        let answer = told(200, &json!({"model": "m", "status": "completed", "output": [call]}));
        assert_eq!(
            answer["toolCalls"],
            json!([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
        );
        assert_eq!(answer["finishReason"], "tool_calls");
        let cut = json!({"model": "m", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}});
        assert_eq!(told(200, &cut)["finishReason"], "length");
    }

    #[test]
    fn errors_are_no_success_whatever_they_look_like() {
        for (status, body, expected) in [
            (404, json!({"error": {"message": "none", "code": "model_not_found"}}), (404, "model_not_found")),
            (429, json!({"error": {"message": "slow", "type": "requests", "code": null}}), (429, "requests")),
            (500, json!("oops"), (500, FAILED)),
            (200, json!([]), (502, FAILED)),
            (
                200,
                json!({"status": "failed", "error": {"message": "no", "code": "server_error"}}),
                (502, "server_error"),
            ),
        ] {
            let answer = told(status, &body);
            assert_eq!((&answer["success"], &answer["reply"]), (&json!(false), &Value::Null));
            let error = &answer["error"];
            assert_eq!((error["status"].as_u64().unwrap(), error["code"].as_str().unwrap()), expected);
        }
    }
}
