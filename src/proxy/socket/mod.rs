//! The third door: Responses over a WebSocket, `GET /v1/responses` with an upgrade.
//!
//! Each message is handed to `handle` as a call by itself, so its token is looked at anew, and it is limited, metered and on
//! record like any other. One is answered at a time, its events one message each; the rest wait.

mod talk;
mod wire;

use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use self::talk::Talk;
use super::Proxy;
use super::relay::RelayBody;
use super::route::{self, Place};
use crate::domain::protocol::Operation;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::listen::{Peer, RequestBody};

/// Does this request ask for such a socket?
pub(super) fn is_wanted(request: &Request<RequestBody>) -> bool {
    let Some(upgrade) = request.headers().get(UPGRADE) else { return false };
    upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
        && request.method() == Method::GET
        && matches!(
            route::place(&Method::POST, request.uri().path()),
            Ok(Place::Call(asked)) if asked.operation == Operation::Responses
        )
}

impl Proxy {
    /// Opens a socket for whoever shows a token, and talks on it until either has had enough.
    pub(super) fn socket<'a>(
        &'a self,
        mut request: Request<RequestBody>,
        peer: Arc<Peer>,
    ) -> Pin<Box<dyn Future<Output = Response<RelayBody>> + Send + 'a>> {
        let upgrade = hyper::upgrade::on(&mut request);
        Box::pin(async move {
            let (head, _) = request.into_parts();
            let now = Timestamp::now();
            let welcome = match self.caller(&head.headers, now).await {
                Ok(_) => accepted(&head.headers),
                Err(refusal) => Err(refusal),
            };
            match welcome {
                Ok(accepted) => {
                    peer.has_shown_a_token();
                    let (proxy, host) = (self.clone(), peer.clone());
                    peer.spawn(async move {
                        if let Ok(io) = upgrade.await {
                            Talk::new(proxy, head.headers, host, io).await.run().await;
                        }
                    });
                    accepted
                }
                Err(refusal) => self.turned_away(&head, self.meter.draw_id(now), &refusal),
            }
        })
    }
}

/// The word that HTTP ends with here.
fn accepted(headers: &HeaderMap) -> Result<Response<RelayBody>, Refusal> {
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::HeaderInvalid { header: "sec-websocket-version", why: "it must be 13" });
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let why = "it must be 16 bytes in base64";
    let key = key.ok_or(Refusal::HeaderInvalid { header: "sec-websocket-key", why })?;
    let proof = [key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &proof));
    let mut response = Response::new(RelayBody::ours(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Letters of base64 are always a header's.
    headers.extend(HeaderValue::from_str(&proof).map(|proof| (SEC_WEBSOCKET_ACCEPT, proof)));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_proves_that_the_key_was_read() {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        // The example of RFC 6455.
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        let response = accepted(&headers).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("short"));
        assert!(accepted(&headers).is_err());
        headers.remove(SEC_WEBSOCKET_VERSION);
        assert!(accepted(&headers).is_err());
    }
}
