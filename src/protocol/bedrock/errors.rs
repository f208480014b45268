//! What a provider's no means in this protocol. Status, head and body in, `Failure` out.

use std::time::SystemTime;

use http::HeaderMap;

use super::fault;
use crate::domain::failure::Failure;
use crate::protocol::chat::errors;

/// What an answer with a status of 3xx, 4xx or 5xx means: the name of the error tells more than its status.
pub(in crate::protocol) fn classify(status: u16, head: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
    let kind = head.get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
    match fault::decode(kind, body).failure {
        Failure::ErrorUnderSuccess => errors::classify(status, head, body, now),
        Failure::CallRejected(_) => Failure::CallRejected(status),
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_head_stands_before_the_status() {
        let mut head = HeaderMap::new();
        let classified =
            |head: &HeaderMap, status| classify(status, head, br#"{"message":"no"}"#, SystemTime::UNIX_EPOCH);
        assert_eq!(classified(&head, 500), Failure::Overloaded(500));
        head.insert("x-amzn-errortype", "ModelNotReadyException".parse().unwrap());
        assert_eq!(classified(&head, 429), Failure::Overloaded(503));
        head.insert("x-amzn-errortype", "ValidationException".parse().unwrap());
        assert_eq!(classified(&head, 400), Failure::CallRejected(400));
    }
}
