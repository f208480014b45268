//! An error object of this protocol, from and to the hub: in a body, or as the data of an event.

use super::kind;
use crate::domain::failure::Failure;
use crate::protocol::chat::errors::failure_in_body;
use crate::protocol::hub::event::Fault;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};
use crate::protocol::translate::Said;

/// What a body or an event says of its error.
pub(in crate::protocol) fn decode(body: &[u8]) -> Fault<'static> {
    let mut said = Words::default();
    let mut reader = Reader::new(body.trim_ascii());
    // What was read before a flaw counts.
    let _ = reader.members(|reader, key| said.field(reader, key));
    let failure = said.kind.as_ref().and_then(failure_of_kind).or_else(|| failure_in_body(body));
    let message = said.message.filter(|message| !message.is_empty());
    Fault {
        failure: failure.unwrap_or(Failure::ErrorUnderSuccess),
        message: message.unwrap_or(Quoted::plain("the provider failed and did not say why")).into_owned(),
        code: said.kind.filter(|kind| !kind.is_empty()).map(Quoted::into_owned),
        param: None,
    }
}

/// What this protocol's own words mean, where they mean one thing.
fn failure_of_kind(kind: &Quoted<'_>) -> Option<Failure> {
    Some(match &*kind.decode() {
        "overloaded_error" => Failure::Overloaded(529),
        "timeout_error" => Failure::TimedOut,
        "billing_error" => Failure::QuotaExhausted { status: 402 },
        "authentication_error" => Failure::CredentialRefused { status: 401 },
        "permission_error" => Failure::CredentialRefused { status: 403 },
        "request_too_large" => Failure::CallRejected(413),
        // It says which model, and nothing else in a call can be not found.
        "not_found_error" => Failure::ModelUnknown,
        _ => return None,
    })
}

#[derive(Default)]
struct Words<'a> {
    kind: Option<Quoted<'a>>,
    message: Option<Quoted<'a>>,
}

impl<'a> Words<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            b"error" if reader.peek() == Some(b'{') => {
                self.kind = None;
                reader.members(|reader, key| self.inside(reader, key))?;
            }
            b"error" | b"message" | b"detail" => self.message = self.message.take().or(reader.text()?),
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn inside(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            b"type" => self.kind = reader.text()?,
            b"message" => self.message = reader.text()?,
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// An answer that is an error.
pub(in crate::protocol) fn said(fault: &Fault<'_>) -> Said {
    let mut out = Vec::new();
    encode(fault, &mut out);
    Said { status: status(fault), body: out.into() }
}

/// This protocol has a status of its own for a provider that is overloaded.
const fn status(fault: &Fault<'_>) -> u16 {
    match fault.status() {
        503 => 529,
        other => other,
    }
}

pub(super) fn encode(fault: &Fault<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("type", "error").key("error").object(|out| {
            out.member("type", kind(status(fault), fault.family())).member("message", &fault.message);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errors_kind_says_what_it_means() {
        let fault = |kind: &str| {
            decode(format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#).as_bytes()).failure
        };
        assert_eq!(fault("overloaded_error"), Failure::Overloaded(529));
        assert_eq!(fault("rate_limit_error"), Failure::RateLimited { retry_after: None });
        assert_eq!(fault("authentication_error"), Failure::CredentialRefused { status: 401 });
        assert_eq!(fault("api_error"), Failure::ErrorUnderSuccess);
        assert_eq!(decode(b"<html>").message, Quoted::plain("the provider failed and did not say why"));
    }
}
