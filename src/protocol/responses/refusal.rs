//! Writes the events with which a Responses stream of ours ends that failed: the error, and the response that came of it.

use bytes::Bytes;
use serde::Serialize;

use super::request::echo_of_nothing;
use crate::protocol::chat::refusal::{ErrorObject, written};
use crate::protocol::hub::text::{Json, Quoted};
use crate::protocol::hub::write::{Raw, Write};

/// OpenAI's error event is flat, that of Open Responses has an object; this one is both.
#[derive(Serialize)]
struct ErrorEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    #[serde(flatten)]
    flat: Flat<'a>,
    error: &'a ErrorObject<'a>,
}

#[derive(Serialize)]
struct Flat<'a> {
    code: &'static str,
    message: &'a str,
    param: Option<&'a str>,
}

/// Both events, numbered on from those that came before; `id` is what the response was called there, if it was.
pub(in crate::protocol) fn events(error: &ErrorObject<'_>, sequence_number: u64, id: Option<&str>) -> Bytes {
    let flat = Flat { code: error.code(), message: error.message(), param: error.param() };
    let data = written(&ErrorEvent { kind: "error", sequence_number, flat, error });
    let mut out = [b"event: error\ndata: ".as_slice(), &data, b"\n\n"].concat();
    out.event(Some("response.failed"), |out| {
        out.object(|out| {
            out.member("type", "response.failed").member("sequence_number", sequence_number + 1);
            out.key("response").object(|out| {
                let failed = Standing { status: "failed", created: 0, model: Json::of(b"\"\""), error: Some(error) };
                object(Quoted::of(id.unwrap_or("resp_0")), &failed, out);
            });
        });
    });
    out.into()
}

/// How a response stands of which hardly anything is known.
pub(super) struct Standing<'a> {
    pub(super) status: &'static str,
    pub(super) created: u64,
    pub(super) model: Json<'a>,
    pub(super) error: Option<&'a ErrorObject<'a>>,
}

/// A response without output. Every member must be there.
pub(super) fn object(id: Quoted<'_>, standing: &Standing<'_>, out: &mut Vec<u8>) {
    let Standing { status, created, model, error } = standing;
    let completed = (*status == "completed").then_some(*created);
    out.member("id", id).member("object", "response").member("created_at", *created);
    out.member("completed_at", completed).member("status", *status);
    out.member("incomplete_details", None::<u64>).member("model", model).member("output", Raw(b"[]"));
    match error {
        Some(error) => {
            out.key("error").object(|out| {
                out.member("code", error.code()).member("message", Quoted::of(error.message()));
            });
        }
        None => {
            out.member("error", None::<u64>);
        }
    }
    out.member("usage", None::<u64>);
    out.push(b',');
    out.extend_from_slice(&echo_of_nothing());
}
