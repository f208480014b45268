//! An error object of this protocol, from and to the hub: in a body, in a list of one, or as a part of a stream.

use bytes::Bytes;

use super::{key, word};
use crate::domain::failure::Failure;
use crate::protocol::chat::errors::failure_in_body;
use crate::protocol::hub::event::Fault;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};

/// What a body or an event says of its error.
pub(in crate::protocol) fn decode(body: &[u8]) -> Fault<'static> {
    let mut said = Said::default();
    let mut reader = Reader::new(body.trim_ascii());
    // What was read before a flaw counts.
    let _ = if reader.peek() == Some(b'[') {
        reader.elements(|reader| key::members(reader, |reader, key| said.field(reader, key)).map(|_| ()))
    } else {
        key::members(&mut reader, |reader, key| said.field(reader, key))
    };
    let message = said.message.filter(|message| !message.is_empty());
    Fault {
        failure: failure_in_body(body).unwrap_or(Failure::ErrorUnderSuccess),
        message: message.unwrap_or(Quoted::plain("the provider failed and did not say why")).into_owned(),
        code: said.status.filter(|status| !status.is_empty()).map(Quoted::into_owned),
        param: None,
    }
}

#[derive(Default)]
struct Said<'a> {
    status: Option<Quoted<'a>>,
    message: Option<Quoted<'a>>,
}

impl<'a> Said<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, name: Name<'_>) -> Result<(), Flaw> {
        match name {
            b"error" if reader.peek() == Some(b'{') => {
                key::members(reader, |reader, key| self.field(reader, key))?;
            }
            b"status" => self.status = reader.text()?,
            b"error" | b"message" => self.message = self.message.take().or(reader.text()?),
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// A body that is an error. `status` is what goes with it.
pub(in crate::protocol) fn body(fault: &Fault<'_>, status: u16) -> Bytes {
    let mut out = Vec::new();
    out.object(|out| members(fault, status, out));
    out.into()
}

/// What such a body consists of.
pub(super) fn members(fault: &Fault<'_>, status: u16, out: &mut Vec<u8>) {
    out.key("error").object(|out| {
        out.member("code", u64::from(status)).member("message", &fault.message).member("status", word(status));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_from_a_body_and_from_a_list() {
        let body = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[]}}"#;
        for body in [body.to_string(), format!("[{body}\n]")] {
            let fault = decode(body.as_bytes());
            assert_eq!(fault.failure, Failure::RateLimited { retry_after: None });
            assert_eq!(
                (fault.message.decode(), fault.code.unwrap().decode()),
                ("slow down".into(), "RESOURCE_EXHAUSTED".into())
            );
        }
    }
}
