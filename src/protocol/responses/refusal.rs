//! Writes the events with which a Responses stream of ours ends that failed: the error, and the response that came of it.

use bytes::Bytes;
use serde::Serialize;

use super::request::echo_of_nothing;
use crate::protocol::chat::refusal::{ErrorObject, written};
use crate::protocol::hub::text::Quoted;
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
            out.key("response").object(|out| failed(error, id, out));
        });
    });
    out.into()
}

/// A response of which nothing is known but that it failed. Every member must be there.
fn failed(error: &ErrorObject<'_>, id: Option<&str>, out: &mut Vec<u8>) {
    out.member("id", Quoted::of(id.unwrap_or("resp_0"))).member("object", "response");
    out.member("created_at", 0_u64).member("completed_at", None::<u64>).member("status", "failed");
    out.member("incomplete_details", None::<u64>).member("model", "").member("output", Raw(b"[]"));
    out.key("error").object(|out| {
        out.member("code", error.code()).member("message", Quoted::of(error.message()));
    });
    out.member("usage", None::<u64>);
    out.push(b',');
    out.extend_from_slice(&echo_of_nothing());
}
