//! Writes the error event of a Responses stream.

use bytes::Bytes;
use serde::Serialize;

use crate::protocol::chat::refusal::{ErrorObject, written};

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

pub(in crate::protocol) fn event(error: &ErrorObject<'_>, sequence_number: u64) -> Bytes {
    let flat = Flat { code: error.code(), message: error.message(), param: error.param() };
    let data = written(&ErrorEvent { kind: "error", sequence_number, flat, error });
    [b"event: error\ndata: ".as_slice(), &data, b"\n\n"].concat().into()
}
