//! Writes refusals and broken streams in OpenAI's shape, so that its SDKs raise the exception that fits.

use bytes::Bytes;
use serde::Serialize;

use super::whole::is_error;
use crate::domain::refusal::{Family, Refusal};

/// The error object of chat and Responses.
#[derive(Clone, Debug, Serialize)]
pub(in crate::protocol) struct ErrorObject<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: &'static str,
    /// Where the code is explained.
    doc: String,
}

impl<'a> ErrorObject<'a> {
    pub(in crate::protocol) fn new(message: &'a str, family: Family, code: &'static str) -> Self {
        Self { message, kind: kind(family), param: None, code, doc: format!("docs/errors.md#{code}") }
    }

    pub(in crate::protocol) fn of(refusal: &'a Refusal, message: &'a str) -> Self {
        let row = refusal.row();
        Self { param: param(refusal), ..Self::new(message, row.family, row.code) }
    }

    pub(in crate::protocol) const fn message(&self) -> &'a str {
        self.message
    }

    pub(in crate::protocol) const fn code(&self) -> &'static str {
        self.code
    }

    pub(in crate::protocol) const fn param(&self) -> Option<&'a str> {
        self.param
    }
}

/// The body of a refusal.
pub(in crate::protocol) fn body(refusal: &Refusal) -> Bytes {
    whole(&ErrorObject::of(refusal, &refusal.to_string()))
}

fn whole(error: &ErrorObject<'_>) -> Bytes {
    #[derive(Serialize)]
    struct Whole<'a> {
        error: &'a ErrorObject<'a>,
    }
    written(&Whole { error })
}

/// The last event of a stream that failed. No `[DONE]` follows it: this is no end, it is a break.
pub(in crate::protocol) fn event(error: &ErrorObject<'_>) -> Bytes {
    [b"data: ".as_slice(), &whole(error), b"\n\n"].concat().into()
}

/// The same in the provider's words, if its body is an error at all. Line ends in JSON are only ever between its tokens.
pub(in crate::protocol) fn said(body: &[u8]) -> Option<Bytes> {
    if !is_error(body) {
        return None;
    }
    let line: Vec<u8> = body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    Some([b"data: ".as_slice(), &line, b"\n\n"].concat().into())
}

pub(in crate::protocol) fn written(value: &impl Serialize) -> Bytes {
    // Texts and numbers always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The words of OpenAI's own errors.
pub(super) const fn kind(family: Family) -> &'static str {
    match family {
        Family::InvalidRequest | Family::NotFound => "invalid_request_error",
        Family::Authentication => "authentication_error",
        Family::Permission => "permission_error",
        Family::RateLimit => "rate_limit_error",
        Family::Quota => "insufficient_quota",
        Family::Server => "server_error",
    }
}

/// The field that is at fault, where one is.
fn param(refusal: &Refusal) -> Option<&str> {
    match refusal {
        Refusal::FieldUnsupported { field, .. } => Some(field),
        Refusal::FieldDenied(field) | Refusal::FieldInvalid { field, .. } => Some(field),
        Refusal::ModelNotFound { .. } => Some("model"),
        Refusal::ResponseNotFound(_) => Some("previous_response_id"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_openais_shape_and_says_where_it_is_explained() {
        let refusal = Refusal::FieldInvalid { field: "model", why: "it holds `..`" };
        assert_eq!(
            body(&refusal),
            r#"{"error":{"message":"`model` is not valid: it holds `..`","type":"invalid_request_error","param":"model","code":"field_invalid","doc":"docs/errors.md#field_invalid"}}"#
        );
    }
}
