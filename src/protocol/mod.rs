//! Wire formats.

pub mod chat;
mod json;
pub mod responses;
mod retry;
pub mod scan;
pub mod splice;
pub mod sse;
pub mod watch;
// TEMPORARY
use crate::domain::failure::Failure;
use crate::domain::protocol::{Operation, Protocol};
use crate::domain::refusal::Refusal;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
pub use watch::{Ending, Progress, Watch};
pub fn failure_under_success(b: &[u8]) -> Option<Failure> {
    chat::errors::classify_success_head(b)
}
pub fn answer_headers(_p: Protocol, _o: Operation, from: &HeaderMap, _own: bool) -> HeaderMap {
    let mut h = HeaderMap::new();
    for n in ["content-type", "retry-after", "retry-after-ms", "x-request-id"] {
        if let Some(v) = from.get(n) {
            h.insert(http::HeaderName::from_static(n), v.clone());
        }
    }
    h
}
pub fn classify(_p: Protocol, s: StatusCode, h: &HeaderMap, b: &[u8], now: std::time::SystemTime) -> Failure {
    chat::errors::classify(s.as_u16(), h, b, "custom", now)
}
pub fn is_error_body(_p: Protocol, b: &[u8]) -> bool {
    b.trim_ascii_start().starts_with(b"{")
}
pub fn request_headers(_p: Protocol, from: &HeaderMap) -> HeaderMap {
    answer_headers(_p, Operation::ChatCompletions, from, true)
}
pub fn upstream_path(base: &crate::domain::address::BaseUrl, call: &crate::domain::call::Call) -> String {
    format!("{}{}", base.path, call.operation.upstream_path().unwrap_or("/files"))
}
pub fn refusal_body(_p: Protocol, r: &Refusal) -> Bytes {
    serde_json::json!({"error":{"message":r.to_string(),"type":"x","param":null,"code":r.row().code}})
        .to_string()
        .into()
}
pub fn refusal_event(p: Protocol, r: &Refusal) -> Bytes {
    [b"data: ".as_slice(), &refusal_body(p, r), b"\n\n"].concat().into()
}
pub fn keep_alive(_p: Protocol) -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}
pub fn broken_event(_p: Protocol, between: bool, why: &str) -> Bytes {
    format!("{}data: {{\"error\":{{\"message\":\"{why}\"}}}}\n\n", if between { "" } else { "\n\n" }).into()
}
pub fn usage_of_whole(_p: Protocol, b: &[u8]) -> Option<crate::domain::usage::Usage> {
    chat::usage::usage_of_whole(b)
}
pub struct ModelRow<'a> {
    pub id: &'a str,
    pub created: crate::domain::time::Timestamp,
    pub owned_by: &'a str,
}
pub fn model_object(r: ModelRow<'_>) -> Bytes {
    serde_json::json!({"id":r.id,"object":"model","created":r.created.0/1000,"owned_by":r.owned_by}).to_string().into()
}
pub fn model_list<'a>(rows: impl Iterator<Item = ModelRow<'a>>) -> Bytes {
    serde_json::json!({"object":"list","data":rows.map(|r| serde_json::json!({"id":r.id,"object":"model","created":r.created.0/1000,"owned_by":r.owned_by})).collect::<Vec<_>>()}).to_string().into()
}
impl Watch {
    pub fn of(p: Protocol) -> Self {
        match p {
            Protocol::Responses => Self::responses(),
            _ => Self::chat(),
        }
    }
}
