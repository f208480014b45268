//! An error of this protocol: an exception in a stream, or a body under a status.

use crate::domain::failure::Failure;
use crate::protocol::hub::event::Fault;
use crate::protocol::hub::read::Values;
use crate::protocol::hub::text::Quoted;
use crate::protocol::json::{Flaw, Reader};

/// What a body says of its error; where `kind` is not known from elsewhere, it may stand in it.
pub(in crate::protocol) fn decode(kind: Option<&str>, body: &[u8]) -> Fault<'static> {
    let (mut message, mut own_kind) = (None, None);
    let mut reader = Reader::new(body.trim_ascii());
    // What was read before a flaw counts.
    let _ = reader.members(|reader, key| {
        match key {
            b"message" | b"Message" | b"originalMessage" => message = message.take().or(reader.text()?),
            b"__type" => own_kind = reader.text()?.map(|kind| kind.decode().into_owned()),
            _ => reader.skip()?,
        }
        Ok::<(), Flaw>(())
    });
    let kind = kind.map(str::to_string).or(own_kind).unwrap_or_default();
    // `Name:http://…`, `com.amazon…#Name`
    let kind = kind.split(':').next().and_then(|kind| kind.rsplit('#').next()).unwrap_or_default();
    let message = message.filter(|message: &Quoted<'_>| !message.is_empty());
    let failure = failure(kind, message.as_ref()).unwrap_or(Failure::ErrorUnderSuccess);
    Fault {
        failure,
        message: message.unwrap_or(Quoted::plain("the provider failed and did not say why")).into_owned(),
        code: Some(Quoted::of(kind)).filter(|kind| !kind.is_empty()),
        param: None,
    }
}

/// What the protocol's names for errors mean.
fn failure(kind: &str, message: Option<&Quoted<'_>>) -> Option<Failure> {
    let kind = kind.strip_suffix("Exception").unwrap_or(kind).to_ascii_lowercase();
    Some(match kind.as_str() {
        "validation" => {
            let says = |text: &str| message.is_some_and(|message| message.decode().to_lowercase().contains(text));
            if says("too long") || says("maximum context") || says("too many input tokens") {
                Failure::ContextTooLong
            } else if says("model identifier is invalid") {
                Failure::ModelUnknown
            } else {
                Failure::CallRejected(400)
            }
        }
        "servicequotaexceeded" => Failure::QuotaExhausted { status: 400 },
        "accessdenied"
        | "unrecognizedclient"
        | "invalidsignature"
        | "expiredtoken"
        | "missingauthenticationtoken"
        | "incompletesignature"
        | "invalidclienttokenid" => Failure::CredentialRefused { status: 403 },
        "resourcenotfound" => Failure::ModelUnknown,
        "modeltimeout" => Failure::TimedOut,
        "throttling" | "toomanyrequests" => Failure::RateLimited { retry_after: None },
        "modelnotready" | "serviceunavailable" => Failure::Overloaded(503),
        "modelerror" | "modelstreamerror" | "internalserver" | "internalfailure" => Failure::Overloaded(500),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_errors_mean() {
        let kind = |kind| decode(Some(kind), br#"{"message":"m"}"#).failure;
        assert_eq!(kind("throttlingException"), Failure::RateLimited { retry_after: None });
        assert_eq!(kind("ThrottlingException:http://internal.amazon.com/"), Failure::RateLimited { retry_after: None });
        assert_eq!(kind("InvalidSignatureException"), Failure::CredentialRefused { status: 403 });
        assert_eq!(kind("modelStreamErrorException"), Failure::Overloaded(500));
        assert_eq!(kind("other"), Failure::ErrorUnderSuccess);
        let long = br#"{"__type":"com.amazon.coral.validate#ValidationException","Message":"Input is too long for requested model."}"#;
        let fault = decode(None, long);
        assert_eq!((fault.failure, fault.code), (Failure::ContextTooLong, Some(Quoted::plain("ValidationException"))));
    }
}
