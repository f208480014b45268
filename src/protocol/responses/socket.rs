//! Responses over a WebSocket: what a client says in one message, and the events of its answer as messages of their own.
//!
//! A message is a posted body with a `type`, an event is its data without a frame. A response that was not to be stored is
//! remembered by the socket alone, so that the next message can go on from it. Texts of JSON, cut and joined as they stand.

use bytes::Bytes;

use super::refusal::{Standing, object};
use super::transcript::{joined, member};
use crate::domain::refusal::{Family, Refusal};
use crate::protocol::chat::refusal::{ErrorObject, written};
use crate::protocol::hub::ids::Ids;
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};
use crate::protocol::json::{Flaw, NAME_LIMIT, Reader, top_text};
use crate::protocol::sse::{self, Block};

/// What one message asks for.
#[derive(Debug)]
pub struct Turn {
    /// As it would be posted.
    pub body: Bytes,
    /// A response without a call of any model is wanted, to go on from.
    pub is_warm_up: bool,
    /// It goes on from what the socket remembers.
    pub goes_on: bool,
    /// Nobody else will know its response.
    pub is_remembered: bool,
    /// Its whole input, with what was said before.
    input: Vec<u8>,
    model: Option<Vec<u8>>,
}

/// The last response of a socket, with what led to it.
#[derive(Debug)]
pub struct Last {
    id: String,
    input: Vec<u8>,
    response: Vec<u8>,
}

impl Last {
    pub const fn bytes(&self) -> usize {
        self.input.len() + self.response.len()
    }
}

/// Reads a message. `last` is what its socket remembers.
pub fn turn(message: &[u8], last: Option<&Last>) -> Result<Turn, Refusal> {
    let mut read = Members::default();
    let mut reader = Reader::new(message);
    reader.space();
    let whole = reader.object(|reader, key| {
        let raw = key.raw;
        let value = reader.value()?;
        read.take(raw, key.name(&mut [0; NAME_LIMIT]).unwrap_or_default(), value);
        Ok::<(), Flaw>(())
    });
    whole.and_then(|()| reader.end()).map_err(|flaw| Refusal::BodyInvalid { what: flaw.what, at: flaw.at })?;
    if read.kind != Some(b"\"response.create\"") {
        return Err(Refusal::FieldInvalid { field: "type", why: "each message here is a `response.create`" });
    }
    let previous = read.previous.and_then(|id| Reader::new(id).string().ok()?.decode());
    let last = last.filter(|last| previous.as_deref() == Some(&*last.id));
    let input = match last {
        Some(last) => joined(&last.input, &last.response, read.input),
        None => read.input.unwrap_or(b"[]").to_vec(),
    };
    let mut body = Vec::with_capacity(message.len() + input.len());
    body.extend_from_slice(b"{\"stream\":true");
    let mut put = |key: &[u8], value: &[u8]| {
        for piece in [b",\"", key, b"\":", value] {
            body.extend_from_slice(piece);
        }
    };
    read.others.iter().for_each(|(key, value)| put(key, value));
    if last.is_some() || read.input.is_some() {
        put(b"input", &input);
    }
    if let (None, Some(id)) = (last, read.previous) {
        put(b"previous_response_id", id);
    }
    body.push(b'}');
    Ok(Turn {
        body: body.into(),
        is_warm_up: read.is_warm_up,
        goes_on: last.is_some(),
        is_remembered: read.is_unstored || read.is_warm_up,
        input,
        model: read.model.map(<[u8]>::to_vec),
    })
}

/// What stands at the top of a message.
#[derive(Default)]
struct Members<'a> {
    kind: Option<&'a [u8]>,
    input: Option<&'a [u8]>,
    previous: Option<&'a [u8]>,
    model: Option<&'a [u8]>,
    is_warm_up: bool,
    is_unstored: bool,
    others: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Members<'a> {
    fn take(&mut self, raw: &'a [u8], name: &[u8], value: &'a [u8]) {
        match name {
            b"type" => self.kind = Some(value),
            b"generate" => self.is_warm_up = value == b"false",
            // A message should have neither, and every answer to one is a stream.
            b"stream" | b"background" => {}
            b"input" => self.input = Some(value),
            b"previous_response_id" => self.previous = Some(value).filter(|id| *id != b"null"),
            _ => {
                match name {
                    b"model" => self.model = Some(value),
                    b"store" => self.is_unstored = value == b"false",
                    _ => {}
                }
                self.others.push((raw, value));
            }
        }
    }
}

