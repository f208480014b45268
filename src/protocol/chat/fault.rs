//! An error object of OpenAI's shape, from and to the hub: in a body, or as the data of an event.

use bytes::Bytes;

use super::errors::failure_in_body;
use super::refusal::kind;
use crate::domain::failure::Failure;
use crate::protocol::hub::event::Fault;
use crate::protocol::hub::read::{Name, Values};
use crate::protocol::hub::text::Quoted;
use crate::protocol::hub::write::Write;
use crate::protocol::json::{Flaw, Reader};

/// What a body or an event says of its error, wherever in it that stands.
pub(in crate::protocol) fn decode(body: &[u8]) -> Fault<'static> {
    let mut said = Said::default();
    let mut reader = Reader::new(body.trim_ascii());
    // What was read before a flaw counts.
    let _ = reader.members(|reader, key| said.field(reader, key));
    let message = said.message.filter(|message| !message.is_empty());
    Fault {
        failure: failure_in_body(body).unwrap_or(Failure::ErrorUnderSuccess),
        message: message.unwrap_or(Quoted::plain("the provider failed and did not say why")).into_owned(),
        code: said.code.filter(|code| !code.is_empty()).map(Quoted::into_owned),
        param: said.param.map(Quoted::into_owned),
    }
}

/// A body that is an error.
pub(in crate::protocol) fn body(fault: &Fault<'_>) -> Bytes {
    let mut out = Vec::new();
    out.object(|out| {
        out.key("error");
        encode(fault, out);
    });
    out.into()
}

#[derive(Default)]
struct Said<'a> {
    message: Option<Quoted<'a>>,
    code: Option<Quoted<'a>>,
    param: Option<Quoted<'a>>,
}

impl<'a> Said<'a> {
    fn field(&mut self, reader: &mut Reader<'a>, key: Name<'_>) -> Result<(), Flaw> {
        match key {
            // An object mostly, in Responses within the response; some write the message alone.
            b"error" | b"response" if reader.peek() == Some(b'{') => {
                reader.members(|reader, key| self.field(reader, key))?;
            }
            b"error" | b"message" | b"detail" if reader.peek() == Some(b'"') => {
                self.message = self.message.take().or(reader.text()?);
            }
            b"code" => self.code = self.code.take().or(code(reader)?),
            b"param" => self.param = self.param.take().or(reader.text()?),
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// Some count their errors.
fn code<'a>(reader: &mut Reader<'a>) -> Result<Option<Quoted<'a>>, Flaw> {
    if reader.peek() == Some(b'"') {
        return reader.text();
    }
    let number = reader.unsigned()?;
    Ok(number.map(|number| Quoted::of(&number.to_string())))
}

impl Fault<'_> {
    /// The code by which OpenAI's clients tell errors apart: for what we know, always the same word.
    pub(in crate::protocol) fn openai_code(&self) -> Quoted<'_> {
        match (&self.failure, &self.code) {
            (Failure::ContextTooLong, _) => Quoted::plain("context_length_exceeded"),
            (Failure::ModelUnknown, _) => Quoted::plain("model_not_found"),
            (Failure::RateLimited { .. }, _) => Quoted::plain("rate_limit_exceeded"),
            (Failure::QuotaExhausted { .. }, _) => Quoted::plain("insufficient_quota"),
            (_, Some(code)) => code.borrowed(),
            (Failure::CallRejected(_), None) => Quoted::plain("invalid_request"),
            (_, None) => Quoted::plain("server_error"),
        }
    }
}

/// Writes `{"message":…,"type":…,"param":…,"code":…}`.
pub(in crate::protocol) fn encode(fault: &Fault<'_>, out: &mut Vec<u8>) {
    out.object(|out| {
        out.member("message", &fault.message).member("type", kind(fault.family()));
        out.member("param", fault.param.as_ref()).member("code", fault.openai_code());
    });
}
