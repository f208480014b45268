//! The HTTP door: what `listen` hands on goes the call's way, be it by way of `native` or `socket`, and what it refuses gets the
//! protocol's shape.

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};

use super::answer;
use super::relay::RelayBody;
use super::{Proxy, native, route, socket};
use crate::domain::protocol::Protocol;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::listen::{ALLOWED_METHODS, HeadFault, Peer, RequestBody, Serve};

impl Serve for Proxy {
    type Body = RelayBody;

    fn call(&self, request: Request<RequestBody>, peer: Arc<Peer>) -> impl Future<Output = Response<RelayBody>> + Send {
        let host = peer.clone();
        let known = move || host.has_shown_a_token();
        if native::is_native(request.uri().path()) {
            self.native(request, known)
        } else if socket::is_wanted(&request) {
            self.socket(request, peer)
        } else {
            self.handle(request, known)
        }
    }

    fn refuse(&self, fault: HeadFault, head: Option<&Parts>) -> Response<RelayBody> {
        let protocol = head.map_or(Protocol::Chat, |head| route::protocol_of(head.uri.path()));
        let refusal = refusal_of(fault, head);
        self.meter.refused_outside(&refusal);
        answer::refusal(protocol, self.meter.draw_id(Timestamp::now()), &refusal)
    }
}

fn refusal_of(fault: HeadFault, head: Option<&Parts>) -> Refusal {
    Refusal::Malformed(match fault {
        HeadFault::Method => {
            let method = head.map_or_else(String::new, |head| head.method.to_string());
            return Refusal::MethodNotAllowed { method, allow: ALLOWED_METHODS };
        }
        HeadFault::AtCapacity => return Refusal::AtCapacity("requests in flight"),
        HeadFault::TooManyFromAddress => {
            return Refusal::AtCapacity("connections without a valid token from one address");
        }
        HeadFault::Panicked => return Refusal::Internal,
        HeadFault::HostMissing => "it names no host",
        HeadFault::HostRepeated => "it names its host twice",
        HeadFault::HostInvalid => "its host is not valid",
        HeadFault::HostDiffers => "its request line and `Host` name different hosts",
        HeadFault::LengthAndCoding => "it has both `Content-Length` and `Transfer-Encoding`",
        HeadFault::LengthRepeated => "it has more than one `Content-Length`",
        HeadFault::LengthInvalid => "its `Content-Length` is not valid",
        HeadFault::CodingUnknown => "it has a transfer coding other than `chunked`",
        HeadFault::Framing => "its framing is not valid",
        HeadFault::Path => "its path holds `..`, `//`, an encoded dot or a control byte",
    })
}