impl Turn {
    /// What the socket may remember of it, given the data of its last event.
    pub fn remembered(self, ending: &[u8]) -> Option<Last> {
        let response = member(ending, b"response")?.to_vec();
        let id = Reader::new(member(&response, b"id")?).string().ok()?.decode()?;
        Some(Last { id, input: self.input, response })
    }

    /// The events of an answer that no model was asked for.
    pub fn warmed_up(&self, ids: Ids, created: u64) -> [Bytes; 2] {
        let of = |kind: &'static str, number: u64, status: &'static str| {
            let mut out = Vec::new();
            out.object(|out| {
                out.member("type", kind).member("sequence_number", number);
                out.key("response").object(|out| {
                    let model = Json::of(self.model.as_deref().unwrap_or(b"\"\""));
                    object(ids.answer("resp_"), &Standing { status, created, model, error: None }, out);
                });
            });
            out.into()
        };
        [of("response.created", 0, "in_progress"), of("response.completed", 1, "completed")]
    }
}

/// An event as a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    pub ending: Option<Ending>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is a response to go on from.
    Well,
    Failed,
}

/// `None` for what only a stream of events has: comments, and its last line.
pub fn said(block: Block<'_>) -> Option<Said> {
    let Block::Whole(bytes) = block else {
        let error = ErrorObject::new("an event of the answer is too large", Family::Server, "provider_failed");
        return Some(Said { text: text(error_of(502, &written(&error), None)), ending: Some(Ending::Failed) });
    };
    let event = sse::event(bytes).filter(|event| *event.data != *b"[DONE]")?;
    let ending = match top_text(&event.data, b"type").map(|kind| kind.raw) {
        Some(b"response.completed" | b"response.incomplete") => Some(Ending::Well),
        Some(b"response.failed" | b"error") => Some(Ending::Failed),
        _ => None,
    };
    Some(Said { text: text(event.data.into_owned()), ending })
}

/// An answer that is no stream, as a message: the error in its body, under its status.
pub fn error(status: u16, body: &[u8], request_id: Option<&str>) -> String {
    let said = member(body, b"error").filter(|error| error.starts_with(b"{"));
    let ours = || written(&ErrorObject::new("the answer is no stream", Family::Server, "provider_failed"));
    text(said.map_or_else(|| error_of(status.max(400), &ours(), request_id), |said| error_of(status, said, request_id)))
}

fn error_of(status: u16, error: &[u8], request_id: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(error.len() + 128);
    out.object(|out| {
        out.member("type", "error").member("status", u64::from(status)).member("error", Raw(error));
        if let Some(id) = request_id {
            out.key("headers").object(|out| {
                out.member("x-keyway-request-id", Quoted::of(id));
            });
        }
    });
    out
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(message: &str, last: Option<&Last>) -> Turn {
        turn(message.as_bytes(), last).unwrap()
    }

    #[test]
    fn a_message_is_a_posted_body_that_is_streamed() {
        let message = r#" {"type":"response.create","stream":false,"background":false,"model":"m","big":1.00,"input":"hi","previous_response_id":"resp_1","key \"x\"":null} "#;
        let turn = read(message, None);
        assert_eq!(
            turn.body,
            r#"{"stream":true,"model":"m","big":1.00,"key \"x\"":null,"input":"hi","previous_response_id":"resp_1"}"#
        );
        assert!(!turn.is_warm_up && !turn.goes_on && !turn.is_remembered);
        let bare = read(r#"{"type":"response.create","previous_response_id":null}"#, None);
        assert_eq!(bare.body, r#"{"stream":true}"#);
    }

    #[test]
    fn what_is_no_such_message_is_refused() {
        let code = |message: &str| turn(message.as_bytes(), None).unwrap_err().row().code;
        for message in ["", "[]", "{", r#"{"type":"response.create"} x"#] {
            assert_eq!(code(message), "body_invalid", "{message}");
        }
        for message in ["{}", r#"{"type":"response.cancel"}"#, r#"{"type":null,"model":"m"}"#] {
            assert_eq!(code(message), "field_invalid", "{message}");
        }
    }

    #[test]
    fn the_next_message_goes_on_from_what_the_socket_remembers_and_from_nothing_else() {
        let first = read(r#"{"type":"response.create","store":false,"input":"one"}"#, None);
        assert!(first.is_remembered);
        let event = r#"{"type":"response.completed","response":{"id":"resp_1","output":[{"type":"message","n":1.0}]}}"#;
        let last = first.remembered(event.as_bytes()).unwrap();
        let on = read(
            r#"{"type":"response.create","store":false,"input":[{"two":2}],"previous_response_id":"resp_1"}"#,
            Some(&last),
        );
        assert!(on.goes_on);
        let past = r#"{"type":"message","role":"user","content":"one"},{"type":"message","n":1.0}"#;
        assert_eq!(on.body, format!(r#"{{"stream":true,"store":false,"input":[{past},{{"two":2}}]}}"#));
        let third = on.remembered(event.as_bytes()).unwrap();
        assert_eq!(third.input, format!("[{past},{{\"two\":2}}]").as_bytes(), "the chain grows");
        let other = read(r#"{"type":"response.create","input":"x","previous_response_id":"resp_2"}"#, Some(&last));
        assert!(!other.goes_on);
        assert_eq!(other.body, r#"{"stream":true,"input":"x","previous_response_id":"resp_2"}"#);
        assert!(other.remembered(br#"{"response":{"output":[]}}"#).is_none(), "it has no name");
    }

    #[test]
    fn events_lose_their_frame_and_comments_everything() {
        let block = b"event: response.completed\ndata: {\"type\":\"response.completed\",\"a\":\"\xc3\xa9\"}\n\n";
        let heard = said(Block::Whole(block)).unwrap();
        assert_eq!(
            (heard.text.as_str(), heard.ending),
            ("{\"type\":\"response.completed\",\"a\":\"é\"}", Some(Ending::Well))
        );
        assert_eq!(said(Block::Whole(b"data: {\"type\":\"error\"}\n\n")).unwrap().ending, Some(Ending::Failed));
        assert_eq!(said(Block::Whole(b"data: {\"type\":\"response.created\"}\n\n")).unwrap().ending, None);
        for none in [&b": keep-alive\n\n"[..], b"data: [DONE]\n\n"] {
            assert_eq!(said(Block::Whole(none)), None);
        }
        let cut = said(Block::Cut { head: b"data: {", tail: b"}" }).unwrap();
        assert_eq!(cut.ending, Some(Ending::Failed));
    }

    #[test]
    fn an_error_keeps_its_object_and_gets_its_status() {
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let error = read(error(404, br#"{"error":{"code":"model_not_found","message":"no","n":1}}"#, Some("id")));
        assert_eq!(
            error,
            json!({"type": "error", "status": 404, "error": {"code": "model_not_found", "message": "no", "n": 1}, "headers": {"x-keyway-request-id": "id"}})
        );
        for body in [&b"<html>"[..], b"", br#"{"error":"text"}"#, b"{}"] {
            let error = read(super::error(200, body, None));
            assert_eq!((&error["status"], &error["error"]["code"]), (&json!(400), &json!("provider_failed")));
        }
    }

    #[test]
    fn a_warm_up_has_a_whole_response_without_output() {
        let turn = read(r#"{"type":"response.create","generate":false,"model":"m","input":"hi"}"#, None);
        assert!(turn.is_warm_up && turn.is_remembered);
        let [created, completed] = turn.warmed_up(Ids::of(uuid::Uuid::now_v7()), 7);
        let created: Value = serde_json::from_slice(&created).unwrap();
        assert_eq!((&created["type"], &created["sequence_number"]), (&json!("response.created"), &json!(0)));
        let read: Value = serde_json::from_slice(&completed).unwrap();
        assert_eq!((&read["response"]["status"], &read["response"]["model"]), (&json!("completed"), &json!("m")));
        assert_eq!((&read["response"]["output"], &read["response"]["created_at"]), (&json!([]), &json!(7)));
        let last = turn.remembered(&completed).unwrap();
        assert!(Ids::is_response(&last.id));
    }
}
